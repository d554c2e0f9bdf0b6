"""`python -m benchmarks.marks`: mark the tables whose code has changed since they were measured.

Each table names the commit that it was measured at. It is outgrown once a later commit has changed a file that it
measures, or the harness that measures it; then a line under its title says so, and goes when it is measured anew. Git
knows which commits these are, so nothing can be told from a copy without its history, nor from a shallow clone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_TRAINING = ("kws/architectures", "kws/training", "kws/speech/memory.py")
_FEATURES = ("kws/speech",)
_REGISTRY = ("kws/registry",)
_READING = (
    *(
        "all_runs",
        "copying",
        "decoding",
        "doctor",
        "evaluations",
        "ids",
        "maintenance",
        "manifests",
        "plans",
        "polling",
    ),
    *("pretrained", "pseudonyms", "queries", "selection", "table_rows", "transfer", "view"),
)
# Without what only reads, and without checkpoints in files, which no benchmark makes.
_RECORDING = (*_REGISTRY, *(f":(exclude)kws/registry/{name}.py" for name in (*_READING, "state_files")))
_SWEEPS = ("kws/sweeps", "kws/cli/sweep.py", "kws/cli/sweeping.py")
_REPLACED = tuple(f"tests/stress/{name}.py" for name in ("inspecting", "replaced", "replacing", "trainer"))
_COMMANDS = ("kws/__main__.py", "kws/cli", "kws/terminal", "kws/reports")


class NoHistoryError(Exception):
    """Why it cannot be told which commits came after a table's."""


class UnknownCommitError(Exception):
    """A table names a commit that is not in the history, though all of that is there."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A page of figures, the results that it was made of, and the files and folders that they measure."""

    page: str
    results: str
    measures: tuple[str, ...]

    def commit(self, root: Path = ROOT) -> str:
        """The commit that it was measured at."""
        return str(json.loads((root / self.results).read_text(encoding="utf-8"))["machine"]["commit"])


def _benchmarks(name: str, *modules: str, measures: tuple[str, ...]) -> Table:
    own = tuple(f"benchmarks/{module}.py" for module in modules)
    return Table(
        page=f"benchmarks/results/{name}.md", results=f"benchmarks/results/{name}.json", measures=(*measures, *own)
    )


TABLES = (
    _benchmarks(
        "first",
        "first",
        measures=("Makefile", "pyproject.toml", "constraints.txt", *_TRAINING, *_FEATURES, *_COMMANDS),
    ),
    _benchmarks(
        "latest",
        *("comparing", "growth", "ledger", "preparation", "recording", "startup", "steps", "whole_run"),
        measures=(*_TRAINING, *_FEATURES, *_REGISTRY, *_COMMANDS),
    ),
    _benchmarks(
        "networks", "networks", "plain_networks", "augmenting", "targets", measures=(*_TRAINING, "kws/recipe/presets")
    ),
    _benchmarks("sweeps", "sweeping", measures=(*_TRAINING, *_RECORDING, *_SWEEPS)),
    _benchmarks("scheduling", "scheduling", measures=(*_TRAINING, *_FEATURES, *_RECORDING, *_SWEEPS)),
    _benchmarks("writers", "writing", "ledger", measures=_RECORDING),
    _benchmarks("saturation", "saturation", "writing", "ledger", measures=_RECORDING),
    _benchmarks("many", "many", "writing", "ledger", "comparing", measures=(*_REGISTRY, *_COMMANDS)),
    _benchmarks(
        "coverage",
        "coverage",
        "coverage_rows",
        "components",
        "moments",
        measures=("kws/reports/estimates.py", "experiments.db"),
    ),
    _benchmarks(
        "inference",
        *("detecting", "detectors", "peers_detectors"),
        measures=(
            "kws/architectures",
            *_FEATURES,
            "kws/inference",
            "kws/api",
            *(f"kws/cli/{name}.py" for name in ("export", "options", "predict", "stream", "streaming")),
        ),
    ),
    _benchmarks(
        "few_clips",
        *("few_clips", "livekit_embedding"),
        measures=(
            *_TRAINING,
            *(f"kws/speech/{name}.py" for name in ("builtin_noise", "negatives", "spoken", "synthetic")),
            *("kws/cli/starting.py", "kws/inference/calibration.py", "kws/recipe/presets/best.toml"),
        ),
    ),
    Table(
        page="docs/scale.md",
        results="benchmarks/results/writers.json",
        measures=(
            *_TRAINING,
            *_RECORDING,
            *(f"benchmarks/{name}.py" for name in ("saturation", "scale", "simulation", "writing")),
        ),
    ),
    Table(
        page="tests/stress/results/latest.md",
        results="tests/stress/results/latest.json",
        measures=(*_TRAINING, *_FEATURES, *_REGISTRY, *_COMMANDS, "tests/stress", ":(exclude)tests/stress/results"),
    ),
    Table(
        page="tests/stress/results/replaced.md",
        results="tests/stress/results/replaced.json",
        measures=(*_RECORDING, "kws/training/runner.py", *_REPLACED),
    ),
    Table(
        page="tests/stress/results/layouts.md",
        results="tests/stress/results/layouts.json",
        measures=(*_FEATURES, "tests/stress/layouts.py", "tests/layouts_made_up.py"),
    ),
    Table(
        page="tests/stress/results/nodes.md",
        results="tests/stress/results/nodes.json",
        measures=(*_TRAINING, *_RECORDING, *_SWEEPS, "tests/stress/nodes.py"),
    ),
    Table(
        page="tests/stress/results/sweeps.md",
        results="tests/stress/results/sweeps.json",
        measures=(*_TRAINING, *_FEATURES, *_RECORDING, *_SWEEPS, "tests/stress/sweeps.py"),
    ),
)


def main() -> None:
    """Mark every page that is outgrown, and take the mark from those that are not; print what was changed."""
    try:
        for table in TABLES:
            path = ROOT / table.page
            text = path.read_text(encoding="utf-8")
            marked = mark(text, table.commit() if is_outgrown(table) else None)
            if marked != text:
                path.write_text(marked, encoding="utf-8")
                print(table.page)
    except (NoHistoryError, UnknownCommitError) as error:
        sys.exit(f"nothing can be marked: {error}")


def is_outgrown(table: Table, root: Path = ROOT) -> bool:
    """Whether a commit after the table's has changed what it measures.

    Raises NoHistoryError where git has no history, or not all of it, and UnknownCommitError where the table's commit is
    not in it.
    """
    if _git(root, "rev-parse", "--is-shallow-repository") != "false":
        raise NoHistoryError("this is a shallow clone; `git fetch --unshallow` brings the history")
    commit = table.commit(root)
    try:
        _git(root, "cat-file", "-e", f"{commit}^{{commit}}")
    except NoHistoryError:
        raise UnknownCommitError(f"{table.results} names commit {commit[:12]}, which is not in the history") from None
    return bool(_git(root, "rev-list", "--max-count=1", f"{commit}..HEAD", "--", *table.measures))


_MARK = "**Measured at commit "


def mark(text: str, commit: str | None) -> str:
    """A page with the line under its title that says that its figures of that commit are outgrown; None for without."""
    title, _, rest = text.partition("\n\n")
    rest = "\n".join(line for line in rest.split("\n") if not line.startswith(_MARK)).lstrip("\n")
    return f"{title}\n\n{line_of(commit)}\n\n{rest}" if commit else f"{title}\n\n{rest}"


def line_of(commit: str) -> str:
    """What a page of that commit says when it is outgrown."""
    return f"{_MARK}{commit[:12]}; the code that it measures has changed since.**"


def _git(root: Path, *arguments: str) -> str:
    """What git answers of this repository, whatever another one the environment names."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    except OSError as error:
        raise NoHistoryError(f"git cannot be run ({error.strerror})") from None
    except subprocess.CalledProcessError as error:
        raise NoHistoryError(f"git knows no history here ({' '.join(error.stderr.split())})") from None
    return done.stdout.strip()


if __name__ == "__main__":
    main()
