"""`kws compare --check`: what compare writes is accepted whole, and one change to it anywhere is found."""

from __future__ import annotations

import contextlib
import io
import random
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from commands import kws, ok
from hypothesis import given, settings
from hypothesis import strategies as st
from test_checking_captions import report
from test_formats import any_name, named, small

from kws import screens
from kws.errors import RegistryError
from kws.registry.reader import RegistryReader
from kws.reports import checking, checking_cells, formats, latex, table_files
from kws.reports.formats import FORMATS
from kws.reports.grids import Grid, grids
from kws.reports.paper import beside
from kws.reports.table1 import Table, tables

ROOT = Path(__file__).resolve().parent.parent
ENDINGS = {"markdown": ".md", "latex": ".tex", "csv": ".csv", "table": ".txt"}
# Not figures: how wide columns are, a label, a heading, and the names of a CSV's columns.
LAYOUT = re.compile(r"\\begin\{tabular\}\{[^\n]*\}|\\label\{[^}]*\}|^Table \d+ *$|^metric,data,[^\n]*$", re.MULTILINE)
NUMBER = re.compile(r"(?<![a-z0-9])\d[\d,]*(?:\.\d+)?(?![a-z0-9])|[a-f0-9]*\d[a-f0-9]*")


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> list[Table]:
    """The tables of the registry that came with the project, with the report beside them."""
    path = tmp_path_factory.mktemp("shipped") / "experiments.db"
    shutil.copy(ROOT / "experiments.db", path)
    with RegistryReader(path) as registry:
        return [replace(table, paper=beside(registry, table)) for table in tables(registry, registry.runs())]


def noted() -> list[Table]:
    """A table with a tie and with notes, whose recipe is not the usual one."""
    (table,) = report(selection="best", precision="bf16", maps=(8, 4), learning_rate=2e-05)
    notes = ("cells have from 1 to 3 seeds", "runs differ in versions of kws: 0.1.0, 0.2.1", "3 of 12 runs are old")
    return [replace(table, notes=notes)]


def written(made: list[Table], form: str, *, with_runs: bool = True) -> str:
    """What compare prints."""
    if form != "table":
        return FORMATS[form](made, with_runs=with_runs)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        screens.print_tables(made, with_runs=with_runs)
    return out.getvalue()


def check(folder: Path, made: list[Table], text: str, form: str) -> checking.Check | None:
    """What the check finds; None where it refuses the file."""
    path = folder / f"paper{ENDINGS[form]}"
    path.write_text(text, encoding="utf-8")
    try:
        return checking.check(made, table_files.read(path))
    except RegistryError:
        return None


def same_number(one: str, other: str) -> bool:
    """Whether two texts are one number: of 17 digits, the last may not matter."""
    try:
        return float(one.replace(",", "")) == float(other.replace(",", ""))
    except ValueError:
        return False


def passes(folder: Path, made: list[Table], text: str, form: str) -> bool:
    found = check(folder, made, text, form)
    return found is not None and not found.differing


def figures(text: str) -> list[tuple[int, int]]:
    """Where the figures of a text stand: all that have a digit, but for those of the layout."""
    layout = [found.span() for found in LAYOUT.finditer(text)]
    places = [found.span() for found in NUMBER.finditer(text)]
    return [place for place in places if not any(a <= place[0] < b for a, b in layout)]


@pytest.mark.parametrize("form", ENDINGS)
@pytest.mark.parametrize("made", [small, report, noted])
def test_what_compare_writes_is_accepted_whole(tmp_path, form, made):
    for with_runs in (False, True):
        found = check(tmp_path, made(), written(made(), form, with_runs=with_runs), form)
        assert found.differing == () == found.unchecked
        assert found.other_tables == 0


@pytest.mark.parametrize("form", ENDINGS)
def test_what_compare_writes_of_the_shipped_registry_is_accepted_whole(tmp_path, shipped, form):
    found = check(tmp_path, shipped, written(shipped, form), form)
    assert found.differing == () == found.unchecked
    assert len(found.compared) > 140


OPTIONS = [
    ["--paper", "--runs"],
    ["--no-test"],
    ["--metric", "epochs-to-reach", "--reach", "0.85"],
    ["--metric", "test-loss", "--rows", "seed"],
    ["--rows", "opt", "--columns", "arch"],
]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_the_command_accepts_what_it_printed_with_any_options(tmp_path, monkeypatch, options):
    shutil.copy(ROOT / "experiments.db", tmp_path / "experiments.db")
    same = [each for each in options if each not in ("--paper", "--runs", "--no-test")]
    for form, ending in ENDINGS.items():
        (tmp_path / f"paper{ending}").write_text(ok("compare", *options, "--format", form), encoding="utf-8")
        said = ok("compare", *same, "--check", f"paper{ending}", "--strict")
        assert re.fullmatch(rf"(\d+) of \1 figures in paper{ending} are the registry's\n", said)


@any_name
def test_any_names_are_accepted_whole(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("named")
    made = [named(name)]
    for form in ("markdown", "latex", "csv"):
        found = check(folder, made, written(made, form, with_runs=False), form)
        assert found is None or found.differing == (), (form, found.differing)


@pytest.mark.parametrize("form", ENDINGS)
@pytest.mark.parametrize("made", [small, report, noted])
def test_a_digit_that_is_changed_anywhere_is_found(tmp_path, form, made):
    made, draw = made(), random.Random(0)
    text = written(made, form, with_runs=len(made[0].runs) < 12)
    places = figures(text)
    assert len(places) > 25
    missed = []
    for start, end in places:
        digits = [place for place in range(start, end) if text[place].isdigit()]
        place = draw.choice([digits[0], digits[-1]])
        digit = str((int(text[place]) + draw.randint(1, 9)) % 10)
        changed = text[start:place] + digit + text[place + 1 : end]
        if passes(tmp_path, made, text[:start] + changed + text[end:], form):
            missed += [] if same_number(text[start:end], changed) else [(text[start - 20 : end], changed)]
    assert missed == []


@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_one_change_to_what_the_shipped_registry_gives_is_found(tmp_path_factory, shipped, data):
    form = data.draw(st.sampled_from(["markdown", "latex", "table"]))
    text = written(shipped, form)
    start, end = data.draw(st.sampled_from(figures(text)))
    number, before = text[start:end], text[:start]
    kinds = ["digit"]
    if re.fullmatch(r"[\d,.]+", number) and not re.search(r"[\w.,/-]$", before) and number.strip("0.,"):
        kinds += ["minus", "more"] if number[0] == "0" else ["minus", "more", "thousands"]
    kind = data.draw(st.sampled_from(kinds))
    if kind == "digit":
        place = data.draw(st.sampled_from([i for i, letter in enumerate(number) if letter.isdigit()]))
        other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != number[place]]))
        changed = number[:place] + other + number[place + 1 :]
    else:
        changed = {"minus": f"-{number}", "more": f"9{number}", "thousands": f"{number[0]},000{number[1:]}"}[kind]
        before = before.removesuffix("+") if kind == "minus" else before
    missed = passes(tmp_path_factory.mktemp("changed"), shipped, before + changed + text[end:], form)
    assert not missed, (before[-30:], number, changed)


WORDS = [
    ("does not hold", "holds"),
    ("| holds", "| does not hold"),
    ("| cannot be told", "| holds"),
    ("| holds", "| cannot be told"),
    ("| inconclusive", "| holds"),
    ("Convolutional, SGD |", "Convolutional, Adam |"),
    ("points (", "epochs ("),
    ("without it", "with it"),
    ("fewer parameters", "more parameters"),
    ("are not known", "are known"),
    ("one seed", "two seeds"),
    ("1 | SGD", "1 | Adam"),
    ("| 0 | dyjdqvkd", "| 0 | dyjdqvkc"),
    ("2520e8302661 |", "2520e8302661 changed |"),
    ("| Adam |", "| SGD |"),
    ("speech\\_commands", "synthetic"),
    ("Test accuracy after", "Validation accuracy after"),
    ("n = 5) |", "n = 5) = |"),
]


@pytest.mark.parametrize(("was", "now"), WORDS)
def test_a_word_or_mark_that_is_changed_is_found(tmp_path, shipped, was, now):
    text = written(shipped, "markdown")
    for place in {text.find(was), text.rfind(was)} - {-1}:
        assert not passes(tmp_path, shipped, text[:place] + now + text[place + len(was) :], "markdown")


@pytest.mark.parametrize("form", ["markdown", "latex", "table"])
@pytest.mark.parametrize("made", [report, noted])
def test_a_bold_or_tie_mark_that_is_added_taken_or_moved_is_found(tmp_path, form, made):
    made = made()
    text = written(made, form)
    (tie,) = re.finditer(r"(?<=3\)) =", text)
    assert not passes(tmp_path, made, text[: tie.start()] + "  " + text[tie.end() :], form)
    cells = [found.end() for found in re.finditer(r"n[ ~]=[ ~]3\)(?![ ~]=)", text)]
    assert len(cells) == 3
    for place in cells:
        rest = text[place + 2 * (form == "table") :]  # where columns are as wide as before
        assert not passes(tmp_path, made, f"{text[:place]} ={rest}", form)
    if form == "markdown":
        plain = [found.span(1) for found in re.finditer(r"\| (\d[^|*]+) (?=\|)", text[: text.index("The runs of")])]
        assert len(plain) == 3
        for a, b in plain:
            assert not passes(tmp_path, made, f"{text[:a]}**{text[a:b]}**{text[b:]}", form)


def test_a_line_of_the_csv_that_is_changed_is_found(tmp_path, shipped):
    text = written(shipped, "csv")
    for was, now in (
        ("seeds,False,False", "seeds,True,False"),
        ("seeds,False,False", "seeds,False,True"),
        (",sgd,", ",adam,"),
        ("final", "best"),
        ("fp32", "bf16"),
        ("0 1 2 3 4", "0 1 2 3 5"),
        ("test-accuracy", "f1"),
        ("dyjdqvkd", "dyjdqvkc"),
        (",SGD,fc", ",Adam,fc"),
    ):
        assert was in text
        assert not passes(tmp_path, shipped, text.replace(was, now, 1), "csv"), now
    head, *lines = text.splitlines(keepends=True)
    assert not passes(tmp_path, shipped, "".join([head, *lines, lines[0]]), "csv")
    fewer = check(tmp_path, shipped, "".join([head, *lines[1:]]), "csv")
    assert (fewer.differing, len(fewer.unchecked)) == ((), 1)


def test_the_exit_code_is_one_wherever_something_was_changed(tmp_path):
    shutil.copy(ROOT / "experiments.db", tmp_path / "experiments.db")
    text = ok("compare", "--paper", "--format", "latex")
    for was, now in (
        ("50 epochs", "10 epochs"),
        ("1,229", "99,999"),
        ("f8505d67", "f8505d68"),
        ("holds", "does not hold"),
    ):
        (tmp_path / "paper.tex").write_text(text.replace(was, now, 1), encoding="utf-8")
        result = kws("compare", "--check", "paper.tex")
        assert result.exit_code == 1
        assert re.search(r"^(\d+) of (\d+) figures in paper\.tex are the registry's$", result.stdout, re.MULTILINE)


def other_words(table: Table, *, with_runs: bool = False) -> list[Grid]:
    """Grids as they might be worded some day: more sentences, more numbers, verdicts in parts."""
    main, *_ = grids(table)
    caption = (
        f"Test accuracy after 50 epochs in minibatches of 1,024, on 1,200 test clips of 226 speakers of {table.data}, "
        f"3 classes (fingerprint {table.data_fingerprint[:12]}). Intervals are 95 %, crossed over seeds and speakers. "
        "This split has judged 12 recipes, by which the best is flattered by about 0.31 points. = marks what may be "
        "the best (Hsu's comparison, 5 %)."
    )
    rows = tuple((row[0], *(f"{text}, 2 of 3 seeds reached 90.5 %" for text in row[1:])) for row in main.rows)
    claims = Grid(
        caption="What it claims, and what these runs say of it (Holm's correction for 4 claims, 80 % power).",
        columns=("", "claim", "verdict", "measured here"),
        rows=(
            (
                "1",
                "Adam improves it by over 2 points",
                "smaller than reported",
                "fc: +0.10 points (-1.57 to +1.77, n = 5)",
            ),
            (
                "2",
                "Adam converges faster",
                "holds for fc, inconclusive for cnn",
                "fc: holds, p = 0.003; cnn: inconclusive, could have found 1.32 points, 35 more seeds would settle it",
            ),
        ),
    )
    return [
        replace(main, caption=caption, rows=rows, notes=("no run of 12 is old", "30 runs were tested")),
        claims,
    ]


@pytest.mark.parametrize("form", ["markdown", "latex"])
def test_no_wording_is_known_by_heart(tmp_path, monkeypatch, form):
    cell = checking_cells.cell_text
    monkeypatch.setattr(checking, "grids", other_words)
    monkeypatch.setattr(checking_cells, "cell_text", lambda *a: f"{cell(*a)}, 2 of 3 seeds reached 90.5 %")
    monkeypatch.setattr({"markdown": formats, "latex": latex}[form], "grids", other_words)
    text = written(report(), form)
    found = check(tmp_path, report(), text, form)
    assert found.differing == () == found.unchecked
    missed = []
    for start, end in figures(text)[: None if form == "markdown" else 40]:
        changed = str((int(text[end - 1]) + 3) % 10) if text[end - 1].isdigit() else "0"
        if passes(tmp_path, report(), text[: end - 1] + changed + text[end:], form):
            missed.append(text[start - 30 : end])
    assert missed == []
    for was, now in (
        ("smaller than reported", "smaller"),
        ("smaller than reported", "holds"),
        ("for fc, inconclusive for cnn", "for cnn, inconclusive for fc"),
        ("fc: holds", "fc: does not hold"),
        ("cnn: inconclusive", "cnn: holds"),
        ("could have", "could not have"),
        ("more seeds", "fewer seeds"),
        ("Hsu's", "Dunnett's"),
        ("and speakers", "and clips"),
        ("may be the best", "may not be the best"),
        ("reached", "missed"),
        ("no run of", "a run of"),
    ):
        assert not passes(tmp_path, report(), text.replace(was, now, 1), form), (was, now)
