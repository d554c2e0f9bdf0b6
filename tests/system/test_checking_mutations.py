"""`kws compare --check`: what compare writes is accepted whole, and one change to it anywhere is found."""

from __future__ import annotations

import contextlib
import csv
import io
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from commands import kws, ok
from hypothesis import given, settings
from hypothesis import strategies as st
from places import ROOT
from rich.console import Console
from test_checking_captions import report
from test_formats import any_name, named, small

from kws.errors import RegistryError
from kws.registry.reader import RegistryReader
from kws.reports import checking, checking_cells, formats, latex, table_files, text_tables
from kws.reports.comparison import beside
from kws.reports.formats import FORMATS
from kws.reports.metrics import METRICS, metric
from kws.reports.scope import of_the_report
from kws.reports.table import Table
from kws.reports.table1 import tables
from kws.reports.text_tables import Grid, grids
from kws.terminal import screens

ENDINGS = {"markdown": ".md", "latex": ".tex", "csv": ".csv", "table": ".txt"}
# Not figures: how wide columns are, a label, a heading, and the names of a CSV's columns.
LAYOUT = re.compile(r"\\begin\{tabular\}\{[^\n]*\}|\\label\{[^}]*\}|^Table \d+ *$|^metric,data,[^\n]*$", re.MULTILINE)
NUMBER = re.compile(r"(?<![a-z0-9])\d[\d,]*(?:\.\d+)?(?![a-z0-9])|[a-f0-9]*\d[a-f0-9]*")


@pytest.fixture(scope="module")
def registry(tmp_path_factory) -> Path:
    """A copy of the registry that came with the project, of today's schema."""
    path = tmp_path_factory.mktemp("shipped") / "experiments.db"
    shutil.copy(ROOT / "experiments.db", path)
    return path


def tabled(path: Path, *, seeds: int = 1_000, **options) -> list[Table]:
    """The tables of a registry's runs of the report's recipes, of the first so many seeds, with the report beside."""
    with RegistryReader(path) as registry:
        runs = [run for run in of_the_report(registry, registry.runs()).runs if run.recipe.seed < seeds]
        return [replace(table, paper=beside(registry, table)) for table in tables(registry, runs, **options)]


@pytest.fixture(scope="module")
def whole(registry) -> list[Table]:
    """The tables of the registry that came with the project."""
    return tabled(registry)


@pytest.fixture(scope="module")
def shipped(registry) -> list[Table]:
    """The tables of five seeds of the registry that came with the project."""
    return tabled(registry, seeds=5)


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


@contextlib.contextmanager
def a_terminal(width: int) -> Iterator[None]:
    """So many columns wide, where kws prints."""
    with pytest.MonkeyPatch.context() as patch:
        options = {"force_terminal": True, "color_system": None, "markup": False, "highlight": False}
        patch.setattr(screens, "out", lambda: Console(width=width, **options))
        yield


@pytest.fixture(scope="module")
def texts(shipped) -> dict[str, str]:
    """What compare prints of them, in each form, and as a terminal shows it."""
    with a_terminal(100):
        shown = written(shipped, "table")
    return {form: written(shipped, form) for form in ENDINGS} | {"terminal": shown}


def check(folder: Path, made: list[Table], text: str, form: str) -> checking.Check | None:
    """What the check finds; None where it refuses the file."""
    path = folder / f"paper{ENDINGS.get(form, '.txt')}"
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
def test_what_compare_writes_of_the_shipped_registry_is_accepted_whole(tmp_path, whole, form):
    found = check(tmp_path, whole, written(whole, form), form)
    assert found.differing == () == found.unchecked
    assert len(found.compared) > 140


@pytest.mark.parametrize("width", [72, 80, 120])
def test_what_a_terminal_shows_of_the_shipped_registry_is_accepted_whole(tmp_path, shipped, texts, width):
    whole = check(tmp_path, shipped, texts["markdown"], "markdown")
    with a_terminal(width):
        text = written(shipped, "table")
    assert max(map(len, text.splitlines())) <= width < max(map(len, texts["table"].splitlines()))
    found = check(tmp_path, shipped, text, "table")
    assert found.differing == () == found.unchecked
    assert len(found.compared) == len(whole.compared)


def test_rows_of_the_same_words_and_their_rests_are_told_apart(tmp_path):
    rows = (
        ("1", "Some claim of many words", "holds", "fc: +1.00 points (0.50 to 1.50, n = 5)"),
        ("", "", "holds", "fc: +1.00 points (0.50 to 1.50, n = 5)"),
        ("", "", "does not hold", "cnn: +2.00 points (1.50 to 2.50, n = 5); some more of it, in very many words"),
        ("2", "Another", "holds", "cnn: +2.00 points (1.50 to 2.50, n = 5)"),
        ("", "", "holds", "fc: +1.00 points (0.50 to 1.50, n = 5)"),
    )
    grid = Grid(caption="What it claims.", columns=("", "claim", "verdict", "measured here"), rows=rows)
    (table,) = report()
    with pytest.MonkeyPatch.context() as patch:
        for module in (checking, text_tables):
            patch.setattr(module, "grids", lambda made, **_: [*grids(made), grid])
        for width in (40, 50, 75, 200):
            with a_terminal(width):
                text = written([table], "table")
            found = check(tmp_path, [table], text, "table")
            assert found.differing == () == found.unchecked, width
            number = re.compile(r"(?<=[+ (])[12]\.[05]0")
            places = [each.start() for each in number.finditer(text, text.index("measured"))]
            for place in places[::2] if width == 50 else []:
                assert not passes(tmp_path, [table], f"{text[:place]}7{text[place + 1 :]}", "table")


@pytest.mark.parametrize(("options", "form"), [(["--paper", "--runs"], "table"), (["--no-test"], "latex")])
def test_the_command_accepts_what_it_printed(tmp_path, registry, options, form):
    path = tmp_path / f"paper{ENDINGS[form]}"
    path.write_text(ok("compare", "--db", registry, *options, "--format", form), encoding="utf-8")
    said = ok("compare", "--db", registry, "--check", path, "--strict")
    assert re.fullmatch(r"(\d+) of \1 figures in paper\.\w+ are the registry's\n", said.replace(str(path), path.name))


@pytest.mark.parametrize(
    "options",
    [*({"metric": metric(name)} for name in METRICS if name != "test-accuracy")]
    + [{"metric": metric("epochs-to-reach", target=reach)} for reach in (0.85, 0.93)]
    + [{"metric": metric("seconds-to-reach", target=0.91)}]
    + [{"metric": metric("test-loss"), "rows": "seed"}, {"metric": metric("epochs-to-reach"), "columns": "seed"}]
    + [{"rows": "opt", "columns": "arch"}],
    ids=lambda options: " ".join(value if isinstance(value, str) else value.title for value in options.values()),
)
def test_what_compare_writes_with_any_options_is_accepted_whole(tmp_path, registry, options):
    made = tabled(registry, seeds=2, **options)
    for form in ENDINGS:
        found = check(tmp_path, made, written(made, form), form)
        assert found.differing == () == found.unchecked, form
        assert len(found.compared) > 40


CENSORED = [
    ("not reached (0 of 5", "13.0 (0 of 5"),
    ("not reached (0 of 5", "not reached (1 of 5"),
    ("not reached (0 of 5", "reached (0 of 5"),
    ("not reached (0 of 5 reached it)", "**not reached (0 of 5 reached it)**"),
    ("A seed that did not", "A seed that did"),
    ("later than all", "earlier than all"),
    ("91 %", "92 %"),
]


@pytest.mark.parametrize("name", ["epochs-to-reach", "seconds-to-reach"])
def test_what_is_changed_about_seeds_that_did_not_reach_it_is_found(tmp_path, registry, name):
    made = tabled(registry, seeds=5, metric=metric(name, target=0.91))
    text = written(made, "markdown")
    for was, now in CENSORED:
        assert was in text
        assert not passes(tmp_path, made, text.replace(was, now, 1), "markdown"), (was, now)
    number = re.compile(r"[\d.]+( s)? \(5 of 5")
    assert not passes(tmp_path, made, number.sub("not reached (5 of 5", text, count=1), "markdown")
    assert not passes(tmp_path, made, number.sub("2.0 (5 of 5", text, count=1), "markdown")


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
@settings(max_examples=20, deadline=None)
def test_any_one_change_to_what_the_shipped_registry_gives_is_found(tmp_path_factory, shipped, texts, data):
    form = data.draw(st.sampled_from(["markdown", "latex", "table", "terminal"]))
    text = texts[form]
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
    ("| holds", "| does not hold"),
    ("| holds", "| inconclusive"),
    ("| holds", "| smaller than reported"),
    ("| inconclusive", "| holds"),
    ("| inconclusive", "| does not hold"),
    ("| smaller than reported", "| smaller"),
    ("| smaller than reported", "| holds"),
    ("seeds would settle it", "seeds would not settle it"),
    ("below 2", "above 2"),
    ("both parts hold", "no part holds"),
    ("test speakers and", "test clips and"),
    ("no number of seeds", "some number of seeds"),
    ("seeds of each", "clips of each"),
    ("all 4 verdicts", "all 5 verdicts"),
    ("one run there", "two runs there"),
    ("Convolutional, SGD |", "Convolutional, Adam |"),
    ("points (", "epochs ("),
    ("or more above", "or less above"),
    ("the highest whole percent", "the lowest whole percent"),
    ("fewer parameters", "more parameters"),
    ("are not known", "are known"),
    ("one seed", "two seeds"),
    ("params) | SGD", "params) | Adam"),
    ("| 0 | dyjdqvkd", "| 0 | dyjdqvkc"),
    ("2520e8302661 |", "2520e8302661 changed |"),
    ("| Adam |", "| SGD |"),
    ("speech\\_commands", "synthetic"),
    ("Test accuracy after", "Validation accuracy after"),
    ("n = 5) |", "n = 5) = |"),
]


@pytest.mark.parametrize(("was", "now"), WORDS)
def test_a_word_or_mark_that_is_changed_is_found(tmp_path, shipped, texts, was, now):
    text = texts["markdown"]
    assert was in text
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


def test_a_line_of_the_csv_that_is_changed_is_found(tmp_path, shipped, texts):
    text = texts["csv"]
    names, *rows = csv.reader(io.StringIO(text))
    others = {"True": "False", "False": "True", "sgd": "adam", "SGD": "Adam", "final": "best", "fp32": "bf16"}
    for place, name in enumerate(names):
        was = rows[0][place]
        number = re.search(r"[1-9]", was)
        now = others.get(was) or (
            f"{was[: number.start()]}{int(number[0]) % 9 + 1}{was[number.end() :]}" if number else f"{was[1:]}5"
        )
        out = io.StringIO()
        csv.writer(out).writerows([names, [*rows[0][:place], now, *rows[0][place + 1 :]], *rows[1:]])
        assert not passes(tmp_path, shipped, out.getvalue(), "csv"), (name, was, now)
    head, *lines = text.splitlines(keepends=True)
    assert not passes(tmp_path, shipped, "".join([head, *lines, lines[0]]), "csv")
    fewer = check(tmp_path, shipped, "".join([head, *lines[1:]]), "csv")
    assert (fewer.differing, len(fewer.unchecked)) == ((), 1)


def test_the_exit_code_is_one_wherever_something_was_changed(tmp_path, registry, texts):
    for was, now in (("1,229", "99,999"), ("holds", "does not hold")):
        (tmp_path / "paper.tex").write_text(texts["latex"].replace(was, now, 1), encoding="utf-8")
        result = kws(
            "compare", "--db", registry, "--where", "seed < 5 and arch in ('fc', 'cnn')", "--check", "paper.tex"
        )
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
