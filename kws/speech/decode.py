"""One recording to one second of waveform.

Decisions: channels are averaged; other rates are resampled to 16 kHz by soxr (its highest quality); a clip longer than
a second keeps its beginning, a shorter one is followed by zeros. Only the first second of a file is ever read.
"""

from __future__ import annotations

import wave
from pathlib import Path
from typing import TYPE_CHECKING

from kws.errors import ClipError

if TYPE_CHECKING:
    import numpy as np

SUFFIXES = (".wav", ".flac", ".ogg")
SAMPLE_RATE_HZ = 16_000
SAMPLES = 16_000  # S: one second
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
    read = _read_pcm16(path)
    if read is None:
        name = os.fsencode(path)  # as bytes, for soundfile refuses names that are not UTF-8
        try:
            with soundfile.SoundFile(name) as file:
                read = file.samplerate, file.read(int(file.samplerate * _MARGIN) + 1, "float32", always_2d=True)
        except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
            reason = str(error).removeprefix(f"Error opening {name!r}: ").rstrip(".")
            raise ClipError(f"{path} cannot be read as audio ({reason})") from None
    rate, samples = read
    if not len(samples):
        raise ClipError(f"{path} holds no samples")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)
    if not (mono.max() <= _LOUDEST and mono.min() >= -_LOUDEST):  # false for NaN, too
        raise ClipError(f"{path} holds samples that are not finite, or far beyond full scale")
    if rate != SAMPLE_RATE_HZ:
        import soxr

        mono = soxr.resample(mono, rate, SAMPLE_RATE_HZ, quality="VHQ")
    waveform = np.zeros(SAMPLES, dtype=np.float32)
    waveform[: len(mono)] = mono[:SAMPLES]
    return waveform


def _read_pcm16(path: Path) -> tuple[int, np.ndarray] | None:
    """Rate and samples (n, channels) of a WAV file of 16-bit PCM; None for any other file, which soundfile then reads.

    The same numbers as soundfile's, in a third of the time: most clips are such files, and opening one is most of it.
    """
    import numpy as np

    if path.suffix.lower() != ".wav":
        return None
    try:
        with path.open("rb") as file, wave.open(file) as clip:
            if clip.getsampwidth() != 2:
                return None
            rate, channels = clip.getframerate(), clip.getnchannels()
            data = clip.readframes(int(rate * _MARGIN) + 1)
    except (wave.Error, EOFError, OSError):
        return None
    if not data or len(data) % (2 * channels):
        return None
    samples = np.frombuffer(data, "<i2").astype(np.float32)
    samples *= 1 / 32768
    return rate, samples.reshape(-1, channels)
