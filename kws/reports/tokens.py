"""Splits text into tokens, so that two texts can be compared however they are typeset.

Decisions:
- A token is a number, a code (letters and digits, as in bf16, 2.13.0 or a fingerprint), a word, a sign (= % and the
  like) or a punctuation mark. Case, line breaks, underscores and thousands separators are ignored.
- A dash between two numbers is a range; before a number that follows no other it is a minus.
- A number has a role if its neighbours give it one: a deviation after a plus-minus, the ends of an interval, n, p.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import lru_cache

_KEPT = 4_096  # texts to cache: a table's names and cells are compared with many others
NUMBER, CODE, WORD, SIGN, MARK = "number", "code", "word", "sign", "mark"
DEVIATION, LOW, HIGH, N, P = "deviation", "low", "high", "n", "p"

_SEPARATOR = re.compile("(?<=[0-9])[\u2009\u202f\u00a0'\u2019](?=[0-9]{3}(?![0-9]))")
_TIGHT_RANGE = re.compile("(?<=[0-9%])(?:-{1,3}|[\u2012-\u2015])(?=[-+]?\\.?[0-9])")
_LOOSE_RANGE = re.compile("(?<=[0-9%]) +(?:-{1,3}|[\u2012-\u2015]) +(?=[-+]?\\.?[0-9])")
_LONG_MINUS = re.compile("(?<![\\w%)\\]])[\u2012-\u2015](?=\\.?[0-9])")
_PLUS_MINUS = re.compile(r"\+ ?/ ?-|\+-")
_POWER = re.compile("(?<=[0-9]) ?[x\u00d7*] ?10 ?\\^ ?(-?[0-9]{1,2})(?![0-9])|(?<![\\w.])10\\^(-?[0-9]{1,2})(?![0-9])")
_TOKEN = re.compile(
    r"""
    (?P<number>(?<![^\W_])(?:(?<![)\]%])[-+])?(?=\.?[0-9])
        (?:[1-9][0-9]{0,2}(?:,[0-9]{3})+(?![0-9])|[0-9]+)?(?:\.[0-9]+)?(?:[eE][-+]?[0-9]{1,2})?(?![^\W_]|\.[0-9]))
    |(?P<code>[^\W_]*[0-9][^\W_]*(?:[.+][^\W_]+)*)
    |(?P<word>[^\W\d_]+(?:'[^\W\d_]+)*|[^\W_]+)
    |(?P<sign>[=+\u2013\u00b1%<>\u2264\u2265\u2248\u2020\u2021\u00a7\u00b6*])
    |(?P<mark>[()\[\],;:/])
    """,
    re.VERBOSE,
)
_RANGES = {"to", "\u2013"}
_EQUALS = {"=", "<", ">", "\u2264", "\u2265", ":"}


@dataclass(frozen=True)
class Token:
    """A piece of a normalized text, from `start` to `end`; its `text` is without what is ignored."""

    kind: str
    text: str
    start: int
    end: int
    role: str = ""

    @property
    def key(self) -> str:
        """The key by which tokens align: words and signs are themselves; numbers of one role share one, as do codes."""
        return {NUMBER: f"#{self.role}", CODE: "@"}.get(self.kind, self.text)


@lru_cache(maxsize=_KEPT)
def normal(text: str) -> str:
    """The text with one notation for each sign: entities, dashes, powers of ten, plus-minus, spaces in numbers."""
    text = unicodedata.normalize("NFKC", _SEPARATOR.sub("", html.unescape(text)))
    text = " ".join(text.replace("\u2212", "-").replace("\u2019", "'").split())
    text = _POWER.sub(lambda found: f"e{found[1]}" if found[1] else f"1e{found[2]}", text)
    text = _PLUS_MINUS.sub("\u00b1", text)
    text = _LONG_MINUS.sub("-", _LOOSE_RANGE.sub(" \u2013 ", text))
    return _TIGHT_RANGE.sub(" \u2013 ", text)


@lru_cache(maxsize=_KEPT)
def tokens(text: str) -> tuple[Token, ...]:
    """The tokens of a normalized text, in order; numbers have their roles."""
    found = []
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup)
        raw = match[0]
        found.append(Token(kind, plain(raw) if kind == NUMBER else raw.casefold(), match.start(), match.end()))
    for place, token in enumerate(found):
        if token.text in ("fingerprint", "digest"):
            _force_code(found, place + 1, text)
    return _with_roles(found)


def _force_code(found: list[Token], place: int, text: str) -> None:
    """Make what follows the word a code, even if it has only digits or only letters."""
    while place < len(found) and found[place].text in ("=", ":", "(", "is", "of"):
        place += 1
    if place < len(found) and re.fullmatch(
        "[0-9a-f]{6,64}", raw := text[found[place].start : found[place].end].lower()
    ):
        found[place] = replace(found[place], kind=CODE, text=raw)


def _with_roles(found: list[Token]) -> tuple[Token, ...]:
    roles = [""] * len(found)
    kept = [place for place, token in enumerate(found) if token.text != "%"]
    texts = [found[place].text for place in kept]
    for i, place in enumerate(kept):
        if found[place].kind != NUMBER:
            continue
        before, earlier = texts[i - 1] if i else "", texts[i - 2] if i > 1 else ""
        if before == "\u00b1":
            roles[place] = DEVIATION
        elif before in _EQUALS and earlier in ("n", "p"):
            roles[place] = N if earlier == "n" else P
        elif i + 2 < len(kept) and found[kept[i + 2]].kind == NUMBER and not roles[place]:
            between, after = texts[i + 1], texts[i + 3] if i + 3 < len(kept) else ""
            pair = before in ("(", "[") and between == "," and after in (")", "]", ",", ";")
            if between in _RANGES or pair:
                roles[place], roles[kept[i + 2]] = LOW, HIGH
    return tuple(replace(token, role=role) if role else token for token, role in zip(found, roles, strict=True))


def content(said: Iterable[Token]) -> list[Token]:
    """The tokens that are not punctuation."""
    return [token for token in said if token.kind != MARK]


def around(text: str, said: Sequence[Token]) -> str:
    """A few words before and after the tokens, to show their place."""
    start, end = said[0].start, said[-1].end
    left = text.rfind(" ", 0, max(0, start - 16)) + 1 if start > 16 else 0
    right = text.find(" ", end + 16)
    return text[left : right if right >= 0 else len(text)]


def plain(number: str) -> str:
    """A number without thousands separators and without a leading plus."""
    return number.replace(",", "").removeprefix("+").lower()


def decimals(number: str) -> int:
    """How many decimals a written number has."""
    return len(number.partition(".")[2])


def alike(value: float, number: str) -> str:
    """A value with as many decimals as `number` has."""
    return f"{value:.{decimals(number)}f}"


def beside(printed: str, stated: str, known: Iterable[float] = ()) -> str | None:
    """The stated number in the notation of `printed`; the two are then equal if they agree.

    `known` are values before rounding. None if the printed number has decimals that no known value gives.
    """
    printed, stated = plain(printed), plain(stated)
    finer = decimals(printed) > decimals(stated)
    if printed == stated or (Decimal(printed) == Decimal(stated) and not finer):
        return printed
    if "e" in printed + stated:
        return printed if Decimal(printed) == Decimal(stated) else stated
    if decimals(printed) == decimals(stated):
        return stated
    ways = dict.fromkeys(alike(value, printed) for value in known if alike(value, stated) == stated)
    if printed in ways:
        return printed
    if finer:
        exact = decimals(stated) == 0 and Decimal(printed) == Decimal(stated) and not ways
        possible = abs(Decimal(printed) - Decimal(stated)) <= Decimal(5).scaleb(-decimals(stated) - 1)
        return printed if exact else next(iter(ways), None if possible else stated)
    half = Decimal(5).scaleb(-decimals(printed) - 1) + Decimal(5).scaleb(-decimals(stated) - 1)
    if not ways and abs(Decimal(printed) - Decimal(stated)) <= half and decimals(stated):
        return printed
    return next(iter(ways), alike(float(stated), printed))
