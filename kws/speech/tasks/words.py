"""words: the words that --words names, a class each, with classes for what is none of them if wanted.

It follows no publication. What its further classes are made of is as in the other tasks: --other-words draws clips of
all other words by their names, in each split as many as a word has on average, and calls them "other" or "unknown";
--silence cuts as many seconds from the noise recordings (see kws.speech.silence). With --other-words other it has the
report's classes and clips, and with both and ten words nearly v2-12's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from kws.errors import RecipeError
from kws.recipe import option
from kws.recipe import words as named

if TYPE_CHECKING:
    from kws.speech.classes import Assigned
    from kws.speech.folder import Folder
    from kws.speech.progress import Track

ORDER = 5
NONE = "none"
SILENCE = "silence"
RESERVED = ("other", "unknown", "silence")  # classes of what is no keyword


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
    rest = () if config.other_words == NONE else (config.other_words,)
    return (*config.words, *rest, *((SILENCE,) if config.silence else ()))


def assign(folder: Folder, config: Config, track: Track) -> Assigned:
    """The clips of these classes. Raises DataError if one of them cannot be made."""
    from kws.speech import classes as made

    del track
    if config.leave_out and config.other_words == NONE:
        raise RecipeError(
            f"`leave_out` (={','.join(config.leave_out)}) keeps words out of a class of other words; "
            "add --other-words other, or leave it out"
        )
    there = sorted({clip.word for clip in folder.clips})
    return made.assign(
        folder,
        config.words,
        rest=None if config.other_words == NONE else config.other_words,
        silence=SILENCE if config.silence else None,
        size=made.mean_of(config.words),
        leave_out=config.leave_out,
        otherwise=f"it has {', '.join(there)}; choose with --words, --other-words and --silence",
    )
