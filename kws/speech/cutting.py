"""Finds the words in a long recording that has pauses between them, and cuts a second of each, with the word in it.

Decisions:
- What is above the background is a word: a stretch that is 11 dB above it somewhere and 5 dB everywhere, by the levels
  of kws.speech.levels, smoothed over 30 ms. Stretches with less than a pause between them are one.
- The background is the level that 15 % of the frames in 10 seconds are below, of those before and those after the
  louder, so that it follows a fan that is turned on. It is not taken for lower than -75 dB, nor than 30 dB below words,
  so that steps in a quiet room are none.
- Of a word, its second has the middle in its own middle, unless another word or the recording's end would then be cut
  into: then it is moved as far as needed. Where no place will do, the word is left out.
- Left out, too, are words that are longer than the second, that the recording begins or ends in, or that are clipped;
  what is too short for a word; and what is 20 dB quieter than words mostly are: a breath, a chair, another room.
- A clip is what training would read from that place on (kws.speech.decode), as 16 bits.
- Levels take 6 MB an hour; the recording itself is never in memory.

Measured on an hour of 1,832 words of Speech Commands with pauses of 0.5 to 2 s in its noise recordings at 10 to 30 dB:
of 99.3 % of the words 95 % of the energy is in their clip, and 16 clips are none of these words. All of those are
sounds of the noise itself, a cat that is imitated and dishes; in the other four recordings there are none, and 99.9 %
of the words are whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kws.errors import DataError
from kws.speech import long
from kws.speech.decode import read_recording
from kws.speech.levels import HOP_MS, LOWEST_DB, SECOND, background, extent, levels
from kws.speech.progress import Track, untracked

UNSORTED = "unsorted"  # the folder of words that nobody named
TOO_SHORT, TOO_LONG, TOO_CLOSE = "too short", "too long for a second", "too close to another"
AT_THE_EDGE, CLIPPED, TOO_QUIET = "at the recording's edge", "clipped", "too quiet"
LEAST_S, PAUSE_S = 0.1, 0.3
_ON_DB, _STAY_DB, _MOST_DB = 11.0, 5.0, 30.0
_QUIETER_DB, _WITHIN_DB = 20.0, 30.0  # below the loudness of words
_LOUDEST = 5  # frames of a word
_BACKGROUND, _LOWEST_DB = 15, -75.0  # percent of frames, and decibels
_AROUND = 1000  # frames before and after
_CLIPPED_SHARE = 1e-3


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A stretch of a recording that is above the background, and the second that is cut around it."""

    begin_ms: int
    end_ms: int
    second_ms: int = 0  # where the second begins
    why: str = ""  # it is left out; "" where it is not
    word: str = ""

    @property
    def is_spoken(self) -> bool:
        """Whether it is a word, be it left out: one line of those that were read."""
        return self.why not in (TOO_SHORT, TOO_QUIET)


@dataclass(frozen=True)
class Found:
    """What is in a recording: pieces in order, and for a picture the levels and their background (T,) in decibels."""

    path: Path
    seconds: float
    pieces: tuple[Piece, ...]
    level: np.ndarray
    background: np.ndarray

    @property
    def words(self) -> tuple[Piece, ...]:
        """The pieces that are cut."""
        return tuple(piece for piece in self.pieces if not piece.why)

    @property
    def spoken(self) -> int:
        """How many words were said, those that are left out among them."""
        return sum(piece.is_spoken for piece in self.pieces)

    def left_out(self) -> dict[str, int]:
        """How many pieces are left out, by reason."""
        reasons = [piece.why for piece in self.pieces if piece.why]
        return {why: reasons.count(why) for why in sorted({*reasons}, key=reasons.count, reverse=True)}

    def named(self, words: Sequence[str]) -> Found:
        """The same with the words that were said, in order: as many as `spoken`, or one for all; itself for none."""
        if not words:
            return self
        names = iter([*words] * (self.spoken if len(words) == 1 else 1))
        return replace(self, pieces=tuple(replace(p, word=next(names)) if p.is_spoken else p for p in self.pieces))


def find(path: Path, *, least_s: float = LEAST_S, pause_s: float = PAUSE_S, track: Track = untracked) -> Found:
    """The words in a recording of any length. Raises ClipError for one that cannot be read.

    `least_s` is how long a word is at least, and `pause_s` a pause between two.
    """
    recording = long.from_file(path)
    total = int(recording.seconds or 0) // long.PIECE_SECONDS + 1
    what = f"Listening to {path.name}, {long.PIECE_SECONDS} s a piece"
    level = levels(track(recording.pieces, total=total, what=what, unit="pieces"))
    floor = _background(level)
    pause, least = round(pause_s * 1000 / HOP_MS), round(least_s * 1000 / HOP_MS)
    usual = _usual(level, _spans(level, floor, floor, pause), least)
    lowest = np.maximum(floor, usual - _WITHIN_DB)
    pieces = _pieces(level, lowest, _spans(level, floor, lowest, pause), least, usual)
    pieces = [replace(each, why=CLIPPED) if not each.why and _is_clipped(path, each) else each for each in pieces]
    return Found(path, len(level) * HOP_MS / 1000, tuple(pieces), level, floor)


def _background(level: np.ndarray) -> np.ndarray:
    """The background's level (T,) at each frame."""
    middles = np.arange(SECOND // 2, max(len(level), SECOND // 2 + 1), SECOND)
    found = []
    for at in middles.tolist():
        before = level[max(at - _AROUND, 0) : max(at, _AROUND // 2)]
        after = level[max(min(at, len(level) - _AROUND // 2), 0) : at + _AROUND]
        found.append(max(background(before, _BACKGROUND), background(after, _BACKGROUND)))
    return np.interp(np.arange(len(level)), middles, np.maximum(found, _LOWEST_DB)).astype(np.float32)


def _spans(level: np.ndarray, floor: np.ndarray, lowest: np.ndarray, pause: int) -> list[tuple[int, int]]:
    """Where sounds are, from and to which frame: above the background `floor` somewhere, and `lowest` everywhere."""
    if not len(level):
        return []
    smooth = np.convolve(np.pad(level, 1, "edge"), np.ones(3, np.float32) / 3, "valid")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], smooth > lowest + _STAY_DB, [False]]).astype(np.int8)))
    found: list[tuple[int, int]] = []
    for begin, end in edges.reshape(-1, 2).tolist():
        if (smooth[begin:end] - floor[begin:end]).max() < _ON_DB:
            continue
        if found and begin - found[-1][1] < pause:
            found[-1] = found[-1][0], end
        else:
            found.append((begin, end))
    return found


def _loud(level: np.ndarray, begin: int, end: int) -> float:
    """How loud a span is: the mean of its five loudest frames, in decibels."""
    return float(np.sort(level[begin:end])[-_LOUDEST:].mean())


def _usual(level: np.ndarray, spans: Sequence[tuple[int, int]], least: int) -> float:
    """How loud words usually are: three quarters of the spans that are long enough are no louder."""
    found = [_loud(level, begin, end) for begin, end in spans if end - begin >= least]
    return float(np.percentile(found, 75)) if found else LOWEST_DB


def _pieces(
    level: np.ndarray, floor: np.ndarray, spans: Sequence[tuple[int, int]], least: int, usual: float
) -> list[Piece]:
    """A piece for each span."""
    whys = [
        TOO_SHORT if end - begin < least else TOO_QUIET if _loud(level, begin, end) < usual - _QUIETER_DB else ""
        for begin, end in spans
    ]
    words = [span for span, why in zip(spans, whys, strict=True) if not why]
    found, number = [], 0
    for (begin, end), why in zip(spans, whys, strict=True):
        second = 0
        if not why:
            before = words[number - 1][1] if number else 0
            after = words[number + 1][0] if number + 1 < len(words) else len(level)
            counted = (level[begin:end] - floor[begin:end] - _STAY_DB).clip(0, _MOST_DB)
            first, last = (begin + each for each in extent(counted))
            second, why = _second(first, last, before, after, len(level))
            if begin == 0 or end == len(level):
                why = AT_THE_EDGE
            number += 1
        found.append(Piece(begin_ms=HOP_MS * begin, end_ms=HOP_MS * end, second_ms=HOP_MS * second, why=why))
    return found


def _second(first: int, last: int, before: int, after: int, frames: int) -> tuple[int, str]:
    """Where a word's second begins, and why there is none.

    The word lies from frame `first` to `last`, and other words until `before` and from `after` on.
    """
    if last - first > SECOND:
        return 0, TOO_LONG
    lowest, highest = max(last - SECOND, before), min(first, after - SECOND)
    middle = (first + last - SECOND) // 2
    if frames < SECOND:
        return 0, ""
    if lowest > highest:
        return 0, TOO_CLOSE
    return min(max(middle, lowest), highest), ""


def _is_clipped(path: Path, piece: Piece) -> bool:
    recording = read_recording(path, piece.second_ms)
    used = np.abs(recording.samples[: recording.rate_hz])
    return bool((used >= 32767 / 32768).mean() > _CLIPPED_SHARE)


def _stem(recording: Path) -> str:
    """What its clips' names begin with; hidden files are no clips."""
    return recording.stem.lstrip(".") or "recording"


def earlier(folder: Path, recording: Path) -> list[Path]:
    """The clips in the words' folders below `folder` that were cut from a recording of this name."""
    name = re.compile(rf"{re.escape(_stem(recording))}_\d+\.wav")
    return sorted(path for path in folder.glob("*/*.wav") if name.fullmatch(path.name))


def names(found: Found) -> list[str]:
    """The name of each word's clip: its folder, and the recording's name with the number of the word."""
    digits = max(len(str(len(found.words))), 3)
    return [
        f"{piece.word or UNSORTED}/{_stem(found.path)}_{number:0{digits}}.wav"
        for number, piece in enumerate(found.words, start=1)
    ]


def write(found: Found, folder: Path) -> None:
    """Write each word's second below a folder, as names() has them.

    Raises DataError for a folder that cannot be made, and ClipError for a file that cannot be read or written.
    """
    for name, piece in zip(names(found), found.words, strict=True):
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"`out` (={folder}) cannot hold {name} ({error.strerror}); name another folder") from None
        long.write(path, [read_recording(found.path, piece.second_ms).waveform])
