"""Table 1: what may stand side by side, what folds into a cell, and which is the best."""

from __future__ import annotations

import hashlib
import json
import statistics
from dataclasses import replace
from math import inf

import numpy as np
import pytest
from commands import kws, ok, sql
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger import (
    ENVIRONMENT,
    WEIGHTS,
    Cards,
    cut_off,
    make_card,
    make_evaluation,
    make_recipe,
    make_registry,
    make_run,
    train,
    with_manifests,
)

from kws.events import TEST, TRAIN
from kws.registry.runs import FAILED, INTERRUPTED, RUNNING
from kws.registry.store import Registry
from kws.reports.cells import Cell
from kws.reports.metrics import metric
from kws.reports.table import Table
from kws.reports.table1 import tables

FC, CNN = "Fully-connected (567,171 params)", "Convolutional (346,067 params)"
REPORT = {("fc", "sgd"): 0.8527, ("fc", "adam"): 0.8796, ("cnn", "sgd"): 0.8959, ("cnn", "adam"): 0.9178}


def tabulated(*runs, **options) -> list[Table]:
    """The tables of these runs; their cards are told by the runs' fingerprints."""
    cards = Cards(make_card(), make_card("other clips", clips=9))
    return tables(cards, runs, **{"test": False, **options})


def only_table(*runs) -> Table:
    (table,) = tabulated(*runs)
    return table


def only_cell(*runs) -> Cell:
    (cell,) = only_table(*runs).cells
    return cell


def test_the_reports_table_has_its_rows_columns_and_numbers():
    runs = [make_run(f"run{i}", arch=a, opt=o, test_accuracy=x) for i, ((a, o), x) in enumerate(REPORT.items())]
    table = only_table(*reversed(runs))
    assert table.rows == (FC, CNN)
    assert table.columns == ("SGD", "Adam")
    assert [table.cell(row, column).mean for row in table.rows for column in table.columns] == list(REPORT.values())
    assert [cell.best for cell in table.cells] == [False, False, False, True]
    assert [(cell.arch, cell.opt) for cell in table.cells] == list(REPORT)
    assert [cell.parameters for cell in table.cells] == [567_171, 567_171, 346_067, 346_067]


def test_the_caption_says_what_the_numbers_are():
    table = only_table(make_run(epochs=50))
    fingerprint = make_card().fingerprint
    assert table.caption == (
        "Test accuracy after 50 epochs in minibatches of 1,024, on 6 test clips of clips "
        f"(yes, no, other; fingerprint {fingerprint[:12]}). Intervals are 95 %, over test clips (speakers unknown) "
        "alone, because every cell has a single seed; clips of one speaker are alike, so these are too narrow. The "
        "test split is small: its 6 clips alone leave a 95 % interval of 30.2 points to either side, whatever the "
        "seeds."
    )
    assert "after 1 epoch in" in only_table(make_run(epochs=1)).caption


@pytest.mark.parametrize(
    ("other_of", "said"),
    [
        ({TRAIN: ("go", "up"), TEST: ("go",)}, "; other: two words, all heard in training."),
        ({TRAIN: ("go",), TEST: ("go",)}, "; other: one word, heard in training."),
        ({TRAIN: ("go",), TEST: ("go", "up")}, "; other: one word heard in training, one of the test split never."),
        ({TRAIN: ("_unknown_",), TEST: ("go", "up")}, "."),  # which words these are is not known
        ({}, "."),
    ],
)
def test_the_caption_says_of_how_many_words_other_is_and_whether_all_were_heard(other_of, said, tmp_path):
    card = with_manifests(make_card(clips=60)) if other_of else make_card(clips=60)
    for split, words in other_of.items():
        labels = card.labels[split]
        paths = [
            f"{words[place % len(words)] if label == 2 else 'yes'}/{place}.wav" for place, label in enumerate(labels)
        ]
        card.manifests[split] = replace(card.manifests[split], paths=tuple(paths))
    with Registry(tmp_path / "experiments.db", create=True) as registry:
        train(registry, make_recipe("fc"), card)
        (table,) = tables(registry, registry.runs())
    assert f"fingerprint {card.fingerprint[:12]}){said} Intervals" in table.caption


def test_no_runs_make_no_tables(tmp_path):
    assert tabulated() == []
    make_registry(tmp_path / "runs.db")
    with Registry(tmp_path / "runs.db") as registry:
        assert tables(registry, registry.runs()) == []


@pytest.mark.parametrize("status", [RUNNING, FAILED, INTERRUPTED])
def test_a_run_that_did_not_finish_never_counts(status):
    assert tabulated(make_run(status=status)) == []
    finished, other = make_run("finished", test_accuracy=0.5), make_run("other", status=status, test_accuracy=0.9)
    assert only_cell(finished, other).runs == ("finished",)
    assert only_cell(other, finished).runs == ("finished",)


def test_a_finished_run_without_a_test_accuracy_does_not_count():
    assert tabulated(make_run(test_accuracy=None)) == []


def test_an_accuracy_of_zero_counts():
    assert only_cell(make_run(test_accuracy=0.0, seed=0), make_run(test_accuracy=0.5, seed=1)).mean == 0.25


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"epochs": 50}, {"epochs": 5}),
        ({"batch_size": 1024}, {"batch_size": 64}),
        ({"card": make_card()}, {"card": make_card("other clips", clips=9)}),
    ],
    ids=["epochs", "batch_size", "data"],
)
def test_runs_that_cannot_be_compared_never_share_a_table(one, other):
    found = tabulated(make_run("one", **one), make_run("other", seed=1, **other))
    assert len(found) == 2
    assert {cell.runs for table in found for cell in table.cells} == {("one",), ("other",)}
    assert all(cell.best for table in found for cell in table.cells)


def test_the_tables_of_a_data_set_come_in_the_order_of_their_epochs():
    elsewhere = make_card("other clips", clips=9)
    found = tabulated(make_run(epochs=50, card=elsewhere), make_run(epochs=50), make_run(epochs=5))
    assert [(table.data, table.conditions["epochs"], table.test_clips) for table in found] == [
        ("clips", 5, 6),
        ("clips", 50, 6),
        ("other clips", 50, 9),
    ]


def test_a_network_with_a_softmax_or_other_maps_is_a_row_of_its_own_after_the_reports():
    table = only_table(
        make_run(arch="cnn", softmax=True),
        make_run(arch="lstm", parameters=70_531),
        make_run(arch="cnn", maps=(8, 4), parameters=99_999),
        make_run(arch="fc", softmax=True),
        make_run(arch="cnn"),
        make_run(arch="fc"),
    )
    assert table.rows == (
        FC,
        "Fully-connected, softmax before cross-entropy (567,171 params)",
        CNN,
        "Convolutional, channels 8,4 (99,999 params)",
        "Convolutional, softmax before cross-entropy (346,067 params)",
        "lstm (70,531 params)",
    )
    assert [cell.n for cell in table.cells] == [1] * 6


def test_an_optimizer_with_other_hyperparameters_is_a_column_of_its_own_after_the_reports():
    table = only_table(
        make_run(opt="lion", learning_rate=0.5),
        make_run(opt="adam", learning_rate=0.01),
        make_run(opt="adam"),
        make_run(opt="sgd", momentum=0.5, weight_decay=0.0),
        make_run(opt="sgd"),
    )
    assert table.columns == (
        "SGD",
        "SGD (weight decay 0, momentum 0.5)",
        "Adam",
        "Adam (learning rate 0.01)",
        "lion (learning rate 0.5, weight decay 0)",
    )
    assert [cell.n for cell in table.cells] == [1] * 5


@pytest.mark.parametrize(
    ("field", "one", "other"),
    [("learning_rate", 0.0123456, 0.01234561), ("momentum", 0.9, 0.9000001), ("weight_decay", 1e-5, 1.0000001e-5)],
)
def test_no_cell_mixes_hyperparameters_however_close(field, one, other):
    table = only_table(
        make_run("one", opt="sgd", seed=0, **{field: one}), make_run("other", opt="sgd", seed=1, **{field: other})
    )
    assert sorted(cell.runs for cell in table.cells) == [("one",), ("other",)]


@given(st.lists(st.integers(0, 1229), min_size=1, max_size=10))
@settings(max_examples=30, deadline=None)
def test_seeds_fold_into_their_mean_and_sample_deviation(right):
    accuracies = [clips / 1229 for clips in right]
    cell = only_cell(*(make_run(f"run{i}", seed=i, test_accuracy=x) for i, x in enumerate(accuracies)))
    assert cell.n == len(accuracies)
    assert cell.mean == pytest.approx(np.mean(accuracies), abs=1e-12)
    assert cell.runs == tuple(f"run{i}" for i in range(len(accuracies)))
    if len(accuracies) == 1:
        assert cell.std is None
    else:
        assert cell.std == pytest.approx(np.std(accuracies, ddof=1), abs=1e-12)
        assert cell.std == pytest.approx(statistics.stdev(accuracies), abs=1e-12)


@given(st.integers(0, 1229), st.integers(1, 10))
@settings(max_examples=40, deadline=None)
def test_equal_seeds_have_exactly_their_accuracy_as_mean(right, n):
    assert only_cell(*(make_run(seed=i, test_accuracy=right / 1229) for i in range(n))).mean == right / 1229


def test_a_repeated_seed_counts_once_by_its_latest_finished_run():
    cell = only_cell(
        make_run("first", seed=0, test_accuracy=0.5),
        make_run("second", seed=1, test_accuracy=0.6),
        make_run("third", seed=0, test_accuracy=0.7),
        make_run("fourth", seed=0, test_accuracy=0.9, status=FAILED),
    )
    assert (cell.n, cell.runs, cell.mean) == (2, ("third", "second"), pytest.approx(0.65))


def test_of_equal_means_each_is_the_best():
    table = only_table(
        make_run(arch="fc", test_accuracy=0.9),
        make_run(arch="cnn", test_accuracy=0.9),
        make_run(arch="cnn", opt="sgd", test_accuracy=0.8),
    )
    assert [cell.best for cell in table.cells] == [True, False, True]


def test_a_cell_of_several_equal_seeds_ties_with_one_seed_of_that_accuracy():
    accuracy = 9 / 1229
    table = only_table(
        make_run(arch="fc", test_accuracy=accuracy),
        *(make_run(arch="cnn", seed=seed, test_accuracy=accuracy) for seed in range(3)),
    )
    assert [cell.best for cell in table.cells] == [True, True]


def test_the_best_is_by_mean_not_by_a_lucky_seed():
    table = only_table(
        make_run(arch="fc", seed=0, test_accuracy=0.99),
        make_run(arch="fc", seed=1, test_accuracy=0.5),
        make_run(arch="cnn", test_accuracy=0.8),
    )
    assert [(cell.arch, cell.best) for cell in table.cells] == [("fc", False), ("cnn", True)]


MANY = [
    make_run(f"{arch} {opt} {seed} {softmax} {epochs}", arch=arch, opt=opt, seed=seed, softmax=softmax, epochs=epochs)
    for arch, opt, seed in (
        ("fc", "sgd", 0),
        ("fc", "adam", 0),
        ("cnn", "sgd", 0),
        ("cnn", "sgd", 3),
        ("rnn", "lion", 1),
    )
    for softmax in (False, True)
    for epochs in (5, 50)
]


@given(st.permutations(MANY))
@settings(max_examples=15, deadline=None)
def test_the_order_in_which_runs_were_made_does_not_matter(runs):
    assert tabulated(*runs) == tabulated(*MANY)


def test_every_finished_run_of_its_own_recipe_and_seed_is_in_exactly_one_cell():
    counted = [run_id for table in tabulated(*MANY) for cell in table.cells for run_id in cell.runs]
    assert sorted(counted) == sorted(run.id for run in MANY)


def test_a_place_where_nothing_was_run_has_no_cell():
    table = only_table(make_run(arch="fc", opt="sgd"), make_run(arch="cnn", opt="adam"))
    assert table.cell(FC, "Adam") is None
    assert table.cell(CNN, "SGD") is None
    assert len(table.cells) == 2


def test_it_is_made_from_a_registry(tmp_path):
    with Registry(tmp_path / "runs.db", create=True) as registry:
        worse = train(registry, make_recipe("fc", "sgd"), wrong=3)
        train(registry, make_recipe("cnn", "adam", seed=0), wrong=3)
        other = train(registry, make_recipe("cnn", "adam", seed=1), wrong=0)
        again = train(registry, make_recipe("cnn", "adam", seed=0), wrong=1)
        (table,) = tables(registry, registry.runs())
    assert (table.data, table.data_fingerprint, table.test_clips) == ("clips", make_card().fingerprint, 6)
    assert [(cell.row, cell.column, cell.runs) for cell in table.cells] == [
        (FC, "SGD", (worse,)),
        (CNN, "Adam", (again, other)),
    ]
    assert [cell.mean for cell in table.cells] == [0.5, pytest.approx(11 / 12)]


# Intervals, and what can be told from the best


def test_a_cell_says_what_its_interval_is_over_and_no_end_leaves_0_to_1():
    table = only_table(
        make_run(arch="fc", test_accuracy=5 / 6),
        *(make_run(arch="cnn", seed=seed, test_accuracy=x) for seed, x in enumerate((0.5, 1.0, 1.0))),
    )
    one, three = table.cells
    assert (one.interval_over, three.interval_over) == ("clips", "seeds and clips")
    for cell in (one, three):
        assert 0 <= cell.low < cell.mean < cell.high <= 1


def test_the_caption_says_over_what_intervals_are_and_what_a_single_seed_leaves_out(tmp_path):
    narrow = "; clips of one speaker are alike, so these are too narrow"
    for speakers, wanted, but in (
        (40, "40 test speakers", ""), (None, "test clips (speakers unknown)", narrow)
    ):  # fmt: skip
        card = with_manifests(make_card(f"{speakers}", clips=400), speakers=speakers)
        with Registry(tmp_path / f"{speakers}.db", create=True) as registry:
            for seed in (0, 1):
                train(registry, make_recipe("fc", seed=seed), card, wrong=40 + seed)
            (table,) = tables(registry, registry.runs())
            assert f"Intervals are 95 %, over seeds and {wanted}{but}." in table.caption
            train(registry, make_recipe("cnn"), card, wrong=30)
            (table,) = tables(registry, registry.runs())
            assert f", for a single seed over those alone{but}." in table.caption
        assert {cell.interval_over for cell in table.cells} == {
            f"seeds and {'clips' if speakers is None else 'speakers'}", "clips" if speakers is None else "speakers",
        }  # fmt: skip


def test_cells_with_the_same_number_of_right_clips_are_best_together():
    """Their means differ in the last bit, by the order in which shares are added up."""
    shares = {"fc": (50 / 60, 52 / 60), "cnn": (51 / 60, 51 / 60)}
    assert statistics.mean(shares["fc"]) != statistics.mean(shares["cnn"])
    runs = [make_run(arch=a, seed=seed, test_accuracy=x) for a, of in shares.items() for seed, x in enumerate(of)]
    (table,) = tabulated(*runs, test=True)
    assert [(cell.best, cell.tie, cell.p) for cell in table.cells] == [(True, False, None)] * 2


@pytest.mark.parametrize(("speakers", "over"), [(1, "clips"), (8, "speakers")])
def test_one_cluster_of_all_clips_is_not_taken_for_certainty(speakers, over, tmp_path):
    """One speaker has all of them, or one sound is every speaker's (silence, say): clusters would not vary."""
    card = with_manifests(make_card(clips=60), speakers=speakers)
    for split, manifest in card.manifests.items():
        silent = hashlib.sha256(b"silence").digest() * speakers + manifest.digests[32 * speakers :]
        card.manifests[split] = replace(manifest, digests=silent)
    with Registry(tmp_path / "experiments.db", create=True) as registry:
        for arch, wrong in (("fc", 9), ("cnn", 7)):
            train(registry, make_recipe(arch), card, wrong=wrong)
        (table,) = tables(registry, registry.runs())
    assert table.test_speakers == speakers
    assert {cell.interval_over for cell in table.cells} == {over}
    assert all(0.01 < cell.standard_error < 0.1 for cell in table.cells)
    (tied,) = (cell for cell in table.cells if cell.arch == "fc")
    assert tied.tie and tied.p > 0.1
    assert f"over {'test clips (of one speaker)' if speakers == 1 else '8 test speakers'} alone" in table.caption


def test_many_classes_are_counted_in_the_caption_and_few_are_named():
    card = make_card("many", clips=40, classes=tuple(f"word{i}" for i in range(40)))
    (table,) = tables(Cards(card), [make_run(card=card)], test=False)
    named = f"40 classes such as word0, word1 and word2; fingerprint {card.fingerprint[:12]}"
    assert f"of many ({named})" in table.caption
    card = make_card("few", clips=40, classes=tuple(f"word{i}" for i in range(8)))
    (table,) = tables(Cards(card), [make_run(card=card)], test=False)
    assert "of few (word0, word1, word2, word3, word4, word5, word6, word7; fingerprint" in table.caption


def test_the_caption_counts_the_recipes_that_the_split_has_judged_even_those_that_were_purged(tmp_path):
    card = make_card(clips=400)
    with Registry(tmp_path / "experiments.db", create=True) as registry:
        for place, rate in enumerate((0.1, 0.01, 0.001)):
            for seed in (0, 1):
                train(registry, make_recipe("fc", seed=seed, learning_rate=rate), card, wrong=40 + place)
        gone = train(registry, make_recipe("cnn"), card, wrong=10)
        registry.delete(gone)
    ok("runs", "purge")
    with Registry(tmp_path / "experiments.db") as registry:
        (table,) = tables(registry, registry.runs())
    assert table.recipes_judged == 4
    assert (
        "This test split has judged 4 recipes; if all were equally good, chance alone would make the best look "
        in table.caption
    )
    assert 0 < table.optimism < 0.05


def compared(tmp_path, wrongs: dict[tuple[str, str], tuple[int, ...]]) -> Table:
    """The tested table of runs on 400 clips; a run of seed s errs on so many clips, beginning with the s-th."""
    card = make_card(clips=400)
    with Registry(tmp_path / "runs.db", create=True) as registry:
        for (arch, opt), counts in wrongs.items():
            for seed, wrong in enumerate(counts):
                train(registry, make_recipe(arch, opt, seed=seed), card, wrong=wrong)
        (table,) = tables(registry, registry.runs())
    return table


def test_what_cannot_be_told_from_the_best_is_a_tie_and_the_caption_names_the_test(tmp_path):
    table = compared(
        tmp_path,
        {("fc", "sgd"): (120, 118, 122), ("cnn", "sgd"): (22, 20, 25), ("cnn", "adam"): (20, 22, 21)},
    )
    marks = {(cell.arch, cell.opt): (cell.best, cell.tie) for cell in table.cells}
    assert marks == {("fc", "sgd"): (False, False), ("cnn", "sgd"): (False, True), ("cnn", "adam"): (True, False)}
    assert table.tested
    assert "(5 %, Bonferroni's correction over all pairs of cells)" in table.caption
    far, near, best = table.cells
    assert far.p < 0.001 < 0.05 < near.p <= 1
    assert best.p is None


def test_adding_a_seed_changes_only_its_own_cell_and_the_ties(tmp_path):
    wrongs = {("fc", "sgd"): (50, 60), ("fc", "adam"): (40, 45), ("cnn", "adam"): (20, 22)}
    for name in ("before", "after"):
        (tmp_path / name).mkdir()
    before = compared(tmp_path / "before", wrongs)
    after = compared(tmp_path / "after", wrongs | {("fc", "adam"): (40, 45, 47)})
    for old, new in zip(before.cells, after.cells, strict=True):
        plain = {"mean", "std", "low", "high", "n", "seeds"}
        same = all(getattr(old, field) == getattr(new, field) for field in plain)
        assert same == ((old.arch, old.opt) != ("fc", "adam"))


def test_cells_without_a_seed_in_common_are_told_apart_by_their_clips(tmp_path):
    card = make_card(clips=400)
    with Registry(tmp_path / "runs.db", create=True) as registry:
        train(registry, make_recipe("fc", seed=0), card, wrong=200)
        train(registry, make_recipe("cnn", seed=1), card, wrong=2)
        (table,) = tables(registry, registry.runs())
    worse, best = table.cells
    assert (worse.tie, best.tie, best.best) == (False, False, True)
    assert worse.p < 1e-6


# Other rows, columns and metrics


def test_any_field_makes_rows_or_columns_and_no_cell_mixes_the_rest():
    runs = [
        make_run(f"{arch} {batch} {softmax}", arch=arch, batch_size=batch, softmax=softmax)
        for arch in ("fc", "cnn")
        for batch in (64, 1024)
        for softmax in (False, True)
    ]
    (table,) = tabulated(*runs, rows="batch_size", columns="arch")
    assert [row.split(" (")[0] for row in table.rows] == ["batch size 64", "batch size 1024"]
    assert all(cell.n == 1 for cell in table.cells)
    assert len(table.cells) == 8
    (turned,) = tabulated(*runs, rows="softmax", columns="batch_size")
    assert len(turned.cells) == 8


def test_turned_round_the_table_has_the_same_cells():
    runs = [make_run(f"{a} {o}", arch=a, opt=o, test_accuracy=x) for (a, o), x in REPORT.items()]
    (table,), (turned,) = tabulated(*runs), tabulated(*runs, rows="opt", columns="arch")
    assert (turned.rows, turned.columns) == (table.columns, table.rows)
    assert {cell.runs: cell.mean for cell in turned.cells} == {cell.runs: cell.mean for cell in table.cells}


def test_of_a_metric_where_less_is_better_the_least_is_the_best():
    runs = [
        make_run(arch="fc"),
        make_run(arch="cnn"),
    ]
    (table,) = tabulated(*runs, metric=metric("parameters"))
    assert [(cell.mean, cell.best) for cell in table.cells] == [(567_171, False), (346_067, True)]
    assert not table.tested
    assert table.caption.startswith("Parameters after 50 epochs")


def test_a_run_without_the_metric_is_in_no_cell():
    assert tabulated(make_run(), metric=metric("multiply-accumulates")) == []
    assert tabulated(make_run(), metric=metric("epochs-to-reach", target=0.5)) == []


def test_a_seed_that_never_reached_an_accuracy_is_counted_and_never_averaged_away(tmp_path):
    with Registry(tmp_path / "experiments.db", create=True) as registry:
        for arch, epochs in (("fc", (2, 9, 9)), ("cnn", (9, 9, 2)), ("gone", (2, 2, 2))):
            for seed, count in enumerate(epochs):
                train(registry, make_recipe(arch, seed=seed, epochs=50), epochs=count)
        (table,) = tables(registry, registry.runs(), metric=metric("epochs-to-reach", target=0.9))
    by_arch = {cell.arch: cell for cell in table.cells}
    assert [(cell.reached, cell.n, cell.mean) for cell in by_arch.values()] == [(2, 3, 7.0), (2, 3, 7.0), (0, 3, inf)]
    assert all(cell.low is cell.std is cell.interval_over is None for cell in table.cells)
    assert [cell.best for cell in table.cells] == [True, True, False]
    asked = ("compare", "--where", "true", "--metric", "epochs-to-reach", "--reach", 0.9)
    shown = ok(*asked, "--format", "markdown")
    assert "7.0 (2 of 3 reached it)" in shown and "not reached (0 of 3 reached it)" in shown
    said = json.loads(ok(*asked, "--format", "json"))
    assert [cell["mean"] for cell in said["tables"][0]["cells"]] == [7.0, 7.0, None]
    assert said["tables"][0]["cells"][0]["values"] == [None, 7.0, 7.0]


@pytest.fixture
def timed(place):
    """A registry of runs whose epochs take 0.125 s, 0.25 s and so on, and 0.9 is first reached in the seventh."""
    with Registry(place("experiments.db"), create=True) as registry:
        for opt, counts in {"sgd": (9, 9, 2), "adam": (9, 2, 2)}.items():
            for seed, count in enumerate(counts):
                train(registry, make_recipe("cnn", opt, seed=seed, epochs=50), epochs=count)
        yield registry


def test_seconds_to_reach_are_those_of_all_epochs_until_then_and_no_seed_is_dropped(timed):
    (table,) = tables(timed, timed.runs(), metric=metric("seconds-to-reach", target=0.9))
    until = 0.125 * sum(range(1, 8))
    found = {cell.opt: (cell.reached, cell.n, cell.mean, cell.best) for cell in table.cells}
    assert found == {"sgd": (2, 3, until, True), "adam": (1, 3, inf, False)}
    assert table.cell(*table.rows, "SGD").values == (until, until, inf)
    assert table.caption.startswith("Median of the training seconds until 90 % validation accuracy after 50 epochs")
    assert "counts as later than all that did, and a median is given where more than half of them did" in table.caption
    shown = ok("compare", "--metric", "seconds-to-reach", "--target", 0.9, "--format", "markdown")
    assert "**3.5 s (2 of 3 reached it)** | not reached (1 of 3 reached it)" in shown


def test_processor_seconds_to_reach_are_those_of_the_processor(timed):
    (table,) = tables(timed, timed.runs(), metric=metric("processor-seconds-to-reach", target=0.9))
    assert {cell.opt: cell.mean for cell in table.cells} == {"sgd": pytest.approx(2.8), "adam": inf}
    said = ok("compare", "--metric", "processor-seconds-to-reach", "--format", "csv").splitlines()
    assert said[0].startswith("metric,target,data,")
    assert [line.split(",")[:2] for line in said[1:]] == [["processor-seconds-to-reach", "0.9"]] * 2


def test_runs_whose_processor_seconds_are_not_known_are_told(timed, place):
    sql(place("experiments.db"), "UPDATE epochs SET processor_seconds = NULL WHERE run_key = 1 AND epoch = 3")
    (table,) = tables(timed, timed.runs(), metric=metric("processor-seconds-to-reach", target=0.9))
    assert [cell.n for cell in table.cells] == [2, 3]
    assert any(note.startswith("1 of 6 runs left out") for note in table.notes)
    sql(place("experiments.db"), "UPDATE epochs SET processor_seconds = NULL")
    said = kws("compare", "--metric", "processor-seconds-to-reach").stderr
    assert "has no finished run whose processor-seconds-to-reach is known" in said


@pytest.mark.parametrize("name", ["seconds", "seconds-to-reach"])
def test_times_of_different_machines_are_noted_also_where_only_a_later_session_was_elsewhere(place, name):
    elsewhere = replace(ENVIRONMENT, cpu="Another processor")
    with Registry(place("experiments.db"), create=True) as registry:
        train(registry, make_recipe(seed=1))
        moved = cut_off(registry)
        registry.go_on(moved, epochs=50, environment=elsewhere)
        registry.finish(moved, make_evaluation(make_card()), make_card(), WEIGHTS)
        (table,) = tables(registry, registry.runs(), metric=metric(name))
        (accuracy,) = tables(registry, registry.runs())
    assert registry.processors([registry.run(moved)]) == {moved: (ENVIRONMENT.cpu, "Another processor")}
    note = "times come from different machines and cannot be compared: "
    assert [each for each in accuracy.notes if each.startswith(note)] == []
    told = [each.removeprefix(note) for each in table.notes if each.startswith(note)]
    assert told == ["1 run on A processor and Another processor with 1 thread, 1 run on A processor with 1 thread"]


def test_a_run_that_was_ended_below_the_target_is_noted(place):
    with Registry(place("experiments.db"), create=True) as registry:
        train(registry, make_recipe(until=0.7, epochs=9), epochs=1)
        (above,) = tables(registry, registry.runs(), metric=metric("seconds-to-reach", target=0.7))
        (below,) = tables(registry, registry.runs(), metric=metric("seconds-to-reach", target=0.9))
    assert above.notes == ()
    assert below.notes == (
        "1 run was ended by its --until below 90 % validation accuracy and counted as not reaching it, though longer "
        "training might have",
    )


def test_what_every_seed_has_alike_has_no_interval():
    runs = [make_run(f"{seed}", seed=seed) for seed in range(3)]
    (table,) = tabulated(*runs, metric=metric("parameters"))
    (cell,) = table.cells
    assert (cell.n, cell.std, cell.low, cell.high, cell.interval_over) == (3, None, None, None, None)
    assert "Intervals" not in table.caption


# Notes


def test_what_should_be_equal_and_is_not_is_noted():
    def run(seed=0, **environment):
        made = make_run(f"{seed} {environment}", seed=seed, arch="fc" if seed else "cnn")
        return replace(made, environment=replace(made.environment, **environment))

    assert only_table(run(), run(1)).notes == ()
    assert only_table(run(), make_run(seed=0, arch="fc"), make_run(seed=1, arch="fc")).notes == (
        "cells have from 1 to 2 seeds",
    )
    assert only_table(run(), run(1, torch_version="3.0")).notes == ("runs differ in versions of PyTorch: 2.13.0, 3.0",)
    assert only_table(run(), run(1, git_commit="f" * 40)).notes == (
        "runs differ in commits: 0123456789ab, ffffffffffff",
    )
    assert only_table(run(), run(1, git_dirty=True)).notes == (
        "1 of 2 runs were made by code that differs from its commit",
    )
    assert only_table(run(git_commit=None), run(1, git_commit=None)).notes == (
        "no commit is recorded for these runs (kws was not run from a git checkout)",
    )
    assert only_table(make_run(threads=1), make_run(arch="fc", threads=2)).notes == (
        "runs differ in numbers of threads: 1, 2",
    )
    assert only_table(make_run(micro_batch_size=32), make_run(arch="fc", micro_batch_size=1024)).notes == ()


def test_processors_of_one_name_and_other_vector_extensions_are_noted():
    def run(seed, extensions):
        made = make_run(f"{seed}", seed=seed)
        return replace(made, environment=replace(made.environment, instruction_set=extensions))

    assert only_table(run(0, "avx avx2"), run(1, "avx avx2"), run(2, None)).notes == ()
    assert only_table(run(0, "avx avx2"), run(1, "avx avx2 avx512f")).notes == (
        "runs differ in the vector extensions of their processors",
    )


def test_a_caption_says_once_that_speakers_are_unknown_and_where_splits_are_from(tmp_path):
    for speakers in (3, None):
        card = with_manifests(make_card(f"{speakers}"), speakers=speakers)
        with Registry(tmp_path / f"{speakers}.db", create=True) as registry:
            train(registry, make_recipe("fc", split_shares="70/15/15"), card)
            for name in ("test-accuracy", "test-loss"):
                (table,) = tables(registry, registry.runs(), metric=metric(name))
                assert table.caption.count("speakers unknown") == (speakers is None)
                assert "; split 70/15/15; " in table.caption
                assert "fold" not in table.caption
