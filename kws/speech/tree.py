"""The files of a folder, each once, whatever its layout: what a layout (kws/speech/layouts) is recognised by.

Decisions:
- The top of the folder is listed first, and what lies below only for a layout that needs it.
- Links to folders are followed, but no folder is entered twice, so that a link cannot lead in a circle.
- Where a file is given instead of a folder, it is a manifest, and the data is what it names: nothing else is listed.
- A folder whose name begins with "." is counted as one and not entered.
"""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from kws.events import NO_WORDS, NOISE
from kws.speech.decode import OTHER_AUDIO
from kws.speech.digests import Stamp
from kws.speech.walk import AGAIN, EMPTY, HIDDEN, NO_AUDIO, NOWHERE, RANKS, SAME_NAME


class Entry(NamedTuple):
    """A file by its whole path, with its version; `is_broken` is true for a link that leads nowhere."""

    path: str
    stamp: Stamp
    is_broken: bool


class Tree:
    """A folder, or a manifest in it, and the files below, by their paths below the folder with "/" between."""

    def __init__(self, place: Path, pattern: str | None = None, aside: Path | None = None) -> None:
        """List the top of `place`; `pattern` is --pattern's, and the file `aside` is no manifest.

        Raises OSError if it cannot be listed.
        """
        self.place, self.pattern = place, pattern
        self.is_manifest = place.is_file()
        self.folder = place.parent if self.is_manifest else place
        self.folders: list[str] = []  # names at the top that are not hidden, in order
        self.top: list[str] = [place.name] if self.is_manifest else []  # files at the top
        self.left: dict[str, list[str]] = {}  # folders that are not entered, or empty, by reason
        self.doubled: set[str] = set()  # recordings that differ from a clip in their endings alone
        if not self.is_manifest:
            with os.scandir(place) as entries:
                for entry in entries:
                    if not entry.name.startswith("."):
                        (self.folders if is_folder(entry) else self.top).append(entry.name)
        self.folders.sort()
        not_listed = os.path.realpath(aside) if aside else None
        self.top = sorted(name for name in self.top if os.path.realpath(self.folder / name) != not_listed)

    @cached_property
    def files(self) -> dict[str, Entry]:
        """Every file below the folder; none where a manifest was given. Raises OSError if a folder cannot be read."""
        found: dict[str, Entry] = {}
        if self.is_manifest:
            return found
        top = os.fspath(self.folder)
        about = Path(os.path.realpath(top))
        entered = {_identity(each.stat()) for each in (about, *about.parents)}
        waiting = [(top, "")]
        while waiting:
            folder, below = waiting.pop()
            deeper, empty = [], True
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    empty, name = False, below + entry.name
                    if not is_folder(entry):
                        found[name] = Entry(entry.path, *_stamp(entry))
                    elif entry.name.startswith("."):
                        self._leave(HIDDEN, name)
                    elif (identity := _identity(entry.stat())) in entered:
                        self._leave(AGAIN, name)
                    else:
                        entered.add(identity)
                        deeper.append((entry.path, f"{name}/"))
            waiting += reversed(deeper)
            if empty and below:
                self._leave(EMPTY, below[:-1])
        return dict(sorted(found.items()))

    def recordings(self, below: str = "") -> Iterator[str]:
        """The recordings below a folder of this one that are not hidden or in a folder that is left out."""
        for name in self.files:
            if name.startswith(below) and is_recording(name) and not left_out_folder(name):
                yield name

    def one_of_each(self, names: Iterable[str]) -> list[str]:
        """These recordings, of those that differ only in their endings one: the clip."""
        kept: dict[str, str] = {}
        names = [*names]
        for name in names:
            stem = name[: name.rfind(".")]
            kept[stem] = min(kept.get(stem, name), name, key=lambda each: RANKS[ending_of(each)])
        self.doubled |= {*names} - {*kept.values()}
        return [*kept.values()]

    def resolved(self, path: str, base: str = "") -> str | None:
        """A file that a manifest names: its path below the folder, or its whole path where it is outside.

        The path is relative to the manifest's folder `base`, else to the data's folder, else to the working folder.
        None where there is no such file.
        """
        for text in dict.fromkeys((path, path.replace("\\", "/"))):
            if not Path(text).is_absolute():
                for start in dict.fromkeys((base, "")):
                    name = posixpath.normpath(f"{start}{text}")
                    if name in self.files:
                        return name
                    if composed := self._by_spelling.get(unicodedata.normalize("NFC", name)):
                        return composed
                    if _is_file(f"{self._whole}/{name}"):
                        return self._below(f"{self._whole}/{name}")
            whole = os.path.normpath(Path(text).absolute())
            if (name := self._below(whole)) in self.files or _is_file(whole):
                return name
        return None

    def about(self, name: str) -> Entry:
        """The file of a path that resolved() gave. Raises OSError if it is gone."""
        if name in self.files:
            return self.files[name]
        path = self.folder / name
        return Entry(os.fspath(path), Stamp.of(path.stat()), False)

    @cached_property
    def _by_spelling(self) -> dict[str, str]:
        """The files by their names composed (NFC): a disk may have composed them in another way than a manifest."""
        return {unicodedata.normalize("NFC", name): name for name in self.files if not name.isascii()}

    @cached_property
    def _whole(self) -> str:
        return os.fspath(self.folder.absolute())

    @cached_property
    def _real(self) -> str:
        return os.path.realpath(self.folder)

    def _below(self, whole: str) -> str:
        """A whole path as one below the folder, or as it is where it is outside."""
        whole = os.path.normpath(whole)
        for top in (self._whole, self._real):
            if whole.startswith(f"{top.rstrip(os.sep)}{os.sep}"):
                return whole[len(top.rstrip(os.sep)) + 1 :]
        return whole

    def reason(self, name: str, otherwise: str) -> str:
        """Why a file that no layout took is not used; `otherwise` if it is a recording."""
        file_name = name.rpartition("/")[2]
        if folder := left_out_folder(name):
            return f"in {folder}"
        if file_name.startswith("."):
            return HIDDEN
        if name in self.doubled:
            return SAME_NAME
        if self.files[name].is_broken:
            return NOWHERE
        return kind_of(file_name, otherwise)

    def _leave(self, reason: str, name: str) -> None:
        self.left.setdefault(reason, []).append(name)


def kind_of(name: str, otherwise: str) -> str:
    """Why a file of this name is not used; `otherwise` if it is named as a recording."""
    ending = ending_of(name)
    if ending in OTHER_AUDIO:
        return f"of a kind that is not read ({ending})"
    return otherwise if ending in RANKS else NO_AUDIO


def is_recording(name: str) -> bool:
    """Whether a file is a recording by its name, and not hidden."""
    return ending_of(name) in RANKS and not name.rpartition("/")[2].startswith(".")


def ending_of(name: str) -> str:
    """A file name's ending in lower case, with its dot."""
    return name[name.rfind(".") :].lower()


def left_out_folder(name: str) -> str:
    """The folder that a file is in and that is no word's, as "_background_noise_", at whatever depth; else ""."""
    *folders, _ = name.split("/")
    for depth, folder in enumerate(folders):
        if folder.startswith("_") and folder not in NO_WORDS:
            return folder if folder == NOISE else "/".join(folders[: depth + 1])
    return ""


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a folder or leads to one; False for a link to itself."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_file(path: str) -> bool:
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # a name that is too long, or that no file can have
        return False


def _stamp(entry: os.DirEntry[str]) -> tuple[Stamp, bool]:
    try:
        return Stamp.of(entry.stat()), False
    except OSError:
        return Stamp.of(entry.stat(follow_symlinks=False)), True


def _identity(about: os.stat_result) -> tuple[int, int]:
    return about.st_dev, about.st_ino
