"""Runs that were cut off: how that ends a command, and that they go on to what an unbroken run would have been."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import TRAIN, dump, kws, ok, ok_json, refused, sql
from ledger import make_recipe, make_wanted, start, train
from sounds import write_task
from swept import shared_task

from kws.errors import DivergedError, RegistryError, UnavailableError
from kws.events import EpochEnd
from kws.registry import pretrained, records
from kws.registry.claims import Claimer
from kws.registry.reader import RegistryReader
from kws.registry.state_files import StateFiles
from kws.registry.store import Registry
from kws.sweeps.trainer import Trainer, WorkerConfig
from kws.training import loop, runner
from kws.training.checkpoints import to_bytes
from kws.training.stopping import Stopped

PATIENT = Path(__file__).parent.parent / "patient.py"
EPOCHS = 4
ITERATIONS = 3  # an epoch: 36 clips in minibatches of 16
ENDS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: -9}


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A task, and a cache that all runs on it share."""
    with shared_task(tmp_path_factory, "resume") as made:
        db = made.folder / "unbroken.db"
        train = [*TRAIN, "--data", made.task, "--db", db, "--epochs"]
        runs = [ok_json(*train, epochs) for epochs in (EPOCHS, EPOCHS + 2)]
        made.unbroken = {run["epochs"]: outcome(db, run["run"]) for run in runs}
    return made


@pytest.fixture
def task(places, monkeypatch):
    monkeypatch.setenv("KWS_CACHE", str(places.cache))
    return places.task


@pytest.fixture(scope="module")
def cut(places):
    """A run for each signal, that got it after its third epoch."""
    names = ",".join(number.name for number in ENDS)
    command = [sys.executable, PATIENT, places.folder, names, *TRAIN, "--data", places.task]
    environment = {**os.environ, "KWS_CACHE": str(places.cache)}
    with subprocess.Popen(
        [*command, "--epochs", str(EPOCHS)], env=environment, stdout=subprocess.PIPE, text=True
    ) as program:
        waiting = [program.stdout.readline().split() for _ in ENDS]
        ends = {}
        for word, name, pid, run_id in waiting:
            assert word == "waiting"
            db = places.folder / f"{name}.db"
            ends[name] = SimpleNamespace(db=db, run=run_id, before=ok_json("runs", "list", "--db", db)["runs"])
            os.kill(int(pid), signal.Signals[name])
        for line in program.stdout:
            word, name, code = line.split()
            assert word == "ended"
            ends[name].code, ends[name].stderr = int(code), (places.folder / f"{name}.txt").read_text()
    return {number: ends[number.name] for number in ENDS}


def outcome(db: Path, run_id: str) -> tuple:
    """All that must be the same to the last bit."""
    with RegistryReader(db) as registry:
        run = registry.run(run_id)
        epochs = [replace(epoch, seconds=0.0, processor_seconds=None) for epoch in registry.epochs(run_id)]
        digest = registry.weights_digest(run_id)
        assert digest
        assert (run.status, run.error, len(epochs)) == ("finished", None, run.recipe.epochs)
        return epochs, digest, registry.evaluations(run_id), run.test_accuracy


# Signals


@pytest.mark.parametrize("number", ENDS)
def test_a_signal_ends_a_run_with_its_code_and_status_and_names_what_goes_on(cut, number):
    end = cut[number]
    assert [run["status"] for run in end.before] == ["running"]
    assert end.code == ENDS[number]
    (run,) = ok_json("runs", "list", "--db", end.db)["runs"]
    assert (run["run"], run["epochs"], run["epochs_planned"]) == (end.run, 3, EPOCHS)
    assert "Traceback" not in end.stderr
    if number == signal.SIGKILL:
        assert run["status"] == "lost"
        assert run["ended_at"] is None
    else:
        assert run["status"] == "interrupted"
        assert run["ended_at"]
        assert f"kws train --resume {end.run}" in end.stderr


@pytest.mark.parametrize("number", ENDS)
def test_a_run_that_a_signal_ended_goes_on_to_the_same_bits(cut, places, task, number):
    db, run_id = cut[number].db, cut[number].run
    result = kws("train", "--resume", run_id, "--db", db)
    assert result.exit_code == 0
    assert f"going on with run {run_id} after epoch 2" in result.stderr
    assert outcome(db, run_id) == places.unbroken[EPOCHS]
    assert sql(db, "SELECT session, first_epoch FROM sessions") == [(1, 1), (2, 3)]
    assert sql(db, "SELECT count(*) FROM checkpoints") == [(0,)]


def test_the_ways_that_signals_had_are_as_before_after_a_run(task):
    before = [signal.getsignal(number) for number in ENDS]
    ok(*TRAIN, "--data", task, "--epochs", 1)
    assert [signal.getsignal(number) for number in ENDS] == before


# Cut off anywhere


def cut_off(monkeypatch, task: Path, iteration: int, *options: object, error: type = KeyboardInterrupt) -> str:
    """Begin a run that ends in that iteration; its id."""
    step, done = loop.step, iter(range(1, iteration))

    def steps(*arguments):
        if next(done, None) is None:
            raise error("stopped by the test")
        return step(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "step", steps)
        result = kws(*TRAIN, "--data", task, "--epochs", EPOCHS, *options)
    assert result.exit_code == (130 if error is KeyboardInterrupt else 1)
    return ok_json("runs", "list")["runs"][0]["run"]


@pytest.fixture
def often(monkeypatch):
    """A checkpoint after every epoch."""
    monkeypatch.setattr("kws.training.runner.CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr("kws.training.runner._SHARE", 0)


@pytest.mark.parametrize("iteration", [1, ITERATIONS + 1, EPOCHS * ITERATIONS])
def test_a_run_that_was_cut_off_in_any_iteration_goes_on_to_the_same_bits(
    task, places, often, monkeypatch, tmp_path, iteration
):
    run_id = cut_off(monkeypatch, task, iteration)
    result = kws("train", "--resume", run_id[:5])
    assert result.exit_code == 0
    assert f"after epoch {(iteration - 1) // ITERATIONS}" in result.stderr
    assert outcome(tmp_path / "experiments.db", run_id) == places.unbroken[EPOCHS]


def test_a_run_that_is_cut_off_again_and_again_goes_on_to_the_same_bits(task, places, often, monkeypatch, tmp_path):
    cut_off(monkeypatch, task, 5)
    for iteration in (3, 5, 2):
        cut_off(monkeypatch, task, iteration, "--resume", "last")
    ok("train", "--resume", "last")
    (run,) = ok_json("runs", "list")["runs"]
    assert outcome(tmp_path / "experiments.db", run["run"]) == places.unbroken[EPOCHS]
    assert len(sql(tmp_path / "experiments.db", "SELECT * FROM sessions")) == 5


def test_without_a_checkpoint_a_run_begins_anew_and_keeps_the_epochs_it_has(task, places, monkeypatch, tmp_path):
    run_id = cut_off(monkeypatch, task, 8)
    db = tmp_path / "experiments.db"
    assert sql(db, "SELECT count(*) FROM checkpoints") == [(0,)]
    kept = sql(db, "SELECT * FROM epochs")
    assert len(kept) == 2
    ok("train", "--resume", run_id)
    assert sql(db, "SELECT * FROM epochs WHERE epoch <= 2") == kept
    assert outcome(db, run_id) == places.unbroken[EPOCHS]


def test_a_failed_run_goes_on_too_and_its_error_is_gone(task, places, often, monkeypatch, tmp_path):
    run_id = cut_off(monkeypatch, task, 8, error=DivergedError)
    assert ok_json("runs", "list")["runs"][0]["error"] == "stopped by the test"
    ok("train", "--resume", run_id)
    assert outcome(tmp_path / "experiments.db", run_id) == places.unbroken[EPOCHS]


def test_a_run_that_was_cut_off_after_its_last_epoch_has_only_to_finish(task, places, often, monkeypatch, tmp_path):
    with monkeypatch.context() as patched:
        patched.setattr("kws.training.weights.to_bytes", lambda model: signal.raise_signal(signal.SIGTERM))
        assert kws(*TRAIN, "--data", task, "--epochs", EPOCHS).exit_code == 143
    run = ok_json("train", "--resume", "last")
    assert run["status"] == "finished"
    assert outcome(tmp_path / "experiments.db", run["run"]) == places.unbroken[EPOCHS]


def test_more_epochs_make_the_run_that_was_planned_for_so_many(task, places, often, monkeypatch, tmp_path):
    run_id = cut_off(monkeypatch, task, 8)
    run = ok_json("train", "--resume", run_id, "--epochs", EPOCHS + 2)
    assert (run["epochs"], run["epochs_planned"]) == (EPOCHS + 2, EPOCHS + 2)
    assert outcome(tmp_path / "experiments.db", run_id) == places.unbroken[EPOCHS + 2]


@pytest.mark.parametrize("late", [KeyboardInterrupt, RegistryError])
def test_a_run_that_is_recorded_as_finished_stays_finished_whatever_comes_then(task, often, monkeypatch, late):
    def stopped(self):
        raise late("while pages are given back")

    with monkeypatch.context() as patched:
        patched.setattr("kws.registry.sqlite.Database.untransacted", stopped)
        kws(*TRAIN, "--data", task, "--epochs", 1)
    (run,) = ok_json("runs", "list")["runs"]
    assert run["test_accuracy"] is not None
    assert run["status"] == "finished"


# What is refused


def test_a_finished_a_running_and_an_unknown_run_do_not_go_on(task, tmp_path):
    with Registry(tmp_path / "experiments.db", create=True) as registry:
        finished, running = train(registry), start(registry)
        before = dump(tmp_path / "experiments.db")
        assert f"run {finished} is finished; `kws rerun {finished}`" in refused("train", "--resume", finished)
        assert f"run {running} is still running" in refused("train", "--resume", running)
        assert "there is no run 'zzzz'" in refused("train", "--resume", "zzzz")
        assert dump(tmp_path / "experiments.db") == before


def test_another_recipe_or_fewer_epochs_are_refused_and_nothing_is_changed(task, often, monkeypatch, tmp_path):
    run_id = cut_off(monkeypatch, task, 8)
    before = dump(tmp_path / "experiments.db")
    for options, sentence in (
        (["--batch-size", 8], f"`batch_size` (=8) is not what run {run_id} was started with (=16)"),
        (["--seed", 1], f"`seed` (=1) is not what run {run_id} was started with (=0)"),
        (["--arch", "fc"], "`arch` (=fc)"),
        (["--opt", "sgd"], "`opt` (=sgd)"),
        (["--maps", "4,1"], "`channels` (=4,1)"),
        (["--words", "yes,up"], "`words` (=yes,up)"),
        (["--threads", 2], "`threads` (=2)"),
        (["--learning-rate", 0.5], "`learning_rate` (=0.5)"),
        (["--data", "elsewhere"], "`data` (=elsewhere)"),
        (["--softmax"], "`softmax_before_loss` (=yes)"),
        (["--name", "other"], "--name"),
        (["--epochs", 1], f"`epochs` (=1) is below the 2 that run {run_id} has done"),
        (["--epochs", 0], "`epochs` (=0) must be at least 1"),
    ):
        assert sentence in refused("train", "--resume", run_id, *options)
    assert dump(tmp_path / "experiments.db") == before


def test_the_options_of_its_own_recipe_are_accepted(task, often, monkeypatch):
    run_id = cut_off(monkeypatch, task, 8)
    own = ["--data", task, "--epochs", EPOCHS, "--words", "yes,no", "--seed", 0, "--device", "cpu"]
    assert ok_json(*TRAIN, *own, "--learning-rate", "1e-3", "--resume", run_id)["status"] == "finished"


@pytest.mark.parametrize("own", [["--maps", "32,16"], ["--device", "auto"], ["--momentum", "0.9", "--opt", "sgd"]])
def test_a_command_that_was_cut_off_is_accepted_with_resume_after_it(task, often, monkeypatch, own):
    run_id = cut_off(monkeypatch, task, 2, *own)
    assert ok_json(*TRAIN, "--data", task, "--epochs", 1, *own, "--resume", run_id)["status"] == "finished"


def test_other_clips_are_refused(task, often, monkeypatch, tmp_path):
    copy = write_task(tmp_path / "copy")
    run_id = cut_off(monkeypatch, copy, 8)
    (copy / "yes" / "train0001_nohash_0.wav").unlink()
    result = kws("train", "--resume", run_id)
    assert result.exit_code == 1
    assert f"copy no longer holds the clips that run {run_id} was trained on" in result.stderr.splitlines()[-1]
    (run,) = ok_json("runs", "list")["runs"]
    assert (run["status"], run["epochs"]) == ("interrupted", 2)


def test_another_version_or_processor_is_noted(task, often, monkeypatch):
    run_id = cut_off(monkeypatch, task, 8)
    sql(Path(os.environ["KWS_DB"]), "UPDATE trainings SET torch_version = '1.0', cpu = 'An abacus'")
    result = kws("train", "--resume", run_id)
    assert result.exit_code == 0
    assert "note: torch_version was 1.0 and is" in result.stderr
    assert "note: cpu was An abacus and is" in result.stderr


def test_a_run_that_another_process_has_taken_over_is_no_failure_of_a_sweep(task, tmp_path, monkeypatch):
    recipe = make_recipe("cnn", "adam", maps=(2, 1), data=str(task), batch_size=16, epochs=2, threads=1)
    trainer = Trainer(WorkerConfig.here(tmp_path / "runs.db", skip_unreadable=False))
    registry = trainer._registry
    with monkeypatch.context() as patched:
        patched.setattr(records, "_BEAT", f"{records._BEAT} AND first_epoch > 1")  # of a later session alone
        told = trainer.train(recipe)
    (run,) = registry.runs()
    assert (told["status"], told["run"], run.status, run.error) == ("running", run.id, "running", None)


def test_a_checkpoint_that_cannot_be_read_costs_a_sweep_that_run_alone_until_it_can(task, tmp_path, monkeypatch):
    recipe = make_recipe("cnn", "adam", maps=(2, 1), data=str(task), batch_size=16, epochs=2, threads=1)
    loaded = runner.load(recipe, skip_unreadable=False)
    config = WorkerConfig.here(tmp_path / "runs.db", skip_unreadable=False, checkpoints=str(tmp_path / "states"))
    trainer = Trainer(config)
    with Claimer(tmp_path / "runs.db", files=trainer._registry.files) as registry:
        run = registry.claim(make_wanted(recipe, loaded.card)).run
        state, _ = runner.begin(recipe, loaded, None)
        events = loop.fit(state, loaded.splits["train"], loaded.splits["validation"], recipe)
        registry.record(run, next(event for event in events if isinstance(event, EpochEnd)), to_bytes(state))
        registry.end(run, "interrupted")
    (state,) = (tmp_path / "states").iterdir()
    away = state.rename(tmp_path / state.name)
    told = trainer.train(recipe)
    assert told["status"] == "failed"
    assert "cannot be read" in told["error"]
    assert trainer._registry.by_id(run).status == "interrupted"
    assert trainer.train(replace(recipe, seed=7))["status"] == "finished"
    away.rename(state)
    with monkeypatch.context() as patched, pytest.raises(Stopped):
        patched.setattr(trainer._registry, "checkpoint", lambda _: signal.raise_signal(signal.SIGINT))
        trainer.train(recipe)
    assert trainer._registry.by_id(run).status == "interrupted"
    told = trainer.train(recipe)
    assert told["status"] == "finished", told["error"]


@pytest.mark.parametrize("heard", [True, False])
def test_a_process_of_a_sweep_tells_that_checkpoints_cannot_be_written(task, tmp_path, monkeypatch, heard):
    """At once where somebody hears it, and else with the run's result: on Ray, say."""
    monkeypatch.setattr(runner, "CHECKPOINT_SECONDS", 0.0)
    recipe = make_recipe("cnn", "adam", maps=(2, 1), data=str(task), batch_size=16, epochs=3, threads=1)
    config = WorkerConfig.here(tmp_path / "runs.db", skip_unreadable=False, checkpoints=str(tmp_path / "states"))
    news = []
    trainer = Trainer(config, news.append if heard else None)
    (tmp_path / "states").rmdir()
    told = trainer.train(recipe)
    assert told["status"] == "finished"
    (note,) = news if heard else told["notes"]
    assert note.startswith(f"note: a checkpoint could not be written to {tmp_path / 'states'} (")
    assert told["notes"] == ([] if heard else [note])


def test_the_run_that_a_sweep_starts_from_is_waited_for_and_read_once(task, tmp_path, monkeypatch):
    about = {"maps": (2, 1), "data": str(task), "batch_size": 16, "epochs": 1, "threads": 1}
    config = WorkerConfig.here(tmp_path / "runs.db", skip_unreadable=False)
    trainer = Trainer(config)
    first = trainer.train(make_recipe("cnn", "adam", **about))["run"]
    value = pretrained.of(first, tmp_path / "runs.db").name
    asked, real = [], pretrained.of

    def away_twice(*arguments):
        asked.append(arguments)
        if len(asked) < 3:
            raise UnavailableError("the server is away")
        return real(*arguments)

    monkeypatch.setattr(pretrained, "of", away_twice)
    for seed in (1, 2):
        told = trainer.train(make_recipe("cnn", "adam", pretrained=value, seed=seed, **about))
        assert told["status"] == "finished", told["error"]
    assert len(asked) == 3


def test_whoever_resumes_a_run_whose_checkpoints_are_not_mounted_is_told_and_makes_no_place_for_them(
    task, tmp_path, monkeypatch
):
    recipe = make_recipe("cnn", "adam", maps=(2, 1), data=str(task), batch_size=16, epochs=2, threads=1)
    loaded = runner.load(recipe, skip_unreadable=False)
    (tmp_path / "share").mkdir()
    place = tmp_path / "share" / "states"
    with Registry(tmp_path / "runs.db", create=True, files=StateFiles(str(place))) as registry:
        run = start(registry, recipe, loaded.card)
        state, _ = runner.begin(recipe, loaded, None)
        events = loop.fit(state, loaded.splits["train"], loaded.splits["validation"], recipe)
        registry.record(run, next(event for event in events if isinstance(event, EpochEnd)), to_bytes(state))
        registry.end(run, "interrupted")
    place.rename(tmp_path / "away")
    told = refused("train", "--resume", run, "--checkpoints", place, "--db", tmp_path / "runs.db")
    assert "try again when it can be" in told
    assert not place.exists()
    (tmp_path / "away").rename(place)
    assert ok_json("train", "--resume", run, "--checkpoints", place, "--db", tmp_path / "runs.db")["epochs"] == 2
    assert not list(place.iterdir())
