"""Words said by eSpeak NG in a room, as a microphone would hear them: for tests of recording."""

from __future__ import annotations

from functools import cache

import numpy as np
import soxr

from kws.speech import synthetic

RATE = 16_000


def room(seconds: float, level_db: float = -60.0, seed: int = 0) -> np.ndarray:
    """Noise (n,) of that level."""
    random = np.random.default_rng(seed)
    return (10 ** (level_db / 20) * random.standard_normal(round(seconds * RATE))).astype(np.float32)


@cache
def spoken(word: str, variant: str = "f2", rate: int = 160) -> np.ndarray:
    """A word (n,) with a peak of 1."""
    with synthetic.espeak() as (_version, say):
        samples = soxr.resample(say(synthetic.Clip("en", variant, word, 0), rate, 50, 50), 22_050, RATE)
    return samples / np.abs(samples).max()


def said(
    word: str, *, peak: float = 0.3, before: float = 0.7, after: float = 1.2, seed: int = 0, **voice
) -> np.ndarray:
    """A word in the room (n,), after and before so many seconds of nothing but that; clipped at full scale."""
    samples = peak * spoken(word, **voice)
    around = room(before + after + len(samples) / RATE + 0.01, seed=seed)
    begin = round(before * RATE)
    around[begin : begin + len(samples)] += samples
    return np.clip(around, -1, 1)
