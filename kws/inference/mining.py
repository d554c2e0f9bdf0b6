"""Finds the worst false accepts of a stream: seconds without a keyword in which one is most probable. NumPy alone.

Decisions:
- A second is as bad as the greatest averaged probability of a keyword at its end. The worst come first, and no two that
  are chosen are less than a second apart: they would be the same sound.
- Seconds that hold part of a labelled keyword are left out, even where another keyword was detected: a clip of "yes"
  must not be trained on as "other".
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from kws.inference import matching
from kws.inference.detections import Detection, seconds_at
from kws.inference.sweeping import Candidates
from kws.speech.decode import SAMPLE_RATE_HZ, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from kws.inference.stream_labels import Window

    Floats = NDArray[np.float32]

APART_S = 1.0  # between the ends of two seconds that do not overlap


def worst(
    candidates: Candidates, thresholds: Mapping[str, float], windows: Sequence[Window] = (), most: int | None = None
) -> list[Detection]:
    """The most probable false accepts from each keyword's threshold on, most probable first; at most `most`."""
    averages, seconds = candidates.averages, np.array([seconds_at(hop) for hop in candidates.hops.tolist()])
    if not len(averages):
        return []
    least = np.array([thresholds[word] for word in candidates.keywords], np.float32)
    over = np.where(averages >= least, averages, -1)
    best, column = over.max(axis=1), over.argmax(axis=1)
    places = np.flatnonzero((best >= 0) & ~matching.explained(seconds, windows))
    found: list[Detection] = []
    taken: list[float] = []
    for place in places[np.argsort(-best[places], kind="stable")].tolist():
        if most is not None and len(found) >= most:
            break
        at = float(seconds[place])
        after = bisect_left(taken, at)
        near = taken[max(after - 1, 0) : after + 1]
        if all(abs(at - other) >= APART_S - matching.ROUNDING_S for other in near):
            insort(taken, at)
            found.append(Detection(at, candidates.keywords[int(column[place])], float(best[place])))
    return found


def seconds_before(pieces: Iterable[Floats], ends: Sequence[float]) -> Iterator[tuple[float, Floats]]:
    """The second of sound (S,) before each of these times, in order of time; before the beginning there are zeros.

    `pieces` are those of the whole stream at 16 kHz.
    """
    waiting = sorted(ends)
    kept, first = np.zeros(SAMPLES, np.float32), -SAMPLES  # of the stream, at which `kept` begins
    done = 0
    for piece in pieces:
        kept = np.concatenate([kept, piece])
        while done < len(waiting):
            last = round(waiting[done] * SAMPLE_RATE_HZ)
            if last > first + len(kept):
                break
            yield waiting[done], kept[last - SAMPLES - first : last - first]
            done += 1
        dropped = max(len(kept) - SAMPLES - 1, 0)
        kept, first = kept[dropped:], first + dropped
