"""Decodes a recording into one second of waveform, which is what the network hears in training, evaluation and checks.

Decisions: channels are averaged. Other rates are resampled to 16 kHz by soxr at its highest quality. A shorter clip is
padded with zeros. Of a longer one the first second is used, of which little more is read; or, aligned by energy, the
second with the word, for which the first 30 seconds are searched (kws.speech.levels). Of a long recording, the second
from a given place on can be read, too; it counts as a clip of one second.

libsndfile reads every format. The exception is a WAV file that consists only of a 44-byte header and 16-bit samples at
16 kHz, like the clips of Speech Commands: it is read here, which gives the same bits in a fifth of the time.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kws.errors import ClipError
from kws.recipe import ENERGY, FIRST
from kws.speech import mpeg

if TYPE_CHECKING:
    from soundfile import SoundFile

# Formats that libsndfile recognises by content. If two files differ only in their endings, the one listed first here is
# the clip.
SUFFIXES = (
    *(".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".mp1", ".aiff", ".aif", ".aifc", ".au"),
    *(".snd", ".caf", ".w64", ".rf64", ".nist", ".sph", ".voc", ".svx", ".8svx", ".iff", ".avr", ".htk", ".ircam"),
    *(".sf", ".paf", ".pvf", ".sds", ".wve"),
)
_MPEG = (".mp3", ".mp2", ".mp1")
OTHER_AUDIO = (  # formats that kws does not read
    *(".m4a", ".mp4", ".aac", ".wma", ".webm", ".weba", ".mka", ".amr", ".3gp", ".ac3", ".ape", ".wv", ".tta", ".mpc"),
    *(".ra", ".dts", ".spx"),
)
SAMPLE_RATE_HZ = 16_000
SAMPLES = 16_000  # S: one second
SEARCHED_S = 30  # of a recording that is aligned by energy
_LOUDEST = 1e6  # larger float samples mean a damaged file; the power of 1e17 would overflow
_OPEN = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)  # the last for a pipe named x.wav
_MARGIN = 1.02  # reads a little more than a second, so that the resampler's edge falls outside it
_WANTED = int(SAMPLE_RATE_HZ * _MARGIN) + 1
_FEW_CHANNELS = 16  # with more, samples are averaged piece by piece: a second of a file may have 800 MB
_PIECE = 1 << 18  # samples
_HEADER = struct.Struct("<4sI8sIHHIIHH4sI")
_HEAD = 1 << 16  # bytes read at once; a second of two channels at 16 kHz takes 64 kB


class Recording(NamedTuple):
    """The second of a recording that the network hears, and the samples that it was made from."""

    waveform: np.ndarray  # float32 (S,), S = 16,000
    samples: np.ndarray  # float32 (n, channels): the second and its margin, as in the file
    rate_hz: int
    seconds: float  # duration of the whole recording
    begin_ms: int = 0  # where the second begins in it


def read_waveform(path: Path) -> np.ndarray:
    """The first second of a recording: float32 (S,), S = 16,000, in [-1, 1].

    Raises ClipError if the file is not audio, holds no samples, or holds numbers that are not finite.
    """
    return read_recording(path).waveform


def read_recording(path: Path, at_ms: int | None = None, end_ms: int | None = None, align: str = FIRST) -> Recording:
    """The first second of a recording, as from read_waveform(), and its source samples; or the second from `at_ms` on.

    With `end_ms`, what follows that is silence, and the duration is that of the piece. Where `align` is ENERGY, it is
    the second with the word of a recording, or of a piece that has an end, which is longer. Raises ClipError.
    """
    first = _read_second(path, at_ms, end_ms)
    if align != ENERGY or first.seconds <= 1:
        return first
    within = first.seconds if end_ms is not None else SEARCHED_S
    later_ms = _before_word_ms(path, first.begin_ms, min(within, SEARCHED_S))
    if not later_ms:
        return first
    found = _read_second(path, first.begin_ms + later_ms, None)
    return found._replace(seconds=first.seconds)


def _before_word_ms(path: Path, begin_ms: int, seconds: float) -> int:
    """How long after `begin_ms` the second with the word begins, of so many seconds from there on, in 10 ms."""
    from kws.speech import levels

    found = levels.levels(read_pieces(path, 1, begin_ms, seconds))
    return levels.HOP_MS * levels.second_with_word(found)


def _read_second(path: Path, at_ms: int | None, end_ms: int | None) -> Recording:
    if at_ms is None:
        rate, samples, seconds = _read_pcm16(path) or _read_with_soundfile(path)
    else:
        rate, samples, _ = _read_with_soundfile(path, at_ms)
        seconds = SAMPLES / SAMPLE_RATE_HZ
    if end_ms is not None:
        wanted_ms = end_ms - (at_ms or 0)
        samples = samples[: max(wanted_ms * rate // 1000, 1)]
        seconds = wanted_ms / 1000
    if not len(samples):
        raise ClipError(f"{path} holds no samples" + ("" if at_ms is None else f" at {at_ms / 1000} s"))
    mono = _mixed(samples)
    if rate != SAMPLE_RATE_HZ:
        import soxr

        mono = soxr.resample(mono, rate, SAMPLE_RATE_HZ, quality="VHQ")
    waveform = np.zeros(SAMPLES, dtype=np.float32)
    waveform[: len(mono)] = mono[:SAMPLES]
    return Recording(waveform, samples, rate, seconds, at_ms or 0)


def duration_ms(path: Path) -> int:
    """How long a recording is, in whole milliseconds, by its header. Raises ClipError."""
    with opened(path) as file:
        return 1000 * int(file.frames) // int(file.samplerate)


def energies(path: Path, seconds: int) -> list[float]:
    """The mean square of each of a recording's first `seconds` seconds, with its channels averaged.

    At most one second is held in memory. The missing part of the last second counts as silence. Raises ClipError.
    """
    import soundfile

    found: list[float] = []
    with opened(path) as file:
        rate = file.samplerate
        try:
            for _ in range(seconds):
                squares = [float(np.square(piece, dtype=np.float64).sum()) for piece in mixed_pieces(file, rate)]
                if not squares:
                    break
                found.append(sum(squares) / rate)
        except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
            raise unreadable(path, error) from None
    return found


def read_pieces(path: str | Path, seconds: int, begin_ms: int = 0, most_s: float | None = None) -> Iterator[np.ndarray]:
    """A recording in pieces of so many seconds, the last of which may be shorter: float32 (n,) at 16 kHz.

    It begins at `begin_ms`, and is the whole rest or at most `most_s`. Raises ClipError as read_waveform() does.
    """
    import soundfile
    import soxr

    empty = True
    with opened(Path(path)) as file:
        rate = file.samplerate
        left = file.frames if most_s is None else round(most_s * rate)
        while True:
            try:
                if begin_ms and empty:
                    file.seek(min(begin_ms * rate // 1000, max(file.frames, 0)))
                wanted = seconds * rate if most_s is None else min(seconds * rate, left)
                piece = np.concatenate([np.empty(0, np.float32), *mixed_pieces(file, wanted)])
            except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
                raise unreadable(Path(path), error) from None
            if not len(piece):
                break
            require_sound(Path(path), piece)
            empty, left = False, left - len(piece)
            yield piece if rate == SAMPLE_RATE_HZ else soxr.resample(piece, rate, SAMPLE_RATE_HZ, quality="VHQ")
    if empty:
        raise ClipError(f"{path} holds no samples")


def require_sound(path: Path, samples: np.ndarray) -> None:
    """Raise ClipError for samples that no microphone gives; not a number is among them."""
    if len(samples) and not (samples.max() <= _LOUDEST and samples.min() >= -_LOUDEST):  # false for NaN, too
        raise ClipError(f"{path} holds samples that are not finite, or far beyond full scale")


def _mixed(samples: np.ndarray) -> np.ndarray:
    """Samples (n, channels) as one channel (n,)."""
    return samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1)


def opened(path: Path) -> SoundFile:
    """A recording, opened by libsndfile. Raises ClipError."""
    import soundfile

    if not path.is_file():
        raise ClipError(f"{path} is not a file")
    name = os.fsencode(path)  # as bytes, since soundfile refuses names that are not UTF-8
    try:
        if path.suffix.lower() in _MPEG and not mpeg.has_frames(path):
            raise ClipError(f"{path} cannot be read as audio (it has no frames of MPEG audio)")
        return soundfile.SoundFile(name)
    except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: Exception) -> ClipError:
    """The sentence for what libsndfile says of a recording."""
    reason = str(error).removeprefix(f"Error opening {os.fsencode(path)!r}: ").rstrip(".")
    return ClipError(f"{path} cannot be read as audio ({reason})")


def mixed_pieces(file: SoundFile, frames: int) -> Iterator[np.ndarray]:
    """The next frames of a file, averaged over its channels, in pieces."""
    most = max(_PIECE // file.channels, 1)
    while frames > 0 and len(piece := file.read(min(frames, most), "float32", always_2d=True)):
        frames -= len(piece)
        yield _mixed(piece)


def _read_with_soundfile(path: Path, at_ms: int = 0) -> tuple[int, np.ndarray, float]:
    """Rate, samples (n, channels) from `at_ms` on, and duration in seconds of a recording that libsndfile can read.

    With more than _FEW_CHANNELS channels, the samples are their mean (n, 1).
    """
    import soundfile

    with opened(path) as file:
        rate = file.samplerate
        wanted = int(rate * _MARGIN) + 1
        try:
            if at_ms:
                file.seek(min(at_ms * rate // 1000, max(file.frames, 0)))
            if file.channels <= _FEW_CHANNELS:
                samples = file.read(wanted, "float32", always_2d=True)
            else:
                pieces = [np.empty(0, np.float32), *mixed_pieces(file, wanted)]
                samples = np.concatenate(pieces)[:, None]
            seconds = max(file.frames, len(samples)) / rate
        except (soundfile.SoundFileError, OSError, ValueError, RuntimeError) as error:
            raise unreadable(path, error) from None
    require_sound(path, samples)
    return rate, samples, seconds


def _read_pcm16(path: Path) -> tuple[int, np.ndarray, float] | None:
    """As _read_with_soundfile(), for a WAV file with just a plain header and samples; None for any other file.

    During each system call another thread takes Python's lock, so this makes only three system calls.
    """
    if path.suffix.lower() != ".wav":
        return None
    try:
        file = os.open(path, _OPEN)
        try:
            data = os.read(file, _HEAD)
        finally:
            os.close(file)
    except OSError:
        return None
    if not _HEADER.size < len(data) < _HEAD:  # the file may be longer than what was read
        return None
    for channels in (1, 2):
        if data.startswith(_plain_header(channels, len(data))) and (len(data) - _HEADER.size) % (2 * channels) == 0:
            there = np.frombuffer(data, "<i2", offset=_HEADER.size).reshape(-1, channels)
            samples = there[:_WANTED].astype(np.float32)
            samples *= 1 / 32768
            return SAMPLE_RATE_HZ, samples, len(there) / SAMPLE_RATE_HZ
    return None


def _plain_header(channels: int, size: int) -> bytes:
    """The header of a WAV file of `size` bytes, with 16-bit samples at 16 kHz and nothing else."""
    layout = (16, 1, channels, SAMPLE_RATE_HZ, 2 * channels * SAMPLE_RATE_HZ, 2 * channels, 16)  # 1: PCM
    return _HEADER.pack(b"RIFF", size - 8, b"WAVEfmt ", *layout, b"data", size - _HEADER.size)
