"""Formats numbers that are shown together in titles and legends: with few digits, but never two of them alike."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

FEW = 4  # significant digits that suffice if they distinguish the numbers
_WHOLE = 6  # significant digits up to which a number is written in full
_ALL = 17  # significant digits in which any two numbers differ


def texts(values: Iterable[float]) -> dict[float, str]:
    """A text for each number: the number in full if it is short, else as few digits as make it unique."""
    wanted = sorted(set(values))
    found = {value: whole for value in wanted if _length(whole := _plain(value)) <= _WHOLE}
    left, digits = [value for value in wanted if value not in found], FEW
    while left:
        made = {value: _rounded(value, digits) for value in left}
        taken = Counter([*found.values(), *made.values()])
        alone = {value: text for value, text in made.items() if taken[text] == 1}
        found |= alone
        left, digits = [value for value in left if value not in alone], digits + 1
    return found


def _rounded(value: float, digits: int) -> str:
    near = float(f"{value:.{digits}g}") if digits < _ALL else value
    return _plain(near if math.isfinite(near) else value)  # the largest numbers would be rounded to infinity


def _plain(value: float) -> str:
    return repr(value).removesuffix(".0")


def _length(text: str) -> int:
    """How many significant digits a number's text has."""
    return len(text.lower().partition("e")[0].replace(".", "").lstrip("-0"))
