"""One folder per word, as in Speech Commands: recordings in it, or in folders of speakers or sessions below it.

It is read by kws.speech.walk, and its clips go by their names, as those of committed runs do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kws.speech.found import Found
    from kws.speech.recognise import Seen
    from kws.speech.tree import Tree

TITLE, ORDER = "one folder per word", 9
EXAMPLE = "yes/anna_1.wav"


def find(tree: Tree) -> Found | None:
    """None: it is what is left."""
    del tree
    return None


def likeness(seen: Seen) -> int:
    """Folders, even empty ones, are likely words."""
    return 2 + bool(seen.folders)
