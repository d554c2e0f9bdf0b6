"""Places the rows of a layout: which file each stands for, and why every other file and line is not used.

Decisions:
- A file that is there twice in a manifest counts once. With two words or splits it is an error, which counts all such
  clips: nobody can know which is meant, and a manifest that contradicts itself once may be wrong elsewhere.
- Files outside the data's folder are used where a manifest names them, and that is said.
- Where no row of a manifest names a file that is there, that is an error: its paths are relative to another folder.
"""

from __future__ import annotations

from typing import NamedTuple

from kws.errors import DataError
from kws.speech.digests import Stamp
from kws.speech.found import Found, Row
from kws.speech.names import folded
from kws.speech.tree import Tree, kind_of, left_out_folder
from kws.speech.walk import MISSING, TWICE


class Placed(NamedTuple):
    """A row with its file: its path below the folder, or its whole path where it is outside."""

    row: Row
    name: str
    path: str
    stamp: Stamp
    at_ms: int | None
    end_ms: int | None


def placed(tree: Tree, found: Found) -> tuple[list[Placed], dict[str, list[str]]]:
    """The rows with their files, ordered by word and name, and everything that is not used, by reason.

    Raises DataError for a clip with two words or splits, and for a manifest none of whose files is there.
    """
    clips: dict[tuple[str, int | None, int | None], Placed] = {}
    unused = {reason: [*lines] for reason, lines in found.lines.items()}
    contradicted: dict[tuple[str, int | None, int | None], tuple[Row, Row]] = {}
    for row in found.rows:
        name = row.path if found.by_folder else tree.resolved(row.path, row.base)
        if name is None:
            unused.setdefault(MISSING, []).append(f"{row.line} ({row.path})")
        elif why := kind_of(name, ""):
            if name not in tree.files and name not in unused.get(why, ()):
                unused.setdefault(why, []).append(name)
        else:
            at_ms, end_ms = (None if time is None else round(1000 * time) for time in (row.start_s, row.end_s))
            clip = Placed(row, name, *tree.about(name)[:2], at_ms, end_ms)
            first = clips.setdefault((name, at_ms, end_ms), clip)
            if first is not clip:
                if not _is_same(first.row, row):
                    contradicted.setdefault((name, at_ms, end_ms), (first.row, row))
                unused.setdefault(TWICE, []).append(row.line)
    if contradicted:
        raise _contradiction(list(contradicted.values()))
    if found.rows and not clips and MISSING in unused:
        raise DataError(
            f"{found.read[0]} names {len(found.rows):,} files, and none of them is in {tree.folder}: the first is "
            f"{found.rows[0].path}; its paths must be relative to the folder that it is in, or absolute"
        )
    taken = {name for name, _, _ in clips}
    for name in tree.files:
        if name not in taken and name not in found.read:
            unused.setdefault(_reason(tree, found, name), []).append(name)
    for reason, folders in tree.left.items():
        unused.setdefault(reason, []).extend(folders)
    order = sorted(clips.values(), key=lambda clip: (clip.row.word, clip.name, clip.at_ms or 0, clip.end_ms or 0))
    return order, {reason: names for reason, names in unused.items() if names}


def _reason(tree: Tree, found: Found, name: str) -> str:
    reason = tree.reason(name, found.otherwise)
    if reason == found.otherwise and not left_out_folder(name):
        return next((why for place, why in found.reasons.items() if name.startswith(place)), reason)
    return reason


def _is_same(first: Row, second: Row) -> bool:
    """Whether two lines say the same word and split of a clip."""
    return all(
        folded(one or "") == folded(other or "")
        for one, other in ((first.word, second.word), (first.split, second.split))
    )


def _contradiction(pairs: list[tuple[Row, Row]]) -> DataError:
    """The error for clips with two words or splits, each with the two lines that say so."""
    first, second = pairs[0]
    which = 0 if folded(first.word) != folded(second.word) else 1
    says, other = ((row.word, row.split)[which] or "without a split" for row in (first, second))
    more = f"{len(pairs) - 1:,} more clip{' has' if len(pairs) == 2 else 's have'} two words or splits, too; "
    return DataError(
        f"{first.path} is {says} in {first.line}, and {other} in {second.line}; {more if len(pairs) > 1 else ''}a clip "
        "has one word and one split, so delete one of the lines"
    )
