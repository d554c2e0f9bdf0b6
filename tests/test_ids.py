"""Run ids for completion in a shell."""

from __future__ import annotations

import pytest
from commands import sql
from ledger import make_recipe, make_registry

from kws.registry import beginning, ids


def test_completion_offers_the_ids_that_begin_so_the_newest_first(db, monkeypatch):
    made = iter(["bcdfghjk", "bcccccck", "xxxxxxxx"])
    monkeypatch.setattr(beginning, "new_id", lambda: next(made))
    make_registry(db, [make_recipe()] * 3)
    assert ids.beginning_with(db, "") == ["xxxxxxxx", "bcccccck", "bcdfghjk"]
    assert ids.beginning_with(db, "bc") == ["bcccccck", "bcdfghjk"]
    assert ids.beginning_with(db, "bcd") == ["bcdfghjk"]
    assert ids.beginning_with(db, "%") == ids.beginning_with(db, "BC") == []


@pytest.mark.sqlite_file
def test_completion_offers_nothing_where_there_is_no_registry_and_makes_none(tmp_path):
    (tmp_path / "text.db").write_text("not a database " * 100)
    sql(tmp_path / "foreign.db", "CREATE TABLE things (id TEXT)")
    for name in ("missing.db", "no folder/missing.db", "text.db", "foreign.db", "."):
        assert ids.beginning_with(tmp_path / name, "b") == []
    assert not (tmp_path / "missing.db").exists()
