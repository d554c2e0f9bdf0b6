"""The benchmark of `kws compare` times what its user gets: a comparison, on runs that can be compared."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import ok
from places import ROOT

from kws.recipe import Recipe
from kws.registry.reader import RegistryReader

sys.path[:0] = [] if str(ROOT) in sys.path else [str(ROOT)]

from benchmarks import comparing, growth, ledger, scheduling, startup, writing  # noqa: E402 - the repository's root is not where tests are looked for
from benchmarks.measure import CellError  # noqa: E402


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """Three seeds of each cell, as the benchmarks record them."""
    path = tmp_path_factory.mktemp("benchmarks") / "runs.db"
    ledger.build(str(path), 12)
    return path


def answer(path: Path, *options: str) -> dict:
    return json.loads(ok(comparing.COMPARE, *options, "--format", "json", "--db", path))


def test_the_registry_that_compare_is_timed_on_has_something_to_compare(registry):
    (table,) = answer(registry)["tables"]
    assert [(cell["arch"], cell["opt"], cell["n"]) for cell in table["cells"]] == [(*of, 3) for of in ledger.CELLS]
    assert len(comparing.compared_cells(answer(registry))) == 3
    (best,) = [cell for cell in table["cells"] if cell["best"]]
    assert (best["arch"], best["opt"]) == ("cnn", "adam")
    assert len({cell["seeds"][0] for cell in table["cells"]}) == 1
    assert comparing.compared_cells(answer(registry, "--no-test")) == []


@pytest.fixture
def timed(monkeypatch, registry):
    """The commands that are timed, on a workspace whose every registry is that one."""
    commands = []
    for module in (comparing, growth):
        monkeypatch.setattr(module, "wall", lambda command, **_: commands.append(command[1:]) or 1.0)
    monkeypatch.setattr(comparing, "installed", lambda _: None)
    monkeypatch.setattr(comparing, "run", lambda command, env: ok(*command[1:]))
    monkeypatch.setattr(comparing, "kws_program", lambda: ["kws"])
    monkeypatch.setattr(growth, "kws_program", lambda: ["kws"])
    monkeypatch.setattr(growth, "call", lambda *_, epochs, **__: [1.0] * epochs)
    monkeypatch.setattr(growth, "draw", lambda *_: None)
    return commands, SimpleNamespace(quick=True, rounds=1, registry=lambda _: registry)


@pytest.mark.parametrize("group", [comparing, growth], ids=["registry", "growth"])
def test_compare_is_timed_as_it_is_typed(timed, group, registry):
    commands, workspace = timed
    rows = group.measure(workspace)
    assert ["compare", "--db", str(registry)] in commands
    assert not any("--no-test" in command for command in commands)
    assert any(row.what.startswith("`kws compare` over ") for row in rows)


@pytest.mark.parametrize("group", [comparing, growth], ids=["registry", "growth"])
def test_compare_is_not_timed_where_nothing_is_compared(timed, group, tmp_path):
    commands, workspace = timed
    ledger.build(str(tmp_path / "one.db"), 1)
    workspace.registry = lambda _: tmp_path / "one.db"
    with pytest.raises(CellError, match="`kws compare` has nothing to compare in "):
        group.measure(workspace)
    assert commands == []


def test_the_readmes_sentences_are_those_of_the_results(tmp_path, monkeypatch):
    from benchmarks import shown

    def row(what, against, ratio):
        return {"what": what, "against": against, "ratio": {"median": ratio}, "ours": {"median": 0.25}, "note": ""}

    rows = [
        row("cnn training step, fp32, batch 1,024", "plain PyTorch", 3.14),
        row("clips to features", "librosa, clip by clip", 5.0),
        row("`kws compare` over 1,000 runs of 50 epochs", "MLflow, the best of each by query", 8.26),
    ]
    (tmp_path / "latest.json").write_text(json.dumps({"rows": rows}))
    monkeypatch.setattr(shown, "_RESULTS", tmp_path)
    told = shown.speed()
    assert "3.1 times as fast as in a plain PyTorch loop" in told
    assert "1,000 runs takes 0.25 s, 8.3 times as fast" in told
    (tmp_path / "latest.json").write_text(json.dumps({"rows": rows[1:]}))
    with pytest.raises(LookupError, match="no row 'cnn training step"):
        shown.speed()
    (tmp_path / "latest.json").write_text(json.dumps({"rows": [rows[0] | {"note": "its process failed"}, *rows[1:]]}))
    with pytest.raises(LookupError, match="its process failed"):
        shown.speed()


def test_of_tests_that_failed_no_time_is_told_and_a_row_that_is_missing_is(tmp_path, monkeypatch):
    from benchmarks import shown

    about = ["`make train` in a fresh clone: packages", "from there to the first table", "from there to the end"]
    rows = [
        {"what": what, "against": "", "ours": {"median": 60.0}, "note": ""}
        for what in (*about, "disk", "memory", "`make test` after it")
    ]
    monkeypatch.setattr(shown, "_RESULTS", tmp_path)

    def told(rows):
        (tmp_path / "first.json").write_text(json.dumps({"machine": {"cores": 2}, "rows": rows}))
        return shown.first_minutes()

    assert "with its table 1.0 minutes; the tests took 1.0 minutes." in told(rows)
    assert "with its table 1.0 minutes. That needs" in told(
        [*rows[:-1], rows[-1] | {"note": "failed: tests/test_x.py"}]
    )
    with pytest.raises(LookupError, match="no row '`make test`'"):
        told(rows[:-1])


def test_start_up_times_commands_that_answer(monkeypatch, registry, tmp_path):
    typed = []
    monkeypatch.setattr(startup, "wall", lambda command: typed.append(command[1:]) or 1.0)
    monkeypatch.setattr(startup, "kws_program", lambda: ["kws"])
    cells = startup.commands(tmp_path, registry)
    assert {*startup._MOST_SECONDS, *startup._MOST_TIMES, startup._PASS, startup._TORCH} == {*cells}
    for name, cell in cells.items():
        if name != "ui":  # which tests/system/test_first_page.py starts
            assert cell() == 1.0
    for command in typed:
        if command[0] not in ("-c", "summary"):
            assert ok(*command)
    assert "</html>" in (tmp_path / "report.html").read_text()


def test_the_plan_that_a_sweep_finds_in_a_registry_is_of_recipes_with_other_seeds(tmp_path):
    path = tmp_path / "planned.db"
    ledger.build(str(path), 2)
    before = recipes(path)
    scheduling.copy(str(path), runs=2, times=5)
    made = recipes(path)
    assert len(made) == len(before) + 2 * 4
    assert [recipe.seed for recipe in made[len(before) :]] == [
        recipe.seed + more for more in range(1, 5) for recipe in before
    ]
    with RegistryReader(path) as reader, reader.reading() as connection:
        rows = connection.execute("SELECT recipe_digest, epochs_done FROM trainings ORDER BY key").fetchall()
        assert [row["recipe_digest"] for row in rows] == [recipe.digest for recipe in made]
        assert connection.execute("SELECT count(*) FROM epochs").fetchone()[0] == len(made) * ledger.EPOCHS


def recipes(path: Path) -> list[Recipe]:
    with RegistryReader(path) as reader:
        return [run.recipe for run in reader.runs()]


def test_rows_that_writers_have_recorded_are_counted(registry):
    assert writing.lacking(str(registry), runs=12, size=1) == 0
    assert writing.lacking(str(registry), runs=13, size=1) > 0
