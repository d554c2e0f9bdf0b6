"""The table over folds: which runs belong together, and the pooled accuracy against one computed by hand."""

from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
from ledger import make_card, make_evaluation, make_recipe, make_run
from scipy import stats

from kws.events import SPLITS, TEST, Manifest
from kws.recipe.partition import folds, partition_of
from kws.reports.fold_grids import caption, fold_grids
from kws.reports.folds import fold_tables
from kws.speech.dealing import split_by_shares

CLASSES = ("yes", "no")
COUNT = 3


@dataclasses.dataclass
class World:
    """Clips with their words and speakers, and whether the network of each seed is right on each (n, N)."""

    labels: np.ndarray
    speakers: list[str] | None
    right: np.ndarray
    name: str = "clips"

    def card(self, fold):
        names = [f"{CLASSES[label]}/{place}" for place, label in enumerate(self.labels)]
        split_of = split_by_shares(names, self.speakers, partition_of(None, fold)).of
        own = {split: [i for i, each in enumerate(split_of) if each == split] for split in SPLITS}
        labels = {split: bytes(self.labels[i] for i in mine) for split, mine in own.items()}
        manifests = {
            split: Manifest(
                paths=tuple(names[i] for i in mine),
                digests=b"".join(hashlib.sha256(f"{self.name} {i}".encode()).digest() for i in mine),
                speakers=None if self.speakers is None else tuple(self.speakers[i] for i in mine),
                modified_ns=(0,) * len(mine),
                seconds=(1.0,) * len(mine),
            )
            for split, mine in own.items()
        }
        prints = {split: hashlib.sha256(f"{self.name} {mine}".encode()).hexdigest() for split, mine in own.items()}
        card = dataclasses.replace(
            make_card(classes=CLASSES), labels=labels, split_fingerprints=prints, manifests=manifests
        )
        return card, own[TEST]


class Stub:
    """As much of a registry as the table asks for."""

    def __init__(self):
        self.runs, self.cards, self.recorded = [], {}, {}

    def add(self, world, fold, seed, recipe=None, **about):
        card, mine = world.card(fold)
        right = world.right[seed % len(world.right)][mine]
        recipe = dataclasses.replace(recipe or make_recipe(), fold=fold, seed=seed)
        run = dataclasses.replace(
            make_run(f"{len(self.runs):08}", **about),
            recipe=recipe, data_fingerprint=card.fingerprint, test_accuracy=float(right.mean()),
            started_at=f"2026-01-01T00:00:{len(self.runs):02}Z",
        )  # fmt: skip
        labels = card.labels[TEST]
        predictions = bytes(label if ok else 1 - label for label, ok in zip(labels, right, strict=True))
        answer = dataclasses.replace(make_evaluation(card), predictions=predictions, labels=labels)
        self.runs.append(run)
        self.cards[card.fingerprint], self.recorded[run.id] = card, answer
        return run

    def card(self, fingerprint):
        return self.cards[fingerprint]

    def manifest(self, fingerprint, split):
        return self.cards[fingerprint].manifests[split]

    def digests(self, fingerprint, split):
        return self.manifest(fingerprint, split).each_digest()

    def answers(self, runs, card, split):
        return {run: self.recorded[run] for run in runs}


def world(seed=0, clips=60, speakers=9, seeds=2, **about):
    random = np.random.default_rng(seed)
    who = None if speakers is None else [f"s{i}" for i in random.integers(0, speakers, clips)]
    hard = np.zeros(clips) if who is None else np.array([int(each[1:]) % 3 for each in who]) / 6
    return World(random.integers(0, 2, clips), who, random.random((seeds, clips)) > 0.1 + hard, **about)


def filled(clips, seeds=(0,), which=None):
    registry = Stub()
    for seed in seeds:
        for fold in which or folds(COUNT):
            registry.add(clips, fold, seed)
    return registry


@pytest.mark.parametrize("seed", range(4))
def test_the_accuracy_over_all_folds_is_that_of_all_clips_with_an_interval_over_speakers(seed):
    clips = world(seed)
    registry = filled(clips)
    (table,) = fold_tables(registry, registry.runs)
    whole = table.recipes[0].together
    right = clips.right[0].astype(float)
    assert (whole.clips, whole.speakers, whole.over) == (60, len({*clips.speakers}), "speakers")
    assert whole.accuracy.value == pytest.approx(right.mean())
    who = np.array(clips.speakers)
    sums = np.array([(right - right.mean())[who == each].sum() for each in {*clips.speakers}]) / 60
    groups = len(sums)
    variance = groups / (groups - 1) * (sums**2).sum()
    assert whole.accuracy.variance == pytest.approx(variance)
    p, t = right.mean(), stats.t.ppf(0.975, groups - 1)
    n = min(p * (1 - p) / variance, 60)
    centre, half = (
        (p + t * t / (2 * n)) / (1 + t * t / n),
        t * np.sqrt(p * (1 - p) / n + t * t / 4 / n**2) / (1 + t * t / n),
    )
    assert whole.accuracy.proportion_interval() == pytest.approx((centre - half, centre + half))


def test_each_fold_is_there_and_all_clips_are_in_one_of_them():
    registry = filled(world(), seeds=(0, 1))
    (table,) = fold_tables(registry, registry.runs)
    (recipe,) = table.recipes
    assert sum(each.clips for each in recipe.folds.values()) == recipe.together.clips
    assert sum(each.speakers for each in recipe.folds.values()) == recipe.together.speakers
    assert {each.accuracy.n for each in (*recipe.folds.values(), recipe.together)} == {2}
    assert "Intervals are 95 %, over seeds and speakers; that networks" in caption(table)


def test_a_seed_without_every_fold_is_not_pooled_and_the_latest_run_counts():
    clips = world()
    registry = filled(clips)
    registry.add(clips, "1/3", 1)
    again = registry.add(clips, "1/3", 0)
    (table,) = fold_tables(registry, registry.runs)
    (recipe,) = table.recipes
    assert (recipe.folds[1].accuracy.n, recipe.folds[2].accuracy.n, recipe.together.accuracy.n) == (2, 1, 1)
    assert again.id in {run.id for run in recipe.together.runs} and len(recipe.together.runs) == COUNT
    assert "over seeds and speakers, for a single seed over those alone" in caption(table)


def test_without_every_fold_nothing_is_pooled_and_that_is_noted():
    registry = filled(world(), which=["1/3", "3/3"])
    (table,) = fold_tables(registry, registry.runs)
    assert table.recipes[0].together is None
    (grid,) = fold_grids(table)
    assert "no run of fold 2" in grid.notes[0]
    assert grid.rows[1][1:] == ("-", "-", "-") and grid.rows[3][-1] == "-"


def test_recipes_are_columns_and_other_clips_or_other_numbers_of_folds_are_tables_of_their_own():
    clips, others = world(), world(name="others")
    registry = filled(clips)
    for fold in folds(COUNT):
        registry.add(clips, fold, 0, recipe=make_recipe(epochs=7))
        registry.add(others, fold, 0)
    registry.add(clips, "1/4", 0)
    found = fold_tables(registry, registry.runs)
    assert sorted((table.count, len(table.recipes)) for table in found) == [(3, 1), (3, 2), (4, 1)]
    assert [len(fold_grids(table)[0].columns) - 3 for table in found] == [len(table.recipes) for table in found]


def test_where_speakers_are_unknown_the_table_says_so():
    registry = filled(world(speakers=None))
    (table,) = fold_tables(registry, registry.runs)
    (grid,) = fold_grids(table)
    assert {row[2] for row in grid.rows} == {"unknown"}
    assert "60 clips, speakers unknown, each tested once a seed" in grid.caption
    assert "Intervals are 95 %, over clips alone" in grid.caption
    assert grid.caption.endswith("Clips of one speaker may be in several folds, which makes accuracies look better "
                                 "than they are.")  # fmt: skip
