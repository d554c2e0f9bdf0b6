"""Walks through a folder of recordings: lists its files by word, and everything unused with the reason.

Decisions:
- Recordings may be in folders below their word's folder, such as speakers or sessions. They still belong to that word.
- "_unknown_" and "_silence_", other tools' names for what is not a keyword, are used like words. Other folders that
  begin with "_" (background noise) or "." are left out.
- Links are followed, but never back to a folder that was entered for the same word, or to a parent folder.
- If files differ only in their endings, one of them is the clip, so that names are unique.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from kws.events import NO_WORDS
from kws.speech.decode import OTHER_AUDIO, SUFFIXES
from kws.speech.digests import Stamp
from kws.speech.splits import LISTS

EMPTY, HIDDEN, NO_AUDIO, OUTSIDE = "empty folders", "hidden", "not audio", "outside the words' folders"
SAME_NAME, NOWHERE, AGAIN = "named like another clip", "behind links that lead nowhere", "folders that are linked again"
MISSING, NO_LABEL, UNREAD = "named files that are missing", "lines without a label", "lines that cannot be read"
COMMAND, TWICE = "commands, which are never run", "lines that repeat another"
NO_FILES = (EMPTY, AGAIN, MISSING, NO_LABEL, UNREAD, COMMAND, TWICE)  # about folders, or lines of a manifest
RANKS = {suffix: rank for rank, suffix in enumerate(SUFFIXES)}  # by which one of several files is the clip


class File(NamedTuple):
    """One recording, in the order of clips."""

    word: str  # the folder's name
    file_name: str  # with the folders between, as in "session2/a.wav"
    path: str
    stamp: Stamp


@dataclass
class Walk:
    """A walk through a folder; `unused` holds the skipped paths below the folder, by reason."""

    folder: str
    unused: dict[str, list[str]] = field(default_factory=dict)
    lists: list[str] = field(default_factory=list)  # the files at the top that are lists of splits

    def files(self) -> tuple[list[File], list[str]]:
        """The recordings of every word, ordered by word and name, and their names (word/.../file, without ending).

        Raises OSError if a folder cannot be read.
        """
        lists, found = set(LISTS.values()), []
        with os.scandir(self.folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                if _is_folder(entry):
                    if entry.name.startswith("_") and entry.name not in NO_WORDS:
                        self._pass_by(entry)
                    elif entry.name.startswith("."):
                        self._leave(HIDDEN, entry.path)
                    else:
                        found += self._below(entry)
                elif entry.name.lower() in lists:
                    self.lists.append(entry.name)
                else:
                    self._leave(_reason(entry, OUTSIDE), entry.path)
        return self._with_unique_names(sorted(found))

    @cached_property
    def _above(self) -> set[tuple[int, int]]:
        """The folder itself and all its parent folders."""
        real = Path(os.path.realpath(self.folder))
        return {_identity(place.stat()) for place in (real, *real.parents)}

    def _below(self, word: os.DirEntry[str]) -> list[File]:
        identity = _identity(word.stat())
        if identity in self._above:
            self._leave(AGAIN, word.path)
            return []
        found, entered, waiting = [], {*self._above, identity}, [(word.path, "")]
        while waiting:
            folder, below = waiting.pop()
            empty = True
            with os.scandir(folder) as entries:
                for entry in entries:
                    empty, name = False, entry.name
                    if _is_folder(entry):
                        if name[0] == "_":
                            self._pass_by(entry)
                        elif name[0] == ".":
                            self._leave(HIDDEN, entry.path)
                        elif (identity := _identity(entry.stat())) in entered:
                            self._leave(AGAIN, entry.path)
                        else:
                            entered.add(identity)
                            waiting.append((entry.path, f"{below}{name}/"))
                    elif name[name.rfind(".") :].lower() in RANKS and name[0] != ".":
                        found.append(File(word.name, below + name, entry.path, Stamp.of(_about(entry))))
                    else:
                        self._leave(_reason(entry, NO_AUDIO), entry.path)
            if empty:
                self._leave(EMPTY, folder)
        return found

    def _with_unique_names(self, files: Sequence[File]) -> tuple[list[File], list[str]]:
        names = [f"{word}/{file_name[: file_name.rfind('.')]}" for word, file_name, _, _ in files]
        if len(set(names)) == len(names):
            return list(files), names
        kept: dict[str, File] = {}
        for one, name in zip(files, names, strict=True):
            first = kept.setdefault(name, one)
            if first is not one:
                kept[name], other = sorted((first, one), key=lambda file: RANKS[_ending(file.file_name)])
                self._leave(SAME_NAME, other.path)
        clips = [(one, name) for one, name in zip(files, names, strict=True) if kept[name] is one]
        return [one for one, _ in clips], [name for _, name in clips]

    def _pass_by(self, folder: os.DirEntry[str]) -> None:
        """Record all files of a folder that is not used."""
        reason = f"in {self._relative(folder.path)}"
        for place, folders, files in os.walk(folder.path):
            for file in (*files, *(each for each in folders if Path(place, each).is_symlink())):
                self._leave(reason, f"{place}{os.sep}{file}")
            if not files and not folders:
                self._leave(EMPTY, place)

    def _leave(self, reason: str, path: str) -> None:
        self.unused.setdefault(reason, []).append(self._relative(path))

    def _relative(self, path: str) -> str:
        return path.removeprefix(self.folder).lstrip(os.sep)


def _reason(entry: os.DirEntry[str], else_: str) -> str:
    """Why a file is not used; `else_` if it is a recording."""
    ending = _ending(entry.name)
    if entry.name.startswith("."):
        return HIDDEN
    if entry.is_symlink() and not Path(entry.path).exists():
        return NOWHERE
    if ending in OTHER_AUDIO:
        return f"of a kind that is not read ({ending})"
    return else_ if ending in RANKS else NO_AUDIO


def _ending(name: str) -> str:
    return name[name.rfind(".") :].lower()


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _identity(about: os.stat_result) -> tuple[int, int]:
    return about.st_dev, about.st_ino


def _about(file: os.DirEntry[str]) -> os.stat_result:
    """The stat result of a file, or of the link itself if it is broken; reading the clip reports that later."""
    try:
        return file.stat()
    except OSError:
        return file.stat(follow_symlinks=False)
