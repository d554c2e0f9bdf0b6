"""The torture tests' quick forms; `make torture` does them in full."""

import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).resolve().parent.parent)
sys.path[:0] = [] if ROOT in sys.path else [ROOT]

from torture import disk, fuzz, kills, writers  # noqa: E402 - the repository's root is not where tests are looked for
from torture.common import Part  # noqa: E402
from torture.report import markdown, record  # noqa: E402


def must_hold(part: Part) -> dict:
    wrong = [f"{figure.what}: {figure.value}, not {figure.wanted}" for figure in part.figures if figure.holds is False]
    assert not wrong, "\n".join([*wrong, *part.notes])
    return {figure.what: figure.value for figure in part.figures}


def test_killed_runs_lose_no_epoch_and_end_the_same():
    assert must_hold(kills.run(quick=True))["kills"] == kills.QUICK_KILLS


def test_many_processes_write_one_registry():
    assert must_hold(writers.run(quick=True))["rows"] == writers.QUICK_WRITERS * (writers.EPOCHS + 4)


def test_a_full_disk_is_said_and_harms_nothing():
    if reason := disk.possible():
        pytest.skip(reason)
    assert must_hold(disk.run(quick=True))["tracebacks"] == 0


def test_generated_cases_end_well():
    assert must_hold(fuzz.run(quick=True, cases=16))["cases"] == 16


def test_figures_become_a_table():
    part = Part(name="kills")
    part.exactly("epochs lost", 1, 0)
    part.told("kills", 1_000)
    part.notes.append("a | b")
    machine = {
        "cpu": "A processor",
        "cores": 2,
        "system": "Linux",
        "python": "3",
        "sqlite": "3",
        "packages": {"kws": "1"},
    }
    results = {"machine": {**machine, "commit": "0" * 40, "changes": None}, "parts": [record(part, 1.25)]}
    text = markdown(results, quick=False)
    assert "| kills: epochs lost | 1 | 0 | **no** |" in text
    assert "| kills: kills | 1,000 |  |  |" in text
    assert "- kills: a \\| b" in text
    assert not part.holds
