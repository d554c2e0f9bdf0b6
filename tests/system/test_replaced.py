"""A command whose registry is removed or replaced in training fails, says where its run is, and that goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commands import TRAIN, kws, ok, ok_json
from swept import shared_task

from kws.errors import DivergedError
from kws.registry import binding
from kws.registry.recorder import Recorder
from kws.training import runner

pytestmark = pytest.mark.sqlite_file
EPOCHS = 4
DIGEST = "SELECT sha256 FROM weights JOIN runs ON run_key = key ORDER BY key DESC LIMIT 1"


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A task, and what an unbroken run of it comes to."""
    with shared_task(tmp_path_factory, "replaced") as made:
        db = made.folder / "unbroken.db"
        ok_json(*TRAIN, "--data", made.task, "--db", db, "--epochs", EPOCHS)
        made.unbroken = digest(db)
    return made


@pytest.fixture
def train(places, monkeypatch):
    """The command that trains, whose registry is gone in no time, and always has a checkpoint."""
    monkeypatch.setenv("KWS_CACHE", str(places.cache))
    monkeypatch.setattr(binding, "SURE_SECONDS", 0.1)
    monkeypatch.setattr(runner, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(runner, "_SHARE", 0.0)
    return [*TRAIN, "--data", places.task, "--epochs", EPOCHS]


def digest(db: Path) -> str:
    (row,) = ok_json("db", "query", DIGEST, "--db", db)["rows"]
    return row[0]


@pytest.fixture
def after(monkeypatch):
    """Let something happen after the n-th epoch was recorded."""

    def arrange(times: int, act) -> None:
        real, calls = Recorder.add, [0]

        def add(self, *arguments):
            real(self, *arguments)
            self.flush()
            calls[0] += 1
            if calls[0] == times:
                act()

        monkeypatch.setattr(Recorder, "add", add)

    return arrange


def only_run(db: Path | str) -> dict:
    (run,) = ok_json("runs", "list", "--db", db)["runs"]
    return run


@pytest.mark.parametrize("times", [1, EPOCHS - 1])
def test_a_registry_that_is_removed_fails_the_run_which_goes_on_to_the_same_bits(train, places, after, tmp_path, times):
    after(times, lambda: (tmp_path / "experiments.db").unlink())
    result = kws(*train)
    assert (result.exit_code, result.stdout) == (1, "")
    (file,) = tmp_path.glob("experiments.*.db")
    run_id = file.name.split(".")[1]
    told = result.stderr.splitlines()[-1]
    assert told.startswith(f"kws: run {run_id} failed: {tmp_path / 'experiments.db'} was removed while")
    assert told.endswith(f"to resume it: kws train --resume {run_id} --db {file}")
    assert "finished" not in result.stderr
    assert (only_run(file)["status"], only_run(file)["epochs"]) == ("interrupted", times + 1)
    assert {"experiments.db", "experiments.db-wal", "experiments.db-shm"}.isdisjoint(
        each.name for each in tmp_path.iterdir()
    )
    resumed = kws("train", "--resume", run_id, "--db", file)
    assert f"going on with run {run_id} after epoch {times + 1}" in resumed.stderr
    assert digest(file) == places.unbroken


def test_one_that_is_replaced_after_the_last_epoch_is_not_told_as_finished(train, places, after, tmp_path):
    ok("runs", "list", "--db", places.folder / "unbroken.db")
    after(EPOCHS, lambda: shutil.copy(places.folder / "unbroken.db", "incoming") and replace(tmp_path))
    result = kws(*train, "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "finished" not in result.stderr
    (file,) = tmp_path.glob("experiments.*.db")
    told = result.stderr.splitlines()[-1]
    assert told.endswith(f"it ended, and is kept in {file}; to take it in: kws runs import {file}")
    assert (only_run(file)["status"], digest(file)) == ("finished", places.unbroken)
    ok("runs", "import", file)
    assert [run["status"] for run in ok_json("runs", "list")["runs"]] == ["finished", "finished"]


def replace(folder: Path) -> None:
    Path("incoming").replace(folder / "experiments.db")


def test_one_that_is_interrupted_or_fails_then_is_kept_as_that(train, places, after, tmp_path, monkeypatch):
    def removed_then(error):
        def act():
            (tmp_path / "experiments.db").unlink()
            raise error

        return act

    for error, code, status in ((KeyboardInterrupt(), 130, "interrupted"), (DivergedError("no number"), 1, "failed")):
        with monkeypatch.context() as patched:
            real = Recorder.add

            def add(self, epoch, checkpoint=None, *, real=real, error=error):
                real(self, epoch, checkpoint)
                self.flush()
                if epoch.epoch == 2:
                    removed_then(error)()

            patched.setattr(Recorder, "add", add)
            result = kws(*train)
        assert result.exit_code == code
        (file,) = tmp_path.glob("experiments.*.db")
        assert str(file) in result.stderr
        assert (only_run(file)["status"], only_run(file)["epochs"]) == (status, 2)
        file.unlink()


def test_a_rerun_and_a_run_that_goes_on_fail_alike(train, places, after, tmp_path):
    ok(*train)
    after(1, lambda: (tmp_path / "experiments.db").rename("elsewhere.db"))
    result = kws("rerun", "last")
    assert result.exit_code == 1
    assert "was removed while the run was recorded in it" in result.stderr
    assert [run["status"] for run in ok_json("runs", "list", "--sort=-started", "--db", "elsewhere.db")["runs"]] == [
        "finished",
        "running",
    ]
    (file,) = tmp_path.glob("experiments.*.db")
    after(1, file.unlink)
    run = only_run(file)["run"]
    result = kws("train", "--resume", run, "--db", file)
    assert result.exit_code == 1
    assert f"kept in {file.with_name(f'{file.stem}.{run}.db')}" in result.stderr
    assert only_run(file.with_name(f"{file.stem}.{run}.db"))["epochs"] == EPOCHS


def test_a_process_of_a_sweep_fails_that_run_and_takes_up_what_is_there_then(train, places, after, tmp_path):
    from kws.recipe import Recipe
    from kws.sweeps.trainer import Trainer, WorkerConfig

    about = WorkerConfig.here(tmp_path / "experiments.db", skip_unreadable=False)
    trainer = Trainer(about)
    recipe = {"arch": "cnn", "opt": "adam", "learning_rate": 0.001, "maps": (2, 1), "data": str(places.task)}
    recipe |= {"epochs": 2, "threads": 1, "batch_size": 16}
    shutil.copy(places.folder / "unbroken.db", "incoming")
    after(1, lambda: replace(tmp_path))
    failed = trainer.train(Recipe.of(**recipe, seed=1))
    assert failed["status"] == "failed"
    assert f"experiments.{failed['run']}.db" in failed["error"]
    done = trainer.train(Recipe.of(**recipe, seed=2))
    assert done["status"] == "finished"
    trainer._registry.__exit__()
    assert [(run["status"], run["seed"]) for run in ok_json("runs", "list", "--sort=-started")["runs"]] == [
        ("finished", 0),
        ("finished", 2),
    ]
