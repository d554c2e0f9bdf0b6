"""Where a text may be broken over lines: between words, never within a number, or between it and its unit.

"93.39 % (91.88 to 94.64, n = 5)" is three pieces. What is in brackets at the end stands on a line of its own where
there is no room for one line, if it fits there.
"""

from __future__ import annotations

import re
from collections.abc import Callable

_BOUND = re.compile(
    r"(?<=\d) (?=(?:%|s|ms|min|h|MB|GB|Hz|kHz|dB|dBFS|nats)(?![\w/]))"  # a number and its unit
    r"|(?<=\d) (?=s/)"
    r"|(?<=\w) (?== [-+\d])|(?<=\w =) (?=[-+\d])"  # n = 40
    r"|(?<=[\d%s]) (?=\u00b1 \d)|(?<=\u00b1) (?=\d)"
    r"|(?<=\d) (?=to [-+]?\d)|(?<=\d to) (?=[-+]?\d)"
    r"|(?<=\d) (?=/ \d)|(?<=\d /) (?=\d)"
)
_HELD = "\0"  # stands for a space at which a line is not broken
_AT_END = re.compile(r"(?P<head>.*\S) (?P<tail>\([^()]*\d[^()]*\)(?: [=*])*)")
_LONGEST = 40  # letters of a piece that are kept together at the expense of other columns
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
        return length(piece) if _DIGEST.fullmatch(piece) else min(length(piece), _LONGEST)

    of_words, of_pieces = (max(map(need, found), default=0) for found in (text.split(), pieces(text)))
    found = _AT_END.fullmatch(text)
    return max(length(found["tail"]), needs(found["head"], length)[1]) if found else of_pieces, of_pieces, of_words


def broken(text: str, width: int, length: Callable[[str], int] = len) -> list[str]:
    """The lines of a text, at most `width` wide. A word is cut only where it is longer than a line."""
    return [part for line in text.split("\n") for part in _broken(line, max(width, 1), length)]


def _broken(line: str, width: int, length: Callable[[str], int]) -> list[str]:
    if length(line) <= width:
        return [line]
    found = _AT_END.fullmatch(line)
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
    """A word in parts that fit, cut behind a slash or the like where there is one."""
    found = []
    while length(word) > width:
        end = min(len(word), width)  # no letter is narrower than one column
        while length(word[:end]) > width and end > 1:
            end -= 1
        behind = max(word.rfind(sign, 0, end) for sign in "/_-.,") + 1
        end = behind if 2 * behind >= end else end
        found.append(word[:end])
        word = word[end:]
    return [*found, word]
