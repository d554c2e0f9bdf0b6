"""Ten thousand made-up folders, manifests and lists, each of which is read without a file left out in silence.

Of each, every file below the folder is used, or read as a list, or counted by a reason; or the folder is refused with
a sentence. Cases are hypothesis's, without its database, so that they are the same in every run of a version of it.
"""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from tests.stress.common import REPOSITORY, Part, workspace

sys.path[:0] = [str(REPOSITORY / "tests")]

from layouts import unaccounted  # noqa: E402 - tests/ is not where modules are looked for here
from layouts_made_up import Case, cases, make  # noqa: E402

from kws.errors import DataError  # noqa: E402
from kws.speech.folder import read_folder  # noqa: E402

CASES, QUICK_CASES = 10_000, 200
_KEPT = 20


def run(quick: bool) -> Part:
    """Read the folders; returns the figures."""
    part = Part(name="layouts")
    counts: Counter[str] = Counter()
    with workspace("layouts") as folder:
        os.environ["KWS_CACHE"] = str(folder / "cache")

        @settings(
            max_examples=QUICK_CASES if quick else CASES,
            deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(cases())
        def each(case: Case) -> None:
            place = folder / "data"
            shutil.rmtree(place, ignore_errors=True)
            make(case, place)
            _read(case, place, counts, part)

        each()
    part.exactly("cases", counts["cases"], QUICK_CASES if quick else CASES)
    for name in ("tracebacks", "files unaccounted for", "times that code in a file was run"):
        part.exactly(name, counts[name], 0)
    for name in ("refused with a sentence", "files used", "files not used, by reason"):
        part.told(name, f"{counts[name]:,}")
    layouts = {name: count for name, count in counts.items() if name.startswith("found: ")}
    for name, count in sorted(layouts.items(), key=lambda each: -each[1]):
        part.told(name, f"{count:,}")
    return part


def _read(case: Case, place: Path, counts: Counter[str], part: Part) -> None:
    """Read one folder, and count what came of it."""
    counts["cases"] += 1
    try:
        found = read_folder(place, pattern=case.pattern)
        left = unaccounted(place, found)
    except DataError:
        counts["refused with a sentence"] += 1
        left = set()
    except Exception:
        counts["tracebacks"] += 1
        if counts["tracebacks"] <= _KEPT:
            part.note(f"{case}: {traceback.format_exc(limit=-3)}")
        return
    else:
        counts["files used"] += len({clip.path for clip in found.clips})
        counts["files not used, by reason"] += sum(map(len, found.unused.values()))
        counts[f"found: {found.layout}"] += 1
    counts["files unaccounted for"] += len(left)
    counts["times that code in a file was run"] += Path("canary").exists() or (place / "canary").exists()
    if left and counts["files unaccounted for"] <= _KEPT:
        part.note(f"{case}: {sorted(left)}")
