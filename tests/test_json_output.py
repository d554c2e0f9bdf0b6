"""The JSON that scripts count on."""

from __future__ import annotations

import dataclasses
import json

import pytest
from ledger import make_card, make_epochs, make_evaluation, make_recipe, make_run, read_back, start

from kws.registry.store import Registry
from kws.reports.classes import ClassReport
from kws.reports.json_output import evaluation_record, full_record, run_record

RUN_KEYS = [
    *("schema", "run", "status", "last_seen", "error", "name", "note", "tags", "rerun_of", "deleted_at"),
    *("arch", "opt", "seed", "softmax_before_loss", "epochs", "epochs_planned", "ended_by"),
    *("parameters", "multiply_accumulates", "selection", "data", "data_fingerprint"),
    *("validation_accuracy", "test_accuracy", "seconds", "started_at", "ended_at"),
]


def by_way_of_json(record):
    """What a script gets; not a number and infinity, which are no JSON, are refused."""
    return json.loads(json.dumps(record, allow_nan=False))


def test_a_runs_record_has_these_keys_in_this_order():
    assert list(run_record(make_run())) == RUN_KEYS


def test_a_runs_record_says_what_the_run_says():
    run = make_run("qwrtypsd", arch="fc", opt="sgd", seed=7, epochs=3, test_accuracy=0.875)
    record = by_way_of_json(run_record(run))
    assert (record["schema"], record["run"], record["status"]) == (2, "qwrtypsd", "finished")
    assert (record["arch"], record["opt"], record["seed"], record["softmax_before_loss"]) == ("fc", "sgd", 7, False)
    assert (record["epochs"], record["epochs_planned"], record["parameters"]) == (3, 3, 567_171)
    assert (record["validation_accuracy"], record["test_accuracy"], record["seconds"]) == (0.91, 0.875, 300.0)
    assert (record["data"], record["data_fingerprint"]) == ("clips", make_card().fingerprint)


def test_a_run_that_has_only_started_has_no_accuracies(tmp_path):
    with Registry(tmp_path / "runs.db", create=True) as registry:
        record = by_way_of_json(run_record(registry.run(start(registry, make_recipe(epochs=5)))))
    assert (record["status"], record["epochs"], record["epochs_planned"]) == ("running", 0, 5)
    assert (record["validation_accuracy"], record["test_accuracy"], record["ended_at"]) == (None, None, None)


@pytest.fixture
def full():
    run, card = make_run(words=("yes", "no"), maps=(8, 4)), make_card()
    return full_record(run, card, [(card, make_evaluation(card, wrong=2))], read_back(make_epochs(3)), judged=4)


def test_a_full_record_has_a_runs_keys_and_all_else(full):
    more = {"recipe", "source_sha256", "environment", "evaluations", "recipes_judged", "processor_seconds"}
    assert set(full) == {*RUN_KEYS, *more}
    assert full["processor_seconds"] == pytest.approx(0.1 + 0.2 + 0.3)
    assert full["recipes_judged"] == 4


def test_a_full_record_lists_the_epochs_with_their_iterations(full):
    epochs = by_way_of_json(full)["epochs"]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    for record, epoch in zip(epochs, read_back(make_epochs(3)), strict=True):
        for key in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds"):
            assert record[key] == getattr(epoch, key)
        assert record["iteration_losses"] == list(epoch.iteration_losses)
        assert record["iteration_accuracies"] == list(epoch.iteration_accuracies)


def test_a_full_record_holds_the_whole_recipe_and_environment(full):
    run = make_run(words=("yes", "no"), maps=(8, 4))
    plain = by_way_of_json(full)
    assert set(plain["recipe"]) == set(run.recipe.values)
    assert (plain["recipe"]["channels"], plain["recipe"]["words"]) == ([8, 4], ["yes", "no"])
    assert plain["environment"] == dataclasses.asdict(run.environment)


def test_a_full_record_describes_the_data_split_by_split(full):
    card, data = make_card(), by_way_of_json(full)["data"]
    assert (data["source"], data["fingerprint"], data["classes"]) == ("clips", card.fingerprint, list(card.classes))
    assert list(data["splits"]) == ["train", "validation", "test"]
    assert data["splits"]["test"] == {
        "clips": 6,
        "counts": list(card.counts["test"]),
        "fingerprint": card.split_fingerprints["test"],
    }
    assert (data["features"], data["mean"], data["std"]) == (dict(card.front_end), card.mean, card.std)


def test_a_record_of_what_was_read_from_the_registry_has_the_splits_in_their_order(tmp_path):
    with Registry(tmp_path / "runs.db", create=True) as registry:
        run = registry.run(start(registry))
        record = full_record(run, registry.card(run.data_fingerprint), [], [], judged=0)
    assert list(record["data"]["splits"]) == ["train", "validation", "test"]


def test_an_evaluations_record_has_accuracy_scores_and_confusion(full):
    card = make_card()
    answers = make_evaluation(card, wrong=2)
    record = by_way_of_json(evaluation_record(make_run(), card, answers, ClassReport.of(answers, card.classes)))
    assert list(record) == [
        *("schema", "run", "split", "data", "data_fingerprint", "clips", "accuracy", "accuracy_interval"),
        *("loss", "objective", "classes", "confusion_matrix"),
    ]
    assert (record["split"], record["clips"], record["accuracy"]) == ("test", 6, pytest.approx(4 / 6))
    assert list(record["classes"]) == ["yes", "no", "other"]
    scores = {"precision", "recall", "f1"}
    keys = scores | {f"{score}_interval" for score in scores} | {"clips"}
    assert all(set(each) == keys for each in record["classes"].values())
    assert sum(map(sum, record["confusion_matrix"])) == 6
    assert by_way_of_json(full)["evaluations"] == [record]


def test_a_class_that_was_never_heard_has_null_for_its_precision():
    card = make_card(clips=2)
    answers = dataclasses.replace(make_evaluation(card), labels=bytes([0, 0]), predictions=bytes([0, 0]))
    record = by_way_of_json(evaluation_record(make_run(), card, answers, ClassReport.of(answers, card.classes)))
    of_other = record["classes"]["other"]
    assert of_other.pop("clips") == 0
    assert set(of_other.values()) == {None}
