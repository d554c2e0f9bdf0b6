"""`python -m benchmarks [GROUP ...] [--quick]`: measure, print the table, and write it to benchmarks/results/."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from benchmarks import machine
from benchmarks.groups import GROUPS, TABLES
from benchmarks.measure import CellError, say
from benchmarks.report import Row, markdown, merged
from benchmarks.workspace import Workspace

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the groups that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure kws beside its peers.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"some of {', '.join(GROUPS)}; by default all")
    parser.add_argument("--quick", action="store_true", help="small sizes and few turns, to try the harness itself")
    arguments = parser.parse_args()
    for group in arguments.groups:
        if group not in GROUPS:
            parser.error(f"{group!r} is not one of {', '.join(GROUPS)}")
    chosen = arguments.groups or list(GROUPS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the workspace is deleted then, too
    workspace = Workspace(quick=arguments.quick, machine=machine.describe())
    rows: list[Row] = []
    start = time.perf_counter()
    try:
        for group in chosen:
            try:
                rows += GROUPS[group](workspace)
            except CellError as error:
                say(f"{group}: {error}")
                rows.append(Row(group=group, what=group, note=str(error)))
            say(f"{group}: done, {time.perf_counter() - start:.0f} s since the start")
    finally:
        workspace.delete()
    RESULTS.mkdir(exist_ok=True)
    for name, groups in TABLES.items():
        if not (mine := [group for group in chosen if group in groups]):
            continue
        file = RESULTS / (f"quick-{name}.json" if arguments.quick else f"{name}.json")
        results = merged(file, workspace.machine, mine, [row for row in rows if row.group in groups])
        text = markdown(results, quick=arguments.quick)
        file.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        file.with_suffix(".md").write_text(text, encoding="utf-8")
        print(text)


if __name__ == "__main__":
    main()
