"""The report's task: some keywords, and all other words together as "other"."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

from kws.errors import RecipeError
from kws.recipe import option


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


@dataclass(frozen=True, kw_only=True)
class Config:
    """Which words are keywords."""

    words: tuple[str, ...] = option(
        ("yes", "no"), "The keywords; all other words together are the class 'other'.", read=read, check=check
    )
