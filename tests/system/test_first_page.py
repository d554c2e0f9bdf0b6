"""`kws ui` as the benchmark of start-up starts it: a process of its own, until its first page is there."""

from __future__ import annotations

import sys

import pytest
from places import ROOT

sys.path[:0] = [] if str(ROOT) in sys.path else [str(ROOT)]

from benchmarks import ledger, startup  # noqa: E402 - the repository's root is not where tests are looked for
from benchmarks.measure import CellError  # noqa: E402


@pytest.fixture(autouse=True)
def this_python(monkeypatch):
    monkeypatch.setattr(startup, "kws_program", lambda: [sys.executable, "-m", "kws"])


def test_the_first_page_is_waited_for(tmp_path):
    ledger.build(str(tmp_path / "runs.db"), 4)
    assert 0 < startup.first_page(tmp_path / "runs.db") < 60


def test_a_page_that_never_comes_is_said(tmp_path):
    with pytest.raises(CellError, match="there is no registry"):
        startup.first_page(tmp_path / "none.db")
