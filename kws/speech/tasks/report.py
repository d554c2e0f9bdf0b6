"""The report's task: some keywords, and all other words together as "other".

Decisions:
- The classes are the keywords in the order given, then "other". A folder that holds only the keywords makes a task
  without "other".
- The protocol is the student report's, which does not say how its "other" was drawn. Here it is, in each split, as
  large as a keyword is on average, and its clips are chosen by their names alone, so every run and every machine draws
  the same ones.
- "_unknown_" and "_silence_" belong to "other" like any word, or are classes if `words` names them.
- Words that are left out are no part of "other" in any split; a run's network is tested on their clips apart (see
  kws.speech.unheard).
- It is the only task for the course's arrays, whose columns are its classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.recipe import option
from kws.recipe.words import check, check_left_out, read, read_left_out

if TYPE_CHECKING:
    from kws.speech.classes import Assigned
    from kws.speech.folder import Folder
    from kws.speech.progress import Track

ORDER = 1
OTHER = "other"


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which words are keywords, and which are never heard in training."""

    words: tuple[str, ...] = option(
        ("yes", "no"), "The keywords, a class each; for report, all other words are 'other'.", read=read, check=check
    )
    leave_out: tuple[str, ...] = option(
        (),
        "Words that are never trained on; how many of their clips are taken for a keyword is a test of its own.",
        read=read_left_out,
        check=check_left_out,
        absent=(),
        metavar="WORD,...",
    )


def classes(config: Config) -> tuple[str, ...]:
    """The keywords and "other"."""
    return (*config.words, OTHER)


def columns(config: Config) -> tuple[str, ...]:
    """The words that the first columns of the course's arrays stand for."""
    return config.words


def assign(folder: Folder, config: Config, track: Track) -> Assigned:
    """The keywords' clips, and as many of all others. Raises DataError if a keyword or a second class is missing."""
    from kws.speech import classes
    from kws.speech.unheard import kept_apart

    del track
    known, apart = kept_apart(folder.clips, config.leave_out, config.words, folder.place)
    kept, clips = classes.draw_classes(known, config.words, folder.place)
    left = {"not_used": len(known) - len(clips), "never_heard": len(apart)}
    return classes.Assigned.of(kept, clips, because=classes.NOT_DRAWN, **left)
