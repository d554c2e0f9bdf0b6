"""Clips for an export: those of the test split that a file is checked on, and those of training that int8 is fitted to.

Decisions:
- Clips are read as in training, by kws.speech.decode, and as they are needed: a batch is in memory, not the split.
- Where the test split has fewer than 1,000 clips, windows of the stream that its clips make one after the other are
  compared as well. They are spread evenly, and cross from one clip into the next.
- The clips of training are chosen by their place in the split, evenly spaced: the same ones each time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from kws.errors import ClipError, DataError
from kws.events import TEST, TRAIN
from kws.speech.decode import SAMPLES, read_recording
from kws.speech.listing import list_source
from kws.speech.progress import Track, untracked
from kws.speech.sources import is_here

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kws.recipe import Recipe
    from kws.speech.folder import Clip

    Floats = NDArray[np.float32]

BATCH = 64
LEAST = 1_000  # windows that are compared
_CALIBRATION = 512  # clips of training


@dataclass(frozen=True)
class Clips:
    """The clips of a data source that an export needs."""

    source: str  # as shown in tables
    test: Sequence[Clip]
    train: Sequence[Clip]
    classes: tuple[str, ...]

    def labels(self) -> NDArray[np.int64]:
        """The classes of the test clips (N,)."""
        return np.array([clip.label for clip in self.test], np.int64)

    def batches(self, track: Track = untracked) -> Iterator[Floats]:
        """The test clips (B, S), batch after batch."""
        batch: list[Clip] = []
        for number, clip in enumerate(track(self.test, total=len(self.test), what="Comparing test clips"), start=1):
            batch.append(clip)
            if len(batch) == BATCH or number == len(self.test):
                yield read(batch)
                batch = []

    def windows(self) -> Iterator[Floats]:
        """Windows (B, S) of the test clips' stream, as many as make up for what the split has fewer than 1,000."""
        wanted, clips = LEAST - len(self.test), len(self.test)
        starts = [(2 * number + 1) * clips * SAMPLES // (2 * wanted) for number in range(max(wanted, 0))]
        for at in range(0, len(starts), BATCH):
            found = []
            for start in starts[at : at + BATCH]:
                first, begin = divmod(start, SAMPLES)
                both = read([self.test[first], self.test[(first + 1) % clips]]).reshape(-1)
                found.append(both[begin : begin + SAMPLES])
            yield np.stack(found)

    def calibration(self) -> Floats:
        """Clips of training (n, S), evenly spaced by their place. Raises DataError where a class has none."""
        if missing := self._missing(self.train):
            what = "" if len(missing) == len(self.classes) else f" of {', '.join(missing)}"
            raise DataError(
                f"{self.source} has no clips{what} in its train split, by which int8 is scaled; export fp32"
            )
        count = min(_CALIBRATION, len(self.train))
        return read([self.train[(2 * number + 1) * len(self.train) // (2 * count)] for number in range(count)])

    @property
    def not_tested(self) -> tuple[str, ...]:
        """The classes without test clips."""
        return self._missing(self.test)

    def _missing(self, clips: Sequence[Clip]) -> tuple[str, ...]:
        there = {clip.label for clip in clips}
        return tuple(name for label, name in enumerate(self.classes) if label not in there)

    def test_fingerprint(self) -> str:
        """What a data card calls the split's fingerprint: over labels, names and sounds."""
        digest = hashlib.sha256()
        for start in range(0, len(self.test), BATCH):
            clips = self.test[start : start + BATCH]
            for clip, waveform in zip(clips, read(clips), strict=True):
                digest.update(clip.identified(hashlib.sha256(waveform.data).digest()))
        return digest.hexdigest()


def of(
    recipe: Recipe,
    words: Sequence[str],
    run: str,
    *,
    partly: bool = False,
    skip_unreadable: bool = False,
    track: Track = untracked,
) -> Clips:
    """The clips of a recipe's data, all of them or those that can be read.

    Data other than the run's own may have some of the classes `words` alone, which is `partly`. Raises DataError where
    clips are not there, or are of other classes.
    """
    if not is_here(recipe.data):
        raise DataError(
            f"the data of run {run} is not at {recipe.data}, and an export is checked on its test clips; "
            "name their folder with --data"
        )
    options: dict[str, Any] = {"partition": recipe.partition, "skip_unreadable": skip_unreadable, "track": track}
    options |= {"align": recipe.align, "some_of": tuple(words) if partly else ()}
    listing = list_source(recipe.data, recipe.task, recipe.speakers, recipe.pattern, **options)
    if listing.source.is_arrays:
        raise DataError(f"{recipe.data} holds arrays, and an export is checked on recordings; name them with --data")
    if tuple(listing.classes) != tuple(words):
        raise DataError(
            f"run {run} tells apart {', '.join(words)}, but {recipe.data} has {', '.join(listing.classes)}; "
            "name the run's own data with --data"
        )
    used = [clip for clip in listing.clips if not skip_unreadable or _can_be_read(clip)]
    by_split = {split: [clip for clip in used if clip.split == split] for split in (TEST, TRAIN)}
    if not by_split[TEST]:
        raise DataError(f"{recipe.data} has no clips in its test split, on which an export is checked; name other data")
    return Clips(listing.source.name, by_split[TEST], by_split[TRAIN], listing.classes)


def _can_be_read(clip: Clip) -> bool:
    try:
        read([clip])
    except ClipError:
        return False
    return True


def read(clips: Sequence[Clip]) -> Floats:
    """Waveforms (B, S). Raises ClipError for one that cannot be read."""
    return np.stack([read_recording(*clip.place).waveform for clip in clips])
