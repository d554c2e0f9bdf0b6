"""What `kws start` prints: how well a detector of few clips will do, and what would help most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kws.terminal import console

if TYPE_CHECKING:
    from kws.reports.own_words import Heard, OwnWords


def print_figures(file: Path, found: OwnWords | None, advice: list[str]) -> None:
    """Print the figures of a detector, where there are any, and the advice."""
    if found is None:
        console.tell(f"{file}: not known how well it will do; --folds 3 or more tests each clip in turn")
        return
    console.tell(
        f"How well {console.visible(str(file))} will do, by {found.folds} networks, each tested on clips that it was "
        "trained without (in brackets 95 % intervals):"
    )
    width = max(len(console.visible(each.name)) for each in (*found.words, found.others))
    for word in found.words:
        console.tell(f"  {console.visible(word.name):<{width}}  heard {_share(word)}{_taken(word)}", indent=width + 4)
    console.tell(f"  {found.others.name:<{width}}  taken for a keyword {_share(found.others)}", indent=width + 4)
    if advice:
        console.tell("What would help most:")
        for number, line in enumerate(advice, start=1):
            console.tell(f"  {number}. {console.visible(line)}", indent=5)


def _share(of: Heard) -> str:
    low, high = (100 * each for each in (of.interval.low, of.interval.high))
    return f"{of.heard:,} of {of.clips:,}: {100 * of.share:.1f} % ({low:.1f} to {high:.1f})"


def _taken(word: Heard) -> str:
    return "".join(f", as {console.visible(name)} {clips:,}" for name, clips in word.taken_for.items())
