"""Folders of splits (train, validation, test, and other names of theirs) above the folders of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kws.speech.found import Found, splits_named
from kws.speech.recognise import in_words
from kws.speech.tree import left_out_folder

if TYPE_CHECKING:
    from kws.speech.recognise import Seen
    from kws.speech.tree import Tree

TITLE, ORDER = "split folders above folders of words", 6
EXAMPLE = "train/yes/1.wav, val/yes/2.wav, test/yes/3.wav"


def find(tree: Tree) -> Found | None:
    """The recordings in words' folders below splits' folders; None where other folders have recordings, too.

    A folder whose recordings lie in it, rather than in folders below, is a word that is called like a split.
    """
    splits = splits_named(tree.folders)
    if tree.is_manifest or not splits:
        return None
    others = {name for name in tree.folders if name not in splits and not left_out_folder(f"{name}/")}
    if others and any(name.partition("/")[0] in others for name in tree.recordings()):
        return None
    rows = [row._replace(split=split) for name, split in splits.items() for row in in_words(tree, f"{name}/")]
    shallow = sum(name.count("/") == 1 for name in tree.recordings())
    return Found(title=TITLE, rows=rows, by_folder=True) if len(rows) > shallow else None


def likeness(seen: Seen) -> int:
    """A folder that is named as a split."""
    return 8 if splits_named(seen.folders) else 1
