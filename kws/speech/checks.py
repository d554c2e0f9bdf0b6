"""Whether the recordings of a source are in order: counts, speakers, durations, and the clips that stand out.

Every file is decoded. A clip is short below one second, silent where no sample reaches -60 dB of full scale, clipped
where over 0.1 % of its samples stand at full scale, and duplicated where another one has the same samples.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws.data_card import SPLITS
from kws.errors import DataError
from kws.speech.folder import Clip, list_clips
from kws.speech.progress import Track, untracked
from kws.speech.sources import Source
from kws.speech.splits import read_lists, shared_speakers, speaker_of

SHORT_S, SILENT_PEAK, CLIPPED_SHARE = 1.0, 1e-3, 1e-3
_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Sound:
    """What decoding one clip told; `error` is set where it could not be decoded."""

    seconds: float = 0.0
    peak: float = 0.0
    clipped_share: float = 0.0
    digest: bytes = b""
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a source holds, and the names of the clips that are not in order."""

    source: str
    folder: str
    counts: dict[str, dict[str, int]]  # word -> split -> clips
    speakers: dict[str, int]  # split -> speakers
    seconds: tuple[float, float, float]  # the shortest, the mean and the longest clip
    short: list[str]
    silent: list[str]
    clipped: list[str]
    duplicated: list[list[str]]
    unreadable: dict[str, str]  # clip -> why
    shared_speakers: list[str]
    missing: list[str]  # named by a list, but not there

    @property
    def unusable(self) -> bool:
        """Whether training on it would fail, or give figures that mean nothing."""
        return bool(self.unreadable or self.shared_speakers)

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {"schema": 1, "unusable": self.unusable} | vars(self)


def check(source: Source, *, track: Track = untracked) -> Report:
    """Decode every recording of a source and report. Raises DataError for a source that is not recordings."""
    if source.is_arrays:
        raise DataError(
            f"{source.folder} holds arrays, not recordings; `kws train --data` checks them as it reads them"
        )
    clips = list_clips(source.folder)
    counts: dict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(SPLITS, 0))
    by_digest: dict[bytes, list[str]] = defaultdict(list)
    short, silent, clipped, unreadable, seconds = [], [], [], {}, []
    for clip, sound in track(_sounds(clips), total=len(clips), what="Checking clips"):
        counts[clip.word][clip.split] += 1
        if sound.error:
            unreadable[clip.name] = sound.error
            continue
        seconds.append(sound.seconds)
        by_digest[sound.digest].append(clip.name)
        if sound.seconds < SHORT_S:
            short.append(clip.name)
        if sound.peak < SILENT_PEAK:
            silent.append(clip.name)
        if sound.clipped_share > CLIPPED_SHARE:
            clipped.append(clip.name)
    there = {clip.name for clip in clips}
    listed = set().union(*read_lists(source.folder).values())
    return Report(
        source=source.name,
        folder=str(source.folder),
        counts=dict(counts),
        speakers=dict(Counter(split for split, _ in {(clip.split, speaker_of(clip.file_name)) for clip in clips})),
        seconds=(min(seconds, default=0), sum(seconds) / max(len(seconds), 1), max(seconds, default=0)),
        short=short,
        silent=silent,
        clipped=clipped,
        duplicated=sorted(names for names in by_digest.values() if len(names) > 1),
        unreadable=unreadable,
        shared_speakers=shared_speakers((clip.split, clip.file_name) for clip in clips),
        missing=sorted(listed - there),
    )


def _sounds(clips: list[Clip]) -> Iterator[tuple[Clip, Sound]]:
    batches = [clips[i : i + _BATCH] for i in range(0, len(clips), _BATCH)]
    with ThreadPoolExecutor() as pool:
        for batch, sounds in zip(
            batches, pool.map(lambda batch: [_listen(c.path) for c in batch], batches), strict=True
        ):
            yield from zip(batch, sounds, strict=True)


def _listen(path: str) -> Sound:
    import numpy as np
    import soundfile

    if not Path(path).is_file():
        return Sound(error="not a file")
    try:
        samples, rate = soundfile.read(os.fsencode(path), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
        return Sound(error=str(error).rsplit(": ", 1)[-1].rstrip("."))
    if not samples.size:
        return Sound(error="no samples")
    if not np.isfinite(samples).all():
        return Sound(error="samples that are not finite numbers")
    loudness = np.abs(samples)
    return Sound(
        seconds=len(samples) / rate,
        peak=float(loudness.max()),
        clipped_share=float((loudness >= 32767 / 32768).mean()),
        digest=hashlib.sha256(samples).digest(),
    )
