"""Matches detections with the words of a labelled stream: hits, misses and events of false accepts. NumPy alone.

Decisions:
- A detection is a hit from the start of a word's window until 1 s after its stop: the detector looks at the last
  second, so that it may be sure of a word only when that is over.
- A word has at most one hit, and a detection hits at most one word. Every other detection is a false accept, a second
  one of a word that was said once among them, since an application would act on it.
- Where several windows of a word are open, a detection hits the one that closes first: no other order has more hits.
- False accepts less than 1 s apart are one event: an event takes in all that follow its first within 1 s. Counted from
  the first, and not from the last, so that a detector that never stops does not have one event. For all keywords
  together, false accepts of two words at once are one event; for each keyword, its own alone are looked at.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kws.inference.detections import Detection
    from kws.inference.stream_labels import Window

    Flags = NDArray[np.bool_]

LATE_S = 1.0  # after its end, for which a word may still be detected
APART_S = 1.0  # between two events of false accepts
ROUNDING_S = 1e-6  # times are multiples of 20 ms, and sums of them


class Matcher:
    """The words of a labelled stream, sorted once and matched with detections many times."""

    def __init__(self, windows: Sequence[Window]) -> None:
        self.count = len(windows)
        self._of: dict[str, list[tuple[float, float, int]]] = {}
        for place, window in sorted(enumerate(windows), key=lambda each: (each[1].start, each[1].stop)):
            begin, end = window.start - ROUNDING_S, window.stop + LATE_S + ROUNDING_S
            self._of.setdefault(window.word, []).append((begin, end, place))

    def match(self, seconds: Sequence[float], words: Sequence[str]) -> list[int | None]:
        """For each of D detections, in order of time, the window that it hits, by its place in the list, or None."""
        heard: list[int | None] = []
        following = dict.fromkeys(self._of, 0)
        waiting: dict[str, list[tuple[float, int]]] = {word: [] for word in self._of}
        for at, word in zip(seconds, words, strict=True):
            mine = self._of.get(word)
            if mine is None:
                heard.append(None)
                continue
            nearest, first = waiting[word], following[word]
            while first < len(mine) and mine[first][0] <= at:
                heapq.heappush(nearest, mine[first][1:])
                first += 1
            following[word] = first
            while nearest and nearest[0][0] < at:
                heapq.heappop(nearest)
            heard.append(heapq.heappop(nearest)[1] if nearest else None)
        return heard


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How often a word (None: any of them) was said and missed, and when events of false accepts of it began."""

    word: str | None
    said: int
    misses: int
    false_accepts: tuple[float, ...]  # seconds


def tallies(
    detections: Sequence[Detection], windows: Sequence[Window], keywords: Sequence[str]
) -> tuple[list[Tally], list[int | None]]:
    """What detections, in order of time, make of each keyword and of all together, and the window that each hears."""
    hears = Matcher(windows).match([each.seconds for each in detections], [each.word for each in detections])
    heard = {place for place in hears if place is not None}
    found = []
    for word in (*keywords, None):
        said = [place for place, window in enumerate(windows) if word in (None, window.word)]
        alarms = [
            each.seconds
            for each, place in zip(detections, hears, strict=True)
            if place is None and word in (None, each.word)
        ]
        missed = sum(place not in heard for place in said)
        found.append(Tally(word=word, said=len(said), misses=missed, false_accepts=tuple(events(alarms))))
    return found, hears


def events(seconds: Sequence[float]) -> list[float]:
    """When the events begin that false accepts at these times, in order, make."""
    begun: list[float] = []
    for at in seconds:
        if not begun or at - begun[-1] >= APART_S - ROUNDING_S:
            begun.append(at)
    return begun


def explained(seconds: NDArray[np.float64], windows: Sequence[Window]) -> Flags:
    """Whether the second before each of these times (N,) holds part of a labelled word, whichever it is."""
    found = np.zeros(len(seconds), bool)
    for window in windows:
        found |= (seconds >= window.start - ROUNDING_S) & (seconds <= window.stop + LATE_S + ROUNDING_S)
    return found
