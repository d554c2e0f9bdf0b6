"""What to do first about a data set: at most five steps, by importance.

First comes what makes training fail, then what makes figures meaningless, then what spoils labels and sounds, and last
what would make a network better. The numbers that are wanted are rules of thumb: with ten test clips of a word, its
recall comes in steps of 10 points; a network that has heard fewer than ten people knows their voices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kws.events import NO_KEYWORDS, NO_WORDS, SPLITS
from kws.speech.checks.report import Report, Step
from kws.speech.names import labels_of

WANTED_CLIPS, WANTED_A_SPLIT, WANTED_SPEAKERS = 50, 10, 10  # of a word
_MOST = 5


def steps(report: Report) -> list[Step]:
    """The first things to do, the most important first."""
    every = (*_failing(report), *_meaningless(report), *_sounds(report), *_more(report))
    return list(every)[:_MOST]


def _failing(report: Report) -> Iterator[Step]:
    if count := len(report.unreadable):
        yield _step(
            "unreadable", count, "Repair or delete {} that cannot be read; kws train --skip-unreadable goes on."
        )
    if count := len(report.missing):
        yield Step(what="missing", count=count, step=f"Put {_counted(count)} of the lists there, or delete the lines.")
    if report.task and (lacking := report.task.lacking):
        yield Step(
            what="lacking",
            count=len(lacking),
            step=f"Record clips of {_some(lacking)}, or divide anew: --split 70/15/15.",
        )


def _meaningless(report: Report) -> Iterator[Step]:
    if count := len(report.shared_speakers or ()):
        who = "1 speaker is" if count == 1 else f"{count:,} speakers are"
        yield Step(
            what="shared_speakers",
            count=count,
            step=f"Keep each speaker in one split ({who} in two): --split 70/15/15 does.",
        )
    if count := report.split_leaks:
        what = "1 recording that is" if count == 1 else f"{count:,} recordings that are"
        yield Step(what="split_leaks", count=count, step=f"Delete all copies but one of {what} in two splits.")
    if count := report.word_leaks:
        what = "1 recording that is" if count == 1 else f"{count:,} recordings that are"
        yield Step(what="word_leaks", count=count, step=f"Delete the wrong copies of {what} under two words.")
    if report.labels and (count := len(report.labels.wrong)):
        yield _step(
            "wrong_labels",
            count,
            f"Listen to {{}} whose labels run {report.labels.run} contradicts (--html plays them).",
        )


def _sounds(report: Report) -> Iterator[Step]:
    if count := len({*report.silent, *report.channels_cancel} - {*report.late}):
        yield _step("silent", count, "Delete or record again {} in which nothing, or too little, is heard.")
    if count := len(report.late):
        yield _step("late", count, "Cut {} so that the word is in the second that is heard.")
    if report.confounds:
        each = report.confounds[0]
        count = len({confound.word for confound in report.confounds})
        yield Step(
            what="confounds",
            count=count,
            step=f"Record {each.word} and other words alike: its {each.what} is {each.here}, theirs {each.others}.",
        )
    if count := len(report.cut_off):
        yield _step("cut_off", count, "Listen to {} whose word runs into the border; cut or record them anew.")
    if count := len({*report.clipped, *report.beyond_full_scale}):
        yield _step("clipped", count, "Record {} again with less gain: they are clipped.")


def _more(report: Report) -> Iterator[Step]:
    """Too few clips or speakers of a word."""
    few: list[tuple[int, str, str]] = []
    for word in _keywords(report):
        of = report.counts[word]
        split = min(SPLITS, key=lambda each: of[each])
        if (total := sum(of.values())) < WANTED_CLIPS:
            few.append((total, word, f"{total} of {WANTED_CLIPS} clips wanted"))
        elif of[split] < WANTED_A_SPLIT:
            few.append((of[split], word, f"{of[split]} of {WANTED_A_SPLIT} {split} clips wanted"))
    if few:
        _, word, lacks = min(few)
        more = f", and {len(few) - 1} more words" if len(few) > 1 else ""
        yield Step(what="few_clips", count=len(few), step=f"Record more clips of {word} ({lacks}){more}.")
    speakers = report.word_speakers or {}
    alone = sorted((speakers[w], w) for w in _keywords(report) if speakers.get(w, WANTED_SPEAKERS) < WANTED_SPEAKERS)
    if alone:
        have, word = alone[0]
        more = f", and {len(alone) - 1} more words" if len(alone) > 1 else ""
        yield Step(
            what="few_speakers",
            count=len(alone),
            step=f"Find more speakers for {word} ({have} of {WANTED_SPEAKERS} wanted){more}.",
        )


def _keywords(report: Report) -> list[str]:
    """The words that are to be told apart: the task's, else all."""
    words = [word for word in report.counts if word not in NO_WORDS]
    if report.task is None:
        return words
    wanted = [name for name in report.task.counts if name not in NO_KEYWORDS]
    return list(labels_of(words, wanted))


def _step(what: str, count: int, text: str) -> Step:
    return Step(what=what, count=count, step=text.format(_counted(count)))


def _counted(count: int) -> str:
    return f"{count:,} clip{'' if count == 1 else 's'}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" ..." if len(names) > 3 else "")
