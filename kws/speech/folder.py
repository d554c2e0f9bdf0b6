"""Reads a folder in the Speech Commands layout: one folder per word, with the recordings in it.

Decisions:
- `words` become classes in the order given; all other words together become the last class, "other". Folders whose
  names differ only in case or Unicode composition ("Yes" beside "yes") are one word.
- In each split, "other" is as large as a keyword is on average. Its clips are chosen by their names alone (the smallest
  SHA-256 first), so every run and every machine draws the same ones.
- "_unknown_" and "_silence_" belong to "other" like any word, or are classes if `words` names them.
- A folder that holds only the keywords makes a task without "other".
- Everything that is not used is reported with the reason (see kws.speech.walk).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from kws.errors import DataError
from kws.events import SPLITS
from kws.speech.digests import Stamp
from kws.speech.names import Finder, labels_of, without_ending
from kws.speech.speakers import speakers_file, speakers_of
from kws.speech.splits import LISTS, Splits, read_lists, split_clips
from kws.speech.walk import NO_AUDIO, Walk

OTHER = "other"
OTHER_LIST = f"not read as lists of clips (only {' and '.join(LISTS.values())} are)"
UNREADABLE, NOT_DRAWN = "unreadable", "not drawn for 'other'"
_TEXT = (".txt", ".csv", ".tsv")
_LOOKED_AT = 2_000  # characters of a text that are searched for names of clips


class Clip(NamedTuple):
    """One recording of a folder, not yet decoded."""

    path: str
    word: str  # the folder's name
    file_name: str  # with the folders between, as in "session2/a.wav"
    split: str
    stamp: Stamp
    speaker: str | None = None  # None if unknown
    label: int = -1  # index into the classes; -1 before the classes are drawn

    @property
    def name(self) -> str:
        """The clip's name in lists, fingerprints and messages: word/file without its ending."""
        return without_ending(f"{self.word}/{self.file_name}")

    def labelled(self, label: int) -> Clip:
        """The same clip with its class."""
        return Clip(self.path, self.word, self.file_name, self.split, self.stamp, self.speaker, label)


@dataclass(frozen=True, kw_only=True)
class Folder:
    """What a folder holds: clips, ordered by word and name, and unused files and folders by reason."""

    clips: list[Clip]
    unused: dict[str, list[str]]  # paths below the folder
    lists: tuple[str, ...]  # the splits that have a list
    splits: Splits

    @property
    def has_speakers(self) -> bool:
        """Whether the speaker of every clip is known."""
        return bool(self.clips) and self.clips[0].speaker is not None

    def unused_counts(self) -> dict[str, int]:
        """The number of unused files and folders by reason, the largest first."""
        return dict(Counter({reason: len(paths) for reason, paths in self.unused.items()}).most_common())


def read_folder(folder: Path, speakers: str | None = None) -> Folder:
    """Every recording in the folder with its word, split and speaker, and everything else that is there.

    `speakers` is a pattern or a file that gives the speakers (see kws.speech.speakers).
    Raises DataError if the folder is missing, not a folder, unreadable, or without any recordings.
    """
    lists = read_lists(folder) if folder.is_dir() else {}
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
    splits = split_clips(names, told, lists, folder)
    each = zip(files, splits.of, each_told, strict=True)
    return Folder(
        clips=[Clip(one.path, one.word, one.file_name, split, one.stamp, speaker) for one, split, speaker in each],
        unused=walk.unused,
        lists=tuple(lists),
        splits=splits,
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


def draw_classes(clips: Sequence[Clip], words: tuple[str, ...], folder: Path) -> tuple[tuple[str, ...], list[Clip]]:
    """The classes, and the used clips with their labels, ordered by split, label and name.

    Raises DataError if the folder lacks a keyword, or if there are fewer than two classes.
    """
    there = sorted({clip.word for clip in clips})
    labels = labels_of(there, words)
    for label, word in enumerate(words):
        if label not in labels.values():
            raise DataError(f"{folder} has no recordings of {word!r}; {_hint(clips, words, there)}")
    counts = Counter((clip.split, clip.word in labels) for clip in clips)
    classes = (*words, OTHER) if any(not keyword for _, keyword in counts) else words
    if len(classes) < 2:
        raise DataError(
            f"{folder} holds the word {words[0]!r} alone; at least one other word is needed to tell it from"
        )
    taken: list[Clip] = []
    for split in SPLITS:
        mine = [clip for clip in clips if clip.split == split]
        keyword = [c.labelled(labels[c.word]) for c in mine if c.word in labels]
        others = sorted((c for c in mine if c.word not in labels), key=lambda c: _draw(c.name))
        drawn = others[: round(len(keyword) / len(words))]
        keyword += [c.labelled(len(words)) for c in drawn]
        taken += sorted(keyword, key=lambda clip: (clip.label, clip.word, clip.file_name))
    return classes, taken


def _hint(clips: Sequence[Clip], words: tuple[str, ...], there: Sequence[str]) -> str:
    """Advice for a missing word: where the words' folders are if they lie deeper, else which words there are."""
    above = set()
    for clip in clips:
        parts = clip.name.split("/")[:-1]
        for place in range(1, len(parts)):
            if parts[place : place + 1] and labels_of([parts[place]], words):
                above.add("/".join(parts[:place]))
    if above:
        some = ", ".join(sorted(above)[:3])
        lists = f"; splits are told by {' and '.join(LISTS.values())} there" if len(above) > 1 else ""
        return f"folders of such a name lie in {some}: give --data the folder that holds the words' folders{lists}"
    return f"it has {', '.join(there)}; choose among them with --words"


def _draw(name: str) -> bytes:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
