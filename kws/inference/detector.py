"""Detector: NumPy audio in, words and probabilities out, clip by clip or as a stream.

The model behind it is a run's network in PyTorch, or an exported file in onnxruntime; both answer alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from kws.errors import ClipError, RecipeError
from kws.inference.card import COOLDOWN_MS, SMOOTHING_MS
from kws.inference.detections import Detecting, Detection, Smoothing
from kws.recipe import ENERGY
from kws.speech import levels
from kws.speech.decode import SAMPLE_RATE_HZ, SAMPLES, SEARCHED_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kws.inference.card import ModelCard

    Floats = NDArray[np.float32]

_PIECE = 10 * SAMPLE_RATE_HZ  # samples of a stream at once, which bounds memory


class Stream(Protocol):
    """Probabilities of one stream, hop by hop."""

    def push(self, samples: Floats) -> Floats:
        """The probabilities (H, K) at the H hops that these samples (n,) at 16 kHz complete."""


class Model(Protocol):
    """What tells words apart: a run's network, or an exported file."""

    @property
    def card(self) -> ModelCard:
        """Its words, thresholds and origin."""

    def probabilities(self, waveforms: Floats) -> Floats:
        """Probabilities (B, K) of clips (B, S)."""

    def stream(self) -> Stream:
        """A stream's probabilities, from its beginning."""


@dataclass(frozen=True)
class Prediction:
    """The most probable word of a clip, and the probability of each word."""

    word: str
    probability: float
    probabilities: Mapping[str, float]
    seconds: float | None = None  # by windows: when the window ended that says so; else None


class Detector:
    """Words in clips and streams of audio. Audio is float in [-1, 1]: (S,) of one channel, or (S, channels)."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.card = model.card

    def __repr__(self) -> str:
        return f"<Detector of run {self.card.run}: {', '.join(self.card.words)}>"

    @property
    def words(self) -> tuple[str, ...]:
        """The K classes, in the order of probabilities."""
        return self.card.words

    @property
    def keywords(self) -> tuple[str, ...]:
        """The words that streams are searched for: all but "other", "unknown" and "silence"."""
        return self.card.keywords

    def probabilities(self, audio: Floats, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Floats:
        """The probability of each word (K,) in one clip; of a longer one that second is heard that was in training.

        Raises ClipError for audio that is empty or not finite.
        """
        clip = np.zeros((1, SAMPLES), np.float32)
        samples = heard(audio, sample_rate_hz)
        begin = 0
        if self.card.align == ENERGY and len(samples) > SAMPLES:
            searched = samples[: SEARCHED_S * SAMPLE_RATE_HZ]
            begin = levels.HOP * levels.second_with_word(levels.levels([searched]))
        samples = samples[begin : begin + SAMPLES]
        clip[0, : len(samples)] = samples
        return self.model.probabilities(clip)[0]

    def predict(self, audio: Floats, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Prediction:
        """The most probable word of one clip, as from probabilities()."""
        return prediction(self.words, self.probabilities(audio, sample_rate_hz))

    def scores(self, pieces: Iterable[Floats]) -> Iterator[Floats]:
        """The probabilities (H, K) at each hop of 20 ms of a stream at 16 kHz that comes in pieces of any length."""
        stream = self.model.stream()
        for piece in pieces:
            for start in range(0, len(piece), _PIECE):
                yield stream.push(piece[start : start + _PIECE])

    def averages(self, pieces: Iterable[Floats], smoothing_ms: int = SMOOTHING_MS) -> Iterator[Floats]:
        """The same as scores(), averaged over the last `smoothing_ms`: what thresholds are compared with."""
        smoothing = Smoothing(len(self.words), smoothing_ms)
        return map(smoothing.push, self.scores(pieces))

    def stream(
        self,
        pieces: Iterable[Floats],
        *,
        thresholds: Mapping[str, float] | float | None = None,
        smoothing_ms: int = SMOOTHING_MS,
        cooldown_ms: int = COOLDOWN_MS,
    ) -> Iterator[Detection]:
        """What is detected in a stream at 16 kHz, as it comes in pieces (n,) of any length.

        `thresholds` are those of each keyword, or one for all; by default those of the card, which miss 5 % of a
        keyword's validation clips.
        """
        detecting = Detecting(self.words, self.thresholds(thresholds), cooldown_ms=cooldown_ms)
        for averages in self.averages(pieces, smoothing_ms):
            yield from detecting.push(averages)

    def thresholds(self, given: Mapping[str, float] | float | None = None) -> dict[str, float]:
        """Each keyword's threshold: what is given, else the card's. Raises RecipeError for what is no keyword."""
        if isinstance(given, Mapping):
            for word in given:
                if word not in self.keywords:
                    raise RecipeError(f"{word!r} is none of the keywords {', '.join(self.keywords)}")
            return {word: float(value) for word, value in given.items()}
        return {word: self.card.threshold(word) if given is None else float(given) for word in self.keywords}


def prediction(words: tuple[str, ...], probabilities: Floats, seconds: float | None = None) -> Prediction:
    """The prediction that these probabilities (K,) make."""
    best = int(probabilities.argmax())
    return Prediction(
        words[best], float(probabilities[best]), dict(zip(words, map(float, probabilities), strict=True)), seconds
    )


def heard(audio: Floats, sample_rate_hz: int = SAMPLE_RATE_HZ) -> Floats:
    """Audio as a network hears it: one channel (n,) float32 at 16 kHz. Raises ClipError for what cannot be heard."""
    samples = np.asarray(audio)
    if samples.ndim not in (1, 2) or not samples.size:
        raise ClipError(f"audio has the shape {samples.shape}; it must be (samples,) or (samples, channels), not empty")
    if not np.issubdtype(samples.dtype, np.floating):
        raise ClipError(f"audio is of {samples.dtype}; it must be float in [-1, 1], so divide int16 by 32,768")
    if not np.isfinite(samples).all():
        raise ClipError("audio holds samples that are not finite")
    if samples.ndim == 2:
        samples = samples.mean(axis=1)
    samples = samples.astype(np.float32, copy=False)
    if sample_rate_hz != SAMPLE_RATE_HZ:
        import soxr

        samples = soxr.resample(samples, sample_rate_hz, SAMPLE_RATE_HZ, quality="VHQ")
    return samples
