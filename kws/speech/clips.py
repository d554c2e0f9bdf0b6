"""A clip of a folder of recordings, and what such a folder holds: what kws.speech.folder reads."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kws.events import DRAWN_BY_NAMES, NOISE
from kws.recipe import FIRST
from kws.recipe.partition import Partition
from kws.speech.digests import Stamp
from kws.speech.layouts.folder_a_word import TITLE as FOLDER_A_WORD
from kws.speech.names import without_ending
from kws.speech.splits import Splits


class Clip(NamedTuple):
    """One recording of a folder, or one second of a longer one, not yet decoded."""

    path: str
    word: str  # the folder's name
    file_name: str  # with the folders between, as in "session2/a.wav"
    split: str
    stamp: Stamp
    speaker: str | None = None  # None if unknown
    label: int = -1  # index into the classes; -1 before the task has assigned it
    at_ms: int | None = None  # where the second begins that is cut from a longer recording; None for the first
    of: str = ""  # the name of the folder that it lies in, where that is not the data's own
    end_ms: int | None = None  # where it ends in the recording, if before the second's end; silence follows
    content: str = ""  # the digest of its file, and where it is cut, where clips go by that; "" where by their names
    align: str = FIRST  # which second of a longer one is used (kws.speech.decode)

    @property
    def name(self) -> str:
        """The clip's name in lists, fingerprints and messages: word/file without its ending, and where it is cut.

        Where clips go by their content it is the path below the data's folder, with the ending.
        """
        return (self.file_name if self.content else without_ending(f"{self.word}/{self.file_name}")) + self._cut

    @property
    def place(self) -> tuple[Path, int | None, int | None, str]:
        """Its file, where it begins and ends there, and which second is used: what read_recording() takes."""
        return Path(self.path), self.at_ms, self.end_ms, self.align

    @property
    def order(self) -> tuple[str, str, int]:
        """What clips of a label are ordered by."""
        return self.content or self.word, self.file_name, self.at_ms or 0

    @property
    def drawn_by(self) -> bytes:
        """What it is drawn by among others (the smallest is first): the digest of its name, or its content."""
        if self.content:
            return bytes.fromhex(self.content)
        return hashlib.sha256(self.name.encode("utf-8", "surrogateescape")).digest()

    def identified(self, digest: bytes) -> bytes:
        """What stands for it in a fingerprint, given the digest of its sound: its label, its name, and that digest."""
        name = "" if self.content else self.name
        return f"{self.label} {name}\0".encode("utf-8", "surrogateescape") + digest

    def labelled(self, label: int) -> Clip:
        """The same clip with its class."""
        return self._replace(label=label)

    def shown(self, source: Path) -> str:
        """Its path in manifests: below the data's folder, or with the name of the other folder that it lies in."""
        if self.of or self.word == NOISE:
            path = "/".join(part for part in (self.of, self.word, self.file_name) if part)
        else:
            below = self.path.removeprefix(f"{source}{os.sep}")  # relpath() asks the system where it is, for each clip
            is_below = below != self.path and not below.startswith(os.sep)
            path = os.path.normpath(below) if is_below else os.path.relpath(self.path, source)
        return path + self._cut

    @property
    def _cut(self) -> str:
        if self.end_ms is not None:
            return f"@{(self.at_ms or 0) / 1000}-{self.end_ms / 1000}"
        return "" if self.at_ms is None else f"@{self.at_ms / 1000}"


@dataclass(frozen=True, kw_only=True)
class Folder:
    """What a folder holds: clips, ordered by word and name, and unused files and folders by reason."""

    clips: list[Clip]
    unused: dict[str, list[str]]  # paths below the folder
    lists: tuple[str, ...]  # the splits that have a list
    splits: Splits
    place: Path
    layout: str = FOLDER_A_WORD  # its title
    found: str = ""  # what it is, in one line
    said: tuple[str, ...] = ()  # what else is to be known of how it was read
    split_by: str = ""  # what says which split a clip is in
    draw: str = DRAWN_BY_NAMES  # what clips go by
    by_folder: bool = True  # whether words are folders
    read: tuple[str, ...] = ()  # files that were read, and are no clips
    partition: Partition | None = None  # what divided its clips into splits, where the data's own did not
    align: str = FIRST  # which second of longer clips is used

    @property
    def has_speakers(self) -> bool:
        """Whether the speaker of every clip is known."""
        return bool(self.clips) and self.clips[0].speaker is not None

    def unused_counts(self) -> dict[str, int]:
        """The number of unused files and folders by reason, the largest first."""
        return dict(Counter({reason: len(paths) for reason, paths in self.unused.items()}).most_common())
