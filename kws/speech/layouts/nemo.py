"""NeMo's manifests and other JSON lines: audio_filepath, label or command, and duration, offset, speaker or split.

Decisions:
- Several files are one data set, whose splits are in their names, as in train_manifest.json. Where some files have a
  split in their names, those that have none are left out.
- A duration is the file's own, unless an offset or a second line of the same file says that it is cut in pieces.
- With one folder per word such a file is left aside, for it may be a run's predictions; given by name, it is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kws.speech.recognise import manifests

if TYPE_CHECKING:
    from kws.speech.found import Found
    from kws.speech.recognise import Seen
    from kws.speech.tree import Tree

TITLE, ORDER = "JSON lines, as NeMo's manifests", 3
EXAMPLE = 'train_manifest.json ({"audio_filepath": "clips/1.wav", "duration": 0.9, "label": "yes"})'
_ENDINGS = (".json", ".jsonl", ".ndjson", ".manifest")


def find(tree: Tree) -> Found | None:
    """The clips that JSON lines name; None without any."""
    return manifests(tree, TITLE, _ENDINGS)


def likeness(seen: Seen) -> int:
    """A file of JSON."""
    return 8 if seen.ending(*_ENDINGS) else 2 if seen.flat else 0
