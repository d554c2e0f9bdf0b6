"""How things are said, the same in every message: numbers, lists of words, and which name was meant."""

from __future__ import annotations

from collections.abc import Iterable

_LEAST = 3  # letters that say which name is meant where it is a part of several
_ALIKE = 0.7  # as difflib counts; "rnn" is not "cnn"


def counted(number: int, what: str) -> str:
    """A number of things: "1 clip", "1,024 clips"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def listed(words: Iterable[str]) -> str:
    """Words as a sentence has them: "go, stop and up"."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def percent(value: float | None) -> str:
    """A fraction as a percentage with two decimals, as in the report; "-" for None."""
    return "-" if value is None else f"{100 * value:.2f} %"


def meant(text: str, names: Iterable[str]) -> list[str]:
    """The names that a text that is none of them may stand for: written in another way, longer, shorter, or alike."""
    written = {name: _letters(name) for name in names}
    wanted = _letters(text)
    if not wanted:
        return []
    if same := [name for name, letters in written.items() if letters == wanted]:
        return same
    if len(wanted) >= _LEAST and (longer := [name for name, letters in written.items() if wanted in letters]):
        return longer
    shorter = [name for name, letters in written.items() if len(letters) >= _LEAST and letters in wanted]
    if shorter:
        return [max(shorter, key=len)]
    from difflib import get_close_matches

    found = get_close_matches(wanted, written.values(), 1, _ALIKE)
    return [name for name, letters in written.items() if letters in found]


def suggestion(text: str, names: Iterable[str]) -> str:
    """What to end a message with that refuses a name: "; did you mean adamw?", or nothing."""
    found = meant(text, names)
    return f"; did you mean {' or '.join(found)}?" if found else ""


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())
