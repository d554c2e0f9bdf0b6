"""What the page says beside its tables: names of recipes, warnings of the data, and a run as a detector."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from commands import ok
from ledger import make_card, make_evaluation, make_recipe, make_run, start, train, with_manifests

from kws.events import TEST, TRAIN, VALIDATION
from kws.inference.calibration import Calibration, softmax
from kws.registry.reader import RegistryReader
from kws.registry.runs import FAILED
from kws.registry.store import Registry
from kws.reports.page import data, data_sets, detector, html, names
from kws.reports.scores import Scores

CARD = with_manifests(make_card(clips=60))


@pytest.fixture
def db(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("KWS_DB", str(tmp_path / "experiments.db"))
    return tmp_path / "experiments.db"


# Names


def test_two_recipes_never_share_a_name_and_the_seeds_of_one_do():
    runs = [
        make_run("a", arch="fc", opt="sgd"),
        make_run("b", arch="fc", opt="sgd", seed=1),
        make_run("c", arch="fc", opt="sgd", softmax=True),
        make_run("d", arch="fc", opt="sgd", learning_rate=0.3),
        make_run("e", arch="fc", opt="sgd", card=make_card("other clips")),
        make_run("f", arch="cnn", opt="adam", card=make_card("other clips")),
        make_run("g", arch="fc", opt="sgd", card=make_card("other clips", clips=9)),
    ]
    recipe_of = names.recipes(runs)
    found = {run.id: recipe_of(run) for run in runs}
    assert found["a"] == found["b"]
    assert len(set(found.values())) == 6
    assert "softmax" in found["c"] and "0.3" in found["d"]
    assert found["a"].endswith(", on clips") and found["e"].startswith("Fully-connected, SGD, on other clips [")
    assert " on " not in found["f"], "no other data has this recipe"
    assert names.called(runs[1], found["b"]) == f"{found['b']}, seed 1 [b]"


def test_labels_of_the_page_differ_where_recipes_do(db, tmp_path):
    with Registry(db, create=True) as registry:
        for softmax in (False, True):
            for card in (CARD, make_card("elsewhere", clips=30)):
                train(registry, make_recipe("fc", "sgd", softmax=softmax), card)
    ok("report", tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    found = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)[0])
    for labels in ([cell["label"] for cell in found["cells"]], [curve["name"] for curve in found["curves"].values()]):
        assert len(labels) == len(set(labels)) == 4
    without_ids = {re.sub(r" \[\w+\]$", "", curve["name"]) for curve in found["curves"].values()}
    rows = re.findall(r'<td class="recipe">(.*?) <small>', text)
    assert len(without_ids) == len(set(rows)) == 4
    assert re.findall(r"<b>(Leaderboard on \w+)", text) == ["Leaderboard on clips", "Leaderboard on elsewhere"]


# Data


def sets(card, db):
    with Registry(db, create=True) as registry:
        registry.keep_card(card)
    with RegistryReader(db) as registry:
        return data_sets.of(registry, card.fingerprint, card.source)


def warned(card, db) -> str:
    return " ".join(sets(card, db).warnings)


def spoken(card, **speakers):
    """The card with these speakers in its splits, in turn."""
    manifests = {
        split: dataclasses.replace(
            manifest, speakers=tuple(speakers[split][i % len(speakers[split])] for i in range(len(manifest.paths)))
        )
        for split, manifest in card.manifests.items()
    }
    return dataclasses.replace(card, manifests=manifests)


def twelve(letter: str) -> list[str]:
    return [f"{letter}{number}" for number in range(12)]


def test_data_without_faults_has_no_warning_and_its_speakers_are_counted(db):
    card = spoken(with_manifests(make_card(clips=900)), train=twelve("a"), validation=twelve("b"), test=twelve("c"))
    found = sets(card, db)
    assert (found.warnings, found.speakers) == ((), {TRAIN: 12, VALIDATION: 12, TEST: 12})


def test_speakers_that_are_unknown_few_or_in_two_splits_are_warned_of(db, tmp_path):
    big = with_manifests(make_card(clips=900))
    assert "Speakers are unknown" in warned(make_card(clips=900), db)
    few = spoken(big, train=twelve("a"), validation=twelve("b"), test=["c", "d"])
    assert warned(few, tmp_path / "few.db") == "The test split has 2 speakers: so few say little of other voices."
    shared = spoken(big, train=twelve("a"), validation=twelve("b"), test=[*twelve("c"), "a3"])
    assert warned(shared, tmp_path / "shared.db").startswith(
        "1 speaker of the test split is in the training split, too"
    )


def test_a_small_test_split_and_classes_with_few_clips_are_warned_of(db, tmp_path):
    found = warned(make_card(clips=60), db)
    assert "The test split is small: with 90 % of its 60 clips right, the 95 % interval is 80 to 95 %." in found
    assert "few clips of yes (2), no (2) and other (2)" in warned(make_card(clips=6), tmp_path / "few.db")
    lacking = warned(make_card(clips=2), tmp_path / "lacking.db")
    assert "no clips of no, so nothing" in lacking


def test_sounds_in_two_splits_are_warned_of_on_the_page_and_in_the_box_of_the_run(db, tmp_path):
    manifests = {**CARD.manifests}
    digests = manifests[TEST].each_digest()
    digests[0] = manifests[TRAIN].digest(3)
    manifests[TEST] = dataclasses.replace(manifests[TEST], digests=b"".join(digests))
    with Registry(db, create=True) as registry:
        train(registry, card=dataclasses.replace(CARD, manifests=manifests))
    ok("report", tmp_path / "page.html")
    note = "Splits share sounds, so accuracies look better than they are: 1 test clip has the sound of a training clip."
    assert (tmp_path / "page.html").read_text().count(f"<li>{note}</li>") == 2


def test_the_box_of_a_run_that_failed_has_the_warnings_of_its_data(db):
    with Registry(db, create=True) as registry:
        registry.end(start(registry, card=CARD), FAILED, "the loss is not finite")
    with RegistryReader(db) as registry:
        of = data.overview(registry, ())
        (run,) = registry.runs()
        found = data.detail(registry, run, dataclasses.replace(of, runs=(run,)))
    assert any("small" in each for each in found.warnings) and of.data_sets == {}


# A run as a detector


def answers(card, split, seed: int):
    """Answers on a split that are right more often than not."""
    labels = np.frombuffer(card.labels_of(split), np.uint8)
    logits = np.random.default_rng(seed).normal(size=(len(labels), len(card.classes)))
    logits[np.arange(len(labels)), labels] += 1.5
    kept = logits.astype("<f2")
    return dataclasses.replace(
        make_evaluation(card, split), predictions=kept.argmax(axis=1).astype(np.uint8).tobytes(), logits=kept.tobytes()
    )


def test_a_detector_has_the_equal_error_rates_of_scores_and_what_its_thresholds_miss_and_let_through():
    card = make_card(clips=300)
    test, calibrated = answers(card, TEST, 1), Calibration.of(answers(card, VALIDATION, 2), card.classes)
    found = detector.of(card, test, calibrated)
    scores, labels = Scores.of(test, card.classes), np.frombuffer(test.labels, np.uint8)
    probabilities = softmax(scores.logits, calibrated.temperature)
    over = {k: probabilities[:, k] >= calibrated.thresholds[name] for k, name in enumerate(("yes", "no"))}
    for k, each in enumerate(found.keywords):
        assert each.name == card.classes[k]
        assert each.equal_error_rate == scores.detection(k).equal_error_rate
        assert each.misses == sum(not heard for heard, label in zip(over[k], labels, strict=True) if label == k) > 0
        assert each.false_accepts.events == sum(
            bool(heard) for heard, label in zip(over[k], labels, strict=True) if label != k
        )
        assert each.false_accepts.hours == pytest.approx(200 / 3600)
        assert each.false_accepts.per_hour == pytest.approx(18 * each.false_accepts.events)
        low, high = each.path.removeprefix("M").split("L")[0], each.path.split("L")[-1]
        assert float(low.split()[0]) < float(high.split()[0]) and float(low.split()[1]) < float(high.split()[1])
    assert found.together.events == sum(bool(over[0][i] or over[1][i]) for i, label in enumerate(labels) if label == 2)
    assert detector.of(card, test, None).has_thresholds is False


def test_without_a_keyword_beside_other_clips_there_is_no_detector():
    card = make_card(clips=30, classes=("other", "unknown"))
    assert detector.of(card, make_evaluation(card), None) is None


def test_a_perfect_detector_has_no_curve_and_no_equal_error(db, tmp_path):
    card = make_card(clips=60)
    found = detector.of(card, make_evaluation(card, wrong=0), None)
    assert [(each.path, each.equal, each.equal_error_rate) for each in found.keywords] == [("", None, 0.0)] * 2


def test_a_run_has_thresholds_where_its_answers_on_validation_are_kept(db, tmp_path):
    with Registry(db, create=True) as registry:
        without, with_them, left_out = (train(registry, make_recipe(seed=seed), CARD, wrong=9) for seed in range(3))
        registry.keep_evaluation(with_them, answers(CARD, VALIDATION, 3), CARD)
    with RegistryReader(db) as registry:
        of = data.overview(registry, registry.runs())
        details = {run.id: data.detail(registry, run, of) for run in of.runs}
        page = html.report(registry, of)
    shown = {
        run_id: [each.detector and each.detector.has_thresholds for each in found.answers]
        for run_id, found in details.items()
    }
    assert sorted(shown[with_them], key=str) == [None, True] and shown[without] == [False]
    boxes = dict(
        zip([run.id for run in reversed(of.runs)], re.findall(r"<details.*?</details>", page, re.S), strict=True)
    )
    assert "an hour</th>" in boxes[with_them] and "an hour</th>" not in boxes[without]
    assert "kws eval --split validation" in boxes[without]
    assert shown[left_out] == [False], "kws ui has every run's"
    assert 'class="det"' not in boxes[left_out] and "<code>kws ui</code> has it of every run" in boxes[left_out]
