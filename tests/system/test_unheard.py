"""Words that are left out of training: which they are, that nothing is trained on them, and how many are accepted."""

from __future__ import annotations

import itertools
import math
import shutil
import sqlite3
from contextlib import closing
from types import SimpleNamespace

import numpy as np
import pytest
from places import ROOT
from recordings import write_folder

from kws.errors import DataError, RecipeError
from kws.events import LEFT_OUT, SPLITS, TEST, TRAIN, VALIDATION
from kws.inference import calibration
from kws.recipe import TASK, Recipe
from kws.reports import unheard as reported
from kws.speech import dataset, unheard

COUNTS = (3, 2, 2)
WORDS = ("yes", "no", "go", "going", "stop", "up", "left")


def task(*leave_out, name="report", **more):
    return TASK.part(name).config(leave_out=leave_out, **more)


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "clips", dict.fromkeys(WORDS, COUNTS), seconds=0.05)


@pytest.mark.parametrize(
    ("word", "of", "is_one"),
    [
        ("go", "go", True), ("Going", "go", True), ("goes", "go", True), ("stopped", "stop", True),
        ("stopping", "stop", True), ("taking", "take", True), ("carried", "carry", True), ("ups", "up", True),
        ("gold", "go", False), ("goat", "go", False), ("upper", "up", True), ("lefty", "left", False),
        ("right", "rig", False), ("no", "go", False),
    ],
)  # fmt: skip
def test_an_inflection_is_a_form_of_its_word_and_a_longer_word_is_not(word, of, is_one):
    assert unheard.is_form_of(word, of) is is_one


@pytest.mark.parametrize("count", range(4, 9))
def test_the_pairs_of_a_sweep_have_each_word_once(count):
    words = [f"word{place}" for place in range(count)]
    found = unheard.groups(words[::-1])
    assert sorted(itertools.chain(*found)) == words
    assert {len(group) for group in found} <= {2, 3}
    assert sum(len(group) == 3 for group in found) == count % 2


def test_the_pairs_of_the_words_here_are_those_that_sound_least_alike():
    words = ["go", "stop", "left", "up", "down", "right"]
    assert {frozenset(group) for group in unheard.groups(words)} == {
        frozenset({"go", "stop"}), frozenset({"left", "up"}), frozenset({"down", "right"})
    }  # fmt: skip


def test_fewer_than_four_words_cannot_be_turned_through():
    with pytest.raises(DataError, match=r"needs four other words or more, and there are 3"):
        unheard.groups(["go", "stop", "up"])


@pytest.mark.parametrize("made", [task("go", "stop"), task("go", "stop", name="words", other_words="other")])
def test_no_split_has_a_word_that_is_left_out_or_an_inflection_and_its_own_data_set_has_all_of_its_clips(folder, made):
    loaded = dataset.load(str(folder), made)
    said = {path.split("/")[0] for each in loaded.card.manifests.values() for path in each.paths}
    assert said == {"yes", "no", "up", "left"}
    assert loaded.card.unused["of words that --leave-out keeps from training"] == 3 * sum(COUNTS)
    apart = loaded.unheard
    assert apart.card.draw == LEFT_OUT
    for split, count in zip(SPLITS, COUNTS, strict=True):
        assert (
            sorted(path.split("/")[0] for path in apart.card.manifests[split].paths)
            == ["go"] * count + ["stop"] * count
        )
        assert {apart.card.classes[label] for label in apart.splits[split].labels} == {"other"}


def test_features_of_words_never_heard_are_on_the_scale_of_the_training_split(folder):
    loaded = dataset.load(str(folder), task("go", "stop"))
    plain = dataset.load(str(folder), TASK.part("words").config(words=WORDS))
    clips = loaded.unheard.splits[TEST].renormalised(loaded.unheard.card, loaded.card)
    raw = clips.features * loaded.card.std + loaded.card.mean
    names = list(loaded.unheard.card.manifests[TEST].paths)
    places = [(names.index(path), at) for at, path in enumerate(plain.card.manifests[TEST].paths) if path in names]
    assert len(places) == 4
    for here, there in places:
        expected = plain.splits[TEST].features[there] * plain.card.std + plain.card.mean
        assert np.allclose(raw[here], expected, atol=1e-4)


def test_a_data_set_is_what_it_was_where_no_word_is_left_out(folder):
    plain = dataset.load(str(folder), TASK.part("report").config())
    assert plain.unheard is None
    assert plain.card.fingerprint == dataset.load(str(folder), task()).card.fingerprint
    assert plain.card.fingerprint != dataset.load(str(folder), task("go")).card.fingerprint


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("yes",), "has 'yes', which is a keyword; other words are go, going, left, stop, up"),
        (("zoo",), "has 'zoo', which has no recordings"),
        (("go", "stop", "up", "left"), "has no other words than go, stop, up, left; leave out fewer"),
    ],
)
def test_words_that_cannot_be_left_out_are_refused(folder, words, sentence):
    with pytest.raises(DataError, match=sentence):
        dataset.load(str(folder), task(*words))


def test_a_task_without_other_words_has_none_to_leave_out(folder):
    with pytest.raises(RecipeError, match="add --other-words other"):
        dataset.load(str(folder), task("go", name="words"))


def test_no_recipe_of_the_registry_gets_another_digest(tmp_path):
    copy = shutil.copy(ROOT / "experiments.db", tmp_path / "copy.db")
    with closing(sqlite3.connect(copy)) as connection:
        rows = connection.execute("SELECT recipe_json, recipe_digest, cell_digest FROM trainings").fetchall()
    assert len(rows) > 50
    for text, digest, cell in rows:
        recipe = Recipe.from_text(text)
        assert recipe.leave_out in ((), None)
        assert (recipe.digest, recipe.cell) == (digest, cell)


def test_what_is_left_out_is_part_of_a_recipe_and_none_is_none():
    plain = Recipe.of(arch="fc", opt="adam")
    one = Recipe.of(arch="fc", opt="adam", leave_out=("go", "stop"))
    assert one.digest != plain.digest and one.cell != plain.cell
    assert Recipe.from_text(one.text) == one
    assert "--leave-out go,stop" in " ".join(one.arguments())
    assert TASK.part("report").options["leave_out"].parse("none") == ()


class Recorded:
    """A registry that has a run's answers: on validation, and on words never heard."""

    def __init__(self, validation, labels, unheard_logits, spoken):
        self.answers = {("own", VALIDATION): (validation, labels), ("apart", TEST): (unheard_logits, None)}
        self.card = SimpleNamespace(fingerprint="apart", classes=("yes", "no", "other"), draw=LEFT_OUT, labels={})
        self.spoken = spoken

    def evaluations(self, _):
        return [(self.card, None)]

    def evaluation(self, _, fingerprint, split):
        if (fingerprint, split) not in self.answers:
            return None
        logits, labels = self.answers[fingerprint, split]
        labels = np.zeros(len(logits)) if labels is None else labels
        return SimpleNamespace(logits=logits.astype("<f2").tobytes(), labels=labels.astype(np.uint8).tobytes())

    def manifest(self, *_):
        return SimpleNamespace(paths=tuple(f"{word}/{place}.wav" for place, word in enumerate(self.spoken)))


def answers(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, 200)
    logits = random.normal(0, 1.5, (200, 3)) + 3 * np.eye(3)[labels]
    return logits.astype("<f2"), labels, random.normal(0, 2, (60, 3)).astype("<f2")


RUN = SimpleNamespace(id="run", data_fingerprint="own", recipe=SimpleNamespace(leave_out=("go", "stop")))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("miss_rate", [0.0, 0.05, 0.2])
def test_a_clip_is_accepted_where_a_keyword_is_as_likely_as_its_validation_clips(seed, miss_rate):
    logits, labels, never = answers(seed)
    found = reported.of(Recorded(logits, labels, never, ["go", "stop"] * 30), RUN, TEST, miss_rate)
    heat = calibration.temperature(logits.astype(float), labels)

    def probability(row, k):
        each = [math.exp(value / heat) for value in row.astype(float)]
        return each[k] / sum(each)

    expected = []
    for row in never:
        is_accepted = False
        for k in (0, 1):
            own = sorted(probability(one, k) for one, label in zip(logits, labels, strict=True) if label == k)
            threshold = own[math.floor(miss_rate * len(own) + 1e-9)]  # as many below it as may be missed
            is_accepted |= probability(row, k) >= threshold * (1 - 1e-12)
        expected.append(is_accepted)
    assert found.accepted.tolist() == expected
    assert found.rate == pytest.approx(sum(expected) / 60)
    counts = found.of_words()
    assert {word: clips for word, (_, clips, _) in counts.items()} == {"go": 30, "stop": 30}
    assert sum(accepted for accepted, _, _ in counts.values()) == sum(expected)
    assert all(sum(taken.values()) == accepted for accepted, _, taken in counts.values())


def test_more_misses_never_accept_more():
    logits, labels, never = answers(9)
    registry = Recorded(logits, labels, never, ["go"] * 60)
    rates = [reported.of(registry, RUN, TEST, share).rate for share in (0.0, 0.02, 0.05, 0.1, 0.3)]
    assert rates == sorted(rates, reverse=True) and rates[0] > rates[-1]


def test_answers_that_are_not_recorded_are_not_guessed():
    logits, labels, never = answers(1)
    registry = Recorded(logits, labels, never, ["go"] * 60)
    assert reported.of(registry, RUN, TRAIN) is None
    all_heard = SimpleNamespace(id="run", data_fingerprint="own", recipe=SimpleNamespace(leave_out=()))
    assert reported.of(registry, all_heard) is None
