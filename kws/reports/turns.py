"""A metric over tables that differ in the words left out of training: the mean over groups of words, and the worst."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kws.reports.table import Table


def over_groups(tables: Sequence[Table]) -> list[str]:
    """A line a recipe that has cells in several of these tables, which differ in the words left out.

    Says the mean of its cells and the worst, each group of words alike. Each table has the interval of its own cell;
    their mean has none here, since its parts share speakers.
    """
    found: dict[tuple[Any, ...], list[tuple[float, tuple[str, ...]]]] = {}
    for table in tables:
        for cell in table.cells:
            place = cell.row, cell.column, tuple(sorted(table.conditions.items(), key=str))
            found.setdefault(place, []).append((cell.mean, table.left_out))
    lines = []
    for (row, column, _), means in found.items():
        if len({words for _, words in means}) < 2:
            continue
        worst, words = max(means)
        mean = sum(each for each, _ in means) / len(means)
        lines.append(
            f"{row}, {column}: {100 * mean:.2f} % on average over {len(means)} groups of words left out in turn, "
            f"at worst {100 * worst:.2f} % ({', '.join(words)})"
        )
    return lines
