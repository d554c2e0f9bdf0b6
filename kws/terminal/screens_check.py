"""Prints what `kws data check` finds: counts, how the clips sound, what is not in order, and what to do first.

What is not there is not listed line by line: one line at the end names what was looked for and not found.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from kws.events import SPLITS
from kws.terminal.console import out, paragraph, visible
from kws.terminal.screens import table_of

if TYPE_CHECKING:
    from kws.speech.checks.labels import Contradiction, Judged
    from kws.speech.checks.leaks import Pair
    from kws.speech.checks.report import Report
    from kws.speech.checks.spread import Spread
    from kws.terminal.layout import Table

_NAMED = 3  # clips of a kind
_WRONG = 10  # labels
_SHORT = {  # what is called otherwise where there is none
    "shorter than 1 s (padded with silence)": "shorter than 1 s",
    "louder after the second that is heard": "louder after it",
    "silent as they are heard": "silent",
    "channels that cancel each other": "cancelling channels",
    "NEARLY THE SAME UNDER TWO WORDS": "copies under two words",
    "NEARLY THE SAME IN TWO SPLITS": "copies in two splits",
    "PIECES THAT OVERLAP IN TWO SPLITS OR WORDS": "overlapping pieces",
    "THE SAME SOUND IN TWO SPLITS": "same sound in two splits",
    "THE SAME SOUND UNDER TWO WORDS": "under two words",
    "NAMED BY A LIST BUT NOT THERE": "missing",
}


def print_check(report: Report) -> None:
    """Print what a source holds, the clips that have problems, and what to do first."""
    from kws.speech import sentences

    console = out()

    def show(line: str) -> None:
        paragraph(console, visible(line))

    drawn = _counts("word", report.counts, f"{report.source}: {report.folder}")
    told = report.speakers
    drawn.add_row("speakers", *("unknown" if told is None else f"{told.get(split, 0):,}" for split in SPLITS), "")
    console.print(drawn)
    for line in (report.found, *report.said):
        show(line)
    show(sentences.used(report.used, {reason: len(paths) for reason, paths in report.unused.items()}, report.elsewhere))
    if no_words := sentences.no_words(report.counts):
        show(no_words)
    for line in _sounds(report):
        show(line)
    for reason, paths in report.unused.items():
        show(_first(f"not used ({reason})", paths))
    found = _found(report)
    for what, names in found.items():
        if names:
            show(_first(what, names))
    if report.shared_speakers is None:
        show(f"{sentences.UNKNOWN}; --speakers tells them")
    for line in _confounds(report):
        show(line)
    if nothing := [_SHORT.get(what, what.lower()) for what, names in found.items() if not names]:
        show(f"none: {', '.join(nothing)}")
    if report.labels is not None:
        _print_labels(report.labels, show)
    if report.task is not None:
        console.print(_counts("class", report.task.counts, report.task.title))
        for reason, clips in report.task.not_used.items():
            show(f"{reason}: {clips:,}")
        if report.task.lacking:
            show(_first("CLASSES WITHOUT CLIPS IN A SPLIT", report.task.lacking))
    if report.first:
        console.print()
        show("What to do first:")
    for number, step in enumerate(report.first, 1):
        show(f"{number}. {step.step}")


def _sounds(report: Report) -> Iterator[str]:
    """Splits, rates, durations and levels, a line each."""
    yield f"splits: by {report.split_by}"
    yield f"sample rates: {', '.join(f'{rate:,} Hz ({clips:,})' for rate, clips in report.rates_hz.items()) or 'none'}"
    if report.durations:
        longer = f"; longer than 1 s, so not heard to the end: {report.longer:,}" if report.longer else ""
        yield f"durations: {_spread(report.durations, 's', 2)}{longer}"
    if report.level_dbfs and report.peak_dbfs:
        yield f"level: {_spread(report.level_dbfs, 'dBFS')}; peaks: {report.peak_dbfs.median:.0f} typically"
        yield f"quietest: {report.quietest[0]}; loudest: {report.loudest[0]}"


def _confounds(report: Report) -> Iterator[str]:
    """A line for each word that is told by how it was recorded."""
    by_word: dict[str, list[str]] = {}
    for each in report.confounds:
        by_word.setdefault(each.word, []).append(f"{each.what} {each.here} (others {each.others})")
    for word, differs in [*by_word.items()][:_NAMED]:
        yield f"TOLD BY ITS RECORDING, NOT THE WORD: {word}: {', '.join(differs)}"
    if (more := len(by_word) - _NAMED) > 0:
        yield f"and {more} more words, which --json lists"


def _spread(spread: Spread, unit: str, digits: int = 0) -> str:
    least, p5, median, p95, most = (
        f"{value:.{digits}f}" for value in (spread.least, spread.p5, spread.median, spread.p95, spread.most)
    )
    if least == most:
        return f"all {median} {unit}"
    return f"{median} {unit} typically, 90 % from {p5} to {p95}, all from {least} to {most}"


def _found(report: Report) -> dict[str, Sequence[str]]:
    """What may be wrong with clips, the gravest last, with the names of those that are."""
    near = [pair for pair in report.near_duplicates if pair.crosses_splits]
    other = [pair for pair in report.near_duplicates if pair.crosses_words]
    found: dict[str, Sequence[str]] = {
        "shorter than 1 s (padded with silence)": report.short,
        "louder after the second that is heard": report.late,
        "cut off": [f"{clip} ({' and '.join(ends)})" for clip, ends in report.cut_off.items()],
        "silent as they are heard": report.silent,
        "channels that cancel each other": report.channels_cancel,
        "clipped": report.clipped,
        "far beyond full scale": report.beyond_full_scale,
        "the same sound": [" = ".join(names) for names in report.duplicated],
        "NEARLY THE SAME UNDER TWO WORDS": [*map(_pair, other)],
        "NEARLY THE SAME IN TWO SPLITS": [*map(_pair, near)],
        "PIECES THAT OVERLAP IN TWO SPLITS OR WORDS": [*map(_pair, report.overlaps)],
        "THE SAME SOUND IN TWO SPLITS": [" = ".join(names) for names in report.in_two_splits],
        "THE SAME SOUND UNDER TWO WORDS": [" = ".join(names) for names in report.in_two_words],
        "NAMED BY A LIST BUT NOT THERE": report.missing,
        "UNREADABLE": [f"{clip} ({why})" for clip, why in report.unreadable.items()],
    }
    if report.shared_speakers is not None:
        found["SPEAKERS IN TWO SPLITS"] = report.shared_speakers
    return found


def _pair(pair: Pair) -> str:
    return " ~ ".join(f"{clip} ({split})" for clip, split in zip(pair.clips, pair.splits, strict=True))


def _print_labels(labels: Judged, show: Callable[[str], None]) -> None:
    told = f"run {labels.run} hears another word in {labels.contradicted:,} of {labels.clips:,} clips of its words"
    show(f"{told}; it is ten times as likely as the label in {len(labels.wrong):,}{':' if labels.wrong else ''}")
    for each in labels.wrong[:_WRONG]:
        show(f"- {_contradiction(each)}")
    if (more := len(labels.wrong) - _WRONG) > 0:
        show(f"- and {more:,} more, which --json lists")
    if labels.trained_on:
        show(
            f"note: it was trained on {labels.trained_on:,} of these clips (*), and networks learn wrong labels by "
            "heart: a network that has not heard them finds more"
        )
    if labels.withheld:
        show(
            f"note: {labels.withheld:,} clips of its test split were not judged, since it is not tested yet; "
            f"`kws test {labels.run}` does it"
        )


def _contradiction(each: Contradiction) -> str:
    mark = " *" if each.trained_on else ""
    return f"{each.clip}{mark}: labelled {each.label}, heard as {each.hears} ({100 * each.probability:.1f} %)"


def _counts(what: str, counts: Mapping[str, Mapping[str, int]], title: str) -> Table:
    """Clips of each word or class, by split, and their sums."""
    drawn = table_of(what, *SPLITS, "total", title=title)
    for name, of in counts.items():
        drawn.add_row(Text(visible(name)), *(f"{of[split]:,}" for split in SPLITS), f"{sum(of.values()):,}")
    drawn.add_section()
    totals = [sum(of[split] for of in counts.values()) for split in SPLITS]
    drawn.add_row("total", *(f"{total:,}" for total in totals), f"{sum(totals):,}")
    return drawn


def _first(what: str, names: Sequence[str]) -> str:
    """The number of names, and the first few of them."""
    named = f": {', '.join(names[:_NAMED])}{' ...' if len(names) > _NAMED else ''}" if names else ""
    return f"{what}: {len(names):,}{named}"
