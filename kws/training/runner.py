"""Runner: the only way a run is executed, from its start or from a checkpoint; everything is recorded.

Decisions:
- Every epoch is recorded in the registry before it is shown. Every few seconds an epoch is recorded with a checkpoint;
  checkpoints take at most a twentieth of the time.
- Ctrl-C, SIGTERM and SIGHUP end the run as interrupted, with exit codes 130, 143 and 129.
- If the registry is removed or replaced, the run fails at its next record, and is saved in a file beside the registry.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from kws.errors import DataError, KwsError, NotOursError, RecipeError, RegistryError, UnavailableError
from kws.events import SPLITS, TEST, TRAIN, VALIDATION, EpochEnd
from kws.recipe import Recipe, last_epoch, own
from kws.registry import endings, pretrained, state_files, tracked
from kws.registry.binding import ReplacedError
from kws.registry.location import Location
from kws.registry.patience import SECONDS, STOP_SECONDS
from kws.registry.runs import FAILED, INTERRUPTED, UNTESTED, Run, early_stop, require_cut_off
from kws.registry.state_files import left_behind
from kws.registry.waiting import wait_for_silence
from kws.training.reporter import SILENT, Reporter
from kws.training.stopping import Stopped, stoppable

if TYPE_CHECKING:
    from kws.events import Evaluation
    from kws.registry.pretrained import Pretrained
    from kws.registry.relayed import RelayedRegistry
    from kws.registry.rescue import Outcome
    from kws.registry.store import Registry
    from kws.speech.dataset import Dataset, Split
    from kws.training.layers import Network
    from kws.training.loop import Training

CHECKPOINT_SECONDS = 5.0
PRUNED = "pruned: below the median of earlier trials"
PRUNED_BEFORE = "it did not promise to be among the better ones"  # in registries of version 0.1.0
_ANY_CLASSES = 3
_SHARE = 20  # the time until the next checkpoint, as a multiple of the time that the last one took


def run(
    recipe: Recipe,
    *,
    db: Location,
    name: str | None,
    note: str | None,
    skip_unreadable: bool,
    again: Run | None = None,
    test: bool = True,
    start: Pretrained | None = None,
    patience: float = SECONDS,
    checkpoints: str | None = None,
    weights: str | None = None,
    reporter: Reporter = SILENT,
) -> Run:
    """The finished run of this recipe, trained as a new run; with `again`, as a rerun of that run.

    `patience` is for how many seconds the run goes on while the registry is away; `checkpoints` and `weights` are the
    places of its checkpoints and final weights, if not in the registry. `start` is the run that the recipe names as
    `pretrained`, where it was read before. Without `test` the run is tagged as untested and is not tested at its end,
    even if somebody resumes it.
    """
    from kws.registry.environment import Environment
    from kws.registry.opening import is_new
    from kws.registry.store import Registry
    from kws.speech import pinning
    from kws.training import fine_tuning

    is_new(db)  # fail early if the registry is not writable, or a place for states cannot be used
    files = state_files.tried(checkpoints, weights)
    if told := tracked.note(db):
        reporter.say(told)
    start = start or pretrained.of(recipe.pretrained, db)
    (recipe,) = pinning.of_recipes([recipe.changed(pretrained=start.name) if start else recipe])
    if start:
        fine_tuning.require_fit(recipe, start.weights, f"run {start.run.id}")
    loaded = prepare(recipe, skip_unreadable, again, reporter)
    training, network = begin(recipe, loaded, start)
    about = {"tests": test, "patience": patience, "say": reporter.say, **files}
    with Registry(db, create=True, **about) as registry, stoppable():
        run_id = registry.start(
            recipe,
            loaded.card,
            parameters=network.parameters,
            environment=Environment.here(sys.argv[1:]),
            name=name,
            note=note,
            rerun_of=again.id if again else None,
            multiply_accumulates=network.multiply_accumulates,
            source=own.source_of(recipe.source),
        )
        return execute(registry, run_id, training, recipe, loaded, reporter=reporter)


def resume(
    reference: str,
    *,
    db: Location,
    epochs: int | None,
    skip_unreadable: bool,
    test: bool = True,
    patience: float = SECONDS,
    checkpoints: str | None = None,
    weights: str | None = None,
    reporter: Reporter = SILENT,
) -> Run:
    """The finished run, resumed from its last checkpoint; `epochs` extends it.

    The run is tested at its end if it was started with `test` and `test` is set here, too. If its process cannot be
    seen from here, waits first until the run has been silent for long enough. Raises KwsError if the run cannot be
    resumed: it is finished or still running, or its data or checkpoint does not match.
    """
    from kws.registry.environment import Environment
    from kws.registry.store import Registry
    from kws.training import checkpoints as states

    with Registry(db, patience=patience, say=reporter.say) as registry:
        run = registry.run(reference)
        if run.ended_by:
            raise RegistryError(
                f"run {run.id} is finished: with --{run.ended_by} it {early_stop(run)}; "
                f"`kws train` without --{run.ended_by} starts a run that trains for longer"
            )
        silent = wait_for_silence(registry, run.id, reporter.say)
        if silent is None:
            require_cut_off(run.id, registry.sighting(run.id).status)
        checkpoint = registry.checkpoint(run.id)  # before its place is made, where that is a share that is not mounted
        registry.keep_states_in(**state_files.tried(checkpoints, weights))
        recipe = run.recipe if epochs is None else replace(run.recipe, epochs=epochs)
        if recipe.epochs < max(run.epochs_done, 1):
            raise RecipeError(f"`epochs` (={recipe.epochs}) is below the {run.epochs_done} that run {run.id} has done")
        loaded = prepare(recipe, skip_unreadable, run, reporter)
        training, _ = begin(recipe, loaded, None if checkpoint else pretrained.of(recipe.pretrained, db))
        environment = Environment.here(sys.argv[1:])
        for field in ("torch_version", "cpu", "instruction_set"):
            before, now = getattr(run.environment, field), getattr(environment, field)
            if before != now and before is not None:
                reporter.say(f"note: {field} was {before} and is {now}; the bits may differ from an unbroken run's")
        if checkpoint:
            states.restore(training, checkpoint.data)
            if registry.files and checkpoint.url:
                registry.files.replaced(run.id, checkpoint.url)
        with stoppable():
            registry.go_on(run.id, epochs=recipe.epochs, environment=environment, silent=silent)
            if not test:
                registry.tag(run.id, [UNTESTED])
            reporter.say(f"going on with run {run.id} after epoch {training.epoch}")
            with left_behind(registry, run.id, checkpoint):
                return execute(registry, run.id, training, recipe, loaded, reporter=reporter)


def test(registry: Registry, run: Run, *, data: str, skip_unreadable: bool, reporter: Reporter = SILENT) -> None:
    """Test a finished run that was not tested at its end, and record the result as if it had been.

    `data` names its clips. Raises RegistryError if its weights are missing or the registry is not writable, and
    DataError if the clips are not its own.
    """
    if not registry.is_writable():
        raise RegistryError(
            f"{registry.path} cannot be written, and a test has to be recorded; `kws db backup FILE` makes a copy that "
            "can be"
        )
    blob = registry.weights(run.id)
    loaded = load(replace(run.recipe, data=data), skip_unreadable, track=reporter.track)
    if loaded.card.fingerprint != run.data_fingerprint:
        raise DataError(
            f"{data} does not hold the clips that run {run.id} was trained beside, which it is tested on; "
            f"name their folder with --data, or try `kws eval {run.id} --data {data}`"
        )
    answer = partial(evaluate, run.recipe, blob, classes=len(loaded.card.classes))
    registry.keep_evaluation(run.id, answer(loaded.splits[TEST], TEST), loaded.card)
    if loaded.unheard:
        test_unheard(registry, run.id, loaded, answer)


def test_unheard(
    registry: Registry | RelayedRegistry,
    run_id: str,
    loaded: Dataset,
    answer: Callable[[Split, str], Evaluation],
    *,
    test: bool = True,
) -> None:
    """Record a finished run's answers on the words that it never heard, but without `test` not those on test clips.

    `answer` evaluates the run's network on clips, given what their split is called.
    """
    assert loaded.unheard
    for name in SPLITS if test else (TRAIN, VALIDATION):
        clips = loaded.unheard.splits[name].renormalised(loaded.unheard.card, loaded.card)
        if len(clips):
            registry.keep_evaluation(run_id, answer(clips, name), loaded.unheard.card)


def evaluate(recipe: Recipe, blob: bytes, clips: Split, name: str, *, classes: int) -> Evaluation:
    """The evaluation of a recipe's network with these weights on clips; always on the CPU, even for a GPU run.

    Raises RegistryError if the weights do not fit.
    """
    from kws import architectures
    from kws.training import loop, weights

    if recipe.device != Recipe.device:
        recipe = recipe.changed(device=Recipe.device, micro_batch_size=None)
    loop.set_up(recipe)
    model = architectures.build(recipe, classes)
    weights.load(model, blob)
    return loop.evaluate(model, clips, name, recipe)


def load(recipe: Recipe, skip_unreadable: bool, **more: Any) -> Dataset:
    """The recipe's data set; `more` holds further arguments of kws.speech.dataset.load."""
    from kws.speech import dataset

    options: dict[str, Any] = {
        "speakers": recipe.speakers,
        "pattern": recipe.pattern,
        "align": recipe.align,
        "partition": recipe.partition,
        "skip_unreadable": skip_unreadable,
    }
    return dataset.load(recipe.data, recipe.task, **options, **more)


def prepare(recipe: Recipe, skip_unreadable: bool, run: Run | None, reporter: Reporter = SILENT) -> Dataset:
    """The recipe's data set, with its messages reported. Raises DataError if it is not the data of `run`, if given."""
    from kws import architectures
    from kws.speech import dataset
    from kws.training import profile

    if recipe.source:  # a network that is not one of kws fails before the data is read, which may take minutes
        architectures.build(recipe, _ANY_CLASSES)
    loaded = load(recipe, skip_unreadable, track=reporter.track)
    if run and loaded.card.fingerprint != run.data_fingerprint:
        raise DataError(
            f"{recipe.data} no longer holds the clips that run {run.id} was trained on; `kws train` starts a new run"
        )
    dataset.require_all_classes(loaded, partition=recipe.partition)
    tell_data(loaded, recipe, reporter)
    if recipe.precision != Recipe.precision:
        reporter.say(profile.verdict(recipe))
    return loaded


def begin(recipe: Recipe, loaded: Dataset, start: Pretrained | None = None) -> tuple[Training, Network]:
    """A training before its first epoch, from the network of the run `start` if any; and its network layer by layer.

    Raises DataError for data on which one of the recipe's augmentations cannot work, and RecipeError where the other
    run has another network.
    """
    from kws.training import augmenting, fine_tuning, layers, loop

    classes = loaded.card.classes
    training = loop.Training.begin(recipe, len(classes))
    if recipe.pretrained != pretrained.NONE:
        training.head = fine_tuning.head_of(recipe, len(classes))
    if start:
        fine_tuning.require_fit(recipe, start.weights, f"run {start.run.id}")
        fine_tuning.start_from(training.model, start.weights, training.head, whole=start.classes == classes)
    training.prepared = augmenting.prepared(recipe, loaded)
    return training, layers.describe(recipe.arch, training.model)


def tell_data(loaded: Dataset, recipe: Recipe, reporter: Reporter) -> None:
    """Report how much of the data is used, its speakers, and its problems."""
    from kws.speech import sentences

    for line in sentences.about(loaded, recipe.data, recipe.partition):
        reporter.say(line)


def execute(
    registry: Registry | RelayedRegistry,
    run_id: str,
    state: Training,
    recipe: Recipe,
    loaded: Dataset,
    *,
    reporter: Reporter = SILENT,
    keep_going: Callable[[EpochEnd], bool] = lambda _: True,
    again: str = "kws train --resume",
) -> Run:
    """The finished run, trained to the end and recorded; the registry records every other ending, too.

    The end is the recipe's last epoch, or the one in which its `until` or `patience` ends the run. `keep_going` is
    called after each epoch except the last. When it returns False, the run ends as interrupted; it can still be
    resumed. `again` is the command that resumes it, "" for none that its user should type.
    """
    from kws.registry.recorder import Recorder
    from kws.training import checkpoints, loop, weights

    train_split, validation_split = (loaded.splits[name].to(recipe.device) for name in (TRAIN, VALIDATION))
    parameters = sum(parameter.numel() for parameter in state.model.parameters())
    outcome: Outcome | None = None
    patience = registry.patience
    try:
        about = run_id, recipe, parameters, loaded.card
        accuracies = patience.through(partial(registry.validation_accuracies, run_id))[: state.epoch]
        is_over = last_epoch(recipe, accuracies) is not None  # cut off between its last epoch and its test
        stopped = None
        with (
            reporter.training(*about, clips=len(train_split), done=state.epoch) as show,
            Recorder(registry, run_id, reporter.say) as recorder,
        ):
            due = _Due()
            for event in () if is_over else loop.fit(state, train_split, validation_split, recipe):
                if isinstance(event, EpochEnd):
                    recorder.add(event, due.next(partial(checkpoints.to_bytes, state), recorder.checkpoint_seconds))
                    accuracies.append(event.validation_accuracy)
                    is_over = last_epoch(recipe, accuracies) is not None
                    if not is_over and not keep_going(event):
                        stopped = f"stopped after epoch {event.epoch}: {PRUNED}"
                        break
                else:
                    show(event)
                for recorded in recorder.recorded():
                    show(recorded)
                if is_over:
                    break
            recorder.flush()
            for recorded in recorder.recorded():
                show(recorded)
        if stopped:
            return registry.end(run_id, INTERRUPTED, stopped)
        loop.take_selected(state)
        is_tested = UNTESTED not in patience.through(partial(registry.by_id, run_id)).tags

        def answer(clips: Split, name: str) -> Evaluation:
            return loop.evaluate(state.model, clips.to(recipe.device), name, recipe)

        with Recorder(registry, run_id, reporter.say):  # which tells others that this process is alive meanwhile
            evaluation = answer(loaded.splits[TEST], TEST) if is_tested else None
            outcome = evaluation, weights.to_bytes(state.model)
            validation = answer(validation_split, VALIDATION)
        processor_seconds = patience.through(partial(registry.curve, run_id)).all_processor_seconds
        done = registry.finish(run_id, evaluation, loaded.card, outcome[1], validation=validation)
        if registry.weight_files and (trouble := registry.weight_files.trouble):
            reporter.say(f"note: {trouble}; the registry has them")
    except ReplacedError as error:
        checkpoint = None if outcome else (state.epoch, checkpoints.to_bytes(state))
        kept = endings.keep_elsewhere(registry, run_id, loaded.card, str(error), checkpoint=checkpoint, outcome=outcome)
        raise ReplacedError(f"run {run_id} failed: {kept}") from None
    except KeyboardInterrupt as stop:
        patience.end_in(STOP_SECONDS)
        told = registry, run_id, loaded.card, INTERRUPTED, None, reporter.say
        if endings.record(*told, seconds=STOP_SECONDS) and again:
            reporter.say(f"run {run_id} was interrupted; to resume it: {again} {run_id}")
        raise Stopped(stop) from None
    except NotOursError:
        raise  # it has not failed
    except BaseException as error:
        endings.record(registry, run_id, loaded.card, FAILED, str(error) or type(error).__name__, reporter.say)
        if isinstance(error, UnavailableError):
            resuming = f"to resume it when the registry is there: kws train --resume {run_id}"
            raise UnavailableError(f"run {run_id} failed: {error.what}", resuming) from None
        if isinstance(error, KwsError):
            raise type(error)(f"run {run_id} failed: {error}") from None
        if isinstance(error, Exception) and (sentence := own.sentence(recipe.source, error)):
            raise RecipeError(f"run {run_id} failed: {sentence}") from None
        raise
    if loaded.unheard:  # the run has finished, whatever comes of this
        try:
            test_unheard(registry, run_id, loaded, answer, test=is_tested)
        except (Exception, KeyboardInterrupt) as error:
            is_plain = isinstance(error, KwsError | KeyboardInterrupt)
            why = str(error) if is_plain else own.sentence(recipe.source, error)
            if why is None:
                raise
            lacking = "has finished, but for its answers on words that it never heard"
            reporter.say(f"note: run {run_id} {lacking}{why and f' ({why})'}; `kws eval {run_id}` makes them")
            if isinstance(error, KeyboardInterrupt):
                raise Stopped(error) from None
    reporter.trained(done, loaded.card, processor_seconds)
    return done


class _Due:
    """When the next checkpoint is to be taken: the longer a checkpoint takes, to make and to record, the later."""

    def __init__(self) -> None:
        self._made, self._seconds = time.monotonic(), 0.0

    def next(self, make: Callable[[], bytes], recording_seconds: float) -> bytes | None:
        """A checkpoint if one is due, given how long the last one took to record."""
        now, took = time.monotonic(), self._seconds + recording_seconds
        if now - self._made < max(CHECKPOINT_SECONDS, _SHARE * took):
            return None
        made = make()
        self._made = time.monotonic()
        self._seconds = self._made - now
        return made
