"""Long recordings, read in pieces, so that hours take no more memory than seconds: from a file, or from a pipe.

Decisions:
- Channels are averaged and other rates resampled to 16 kHz, by one resampler from beginning to end: pieces have no
  seams, and together they are what the whole recording would give at once.
- Files are read by libsndfile. A pipe cannot be searched as it needs to, so that a pipe's WAV is read here: PCM of 8,
  16, 24 and 32 bits, and float. What is no WAV is refused unless it is said to be raw samples: anything can be heard
  as samples, and gives noise.
- A pipe may end at any time. What came before its end is heard, without a last sample that is incomplete. A pipe that
  ends within its header holds no samples. Its header's size is believed, but for 0 and sizes of 2 GB and more, which
  programs write that do not know it yet.
- From a pipe, a piece is what is there: who speaks into a microphone is heard at once.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from kws.errors import ClipError
from kws.speech.decode import SAMPLE_RATE_HZ, mixed_pieces, opened, require_sound, unreadable

PIECE_SECONDS = 10
_READ = 1 << 16  # bytes of a pipe at once
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_CODES = {
    (_PCM, 8): "u1",
    (_PCM, 16): "<i2",
    (_PCM, 24): "",
    (_PCM, 32): "<i4",
    (_FLOAT, 32): "<f4",
    (_FLOAT, 64): "<f8",
}
_UNKNOWN_SIZE = 0x7FFFFFFF - _READ  # from here on a size in a header is a placeholder
_MOST_FORMAT = 1 << 12  # bytes of a chunk "fmt "
_RATES_HZ = 1_000, 1_000_000
_FULL = 32_768  # full scale of 16 bits
STDIN = "the recording on stdin"


@dataclass(frozen=True)
class LongRecording:
    """A recording and its pieces (n,) float32 at 16 kHz, to be read once; `seconds` is None where no header says it."""

    name: str
    rate_hz: int  # its own
    seconds: float | None
    pieces: Iterator[np.ndarray]


def from_file(path: Path, begin_s: float = 0.0, seconds: float | None = None) -> LongRecording:
    """A file's recording, or so many seconds of it from `begin_s` on.

    Raises ClipError for a file that is not audio; its pieces do for samples that are not finite, and where there are
    none.
    """
    with opened(path) as file:
        rate = int(file.samplerate)
        left = max(file.frames / rate - begin_s, 0.0)
    length = left if seconds is None else min(seconds, left)
    return LongRecording(str(path), rate, length, _whole(str(path), rate, _read_file(path, begin_s, seconds)))


def from_pipe(stream: BinaryIO, raw_rate_hz: int | None = None) -> LongRecording:
    """The recording that a pipe gives: a WAV file, or 16-bit samples of one channel at `raw_rate_hz` without a header.

    Raises ClipError for another format; its pieces do for samples that are not finite, and where there are none.
    """
    form = _Form("<i2", 1, raw_rate_hz, None) if raw_rate_hz else _read_header(stream)
    seconds = None if form.size is None else form.size / form.frame_bytes / form.rate_hz
    return LongRecording(STDIN, form.rate_hz, seconds, _whole(STDIN, form.rate_hz, _read_samples(stream, form)))


def in_16_bits(samples: np.ndarray) -> np.ndarray:
    """Samples as a WAV file of 16 bits gives them back: what is heard before it is written is what is heard later."""
    return (_as_int16(samples) / np.float32(_FULL)).astype(np.float32, copy=False)


def write(path: Path, pieces: Iterable[np.ndarray]) -> int:
    """Write pieces (n,) at 16 kHz as a WAV file of 16 bits, whole or not at all; returns the samples.

    Raises ClipError if that cannot be.
    """
    import soundfile

    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    samples = 0
    try:
        with soundfile.SoundFile(os.fsencode(temporary), "w", SAMPLE_RATE_HZ, 1, "PCM_16", format="WAV") as file:
            for piece in pieces:
                file.write(_as_int16(piece))
                samples += len(piece)
        temporary.replace(path)
    except (soundfile.SoundFileError, OSError) as error:
        raise ClipError(f"{path} cannot be written ({getattr(error, 'strerror', None) or error})") from None
    finally:
        temporary.unlink(missing_ok=True)
    return samples


def _as_int16(samples: np.ndarray) -> np.ndarray:
    return np.rint(samples * np.float32(_FULL)).clip(-_FULL, _FULL - 1).astype(np.int16)


def _whole(name: str, rate_hz: int, pieces: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Pieces of one channel at 16 kHz, without seams. Raises ClipError."""
    import soxr

    resampler = None if rate_hz == SAMPLE_RATE_HZ else soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, quality="VHQ")
    empty = True
    for piece in pieces:
        require_sound(Path(name), piece)
        empty = empty and not len(piece)
        made = piece if resampler is None else resampler.resample_chunk(np.ascontiguousarray(piece))
        if len(made):
            yield made
    if empty:
        raise ClipError(f"{name} holds no samples")
    if resampler is not None and len(rest := resampler.resample_chunk(np.empty(0, np.float32), last=True)):
        yield rest


def _read_file(path: Path, begin_s: float, seconds: float | None) -> Iterator[np.ndarray]:
    import soundfile

    with opened(path) as file:
        rate = file.samplerate
        left = file.frames if seconds is None else round(seconds * rate)
        try:
            if begin_s:
                file.seek(min(round(begin_s * rate), file.frames))
            while left > 0:
                most = min(PIECE_SECONDS * rate, left)
                pieces = list(mixed_pieces(file, most))
                if not pieces:
                    break
                left -= sum(map(len, pieces))
                yield pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
            raise unreadable(path, error) from None


class _Form(NamedTuple):
    """How a pipe's samples are written, and how many bytes they take, if that is known."""

    code: str  # of NumPy; "" for 24 bits
    channels: int
    rate_hz: int
    size: int | None

    @property
    def frame_bytes(self) -> int:
        return self.channels * (np.dtype(self.code).itemsize if self.code else 3)


def _read_header(stream: BinaryIO) -> _Form:
    """The header of a WAV file, up to its first sample."""
    start = _take(stream, 12)
    if start[:4] not in (b"RIFF", b"RF64") or start[8:] != b"WAVE":
        raise ClipError(
            f"{STDIN} is no WAV file (it begins with {start[:4]!r}); pipe a WAV file, or 16-bit samples of one channel "
            "and say their rate, as in --raw 16000"
        )
    form: _Form | None = None
    while True:
        name, size = struct.unpack("<4sI", _take(stream, 8))
        if name == b"data":
            if form is None:
                raise ClipError(f"{STDIN} has no description of its samples before them; it is no WAV file")
            return form._replace(size=size if 0 < size < _UNKNOWN_SIZE else None)
        padded = size + size % 2  # chunks begin at even places
        if name == b"fmt ":
            form = _form(_take(stream, min(padded, _MOST_FORMAT)))
            padded -= min(padded, _MOST_FORMAT)
        while padded:
            padded -= len(_take(stream, min(padded, _READ)))


def _form(chunk: bytes) -> _Form:
    if len(chunk) < 16:
        raise ClipError(f"{STDIN} has a description of its samples of {len(chunk)} bytes; a WAV file's has 16 or more")
    code, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if code == _EXTENSIBLE and len(chunk) >= 26:
        (code,) = struct.unpack_from("<H", chunk, 24)
    if (code, bits) not in _CODES or not channels or not _RATES_HZ[0] <= rate <= _RATES_HZ[1]:
        raise ClipError(
            f"{STDIN} is a WAV file of format {code} with {bits} bits, {channels} channels and {rate} Hz; pipe PCM of "
            "8, 16, 24 or 32 bits, or float"
        )
    return _Form(_CODES[code, bits], channels, rate, None)


def _take(stream: BinaryIO, count: int) -> bytes:
    """So many bytes of a header."""
    found = b""
    while len(found) < count:
        more = stream.read(count - len(found))
        if not more:
            raise ClipError(f"{STDIN} ends within its header, after {len(found)} of {count} bytes of a part of it")
        found += more
    return found


def _read_samples(stream: BinaryIO, form: _Form) -> Iterator[np.ndarray]:
    """The samples as they come, (n,) float32, channels averaged."""
    read = getattr(stream, "read1", stream.read)
    left, kept = form.size, b""
    while left is None or left > 0:
        data = read(_READ if left is None else min(_READ, left))
        if not data:
            return
        left = None if left is None else left - len(data)
        kept += data
        whole = len(kept) // form.frame_bytes * form.frame_bytes
        if whole:
            yield _decoded(kept[:whole], form)
            kept = kept[whole:]


def _decoded(data: bytes, form: _Form) -> np.ndarray:
    samples: np.ndarray
    if form.code:
        samples = np.frombuffer(data, form.code)
    else:
        padded = np.zeros((len(data) // 3, 4), np.uint8)
        padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        samples = padded.view("<i4")[:, 0]
    if samples.dtype.kind == "u":
        samples = samples.astype(np.float32) / 128 - 1
    elif samples.dtype.kind == "i":
        full = 2.0 ** (8 * samples.itemsize - 1)
        samples = (samples.astype(np.float64) / full).astype(np.float32)
    with np.errstate(over="ignore"):
        samples = samples.astype(np.float32)
    return samples.reshape(-1, form.channels).mean(axis=1)
