"""Words as an option of a task: how they are read, and which may be named."""

from __future__ import annotations

import unicodedata

from kws.errors import RecipeError

NONE = "none"
_NO_WORDS = ("other", "_unknown_", "_silence_")


def read(text: str) -> tuple[str, ...]:
    """The keywords in "yes,no", letters composed. Raises RecipeError for an empty one."""
    words = tuple(unicodedata.normalize("NFC", word.strip()) for word in text.split(","))
    if not all(words):
        raise RecipeError(f"`words` (={text!r}) must be words with a comma between them, as in --words yes,no")
    return words


def check(field: str, words: tuple[str, ...]) -> None:
    """Raise RecipeError for a repeated word, for "other", and for more than 255."""
    if len(set(words)) < len(words):
        raise RecipeError(f"`{field}` (={','.join(words)!r}) names a word twice")
    if "other" in words:
        raise RecipeError(
            f"`{field}` (={','.join(words)!r}) may not hold 'other': that class is made of all words not named"
        )
    if len(words) > 255:
        raise RecipeError(f"`{field}` names {len(words)} words; 255 at most")


def read_left_out(text: str) -> tuple[str, ...]:
    """The words in "go,stop"; none in "none". Raises RecipeError for an empty one."""
    words = tuple(unicodedata.normalize("NFC", word.strip()) for word in text.split(","))
    if not all(words):
        raise RecipeError(f"`leave_out` (={text!r}) must be words with a comma between them, as in go,stop, or none")
    return () if words == (NONE,) else words


def check_left_out(field: str, words: tuple[str, ...]) -> None:
    """Raise RecipeError for a repeated word, and for one that stands for what is no word."""
    if len(set(words)) < len(words):
        raise RecipeError(f"`{field}` (={','.join(words)!r}) names a word twice")
    for each in ("", *_NO_WORDS):
        if each in words:
            raise RecipeError(f"`{field}` (={','.join(words)!r}) must be words of other, not {each!r}")
