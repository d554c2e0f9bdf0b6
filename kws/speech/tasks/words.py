"""words: the words that --words names, a class each, with classes for what is none of them if wanted.

It follows no publication. What its further classes are made of is as in the other tasks: --other-words draws clips of
all other words by their names, in each split as many as a word has on average, and calls them "other" or "unknown";
--silence cuts as many seconds from the noise recordings (see kws.speech.silence). With --other-words other it has the
report's classes and clips, and with both and ten words nearly v2-12's. --other takes what is no keyword from another
source, up to MOST clips in each split (see kws.speech.negatives).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.errors import RecipeError
from kws.recipe import option
from kws.recipe import words as named
from kws.recipe.config import PLACE

if TYPE_CHECKING:
    from kws.speech.classes import Assigned
    from kws.speech.folder import Folder
    from kws.speech.progress import Track

ORDER = 5
NONE = "none"
SILENCE = "silence"
MOST = 2_000  # clips of other words in a split, where they come from elsewhere
OTHER = "other"
RESERVED = (OTHER, "unknown", "silence")  # classes of what is no keyword


def is_named(field: str, value: str) -> None:
    """A check: not empty. Raises RecipeError."""
    if not value.strip():
        raise RecipeError(f"`{field}` is empty; name a folder of recordings or `builtin`, or leave it out")


def are_words(field: str, words: tuple[str, ...]) -> None:
    """A check: words that may be named, none of them the name of a further class. Raises RecipeError."""
    named.check(field, words)
    for each in RESERVED:
        if each in words:
            raise RecipeError(f"`{field}` (={','.join(words)!r}) may not hold {each!r}, the name of a further class")


@dataclass(frozen=True, kw_only=True)
class Config:
    """The words, and which further classes there are."""

    words: tuple[str, ...] = option(("yes", "no"), "The keywords, a class each.", read=named.read, check=are_words)
    other_words: str = option(
        NONE, "The class that clips of all other words make, or none.", choices=(NONE, "other", "unknown")
    )
    silence: bool = option(False, "A class of silence, cut from the noise recordings.")
    other: str | None = option(
        None,
        "Further clips of what is no keyword: `builtin`, which is synthetic speech and noise, or a folder of "
        "recordings. With it, `other` is all clips of other words, up to 2,000 in each split.",
        metavar="builtin|FOLDER",
        role=PLACE,
        check=is_named,
        absent=None,
    )
    leave_out: tuple[str, ...] = option(
        (),
        "Words that are never trained on; how many of their clips are taken for a keyword is a test of its own.",
        read=named.read_left_out,
        check=named.check_left_out,
        absent=(),
        metavar="WORD,...",
    )


def classes(config: Config) -> tuple[str, ...]:
    """The words, then what the other words make, then "silence"."""
    rest = _rest(config)
    return (*config.words, *((rest,) if rest else ()), *((SILENCE,) if config.silence else ()))


def _rest(config: Config) -> str | None:
    """What the class of other words is called; None without one."""
    if config.other_words == NONE:
        return OTHER if config.other else None
    return config.other_words


def assign(folder: Folder, config: Config, track: Track) -> Assigned:
    """The clips of these classes. Raises DataError if one of them cannot be made."""
    from kws.speech import classes as made
    from kws.speech import negatives

    rest = _rest(config)
    if config.leave_out and not rest:
        raise RecipeError(
            f"`leave_out` (={','.join(config.leave_out)}) keeps words out of a class of other words; "
            "add --other-words other, or leave it out"
        )
    if config.other:
        folder = negatives.beside(folder, config.other, config.words, track=track)
    there = sorted({clip.word for clip in folder.clips})
    return made.assign(
        folder,
        config.words,
        rest=rest,
        most=None if config.other is None else MOST,
        silence=SILENCE if config.silence else None,
        size=made.mean_of(config.words),
        leave_out=config.leave_out,
        otherwise=f"it has {', '.join(there)}; choose with --words, --other-words and --silence",
    )
