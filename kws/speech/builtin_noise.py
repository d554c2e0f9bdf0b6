"""Built-in noise: recordings of noise made up for `--noise builtin`, to the same bytes everywhere.

Who has recordings of words seldom has recordings of rooms, and a network that is to be used in a room gains by noise in
training. There are six, each half a minute: white and brown noise; wind, which is brown noise that comes in gusts; a
hum of the mains with its harmonics; a clatter of things that ring when they are struck; and a murmur of voices that say
vowels and hisses but no word.

What it gives, on the validation clips of Speech Commands (preset `small`, 15 epochs, one seed, --noise-snr 5,25,
--noise-share 0.5), alone and mixed with the data set's own recordings, which only the first network had heard:

    validation accuracy, %      alone   at 20 dB   at 10 dB   at 5 dB   at 0 dB
    --noise dataset             97.5    95.7       95.0       93.4      87.4
    --noise builtin             96.9    95.6       93.5       90.7      84.5
    --noise none                97.0    94.3       82.0       72.4      62.7

Decisions:
- Whole numbers alone are used, drawn by Python's own generator from a seed that is the recording's name, so that no
  library's rounding counts. Files are written by Python's own module.
- None is pink noise: a recording of that is one of the two that test streams are made with, which no network is to have
  heard (see kws.speech.noise).
- What was recorded is richer: `--noise dataset` or a folder is the better choice where there is one.
- A change of any byte is a new NAME and another digest, so that runs of before are still told apart.
"""

from __future__ import annotations

import hashlib
import random
import wave
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kws.speech.cache import published

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sound = NDArray[np.int64]

NAME = "builtin-noise-v1"
SAMPLE_RATE_HZ = 16_000
SECONDS = 30
_SAMPLES = SECONDS * SAMPLE_RATE_HZ
_LOUDNESS = 2000  # mean distance from 0, of 32,768
_PEAK = 32_000
_MAINS_HZ = 50
_VOICES = 6
_FORMANTS_HZ = ((700, 1200, 2500), (300, 2300, 3000), (500, 900, 2400), (320, 800, 2300), (500, 1700, 2500))
_SCALE_BITS = 14  # of a fixed-point number


def folder(cache: Path) -> Path:
    """The folder of the recordings below `cache`, made on first use, which takes a few seconds."""
    place = cache / NAME
    if not place.is_dir():
        with published(place) as made:
            for name, make in _RECORDINGS.items():
                _write(made / f"{name}.wav", _levelled(make(_Draw(name))))
    return place


class _Draw:
    """Whole numbers from a seed; by bits alone, which are the same in every version of Python."""

    def __init__(self, name: str) -> None:
        self._random = random.Random(int.from_bytes(hashlib.sha256(f"{NAME}/{name}".encode()).digest()[:8], "big"))

    def white(self, count: int) -> Sound:
        """White noise (count,) of 16 bits."""
        import numpy as np

        return np.frombuffer(self._random.getrandbits(16 * count).to_bytes(2 * count, "little"), "<i2").astype(np.int64)

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        return low + (self._random.getrandbits(32) * (high - low + 1) >> 32)


def _white(draw: _Draw) -> Sound:
    return draw.white(_SAMPLES)


def _brown(draw: _Draw) -> Sound:
    """White noise added up, less what moves slower than 25 ms."""
    import numpy as np

    sums = np.cumsum(draw.white(_SAMPLES + _SLOW))
    means = np.cumsum(np.concatenate([np.zeros(1, np.int64), sums]))
    return sums[_SLOW:] - (means[_SLOW + 1 :] - means[1:-_SLOW]) // _SLOW


def _wind(draw: _Draw) -> Sound:
    return _levelled(_shaped(_brown(draw), draw, 0.3, 1.5)) + _room(draw) // 8


def _room(draw: _Draw) -> Sound:
    """What there is in any recording: brown noise, and a little white."""
    return _levelled(_brown(draw)) + _levelled(draw.white(_SAMPLES)) // 8


def _hum(draw: _Draw) -> Sound:
    """Triangles of the mains' frequency and odd multiples, over a little noise; louder and softer by turns."""
    import numpy as np

    time = np.arange(_SAMPLES, dtype=np.int64)
    found = np.zeros(_SAMPLES, np.int64)
    for multiple in (1, 2, 3, 5, 7, 9, 11, 14):
        phase = (time * _MAINS_HZ * multiple * 65_536 // SAMPLE_RATE_HZ + draw.between(0, 65_535)) % 65_536
        found += _shaped(np.abs(phase - 32_768) - 16_384, draw, 1.0, 4.0) // multiple
    return _levelled(found) + _room(draw) // 6


def _clatter(draw: _Draw) -> Sound:
    """Strokes at any time, each of three tones that fade, one of some loudness."""
    import numpy as np

    found = np.zeros(_SAMPLES + SAMPLE_RATE_HZ, np.int64)
    at = 0
    while at < _SAMPLES:
        answer = _answer([draw.between(400, 6000) for _ in range(3)], half_ms=draw.between(8, 40))
        stroke = draw.white(SAMPLE_RATE_HZ // draw.between(100, 1000))
        struck = _levelled(np.convolve(stroke, answer)) // draw.between(1, 6)
        found[at : at + len(struck)] += struck
        at += draw.between(SAMPLE_RATE_HZ // 50, SAMPLE_RATE_HZ // 2)
    return _levelled(found[:_SAMPLES]) + _room(draw) // 8


def _murmur(draw: _Draw) -> Sound:
    """Voices at once, each of syllables: a buzz through the formants of a vowel, at times a hiss, at times nothing."""
    import numpy as np

    found = np.zeros(_SAMPLES, np.int64)
    for _ in range(_VOICES):
        pitch, throat, at = draw.between(90, 240), draw.between(85, 118), 0
        while at < _SAMPLES:
            length = draw.between(SAMPLE_RATE_HZ // 12, SAMPLE_RATE_HZ // 4)
            kind, vowel = draw.between(0, 9), _FORMANTS_HZ[draw.between(0, len(_FORMANTS_HZ) - 1)]
            if kind < 7:
                period = SAMPLE_RATE_HZ * 100 // (pitch * draw.between(85, 115))
                said = _buzz(length, period, _answer([each * throat // 100 for each in vowel], half_ms=2))
            else:
                said = np.diff(draw.white(length + 2), n=2)
            if kind < 8:
                ramp = np.minimum(np.minimum(np.arange(length), np.arange(length)[::-1]), length // 4)
                said = _levelled(said) * ramp // (length // 4 * (1 if kind < 7 else 4))
                found[at : at + length] += said[: _SAMPLES - at]
            at += length
    return _levelled(found) + _room(draw) // 12


def _buzz(length: int, period: int, answer: Sound) -> Sound:
    """What resonances make of a click each period."""
    import numpy as np

    made = np.zeros(length + len(answer), np.int64)
    for at in range(0, length, period):
        made[at : at + len(answer)] += answer
    return made[:length]


def _answer(tones_hz: Sequence[int], half_ms: int) -> Sound:
    """What resonances side by side answer a click: triangles' swings, half as strong after each `half_ms`."""
    import numpy as np

    half = SAMPLE_RATE_HZ * half_ms // 1000
    time = np.arange(10 * half, dtype=np.int64)
    fall = ((2 << _SCALE_BITS) * half - (1 << _SCALE_BITS) * (time % half)) // (2 * half)
    phases = ((time * hz * 65_536 // SAMPLE_RATE_HZ) % 65_536 for hz in tones_hz)
    swings = np.sum([np.abs(phase - 32_768) - 16_384 for phase in phases], axis=0)
    return (swings * fall >> _SCALE_BITS) >> (time // half)


def _shaped(sound: Sound, draw: _Draw, least_s: float, most_s: float) -> Sound:
    """A sound whose loudness moves, in straight lines of a length between these, between a tenth and the whole."""
    import numpy as np

    corners, levels = [0], [draw.between(100, 1000)]
    while corners[-1] < len(sound):
        corners.append(corners[-1] + draw.between(int(least_s * SAMPLE_RATE_HZ), int(most_s * SAMPLE_RATE_HZ)))
        levels.append(draw.between(100, 1000))
    parts = zip(corners, corners[1:], levels, levels[1:], strict=False)
    lines = [first + (last - first) * np.arange(end - begin) // (end - begin) for begin, end, first, last in parts]
    return sound * np.concatenate(lines)[: len(sound)] // 1000


def _levelled(sound: Sound) -> Sound:
    """A sound at one loudness, without its mean."""
    import numpy as np

    sound = sound - sound.sum() // len(sound)
    return sound * _LOUDNESS // max(int(np.abs(sound).sum()) // len(sound), 1)


def _write(path: Path, sound: Sound) -> None:
    """Write a sound, softer where its peaks need that: noise is scaled anew when it is mixed."""
    import numpy as np

    most = max(int(np.abs(sound).max()), _PEAK)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((sound * _PEAK // most).astype("<i2").tobytes())


_SLOW = SAMPLE_RATE_HZ // 40
_RECORDINGS: dict[str, Callable[[_Draw], Sound]] = {
    "white": _white, "brown": _brown, "wind": _wind, "hum": _hum, "clatter": _clatter, "murmur": _murmur,
}  # fmt: skip
