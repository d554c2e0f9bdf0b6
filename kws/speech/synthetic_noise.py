"""Noise for the built-in speech: recordings of noise of four colours, made on first use, to the same bytes everywhere.

White noise is drawn by Python's own generator; the others are its means over 4, 16 and 64 samples, at one loudness.
Whole numbers alone are used, so that no library's rounding counts. These are for trying out, as the speech is: noise
that was recorded is richer.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

from kws.speech.cache import published

if TYPE_CHECKING:
    import numpy as np

NAME = "synthetic-noise-v1"
SECONDS = 30
MEANS = {"white": 1, "mean_of_4": 4, "mean_of_16": 16, "mean_of_64": 64}
SAMPLE_RATE_HZ = 16_000
_LOUDNESS = 2000  # mean distance from 0, of 32,768


def folder(cache: Path) -> Path:
    """The folder of the recordings below `cache`, made on first use."""
    place = cache / NAME
    if not place.is_dir():
        import soundfile

        with published(place) as made:
            for name, over in MEANS.items():
                soundfile.write(made / f"{name}.wav", recording(over), SAMPLE_RATE_HZ)
    return place


def recording(over: int) -> np.ndarray:
    """White noise, each sample the mean of so many: int16 (S,)."""
    import numpy as np

    samples = SECONDS * SAMPLE_RATE_HZ
    white = np.frombuffer(random.Random(over).randbytes(2 * (samples + over)), "<i2")
    sums = np.cumsum(white, dtype=np.int64)
    sums = sums[over:] - sums[:-over]
    return (sums * _LOUDNESS // (np.abs(sums).sum() // samples)).clip(-32_768, 32_767).astype(np.int16)
