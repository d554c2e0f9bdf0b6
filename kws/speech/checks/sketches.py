"""Sketches of clips, by which copies of one recording are found among many clips without reading them again.

A sketch is made to survive another encoding, gain, a shift, a cut elsewhere, and some noise. It has two parts:

- `samples`: the clip between 100 Hz and 2 kHz, at 4 kHz, scaled to its peak, as int8. Codecs are exact there, and hum
  and DC offsets, which quiet clips share, are not in it. Two of them are compared by correlation.
- `outline`: how loud ten mel bands are in the half second around the loudest moment, to the power of 1/4, as magnitudes
  of a Fourier transform over time. It does not depend on where in the clip the word is. Clips whose outlines are near
  each other are the only ones that are correlated: all pairs are one product of matrices.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

RATE_HZ = 4_000
LOW_HZ, HIGH_HZ = 100, 2_000
SAMPLES = 4_000  # of a second
_WINDOW, _HOP = 128, 64  # samples: 32 and 16 ms
_BANDS = 10
_AROUND = 32  # frames: half a second
_SMOOTH = 7  # frames that the loudest moment is the middle of
_OFFSET = 1e-4  # of the loudest cell
_PEAK = 127


class Sketch(NamedTuple):
    """A clip's sketch: int8 (4000,) at 4 kHz, and the outline, float32 (D,), D = 170."""

    samples: np.ndarray
    outline: np.ndarray


def of(waveforms: np.ndarray) -> list[Sketch]:
    """The sketches of waveforms (B, S) at 16 kHz."""
    import numpy as np

    spectra = np.fft.rfft(waveforms, axis=1)[:, : SAMPLES // 2 + 1]
    spectra[:, :LOW_HZ] = 0  # a bin is 1 Hz
    low = np.fft.irfft(spectra, SAMPLES, axis=1)
    peaks = np.abs(low).max(axis=1, keepdims=True)
    samples = np.round(low * (_PEAK / np.maximum(peaks, 1e-9))).astype(np.int8)
    return [Sketch(*each) for each in zip(samples, _outlines(samples), strict=True)]


def _outlines(samples: np.ndarray) -> np.ndarray:
    """The outlines (B, D) of samples (B, 4000)."""
    import numpy as np

    padded = np.pad(samples.astype(np.float32), ((0, 0), (_WINDOW // 2, _WINDOW // 2)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW, axis=1)[:, ::_HOP]
    spectra = np.fft.rfft(frames * np.hanning(_WINDOW).astype(np.float32))
    power = (np.square(spectra.real) + np.square(spectra.imag)).astype(np.float32) @ _bands()
    power = power / np.maximum(power.max(axis=(1, 2), keepdims=True), 1e-12) + _OFFSET
    sums = np.pad(np.cumsum(power.sum(axis=2), axis=1), ((0, 0), (_SMOOTH // 2 + 1, _SMOOTH // 2)), mode="edge")
    sums[:, : _SMOOTH // 2 + 1] = 0
    loudest = (sums[:, _SMOOTH:] - sums[:, :-_SMOOTH]).argmax(axis=1)
    half = _AROUND // 2
    loudness = np.pad(np.sqrt(np.sqrt(power)), ((0, 0), (half, half), (0, 0)), constant_values=_OFFSET**0.25)
    around = np.stack([each[at : at + _AROUND] for each, at in zip(loudness, loudest, strict=True)])
    around = (around - around.mean(axis=1, keepdims=True)) * np.hanning(_AROUND).astype(np.float32)[None, :, None]
    return np.abs(np.fft.rfft(around, axis=1)).reshape(len(samples), -1).astype(np.float32)


@cache
def _bands() -> np.ndarray:
    """Triangular bands (bins, bands), evenly spaced on the mel scale of O'Shaughnessy (1987)."""
    import numpy as np

    lowest, highest = (float(1127 * np.log1p(hz / 700)) for hz in (LOW_HZ, HIGH_HZ))
    mels = np.linspace(lowest, highest, _BANDS + 2)
    edges = 700 * np.expm1(mels / 1127)
    bins = np.arange(_WINDOW // 2 + 1)[:, None] * RATE_HZ / _WINDOW
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    found: np.ndarray = np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
    return found
