"""Silence: clips of one second, cut from the recordings in a data set's "_background_noise_" folder.

Decisions:
- Silence is what a microphone hears when nobody speaks, so it is noise as it was recorded, at its own level, not zeros.
- No two splits share a moment of a recording. Of Speech Commands' six recordings, two (HELD_OUT) are for the test split
  alone: nothing is ever trained on them, neither here nor as background noise. The others are cut in time, the first
  80 % for training and the rest for validation. Where no recording is held out, it is 80, 10 and 10 %.
- Within a split, cuts are spread evenly over its parts of the recordings, in whole milliseconds. They overlap where
  more seconds are wanted than the parts have. Positions follow from the recordings' names and durations and the number
  of clips alone, so every seed and machine has the same ones.
- A cut's "speaker" is the part of the recording that it is from: cuts of one part are no more independent of each other
  than clips of one speaker.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from kws.errors import ClipError, DataError
from kws.events import NOISE, SPLITS, TEST, TRAIN, VALIDATION
from kws.speech.decode import SUFFIXES, duration_ms
from kws.speech.digests import Stamp
from kws.speech.folder import Clip, Folder
from kws.speech.names import without_ending

HELD_OUT = ("exercise_bike", "pink_noise")  # recordings that nothing is trained on
IN_NOISE = f"in {NOISE}"  # why their files are not used as clips of a word
SHARES = {TRAIN: (0, 80), VALIDATION: (80, 100)}  # percent of a recording's time, from and to
SHARES_OF_ALL = {TRAIN: (0, 80), VALIDATION: (80, 90), TEST: (90, 100)}  # where no recording is held out
CUT_MS = 1000


class Part(NamedTuple):
    """A part of a recording, which belongs to one split."""

    file: str  # below the folder of noise
    split: str
    begin_ms: int
    end_ms: int

    @property
    def starts(self) -> int:
        """At how many milliseconds a cut can begin, so that it ends within the part."""
        return max(self.end_ms - self.begin_ms - CUT_MS + 1, 0)


def parts_of(durations_ms: Mapping[str, int]) -> list[Part]:
    """The parts of recordings, given their durations by file name."""
    held_out = [file for file in durations_ms if without_ending(file) in HELD_OUT]
    found = []
    for file, duration in sorted(durations_ms.items()):
        whole = {TEST: (0, 100)} if file in held_out else SHARES if held_out else SHARES_OF_ALL
        found += [Part(file, split, duration * a // 100, duration * b // 100) for split, (a, b) in whole.items()]
    return found


def positions(parts: list[Part], wanted: int) -> list[tuple[Part, int]]:
    """Where `wanted` cuts begin, in milliseconds, spread evenly over the parts; fewer if there are no more places."""
    until = [*accumulate(part.starts for part in parts)]
    places = until[-1] if until else 0
    found = []
    for number in range(min(wanted, places)):
        at = (2 * number + 1) * places // (2 * min(wanted, places))
        which = bisect_right(until, at)
        part = parts[which]
        found.append((part, part.begin_ms + at - (until[which] - part.starts)))
    return found


def has_recordings(folder: Folder) -> bool:
    """Whether the folder has recordings that silence can be cut from."""
    return bool(_recordings(folder))


def cut(folder: Folder, wanted: Mapping[str, int], otherwise: str) -> list[Clip]:
    """So many clips of silence for each split, without labels.

    Raises DataError if the folder has no recordings to cut them from, saying what else to do as `otherwise` has it, and
    ClipError if one cannot be read.
    """
    paths = _recordings(folder)
    if not paths:
        raise DataError(
            f"{folder.place} has no recordings in {NOISE} to cut silence from, as Speech Commands has; {otherwise}"
        )
    stamps, durations = {}, {}
    for file, path in paths.items():
        try:
            durations[file], stamps[file] = duration_ms(path), Stamp.of(path.stat())
        except (ClipError, OSError) as error:
            raise ClipError(f"{error}; repair or delete it, for silence is cut from it") from None
    parts = parts_of(durations)
    return [
        Clip(
            path=str(paths[part.file]),
            word=NOISE,
            file_name=part.file,
            split=split,
            stamp=stamps[part.file],
            speaker=f"{NOISE}/{part.file} ({split})" if folder.has_speakers else None,
            at_ms=at_ms,
        )
        for split in SPLITS
        for part, at_ms in positions([part for part in parts if part.split == split], wanted[split])
    ]


def _recordings(folder: Folder) -> dict[str, Path]:
    """The recordings of noise by their names below the folder of noise."""
    return {
        path.rpartition(f"{NOISE}/")[2]: folder.place / path
        for path in folder.unused.get(IN_NOISE, ())
        if Path(path).suffix.lower() in SUFFIXES and not Path(path).name.startswith(".")
    }
