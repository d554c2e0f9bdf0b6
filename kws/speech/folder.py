"""Reads a folder of recordings, or a manifest: every clip with its word, split and speaker, and all else by reason.

The layout is recognised (kws.speech.recognise), and read by kws.speech.laid_out. What no layout takes is read here as a
folder a word, as in Speech Commands: its clips go by their names, as those of committed runs do.

Which class a clip belongs to is the task's to say (kws/speech/tasks, which are made of kws.speech.classes).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from kws.errors import DataError
from kws.recipe import FIRST, counted
from kws.recipe.partition import Partition
from kws.speech import tables
from kws.speech.clips import Clip as Clip
from kws.speech.clips import Folder as Folder
from kws.speech.dealing import split_by_shares
from kws.speech.laid_out import laid_out, split_by
from kws.speech.layouts.folder_a_word import TITLE as FOLDER_A_WORD
from kws.speech.names import Finder
from kws.speech.progress import Track, untracked
from kws.speech.recognise import recognised, unknown
from kws.speech.speakers import speakers_file, speakers_of
from kws.speech.splits import LISTS, read_lists, split_clips
from kws.speech.tree import Tree
from kws.speech.walk import NO_AUDIO, Walk

OTHER_LIST = f"not read as lists of clips (only {' and '.join(LISTS.values())} are)"
UNREADABLE = "unreadable"
_TEXT = (".txt", ".csv", ".tsv")
_LOOKED_AT = 2_000  # characters of a text that are searched for names of clips


def read_folder(
    place: Path,
    speakers: str | None = None,
    pattern: str | None = None,
    *,
    partition: Partition | None = None,
    align: str = FIRST,
    track: Track = untracked,
) -> Folder:
    """Every recording in a folder, or that a manifest names, with its word, split and speaker, and all else by reason.

    `speakers` is a pattern or a file that gives the speakers (see kws.speech.speakers), and `pattern` describes file
    names that carry the label (see kws/speech/layouts/pattern.py). With a `partition`, splits are made by its shares,
    and neither a layout's splits nor lists of clips count. `align` is which second of longer clips is used.
    Raises DataError if the place is missing, neither a folder nor a manifest, unreadable, or without any recordings.
    """
    if speakers and "\0" in speakers:
        raise DataError("`speakers` may not hold a NUL character")
    told = speakers_file(speakers, place) if speakers else None
    try:
        # A table of speakers may have the labels, too; without a header it has nothing but speakers.
        has_header = told is not None and any(name in tables.SPEAKERS for name in tables.peeked(told).columns)
        tree = Tree(place, pattern, None if has_header else told)
        found = recognised(tree)
        if found is not None:
            return laid_out(tree, found, speakers, told, partition, align, track)
        return _read_words(place, speakers, partition, align, tree)
    except OSError as error:
        what = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise DataError(
            f"the data folder {error.filename or place} {what}; `kws data list` shows what can be used"
        ) from None


def _read_words(folder: Path, speakers: str | None, partition: Partition | None, align: str, tree: Tree) -> Folder:
    """One folder per word. Raises OSError where it cannot be read."""
    lists = read_lists(folder) if partition is None else {}
    walk = Walk(os.fspath(folder))
    files, names = walk.files()
    if not files:
        raise unknown(tree)
    read = _find_lists(folder, walk.unused, names, speakers)
    told = speakers_of(names, speakers, folder)
    each_told: Sequence[str | None] = told or [None] * len(files)
    splits = split_by_shares(names, told, partition) if partition else split_clips(names, told, lists, folder)
    each = zip(files, splits.of, each_told, strict=True)
    return Folder(
        clips=[
            Clip(one.path, one.word, one.file_name, split, one.stamp, speaker, align=align)
            for one, split, speaker in each
        ],
        unused=walk.unused,
        lists=tuple(lists),
        splits=splits,
        place=folder,
        found=f"found: {FOLDER_A_WORD}, {counted(len(files), 'clip')}",
        split_by=split_by(lists, has_speakers=told is not None),
        read=(*walk.lists, *read),
        partition=partition,
        align=align,
    )


def _find_lists(folder: Path, unused: dict[str, list[str]], names: Sequence[str], speakers: str | None) -> list[str]:
    """Move unread lists of clips, among the texts beside the words' folders, to a reason of their own in `unused`.

    The speakers' file is removed from `unused`, since it is used, and returned.
    """
    read = []
    told = speakers_file(speakers, folder) if speakers else None
    texts = [path for path in unused.get(NO_AUDIO, ()) if os.sep not in path and path.lower().endswith(_TEXT)]
    finder = Finder(names if texts else ())
    for path in texts:
        unused[NO_AUDIO].remove(path)
        if told and os.path.realpath(folder / path) == os.path.realpath(told):
            read.append(path)
            continue
        beginning = ""
        if (folder / path).is_file():
            with suppress(OSError), (folder / path).open(encoding="utf-8", errors="replace") as file:
                beginning = file.read(_LOOKED_AT)
        is_list = any(finder.find(line) for line in beginning.splitlines())
        unused.setdefault(OTHER_LIST if is_list else NO_AUDIO, []).append(path)
    if unused.get(NO_AUDIO) == []:
        del unused[NO_AUDIO]
    return read
