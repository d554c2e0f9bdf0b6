"""Reads a folder in the Speech Commands layout: one folder per word, with the recordings in it.

Everything that is not read is reported with the reason (see kws.speech.walk). Which class a clip belongs to is the
task's to say (kws/speech/tasks, which are made of kws.speech.classes).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kws.errors import DataError
from kws.recipe.partition import Partition
from kws.speech.dealing import split_by_shares
from kws.speech.digests import Stamp
from kws.speech.names import Finder, without_ending
from kws.speech.speakers import speakers_file, speakers_of
from kws.speech.splits import LISTS, Splits, read_lists, split_clips
from kws.speech.walk import NO_AUDIO, Walk

OTHER_LIST = f"not read as lists of clips (only {' and '.join(LISTS.values())} are)"
UNREADABLE = "unreadable"
_TEXT = (".txt", ".csv", ".tsv")
_LOOKED_AT = 2_000  # characters of a text that are searched for names of clips


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

    @property
    def name(self) -> str:
        """The clip's name in lists, fingerprints and messages: word/file without its ending, and where it is cut."""
        return without_ending(f"{self.word}/{self.file_name}") + self._cut

    def labelled(self, label: int) -> Clip:
        """The same clip with its class."""
        return self._replace(label=label)

    def shown(self, source: Path) -> str:
        """Its path in manifests: below the data's folder, or with the name of the other folder that it lies in."""
        path = f"{self.of}/{self.word}/{self.file_name}" if self.of else os.path.relpath(self.path, source)
        return path + self._cut

    @property
    def _cut(self) -> str:
        return "" if self.at_ms is None else f"@{self.at_ms / 1000}"


@dataclass(frozen=True, kw_only=True)
class Folder:
    """What a folder holds: clips, ordered by word and name, and unused files and folders by reason."""

    clips: list[Clip]
    unused: dict[str, list[str]]  # paths below the folder
    lists: tuple[str, ...]  # the splits that have a list
    splits: Splits
    place: Path

    @property
    def has_speakers(self) -> bool:
        """Whether the speaker of every clip is known."""
        return bool(self.clips) and self.clips[0].speaker is not None

    def unused_counts(self) -> dict[str, int]:
        """The number of unused files and folders by reason, the largest first."""
        return dict(Counter({reason: len(paths) for reason, paths in self.unused.items()}).most_common())


def read_folder(folder: Path, speakers: str | None = None, *, partition: Partition | None = None) -> Folder:
    """Every recording in the folder with its word, split and speaker, and everything else that is there.

    `speakers` is a pattern or a file that gives the speakers (see kws.speech.speakers). With a `partition`, splits are
    made by its shares, and lists of clips are not read.
    Raises DataError if the folder is missing, not a folder, unreadable, or without any recordings.
    """
    lists = read_lists(folder) if folder.is_dir() and partition is None else {}
    walk = Walk(os.fspath(folder))
    try:
        files, names = walk.files()
    except OSError as error:
        what = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise DataError(
            f"the data folder {error.filename or folder} {what}; `kws data list` shows what can be used"
        ) from None
    if not files:
        raise DataError(
            f"{folder} has no recordings (.wav, .flac, .ogg, .mp3 ...) in folders named after their words; "
            "`kws data list` shows what can be used"
        )
    _find_lists(folder, walk.unused, names, speakers)
    told = speakers_of(names, speakers, folder)
    each_told: Sequence[str | None] = told or [None] * len(files)
    splits = split_by_shares(names, told, partition) if partition else split_clips(names, told, lists, folder)
    each = zip(files, splits.of, each_told, strict=True)
    return Folder(
        clips=[Clip(one.path, one.word, one.file_name, split, one.stamp, speaker) for one, split, speaker in each],
        unused=walk.unused,
        lists=tuple(lists),
        splits=splits,
        place=folder,
    )


def _find_lists(folder: Path, unused: dict[str, list[str]], names: Sequence[str], speakers: str | None) -> None:
    """Move unread lists of clips, among the texts beside the words' folders, to a reason of their own in `unused`.

    The speakers' file is removed from `unused`, since it is used.
    """
    told = speakers_file(speakers, folder) if speakers else None
    texts = [path for path in unused.get(NO_AUDIO, ()) if os.sep not in path and path.lower().endswith(_TEXT)]
    finder = Finder(names if texts else ())
    for path in texts:
        unused[NO_AUDIO].remove(path)
        if told and os.path.realpath(folder / path) == os.path.realpath(told):
            continue
        beginning = ""
        if (folder / path).is_file():
            with suppress(OSError), (folder / path).open(encoding="utf-8", errors="replace") as file:
                beginning = file.read(_LOOKED_AT)
        is_list = any(finder.find(line) for line in beginning.splitlines())
        unused.setdefault(OTHER_LIST if is_list else NO_AUDIO, []).append(path)
    if unused.get(NO_AUDIO) == []:
        del unused[NO_AUDIO]
