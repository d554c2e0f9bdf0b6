"""One recording to one second of waveform.

Decisions: channels are averaged; other rates are resampled to 16 kHz by soxr (its highest quality); a clip longer than
a second keeps its beginning, a shorter one is followed by zeros. Only the first second of a file is ever read.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kws.errors import ClipError

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".wav", ".flac", ".ogg")
SAMPLE_RATE_HZ = 16_000
SAMPLES = 16_000
_LOUDEST = 1e6  # beyond this, float samples are damage; the power of 1e17 would overflow
_MARGIN = 1.02  # a little more than a second is read, so that a resampler's edge falls outside it


def read_waveform(path: Path) -> np.ndarray:
    """The first second of a recording: float32 (S,), S = 16,000, in [-1, 1].

    Raises ClipError for a file that is not audio, holds no samples, or holds numbers that are not finite.
    """
    import os

    import numpy as np
    import soundfile

    if not path.is_file():
        raise ClipError(f"{path} is not a file")
    name = os.fsencode(path)  # as bytes, for soundfile refuses names that are not UTF-8
    try:
        with soundfile.SoundFile(name) as file:
            rate = file.samplerate
            samples = file.read(frames=int(rate * _MARGIN) + 1, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
        reason = str(error).removeprefix(f"Error opening {name!r}: ").rstrip(".")
        raise ClipError(f"{path} cannot be read as audio ({reason})") from None
    if not len(samples):
        raise ClipError(f"{path} holds no samples")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if not (np.abs(mono) <= _LOUDEST).all():  # false for NaN, too
        raise ClipError(f"{path} holds samples that are not finite, or far beyond full scale")
    if rate != SAMPLE_RATE_HZ:
        import soxr

        mono = soxr.resample(mono, rate, SAMPLE_RATE_HZ, quality="VHQ")
    waveform = np.zeros(SAMPLES, dtype=np.float32)
    waveform[: len(mono)] = mono[:SAMPLES]
    return waveform
