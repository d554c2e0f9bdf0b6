"""Hugging Face audiofolder: a metadata.csv or metadata.jsonl with file_name and label, beside clips or in each split.

Decisions:
- Paths are relative to the metadata's folder. A clip below a folder that is named as a split is in that split.
- With one folder per word, metadata that says no more than the folders, or names no file that is there, is left aside.
- Without metadata it is a folder a split, which is a layout of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kws.speech import tables
from kws.speech.found import of_tables, splits_named
from kws.speech.recognise import names_any, says_what_folders_say

if TYPE_CHECKING:
    from kws.speech.found import Found
    from kws.speech.recognise import Seen
    from kws.speech.tree import Tree

TITLE, ORDER = "Hugging Face audiofolder", 2
EXAMPLE = "metadata.csv (file_name,label / clips/1.wav,yes)"
_METADATA = ("metadata.csv", "metadata.jsonl")


def find(tree: Tree) -> Found | None:
    """The clips that the metadata names; None without such a file."""
    splits = splits_named(tree.folders)
    names = [name for name in tree.top if name.lower() in _METADATA]
    if not tree.is_manifest:
        below = (f"{folder}/{name}" for folder in ("data", *splits) for name in _METADATA)
        names += [name for name in below if (tree.folder / name).is_file()]
    names = [name for name in names if tables.peeked(tree.folder / name).names_clips]
    if not names:
        return None
    read = {name: tables.read(tree.folder / name) for name in names}
    by_folder = {name: splits[top(name)] for name in names if top(name) in splits}
    found = of_tables(TITLE, read, by_folder, f"not in {names[0]}")
    named = splits_named({top(row.path) for row in found.rows})
    rows = [row if row.split or row.base else row._replace(split=named.get(top(row.path))) for row in found.rows]
    beside_words = not tree.is_manifest and any("/" in name for name in tree.recordings())
    if beside_words and (says_what_folders_say(tree, rows, or_less=True) or not names_any(tree, rows)):
        return None
    return replace(found, rows=rows)


def top(path: str) -> str:
    """The first folder of a path."""
    return path.replace("\\", "/").removeprefix("./").partition("/")[0]


def likeness(seen: Seen) -> int:
    """Its metadata, or another table."""
    return 9 if seen.has(*_METADATA) else 4 if seen.ending(".csv", ".jsonl") else 0
