"""The trials of a search: what they share with other processes under the same tag, and how each end is told."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from commands import sql
from ledger import make_card, make_epochs, make_evaluation, make_wanted, start

from kws.errors import KwsError, UnavailableError
from kws.recipe import Recipe
from kws.registry.claims import Claimer
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, RUNNING
from kws.registry.store import Registry

optuna = pytest.importorskip("optuna", reason='Optuna is not installed: pip install "kws[tune]"')

from kws.sweeps import search as searches  # noqa: E402
from kws.sweeps import trials as trying  # noqa: E402
from kws.sweeps.search import Search, Space  # noqa: E402
from kws.sweeps.trainer import DIED, as_recipe  # noqa: E402
from kws.sweeps.trials import Trials  # noqa: E402
from kws.training.runner import PRUNED  # noqa: E402

TAG = "tune-x"
CARD = make_card()
FIXED = {
    "arch": "fc", "opt": "adam", "epochs": 2, "seed": 0, "maps": None, "words": ("yes", "no"), "data": "clips",
    "threads": 1, "selection": "final", "precision": "fp32", "device": "cpu", "weight_decay": 0.0, "batch_size": 64,
}  # fmt: skip


def make_search(rates="0.001,0.01,0.1,1"):
    searched = {"learning_rate": searches.values("learning_rate", rates)}
    return Search(Space(searched=searched, fixed=FIXED), random=False, prune=True, seed=0, epochs=2)


class Executor:
    """Trains in no time; `script` says what else becomes of a learning rate, the first time and the later ones."""

    def __init__(self, db, jobs=1, **script):
        self.db, self.jobs, self.script, self.at_work, self.asked = db, jobs, script, [], []
        self.between = lambda: None  # what others do meanwhile
        self.where = ""

    def room(self):
        return self.jobs - len(self.at_work)

    def submit(self, task):
        assert self.room() > 0
        assert task["fingerprint"] == CARD.fingerprint
        self.at_work.append(task)
        self.asked.append((task["recipe"]["learning_rate"], task["silent"]))

    workers_tell = True

    def news(self):
        return []

    def results(self, seconds):
        self.between()
        if not self.at_work:
            return []
        task = self.at_work.pop(0)
        script = self.script.get(f"r{task['recipe']['learning_rate']}", [])
        act = script.pop(0) if script else finished
        return [(task, act(self.db, as_recipe(task)))]


def record(db, recipe, status=FINISHED, error=None, accuracy=0.5):
    """A run of the search that has ended so; its id."""
    with Registry(db) as registry:
        run = start(registry, recipe, CARD)
        registry.tag(run, [TAG])
        for epoch in make_epochs(2):
            registry.record(run, replace(epoch, validation_accuracy=accuracy))
        if status == FINISHED:
            registry.finish(run, make_evaluation(CARD), CARD, b"")
        else:
            registry.end(run, status, error)
        return run


def finished(db, recipe):
    return {"status": FINISHED, "run": record(db, recipe)}


class Claiming(Executor):
    """Claims each run, as a process that trains does, and ends it, a while after the claim if `slow`."""

    def __init__(self, db, jobs=1, slow=0.0):
        super().__init__(db, jobs)
        self.registry, self.slow, self.mine = Claimer(db), slow, []

    def results(self, seconds):
        self.between()
        if not self.at_work:
            time.sleep(0.01)
            return []
        task = self.at_work.pop(0)
        told = {"tags": task["tags"], "most": task["most"], "silent": task["silent"]}
        made = self.registry.claim(make_wanted(as_recipe(task), CARD, **told))
        if not made.mine:
            return [(task, {"status": made.before, "run": made.run, "before": True, "sign": made.sign})]
        time.sleep(self.slow)
        for epoch in make_epochs(2)[len(self.registry.validation_accuracies(made.run)) :]:
            self.registry.record(made.run, epoch)
        self.registry.finish(made.run, make_evaluation(CARD), CARD, b"")
        self.mine.append(made.run)
        return [(task, {"status": FINISHED, "run": made.run})]


class Other:
    """Another process that trains a recipe of the search."""

    def __init__(self, db, recipe):
        self.registry = Registry(db)
        self.run = start(self.registry, recipe, CARD)
        self.registry.tag(self.run, [TAG])

    def finish(self):
        for epoch in make_epochs(2):
            self.registry.record(self.run, replace(epoch, validation_accuracy=0.9))
        self.registry.finish(self.run, make_evaluation(CARD), CARD, b"")
        self.registry.__exit__()


@pytest.fixture
def db(db):
    Registry(db, create=True).__exit__()
    return db


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Others' runs are looked at without waiting."""
    monkeypatch.setattr(trying, "_LOOK_AGAIN_SECONDS", 0.0)


def search_with(engine, search, wanted=4, **more):
    Trials(engine, search, engine.db, TAG, CARD.fingerprint, **more).until(wanted)
    return [(trial.state.name, trial.params["learning_rate"], trial.value) for trial in search.trials]


def of_tag(db):
    return [row[0] for row in sql(db, "SELECT learning_rate FROM runs ORDER BY learning_rate")]


def recipe_of(rate):
    return Recipe.of(ignoring=True, **{**FIXED, "learning_rate": rate})


@pytest.mark.parametrize("jobs", [1, 2, 9])
def test_four_values_and_four_trials_are_four_recipes(db, jobs, capsys):
    told = search_with(Executor(db, jobs), make_search())
    assert of_tag(db) == [0.001, 0.01, 0.1, 1]
    assert sorted(rate for state, rate, _ in told if state == "COMPLETE") == [0.001, 0.01, 0.1, 1]
    assert "note" not in capsys.readouterr().err


def test_more_trials_than_there_are_recipes_are_said_not_to_be(db, capsys):
    search_with(Executor(db, 2), make_search(), wanted=50)
    assert of_tag(db) == [0.001, 0.01, 0.1, 1]
    said = capsys.readouterr().err
    assert "these ranges and values hold 4 recipes; no more can be tried than that" in said
    assert "4/4" in said
    search_with(engine := Executor(db), make_search(), wanted=50)
    assert engine.asked == []


def test_one_that_another_process_trains_is_waited_for_and_may_be_the_best(db, capsys):
    other = Other(db, recipe_of(0.01))

    def busy(db, recipe):
        return {"status": RUNNING, "run": other.run, "error": None, "before": True, "sign": "1 now"}

    engine, search = Executor(db, 1, **{"r0.01": [busy, busy, busy]}), make_search()

    def between():
        if sum(rate == 0.01 for rate, _ in engine.asked) == 2:
            engine.between = lambda: None
            other.finish()

    engine.between = between
    told = search_with(engine, search)
    assert of_tag(db) == [0.001, 0.01, 0.1, 1]
    assert ("COMPLETE", 0.01, 0.9) in told
    assert search.trials[[rate for _, rate, _ in told].index(0.01)].value == max(value for *_, value in told if value)
    assert not any(state == "PRUNED" for state, *_ in told)
    assert f"run {other.run}" in capsys.readouterr().err


def test_what_others_begin_under_the_tag_counts_for_the_trials_that_are_wanted(db):
    engine = Executor(db)

    def between():
        if len(engine.asked) == 1:
            engine.between = lambda: None
            left = next(rate for rate in (0.001, 0.01, 0.1, 1) if rate != engine.asked[0][0])
            record(db, recipe_of(left), accuracy=0.7)
            record(db, recipe_of(0.5))  # of another search, whose ranges these are not

    engine.between = between
    told = search_with(engine, make_search(), wanted=3)
    assert len(engine.asked) == 2
    assert len({rate for _, rate, _ in told}) == 3
    assert len([each for each in told if each[2] == 0.7]) == 1
    assert 0.5 not in {rate for _, rate, _ in told}


def test_a_silent_one_of_others_is_taken_over_after_its_own_silence(db, monkeypatch):
    monkeypatch.setattr(trying, "SILENT_SECONDS", -1.0)
    other = Other(db, recipe_of(0.01))

    def busy(db, recipe):
        return {"status": RUNNING, "run": other.run, "error": None, "before": True, "sign": "1 then"}

    def taken(db, recipe):
        other.finish()
        return {"status": FINISHED, "run": other.run}

    engine = Executor(db, 1, **{"r0.01": [busy, taken]})
    told = search_with(engine, make_search())
    assert [silent for rate, silent in engine.asked if rate == 0.01] == [None, "1 then"]
    assert ("COMPLETE", 0.01, 0.9) in told


def test_a_registry_that_is_away_for_a_moment_does_not_end_the_search(db, monkeypatch):
    other, real, away = Other(db, recipe_of(0.01)), trying.RegistryReader, []

    def opened(place):
        away.append(len(away) % 3 > 0)  # but for the first look, which tells that it is there at all
        if away[-1]:
            raise UnavailableError("it is away")
        return real(place)

    def busy(db, recipe):
        return {"status": RUNNING, "run": other.run, "error": None, "before": True}

    def ends(db, recipe):
        other.finish()
        return {"status": FINISHED, "run": other.run, "before": True}

    monkeypatch.setattr(trying, "RegistryReader", opened)
    told = search_with(Executor(db, 1, **{"r0.01": [busy, busy, ends]}), make_search())
    assert len(told) == 4
    assert ("COMPLETE", 0.01, 0.9) in told
    assert away.count(True) > 4


def test_one_that_another_process_left_is_gone_on_with(db):
    theirs = record(db, recipe_of(0.01), INTERRUPTED)

    def taken(db, recipe):
        with Registry(db) as registry:
            registry.go_on(theirs, epochs=2, environment=registry.run(theirs).environment)
            registry.finish(theirs, make_evaluation(CARD), CARD, b"")
        return {"status": FINISHED, "run": theirs}

    told = search_with(engine := Executor(db, 1, **{"r0.01": [taken]}), make_search())
    assert engine.asked[0][0] == 0.01
    assert len(told) == 4


def _search_together(db, gate, done):
    gate.wait()
    search_with(executor := Claiming(db, 2, slow=0.02), make_search("0.0001:1"), wanted=15)
    done.put(executor.mine)
    executor.registry.__exit__()


def test_processes_that_search_at_once_make_as_many_trials_as_are_wanted_and_none_twice(db):
    context = multiprocessing.get_context("fork")
    gate, done = context.Barrier(3), context.Queue()
    processes = [context.Process(target=_search_together, args=(db, gate, done)) for _ in range(3)]
    for process in processes:
        process.start()
    mine = [done.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    with Registry(db) as registry:
        assert sorted(run for each in mine for run in each) == sorted(run.id for run in registry.runs())
    assert len(of_tag(db)) == len(set(of_tag(db))) == 15
    assert sql(db, "SELECT count(*) FROM sessions") == [(15,)], "none was trained by two"


def _begin_and_die(db, recipe):
    with Claimer(db) as registry:
        run = start(registry, recipe, CARD)
        registry.tag(run, [TAG])
        registry.record(run, make_epochs(1)[0])
        os.kill(os.getpid(), signal.SIGKILL)


def test_what_a_killed_process_trained_is_resumed_before_anything_is_drawn(db):
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_begin_and_die, args=(db, recipe_of(0.01)))
    process.start()
    process.join()
    told = search_with(executor := Claiming(db), make_search())
    executor.registry.__exit__()
    assert executor.asked[0][0] == 0.01
    assert [state for state, *_ in told] == ["COMPLETE"] * 4
    assert sql(db, "SELECT count(*) FROM sessions GROUP BY run_key ORDER BY run_key") == [(2,), (1,), (1,), (1,)]


def test_what_another_process_stops_meanwhile_is_resumed_before_more_is_drawn(db):
    other = Other(db, recipe_of(0.01))
    executor = Claiming(db)

    def between():
        if len(executor.mine) == 1:
            executor.between = lambda: None
            other.registry.end(other.run, INTERRUPTED)
            other.registry.__exit__()

    executor.between = between
    told = search_with(executor, make_search())
    executor.registry.__exit__()
    assert [rate for rate, _ in executor.asked].index(0.01) < 3
    assert [state for state, *_ in told] == ["COMPLETE"] * 4


def test_a_draw_that_would_be_one_too_many_is_forgotten(db):
    executor, search = Claiming(db), make_search("0.0001:1")

    def between():
        if executor.at_work and not executor.mine:
            executor.between = lambda: None
            for rate in (0.3, 0.2):
                record(db, recipe_of(rate))

    executor.between = between
    told = search_with(executor, search, wanted=2)
    executor.registry.__exit__()
    assert executor.mine == []
    assert [rate for _, rate, _ in told] == [0.3, 0.2]


@pytest.mark.parametrize(
    ("status", "error", "state"),
    [
        (FAILED, "the disk is full", "FAIL"),
        (FAILED, "the training loss became nan in iteration 3 (epoch 1); try a --learning-rate below 1", "COMPLETE"),
        (INTERRUPTED, f"stopped after epoch 2: {PRUNED}", "PRUNED"),
    ],
)
def test_each_end_is_told_as_what_it_is(db, status, error, state, capsys):
    def ends(db, recipe):
        return {"status": status, "run": record(db, recipe, status, error), "error": error}

    told = search_with(Executor(db, 1, **{"r0.1": [ends]}), make_search())
    assert [state for state, rate, _ in told if rate == 0.1] == [state]
    assert sum(each[0] == "COMPLETE" for each in told) == 3 + (state == "COMPLETE")
    line = next(line for line in capsys.readouterr().err.splitlines() if "rate 0.1," in line)
    assert ("pruned" in line) == (state == "PRUNED")
    assert ("failed: " in line) == (status == FAILED)
    again = search_with(engine := Executor(db), make_search())
    assert engine.asked == []
    assert [state for state, rate, _ in again if rate == 0.1] == [state]


def test_one_whose_processes_always_die_ends_the_search_in_a_sentence(db):
    def dies(db, recipe):
        return {"status": DIED}

    with pytest.raises(KwsError, match=r"learning rate 0.1, .*: its process died 5 times"):
        search_with(Executor(db, 1, **{"r0.1": [dies] * 9}), make_search("0.1,0.2"))


def test_of_equal_runs_under_a_tag_the_finished_one_is_the_trial():
    recipe = recipe_of(0.1)
    runs = [
        SimpleNamespace(recipe=recipe, status=status, data_fingerprint=fingerprint, id=name)
        for name, status, fingerprint in (
            ("a", INTERRUPTED, "f"), ("b", FINISHED, "f"), ("c", FAILED, "f"), ("d", FINISHED, "other")
        )
    ]  # fmt: skip
    space = make_search().space
    assert [run.id for run in trying.of_search(runs, space, "f")] == ["b"]


def test_a_checkpoint_that_cannot_be_read_is_told_at_once(db):
    theirs = record(db, recipe_of(0.01), INTERRUPTED)

    def unreadable(db, recipe):
        return {"status": FAILED, "run": theirs, "error": "its checkpoint cannot be read"}

    engine = Executor(db, 1, **{"r0.01": [unreadable]})
    with pytest.raises(KwsError, match="its checkpoint cannot be read"):
        search_with(engine, make_search())
    assert [rate for rate, _ in engine.asked].count(0.01) == 1


def test_a_trial_that_its_worker_has_given_up_and_could_not_record_so_has_failed(db):
    other = Other(db, recipe_of(0.01))

    def gives_up(db, recipe):
        return {"status": FAILED, "run": other.run, "error": "the registry was away"}

    told = search_with(Executor(db, 1, **{"r0.01": [gives_up]}), make_search())
    assert ("FAIL", 0.01) in [each[:2] for each in told]


def test_a_registry_that_stays_away_ends_the_search_after_its_patience(db, monkeypatch):
    real, looks = trying.RegistryReader, []

    def opened(place):
        looks.append(place)
        if len(looks) > 2:
            raise UnavailableError("it is away")
        return real(place)

    monkeypatch.setattr(trying, "RegistryReader", opened)
    with pytest.raises(UnavailableError, match="it is away"):
        search_with(Executor(db, 1), make_search(), patience=0.2)
