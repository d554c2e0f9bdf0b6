"""`last` for commands that need more of a run than that it is there: the last run that has it, and which that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kws.registry.runs import FINISHED, RUNNING

if TYPE_CHECKING:
    from kws.registry.reader import RegistryReader
    from kws.registry.runs import Run

LAST = "last"
Need = Callable[["RegistryReader", "Run"], str]  # what a run lacks, as in "has no weights"; "" where it has all


def finished(_: RegistryReader, run: Run) -> str:
    """A training that came to its end."""
    return "" if run.status == FINISHED else f"is {run.status}"


def weights(registry: RegistryReader, run: Run) -> str:
    """Weights of a finished training."""
    return finished(registry, run) or ("" if run.id in registry.with_weights() else "has no weights")


def tested(registry: RegistryReader, run: Run) -> str:
    """Answers on the test split."""
    return finished(registry, run) or ("is not tested" if run.awaits_test else "")


def epochs(_: RegistryReader, run: Run) -> str:
    """An epoch, of a run that may still train."""
    return "" if run.epochs_done else f"is {run.status} and has no epochs"


def fold(registry: RegistryReader, run: Run) -> str:
    """A fold of cross-validation, tested."""
    return "is of no fold" if run.recipe.fold is None else tested(registry, run)


def cut_off(_: RegistryReader, run: Run) -> str:
    """A training that was begun and is to be gone on with."""
    return f"is {run.status}" if run.status in (FINISHED, RUNNING) else ""


def run_of(registry: RegistryReader, reference: str, need: Need) -> Run:
    """The run that a reference names; `last` is the last one that has what is needed, which is said if others follow.

    Where none has it, it is the very last, so that the command says what it lacks. Raises UnknownRunError.
    """
    found = registry.run(reference)
    if reference != LAST or not (lacks := need(registry, found)):
        return found
    for run in reversed(registry.runs()):
        if not need(registry, run):
            from kws.terminal import console

            at = run.started_at[:16].replace("T", " ")
            console.say(f"last: run {run.id} of {at}; run {found.id} after it {lacks}")
            return run
    return found
