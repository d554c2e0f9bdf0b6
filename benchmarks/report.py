"""Rows, and how they become JSON and Markdown.

A row says what was measured, what kws gave, what it is held against, their ratio, what was wanted of it, whether that
holds, and n, which is the number of pairs where there is a ratio. Each figure is a median with the least and the most
in brackets. `holds` is None where nothing was wanted, or where it could not be told.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Samples

SCHEMA = 1
_RATIOS: dict[str, Callable[[float], str]] = {
    "faster": lambda ratio: f"{number(ratio)} times as fast",
    "smaller": lambda ratio: f"{number(ratio)} times as small",
    "share": lambda ratio: f"{100 * ratio:.1f} %",
    "times": lambda ratio: f"{number(ratio)} times",
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table; `reading` says how the ratio is to be read: faster, smaller, share or times."""

    group: str
    what: str
    unit: str = ""
    ours: Samples | None = None
    against: str = ""
    theirs: Samples | None = None
    ratio: Samples | None = None
    reading: str = "faster"
    wanted: str = ""
    holds: bool | None = None
    note: str = ""

    def record(self) -> dict[str, Any]:
        """As JSON."""
        figures = {name: _record(getattr(self, name)) for name in ("ours", "theirs", "ratio")}
        return {**vars(self), **figures}


def missing(row: str, group: str, peer: str, reason: str) -> Row:
    """The row of a peer that could not be measured."""
    return Row(group=group, what=row, against=peer, note=reason)


def compared(
    *,
    group: str,
    what: str,
    unit: str,
    ours: Samples | None,
    against: str,
    theirs: Samples | None,
    more_is_better: bool = False,
    least: float | None = None,
    most: float | None = None,
    note: str = "",
    reading: str = "faster",
) -> Row:
    """What kws takes beside a peer. Wanted are a ratio of at least `least`, and of ours at most `most`."""
    ratio = None
    if ours and theirs:
        ratio = ours.over(theirs) if more_is_better else theirs.over(ours)
    wanted = [f"at most {number(most)} {unit}"] if most is not None else []
    how = {"faster": "as fast"}.get(reading, reading)
    wanted += [f"{least:g} times {how}"] if least is not None else []
    kept = [ours.median <= most if ours else None] if most is not None else []
    kept += [ratio.median >= least if ratio else None] if least is not None else []
    return Row(
        group=group,
        what=what,
        unit=unit,
        ours=ours,
        against=against,
        theirs=theirs,
        ratio=ratio,
        reading=reading,
        wanted=", ".join(wanted),
        holds=None if not kept or None in kept else all(kept),
        note=note,
    )


def merged(path: Path, machine: dict[str, Any], groups: Sequence[str], rows: list[Row]) -> dict[str, Any]:
    """These rows, with those of other groups that were measured on the same machine at the same commit."""
    new = {"schema": SCHEMA, "machine": machine, "rows": [row.record() for row in rows]}
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return new
    same = ("cpu", "cores", "python", "packages", "commit", "changes")
    if old.get("schema") == SCHEMA and all(old["machine"].get(key) == machine[key] for key in same):
        kept = [row for row in old["rows"] if row["group"] not in groups]
        from benchmarks.groups import GROUPS

        order = list(GROUPS)
        new["rows"] = sorted(kept + new["rows"], key=lambda row: order.index(row["group"]))
    return new


def markdown(results: dict[str, Any], *, quick: bool) -> str:
    """The machine and the table."""
    warning = ["**A quick run on small sizes: these figures are not to be quoted.**", ""] if quick else []
    lines = ["# Benchmarks", "", *warning, *_header(results["machine"]), ""]
    lines += ["Medians; in brackets the least and the most of n. Ratios are taken turn by turn.", ""]
    lines += ["| what | kws | against | theirs | ratio | wanted | holds | n |", "|" + " --- |" * 8]
    lines += [_line(row) for row in results["rows"]]
    notes = list(dict.fromkeys(f"- {row['what']}: {row['note']}" for row in results["rows"] if row["note"]))
    return "\n".join([*lines, *(["", "Notes", "", *notes] if notes else []), ""])


def _header(machine: dict[str, Any]) -> list[str]:
    peaks = ", ".join(f"{value:,.0f} GFLOP/s in {name}" for name, value in machine["peak_gflops"].items()) or "unknown"
    packages = ", ".join(f"{name} {found or 'missing'}" for name, found in machine["packages"].items())
    commit = (machine["commit"] or "unknown")[:12] + (" with changes" if machine["changes"] else "")
    return [
        f"- Processor: {machine['cpu']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"{machine['memory_gb']} GB, {machine['system']}; {', '.join(machine['flags']) or 'no flags known'}; "
        f"load {machine['load_average']} at the start",
        f"- Matrix-product peak: {peaks}",
        f"- Versions: Python {machine['python']}, {packages}",
        f"- Commit: {commit}",
    ]


def _line(row: dict[str, Any]) -> str:
    n = next((str(row[name]["n"]) for name in ("ratio", "ours", "theirs") if row[name]), "")
    holds = {True: "yes", False: "**no**", None: ""}[row["holds"]]
    if row["theirs"]:
        theirs = _figure(row["theirs"], row["unit"])
    else:
        theirs = row["note"] if row["against"] and not row["ours"] else ""
    cells = [row["what"], _figure(row["ours"], row["unit"]), row["against"], theirs, _ratio(row), row["wanted"]]
    return f"| {' | '.join([*cells, holds, n])} |"


def _figure(record: dict[str, Any] | None, unit: str) -> str:
    if record is None:
        return ""
    spread = f" ({number(record['least'])} .. {number(record['most'])})" if record["n"] > 1 else ""
    return f"{number(record['median'])} {unit}".rstrip() + spread


def _ratio(row: dict[str, Any]) -> str:
    if row["ratio"] is None:
        return ""
    text = _RATIOS[row["reading"]]
    ratio = row["ratio"]
    spread = f" ({number(ratio['least'])} .. {number(ratio['most'])})" if row["reading"] != "share" else ""
    return text(ratio["median"]) + (spread if ratio["n"] > 1 else "")


def _record(samples: Samples | None) -> dict[str, Any] | None:
    if samples is None:
        return None
    summary = {"n": samples.n, "median": samples.median, "least": samples.least, "most": samples.most}
    return summary | {"values": list(samples.values)}


def number(value: float) -> str:
    """A number with three digits that count."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
