"""`python -m tests.stress [PART ...] [--quick]`: torture kws, print the table.

It is written to tests/stress/results/, too. The exit code is 1 where a figure is not what it should be. Quick runs try
the harness; their figures are only printed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from tests.stress import disk, fuzz, kills, layouts, machine, nodes, replaced, sweeps, writers
from tests.stress.common import say
from tests.stress.report import markdown, merged, record

PARTS = {
    "kills": kills.run,
    "sweeps": sweeps.run,
    "replaced": replaced.run,
    "writers": writers.run,
    "disk": disk.run,
    "fuzz": fuzz.run,
    "layouts": layouts.run,
    "nodes": nodes.run,
}
_OWN = {"sweeps", "replaced", "layouts", "nodes"}  # tables of their own
_LONG = {"nodes"}  # also with small numbers, for a run of a node that is gone is watched for 90 s first
_FILES = {"latest": PARTS.keys() - _OWN, **{name: {name} for name in sorted(_OWN)}}
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.stress", description="Kill, crowd, starve and confuse kws.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}; by default all")
    parser.add_argument("--quick", action="store_true", help="small numbers, to try the harness itself")
    parser.add_argument("--case", type=int, metavar="NUMBER", help="do one case of fuzz again, and show its end")
    arguments = parser.parse_args()
    for part in arguments.parts:
        if part not in PARTS:
            parser.error(f"{part!r} is not one of {', '.join(PARTS)}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell ignores for what is in its background
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that temporary folders are deleted then, too
    if arguments.case is not None:
        fuzz.repeat(arguments.case)
        return
    every = PARTS.keys() - (_LONG if arguments.quick else set())
    chosen = [name for name in PARTS if name in (arguments.parts or every)]
    about, parts, holds = machine.describe(), list[dict[str, Any]](), True
    for name in chosen:
        start = time.perf_counter()
        part = PARTS[name](arguments.quick)
        parts.append(record(part, time.perf_counter() - start))
        holds = holds and part.holds
        say(f"{name}: {'holds' if part.holds else 'DOES NOT HOLD'}, {parts[-1]['seconds']:.0f} s")
    RESULTS.mkdir(exist_ok=True)
    for file, of in _FILES.items():
        if not (mine := [part for part in parts if part["part"] in of]):
            continue
        if arguments.quick:
            print(markdown({"machine": about, "parts": mine}, quick=True))
            continue
        results = merged(RESULTS / f"{file}.json", about, mine, list(PARTS))
        text = markdown(results, quick=False)
        (RESULTS / f"{file}.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        (RESULTS / f"{file}.md").write_text(text, encoding="utf-8")
        print(text)
    sys.exit(not holds)


if __name__ == "__main__":
    main()
