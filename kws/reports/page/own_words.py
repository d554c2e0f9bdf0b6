"""The page of `kws start`: how well a detector of few clips will do, what would help most, and how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from kws.registry.runs import Run
from kws.reports.own_words import OwnWords
from kws.reports.page.html import render

_SHOWN = 10  # other words


def page(run: Run, file: Path, found: OwnWords, advice: Sequence[str], commands: Sequence[str]) -> str:
    """The page as HTML; the same registry gives the same bytes."""
    return render(
        "own_words.html",
        run=run,
        file=file.name,
        data=run.data_source,
        start=None if run.recipe.pretrained == "none" else run.recipe.pretrained.rpartition("/")[2],
        words=[each.name for each in found.words],
        found=found,
        rows=[*found.words, found.others],
        confused=[
            (word.name, other, clips, word.clips)
            for word in found.words
            for other, clips in sorted(word.taken_for.items(), key=lambda each: (-each[1], each[0]))
        ],
        accepted=list(found.accepted.items())[:_SHOWN],
        more=max(len(found.accepted) - _SHOWN, 0),
        advice=advice,
        commands=commands,
    )
