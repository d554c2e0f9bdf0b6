"""`last` for commands that need more of a run than that it is there: the last run that has it, and which that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from kws.registry.runs import FINISHED, RUNNING

if TYPE_CHECKING:
    from kws.registry.reader import RegistryReader
    from kws.registry.runs import Run

LAST = "last"
Lacks = Callable[["Run"], str]  # what a run lacks, as in "has no weights"; "" where it has all
Need = Callable[["RegistryReader"], Lacks]  # which asks the registry once, however many runs are looked at


def finished(_: RegistryReader) -> Lacks:
    """A training that came to its end."""
    return _unfinished


def weights(registry: RegistryReader) -> Lacks:
    """Weights of a finished training."""
    kept = registry.with_weights()
    return lambda run: _unfinished(run) or ("" if run.id in kept else "has no weights")


def tested(_: RegistryReader) -> Lacks:
    """Answers on the test split."""
    return _untested


def epochs(_: RegistryReader) -> Lacks:
    """An epoch, of a run that may still train."""
    return lambda run: "" if run.epochs_done else f"is {run.status} and has no epochs"


def fold(_: RegistryReader) -> Lacks:
    """A fold of cross-validation, tested."""
    return lambda run: "is of no fold" if run.recipe.fold is None else _untested(run)


def cut_off(_: RegistryReader) -> Lacks:
    """A training that was begun and is to be gone on with."""
    return lambda run: f"is {run.status}" if run.status in (FINISHED, RUNNING) else ""


def _unfinished(run: Run) -> str:
    return "" if run.status == FINISHED else f"is {run.status}"


def _untested(run: Run) -> str:
    return _unfinished(run) or ("is not tested" if run.awaits_test else "")


def run_of(registry: RegistryReader, reference: str, need: Need) -> Run:
    """The run that a reference names; `last` is the last one that has what is needed, which is said if others follow.

    Where none has it, it is the very last, so that the command says what it lacks. Raises UnknownRunError.
    """
    found = registry.run(reference)
    if reference != LAST:
        return found
    lacks = need(registry)
    if not (lacking := lacks(found)):
        return found
    for run in reversed(registry.runs()):
        if not lacks(run):
            from kws.terminal import console

            at = run.started_at[:16].replace("T", " ")
            console.say(f"last: run {run.id} of {at}; run {found.id} after it {lacking}")
            return run
    return found
