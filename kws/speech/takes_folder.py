"""The folder that takes are written to: what it has, what is still to be said, and what the next file is called.

    FOLDER/<word>/<session>/<session>_nohash_<n>.wav     1 s, 16 kHz, mono, 16 bits
    FOLDER/_background_noise_/<session>_<n>.wav          the room, some seconds; what --noise dataset mixes in

Decisions:
- A session has a folder in each word's, and is the speaker of its clips: files are named as in Speech Commands, which
  all of kws reads without being told, so that a session is in one split.
- Nothing is overwritten: the next number is one above the highest that is there, whatever is missing below.
- Words come in rounds, mixed in each, and no word twice in a row while there is another.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kws.errors import DataError
from kws.events import NOISE

_SESSION = re.compile(r"[^\W_][\w.-]{0,60}")
_MARK = "_nohash_"


@dataclass(frozen=True)
class TakesFolder:
    """A folder of takes, and the session that is recorded."""

    folder: Path
    session: str

    @classmethod
    def of(cls, folder: Path, session: str | None) -> TakesFolder:
        """The folder with the session of that name, or with a new one. Raises DataError for what cannot be one."""
        if session is None:
            there = {each.name for each in folder.glob("*/*")} | {
                each.stem.rpartition("_")[0] for each in folder.glob(f"{NOISE}/*")
            }
            number = next(number for number in range(1, len(there) + 2) if f"session{number}" not in there)
            session = f"session{number}"
        if not _SESSION.fullmatch(session) or _MARK in session:
            raise DataError(
                f"`session` (={session!r}) must be a name of letters, digits, '-' and '.', as in anna or kitchen-2"
            )
        return cls(folder, session)

    def takes_of(self, word: str) -> list[int]:
        """The numbers of the session's takes of a word that are there."""
        return _numbers(self._place(word), f"{self.session}{_MARK}")

    def missing(self, words: Sequence[str], takes: int) -> list[str]:
        """The words that are still to be said, in the order of saying: `takes` of each in the end."""
        left = {word: max(takes - len(self.takes_of(word)), 0) for word in words}
        draw = random.Random(f"{self.session} {left}")
        order: list[str] = []
        while any(left.values()):
            round_ = [word for word in words if left[word]]
            draw.shuffle(round_)
            if order and len(round_) > 1 and round_[0] == order[-1]:
                round_.append(round_.pop(0))
            order += round_
            for word in round_:
                left[word] -= 1
        return order

    def next_take(self, word: str) -> Path:
        """The file for the session's next take of a word; its folder is there. Raises DataError if it cannot be."""
        number = max(self.takes_of(word), default=-1) + 1
        return _made(self._place(word)) / f"{self.session}{_MARK}{number}.wav"

    def next_room(self) -> Path:
        """The file for the next recording of the room; its folder is there. Raises DataError if it cannot be made."""
        number = max(_numbers(self.folder / NOISE, f"{self.session}_"), default=-1) + 1
        return _made(self.folder / NOISE) / f"{self.session}_{number}.wav"

    def _place(self, word: str) -> Path:
        return self.folder / word / self.session


def _numbers(folder: Path, before: str) -> list[int]:
    """The numbers behind these letters in the names of the files of a folder, whatever their endings."""
    if not folder.is_dir():
        return []
    found = (re.fullmatch(re.escape(before) + r"(\d+)\.\w+", each.name) for each in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"`out` (={folder}) cannot be written ({error.strerror}); name another folder") from None
    return folder
