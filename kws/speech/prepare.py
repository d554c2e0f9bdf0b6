"""Computes a data set's features once, into a folder of the cache.

Decisions:
- There is one worker per core. Each computes with one thread, so that the bits do not depend on the number of workers.
- Raw features are written to a file as they are computed. Once the training split's mean and standard deviation are
  known, each file is read again and written normalised. So no split is ever completely in memory.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from kws.errors import ClipError, DataError
from kws.events import SPLITS, TRAIN, Manifest
from kws.recipe import cores
from kws.speech import arrays
from kws.speech.decode import SAMPLES, read_recording
from kws.speech.digests import Stamp
from kws.speech.features import log_mel
from kws.speech.folder import Clip
from kws.speech.front_end import FRONT_END
from kws.speech.memory import keep_freed_memory
from kws.speech.progress import Track

_BATCH = 16  # clips that a worker transforms at once: their spectra stay in the processor's cache
_CHUNK = 256  # clips normalised at once

Moments = tuple[float, float]  # mean and variance


@dataclass
class _SplitWriter:
    """Writes one split's features and labels into the cache."""

    folder: Path
    split: str
    labels: list[int] = field(default_factory=list)
    moments: list[Moments] = field(default_factory=list)
    shape: tuple[int, ...] = (SAMPLES // FRONT_END.hop + 1, FRONT_END.bands)  # T, M

    def __post_init__(self) -> None:
        self._bands = np.zeros(FRONT_END.bands)
        self._path = self.folder / f"{self.split}.raw"
        self._file = self._path.open("wb")

    def add(self, features: np.ndarray, labels: Sequence[int], moments: Sequence[Moments], bands: np.ndarray) -> None:
        """Append features (n, T, M) with each clip's label and moments, and the sum of each band (M,)."""
        self.shape = features.shape[1:]
        self._file.write(features.data)
        self.labels.extend(labels)
        self.moments.extend(moments)
        self._bands = self._bands + bands

    def band_means(self) -> list[float]:
        """The mean of each mel band (M,) over all frames so far, not normalised; it distinguishes front ends.

        Empty if there are no clips.
        """
        frames = len(self.moments) * self.shape[0]
        return (self._bands / frames).tolist() if frames else []

    def mean_and_std(self) -> tuple[float, float]:
        """Mean and standard deviation of all features so far.

        The result is 0 and 1 without features; the standard deviation is 1 if all features are equal. Clips are summed
        without rounding, so that the bits do not depend on the batches.
        """
        clips = len(self.moments)
        if not clips:
            return 0.0, 1.0
        mean = math.fsum(mean for mean, _ in self.moments) / clips
        variance = math.fsum(within + (clip_mean - mean) ** 2 for clip_mean, within in self.moments) / clips
        return mean, math.sqrt(variance) or 1.0

    def finish(self, mean: float, std: float) -> None:
        """Write the split's features (N, T, M), normalised, and labels (N,) as arrays."""
        self._file.close()
        shape = (len(self.labels), *self.shape)
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        with self._path.open("rb") as raw, (self.folder / f"{self.split}.npy").open("wb") as normalised:
            np.lib.format.write_array_header_1_0(normalised, header)
            while chunk := raw.read(_CHUNK * shape[1] * shape[2] * 4):
                features = np.frombuffer(chunk, "<f4") - np.float32(mean)
                normalised.write(np.divide(features, np.float32(std), out=features).data)
        self._path.unlink()
        np.save(self.folder / f"{self.split}-labels.npy", np.array(self.labels, dtype=np.int64))


@dataclass(frozen=True)
class _Batch:
    """Some clips of one split: the readable clips, their sounds' digests and seconds, their features.

    And of these the moments of each clip and the sum of each band, since this is computed on all cores.
    """

    clips: list[Clip]
    digests: list[bytes]
    seconds: list[float]
    features: np.ndarray
    moments: list[Moments]
    bands: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The results besides the features: fingerprints and manifests by split, left-out clips, K, the features' scale."""

    fingerprints: dict[str, str]
    manifests: dict[str, Manifest]
    left_out: list[str]
    classes: int
    mean: float
    std: float
    band_means: list[float]


def from_clips(clips: Sequence[Clip], source: Path, folder: Path, *, skip_unreadable: bool, track: Track) -> Prepared:
    """Write the features of the recordings in `source`.

    Raises ClipError with the clip's name if a clip cannot be read, unless `skip_unreadable` is set, and DataError if a
    clip was changed meanwhile.
    """
    writers = {split: _SplitWriter(folder, split) for split in SPLITS}
    fingerprints = {split: hashlib.sha256() for split in SPLITS}
    used: dict[str, list[tuple[Clip, bytes, float]]] = {split: [] for split in SPLITS}
    left_out: list[str] = []

    def written() -> Iterator[Clip]:
        for asked, batch in _computed(clips, skip_unreadable):
            for clip, digest, seconds in zip(batch.clips, batch.digests, batch.seconds, strict=True):
                fingerprints[clip.split].update(clip.identified(digest))
                used[clip.split].append((clip, digest, seconds))
            if batch.clips:
                labels = [clip.label for clip in batch.clips]
                writers[batch.clips[0].split].add(batch.features, labels, batch.moments, batch.bands)
            if len(batch.clips) < len(asked):
                read = {id(clip) for clip in batch.clips}
                left_out.extend(clip.shown(source) for clip in asked if id(clip) not in read)
            yield from asked

    for _ in track(written(), total=len(clips), what="Computing features"):
        pass
    known = all(clip.speaker is not None for clip in clips)
    return _finished(
        writers,
        fingerprints={split: digest.hexdigest() for split, digest in fingerprints.items()},
        manifests={split: _manifest(source, clips_used, has_speakers=known) for split, clips_used in used.items()},
        left_out=left_out,
    )


def from_arrays(source: Path, folder: Path) -> Prepared:
    """Write the course's arrays, normalised."""
    writers, fingerprints, manifests = {}, {}, {}
    for split, (features, labels) in arrays.read(source).items():
        writers[split] = _SplitWriter(folder, split)
        for i in range(0, len(features), _CHUNK):
            part = np.ascontiguousarray(features[i : i + _CHUNK])
            writers[split].add(part, labels[i : i + _CHUNK].tolist(), _moments(part), _bands(part))
        fingerprints[split] = hashlib.sha256(features.tobytes() + labels.tobytes()).hexdigest()
        name = arrays.FILES[split][0]
        manifests[split] = Manifest(
            paths=tuple(f"{name}[{place}]" for place in range(len(features))),
            digests=b"".join(hashlib.sha256(each.tobytes()).digest() for each in features),
            speakers=None,
            modified_ns=(0,) * len(features),
            seconds=(0.0,) * len(features),
        )
    return _finished(writers, fingerprints=fingerprints, manifests=manifests, left_out=[])


def _finished(
    writers: dict[str, _SplitWriter],
    *,
    fingerprints: dict[str, str],
    manifests: dict[str, Manifest],
    left_out: list[str],
) -> Prepared:
    mean, std = writers[TRAIN].mean_and_std()
    for writer in writers.values():
        writer.finish(mean, std)
    return Prepared(
        fingerprints=fingerprints,
        manifests=manifests,
        left_out=left_out,
        classes=max((max(writer.labels, default=-1) for writer in writers.values()), default=-1) + 1,
        mean=mean,
        std=std,
        band_means=writers[TRAIN].band_means(),
    )


def _manifest(source: Path, used: Sequence[tuple[Clip, bytes, float]], *, has_speakers: bool) -> Manifest:
    return Manifest(
        paths=tuple(clip.shown(source) for clip, _, _ in used),
        digests=b"".join(digest for _, digest, _ in used),
        speakers=tuple(str(clip.speaker) for clip, _, _ in used) if has_speakers else None,
        modified_ns=tuple(clip.stamp.modified_ns for clip, _, _ in used),
        seconds=tuple(round(seconds, 6) for _, _, seconds in used),
    )


def _computed(clips: Sequence[Clip], skip_unreadable: bool) -> Iterator[tuple[Sequence[Clip], _Batch]]:
    """The clips in order, as batches that each belong to one split, with their computed results."""
    keep_freed_memory()
    by_split = [[clip for clip in clips if clip.split == split] for split in SPLITS]
    batches = [mine[i : i + _BATCH] for mine in by_split for i in range(0, len(mine), _BATCH)]
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(cores(), initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield from zip(batches, pool.map(partial(_compute, skip_unreadable), batches), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def _compute(skip_unreadable: bool, clips: Sequence[Clip]) -> _Batch:
    read, waveforms, durations = [], [], []
    for clip in clips:
        try:
            path = Path(clip.path)
            recording = read_recording(path, clip.at_ms, clip.end_ms, clip.align)
        except ClipError as error:
            if not skip_unreadable:
                raise ClipError(f"{error}; repair or delete it, or leave it out with --skip-unreadable") from None
            continue
        if Stamp.of(path.stat()) != clip.stamp:  # its features would be cached under the old file's key
            raise DataError(f"{clip.path} was changed while it was being read; run the command again")
        read.append(clip)
        waveforms.append(recording.waveform)
        durations.append(recording.seconds)
    if not read:
        return _Batch([], [], [], np.empty(0, np.float32), [], np.empty(0))
    digests = [hashlib.sha256(waveform.data).digest() for waveform in waveforms]
    features = log_mel(torch.from_numpy(np.stack(waveforms))).contiguous().numpy()
    return _Batch(read, digests, durations, features, _moments(features), _bands(features))


def _bands(features: np.ndarray) -> np.ndarray:
    """The sum of each mel band (M,) over clips and frames, in double precision."""
    return features.sum(axis=(0, 1), dtype=np.float64)


def _moments(features: np.ndarray) -> list[Moments]:
    """Each clip's mean and variance, in double precision."""
    exact = features.reshape(len(features), -1).astype(np.float64)
    means = exact.mean(axis=1)
    exact -= means[:, None]
    return list(zip(means.tolist(), np.square(exact, out=exact).mean(axis=1).tolist(), strict=True))
