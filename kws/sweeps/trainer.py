"""Trainer: what one process of a sweep does. It claims runs, trains them, and keeps its state from one run to the next.

Tasks and results are plain values, so that they can be sent through a pipe as JSON or to another machine. A process
claims a run in the registry before it works on it. If the run cannot be claimed, the run's current status is the
result. Everything that ends a run becomes a result, except Ctrl-C, SIGTERM and SIGHUP, which raise Stopped.
"""

from __future__ import annotations

import hashlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kws
from kws.errors import DataError, KwsError, NotOursError, UnavailableError
from kws.events import TRAIN, EpochEnd
from kws.recipe import Recipe, own
from kws.registry import endings, pretrained, state_files
from kws.registry.claims import Claimer, Wanted
from kws.registry.environment import Environment
from kws.registry.location import Location, in_full, locate
from kws.registry.patience import SECONDS, STOP_SECONDS
from kws.registry.runs import FAILED, INTERRUPTED, RUNNING, UNTESTED, Checkpoint
from kws.registry.state_files import left_behind
from kws.speech.cache import unusable
from kws.training import runner
from kws.training.reporter import Messages
from kws.training.stopping import Stopped

if TYPE_CHECKING:
    from kws.registry.pretrained import Pretrained
    from kws.registry.relayed import RelayedRegistry
    from kws.speech.dataset import Dataset
    from kws.training.loop import Training

REFUSED = "refused"  # this process cannot work for the sweep at all
_TIMED_CLIPS = 256
DIED = "died"  # the process that had the task died; its executor says so
Task = dict[str, Any]
Result = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """The configuration of all processes of a sweep: the registry, the sweep's command line and its working folder.

    Without `test`, runs are not tested at their end. `patience` is for how many seconds they go on while the registry
    is away; `checkpoints` and `weights` are the places of theirs, None for the registry. `code` is the digest of the
    sweep's own kws package; a worker's must be the same. `sources` are the networks of the user's own that the command
    named, each its source and file.
    """

    db: str
    retry: bool
    skip_unreadable: bool
    test: bool
    arguments: tuple[str, ...]
    folder: str
    code: str
    patience: float = SECONDS
    checkpoints: str | None = None
    weights: str | None = None
    sources: tuple[tuple[str, str], ...] = ()

    @classmethod
    def here(
        cls,
        db: Location,
        *,
        skip_unreadable: bool,
        retry: bool = False,
        test: bool = True,
        patience: float = SECONDS,
        checkpoints: str | None = None,
        weights: str | None = None,
    ) -> WorkerConfig:
        """The configuration for workers of this command."""
        places = {name: files and files.place for name, files in state_files.tried(checkpoints, weights).items()}
        return cls(
            db=in_full(db),
            retry=retry,
            skip_unreadable=skip_unreadable,
            test=test,
            arguments=tuple(sys.argv[1:]),
            folder=str(Path.cwd()),
            code=code_digest(),
            patience=patience,
            checkpoints=places["files"],
            weights=places["weight_files"],
            sources=own.sources(),
        )


class Trainer:
    """The state of one process that trains for a sweep. Raises KwsError if it cannot work for this sweep.

    `news` gets what its runs say while they train: that the registry is away, or that a checkpoint cannot be written.
    """

    def __init__(self, config: WorkerConfig, news: Callable[[str], object] | None = None) -> None:
        if config.code != code_digest():
            raise KwsError(
                f"the code of kws {kws.__version__} in {Path(kws.__file__).parent} is not the sweep's; install the same"
            )
        for source, file in config.sources:
            own.taken(source, file)
        with suppress(OSError):  # another machine may lack it; absolute paths of data and registry do not need it
            os.chdir(config.folder)
        self._config = config
        self._notes: dict[str, None] = {}  # what its runs said that nobody has heard
        self._reporter = Messages(news or (lambda message: self._notes.update({message: None})))
        self._registry = _opened(config, news or (lambda _: None))
        self._environment = Environment.here(list(config.arguments))
        self._loaded: dict[tuple[Any, ...], Dataset] = {}
        self._starts: dict[str, Pretrained | None] = {}  # by recipes' values of `pretrained`

    def probe(self, recipe: Recipe, *, features: Mapping[str, Any] | None = None) -> Result:
        """The fingerprint of a recipe's data, and the messages about the data that should be shown.

        Computes the features if they are missing, with a progress bar.
        """
        from kws.speech import sentences

        loaded = self._data(recipe, features, tracked=True)
        told = [f"{loaded.card.source}: {line}" for line in sentences.about(loaded, recipe.data, recipe.partition)]
        return {"fingerprint": loaded.card.fingerprint, "told": told}

    def time(self, recipe: Recipe) -> Result:
        """An estimate of the seconds per epoch, from a few steps on random clips."""
        from kws.training import profile

        clips = len(self._data(recipe).splits[TRAIN])
        size = min(recipe.batch_size, clips, _TIMED_CLIPS)
        return {"seconds": clips / profile.clips_per_second(recipe, clips=size, repeats=3)}

    def train(
        self,
        recipe: Recipe,
        *,
        features: Mapping[str, Any] | None = None,
        fingerprint: str | None = None,
        silent: str | None = None,
        tags: tuple[str, ...] = (),
        most: int | None = None,
        medians: Sequence[float | None] = (),
    ) -> Result:
        """The outcome of a recipe's run; trains it if the registry lacks it, and resumes it if it was cut off.

        `features` is the result of a listing, if the clips have already been listed on this machine. The run gets the
        `tags`; if `most` runs have them already, it does not begin, and the status is NOT_BEGUN. It is pruned after an
        epoch at which its best validation accuracy is below that epoch's median, of those given. Raises DataError if
        the data here does not have the given fingerprint.
        """
        loaded = self._data(recipe, features)
        if fingerprint and loaded.card.fingerprint != fingerprint:
            raise DataError(
                f"{recipe.data} holds other clips here ({loaded.card.fingerprint[:12]}) "
                f"than where the sweep began ({fingerprint[:12]}); give --data that is the same on all machines"
            )
        try:
            state, network = runner.begin(recipe, loaded, self._start_of(recipe))
        except UnavailableError:
            raise  # this process cannot work now, which is no fault of the recipe
        except (KwsError, RuntimeError, MemoryError) as error:
            return {"status": FAILED, "run": None, "error": _sentence(error)}
        wanted = Wanted.of(
            recipe,
            loaded.card,
            retry=self._config.retry,
            parameters=network.parameters,
            multiply_accumulates=network.multiply_accumulates,
            environment=self._environment,
            tags=tags,
            most=most,
            silent=silent,
            source=own.source_of(recipe.source),
        )
        claim = self._registry.claim(wanted)
        if not claim.mine:
            told = {"sign": claim.sign, "last_seen": claim.last_seen, "before": True}
            return {"status": claim.before, "run": claim.run, "error": claim.error, **told}
        if claim.before and not self._config.test:
            self._registry.tag(claim.run, [UNTESTED])
        try:
            checkpoint = self._restored(claim.run, state) if claim.before else None
            done = self._registry.validation_accuracies(claim.run)[: state.epoch] if medians else []
            keep_going = _not_below(medians, done)
            with left_behind(self._registry, claim.run, checkpoint, again=bool(claim.before)):
                run = runner.execute(
                    self._registry,
                    claim.run,
                    state,
                    recipe,
                    loaded,
                    keep_going=keep_going,
                    reporter=self._reporter,
                    again="",
                )
        except NotOursError:
            return {"status": RUNNING, "run": claim.run, "error": None, "sign": None, "last_seen": None}
        except KeyboardInterrupt as stop:  # before its first epoch
            self._registry.patience.end_in(STOP_SECONDS)
            about = self._registry, claim.run, loaded.card, INTERRUPTED, None, self._reporter.say
            endings.record(*about, seconds=STOP_SECONDS)
            raise Stopped(stop) from None
        except Exception as error:
            if not isinstance(error, KwsError | RuntimeError | MemoryError):  # unexpected
                traceback.print_exc()
            return {"status": FAILED, "run": claim.run, "error": _sentence(error), "notes": self._told()}
        return {
            "status": run.status,
            "run": run.id,
            "error": run.error,
            "validation_accuracy": run.validation_accuracy,
            "test_accuracy": run.test_accuracy,
            "seconds": run.seconds,
            "notes": self._told(),
        }

    def _told(self) -> list[str]:
        told, self._notes = [*self._notes], {}
        return told

    def _start_of(self, recipe: Recipe) -> Pretrained | None:
        """The run whose network a recipe starts from: read once, and patiently, as the registry may be away."""
        value = recipe.pretrained
        if value not in self._starts:
            read = partial(pretrained.of, value, locate(self._config.db))
            self._starts[value] = self._registry.patience.through(read)
        return self._starts[value]

    def _restored(self, run_id: str, state: Training) -> Checkpoint | None:
        """The checkpoint that a run goes on from, in its `state` now; None if it has none.

        Raises KwsError if it does not fit, and the run has failed; or if it cannot be read, and the run counts as
        interrupted, so that the next sweep tries again.
        """
        from kws.training import checkpoints

        status = INTERRUPTED
        try:
            if checkpoint := self._registry.checkpoint(run_id):
                status = FAILED
                checkpoints.restore(state, checkpoint.data)
                if checkpoint.url and self._registry.files:
                    self._registry.files.replaced(run_id, checkpoint.url)
            return checkpoint
        except KwsError as error:
            with suppress(KwsError):  # what went wrong first is told
                self._registry.end(run_id, status, str(error))
            raise

    def _data(self, recipe: Recipe, features: Mapping[str, Any] | None = None, *, tracked: bool = False) -> Dataset:
        from kws.speech import dataset
        from kws.speech.progress import untracked
        from kws.terminal import console

        key = recipe.data_key
        if key not in self._loaded:
            skip, track = self._config.skip_unreadable, console.track if tracked else untracked
            loaded = runner.load(recipe, skip, track=track, found=features)
            dataset.require_all_classes(loaded, partition=recipe.partition)
            self._loaded[key] = loaded
        return self._loaded[key]


def as_task(recipe: Recipe, **more: Any) -> Task:
    """A task: the recipe and more fields, as plain values."""
    return {"recipe": recipe.values, **more}


def as_recipe(task: Task) -> Recipe:
    """The recipe of a task."""
    values: dict[str, Any] = task["recipe"]
    return Recipe.of(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})  # type: ignore[arg-type]


def _not_below(medians: Sequence[float | None], done: Sequence[float]) -> Callable[[EpochEnd], bool]:
    """Whether a run goes on after an epoch: the best accuracy so far is not below the median, if the epoch has one.

    `done` are the accuracies of the epochs before.
    """
    best = max(done, default=0.0)

    def keep_going(epoch: EpochEnd) -> bool:
        nonlocal best
        best = max(best, epoch.validation_accuracy)
        median = medians[epoch.epoch - 1] if epoch.epoch <= len(medians) else None
        return median is None or best >= median

    return keep_going


def carry_out(trainer: Trainer, task: Task) -> Result:
    """The result of a task, or REFUSED with the reason why this process cannot work for the sweep."""
    try:
        recipe = as_recipe(task)
        if task["do"] == "probe":
            return trainer.probe(recipe, features=task.get("features"))
        if task["do"] == "time":
            return trainer.time(recipe)
        return trainer.train(
            recipe,
            features=task.get("features"),
            fingerprint=task.get("fingerprint"),
            silent=task.get("silent"),
            tags=tuple(task.get("tags", ())),
            most=task.get("most"),
            medians=task.get("medians", ()),
        )
    except KwsError as error:
        return {"status": REFUSED, "error": str(error)}
    except OSError as error:
        if not isinstance(error.filename, str | bytes):
            raise
        return {"status": REFUSED, "error": str(unusable(error))}


def code_digest() -> str:
    """A digest of this package's source."""
    digest = hashlib.sha256()
    folder = Path(kws.__file__).parent
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _opened(config: WorkerConfig, say: Callable[[str], object]) -> Claimer | RelayedRegistry:
    """The sweep's registry: a file of this process's own, or a server through this machine's relay.

    `say` gets a sentence where it is away.
    """
    place = locate(config.db)
    about: dict[str, Any] = {"tests": config.test, "patience": config.patience}
    about |= state_files.files_of(config.checkpoints, config.weights)
    if isinstance(place, Path):
        return Claimer(place, create=True, say=say, **about)
    from kws.registry.relayed import RelayedRegistry

    return RelayedRegistry(place, code=config.code, sources=config.sources, say=say, **about)


def _sentence(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
