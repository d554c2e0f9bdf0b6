"""Clips that are longer than a second: how many there are, which second of them is used, and what is said of that.

Features depend on which second that is only where there are such clips. Without any, those that were cached for one
`align` are the other's, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from kws.events import SPLITS
from kws.recipe import ENERGY
from kws.speech.decode import SEARCHED_S


def counted(seconds: Iterable[float], than: float = 1.0) -> int:
    """How many of these durations are longer."""
    return sum(each > than for each in seconds)


def said(seconds: Iterable[float], align: str) -> list[str]:
    """The lines about longer clips, given the durations of all: which second is used, and what is not searched."""
    durations = [each for each in seconds if each > 1]
    if not durations:
        return []
    are = "1 clip is" if len(durations) == 1 else f"{len(durations):,} clips are"
    if align != ENERGY:
        return [f"{are} longer than a second: the first second is used (--align energy uses the one with the word)"]
    lines = [f"{are} longer than a second: the second with the word is used (--align first takes the first)"]
    if beyond := counted(durations, SEARCHED_S):
        are = "1 clip is" if beyond == 1 else f"{beyond:,} clips are"
        lines.append(
            f"{are} longer than {SEARCHED_S} s, which is as far as the word is searched for; `kws data cut` finds "
            "every word in a long recording"
        )
    return lines


def has_none(features: Path) -> bool:
    """Whether a folder of cached features has no longer clip; False where it cannot be told."""
    try:
        known = json.loads((features / "card.json").read_text(encoding="utf-8")).get("longer")
        if known is None:  # they were made before it was said
            files = [features / f"{split}-manifest.json" for split in SPLITS]
            known = sum(counted(json.loads(file.read_text(encoding="utf-8"))["seconds"]) for file in files)
        return not known
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
