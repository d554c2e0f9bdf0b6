"""Kaggle's Speech Recognition Challenge: train/audio/WORD, lists of splits beside it, and test/audio without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kws.speech.found import Found
from kws.speech.recognise import in_words

if TYPE_CHECKING:
    from kws.speech.recognise import Seen
    from kws.speech.tree import Tree

TITLE, ORDER = "Kaggle's train/audio", 5
EXAMPLE = "train/audio/yes/1.wav with train/validation_list.txt"
_PLACES = ("train/audio/", "audio/")  # below the whole archive, or its train folder


def find(tree: Tree) -> Found | None:
    """The recordings in folders below train/audio; None where there are none, and other words beside it."""
    if tree.is_manifest or not {*tree.folders} <= {"train", "test", "audio"}:
        return None
    for place in _PLACES:
        if not (tree.folder / place).is_dir() or (place == "audio/" and len(tree.folders) > 1):
            continue
        rows = in_words(tree, place)
        if rows:
            lists = place.removesuffix("audio/")
            return Found(
                title=TITLE, rows=rows, lists=lists, reasons={"test/": "without labels (test/)"}, by_folder=True
            )
    return None


def likeness(seen: Seen) -> int:
    """The folders of its archive."""
    return 8 if "audio" in seen.folders or {"train", "test"} == {*seen.folders} else 0
