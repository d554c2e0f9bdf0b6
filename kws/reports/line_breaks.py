"""Where a text may be broken over lines: between words, never within a number, or between it and its unit.

"93.39 % (91.88 to 94.64, n = 5)" is three pieces. An interval or the like in brackets at the end stands on a line of
its own where there is no room for one line, if it fits there.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_BOUND = re.compile(
    r"(?<=\d) (?=(?:%|s|ms|min|h|MB|GB|Hz|kHz|dB|dBFS|nats)(?![\w/]))"  # a number and its unit
    r"|(?<=\d) (?=s/)"
    r"|(?<=[\w)]) (?== [-+\d])|(?<=[\w)] =) (?=[-+\d])"  # n = 40
    r"|(?<=[\d%s]) (?=\u00b1 \d)|(?<=\u00b1) (?=\d)"
    r"|(?<=\d) (?=to [-+]?\d)|(?<=\d to) (?=[-+]?\d)"
    r"|(?<=\d) (?=[/x] \d)|(?<=\d [/x]) (?=\d)"  # 567,171 / 346,067; 32 x 97 x 36
)
_HELD = "\0"  # stands for a space at which a line is not broken
_AT_END = re.compile(r"(?P<head>.*\S) (?P<tail>\([^()]*(?:\d to |n = |\d params)[^()]*\)(?: [=*])*)")
_LONGEST = 40  # letters of a piece that are kept together at the expense of other columns
_WORD = 18  # letters from which on a path may be broken between its folders, a word at its hyphen
_INSIDE = re.compile(r"(?<=/)|(?<=[a-z]-)(?=[a-z])")
_DIGEST = re.compile(r"[(]?[0-9a-f]{12,64}\W{0,2}")


def pieces(text: str) -> list[str]:
    """The pieces of a text between which it may be broken."""
    return [piece.replace(_HELD, " ") for piece in _BOUND.sub(_HELD, text).split()]


def needs(text: str, length: Callable[[str], int] = len) -> tuple[int, int, int]:
    """The widths that a text needs, the best first.

    The first lets what is in brackets at its end stand on a line of its own, the second its pieces, the last its words.
    A long word, such as a path, may be cut, a digest is not.
    """

    def need(piece: str) -> int:
        if _DIGEST.fullmatch(piece):
            return length(piece)
        parts = _INSIDE.split(piece) if length(piece) > _WORD else [piece]
        return min(max(map(length, parts)), _LONGEST)

    of_words, of_pieces = (max(map(need, found), default=0) for found in (text.split(), pieces(text)))
    found = _AT_END.fullmatch(text)
    return max(length(found["tail"]), needs(found["head"], length)[1]) if found else of_pieces, of_pieces, of_words


def broken(text: str, width: int, length: Callable[[str], int] = len, *, cell: bool = True) -> list[str]:
    """The lines of a text, at most `width` wide. A word is cut only where it is longer than a line.

    Brackets at the end of a sentence, which is no table's cell, are not set apart.
    """
    return [part for line in text.split("\n") for part in _broken(line, max(width, 1), length, cell=cell)]


def _broken(line: str, width: int, length: Callable[[str], int], *, cell: bool = False) -> list[str]:
    if length(line) <= width:
        return [line]
    found = _AT_END.fullmatch(line) if cell else None
    if found and length(found["tail"]) <= width:
        return [*_broken(found["head"], width, length), found["tail"]]
    indent = " " * (len(line) - len(line.lstrip()))
    lines, last = list[str](), ""
    for piece in pieces(line):
        for word in [piece] if length(piece) <= width else piece.split(" "):
            joined = f"{last} {word}" if last else (word if lines else f"{indent}{word}")
            if length(joined) <= width:
                last = joined
                continue
            lines += [last] if last else []
            *cut, last = _cut(word, width, length)
            lines += cut
    return [*lines, last]


def _cut(word: str, width: int, length: Callable[[str], int]) -> list[str]:
    """A word in parts that fit, cut behind a slash where there is one, else behind another sign."""
    found = []
    while length(word) > width:
        end = min(len(word), width)  # no letter is narrower than one column
        while length(word[:end]) > width and end > 1:
            end -= 1
        behind = word.rfind("/", 0, end) + 1 or max(word.rfind(sign, 0, end) for sign in "_-.,") + 1
        end = behind if 3 * behind >= end else end
        found.append(word[:end])
        word = word[end:]
    return [*found, word]
