"""Every screen at 80, 120 and 200 columns: no line is wider, no number or id is cut, no colour gets into a pipe."""

from __future__ import annotations

import re
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path

import pytest
from commands import kws, ok, ok_json, refused
from ledger import make_card, make_epochs, make_recipe, make_run, start, train
from rich.console import Console
from terminals import WIDTHS, Terminal, assert_fits, assert_readable, lines_of, numbers_of, rendered, terminal

from kws.events import IterationEnd
from kws.registry.runs import FAILED, INTERRUPTED
from kws.registry.store import Registry
from kws.reports.line_breaks import broken, pieces
from kws.reports.own_words import Heard, OwnWords
from kws.reports.run_list import COLUMNS, in_order
from kws.terminal import screens_own_words
from kws.terminal.layout import Table
from kws.terminal.progress import TrainingProgress
from kws.terminal.recording import prompt

NAME = "an experiment whose name is long, with 12345 and 67,890 in it"
SCREENS = (
    ("compare",),
    ("compare", "--paper"),
    ("compare", "--runs"),
    ("compare", "--leaderboard"),
    ("compare", "--metric", "seconds"),
    ("compare", "--metric", "epochs-to-reach", "--target", "0.5"),
    ("compare", "--rows", "softmax_before_loss", "--columns", "seed"),
    ("runs", "show", "last"),
    ("runs", "diff", "FIRST", "last"),
    ("eval", "FIRST"),
    ("plot", "FIRST", "--style", "paper", "--out", "figure.png"),
    ("db", "info"),
    ("db", "query", "SELECT id, recipe_digest, parameters, test_accuracy, started_at, data_fingerprint FROM runs"),
)


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """A registry with runs of several networks, a failed one of a long name, and one that was interrupted."""
    path = tmp_path_factory.mktemp("screens") / "r.db"
    with Registry(path, create=True) as registry:
        for seed in range(6):
            for arch, opt in (("fc", "sgd"), ("fc", "adam"), ("cnn", "sgd"), ("cnn", "adam")):
                train(registry, make_recipe(arch, opt, seed=seed), wrong=1 + (arch == "fc"))
        train(registry, make_recipe("fc", "sgd", softmax_before_loss=True))
        train(registry, make_recipe("cnn", "adam", channels=(8, 4), epochs=7), make_card("a_long_name_of_a_data_set"))
        failed = start(registry, name=NAME)
        registry.tag(failed, ["paper", "second-draft"])
        registry.end(failed, FAILED, "it ran out of memory")
        registry.end(start(registry), INTERRUPTED)
        train(registry, make_recipe("tc_resnet", "muon"))
    return path


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", SCREENS, ids=" ".join)
def test_a_screen_fits_and_cuts_no_number(db, tmp_path, monkeypatch, command, width):
    monkeypatch.chdir(tmp_path)
    first = ok_json("runs", "list", "--sort=-started", "--limit=1", "--db", db)["runs"][0]["run"]
    assert_readable(width, *(first if word == "FIRST" else word for word in command), "--db", db)


@pytest.mark.parametrize("width", WIDTHS)
def test_speeds_fit(width):
    """Other numbers than in a pipe: each measures anew."""
    assert_fits(width, rendered(width, "bench", "--arch", "fc", "--threads", 1))


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_told_of_ones_own_words_fits_and_cuts_no_number(width):
    """What `kws start` prints at its end, of words and advice that are longer than a line."""
    words = [
        Heard(name=name, clips=12345, heard=11234, taken_for={"a_long_word_to_say": 1002, "fan": 103})
        for name in ("a_long_word_to_say", "fan")
    ]
    found = OwnWords(folds=3, words=tuple(words), others=replace(words[0], name="other"), accepted={}, speakers=4)
    advice = [f"record 1,{number}00 clips more, by 12 other people, or {number}.5 h of noise" * 2 for number in (1, 2)]
    file = Path("a folder of some length/with another in it/words.onnx")
    with terminal(width) as screen:
        screens_own_words.print_figures(file, found, advice)
    with terminal(10_000) as wide:
        screens_own_words.print_figures(file, found, advice)
    assert_fits(width, screen.getvalue())
    assert numbers_of(screen.getvalue()) == numbers_of(wide.getvalue())


@pytest.mark.parametrize("width", WIDTHS)
def test_what_is_said_of_a_take_fits_below_its_prompt(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    screen = Terminal()
    said = "  a_word: -31 dB, 12 dB over the room; it is too quiet by 9 dB, and begins 0.05 s before the signal; " * 2
    with redirect_stderr(screen), prompt() as shown:
        shown.say(said)
    assert_fits(width, screen.getvalue())
    assert numbers_of(screen.getvalue()) == numbers_of(said)


@pytest.mark.parametrize("width", (40, 60, *WIDTHS))
def test_a_list_of_runs_has_a_line_a_run_and_the_newest_20(db, width):
    runs = ok_json("runs", "list", "--db", db)["runs"]
    screen = assert_readable(width, "runs", "list", "--limit=all", "--db", db, also=" ".join(_times(runs)))
    lines = [line for line in lines_of(screen) if line]
    for run, line in zip(runs, lines[1:], strict=False):
        assert line.startswith(run["run"])
        assert run["status"] in line
    newest = lines_of(rendered(width, "runs", "list", "--db", db))
    assert [line[:8] for line in newest[1:21]] == [run["run"] for run in runs[:20]]
    assert " ".join(newest[21:]).startswith(f"{len(runs) - 20} more runs; --limit all lists every one")
    for colour, status in (("32", "finished"), ("31", "failed"), ("35", "interrupted")):
        assert f"\x1b[{colour}m{status}\x1b[0m" in screen


def _times(runs: list[dict]) -> list[str]:
    """How a terminal writes when runs were started: without the year, and without the day where it repeats."""
    return [part for run in runs for part in run["started_at"][5:16].split("T")]


def test_a_pipe_and_json_list_all_runs_in_full_unless_a_limit_is_given(db):
    everything = ok_json("runs", "list", "--db", db)["runs"]
    head, *lines = ok("runs", "list", "--db", db).splitlines()
    assert [line.split()[0] for line in lines] == [run["run"] for run in everything]
    assert len(everything) > 20
    assert head.split() == [word for column in COLUMNS for word in column.name.split() if column.name != "last seen"]
    assert NAME in "\n".join(lines)
    for limit, count in ((2, 2), ("all", len(everything)), (0, len(everything)), (10**9, len(everything))):
        assert len(ok_json("runs", "list", "--limit", limit, "--db", db)["runs"]) == count
        assert len(ok("runs", "list", "--limit", limit, "--db", db).splitlines()) == count + 1
    assert f"{len(everything) - 2} more runs" in kws("runs", "list", "--limit", 2, "--db", db).stderr
    for limit in ("-1", "x", "1.5"):
        assert "is no number of runs" in refused("runs", "list", "--limit", limit, "--db", db, code=2)


@pytest.mark.parametrize("column", [column.name for column in COLUMNS])
def test_a_list_is_sorted_by_any_of_its_columns_both_ways(column):
    runs = [
        replace(make_run(f"run{seed}", seed=seed, test_accuracy=accuracy), started_at=f"2026-01-0{seed + 1}T10:00")
        for seed, accuracy in enumerate((0.5, None, 0.9, 0.7))
    ]
    there, back = ([run.id for run in in_order(runs, by)] for by in (column, f"-{column}"))
    if column == "test":
        assert (there, back) == (["run2", "run3", "run0", "run1"], ["run0", "run3", "run2", "run1"])
    elif column in ("run", "seed"):
        assert (there, back) == (["run0", "run1", "run2", "run3"], ["run3", "run2", "run1", "run0"])
    elif column == "started":
        assert (there, back) == (["run3", "run2", "run1", "run0"], ["run0", "run1", "run2", "run3"])
    else:  # all are equal
        assert there == back == ["run3", "run2", "run1", "run0"]


def test_what_is_no_column_is_refused_with_those_that_there_are(db):
    said = refused("runs", "list", "--sort", "accuracy", "--db", db)
    assert said.startswith("kws: --sort 'accuracy' is no column")
    assert all(column.name in said for column in COLUMNS)


def test_the_best_is_bold_and_green_on_a_terminal_and_has_a_mark_with_its_legend_in_a_pipe(db):
    screen, piped = rendered(200, "compare", "--db", db), ok("compare", "--db", db)
    bold = re.findall("\x1b\\[1;32m(.*?)\x1b", screen)
    marked = re.findall(r"  (\S(?:(?!  ).)*?) \*(?=\s)", piped)
    assert bold == marked != []
    assert piped.count("* marks the best.") == 1 + piped.count("Table 2")
    assert "*" not in screen


@pytest.mark.parametrize("width", (40, 60, 79, *WIDTHS))
@pytest.mark.parametrize("epochs", (2, 100))
def test_the_bar_of_a_training_shows_its_numbers(monkeypatch, width, epochs):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    last, screen = replace(make_epochs(1)[0], epoch=2, train_loss=12.3456, validation_loss=1.234), Terminal()
    with redirect_stderr(screen), TrainingProgress(make_recipe(epochs=epochs), clips=1000) as progress:
        progress.show(IterationEnd(iteration=1, clips=1000, loss=1.0, accuracy=0.5))
        progress.show(last)
    line = [line for line in lines_of(screen.getvalue()) if line][-1]
    assert len(line) <= width
    assert re.match(rf"epoch +2/{epochs}  .*\b75\.0 %.* [-\d]:[-\d]{{2}}:[-\d]{{2}}$", line)
    assert width < 80 or "train/val loss 12.346/1.234  accuracy 66.7/75.0 %" in line
    assert ("clips/s" in line) == (width > 80)


@pytest.mark.parametrize("width", range(12, 90, 7))
def test_a_table_cuts_no_word_and_is_no_wider_than_its_terminal(width):
    table = Table("", "accuracy of one", "of the other", "of a third")
    table.add_row("Fully-connected (567,171 params)", *["88.57 % \u00b1 1.77 (86.72 to 90.19, n = 40) ="] * 3)
    table.add_row("Convolutional", "-", "2026-11-26", "a/path/that/is/longer/than/forty/letters/and/can/be/cut.wav")
    console = Console(width=width, file=Terminal(), color_system=None, highlight=False)
    console.print(table)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    if width >= 24:
        numbers = {"567,171", "88.57", "1.77", "86.72", "90.19", "40", "2026-11-26"}
        assert numbers_of(text) == numbers
    wide = Console(width=500, file=Terminal(), color_system=None)
    wide.print(table)
    assert len(wide.file.getvalue().splitlines()) == 5


def test_texts_are_broken_between_pieces_and_brackets_have_a_line_of_their_own():
    text = "93.39 % \u00b1 0.50 (91.88 to 94.64, n = 5) ="
    assert pieces(text) == ["93.39 % \u00b1 0.50", "(91.88 to 94.64,", "n = 5)", "="]
    assert broken(text, 60) == [text]
    assert broken(text, 30) == ["93.39 % \u00b1 0.50", "(91.88 to 94.64, n = 5) ="]
    assert broken(text, 18) == ["93.39 % \u00b1 0.50", "(91.88 to 94.64,", "n = 5) ="]
    assert broken("of 88 % in 12.5 s, n = 40, or 567,171 / 346,067", 12) == [
        "of 88 % in", "12.5 s,", "n = 40, or", "567,171 /", "346,067",
    ]  # fmt: skip
    assert broken("", 5) == [""]
    assert broken("  an indented line", 10) == ["  an", "indented", "line"]
    assert "".join(broken("x" * 23, 10)) == "x" * 23
