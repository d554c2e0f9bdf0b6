"""What the registry answers with: a run, its epochs and its evaluations, as plain values.

Standard library only, so that reports and the edge can name these types without SQLModel.
"""

from dataclasses import dataclass

from kws.errors import RegistryError
from kws.recipe import Recipe
from kws.registry.environment import Environment

RUNNING, FINISHED, FAILED, INTERRUPTED = "running", "finished", "failed", "interrupted"
LOST = "lost"  # recorded as running, but its process is gone; never in the file, seen when it is read
STATUSES = (RUNNING, FINISHED, FAILED, INTERRUPTED, LOST)
UNTESTED = "untested"  # the tag of a run that is not tested at its end, until `kws test` does it


def require_cut_off(run_id: str, status: str) -> None:
    """Raise RegistryError for a run that is finished or still running: only one that was cut off can go on."""
    if status == FINISHED:
        raise RegistryError(f"run {run_id} is finished; `kws rerun {run_id}` trains it again")
    if status == RUNNING:
        raise RegistryError(f"run {run_id} is still running; wait for it, or stop it and try again")


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What is known of a run recorded as running: its true status, and its process's last sign of life.

    `unseen` is whether that process cannot be seen from here, so that its status is only what was recorded; then
    `last_seen` is the time of its last sign, by its own clock.
    """

    status: str
    unseen: bool = False
    sign: str = ""  # another one for each sign of life
    last_seen: str | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """One training as the registry has it; accuracies are fractions, None where there is none yet.

    `validation_accuracy` is that of the last epoch, `test_accuracy` that of the run's own test split after it; a
    finished run without one has not been tested. One that is recorded as running, and whose process cannot be seen from
    here, has `last_seen`: its last sign of life, by the clock of its machine.
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
    def awaits_test(self) -> bool:
        """Whether it is finished and not tested, which `kws test` makes up for."""
        return self.status == FINISHED and self.test_accuracy is None


def described(run: Run) -> str:
    """A run's status as it is told: one that cannot be seen from here with its last sign of life."""
    return f"{run.status}, last seen at {run.last_seen[:19]}Z" if run.last_seen else run.status


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Where a run can go on: a safetensors file of its state after an epoch."""

    epoch: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of a run, with the losses and accuracies of its iterations."""

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float
    iteration_losses: tuple[float, ...]
    iteration_accuracies: tuple[float, ...]
