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
_MARGIN = 1.02  # a little more than a second is read, so that a resampler's edge falls outside it


def read_waveform(path: Path) -> np.ndarray:
    """The first second of a recording: float32 (S,), S = 16,000, in [-1, 1].

    Raises ClipError for a file that is not audio, holds no samples, or holds numbers that are not finite.
    """
    import numpy as np
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate = file.samplerate
            samples = file.read(frames=int(rate * _MARGIN) + 1, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
        reason = str(error).removeprefix(f"Error opening {str(path)!r}: ").rstrip(".")
        raise ClipError(f"{path} cannot be read as audio ({reason})") from None
    if not len(samples):
        raise ClipError(f"{path} holds no samples")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if not np.isfinite(mono).all():
        raise ClipError(f"{path} holds samples that are not finite numbers")
    if rate != SAMPLE_RATE_HZ:
        import soxr

        mono = soxr.resample(mono, rate, SAMPLE_RATE_HZ, quality="VHQ")
    waveform = np.zeros(SAMPLES, dtype=np.float32)
    waveform[: len(mono)] = mono[:SAMPLES]
    return waveform
