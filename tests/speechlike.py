"""Words that sound a little like speech: harmonics of a gliding pitch, through resonances that move, and hisses."""

from __future__ import annotations

import io

import numpy as np
import soundfile

RATE_HZ = 16_000


def spoken(word: int, take: int = 0, *, level: float = 0.4, at: float = 0.2) -> np.ndarray:
    """A take of a word, float32 (S,), from `at` seconds on for about half a second; noise 50 dB below is around it."""
    of_word, of_take = np.random.default_rng(word), np.random.default_rng([word, take])
    seconds = 0.45 + 0.1 * of_take.uniform()
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    part = time / seconds
    pitch = 110 * 2 ** of_take.uniform(0, 1) * (1 + of_take.uniform(-0.15, 0.15) * np.sin(3 * part))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE_HZ
    centres = [
        low * 2 ** of_word.uniform(0, 1) * (1 + of_word.uniform(-0.3, 0.3) * part) * of_take.uniform(0.95, 1.05)
        for low in (300, 900, 2200)
    ]
    sound = np.zeros(len(time))
    for harmonic in range(1, 25):
        gain = sum(1 / (1 + ((harmonic * pitch - centre) / 90) ** 2) for centre in centres)
        sound += gain * np.sin(harmonic * phase + of_take.uniform(0, 6))
    hiss = np.exp(-(((part - of_word.uniform(0.1, 0.9)) / 0.1) ** 2)) * of_take.standard_normal(len(time))
    sound = (sound / np.abs(sound).max() + 0.3 * hiss) * np.sin(np.pi * part) ** 0.5
    clip = 10 ** (-50 / 20) * level * of_take.standard_normal(RATE_HZ)
    start = round(at * RATE_HZ)
    clip[start : start + len(sound)] += level * sound / np.abs(sound).max()
    return clip.astype(np.float32)


def encoded(samples: np.ndarray, form: str, subtype: str) -> np.ndarray:
    """The samples after they were encoded and decoded again, at 16 kHz."""
    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format=form, subtype=subtype)
    file.seek(0)
    found, rate = soundfile.read(file, dtype="float32")
    if rate != RATE_HZ:
        import soxr

        found = soxr.resample(found, rate, RATE_HZ)
    return found


def shifted(samples: np.ndarray, ms: int) -> np.ndarray:
    """The samples so many ms later, or earlier, in silence."""
    by, made = ms * RATE_HZ // 1000, np.zeros_like(samples)
    if by >= 0:
        made[by:] = samples[: len(samples) - by]
    else:
        made[:by] = samples[-by:]
    return made


def with_noise(samples: np.ndarray, snr_db: float) -> np.ndarray:
    """The samples with white noise that is so many dB below them."""
    noise = np.random.default_rng(7).standard_normal(len(samples))
    return (samples + noise * np.sqrt(np.square(samples).mean() / 10 ** (snr_db / 10))).astype(np.float32)
