"""A labelled stream at all thresholds: what kws.inference.detections finds at each, without running it for each.

Decisions:
- Only hops are kept at which a keyword reaches the lowest threshold. That is what hours of audio take in memory.
- Thresholds are the same for every run and stream, 381 from 0.0009 to 0.999994, evenly spread in log-odds: a threshold
  that is chosen by going through them in order is chosen among a fixed list, not among the stream's own probabilities.
- A keyword's curve is that of a detector for this keyword alone. The curve of all keywords is that of a detector in
  which they share a threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from kws.inference import matching
from kws.inference.card import HOP_MS
from kws.inference.detections import seconds_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kws.inference.stream_labels import Window

    Floats = NDArray[np.float32]

THRESHOLDS = tuple((1 / (1 + np.exp(-np.arange(-140, 241) / 20))).tolist())  # rising
LEAST = THRESHOLDS[0]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What is missed and falsely accepted at each of P thresholds, which rise."""

    word: str | None  # None for all keywords together
    thresholds: tuple[float, ...]
    said: int  # how often
    misses: tuple[int, ...]
    false_accepts: tuple[int, ...]  # events


class Candidates:
    """The hops of a stream at which a keyword's averaged probability is at least `least`."""

    def __init__(self, words: Sequence[str], keywords: Sequence[str], least: float = LEAST) -> None:
        """`words` are all K classes."""
        self.keywords = tuple(keywords)
        self.hops_seen = 0
        self._columns = [words.index(word) for word in keywords]
        self._least = np.float32(least)
        self._hops: list[NDArray[np.int64]] = []
        self._averages: list[Floats] = []

    def push(self, averages: Floats) -> None:
        """Look at the next H hops (H, K)."""
        own = averages[:, self._columns]
        reached = np.flatnonzero((own >= self._least).any(axis=1))
        if len(reached):
            self._hops.append(reached + self.hops_seen)
            self._averages.append(own[reached])
        self.hops_seen += len(averages)

    @property
    def hops(self) -> NDArray[np.int64]:
        """Which hops they are (N,), from 0."""
        return np.concatenate([np.empty(0, np.int64), *self._hops])

    @property
    def averages(self) -> Floats:
        """The keywords' averaged probabilities there (N, W)."""
        return np.concatenate([np.empty((0, len(self._columns)), np.float32), *self._averages])


def curves(candidates: Candidates, windows: Sequence[Window], *, cooldown_ms: int) -> list[Curve]:
    """The curve of each keyword, and that of all together as the last if there are several."""
    hops, averages = candidates.hops, candidates.averages
    found = []
    for column, word in enumerate(candidates.keywords):
        own = [window for window in windows if window.word == word]
        which = np.zeros(len(hops), np.int64)
        found.append(_curve(word, hops, averages[:, column], which, (word,), own, cooldown_ms))
    if len(candidates.keywords) > 1:
        which = averages.argmax(axis=1) if len(averages) else np.empty(0, np.int64)
        best = averages.max(axis=1, initial=0)
        found.append(_curve(None, hops, best, which, candidates.keywords, windows, cooldown_ms))
    return found


def _curve(
    word: str | None,
    hops: NDArray[np.int64],
    scores: Floats,
    which: NDArray[np.int64],
    keywords: Sequence[str],
    windows: Sequence[Window],
    cooldown_ms: int,
) -> Curve:
    """A curve by the score (N,) and keyword (N,) at each hop (N,)."""
    cooldown = max(round(cooldown_ms / HOP_MS), 1)
    heard = matching.Matcher(windows)
    misses, false_accepts = [], []
    for threshold in THRESHOLDS:
        above = scores >= np.float32(threshold)  # as Detecting compares
        if not above.all():
            hops, scores, which = hops[above], scores[above], which[above]
        found = detected(hops, cooldown)
        seconds = [seconds_at(hop) for hop in hops[found].tolist()]
        matched = heard.match(seconds, [keywords[k] for k in which[found].tolist()])
        alarms = [at for at, window in zip(seconds, matched, strict=True) if window is None]
        misses.append(len(windows) - (len(matched) - len(alarms)))
        false_accepts.append(len(matching.events(alarms)))
    return Curve(
        word=word, thresholds=THRESHOLDS, said=len(windows), misses=tuple(misses), false_accepts=tuple(false_accepts)
    )


def detected(hops: NDArray[np.int64], cooldown: int) -> list[int]:
    """At which of these hops (N,), rising, something is detected, as by kws.inference.detections."""
    breaks = np.append(np.flatnonzero(np.diff(hops) > 1) + 1, len(hops))
    after_run = breaks[np.searchsorted(breaks, np.arange(len(hops)), side="right")]
    following = np.maximum(np.searchsorted(hops, hops + cooldown), after_run).tolist()
    found, place = [], 0
    while place < len(following):
        found.append(place)
        place = following[place]
    return found
