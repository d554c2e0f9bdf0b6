"""`kws eval`: the figures of the stored answers, the clips by name, and registries that cannot be written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import TRAIN, kws, ok, ok_json, sql, state, typed
from sounds import write_task

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


def test_clips_surely_wrong_are_files_of_the_word_that_they_are(db):
    for split in ("test", "all"):
        said = ok_json("eval", "last", "--split", split)
        wrong = said["surely_wrong"]
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
    for part in ("Confusion matrix", "equal error rate", "Calibration of the answers", "Most surely wrong", "Wilson"):
        assert part in shown
    assert shown.count(" to ") > 15


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
