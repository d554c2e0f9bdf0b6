"""Checks the recordings of a source: what is used, counts, speakers, durations, and clips with problems.

Every clip is read as in training, so all statements are about the second that the network hears, of a longer clip the
one that `align` says, with its channels averaged, at 16 kHz. Definitions:

- short: below one second.
- silent: that second never reaches -60 dB of full scale.
- clipped: over 0.1 % of its samples are at full scale.
- far beyond full scale: a sample is at least twice full scale, as in files of floats that were meant to be integers.
- channels cancel: their mean has less than a hundredth of their power, as in stereo from one microphone with one phase
  inverted.
- late: where the first second is used, one of the ten that follow has at least twice its level.
- the same sound: the same second, regardless of file names and encodings.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws.errors import ClipError, DataError
from kws.events import SPLITS
from kws.recipe import FIRST, TASK, Config
from kws.speech import longer
from kws.speech.classes import Assigned
from kws.speech.decode import Recording, energies, read_recording
from kws.speech.folder import Clip, Folder, read_folder
from kws.speech.listing import assigned
from kws.speech.names import folded, joined, one_word, without_ending
from kws.speech.progress import Track, untracked
from kws.speech.sources import Source
from kws.speech.splits import shared_speakers
from kws.speech.walk import NO_FILES

SCHEMA = 2  # of the record: since 2, sounds are judged by the second that is heard; null means unknown
SHORT_S, SILENT_PEAK, CLIPPED_SHARE, BEYOND_PEAK, CANCELLED, LATE = 1.0, 1e-3, 1e-3, 2.0, 1e-2, 4.0
_LATER_S = 10  # seconds after the first that are searched for a word
_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Sound:
    """What the network hears of one clip; `error` is set if the clip cannot be read."""

    seconds: float = 0.0  # of the whole recording
    rate_hz: int = 0
    peak: float = 0.0  # of the second that is heard
    loudest: float = 0.0  # of any sample in that second, as it is in the file
    clipped_share: float = 0.0
    cancels: bool = False
    late: bool = False
    digest: bytes = b""
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class TaskCounts:
    """What a task makes of a source: the clips of each class, and how many are not used, by reason."""

    name: str
    title: str
    counts: dict[str, dict[str, int]]  # class -> split -> clips
    not_used: dict[str, int]

    @classmethod
    def of(cls, task: Config, found: Assigned) -> TaskCounts:
        """The counts of what was assigned."""
        labels = Counter((clip.label, clip.split) for clip in found.clips)
        counts = {name: {split: labels[label, split] for split in SPLITS} for label, name in enumerate(found.classes)}
        return cls(name=task.NAME, title=TASK.title(task.NAME), counts=counts, not_used=dict(found.not_used))

    @property
    def lacking(self) -> list[str]:
        """The classes that have no clips in a split, with the split."""
        return [f"{name} ({split})" for name, of in self.counts.items() for split, clips in of.items() if not clips]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a source holds, and the names of the clips that have problems."""

    source: str
    folder: str
    files: int  # used clips and unused files
    used: int
    unused: dict[str, list[str]]  # reason -> paths
    lists: list[str]  # splits with a list; the others follow the official rule
    elsewhere: int  # clips in the lists whose words are not in the folder
    found: str  # the layout, how many splits it gives, and how many clips
    said: list[str]  # what else is to be known of how it was read, as which words were joined
    split_by: str  # what says which split a clip is in
    one_word: list[list[str]]  # folders whose names count as one word
    counts: dict[str, dict[str, int]]  # word -> split -> clips
    speakers: dict[str, int] | None  # split -> speakers; None if they are unknown
    seconds: tuple[float, float, float]  # the shortest, the mean and the longest clip
    rates_hz: dict[int, int]  # rate -> clips
    longer: int  # clips of over a second; only one second is used
    short: list[str]
    silent: list[str]
    clipped: list[str]
    beyond_full_scale: list[str]
    channels_cancel: list[str]
    late: list[str]
    duplicated: list[list[str]]
    in_two_splits: list[list[str]]  # the same sound
    in_two_words: list[list[str]]
    unreadable: dict[str, str]  # clip -> why
    shared_speakers: list[str] | None  # None if they are unknown
    missing: list[str]  # in a list and of an existing word, but not in the folder
    task: TaskCounts | None = None  # if one was asked for

    @property
    def unusable(self) -> bool:
        """Whether training on it would fail, or give meaningless figures."""
        return bool(self.unreadable or self.shared_speakers or self.missing or (self.task and self.task.lacking))

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {"schema": SCHEMA, "unusable": self.unusable} | vars(self) | {"task": self.task and vars(self.task)}


def check(
    source: Source,
    speakers: str | None = None,
    pattern: str | None = None,
    *,
    align: str = FIRST,
    task: Config | None = None,
    track: Track = untracked,
) -> Report:
    """The report on a source, from reading every recording; `speakers` gives their speakers (see kws.speech.speakers).

    `pattern` describes file names that carry the label (see kws/speech/layouts/pattern.py), and `align` is which second
    of longer clips is used. `task` is the Config of a task whose classes are counted, too. Raises DataError if the
    source does not hold recordings, or not what the task needs.
    """
    if source.is_arrays:
        raise DataError(
            f"{source.folder} holds arrays, not recordings; `kws train --data` checks them as it reads them"
        )
    folder = read_folder(source.place, speakers, pattern, align=align, track=track)
    of_task = None if task is None else TaskCounts.of(task, assigned(folder, task, track=track))
    used = len({clip.path for clip in folder.clips})
    words = one_word(clip.word for clip in folder.clips)
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(SPLITS, 0))
    heard: list[tuple[Clip, Sound]] = []
    unreadable = {}
    for clip, sound in track(_sounds(folder.clips), total=len(folder.clips), what="Checking clips"):
        counts[words[clip.word]][clip.split] += 1
        if sound.error:
            unreadable[clip.name] = sound.error
        else:
            heard.append((clip, sound))
    seconds = [sound.seconds for _, sound in heard]
    same = _same_sounds(heard)

    def where(is_so: Callable[[Sound], bool]) -> list[str]:
        return [clip.name for clip, sound in heard if is_so(sound)]

    return Report(
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
        split_by=folder.split_by,
        one_word=_variants(folder.clips),
        counts=dict(counts),
        speakers=_speakers(folder),
        seconds=(min(seconds, default=0), sum(seconds) / max(len(seconds), 1), max(seconds, default=0)),
        rates_hz=dict(Counter(sound.rate_hz for _, sound in heard).most_common()),
        longer=sum(each > SHORT_S for each in seconds),
        short=where(lambda sound: sound.seconds < SHORT_S),
        silent=where(lambda sound: sound.peak < SILENT_PEAK),
        clipped=where(lambda sound: sound.clipped_share > CLIPPED_SHARE and sound.loudest < BEYOND_PEAK),
        beyond_full_scale=where(lambda sound: sound.loudest >= BEYOND_PEAK),
        channels_cancel=where(lambda sound: sound.cancels),
        late=where(lambda sound: sound.late),
        duplicated=[[clip.name for clip in clips] for clips in same],
        in_two_splits=[_with_splits(clips) for clips in same if len({clip.split for clip in clips}) > 1],
        in_two_words=[[clip.name for clip in clips] for clips in same if len({words[clip.word] for clip in clips}) > 1],
        unreadable=unreadable,
        shared_speakers=(
            shared_speakers((clip.split, str(clip.speaker)) for clip in folder.clips) if folder.has_speakers else None
        ),
        missing=sorted(map(without_ending, folder.splits.missing)),
        task=of_task,
    )


def _speakers(folder: Folder) -> dict[str, int] | None:
    if not folder.has_speakers:
        return None
    return dict(Counter(split for split, _ in {(clip.split, clip.speaker) for clip in folder.clips}))


def _variants(clips: Sequence[Clip]) -> list[list[str]]:
    by_spelling: dict[str, set[str]] = defaultdict(set)
    for word in {clip.word for clip in clips}:
        by_spelling[folded(word)].add(word)
    return sorted(sorted(words) for words in by_spelling.values() if len(words) > 1)


def _same_sounds(heard: Sequence[tuple[Clip, Sound]]) -> list[list[Clip]]:
    """The clips of each sound that occurs more than once."""
    by_digest: dict[bytes, list[Clip]] = defaultdict(list)
    for clip, sound in heard:
        by_digest[sound.digest].append(clip)
    return sorted(clips for clips in by_digest.values() if len(clips) > 1)


def _with_splits(clips: Sequence[Clip]) -> list[str]:
    return [f"{clip.name} ({clip.split})" for clip in clips]


def _sounds(clips: list[Clip]) -> Iterator[tuple[Clip, Sound]]:
    batches = [clips[i : i + _BATCH] for i in range(0, len(clips), _BATCH)]
    with ThreadPoolExecutor() as pool:
        for batch, sounds in zip(
            batches, pool.map(lambda batch: [_listen(clip) for clip in batch], batches), strict=True
        ):
            yield from zip(batch, sounds, strict=True)


def _listen(clip: Clip) -> Sound:
    import numpy as np

    try:
        recording = read_recording(*clip.place)
        is_whole = clip.at_ms is None and clip.end_ms is None and clip.align == FIRST
        late = is_whole and recording.seconds > SHORT_S and _is_late(energies(Path(clip.path), 1 + _LATER_S))
    except ClipError as error:
        return Sound(error=_reason(str(error).removeprefix(f"{clip.path} ")))
    used = np.abs(recording.samples[: recording.rate_hz])
    return Sound(
        seconds=recording.seconds,
        rate_hz=recording.rate_hz,
        peak=float(np.abs(recording.waveform).max()),
        loudest=float(used.max()),
        clipped_share=float((used >= 32767 / 32768).mean()),
        cancels=_cancels(recording),
        late=late,
        digest=hashlib.sha256(recording.waveform.data).digest(),
    )


def _reason(told: str) -> str:
    """Why a clip cannot be read, without the verb."""
    inner = re.fullmatch(r"cannot be read as audio \((.*)\)", told, re.DOTALL)
    return inner[1] if inner else re.sub("^(holds|is) ", "", told)


def _is_late(levels: Sequence[float]) -> bool:
    """Whether a later second is LATE times as powerful as the first, and not silent; `levels` are mean squares."""
    return max(levels[1:], default=0.0) > max(LATE * levels[0], SILENT_PEAK**2)


def _cancels(recording: Recording) -> bool:
    import numpy as np

    samples = recording.samples[: recording.rate_hz]
    if samples.shape[1] == 1:
        return False
    power = float(np.square(samples, dtype=np.float64).mean())
    return power > SILENT_PEAK**2 and float(np.square(samples.mean(axis=1)).mean()) < CANCELLED * power
