"""Finds pieces of recordings that share sound with a piece in another split."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple


class Piece(NamedTuple):
    """A clip's file, where it begins and ends there in milliseconds (an end of None is the file's own), its split."""

    file: str
    begin_ms: int
    end_ms: int | None
    split: str

    @property
    def end(self) -> float:
        """Where it ends, infinity for the file's own end."""
        return math.inf if self.end_ms is None else self.end_ms


def in_other_splits(pieces: Sequence[Piece]) -> list[int]:
    """The places of the pieces that overlap, in their file, a piece in another split; in order."""
    files: dict[str, list[int]] = {}
    for place, piece in enumerate(pieces):
        files.setdefault(piece.file, []).append(place)
    found: set[int] = set()
    for places in files.values():
        if len({pieces[place].split for place in places}) > 1:
            found |= _of_one_file(pieces, sorted(places, key=lambda place: pieces[place].begin_ms))
    return sorted(found)


def _of_one_file(pieces: Sequence[Piece], order: Sequence[int]) -> set[int]:
    """Those that overlap one that begins before them in another split, and one that begins after them."""
    found = set()
    ends: dict[str, float] = {}
    for place in order:
        piece = pieces[place]
        if max(_without(ends, piece.split), default=-math.inf) > piece.begin_ms:
            found.add(place)
        ends[piece.split] = max(ends.get(piece.split, -math.inf), piece.end)
    begins: dict[str, float] = {}
    for place in reversed(order):
        piece = pieces[place]
        if min(_without(begins, piece.split), default=math.inf) < piece.end:
            found.add(place)
        begins[piece.split] = piece.begin_ms
    return found


def _without(of: Mapping[str, float], split: str) -> Iterator[float]:
    return (value for each, value in of.items() if each != split)
