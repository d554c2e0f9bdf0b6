"""The sources of networks that are the user's own: kept once, copied with their runs, and refused where changed."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest
from commands import dump, kws, ok, ok_json, refused, sql
from ledger import make_card, make_epochs, make_recipe, recipe_of_source, start, train

from kws.errors import RegistryError
from kws.registry.reader import RegistryReader
from kws.registry.rescue import rescue
from kws.registry.store import Registry

SOURCE = 'raise SystemExit("a source is text")  # näher\n'
DIGEST = hashlib.sha256(SOURCE.encode()).hexdigest()


@pytest.fixture
def runs(db) -> list[str]:
    """Two runs of one source and one of a network of kws."""
    with Registry(db, create=True) as registry:
        own = [start(registry, recipe_of_source(SOURCE, seed=seed), source=SOURCE) for seed in range(2)]
        for run_id in own:
            registry.end(run_id, "interrupted")
        return [*own, train(registry, make_recipe())]


def test_a_source_is_kept_once_and_read_back_by_its_runs(runs, db):
    assert sql(db, "SELECT * FROM sources") == [(DIGEST, SOURCE)]
    with RegistryReader(db) as registry:
        assert [registry.source(run_id) for run_id in runs] == [SOURCE, SOURCE, None]


def test_a_source_goes_with_its_runs_by_export_import_and_copy(runs, db, tmp_path):
    ok("runs", "export", runs[1], tmp_path / "one.db")
    ok("runs", "export", runs[2], tmp_path / "two.db")
    assert dump(tmp_path / "one.db")["sources"] == [(DIGEST, SOURCE)]
    assert dump(tmp_path / "two.db")["sources"] == []
    assert ok_json("db", "copy", db, tmp_path / "three.db")["same"]
    assert dump(tmp_path / "three.db")["sources"] == [(DIGEST, SOURCE)]
    ok("runs", "import", tmp_path / "one.db", "--db", tmp_path / "two.db")
    with RegistryReader(tmp_path / "two.db") as registry:
        assert registry.source(runs[1]) == SOURCE


def test_a_source_that_does_not_have_its_digest_is_refused_by_reading_and_by_copying(runs, db, tmp_path):
    ok("runs", "export", runs[2], tmp_path / "mine.db")
    sql(db, "UPDATE sources SET source = 'import os'")
    with RegistryReader(db) as registry, pytest.raises(RegistryError, match=f"{DIGEST[:12]} of a network was changed"):
        registry.source(runs[0])
    for command in (
        ["runs", "import", db, "--db", tmp_path / "mine.db"],
        ["runs", "export", runs[0], tmp_path / "new.db"],
        ["db", "copy", db, tmp_path / "other.db"],
    ):
        done = kws(*command)
        assert (done.exit_code, f"the source {DIGEST[:12]} of a network was changed" in done.stderr) == (1, True)
    assert dump(tmp_path / "mine.db")["sources"] == []


def test_a_run_whose_source_is_missing_is_not_copied(runs, db, tmp_path):
    sql(db, "DELETE FROM sources")
    told = refused("runs", "export", runs[0], tmp_path / "x.db")
    assert f"the source {DIGEST[:12]} of a network is not in it" in told
    assert not (tmp_path / "x.db").exists()


def test_a_run_that_is_saved_elsewhere_takes_its_source_with_it(db, tmp_path):
    card = make_card()
    with Registry(db, create=True) as registry:
        kept = registry.kept(start(registry, recipe_of_source(SOURCE), card, source=SOURCE))
    saved = rescue(tmp_path / "gone.db", kept, card, status="failed", error="why", checkpoint=None, outcome=None)
    with RegistryReader(saved) as registry:
        assert registry.source(kept.run["id"]) == SOURCE


def test_a_purge_keeps_a_source_until_its_last_run_goes(runs, db):
    for run_id, left in zip(runs, [1, 0, 0], strict=True):
        ok("runs", "delete", run_id)
        ok("runs", "purge")
        assert len(sql(db, "SELECT * FROM sources")) == left


def test_an_epochs_processor_seconds_are_read_back_and_are_null_where_they_were_not_measured(runs, db, tmp_path):
    measured = make_epochs(1)[0]
    unmeasured = replace(measured, processor_seconds=None)
    with Registry(db) as registry:
        for epoch, wanted in ((measured, 0.1), (unmeasured, None)):
            run_id = start(registry)
            registry.record(run_id, epoch)
            assert [each.processor_seconds for each in registry.epochs(run_id)] == [wanted]
            assert ok_json("runs", "show", run_id)["epochs"][0]["processor_seconds"] == wanted
            registry.end(run_id, "interrupted")
            ok("runs", "export", run_id, tmp_path / f"{run_id}.db")
            assert sql(tmp_path / f"{run_id}.db", "SELECT processor_seconds FROM epochs") == [(wanted,)]
