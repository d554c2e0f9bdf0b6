"""CSV or TSV with path and label, and speaker, split, start and end where they are there.

Several files are one data set, as with JSON lines (kws/speech/layouts/nemo.py), and with one folder per word they are
left aside unless they are given by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kws.speech.recognise import manifests

if TYPE_CHECKING:
    from kws.speech.found import Found
    from kws.speech.recognise import Seen
    from kws.speech.tree import Tree

TITLE, ORDER = "CSV with path and label", 4
EXAMPLE = "clips.csv (path,label,speaker,split / clips/1.wav,yes,anna,train)"
_ENDINGS = (".csv", ".tsv", ".psv")


def find(tree: Tree) -> Found | None:
    """The clips that tables name; None without any. A table that is given by name may have any ending."""
    return manifests(tree, TITLE, ("",) if tree.is_manifest else _ENDINGS)


def likeness(seen: Seen) -> int:
    """A table, or clips that one could describe."""
    return 8 if seen.ending(*_ENDINGS) else 5 if seen.flat else 1
