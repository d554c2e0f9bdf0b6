"""Detections: which words are heard when, from the probabilities of each hop of a stream.

A word's probabilities are averaged over the last `smoothing_ms`. Where the average reaches the word's threshold, the
word is detected, and for `cooldown_ms` nothing else is. Nor is anything until no word has reached its threshold for a
hop: a word stays in the window of a second for longer than a cooldown of one, and would be detected twice. Works on
NumPy arrays alone, whatever computed them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kws.inference.card import COOLDOWN_MS, HOP_MS, SMOOTHING_MS
from kws.speech.decode import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

HOP_SAMPLES = SAMPLE_RATE_HZ * HOP_MS // 1000


@dataclass(frozen=True)
class Detection:
    """A word that was heard, decided `seconds` after the stream's beginning; it lies in the second before."""

    seconds: float
    word: str
    probability: float  # averaged over the smoothing


def seconds_at(hop: int) -> float:
    """When a hop, counted from 0, has been heard: seconds after the stream's beginning."""
    return (hop + 1) * HOP_MS / 1000


class Smoothing:
    """A moving average over the last hops of a stream; before its beginning all probabilities are 0."""

    def __init__(self, classes: int, smoothing_ms: int = SMOOTHING_MS) -> None:
        self._hops = max(round(smoothing_ms / HOP_MS), 1)
        self._last = np.zeros((self._hops - 1, classes), np.float32)

    def push(self, probabilities: Floats) -> Floats:
        """The averages (H, K) at the next H hops."""
        if not len(probabilities):  # a piece too short for a hop
            return probabilities
        known = np.concatenate([self._last, probabilities])
        self._last = known[len(known) - (self._hops - 1) :]
        return np.lib.stride_tricks.sliding_window_view(known, self._hops, axis=0).mean(axis=-1, dtype=np.float32)


class Detecting:
    """Detections of some classes' words in a stream of averaged probabilities, hop after hop."""

    def __init__(
        self, words: Sequence[str], thresholds: Mapping[str, float], *, cooldown_ms: int = COOLDOWN_MS
    ) -> None:
        """`words` are all K classes; those that `thresholds` has are detected."""
        self._words = words
        self._columns = [k for k, word in enumerate(words) if word in thresholds]
        self._least = np.array([thresholds[words[k]] for k in self._columns], np.float32)
        self._cooldown = round(cooldown_ms / HOP_MS)
        self._hop = 0  # hops that have been seen
        self._free = 0  # the hop from which on something may be detected again
        self._below = 0  # hops until now at which nothing reached its threshold
        self._last_below = -1  # of these, those before the last detection

    def push(self, averages: Floats) -> list[Detection]:
        """What is detected in the next H hops (H, K)."""
        heard = averages[:, self._columns]
        reached = heard >= self._least
        any_reached = reached.any(axis=1)
        below = self._below + np.cumsum(~any_reached)
        found = []
        for hop in np.flatnonzero(any_reached):
            if self._hop + hop >= self._free and below[hop] > self._last_below:
                column = int(np.where(reached[hop], heard[hop], -1).argmax())
                seconds = seconds_at(self._hop + int(hop))
                found.append(Detection(seconds, self._words[self._columns[column]], float(heard[hop, column])))
                self._free, self._last_below = self._hop + int(hop) + self._cooldown, int(below[hop])
        self._hop += len(averages)
        self._below = int(below[-1]) if len(below) else self._below
        return found
