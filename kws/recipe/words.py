"""Words as an option of a task: how they are read, and which may be named."""

from __future__ import annotations

import unicodedata

from kws.errors import RecipeError


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
