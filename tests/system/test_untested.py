"""Runs that are not tested at their end: everything that reads runs copes with them, and `kws test` tests one, once."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from commands import TRAIN, dump, kws, ok, ok_json, refused, sql, state
from ledger import WEIGHTS, cut_off, make_card, make_epochs, make_evaluation, make_recipe, start, train
from sounds import write_task
from swept import shared_task

from kws.cli import sweeping
from kws.events import ALL, TEST, VALIDATION
from kws.registry.location import Location, locate
from kws.registry.maintenance import best_seeds
from kws.registry.reader import RegistryReader
from kws.registry.runs import FAILED
from kws.reports.reproducibility import compare
from kws.sweeps.trainer import Trainer, WorkerConfig
from kws.training import loop

NO_TRACE = ("evaluations", "logits", "tests")


@pytest.fixture(scope="module")
def tested(tmp_path_factory):
    """A task, a cache that all runs on it share, and a registry with a run that was tested at its end."""
    with shared_task(tmp_path_factory, "untested") as made:
        made.db = made.folder / "tested.db"
        made.run = ok_json(*TRAIN, "--data", made.task, "--epochs", 2, "--db", made.db)["run"]
    return made


@pytest.fixture
def task(tested, monkeypatch):
    monkeypatch.setenv("KWS_CACHE", str(tested.cache))
    return tested.task


def db() -> Location:
    return locate(os.environ["KWS_DB"])


def untested(task, *options) -> str:
    """A run of the same recipe as the tested one, but not tested; its id."""
    return ok_json(*TRAIN, "--data", task, "--epochs", 2, "--no-test", *options)["run"]


def record(registry, recipe=None, card=None, *, validation=None) -> str:
    """A finished run that was not tested, without training; its id."""
    card = card or make_card()
    run_id = start(registry, recipe, card)
    for epoch in make_epochs(2):
        registry.record(run_id, epoch)
    registry.finish(run_id, None, card, WEIGHTS)
    if validation is not None:
        sql(registry.path, "UPDATE trainings SET validation_accuracy = ? WHERE id = ?", values=(validation, run_id))
    return run_id


def answers(db: Location, run_id: str) -> dict[str, list[tuple]]:
    """What a registry has of a run's test, but for when that was."""
    of = "FROM {} JOIN runs ON run_key = key WHERE id = ?"
    return {
        "runs": sql(db, "SELECT status, test_accuracy, validation_accuracy FROM runs WHERE id = ?", values=(run_id,)),
        "evaluations": sql(
            db,
            f"SELECT evaluations.data_fingerprint, split, clips, loss, objective, accuracy, predictions "
            f"{of.format('evaluations')} ORDER BY split",
            values=(run_id,),
        ),
        "logits": sql(db, f"SELECT split, logits {of.format('logits')} ORDER BY split", values=(run_id,)),
        "weights": sql(db, f"SELECT sha256 {of.format('weights')}", values=(run_id,)),
        "tests": sql(
            db, "SELECT split_fingerprint, split, recipe FROM tests WHERE run_id = ? ORDER BY split", values=(run_id,)
        ),
    }


def test_it_is_finished_with_weights_and_without_a_look_at_the_test_split(task, monkeypatch):
    looked_at = []
    real = loop.evaluate
    monkeypatch.setattr(loop, "evaluate", lambda m, split, name, r: looked_at.append(name) or real(m, split, name, r))
    result = kws(*TRAIN, "--data", task, "--epochs", 2, "--no-test")
    assert result.exit_code == 0
    assert set(looked_at) == {VALIDATION}
    (run,) = ok_json("runs", "list")["runs"]
    assert (run["status"], run["test_accuracy"], run["tags"]) == ("finished", None, ["untested"])
    assert run["validation_accuracy"] is not None
    *_, end, after = result.stderr.splitlines()
    assert f"run {run['run']} finished: validation accuracy" in end
    assert end.endswith("it is not tested")
    assert after.endswith(f"kws test {run['run']}")
    assert "test accuracy" not in result.stderr
    for table in NO_TRACE:
        assert sql(db(), f"SELECT count(*) FROM {table} WHERE split = 'test'") == [(0,)]
    assert sql(db(), "SELECT count(*) FROM weights") == [(1,)]


def test_its_test_gives_what_a_test_at_its_end_would_have_given(task, tested):
    run_id = untested(task)
    shown = ok("test", run_id)
    assert answers(db(), run_id) == answers(tested.db, tested.run)
    (run,) = ok_json("runs", "list")["runs"]
    assert f"accuracy {100 * run['test_accuracy']:.2f} %" in shown
    assert run["tags"] == []


def test_a_second_test_says_what_is_recorded_and_looks_at_nothing(task, monkeypatch):
    run_id = untested(task)
    first = ok_json("test", run_id)
    before = dump(db())
    monkeypatch.setattr("kws.speech.dataset.load", lambda *_, **__: pytest.fail("it looked at the clips"))
    result = kws("test", run_id)
    assert result.exit_code == 0
    assert f"run {run_id} was tested already, at {first['tested_at']}; this is what is recorded" in result.stderr
    again = ok_json("test", run_id)
    assert (first["tested_now"], again["tested_now"]) == (True, False)
    assert {**first, "tested_now": False} == again
    assert dump(db()) == before


def test_a_run_that_was_tested_at_its_end_is_not_tested_again(task, tested):
    before = state(tested.db)
    assert "was tested already" in kws("test", tested.run, "--db", tested.db).stderr
    assert state(tested.db) == before


def test_of_two_tests_at_once_the_first_is_recorded_and_both_are_in_the_ledger(registry):
    card = make_card()
    run_id = record(registry, card=card)
    registry.keep_evaluation(run_id, make_evaluation(card, wrong=1), card)
    registry.keep_evaluation(run_id, make_evaluation(card, wrong=2), card)
    assert registry.by_id(run_id).test_accuracy == pytest.approx(5 / 6)
    assert registry.evaluation(run_id, card.fingerprint, TEST).accuracy == pytest.approx(5 / 6)


@pytest.mark.parametrize("split", [VALIDATION, ALL])
def test_answers_on_other_splits_are_no_test(registry, split):
    card = make_card()
    run_id = record(registry, card=card)
    registry.keep_evaluation(run_id, make_evaluation(card, split, wrong=1), card)
    registry.keep_evaluation(run_id, make_evaluation(make_card("others")), make_card("others"))
    assert registry.by_id(run_id).awaits_test


def test_only_a_finished_run_with_weights_and_its_own_clips_can_be_tested(task, registry, tmp_path):
    cut = cut_off(registry)
    assert f"run {cut} is interrupted; only a finished run can be tested" in refused("test", cut)
    failed = start(registry)
    registry.end(failed, FAILED, "no reason")
    assert f"run {failed} is failed" in refused("test", failed)
    run_id = untested(task)
    before = dump(db())
    other = tmp_path / "other"
    write_task(other, words=("yes", "no", "up"))
    assert f"does not hold the clips that run {run_id}" in kws("test", run_id, "--data", other).stderr
    assert dump(db()) == before
    sql(db(), "DELETE FROM weights")
    assert f"run {run_id} is finished, but its weights were not kept" in refused("test", run_id)


def test_its_clips_may_lie_elsewhere(task, tmp_path):
    folder = shutil.copytree(task, tmp_path / "here")
    run_id = untested(folder)
    folder.rename(tmp_path / "there")
    assert "here does not exist" in refused("test", run_id)
    ok("test", run_id, "--data", tmp_path / "there")
    assert not ok_json("runs", "list")["runs"][0]["tags"]


@pytest.mark.sqlite_file
def test_in_a_registry_that_cannot_be_written_nothing_is_tested(task, monkeypatch):
    run_id = untested(task)
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and real(path, mode))
    before = state(db())
    assert "cannot be written, and a test has to be recorded" in refused("test", run_id)
    assert state(db()) == before


# Cut off and gone on with


CUT = (
    "UPDATE trainings SET status = 'interrupted', test_accuracy = NULL",
    *(f"DELETE FROM {table}" for table in NO_TRACE),
)


def test_one_that_was_cut_off_stays_untested_when_it_goes_on(task):
    run_id = untested(task)
    sql(db(), *CUT, "DELETE FROM weights")
    run = ok_json("train", "--resume", run_id)
    assert (run["status"], run["test_accuracy"]) == ("finished", None)
    assert sql(db(), "SELECT count(*) FROM tests WHERE split = 'test'") == [(0,)]


def test_one_that_was_to_be_tested_is_not_where_whoever_goes_on_with_it_says_so(task):
    run_id = ok_json(*TRAIN, "--data", task, "--epochs", 2)["run"]
    sql(db(), *CUT, "DELETE FROM weights")
    assert ok_json("train", "--resume", run_id, "--no-test")["test_accuracy"] is None
    sql(db(), *CUT, "DELETE FROM weights", "DELETE FROM tags")
    assert ok_json("train", "--resume", run_id)["test_accuracy"] is not None


def test_without_its_tag_it_is_tested_at_its_end(task):
    run_id = untested(task)
    sql(db(), *CUT, "DELETE FROM weights")
    ok("runs", "tag", run_id, "untested", "--remove")
    assert ok_json("train", "--resume", run_id)["test_accuracy"] is not None


def test_a_run_is_trained_again_without_a_test_where_it_was_not_tested(task):
    first = untested(task)
    result = kws("rerun", first)
    assert result.exit_code == 0
    again = ok_json("runs", "list")["runs"][0]
    assert (again["rerun_of"], again["test_accuracy"], again["tags"]) == (first, None, ["untested"])
    assert "bit for bit: the same epochs and weights; their answers are not compared" in result.stderr
    assert ok_json("rerun", first)["answers_differ"] is None
    ok("test", first)
    assert ok_json("rerun", first)["answers_differ"] is False


def test_where_only_one_of_two_is_tested_epochs_and_weights_are_compared(task):
    first = untested(task)
    ok("rerun", first)
    ok("test", first)
    with RegistryReader(db()) as registry:
        result = compare(registry, *registry.runs())
    assert result.same
    assert result.answers_differ is None


# Whatever reads runs


def test_lists_and_pages_show_it_as_not_tested(task):
    run_id = untested(task)
    line = ok("runs", "list").splitlines()[1]
    assert "finished" in line
    assert "#untested" in line
    assert f"not tested; `kws test {run_id}` does it, once" in ok("runs", "show", run_id)
    shown = ok_json("runs", "show", run_id)
    assert (shown["test_accuracy"], shown["recipes_judged"]) == (None, 0)
    assert [each["split"] for each in shown["evaluations"]] == [VALIDATION]
    assert "finished after 2 of 2 epochs: validation accuracy" in (watched := ok("watch", run_id))
    assert watched.rstrip().endswith("not tested")
    ok("report", "report.html")
    page = Path("report.html").read_text()
    assert f"<code>kws test {run_id}</code> tests one" in page
    assert "It has not been tested." in page
    assert "not tested" in page
    differing = ok_json("runs", "diff", run_id, run_id)
    assert "test_accuracy" in differing["same"]


def test_tables_leave_it_out_and_say_so(registry):
    train(registry, make_recipe(seed=0))
    record(registry, make_recipe(seed=1))
    said = kws("compare", "--format", "csv")
    assert "note: 1 finished run is not tested, and so in no table; `kws test RUN` tests one, once" in said.stderr
    (table,) = json.loads(ok("compare", "--format", "json"))["tables"]
    assert [cell["n"] for cell in table["cells"]] == [1]
    record(registry, make_recipe(seed=2))
    assert "note: 2 finished runs are not tested" in kws("compare").stderr
    assert kws("compare", "--where", "seed = 0").stderr == ""


def test_a_page_says_so_under_its_tables(registry):
    train(registry, make_recipe(seed=0))
    record(registry, make_recipe(seed=1))
    ok("report", "report.html")
    assert "Note: 1 finished run is not tested, and so in no table." in Path("report.html").read_text()


def test_where_no_run_is_tested_no_table_is_claimed_to_be_missing_runs(registry):
    record(registry)
    said = kws("compare")
    assert "1 finished run is not tested" in said.stderr
    assert "no finished runs" not in said.stderr


@pytest.mark.parametrize("kind", ["optimizers", "convergence", "size", "confusion", "det"])
def test_figures_of_answers_name_the_command_that_tests(registry, kind):
    run_id = record(registry)
    named = [] if kind in ("optimizers", "convergence", "size") else [run_id]
    assert f"`kws test {run_id}` tests" in refused("plot", *named, "--kind", kind)


def test_its_curves_are_drawn(registry):
    run_id = record(registry)
    assert ok("plot", run_id).strip() == f"curves-{run_id}.png"


def test_a_figure_takes_the_tested_runs_alone(registry):
    train(registry, make_recipe("fc", "sgd"))
    record(registry, make_recipe("cnn", "sgd"))
    ok("plot", "--kind", "size")


def test_the_doctor_finds_nothing_in_it_but_a_test_that_was_lost(registry):
    record(registry, make_recipe(epochs=2))
    tested = train(registry, make_recipe(epochs=2))
    assert ok("db", "doctor") == f"{registry.path} is in order\n"
    sql(
        registry.path,
        "DELETE FROM evaluations",
        "DELETE FROM logits",
        "UPDATE trainings SET test_accuracy = NULL",
    )
    result = kws("db", "doctor")
    assert result.stdout.splitlines() == [f"run {tested} is finished but has no answers on its test split"]


def test_the_best_seed_of_a_copy_is_that_of_the_best_validation_tested_or_not(registry):
    worse = train(registry, make_recipe(seed=0))
    best = record(registry, make_recipe(seed=1), validation=0.99)
    assert best_seeds(registry.runs()) == {best}
    assert worse not in best_seeds(registry.runs())


def test_it_goes_into_another_registry_and_is_tested_there(task, tmp_path):
    run_id = untested(task)
    ok("runs", "export", run_id, "one.db")
    before = dump(db())
    ok("runs", "import", "one.db", "--db", tmp_path / "two.db")
    assert ok_json("runs", "list", "--db", tmp_path / "two.db")["runs"][0]["tags"] == ["untested"]
    ok("test", run_id, "--db", tmp_path / "two.db")
    assert dump(db()) == before


def test_eval_leaves_its_test_split_alone(task):
    run_id = untested(task)
    for split in (TEST, ALL):
        assert f"run {run_id} is not tested; `kws test {run_id}` does it, once" in refused(
            "eval", run_id, "--split", split
        )
    ok("eval", run_id, "--split", VALIDATION)
    (run,) = ok_json("runs", "list")["runs"]
    assert run["test_accuracy"] is None
    assert sql(db(), "SELECT DISTINCT split FROM tests") == [(VALIDATION,)]
    ok("test", run_id)
    ok("eval", run_id)


# The ledger


def test_a_split_has_judged_each_recipe_once_whatever_the_seeds_and_whoever_was_purged(registry):
    card = make_card()
    fingerprint = card.split_fingerprints[TEST]
    assert registry.recipes_judged(fingerprint) == 0
    runs = [train(registry, make_recipe("fc", opt, seed=seed), card) for opt in ("sgd", "adam") for seed in range(3)]
    record(registry, make_recipe("cnn"), card)
    assert registry.recipes_judged(fingerprint) == 2
    assert ok_json("runs", "show", runs[0])["recipes_judged"] == 2
    assert "2 by this test split so far" in ok("runs", "show", runs[0])
    (judged,) = ok_json("db", "info")["judged"]
    assert judged == {"split": "test", "fingerprint": fingerprint, "recipes": 2, "evaluations": 6}
    assert f"test split {fingerprint[:12]}: 2 recipes, 6 evaluations" in ok("db", "info")
    for run_id in runs[:3]:
        ok("runs", "delete", run_id)
    ok("runs", "purge")
    assert registry.recipes_judged(fingerprint) == 2
    train(registry, make_recipe("fc", "sgd", epochs=3), make_card("others"))
    assert registry.recipes_judged(fingerprint) == 2


def test_a_test_says_how_many_recipes_its_split_has_judged(task):
    untested(task)
    assert kws("test", "last").stderr.splitlines()[-1] == "this split has now judged 1 recipe"
    untested(task, "--learning-rate", 0.02)
    assert ok_json("test", "last")["recipes_judged"] == 2
    assert kws("test", "last").stderr.splitlines()[-1] == "this split has now judged 2 recipes"


# What trains for sweeps and searches


def trainer(*, test: bool) -> Trainer:
    return Trainer(WorkerConfig.here(db(), skip_unreadable=False, test=test))


def sweep_recipe(task, seed: int):
    return make_recipe(
        "cnn", "adam", maps=(2, 1), data=str(task), batch_size=16, epochs=2, seed=seed, threads=1, micro_batch_size=16
    )


def test_a_trainer_that_does_not_test_leaves_the_test_split_alone(task):
    told = trainer(test=False).train(sweep_recipe(task, 0))
    assert (told["status"], told["test_accuracy"]) == ("finished", None)
    assert told["validation_accuracy"] is not None
    assert sql(db(), "SELECT count(*) FROM tests WHERE split = 'test'") == [(0,)]
    assert trainer(test=True).train(sweep_recipe(task, 1))["test_accuracy"] is not None
    again = trainer(test=True).train(sweep_recipe(task, 0))
    assert (again["status"], again["before"]) == ("finished", True)
    assert sql(db(), "SELECT seed, test_accuracy IS NULL FROM runs ORDER BY seed") == [(0, 1), (1, 0)]


def test_a_trainer_goes_on_with_a_run_as_it_was_begun_and_tests_it_only_if_it_is_to_test(task):
    for seed, test in ((0, False), (1, True), (2, True)):
        trainer(test=test).train(sweep_recipe(task, seed))
    sql(db(), *CUT, "DELETE FROM weights")
    for seed, test in ((0, True), (1, True), (2, False)):
        trainer(test=test).train(sweep_recipe(task, seed))
    assert sql(db(), "SELECT seed, status, test_accuracy IS NULL FROM runs ORDER BY seed") == [
        (0, "finished", 1),
        (1, "finished", 0),
        (2, "finished", 1),
    ]


def test_a_sweep_says_which_of_its_runs_are_not_tested(registry, capsys):
    ids = [train(registry, make_recipe(seed=0)), *(record(registry, make_recipe(seed=seed)) for seed in (1, 2))]
    record(registry, make_recipe(seed=3))
    sweeping._tell_untested(registry.path, [*ids, None])
    said = capsys.readouterr().err
    assert said == f"note: 2 of these runs are finished and not tested; `kws test {ids[1]}` tests one\n"
    sweeping._tell_untested(registry.path, [ids[0], None])
    assert capsys.readouterr().err == ""
