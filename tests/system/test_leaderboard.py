"""The leaderboard: a row a whole recipe, the best first; and Table 1 beside its runs, which stays what it was."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import pytest
from commands import kws, ok, refused, sql
from ledger import (
    Cards,
    make_card,
    make_recipe,
    make_registry,
    make_run,
    start,
    train,
)

from kws.recipe import Recipe
from kws.recipe.presets import preset, presets
from kws.registry.runs import Run
from kws.registry.store import Registry
from kws.reports import labels
from kws.reports.leaderboard import leaderboards
from kws.reports.metrics import METRICS
from kws.reports.text_tables import grids

FORMATS = ("table", "markdown", "latex", "csv", "json")


class Timed(Cards):
    """A reader that knows what each run took of the processor."""

    seconds: ClassVar[dict[str, float]] = {}

    def processor_seconds(self, run_ids: Sequence[str]) -> dict[str, float | None]:
        return {run_id: self.seconds.get(run_id) for run_id in run_ids}

    def processors(self, runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
        return {run.id: ("Another" if run.id == "there" else "A processor",) for run in runs}


def board(*runs, seconds=(), **options):
    """The one leaderboard of these runs."""
    cards = Timed(make_card(), make_card("other clips", clips=9))
    cards.seconds = dict(seconds)
    (table,) = leaderboards(cards, runs, **{"test": False, **options})
    return table


def run_of(recipe: Recipe, run_id: str = "bcdfghjk", **about):
    return dataclasses.replace(make_run(run_id, **about), recipe=recipe)


def seeds_of(recipe: Recipe, *accuracies: float) -> list:
    name = recipe.digest
    made = enumerate(accuracies)
    return [run_of(dataclasses.replace(recipe, seed=k), f"{name}{k}", test_accuracy=each) for k, each in made]


OTHERS = [each for each in presets().values() if each.name != "report"]
CARD = make_card(clips=30)
BEST, SMALL, REPORT = (preset(name).recipe for name in ("best", "small", "report"))


def test_rows_are_recipes_whatever_their_conditions_and_the_best_is_first():
    table = board(*seeds_of(SMALL, 0.95, 0.97), *seeds_of(REPORT, 0.93), *seeds_of(BEST, 0.97, 0.99, 0.98))
    assert table.rows == ("best", "small", "report")
    assert [round(cell.mean, 9) for cell in table.cells] == [0.98, 0.96, 0.93]
    assert [(cell.n, cell.best) for cell in table.cells] == [(3, True), (2, False), (1, False)]
    assert {cell.column for cell in table.cells} == {"Test accuracy"}
    assert not {"epochs", "batch_size"} & table.conditions.keys()


def test_where_less_is_better_the_least_is_first():
    runs = [
        run_of(BEST, "a", parameters=64_739),
        run_of(REPORT, "b", parameters=346_067),
        run_of(SMALL, "c", parameters=9),
    ]
    assert board(*runs, metric=METRICS["parameters"]).rows == ("small", "best", "report")


def test_recipes_on_different_data_have_leaderboards_of_their_own():
    elsewhere = run_of(BEST, "elsewhere", card=make_card("other clips", clips=9))
    cards = Timed(make_card(), make_card("other clips", clips=9))
    found = leaderboards(cards, [run_of(SMALL, "here"), elsewhere], test=False)
    assert [(table.data, table.rows) for table in found] == [("clips", ("small",)), ("other clips", ("best",))]


@pytest.mark.parametrize("of_mini_8", [0, 1])  # of two cards, whose fingerprints have an order
def test_the_reports_task_comes_first(of_mini_8):
    cards = [make_card("clips"), make_card("clips", clips=9)]
    runs = [
        run_of(SMALL.changed(task="mini_8"), "mini", card=cards[of_mini_8]),
        run_of(SMALL, "report", card=cards[1 - of_mini_8]),
    ]
    found = leaderboards(Timed(*cards), runs, test=False)
    assert [table.runs[0].id for table in found] == ["report", "mini"]


def test_a_run_by_a_preset_and_one_of_the_same_options_typed_out_share_a_row():
    typed = Recipe.of(**BEST.values | {"seed": 1, "data": "elsewhere", "threads": 2})
    assert [cell.n for cell in board(run_of(BEST, "a"), run_of(typed, "b")).cells] == [2]


def test_a_recipe_that_is_no_preset_goes_by_what_tells_it_apart():
    recipes = [
        BEST.changed(epochs=5),
        make_recipe("fc", "sgd"),
        make_recipe("fc", "adam", softmax=True),
        make_recipe("rnn", "lion", epochs=3),
        BEST.changed(epochs=5, batch_size=64, opt="sgd", momentum=0.5, learning_rate=0.1, weight_decay=0.0),
        BEST.changed(noise="dataset@0123456789ab", epochs=5, width=0.5, gain_db=6.0),
        Recipe.of(arch="tc_resnet", opt="muon", width=0.5),
    ]
    assert list(map(labels.of_cells(recipes[5:]), recipes[5:])) == [
        "best with width 0.5, gain db 6, epochs 5",
        "TC-ResNet, Muon, width 0.5",
    ]
    assert list(map(labels.of_cells(recipes), recipes))[:4] == [
        "best with epochs 5",
        "Fully-connected, SGD",
        "Fully-connected, Adam, softmax before cross-entropy",
        "rnn, lion, learning rate 0.001, weight decay 0, epochs 3",
    ]
    last = labels.of_cells(recipes)(recipes[4])
    assert last.startswith("TC-ResNet, SGD, front 8, learning rate 0.1, weight decay 0, momentum 0.5")
    assert last.endswith("epochs 5, batch size 64")


def test_names_state_the_conditions_that_differ_and_the_caption_those_that_do_not():
    runs = [run_of(make_recipe(epochs=30), "a"), run_of(make_recipe(epochs=30, batch_size=64, until=0.9), "b")]
    table = board(*runs)
    assert {*table.rows} == {"report with epochs 30", "report with epochs 30, batch size 64, until 0.9"}
    assert table.caption.startswith("Test accuracy after 30 epochs, on ")


def test_no_two_recipes_share_a_name_however_close_they_are():
    recipes = [make_recipe(opt="adam", learning_rate=0.001 * (1 + k * 1e-9)) for k in range(4)]
    called = labels.of_cells(recipes)
    assert len({called(each) for each in recipes}) == 4
    assert called(recipes[0]) == "report"


def test_what_stands_beside_the_accuracy_is_the_mean_over_the_seeds():
    runs = seeds_of(BEST, 0.98, 0.96)
    runs = [
        dataclasses.replace(run, seconds=10.0 * k, validation_accuracy=0.9 + 0.02 * k, multiply_accumulates=1_234_567)
        for k, run in enumerate(runs, start=1)
    ]
    table = board(*runs, seconds={runs[0].id: 20.0, runs[1].id: 25.0})
    beside = table.beside["best"]
    assert (beside.preset, beside.multiply_accumulates) == ("best", 1_234_567)
    assert (beside.seconds, beside.processor_seconds) == (15.0, 22.5)
    assert beside.validation_accuracy == pytest.approx(0.93)
    (grid,) = grids(table)
    shown = dict(zip(grid.columns, grid.rows[0], strict=True))
    assert (shown["time"], shown["processor"], shown["MACs"]) == ("15.0 s", "22.5 s", "1,234,567")
    assert (shown["recipe"], shown["test"], shown["n"], shown["validation"]) == ("best", "97.00 %", "2", "93.00 %")


def test_a_time_that_one_seed_does_not_have_is_no_mean_of_the_others():
    runs = seeds_of(BEST, 0.98, 0.96)
    table = board(*runs, *seeds_of(SMALL, 0.9), seconds={runs[0].id: 20.0, SMALL.digest + "0": 3.0})
    assert table.beside["best"].processor_seconds is None
    (grid,) = grids(table)
    assert [dict(zip(grid.columns, row, strict=True))["processor"] for row in grid.rows] == ["\u2013", "3.0 s"]


def test_times_by_other_means_are_said_to_be_not_comparable():
    here, there = run_of(BEST, "here"), run_of(dataclasses.replace(BEST, seed=1), "there")
    assert board(here).notes == ()
    (note,) = (note for note in board(here, there).notes if "times" in note)
    assert note.startswith("times come from different machines and cannot be compared: 1 run on A processor")
    same, another = board(here, there, metric=METRICS["seconds"]).notes, board(here, there).notes
    assert len([note for note in same if "times" in note]) == len([note for note in another if "times" in note]) == 1


def test_minibatches_that_recipes_choose_are_no_caveat_about_micro_batches():
    assert board(run_of(BEST, "a"), run_of(BEST.changed(batch_size=64), "b")).notes == ()


def test_a_medium_that_is_too_narrow_leaves_out_whole_columns_the_dearest_last():
    (grid,) = grids(board(*seeds_of(BEST, 0.98, 0.96), seconds={BEST.digest + str(k): 1.0 for k in range(2)}))
    whole, gone = grid.fitting(lambda lengths: True)
    assert (whole.columns, gone) == (grid.columns, ())
    columns = []
    for most in range(2, 9):
        narrow, gone = grid.fitting(lambda lengths, most=most: len(lengths) <= most)
        assert {*narrow.columns} | {*gone} == {*grid.columns} and not {*narrow.columns} & {*gone}
        assert narrow.bold == {(0, 1)}
        columns.append(narrow.columns)
    assert all({*fewer} <= {*more} for fewer, more in pairwise(columns))
    assert columns[0] == ("recipe", "test", "parameters")


# Table 1 beside the runs of a leaderboard


@pytest.fixture(scope="module")
def beside(new_place):
    """A registry of the report's four cells at two seeds, and one that has every preset at two seeds as well."""
    alone, both = new_place("alone.db"), new_place("both.db")
    of_the_report = [
        make_recipe(arch, opt, seed=k) for arch in ("fc", "cnn") for opt in ("sgd", "adam") for k in (0, 1)
    ]
    others = [dataclasses.replace(each.recipe, seed=k) for each in OTHERS for k in (0, 1)]
    for place, recipes in ((alone, of_the_report), (both, [*of_the_report, *others])):
        with Registry(place, create=True) as registry:
            for number, recipe in enumerate(recipes):
                train(registry, recipe, CARD, wrong=1 + number % 7)
    for place in (alone, both):  # what is not known beforehand: ids and times
        keys = sorted(key for (key,) in sql(place, "SELECT key FROM trainings"))
        for number, key in enumerate(keys):
            at = f"2026-03-01T12:00:{number:02d}.000+00:00"
            sql(
                place,
                "UPDATE tests SET run_id = ? WHERE run_id = (SELECT id FROM trainings WHERE key = ?)",
                values=(f"r{number:07d}", key),
            )
            sql(place, "UPDATE trainings SET id = ?, started_at = ? WHERE key = ?", values=(f"r{number:07d}", at, key))
    return alone, both


@pytest.mark.parametrize("options", [(), ("--paper",)], ids=["alone", "paper"])
@pytest.mark.parametrize("form", FORMATS)
def test_table_1_is_the_same_to_the_byte_beside_runs_of_other_recipes(beside, form, options):
    alone, both = (ok("compare", "--format", form, *options, "--db", path) for path in beside)
    assert alone == both and "Convolutional" in alone


def test_a_note_counts_what_table_1_leaves_out_and_says_how_to_see_it(beside):
    alone, both = (kws("compare", "--db", path).stderr for path in beside)
    assert alone == ""
    assert f"note: {2 * len(OTHERS)} finished runs of {len(OTHERS)} other recipes are not in Table 1" in both
    assert "`kws compare --leaderboard` ranks every recipe" in both


def test_who_chooses_rows_or_runs_gets_all_that_is_chosen(beside):
    _, both = beside
    shown = kws("compare", "--where", "opt = 'muon' or arch = 'gru'", "--format", "json", "--db", both)
    rows = {cell["arch"] for table in json.loads(shown.stdout)["tables"] for cell in table["cells"]}
    assert rows == {each.recipe.arch for each in OTHERS}
    assert shown.stderr == ""
    by_batch = json.loads(ok("compare", "--rows", "batch_size", "--format", "json", "--db", both))["tables"]
    assert {cell["arch"] for table in by_batch for cell in table["cells"]} == rows | {"fc", "cnn"}


def test_the_leaderboard_has_all_of_them_and_counts_all_that_the_split_has_judged(beside):
    _, both = beside
    (table,) = json.loads(ok("compare", "--leaderboard", "--format", "json", "--db", both))["tables"]
    (first,) = json.loads(ok("compare", "--format", "json", "--db", both))["tables"]
    assert {cell["preset"] for cell in table["cells"]} == {*presets(), None}
    assert len(table["cells"]) == table["recipes_judged"] == len(OTHERS) + 4
    assert len(first["cells"]) == first["recipes_judged"] == 4
    assert [cell["mean"] for cell in table["cells"]] == sorted((c["mean"] for c in table["cells"]), reverse=True)
    by_runs = {tuple(cell["runs"]): cell for cell in table["cells"]}
    for cell in first["cells"]:
        same = by_runs[tuple(cell["runs"])]
        assert all(same[name] == cell[name] for name in ("mean", "std", "low", "high", "n", "seeds", "parameters"))
    report = next(cell for cell in table["cells"] if cell["preset"] == "report")
    assert report["recipe"]["epochs"] == 50 and "threads" not in report["recipe"]


def test_the_leaderboard_is_written_in_every_format(beside):
    _, both = beside
    written = {form: ok("compare", "--leaderboard", "--format", form, "--db", both) for form in FORMATS}
    assert written["table"].startswith("Leaderboard on clips")
    assert "| recipe | test | \u00b1 | 95 % | n | validation | parameters |" in written["markdown"]
    assert r"\begin{tabular}{p{" in written["latex"] and "% left out" in written["latex"]
    lines = list(csv.DictReader(io.StringIO(written["csv"])))
    assert {line["preset"] for line in lines} == {*presets(), ""}
    best = next(line for line in lines if line["preset"] == "best")
    assert (best["epochs"], best["batch_size"]) == tuple(str(BEST.values[name]) for name in ("epochs", "batch_size"))


def test_a_paper_with_table_1_and_a_leaderboard_is_checked_figure_by_figure(beside, tmp_path):
    _, both = beside
    paper = tmp_path / "paper.md"
    parts = [ok("compare", *more, "--format", "markdown", "--db", both) for more in ((), ("--leaderboard",))]
    paper.write_text("\n\n## And\n\n".join(parts), encoding="utf-8")
    said = ok("compare", "--check", paper, "--strict", "--db", both)
    assert said.endswith(" are the registry's\n")
    wrong = parts[1].replace(" 0.4 s |", " 0.5 s |")
    assert wrong != parts[1]
    paper.write_text(wrong, encoding="utf-8")
    assert "best, time: number is 0.5" in kws("compare", "--check", paper, "--db", both).stdout


def test_a_file_of_comma_separated_values_is_checked_whether_it_is_of_table_1_or_of_a_leaderboard(beside, tmp_path):
    for options in ((), ("--leaderboard",)):
        path = tmp_path / "table.csv"
        path.write_text(ok("compare", *options, "--format", "csv", "--db", beside[1]), encoding="utf-8")
        assert "are the registry's\n" in ok("compare", "--check", path, "--strict", "--db", beside[1])


def test_where_there_are_no_runs_of_the_report_table_1_is_about_all(db):
    make_registry(db, [BEST, SMALL])
    shown = kws("compare", "--format", "json")
    rows = {cell["row"] for table in json.loads(shown.stdout)["tables"] for cell in table["cells"]}
    assert len(rows) == 2 and shown.stderr == ""


def test_a_report_run_that_is_not_tested_hides_nothing(db):
    with Registry(db, create=True) as registry:
        start(registry, REPORT)
        train(registry, BEST)
    assert "TC-ResNet" in ok("compare")


def test_what_another_table_is_made_of_is_refused_beside_a_leaderboard(db):
    make_registry(db, [BEST])
    for options in (("--rows", "width"), ("--columns", "opt"), ("--paper",)):
        assert f"leave out {options[0]}" in refused("compare", "--leaderboard", *options)


def test_the_page_has_table_1_as_it_is_without_them_and_then_the_leaderboard(beside, tmp_path):
    pages = []
    for place in beside:
        ok("report", tmp_path / "page.html", "--db", place)
        pages.append((tmp_path / "page.html").read_text(encoding="utf-8"))
    first, boards = (
        [re.findall(rf'<table class="{name}">.*?</table>', page, re.DOTALL) for page in pages]
        for name in ("results", "board")
    )
    assert [len(found) for found in (*first, *boards)] == [1, 1, 1, 1]
    assert first[0] == first[1] and boards[0] != boards[1]
    assert "<b>Leaderboard on clips.</b>" in boards[1][0]
    assert re.findall(r'<th scope="row"><bdi>(.*?)</bdi>', boards[1][0]) == [
        cell["row"]
        for table in json.loads(ok("compare", "--leaderboard", "--format", "json", "--db", beside[1]))["tables"]
        for cell in table["cells"]
    ]
