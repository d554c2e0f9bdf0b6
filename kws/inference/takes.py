"""Takes: whether a recording of one word will do, and why not; when a voice begins. Samples in, answers out.

Decisions:
- The room's noise decides what is a voice: 12 dB above the room's median level, and above nearly all that was heard of
  it. A word lasts until it is 6 dB quieter than that for a while.
- A clip is the second with the word in its middle, as it was recorded: neither louder nor without its noise.
- What is wrong is said once, by the first of these that holds: nothing said, clipped, too long for a second, cut off at
  an edge, too quiet.
- A voice can only begin after it was quiet, so that the end of a word is not taken for the next one.

Levels are of frames of 20 ms, 10 ms apart, in dB of full scale: 0 for a full square wave.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kws.speech.decode import SAMPLE_RATE_HZ, SAMPLES

NOTHING = "nothing was said"
CLIPPED = "clipped: too loud, or too near the microphone"
TOO_LONG = "too long for a second, or said twice"
CUT_OFF = "cut off at the {}"
TOO_QUIET = "too quiet beside the room; come nearer, or speak up"
LOST = "a piece of it is lost, for this machine fell behind"
LOUDER = "it is louder than the room was; wait until it is quiet, or stop and begin again"
MUTED = "the microphone gives no sound at all; is it muted?"
NOT_QUIET = "something was louder than the room"
LONGEST_S = 0.95

_HOP, _FRAME = SAMPLE_RATE_HZ // 100, SAMPLE_RATE_HZ // 50
_LOWEST_DB = -120.0
_VOICE_DB, _OVER_PEAKS_DB, _STAYS_DB = 12.0, 6.0, 6.0
_LEAST_DB = -60.0  # a voice is never quieter
_GOOD_DB = 20.0  # of a word's loudest frames over the room's median
_BURST_DB = 20.0  # of the room's loudest frames over its median
_SHORTEST_FRAMES, _PAUSE_FRAMES = 6, 30
_LOUDEST_FRAMES = 5
_FULL, _FULL_SAMPLES = 0.999, 4
_BEFORE_S, _AFTER_S, _QUIET_S = 0.6, 1.6, 0.25  # what is kept around the moment that a voice begins
_BEGINS_FRAMES = 3


@dataclass(frozen=True)
class Room:
    """The noise of a room: its median level, and the level that few of its frames exceed."""

    median_db: float
    peaks_db: float

    @classmethod
    def of(cls, samples: NDArray[np.float32]) -> Room:
        """The room that samples (n,) at 16 kHz were recorded in while nobody spoke."""
        found = levels_db(samples)
        return cls(float(np.median(found)), float(np.percentile(found, 98)))

    @property
    def why(self) -> str:
        """Why another recording of it is needed; "" where it will do."""
        if self.median_db <= _LOWEST_DB:
            return MUTED
        return NOT_QUIET if self.peaks_db > self.median_db + _BURST_DB and self.peaks_db > _LEAST_DB else ""

    @property
    def voice_db(self) -> float:
        """The level that a voice is above."""
        return max(self.median_db + _VOICE_DB, self.peaks_db + _OVER_PEAKS_DB, _LEAST_DB)


@dataclass(frozen=True)
class Take:
    """A recording of one word: why it will not do ("" where it will), the clip (S,), and how loud the word is."""

    why: str
    clip: NDArray[np.float32]
    level_db: float = _LOWEST_DB
    over_room_db: float = 0.0


def levels_db(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """The level of each frame (T,) of samples (n,) at 16 kHz; one frame where there are fewer samples."""
    squares = np.square(samples, dtype=np.float64)
    squares = np.concatenate([squares, np.zeros(max(_FRAME - len(squares), 0))])
    sums = np.concatenate([[0.0], np.cumsum(squares)])
    begins = np.arange(0, len(squares) - _FRAME + 1, _HOP)
    power = np.maximum(sums[begins + _FRAME] - sums[begins], 0) / _FRAME
    return np.maximum(10 * np.log10(power + 1e-30), _LOWEST_DB)


def judged(samples: NDArray[np.float32], room: Room) -> Take:
    """What a recording (n,) at 16 kHz, full scale 1, of a second or longer, is worth in this room."""
    found = levels_db(samples)
    stretches = _voices(found, room)
    if not stretches:
        return Take(NOTHING, samples[:SAMPLES])
    first, last = stretches[0][0], stretches[-1][1]  # frames, the last one included
    loudest = float(np.sort(found[first : last + 1])[-_LOUDEST_FRAMES:].mean())
    begin, end = first * _HOP, min(last * _HOP + _FRAME, len(samples))
    why = ""
    if np.count_nonzero(np.abs(samples[begin:end]) >= _FULL) >= _FULL_SAMPLES:
        why = CLIPPED
    elif end - begin > LONGEST_S * SAMPLES:
        why = TOO_LONG
    elif first < 2:
        why = CUT_OFF.format("beginning")
    elif last >= len(found) - 2:
        why = CUT_OFF.format("end")
    elif loudest < room.median_db + _GOOD_DB:
        why = TOO_QUIET
    at = min(max((begin + end - SAMPLES) // 2, 0), max(len(samples) - SAMPLES, 0))
    return Take(why, samples[at : at + SAMPLES], loudest, loudest - room.median_db)


def _voices(levels: NDArray[np.float64], room: Room) -> list[tuple[int, int]]:
    """The first and the last frame of every stretch of voice, those with short pauses between joined."""
    above = np.flatnonzero(levels > room.voice_db - _STAYS_DB)
    if not len(above):
        return []
    breaks = np.flatnonzero(np.diff(above) > _PAUSE_FRAMES)
    begins, ends = above[np.r_[0, breaks + 1]], above[np.r_[breaks, len(above) - 1]]
    return [
        (int(begin), int(end))
        for begin, end in zip(begins, ends, strict=True)
        if np.count_nonzero(levels[begin : end + 1] > room.voice_db) >= _SHORTEST_FRAMES
    ]


class Ear:
    """Hears when a voice begins, and has the recording around that: push pieces (n,) until there is one."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._heard = np.zeros(0, np.float32)
        self._quiet = 0  # samples that it has been quiet for; a voice may begin after some
        self._may_begin = False
        self._loud = 0  # frames
        self._left: int | None = None  # samples that are still to come since a voice began
        self.waited_s = 0.0  # for quiet, and then for a voice

    @property
    def hears(self) -> bool:
        """Whether a voice has begun."""
        return self._left is not None

    @property
    def is_waiting_for_quiet(self) -> bool:
        """Whether a voice cannot begin, since it has not been quiet yet."""
        return not self._may_begin

    def push(self, piece: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """The recording (n,), from before the voice began until after it; None while there is none."""
        self._heard = np.concatenate([self._heard, piece])
        if self._left is not None:
            self._left -= len(piece)
            return self._heard if self._left <= 0 else None
        self._heard = self._heard[-int(_BEFORE_S * SAMPLE_RATE_HZ) :]
        self.waited_s += len(piece) / SAMPLE_RATE_HZ
        found = levels_db(piece)
        if found.max() <= self._room.voice_db:
            self._quiet, self._loud = self._quiet + len(piece), 0
            if not self._may_begin and self._quiet >= _QUIET_S * SAMPLE_RATE_HZ:
                self._may_begin, self.waited_s = True, 0.0
        else:
            self._quiet, self._loud = 0, self._loud + len(found)
        if self._may_begin and self._loud >= _BEGINS_FRAMES:
            self._left = int(_AFTER_S * SAMPLE_RATE_HZ)
        return None
