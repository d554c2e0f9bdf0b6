"""A folder in the Speech Commands layout: a folder a word, in it the recordings.

Decisions:
- `words` become classes in the order given; all other words together become the last class, "other".
- "other" is as large, in each split, as the keywords are on average. Which clips it takes is decided by their names
  alone (the smallest SHA-256 first), so every run and every machine draws the same ones.
- Folders that begin with "_" (background noise) or "." are left out.
- A folder with nothing but the keywords in it makes a task without "other".
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from kws.data_card import SPLITS
from kws.errors import DataError
from kws.speech.decode import SUFFIXES
from kws.speech.digests import Stamp
from kws.speech.splits import read_lists, speaker_in, split_of, without_ending

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording of a folder, not yet decoded."""

    path: str
    word: str
    file_name: str
    split: str
    stamp: Stamp
    speaker: str | None = None  # None where it is not known
    label: int = -1  # index into the classes; -1 before the classes are drawn

    @property
    def name(self) -> str:
        """The clip's name in lists, fingerprints and messages: word/file without its ending."""
        return without_ending(f"{self.word}/{self.file_name}")

    def labelled(self, label: int) -> Clip:
        """The same clip with its class; a third of the time of dataclasses.replace, and there are many clips."""
        return Clip(self.path, self.word, self.file_name, self.split, self.stamp, self.speaker, label)


def list_clips(folder: Path) -> list[Clip]:
    """Every recording in the folder with its word and split, ordered by word and name.

    Raises DataError for a folder that is missing, no folder, unreadable, or without any recordings.
    """
    lists = read_lists(folder) if folder.is_dir() else {}
    clips = []
    try:
        with os.scandir(folder) as words:
            for word in sorted((w for w in words if w.is_dir() and w.name[0] not in "_."), key=lambda w: w.name):
                with os.scandir(word.path) as files:
                    for file in files:
                        if file.name.lower().endswith(SUFFIXES) and file.name[0] != ".":
                            split = split_of(word.name, file.name, lists)
                            stamp, speaker = Stamp.of(_about(file)), speaker_in(file.name)
                            clips.append(Clip(file.path, word.name, file.name, split, stamp, speaker))
    except OSError as error:
        what = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise DataError(
            f"the data folder {error.filename or folder} {what}; `kws data list` shows what can be used"
        ) from None
    if not clips:
        raise DataError(
            f"{folder} has no recordings ({', '.join(SUFFIXES)}) in folders named after their words; "
            "`kws data list` shows what can be used"
        )
    return sorted(clips, key=lambda clip: (clip.word, clip.file_name))


def _about(file: os.DirEntry[str]) -> os.stat_result:
    """Size and time of a file, or of the link itself where that leads nowhere: reading it then says so."""
    try:
        return file.stat()
    except OSError:
        return file.stat(follow_symlinks=False)


def draw_classes(clips: list[Clip], words: tuple[str, ...], folder: Path) -> tuple[tuple[str, ...], list[Clip]]:
    """The classes, and the clips that take part with their labels, ordered by split, label and name.

    Raises DataError where the folder lacks a keyword, or fewer than two classes come out.
    """
    there = sorted({clip.word for clip in clips})
    for word in words:
        if word not in there:
            raise DataError(
                f"{folder} has no recordings of {word!r}; it has {', '.join(there)}; choose among them with --words"
            )
    counts = Counter((clip.split, clip.word in words) for clip in clips)
    classes = (*words, OTHER) if any(not keyword for _, keyword in counts) else words
    if len(classes) < 2:
        raise DataError(
            f"{folder} holds the word {words[0]!r} alone; at least one other word is needed to tell it from"
        )
    taken: list[Clip] = []
    for split in SPLITS:
        mine = [clip for clip in clips if clip.split == split]
        keyword = [c.labelled(words.index(c.word)) for c in mine if c.word in words]
        others = sorted((c for c in mine if c.word not in words), key=lambda c: _draw(c.name))
        drawn = others[: round(len(keyword) / len(words))]
        keyword += [c.labelled(len(words)) for c in drawn]
        taken += sorted(keyword, key=lambda clip: (clip.label, clip.word, clip.file_name))
    return classes, taken


def _draw(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
