"""`kws eval`: the figures of the stored answers, the clips by name, and registries that cannot be written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import TRAIN, clone, kws, ok, ok_json, refused, sql, state, typed
from places import ROOT
from sounds import write_task

from kws.registry.reader import RegistryReader
from kws.registry.store import Registry
from kws.reports.scores import Scores


@pytest.fixture(scope="module")
def trained(tmp_path_factory, new_place):
    """A folder with a task, and the place of a registry with one finished run."""
    db = new_place()
    folder = tmp_path_factory.mktemp("evaluate")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("KWS_CACHE", str(folder / "cache"))
        patched.setenv("KWS_DB", typed(db))
        write_task(folder / "task")
        ok_json(*TRAIN, "--data", "task", "--epochs", 1, "--learning-rate", 1e-9)  # it must be wrong at times
    return folder, db


@pytest.fixture
def db(trained, monkeypatch):
    folder, db = trained
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KWS_CACHE", str(folder / "cache"))
    monkeypatch.setenv("KWS_DB", typed(db))
    return db


def test_its_figures_are_those_of_the_answers_that_the_run_was_finished_with(db):
    said = ok_json("eval", "last")
    with Registry(db) as registry:
        run = registry.run("last")
        card = registry.card(run.data_fingerprint)
        kept = Scores.of(registry.evaluation(run.id, card.fingerprint, "test"), card.classes)
    assert said["accuracy"] == run.test_accuracy
    low, high = said["accuracy_interval"]
    assert 0 <= low <= run.test_accuracy <= high <= 1
    for k, name in enumerate(card.classes):
        found = said["detection"][name]
        assert found["equal_error_rate"] == kept.detection(k).equal_error_rate
        assert found["miss_rates"] == kept.detection(k).miss_rates.tolist()
        assert found["thresholds"][0] is None
    assert said["calibration"]["brier"] == kept.calibration().brier


def test_clips_most_confident_errors_are_files_of_the_word_that_they_are(db):
    for split in ("test", "all"):
        said = ok_json("eval", "last", "--split", split)
        wrong = said["most_confident_errors"]
        assert wrong, "a network that has not learnt is not always right"
        assert len(wrong) == min(10, round((1 - said["accuracy"]) * said["clips"]))
        for each in wrong:
            word, _ = each["clip"].split("/")
            assert Path("task", each["clip"]).exists()
            assert each["label"] == (word if word in said["classes"] else "other")
            assert each["prediction"] != each["label"]
        assert wrong == sorted(wrong, key=lambda each: -each["probability"])


def test_it_is_shown_with_intervals_and_says_what_they_are(db):
    shown = ok("eval", "last")
    for part in ("Confusion matrix", "equal error rate", "Calibration of the answers", "Most confident", "Wilson"):
        assert part in shown
    assert shown.count(" to ") > 15


# From what is recorded


def left_alone(db, tmp_path, *statements):
    """A copy of the registry without weights, in a folder from which no clips can be reached; its place."""
    copy = clone(db, tmp_path / "alone.db")
    sql(
        copy,
        "DELETE FROM weights",
        *statements,
        "UPDATE trainings SET recipe_json = json_set(recipe_json, '$.data', 'gone')",
    )
    return copy


def test_recorded_answers_are_evaluated_without_weights_and_without_clips(db, tmp_path):
    anew = ok_json("eval", "last", "--data", "task")
    copy = left_alone(db, tmp_path)
    result = kws("eval", "last", "--db", copy, "--json")
    assert result.exit_code == 0, result.stderr
    recorded = json.loads(result.stdout)
    assert (anew["stored"], recorded["stored"]) == (False, True)
    assert recorded | {"stored": False} == anew
    assert "from the answers recorded at 2" in result.stderr
    assert "; --data gone evaluates anew" in result.stderr


def test_recorded_answers_are_no_new_look_at_the_split(db):
    looks = sql(db, "SELECT count(*) FROM tests")
    said = kws("eval", "last")
    assert "this split has now judged 1 recipe" in said.stderr
    assert sql(db, "SELECT count(*) FROM tests") == looks
    ok("eval", "last", "--data", "task")
    assert sql(db, "SELECT count(*) FROM tests") == [(looks[0][0] + 1,)]


def test_without_a_list_of_the_clips_they_are_called_by_their_place(db, tmp_path):
    copy = left_alone(db, tmp_path, "DELETE FROM manifests")
    named = {each["clip"] for each in ok_json("eval", "last", "--db", copy)["most_confident_errors"]}
    with Registry(db) as registry:
        run = registry.run("last")
        evaluation = registry.evaluation(run.id, run.data_fingerprint, "test")
    wrong = [place for place in range(12) if evaluation.predictions[place] != evaluation.labels[place]]
    assert named == {f"clip {place}" for place in wrong}


def test_answers_whose_outputs_were_not_kept_are_shown_as_far_as_they_go(db, tmp_path):
    copy = left_alone(db, tmp_path, "DELETE FROM logits")
    result = kws("eval", "last", "--db", copy)
    assert result.exit_code == 0
    assert "the network's outputs were not kept and cannot be made" in result.stderr
    assert "Confusion matrix" in result.stdout
    assert "Calibration" not in result.stdout
    record = ok_json("eval", "last", "--db", copy)
    assert [record[name] for name in ("detection", "calibration", "most_confident_errors")] == [None] * 3


@pytest.mark.parametrize("options", [("--split", "validation"), ("--data", "task")])
def test_what_is_not_recorded_names_what_is(db, tmp_path, options):
    copy = left_alone(db, tmp_path, "DELETE FROM evaluations WHERE split != 'test'")
    said = refused("eval", "last", *options, "--db", copy)
    assert "is finished, but its weights were not kept" in said
    assert "; its answers on the test split are recorded: `kws eval " in said
    sql(copy, "DELETE FROM logits", "DELETE FROM evaluations")
    assert "are recorded" not in refused("eval", "last", *options, "--db", copy)


def test_clips_that_are_gone_are_an_error_that_names_what_is_recorded(db, tmp_path):
    copy = clone(db, tmp_path / "alone.db")
    sql(
        copy,
        "UPDATE trainings SET recipe_json = json_set(recipe_json, '$.data', 'gone')",
        "DELETE FROM evaluations WHERE split != 'test'",
    )
    said = refused("eval", "last", "--split", "validation", "--db", copy)
    assert "the data folder gone does not exist" in said
    assert "its answers on the test split are recorded" in said


# A run of either network whose logits, rounded to 16 bits, are equal where one answer was wrong.
COMMITTED = ("xjqwkwgx", "kzqmdvcf")


@pytest.mark.sqlite_file
def test_committed_runs_without_weights_are_evaluated_by_their_recorded_predictions(tmp_path):
    copy = shutil.copy(ROOT / "experiments.db", tmp_path / "committed.db")
    for run_id in COMMITTED:
        said = ok_json("eval", run_id, "--db", copy)
        with RegistryReader(Path(copy)) as registry:
            assert said["accuracy"] == registry.by_id(run_id).test_accuracy
        bins = said["calibration"]["bins"]
        assert sum(b["right"] * b["clips"] for b in bins) / said["clips"] == pytest.approx(said["accuracy"], abs=1e-12)
        right = sum(row[k] for k, row in enumerate(said["confusion_matrix"]))
        assert right / said["clips"] == said["accuracy"]


def test_a_run_of_an_older_registry_gets_its_logits_when_it_is_evaluated_again(db):
    kept = sql(db, "SELECT * FROM logits WHERE split = 'test'")
    sql(db, "DELETE FROM logits")
    ok("eval", "last")
    assert sql(db, "SELECT * FROM logits") == kept


@pytest.mark.sqlite_file
def test_a_registry_that_cannot_be_written_is_evaluated_and_that_is_said(db, monkeypatch):
    import os

    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and real(path, mode))
    before = state(db)
    result = kws("eval", "last", "--split", "train", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["split"] == "train"
    assert "cannot be written, so this evaluation is not kept" in result.stderr
    assert state(db) == before


@pytest.mark.parametrize("command", ["eval", "rerun"])
def test_help_says_that_the_data_is_the_runs_own(command):
    page = " ".join(ok(command, "--help").split())
    assert "a source that `kws data list` names; else the run's own." in page
    assert "KWS_DATA" not in page
