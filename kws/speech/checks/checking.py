"""Checks a source: reads every clip once, and puts together what the modules beside this one find."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from kws.errors import DataError
from kws.events import SPLITS
from kws.recipe import FIRST, Config
from kws.recipe.partition import Partition
from kws.speech import longer
from kws.speech.checks import leaks, sketches
from kws.speech.checks.advice import steps
from kws.speech.checks.confounds import confounds
from kws.speech.checks.labels import Judge, Judging
from kws.speech.checks.report import Report, TaskCounts
from kws.speech.checks.sounds import BEYOND_PEAK, CLIPPED_SHARE, SHORT_S, Sound, listen
from kws.speech.checks.spread import Spread
from kws.speech.clips import Clip, Folder
from kws.speech.folder import read_folder
from kws.speech.listing import assigned
from kws.speech.names import folded, joined, one_word, without_ending
from kws.speech.progress import Track, untracked
from kws.speech.sources import Source
from kws.speech.splits import shared_speakers
from kws.speech.walk import NO_FILES

_EXTREMES = 3  # clips that are named as the quietest, and as the loudest


def check(
    source: Source,
    speakers: str | None = None,
    pattern: str | None = None,
    *,
    align: str = FIRST,
    partition: Partition | None = None,
    task: Config | None = None,
    judge: Judge | None = None,
    track: Track = untracked,
) -> Report:
    """The report on a source, from reading every recording; `speakers` gives their speakers (see kws.speech.speakers).

    `pattern` describes file names that carry the label (see kws/speech/layouts/pattern.py), `align` is which second of
    longer clips is used, and `partition` is other splits than the data's own. `task` is the Config of a task whose
    classes are counted, and `judge` a network that says which labels it contradicts. Raises DataError if the source
    does not hold recordings, or not what the task needs.
    """
    if source.is_arrays:
        raise DataError(
            f"{source.folder} holds arrays, not recordings; `kws train --data` checks them as it reads them"
        )
    folder = read_folder(source.place, speakers, pattern, partition=partition, align=align, track=track)
    of_task = None if task is None else TaskCounts.of(task, assigned(folder, task, track=track))
    used = len({clip.path for clip in folder.clips})
    word_of = one_word(clip.word for clip in folder.clips)
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(SPLITS, 0))
    judging = None if judge is None else Judging(judge, [clip.word for clip in folder.clips])
    heard: list[tuple[Clip, Sound]] = []
    drawn: list[sketches.Sketch] = []
    unreadable = {}
    for each in track(listen(folder.clips), total=len(folder.clips), what="Checking clips"):
        counts[word_of[each.clip.word]][each.clip.split] += 1
        if each.sketch is None:
            unreadable[each.clip.name] = each.sound.error or ""
            continue
        heard.append((each.clip, each.sound))
        drawn.append(each.sketch)
        if judging:
            judging.hear(each)
    words = [word_of[clip.word] for clip, _ in heard]
    audible = [(clip, sound) for clip, sound in heard if not sound.is_silent]
    seconds = [sound.seconds for _, sound in heard]
    levels = sorted(audible, key=lambda each: each[1].level_db)
    same = leaks.same_sounds(heard)
    told = leaks.same_sounds(audible)

    def where(is_so: Callable[[Sound], bool]) -> list[str]:
        return [clip.name for clip, sound in heard if is_so(sound)]

    report = Report(
        source=source.name,
        folder=str(source.folder),
        files=used + sum(len(paths) for why, paths in folder.unused.items() if why not in NO_FILES),
        used=used,
        unused={reason: sorted(folder.unused[reason]) for reason in folder.unused_counts()},
        lists=list(folder.lists),
        elsewhere=folder.splits.elsewhere,
        found=folder.found,
        said=[
            *folder.said,
            *joined((clip.word for clip in folder.clips), mark="/" if folder.by_folder else ""),
            *longer.said(seconds, align),
        ],
        split_by=folder.split_by if partition is None else _divided_by(partition, folder),
        one_word=_variants(folder.clips),
        counts=dict(counts),
        speakers=_speakers(folder),
        word_speakers=_word_speakers(folder, word_of),
        durations=Spread.of(seconds),
        rates_hz=dict(Counter(sound.rate_hz for _, sound in heard).most_common()),
        level_dbfs=Spread.of([sound.level_db for _, sound in levels]),
        peak_dbfs=Spread.of([sound.peak_db for _, sound in levels]),
        quietest=[clip.name for clip, _ in levels[:_EXTREMES]],
        loudest=[clip.name for clip, _ in levels[: -_EXTREMES - 1 : -1]],
        longer=sum(each > SHORT_S for each in seconds),
        short=where(lambda sound: sound.seconds < SHORT_S),
        silent=where(lambda sound: sound.is_silent),
        clipped=where(lambda sound: sound.clipped_share > CLIPPED_SHARE and sound.loudest < BEYOND_PEAK),
        beyond_full_scale=where(lambda sound: sound.loudest >= BEYOND_PEAK),
        channels_cancel=where(lambda sound: sound.cancels),
        late=where(lambda sound: sound.late),
        cut_off={clip.name: list(sound.cut_off) for clip, sound in heard if sound.cut_off},
        duplicated=[[clip.name for clip in clips] for clips in same],
        in_two_splits=[_with_splits(clips) for clips in told if len({clip.split for clip in clips}) > 1],
        in_two_words=[
            [clip.name for clip in clips] for clips in told if len({word_of[clip.word] for clip in clips}) > 1
        ],
        near_duplicates=[],
        overlaps=leaks.overlaps([clip for clip, _ in heard], words),
        unreadable=unreadable,
        shared_speakers=(
            shared_speakers((clip.split, str(clip.speaker)) for clip in folder.clips) if folder.has_speakers else None
        ),
        missing=sorted(map(without_ending, folder.splits.missing)),
        confounds=confounds(heard, words),
        task=of_task,
        labels=judging.result() if judging else None,
        clips={clip.name: clip for clip in folder.clips},
    )
    known = {pair.clips for pair in report.overlaps}
    near = leaks.near_duplicates(
        [clip for clip, _ in audible],
        [word_of[clip.word] for clip, _ in audible],
        [sound.digest for _, sound in audible],
        [sketch for (_, sound), sketch in zip(heard, drawn, strict=True) if not sound.is_silent],
    )
    report = replace(report, near_duplicates=[pair for pair in near if not {pair.clips, pair.clips[::-1]} & known])
    return replace(report, first=steps(report))


def _divided_by(partition: Partition, folder: Folder) -> str:
    shares = partition.told.replace("split ", "the shares ")
    return f"{shares} and {'speakers' if folder.has_speakers else 'the clips, for speakers are unknown'}"


def _speakers(folder: Folder) -> dict[str, int] | None:
    if not folder.has_speakers:
        return None
    return dict(Counter(split for split, _ in {(clip.split, clip.speaker) for clip in folder.clips}))


def _word_speakers(folder: Folder, word_of: Mapping[str, str]) -> dict[str, int] | None:
    if not folder.has_speakers:
        return None
    return dict(Counter(word for word, _ in sorted({(word_of[clip.word], str(clip.speaker)) for clip in folder.clips})))


def _variants(clips: Sequence[Clip]) -> list[list[str]]:
    by_spelling: dict[str, set[str]] = defaultdict(set)
    for word in {clip.word for clip in clips}:
        by_spelling[folded(word)].add(word)
    return sorted(sorted(words) for words in by_spelling.values() if len(words) > 1)


def _with_splits(clips: Sequence[Clip]) -> list[str]:
    return [f"{clip.name} ({clip.split})" for clip in clips]
