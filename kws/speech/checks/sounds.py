"""What the network hears of each clip, and what is wrong with a clip by itself.

Definitions, all about the second that is heard:

- short: the recording is below one second.
- silent: it never reaches -60 dB of full scale.
- clipped: over 0.1 % of its samples are at full scale.
- far beyond full scale: a sample is at least twice full scale, as in files of floats that were meant to be integers.
- channels cancel: their mean has less than a hundredth of their power, as in stereo from one microphone with one phase
  inverted.
- late: where the first second is used, one of the ten that follow has at least twice its level.
- cut off: the first or the last 30 ms of the sound are within 6 dB of the word's level, from there to the loudest piece
  no piece is 15 dB below it, and the word is 15 dB above the floor. The word's level is what a tenth of all pieces of
  30 ms exceed, the floor what nine tenths do. Of a recording below a second, its own end counts.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kws.errors import ClipError
from kws.recipe import FIRST, cores
from kws.speech.checks import sketches
from kws.speech.clips import Clip
from kws.speech.decode import SAMPLE_RATE_HZ, SAMPLES, Recording, energies, read_recording

if TYPE_CHECKING:
    import numpy as np

SHORT_S, SILENT_PEAK, CLIPPED_SHARE, BEYOND_PEAK, CANCELLED, LATE = 1.0, 1e-3, 1e-3, 2.0, 1e-2, 4.0
BEGINNING, END = "beginning", "end"
_BORDER_DB, _CONTRAST_DB = 6.0, 15.0
_PIECE = 480  # samples: 30 ms
_LEAST_POWER = 1e-12  # -120 dB
_LATER_S = 10  # seconds after the first that are searched for a word
_BATCH = 64
_AHEAD = 4  # batches a thread that may wait to be taken


@dataclass(frozen=True, kw_only=True)
class Sound:
    """What the network hears of one clip; `error` is set if the clip cannot be read."""

    seconds: float = 0.0  # of the whole recording
    rate_hz: int = 0
    peak: float = 0.0  # of the second that is heard
    level_db: float = 0.0  # its root mean square, in dB of full scale, without the padding of a short one
    floor_db: float = 0.0  # what nine tenths of its pieces exceed
    loudest: float = 0.0  # of any sample in that second, as it is in the file
    clipped_share: float = 0.0
    cancels: bool = False
    late: bool = False
    cut_off: tuple[str, ...] = ()  # BEGINNING, END
    digest: bytes = b""
    error: str | None = None

    @property
    def is_silent(self) -> bool:
        """Whether nothing can be heard."""
        return self.peak < SILENT_PEAK

    @property
    def peak_db(self) -> float:
        """The peak in dB of full scale."""
        return decibels(self.peak * self.peak)


class Heard(NamedTuple):
    """One clip with its sound; without a waveform and a sketch if it cannot be read."""

    clip: Clip
    sound: Sound
    waveform: np.ndarray  # float32 (S,), or (0,)
    sketch: sketches.Sketch | None


def decibels(power: float) -> float:
    """A mean square in dB of full scale, -120 at least."""
    return 10 * math.log10(max(power, _LEAST_POWER))


def listen(clips: Sequence[Clip]) -> Iterator[Heard]:
    """Read all clips in order, in threads; only a few batches are in memory at once."""
    batches = (clips[i : i + _BATCH] for i in range(0, len(clips), _BATCH))
    with ThreadPoolExecutor(cores()) as pool:
        waiting: deque[Any] = deque()
        for batch in batches:
            waiting.append(pool.submit(_batch, batch))
            if len(waiting) >= _AHEAD * cores():
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _batch(clips: Sequence[Clip]) -> list[Heard]:
    import numpy as np

    found = [_listen(clip) for clip in clips]
    read = [waveform for _, waveform in found if len(waveform)]
    made = iter(sketches.of(np.stack(read)) if read else ())
    return [
        Heard(clip, sound, waveform, next(made) if len(waveform) else None)
        for clip, (sound, waveform) in zip(clips, found, strict=True)
    ]


def _listen(clip: Clip) -> tuple[Sound, np.ndarray]:
    import numpy as np

    try:
        recording = read_recording(*clip.place)
        is_whole = clip.at_ms is None and clip.end_ms is None and clip.align == FIRST
        late = is_whole and recording.seconds > SHORT_S and _is_late(energies(Path(clip.path), 1 + _LATER_S))
    except ClipError as error:
        return Sound(error=_reason(str(error).removeprefix(f"{clip.path} "))), np.empty(0, np.float32)
    used = np.abs(recording.samples[: recording.rate_hz])
    waveform = recording.waveform
    length = min(max(round(len(recording.samples) * SAMPLE_RATE_HZ / recording.rate_hz), 1), SAMPLES)
    pieces = _pieces(waveform[:length])
    tenth, ordered = len(pieces) // 10, np.sort(pieces)
    floor, level = decibels(float(ordered[tenth])), decibels(float(ordered[-1 - tenth]))
    return (
        Sound(
            seconds=recording.seconds,
            rate_hz=recording.rate_hz,
            peak=float(np.abs(waveform).max()),
            level_db=decibels(float(np.square(waveform[:length], dtype=np.float64).mean())),
            floor_db=floor,
            loudest=float(used.max()),
            clipped_share=float((used >= 32767 / 32768).mean()),
            cancels=_cancels(recording),
            late=late,
            cut_off=_cut_off(waveform[:length], pieces, level, floor),
            digest=hashlib.sha256(waveform.data).digest(),
        ),
        waveform,
    )


def _pieces(samples: np.ndarray) -> np.ndarray:
    """The mean square of each 30 ms of samples (n,); of fewer samples, of all of them."""
    import numpy as np

    whole = samples[: len(samples) - len(samples) % _PIECE] if len(samples) >= _PIECE else samples
    return np.square(whole.reshape(-1, min(_PIECE, len(whole))), dtype=np.float64).mean(axis=1)


def _cut_off(samples: np.ndarray, pieces: np.ndarray, level_db: float, floor_db: float) -> tuple[str, ...]:
    """At which ends of the sound (n,) the word runs into the border; `pieces` are its mean squares."""
    import numpy as np

    if level_db - floor_db < _CONTRAST_DB or level_db < decibels(SILENT_PEAK**2):
        return ()
    loudest = int(pieces.argmax())
    borders = ((BEGINNING, samples[:_PIECE], pieces[: loudest + 1]), (END, samples[-_PIECE:], pieces[loudest:]))
    return tuple(
        name
        for name, border, between in borders
        if decibels(float(np.square(border, dtype=np.float64).mean())) > level_db - _BORDER_DB
        and decibels(float(between.min())) > level_db - _CONTRAST_DB
    )


def _reason(told: str) -> str:
    """Why a clip cannot be read, without the verb."""
    inner = re.fullmatch(r"cannot be read as audio \((.*)\)", told, re.DOTALL)
    return inner[1] if inner else re.sub("^(holds|is) ", "", told)


def _is_late(levels: Sequence[float]) -> bool:
    """Whether a later second is LATE times as powerful as the first, and not silent; `levels` are mean squares."""
    return max(levels[1:], default=0.0) > max(LATE * levels[0], SILENT_PEAK**2)


def _cancels(recording: Recording) -> bool:
    import numpy as np

    samples = recording.samples[: recording.rate_hz]
    if samples.shape[1] == 1:
        return False
    power = float(np.square(samples, dtype=np.float64).mean())
    return power > SILENT_PEAK**2 and float(np.square(samples.mean(axis=1)).mean()) < CANCELLED * power
