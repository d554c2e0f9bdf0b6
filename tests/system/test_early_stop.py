"""Early stop: a run ends in the epoch that its own rule names and is finished then; all that reads runs copes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from commands import TRAIN, kws, ok, ok_json, refused, sql
from hypothesis import given
from hypothesis import strategies as st
from ledger import WEIGHTS as SOME_WEIGHTS
from ledger import Cards, make_card, make_epochs, make_evaluation, make_recipe, make_run, start
from swept import shared_task

from kws.errors import RecipeError
from kws.recipe import BEST, Recipe, last_epoch
from kws.registry.claims import PlanReader
from kws.registry.doctor import examine
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, RUNNING, early_stop
from kws.registry.store import Registry
from kws.reports import groups
from kws.reports.comparison import beside
from kws.reports.table1 import tables
from kws.sweeps.status import PlanStatus
from kws.training import loop

EPOCHS = 7
COSINE = ("--schedule", "cosine", "--warm-up", "0", "--learning-rate", "0.0003", "--seed", "1")


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """A task, a cache that all runs on it share, and a run of all epochs that no rule ends: its epochs."""
    with shared_task(tmp_path_factory, "early") as made:
        db = made.folder / "unbroken.db"
        run_id = ok_json(*TRAIN, *COSINE, "--data", made.task, "--epochs", EPOCHS, "--db", db)["run"]
        with RegistryReader(db) as registry:
            made.epochs = untimed(registry.epochs(run_id))
        made.curve = [epoch.validation_accuracy for epoch in made.epochs]
        made.target = max(made.curve[:3])
        made.reached = 1 + made.curve.index(made.target)
    return made


@pytest.fixture
def task(places, monkeypatch):
    monkeypatch.setenv("KWS_CACHE", str(places.cache))
    assert 1 < places.reached < EPOCHS, f"another learning rate is needed for {places.curve}"
    return places.task


def untimed(epochs):
    return [replace(epoch, seconds=0.0, processor_seconds=None) for epoch in epochs]


def trained(task, *options) -> list:
    return [*TRAIN, *COSINE, "--data", task, "--epochs", EPOCHS, *options]


def outcome(db, run_id: str) -> tuple:
    """All that must be the same to the last bit."""
    with RegistryReader(db) as registry:
        run = registry.run(run_id)
        digest = registry.weights_digest(run_id)
        assert run.status == FINISHED
        assert digest
        return untimed(registry.epochs(run_id)), digest, registry.evaluations(run_id), run.test_accuracy


# The rule


@given(st.lists(st.integers(0, 8), min_size=1, max_size=12), st.integers(1, 8), st.integers(1, 5), st.booleans())
def test_a_run_ends_where_the_words_of_its_options_say(eighths, target, patience, waits):
    recipe = make_recipe(epochs=10, until=target / 8, patience=patience if waits else None)
    curve = [each / 8 for each in eighths]
    ends = [
        epoch
        for epoch in range(1, len(curve) + 1)
        if curve[epoch - 1] >= target / 8
        or epoch == 10
        or (waits and epoch > patience and max(curve[epoch - patience : epoch]) <= max(curve[: epoch - patience]))
    ]
    assert last_epoch(recipe, curve) == (ends[0] if ends else None)


def test_without_a_rule_only_the_number_of_epochs_ends_a_run():
    recipe = make_recipe(epochs=3)
    assert [last_epoch(recipe, [1.0] * count) for count in range(5)] == [None, None, None, 3, 3]


@pytest.mark.parametrize(("name", "value"), [("until", 0.0), ("until", 97.0), ("until", 1.01), ("patience", 0)])
def test_a_rule_that_cannot_be_is_refused_by_its_value(name, value):
    with pytest.raises(RecipeError, match=f"`{name}` \\(={value:g}\\) must be"):
        make_recipe(**{name: value})


def test_no_digest_of_a_run_without_a_rule_has_changed_and_a_rule_makes_another_cell():
    plain, older = make_recipe(), json.loads(make_recipe().text)
    del older["until"], older["patience"]
    assert Recipe.from_text(json.dumps(older)) == plain
    assert make_recipe(epochs=50).digest == "56083fadf1aa198f"
    assert len({plain.cell, make_recipe(until=1).cell, make_recipe(patience=1).cell}) == 3
    assert make_recipe(until=1).text == make_recipe(until=1.0).text


# Runs


def test_a_run_ends_in_the_first_epoch_that_reaches_it_and_its_schedule_spans_all_epochs(task, places, place):
    result = kws(*trained(task, "--until", places.target, "--json"))
    run = json.loads(result.stdout)
    assert (run["epochs"], run["epochs_planned"], run["ended_by"]) == (places.reached, EPOCHS, "until")
    said = f"it reached {100 * places.target:g} % validation accuracy in epoch {places.reached} of {EPOCHS} after "
    assert said in result.stderr
    assert outcome(place("experiments.db"), run["run"])[0] == places.epochs[: places.reached]
    assert f"reached {100 * places.target:g} %" in ok("runs", "show", "last")
    assert ok("db", "doctor")


def test_the_weights_of_the_epoch_that_reached_it_are_tested(task, places):
    run = ok_json(*trained(task, "--until", places.target))
    again = ok_json("eval", run["run"], "--split", "validation")
    assert again["accuracy"] == places.target == run["validation_accuracy"]
    assert run["test_accuracy"] is not None


def test_a_run_that_never_reaches_it_is_finished_and_says_so(task):
    result = kws(*trained(task, "--until", 1.0, "--epochs", 1, "--learning-rate", "1e-7", "--json"))
    run = json.loads(result.stdout)
    assert (run["status"], run["epochs"], run["ended_by"]) == (FINISHED, 1, None)
    assert "it did not reach 100 % validation accuracy in 1 epoch\n" in result.stderr


@pytest.mark.parametrize("select", ["final", BEST])
def test_with_patience_what_is_kept_follows_select(task, places, select):
    ends = next(i for i in range(2, EPOCHS + 1) if places.curve[i - 1] <= max(places.curve[: i - 1]))
    run = ok_json(*trained(task, "--patience", 1, "--select", select))
    assert (run["epochs"], run["ended_by"]) == (ends, "patience")
    kept = ok_json("eval", run["run"], "--split", "validation")["accuracy"]
    assert kept == (max(places.curve[:ends]) if select == BEST else places.curve[ends - 1])


@pytest.mark.parametrize("checkpoints", [True, False])
def test_a_run_that_was_cut_off_ends_in_the_same_epoch_with_the_same_bits(
    task, places, place, monkeypatch, tmp_path, checkpoints
):
    rule = ("--until", places.target, "--patience", EPOCHS)
    unbroken = ok_json(*trained(task, *rule), "--db", place("other.db"))["run"]
    if checkpoints:
        monkeypatch.setattr("kws.training.runner.CHECKPOINT_SECONDS", 0)
        monkeypatch.setattr("kws.training.runner._SHARE", 0)
    step, done = loop.step, iter(range(3 * (places.reached - 1) + 1))

    def steps(*arguments):
        if next(done, None) is None:
            raise KeyboardInterrupt
        return step(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(loop, "step", steps)
        assert kws(*trained(task, *rule)).exit_code == 130
    run = ok_json("train", "--resume", "last")
    assert outcome(place("experiments.db"), run["run"]) == outcome(place("other.db"), unbroken)


def test_a_run_that_was_cut_off_before_its_test_has_only_to_finish(task, places, monkeypatch):
    monkeypatch.setattr("kws.training.runner.CHECKPOINT_SECONDS", 0)
    with monkeypatch.context() as patched:
        patched.setattr(loop, "take_selected", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        assert kws(*trained(task, "--until", places.target)).exit_code == 130
    run = ok_json("train", "--resume", "last")
    assert (run["status"], run["epochs"]) == (FINISHED, places.reached)


def test_a_run_that_its_rule_ended_is_not_resumed_for_more_epochs(task, places):
    run = ok_json(*trained(task, "--until", places.target))["run"]
    said = refused("train", "--resume", run, "--epochs", EPOCHS + 3)
    assert f"run {run} is finished: with --until it reached {100 * places.target:g} % validation accuracy" in said
    assert "`kws train` without --until" in said


def test_the_same_recipe_again_ends_where_it_did(task, places):
    run = ok_json(*trained(task, "--until", places.target))["run"]
    assert "bit for bit" in kws("rerun", run).stderr


# What reads runs


def ended(registry, recipe, count: int, card=None) -> str:
    """A finished run that was recorded with so many epochs, whose validation accuracy rises; its id."""
    card = card or make_card()
    run_id = start(registry, recipe, card)
    for epoch in make_epochs(count):
        registry.record(run_id, epoch)
    registry.finish(run_id, make_evaluation(card), card, SOME_WEIGHTS)
    return run_id


def test_the_doctor_knows_where_a_rule_ends_a_run(place):
    with Registry(place("experiments.db"), create=True) as registry:
        accuracies = [epoch.validation_accuracy for epoch in make_epochs(6)]
        ended(registry, make_recipe(epochs=9, until=accuracies[3]), 4)
        short = ended(registry, make_recipe(epochs=9, until=accuracies[3], seed=1), 3)
        long = ended(registry, make_recipe(epochs=9, until=accuracies[3], seed=2), 5)
        sql(registry.path, "DELETE FROM manifests")
    found = {
        finding.run: finding.problem for finding in examine(place("experiments.db")) if "epochs" in finding.problem
    }
    assert found == {
        short: "is finished but has 3 of 9 epochs",
        long: "has 5 epochs, but its recipe ends it after epoch 4",
    }


def test_a_sweep_knows_such_a_run_as_finished_and_times_an_epoch_by_those_it_has(place):
    recipe = make_recipe(epochs=100, until=0.5)
    with Registry(place("experiments.db"), create=True) as registry:
        ended(registry, recipe, 2)
    with PlanReader(place("experiments.db")) as registry:
        ((known,),) = registry.known().values()
    status = PlanStatus.of([recipe, replace(recipe, seed=1)], place("experiments.db"))
    assert [status.state(at) for at in range(2)] == [FINISHED, "new"]
    assert status.seconds(recipe, {}) == 100 * known.seconds / 2


def test_runs_with_different_rules_never_share_a_table_and_the_caption_says_the_rule():
    runs = [make_run(f"run{i}", **rule) for i, rule in enumerate(({}, {"until": 0.9}, {"until": 0.9, "patience": 1}))]
    found = [table.caption.partition(" in minibatches")[0] for table in tables(Cards(make_card()), runs, test=False)]
    assert found == [
        "Test accuracy after 50 epochs",
        "Test accuracy after at most 50 epochs, ended early at 90 % validation accuracy,",
        "Test accuracy after at most 50 epochs, ended early at 90 % validation accuracy or after 1 epoch without a "
        "better one,",
    ]


def test_the_reports_figures_stand_only_beside_runs_without_a_rule():
    runs = [make_run("one"), make_run("two", until=0.9)]
    plain, ruled = tables(Cards(make_card()), runs, test=False)
    assert beside(Cards(make_card()), ruled) is None
    assert plain.conditions["until"] is None


def test_seeds_that_ended_in_different_epochs_are_curves_of_one_cell(place):
    accuracies = [epoch.validation_accuracy for epoch in make_epochs(6)]
    with Registry(place("experiments.db"), create=True) as registry:
        for seed, count in enumerate((4, 6)):
            ended(registry, make_recipe(epochs=9, until=0.99, patience=2, seed=seed), count)
        group = groups.taken(registry, registry.runs())
        curves = groups.validation_accuracies(registry, group.table.cells[0])
    assert curves.shape == (2, 6)
    assert [[value for value in curve if value == value] for curve in curves] == [accuracies[:4], accuracies]


def test_a_search_refuses_what_would_level_its_trials():
    assert "`until` (=0.9)" in refused("tune", "--arch", "fc", "--set", "until=0.9")


def test_only_finished_runs_have_an_early_stop():
    run = replace(make_run(until=0.9, patience=3, epochs=20), epochs_done=7, seconds=8.34, validation_accuracy=0.95)
    assert early_stop(run) == "reached 90 % validation accuracy in epoch 7 of 20 after 8.3 s"
    below = replace(run, validation_accuracy=0.8)
    assert early_stop(below) == (
        "ended after epoch 7 of 20, 3 epochs after its best one, and did not reach 90 % validation accuracy"
    )
    assert early_stop(replace(below, epochs_done=20)) == "did not reach 90 % validation accuracy in 20 epochs"
    assert early_stop(replace(run, status=RUNNING)) is None
    assert early_stop(make_run()) is None
