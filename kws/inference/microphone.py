"""Microphone: what a device hears, as pieces at 16 kHz while it is heard.

Decisions:
- The device is asked for one channel at 16 kHz. If it cannot, its own rate is taken and resampled continuously.
- The sound system hands over blocks of 20 ms in a thread of its own; they wait in a queue. A machine that falls behind
  by more than two seconds loses sound, which is counted: detections without it would be wrong in silence.
- sounddevice, the optional extra `listen`, brings PortAudio on macOS and Windows; Linux has it as libportaudio2.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from kws.errors import DataError, needs
from kws.inference.card import HOP_MS
from kws.speech.decode import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WAITING = 2000 // HOP_MS  # blocks that may wait in the queue: two seconds
_SILENT_SECONDS = 5.0  # without a block for so long, a device is gone


class Microphone:
    """A device that is open; iterate over pieces()."""

    def __init__(self, name: str, rate_hz: int) -> None:
        self.name, self.rate_hz = name, rate_hz
        self.lost = 0  # blocks that came while too many waited
        self.blocks: queue.Queue[NDArray[np.float32]] = queue.Queue(_WAITING)

    def take(self, block: NDArray[np.float32], _frames: int, _time: Any, status: Any) -> None:
        """Called by the sound system with each block (n, 1)."""
        self.lost += bool(getattr(status, "input_overflow", False))
        try:
            self.blocks.put_nowait(block[:, 0].copy())
        except queue.Full:
            self.lost += 1

    def pieces(self, seconds: float | None = None) -> Iterator[NDArray[np.float32]]:
        """What is heard (n,) at 16 kHz, for so many seconds or until the caller stops.

        Raises DataError where the device hands over nothing any more.
        """
        import soxr

        resampled = soxr.ResampleStream(self.rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        left = None if seconds is None else round(seconds * self.rate_hz)
        last = time.monotonic()
        while left is None or left > 0:
            try:
                block = self.blocks.get(timeout=0.5)  # so that a signal is heeded meanwhile
            except queue.Empty:
                if time.monotonic() - last > _SILENT_SECONDS:
                    raise DataError(f"{self.name} hands over no sound any more; is it still there?") from None
                continue
            last = time.monotonic()
            if left is not None:
                block, left = block[:left], left - len(block)
            yield block if self.rate_hz == SAMPLE_RATE_HZ else resampled.resample_chunk(block)


@contextmanager
def opened(device: str | None) -> Iterator[Microphone]:
    """A device by its number or a part of its name, by default the system's own microphone.

    Raises DataError where sounddevice, PortAudio or the device is missing.
    """
    sounddevice = _sounddevice()
    wanted = int(device) if device is not None and device.isdecimal() else device
    try:
        about = sounddevice.query_devices(wanted, "input")
    except (sounddevice.PortAudioError, ValueError) as error:
        known = ", ".join(
            f"{each['index']} {each['name']}" for each in sounddevice.query_devices() if each["max_input_channels"]
        )
        what = "there is no microphone" if device is None else f"there is no one microphone {device!r} ({error})"
        raise DataError(f"{what}; there are: {known or 'none'}") from None
    rate_hz = SAMPLE_RATE_HZ
    try:
        sounddevice.check_input_settings(about["index"], channels=1, samplerate=rate_hz)
    except sounddevice.PortAudioError:
        rate_hz = round(about["default_samplerate"])
    microphone = Microphone(about["name"], rate_hz)
    try:
        with sounddevice.InputStream(
            device=about["index"],
            channels=1,
            samplerate=rate_hz,
            blocksize=rate_hz * HOP_MS // 1000,
            dtype="float32",
            callback=microphone.take,
        ):
            yield microphone
    except sounddevice.PortAudioError as error:
        raise DataError(f"{about['name']} cannot be listened to ({error})") from None


def _sounddevice() -> Any:
    try:
        import sounddevice
    except ModuleNotFoundError:
        raise DataError(needs("a microphone", "sounddevice")) from None
    except OSError:
        raise DataError(
            "a microphone needs PortAudio, which is not installed; `apt-get install libportaudio2` brings it"
        ) from None
    return sounddevice


def level_db(samples: NDArray[np.float32]) -> float:
    """How loud samples are, in dB of full scale: 0 for a full square wave, -120 and below as -120."""
    power = float(np.square(samples, dtype=np.float64).mean()) if len(samples) else 0.0
    return max(10 * float(np.log10(power + 1e-30)), -120.0)
