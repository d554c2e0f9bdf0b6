"""The values that the registry returns: a run, its status, its epochs and its checkpoint, as dataclasses.

Standard library only, so that reports and the edge can name these types without SQLModel.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kws.errors import RegistryError
from kws.recipe import Recipe, counted, has_rule
from kws.registry.environment import Environment

RUNNING, FINISHED, FAILED, INTERRUPTED = "running", "finished", "failed", "interrupted"
LOST = "lost"  # recorded as running, but its process is dead; never stored, determined on reading
STATUSES = (RUNNING, FINISHED, FAILED, INTERRUPTED, LOST)
UNTESTED = "untested"  # the tag of a run that is not tested when it ends, until `kws test` tests it


def require_cut_off(run_id: str, status: str) -> None:
    """Raise RegistryError if a run is finished or still running: only a run that was cut off can be resumed."""
    if status == FINISHED:
        raise RegistryError(f"run {run_id} is finished; `kws rerun {run_id}` trains it again")
    if status == RUNNING:
        raise RegistryError(f"run {run_id} is still running; wait for it, or stop it and try again")


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What is known of a run recorded as running: its actual status, and its process's last heartbeat.

    `unseen` means that the process cannot be observed from here, so that the status is only the recorded one.
    `last_seen` is then the time of its last heartbeat, by its own clock.
    """

    status: str
    unseen: bool = False
    sign: str = ""  # differs for each heartbeat
    last_seen: str | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training as recorded; accuracies are fractions, None if there is none yet.

    `validation_accuracy` is that of the last epoch. `test_accuracy` is that on the run's own test split after it; a
    finished run without one has not been tested. `last_seen` is set for a run recorded as running whose process cannot
    be observed from here: the time of its last heartbeat, by the clock of its machine.
    """

    id: str
    status: str
    error: str | None
    name: str | None
    note: str | None
    tags: tuple[str, ...] = ()
    rerun_of: str | None = None
    deleted_at: str | None = None
    started_at: str
    ended_at: str | None
    last_seen: str | None = None
    parameters: int
    multiply_accumulates: int | None = None
    data_fingerprint: str
    data_source: str
    recipe: Recipe
    environment: Environment
    epochs_done: int
    seconds: float
    validation_accuracy: float | None
    test_accuracy: float | None

    @property
    def ended_by(self) -> str | None:
        """The option of its recipe by which a finished run ended, `until` or `patience`; None if by `epochs`."""
        recipe = self.recipe
        if self.status != FINISHED:
            return None
        if recipe.until is not None and (self.validation_accuracy or 0.0) >= recipe.until:
            return "until"
        return "patience" if recipe.patience is not None and self.epochs_done < recipe.epochs else None

    @property
    def awaits_test(self) -> bool:
        """Whether it is finished but not tested yet; `kws test` tests it."""
        return self.status == FINISHED and self.test_accuracy is None


def described(run: Run) -> str:
    """A run's status for display, with the last heartbeat if its process cannot be observed from here."""
    return f"{run.status}, last seen at {run.last_seen[:19]}Z" if run.last_seen else run.status


def early_stop(run: Run) -> str | None:
    """What became of a finished run's own rule, as in "reached 97 % validation accuracy in epoch 12 of 30 after 8.3 s".

    None for a run that has no rule, or whose `patience` lasted for all epochs.
    """
    recipe, done = run.recipe, run.epochs_done
    if run.status != FINISHED or not has_rule(recipe):
        return None
    target = None if recipe.until is None else f"{100 * recipe.until:g} % validation accuracy"
    if run.ended_by == "until":
        return f"reached {target} in epoch {done} of {recipe.epochs} after {run.seconds:.1f} s"
    if recipe.patience is not None and run.ended_by == "patience":
        ended = f"ended after epoch {done} of {recipe.epochs}, {counted(recipe.patience, 'epoch')} after its best one"
        return f"{ended}, and did not reach {target}" if target else ended
    return f"did not reach {target} in {counted(done, 'epoch')}" if target else None


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state to resume a run from: a safetensors file of its state after `epoch`; its URL if it is in a file."""

    epoch: int
    data: bytes
    url: str | None = None


@dataclass(frozen=True, kw_only=True)
class Curve:
    """What a run has reached after each of its E epochs, and what it had cost by then; times add up over the epochs.

    `processor_seconds` is None if one of the epochs does not know them.
    """

    validation_accuracies: tuple[float, ...]
    seconds: tuple[float, ...]
    processor_seconds: tuple[float, ...] | None

    @property
    def all_processor_seconds(self) -> float | None:
        """The processor seconds of the whole run; None if they are not known, or if there is no epoch."""
        return self.processor_seconds[-1] if self.processor_seconds else None

    def reaches(self, accuracy: float) -> int | None:
        """The place, from 0, of the first epoch whose validation accuracy is at least that; None if there is none."""
        return next((i for i, value in enumerate(self.validation_accuracies) if value >= accuracy), None)


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of a run, with the losses and accuracies of its iterations."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float
    processor_seconds: float | None = None  # of all threads of the process; None before schema 6
    iteration_losses: tuple[float, ...]
    iteration_accuracies: tuple[float, ...]


def total_of(epochs: Sequence[Epoch]) -> float | None:
    """The processor seconds of these epochs together; None if one does not know them, or if there is none."""
    known = [epoch.processor_seconds for epoch in epochs if epoch.processor_seconds is not None]
    return sum(known) if known and len(known) == len(epochs) else None
