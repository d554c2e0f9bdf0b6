"""A process that reads a registry again and again until its stdin says stop: `python -m tests.stress.reading REGISTRY`.

In turns it runs `kws runs list`, `kws compare` and `kws db info` in this process, and looks at runs, epochs, answers
and weights by kws.registry.reader. Its last line is JSON: how many reads, how many before there was a registry, and
what went wrong.
"""

from __future__ import annotations

import json
import select
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner

from kws.cli import app
from kws.errors import RegistryError
from kws.registry.reader import RegistryReader

_MOST_ERRORS = 20
_NONE_YET = "there is no registry at"


class _WrongError(Exception):
    """Something that a reader saw and that cannot be."""


def main() -> None:
    """Read until told to stop."""
    db = Path(sys.argv[1])
    seen: dict[str, int] = {}
    turns: list[Callable[[], None]] = [
        lambda: _command("runs", "list", "--json", "--db", str(db)),
        lambda: _command("compare", "--format", "json", "--db", str(db)),
        lambda: _command("db", "info", "--json", "--db", str(db)),
        lambda: _look(db, seen),
    ]
    reads, early, errors = 0, 0, []
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], 0)[0]:
        for turn in turns:
            try:
                turn()
                reads += 1
            except RegistryError as error:
                if _NONE_YET in str(error) and not reads:
                    early += 1
                else:
                    errors.append(str(error))
            except Exception as error:
                errors.append(" ".join(traceback.format_exception(error)[-2:]))
    print(json.dumps({"reads": reads, "early": early, "errors": errors[:_MOST_ERRORS]}), flush=True)


def _command(*arguments: str) -> None:
    """Run a command here. Raises what it raised, and RegistryError for what it said where its exit code is not 0."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code:
        raise RegistryError(f"`kws {arguments[0]}` ended with {result.exit_code}: {result.stderr.strip()}")


def _look(db: Path, seen: dict[str, int]) -> None:
    """Whether what the registry says of every run belongs together, and is no less than what it said before."""
    with RegistryReader(db) as registry:
        runs = registry.runs()
        if missing := seen.keys() - {run.id for run in runs}:
            raise _WrongError(f"the runs {', '.join(missing)} have gone")
        for run in runs:
            numbers = [epoch.epoch for epoch in registry.epochs(run.id)]
            if numbers != list(range(1, len(numbers) + 1)) or len(numbers) < run.epochs_done:
                raise _WrongError(f"run {run.id} says {run.epochs_done} epochs and has {numbers}")
            if len(numbers) < seen.get(run.id, 0):
                raise _WrongError(f"run {run.id} had {seen[run.id]} epochs and has {len(numbers)}")
            seen[run.id] = len(numbers)
            if run.status not in ("running", "finished"):
                raise _WrongError(f"run {run.id} is {run.status}")
            if run.status == "finished" and not (registry.weights(run.id) and registry.evaluations(run.id)):
                raise _WrongError(f"run {run.id} is finished without answers")


if __name__ == "__main__":
    main()
