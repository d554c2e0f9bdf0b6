"""The parts' figures as JSON and as a table."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.stress.common import REPOSITORY, Part

SCHEMA = 1
_FOLDERS = re.compile(r"[^\s'\"=]*kws-torture-[\w-]+/")
_SAME = ("cpu", "cores", "python", "sqlite", "packages", "commit", "changes")
_HOLDS = {True: "yes", False: "**no**", None: ""}


def record(part: Part, seconds: float) -> dict[str, Any]:
    """A part as JSON, without this machine's folders."""
    figures = [vars(figure) for figure in part.figures]
    text = json.dumps({"figures": figures, "notes": part.notes, **part.details})
    text = _FOLDERS.sub("", text).replace(f"{REPOSITORY}/", "")
    return {"part": part.name, "seconds": round(seconds, 1), **json.loads(text)}


def merged(path: Path, machine: dict[str, Any], parts: list[dict[str, Any]], order: Sequence[str]) -> dict[str, Any]:
    """These parts, with those of others that were run on the same machine and sources."""
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        old = {}
    kept = []
    if old.get("schema") == SCHEMA and all(old["machine"].get(key) == machine[key] for key in _SAME):
        new = {part["part"] for part in parts}
        kept = [part for part in old["parts"] if part["part"] not in new]
    every = sorted(kept + parts, key=lambda part: order.index(part["part"]))
    return {"schema": SCHEMA, "machine": machine, "parts": every}


def markdown(results: dict[str, Any], *, quick: bool) -> str:
    """The table, then the machine and how long each part took."""
    warning = ["**A quick run: these figures are not to be quoted.**", ""] if quick else []
    lines = ["# Torture", "", *warning, "| test | figure | wanted | holds |", "|" + " --- |" * 4]
    for part in results["parts"]:
        for figure in part["figures"]:
            cells = [f"{part['part']}: {figure['what']}", _number(figure["value"]), figure["wanted"]]
            lines.append(f"| {' | '.join([*cells, _HOLDS[figure['holds']]])} |")
    notes = [f"- {part['part']}: {_escaped(note)}" for part in results["parts"] for note in part["notes"]]
    return "\n".join([*lines, "", *_about(results), "", *(["What went wrong", "", *notes, ""] if notes else [])])


def _about(results: dict[str, Any]) -> list[str]:
    machine = results["machine"]
    seconds = ", ".join(f"{part['part']} {part['seconds']:,.0f}" for part in results["parts"])
    packages = ", ".join(f"{name} {found or 'missing'}" for name, found in machine["packages"].items())
    commit = (machine["commit"] or "unknown")[:12] + (" with changes" if machine["changes"] else "")
    return [
        f"- Processor: {machine['cpu']}, {machine['cores']} cores, {machine['system']}",
        f"- Versions: Python {machine['python']}, SQLite {machine['sqlite']}, {packages}",
        f"- Commit: {commit}",
        f"- Seconds: {seconds}",
    ]


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,}"


def _escaped(text: str) -> str:
    """Text from outside, so that Markdown shows it as it is."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text).replace("|", "\\|").replace("`", "'")
