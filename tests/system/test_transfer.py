"""Runs from one registry into another: whole, under their ids, and without harm from a file that somebody else made."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from commands import TRAIN, clone, dump, kws, ok, ok_json, recipe_with, refused, sql
from ledger import cut_off, make_card, make_evaluation, make_recipe, make_registry, start, train
from places import ROOT
from sounds import write_task

from kws.errors import RegistryError
from kws.registry import transfer
from kws.registry.location import Location, ServerUrl
from kws.registry.reader import RegistryReader
from kws.registry.schema import SCHEMA_VERSION
from kws.registry.store import Registry

SCHEMA_1 = ROOT / "tests" / "fixtures" / "schema1.db"
CHILDREN = ("sessions", "tags", "epochs", "evaluations", "weights", "checkpoints")


@pytest.fixture
def runs(db) -> list[str]:
    """Three finished runs, the second one answered on other clips too, and one that was cut off."""
    with Registry(db, create=True) as registry:
        made = [train(registry, make_recipe(seed=seed, epochs=2, maps=(8, 4))) for seed in range(3)]
        registry.tag(made[1], ["paper", "æ"])
        registry.annotate(made[1], "a note")
        elsewhere = make_card("other clips")
        registry.keep_evaluation(made[1], make_evaluation(elsewhere, "all", wrong=5), elsewhere)
        return [*made, cut_off(registry)]


def rows_of(path: Path, run_id: str) -> dict[str, list[tuple]]:
    """All rows of a run in every table, without the key, which is each registry's own."""
    ((key,),) = sql(path, "SELECT key FROM runs WHERE id = ?", values=(run_id,))
    found = {"runs": [row[1:] for row in sql(path, "SELECT * FROM runs WHERE id = ?", values=(run_id,))]}
    for table in CHILDREN:
        found[table] = [row[1:] for row in sql(path, f"SELECT * FROM {table} WHERE run_key = ?", values=(key,))]
    return found


def data_of(path: Path) -> dict[str, set[tuple]]:
    return {table: set(sql(path, f"SELECT * FROM {table}")) for table in ("data", "splits")}


# Export


def test_an_exported_run_is_a_registry_of_its_own_with_every_row_of_it(runs, db, tmp_path):
    before = dump(db)
    for number in (1, 3):
        to = tmp_path / f"{number}.db"
        assert ok("runs", "export", runs[number][:6], to) == f"{to}\n"
        assert sql(to, "SELECT id FROM runs") == [(runs[number],)]
        assert rows_of(to, runs[number]) == rows_of(db, runs[number])
        assert ok("db", "doctor", "--db", to) == f"{to} is in order\n"
    assert data_of(tmp_path / "1.db") == data_of(db)
    assert len(data_of(tmp_path / "3.db")["data"]) == 1  # only what it needs
    assert [len(rows) for rows in rows_of(tmp_path / "1.db", runs[1]).values()] == [1, 1, 2, 2, 2, 1, 0]
    assert [len(rows) for rows in rows_of(tmp_path / "3.db", runs[3]).values()] == [1, 1, 0, 3, 0, 0, 1]
    assert dump(db) == before


def test_an_exported_run_can_be_evaluated_and_one_that_was_cut_off_goes_on(db, tmp_path):
    write_task(tmp_path / "task")
    run = ok_json(*TRAIN, "--data", "task", "--epochs", 2)
    ok("runs", "export", "last", "mine.db")
    if isinstance(db, Path):
        db.unlink()
    assert ok_json("eval", "last", "--db", "mine.db")["accuracy"] == run["test_accuracy"]
    again = ok_json("rerun", run["run"], "--db", "mine.db")
    assert (again["same"], again["weights_differ"]) == (True, False)


@pytest.mark.parametrize("name", ["mine.txt", "mine.db", "dangling.db"])
def test_an_export_never_takes_the_place_of_a_file(runs, db, tmp_path, name):
    (tmp_path / "mine.txt").write_text("mine")
    make_registry(tmp_path / "mine.db", [make_recipe()])
    (tmp_path / "dangling.db").symlink_to(tmp_path / "nowhere.db")
    before = (tmp_path / "mine.db").read_bytes()
    assert f"{name} is already there; give a name that is free" in refused("runs", "export", runs[0], name)
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (tmp_path / "mine.db").read_bytes() == before
    assert not (tmp_path / "nowhere.db").exists()


@pytest.mark.parametrize("to", ["no folder/x.db", "file/x.db", f"{'x' * 300}.db"])
def test_an_export_that_cannot_be_written_is_told_by_its_own_name_and_leaves_nothing(runs, db, tmp_path, to):
    (tmp_path / "file").touch()
    before = {entry.name for entry in tmp_path.iterdir()}
    assert to in refused("runs", "export", runs[0], to)
    assert {entry.name for entry in tmp_path.iterdir()} == before


def test_a_run_that_is_still_running_is_not_exported(db, tmp_path):
    with Registry(db, create=True) as registry:
        running = start(registry)
        assert f"run {running} is still running" in refused("runs", "export", running, "x.db")
    assert not (tmp_path / "x.db").exists()


def test_an_export_that_fails_leaves_nothing(runs, db, tmp_path):
    with pytest.raises((RegistryError, TypeError)):
        transfer.export(db, [runs[0], "not there"], tmp_path / "x.db")
    assert not list(tmp_path.glob("*x.db"))
    assert not list(tmp_path.glob(".new*"))


# Import


def test_imported_runs_keep_their_ids_and_every_row(runs, db, place):
    target = place("target.db")
    own = make_registry(target, [make_recipe(seed=7), make_recipe(seed=8)])
    kept = {run_id: rows_of(target, run_id) for run_id in own}
    before = dump(db)
    ok("runs", "delete", runs[2])
    said = ok("runs", "import", db, "--db", target)
    assert said.splitlines() == [f"{run_id} imported" for run_id in runs]
    assert [row[0] for row in sql(target, "SELECT id FROM runs ORDER BY key")] == [*own, *runs]
    assert {run_id: rows_of(target, run_id) for run_id in runs} == {run_id: rows_of(db, run_id) for run_id in runs}
    assert {run_id: rows_of(target, run_id) for run_id in own} == kept
    assert data_of(target) == data_of(db)
    assert isinstance(target, ServerUrl) or sql(target, "PRAGMA foreign_key_check") == []
    with RegistryReader(target) as registry:
        assert [run.id for run in registry.runs()] == [*own, *runs[:2], runs[3]]
        assert registry.run(runs[1]).tags == ("paper", "æ")
        assert registry.checkpoint(runs[3]).epoch == 3
    ok("runs", "restore", runs[2])
    assert dump(db) == before


def test_runs_can_be_imported_where_there_is_no_registry_yet(runs, db, place):
    ok("runs", "import", db, "--db", place("new.db"))
    assert dump(place("new.db")) == dump(db)


def test_what_is_already_there_is_said_and_left_as_it_is(runs, db, tmp_path):
    target = tmp_path / "target.db"
    ok("runs", "export", runs[0], target)
    ok("runs", "note", runs[0], "mine", "--db", target)
    first = kws("runs", "import", db, "--db", target)
    assert first.stdout.splitlines() == [f"{run_id} imported" for run_id in runs[1:]]
    assert first.stderr.splitlines() == [f"{runs[0]} is already there"]
    before = dump(target)
    again = kws("runs", "import", db, "--db", target)
    assert (again.exit_code, again.stdout) == (0, "")
    assert again.stderr.splitlines() == [f"{run_id} is already there" for run_id in runs]
    assert dump(target) == before
    itself = kws("runs", "import", target, "--db", target)
    assert (itself.exit_code, len(itself.stderr.splitlines())) == (0, 4)
    assert dump(target) == before


def test_an_older_registry_is_imported(db, tmp_path):
    source = shutil.copy(SCHEMA_1, tmp_path / "old.db")
    assert len(ok("runs", "import", source).splitlines()) == 6
    assert len(ok_json("runs", "list")["runs"]) == 6
    assert isinstance(db, ServerUrl) or sql(db, "PRAGMA user_version") == [(SCHEMA_VERSION,)]


@pytest.mark.parametrize("name", ["nothing.db", "text.db", "foreign.db", "newer.db", "folder", "empty.db"])
def test_a_source_that_is_no_registry_ends_in_one_sentence(db, tmp_path, name):
    (tmp_path / "text.db").write_text("not a database " * 100)
    (tmp_path / "empty.db").touch()
    (tmp_path / "folder").mkdir()
    sql(tmp_path / "foreign.db", "CREATE TABLE runs (id TEXT)", "INSERT INTO runs VALUES ('theirs')")
    make_registry(tmp_path / "newer.db", [make_recipe()])
    sql(tmp_path / "newer.db", f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    assert name in refused("runs", "import", tmp_path / name)
    assert isinstance(db, ServerUrl) or not db.exists()
    make_registry(db, [make_recipe()])
    before = dump(db)
    assert name in refused("runs", "import", tmp_path / name)
    assert dump(db) == before


WITHOUT_RULES = (
    "CREATE TABLE loose AS SELECT * FROM trainings; DROP VIEW runs; DROP TABLE trainings; "
    "ALTER TABLE loose RENAME TO trainings;"
)
HOSTILE = {
    "an extra column": "ALTER TABLE trainings ADD COLUMN extra TEXT DEFAULT 'x'",
    "an extra table": "CREATE TABLE extra (x)",
    "a missing column": "DROP VIEW runs; ALTER TABLE trainings DROP COLUMN note",
    "a missing column of epochs": "ALTER TABLE epochs DROP COLUMN train_loss",
    "a missing table": "DROP TABLE tags",
    "no runs table": "DROP TABLE trainings",
    "no data set": "DELETE FROM data",
    "no splits": "DELETE FROM splits",
    "one split too many": "INSERT INTO splits SELECT data_fingerprint, 'more', fingerprint, clips, counts, labels "
    "FROM splits WHERE split = 'test'",
    "a run without an id": WITHOUT_RULES + "UPDATE trainings SET id = NULL WHERE key = 1",
    "a run without a network": WITHOUT_RULES
    + 'UPDATE trainings SET recipe_json = replace(recipe_json, \'"name":"cnn"\', \'"name":null\') WHERE key = 1',
    "an id twice": WITHOUT_RULES + "UPDATE trainings SET id = (SELECT id FROM trainings WHERE key = 2)",
    "an id of many lines": "UPDATE trainings SET id = 'x' || char(10) || char(27) || '[31m' WHERE key = 1",
    "words that are no JSON": recipe_with('"words":["yes","no"]', '"words":"yes,no"') + " WHERE key = 1",
    "words that are a number": recipe_with('"words":["yes","no"]', '"words":5') + " WHERE key = 1",
    "a recipe that cannot be": recipe_with('"batch_size":1024', '"batch_size":0') + " WHERE key = 1",
    "a number that is text": recipe_with('"learning_rate":', '"learning_rate":"fast","x":')
    + ", milliseconds = 'few' WHERE key = 1",
    "a time that is none": "UPDATE trainings SET status = 'running'; "
    "UPDATE sessions SET heartbeat_at = 'x', host = 'y'",
    "a status that is none": "UPDATE trainings SET status = 'superb' WHERE key = 1",
    "labels that are none": "UPDATE splits SET labels = x'00'",
    "other labels by the same name": "UPDATE splits SET labels = (SELECT labels FROM splits WHERE split = 'train')",
    "classes that are no JSON": "UPDATE data SET classes = 'yes,no'",
    "iterations that are none": "UPDATE epochs SET iteration_losses = x'0011223344'",
    "weights that are none": "UPDATE weights SET safetensors = x'00'",
    "weights that are a number": "UPDATE weights SET safetensors = 0",
    "an accuracy that is text": "UPDATE evaluations SET accuracy = 'NaN'",
    "a front end that is a list": "UPDATE data SET front_end = '[1]'",
    "text that is not UTF-8": "UPDATE trainings SET name = CAST(x'ff' AS TEXT)",
}


@pytest.fixture(scope="module")
def templates(tmp_path_factory, new_place) -> tuple[Location, Path]:
    """Our registry, and a file of somebody whose second run is on our clips."""
    folder, ours = tmp_path_factory.mktemp("templates"), new_place()
    make_registry(ours, [make_recipe(seed=seed, epochs=2) for seed in (100, 101)])
    with Registry(folder / "theirs.db", create=True) as registry:
        for seed, card in enumerate((make_card("their clips"), make_card(), make_card("their clips"))):
            train(registry, make_recipe(seed=seed, epochs=2), card)
    return ours, folder / "theirs.db"


@pytest.mark.parametrize("damage", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_source_is_refused_in_one_sentence_or_harms_nothing(templates, db, tmp_path, damage):
    clone(templates[0], db)
    source = Path(shutil.copy(templates[1], tmp_path))
    own = [row[0] for row in sql(db, "SELECT id FROM runs ORDER BY key")]
    sql(source, *damage.split(";"))
    before, ours = dump(db), {run_id: rows_of(db, run_id) for run_id in own}
    shown = ok("runs", "show", own[0])
    result = kws("runs", "import", source)
    assert result.exit_code in (0, 1)
    if result.exit_code:
        (line,) = result.stderr.splitlines()
        assert source.name in line  # it is their file that is at fault, not ours
        assert dump(db) == before
    assert {run_id: rows_of(db, run_id) for run_id in own} == ours
    assert ok("runs", "show", own[0]) == shown
    listed = ok("runs", "list", "--sort=-started").splitlines()
    assert [line[:8] for line in listed[1:3]] == own
    assert all(line.isprintable() for line in listed)
    assert own[0] in ok("compare", "--format", "json")
    checked = kws("db", "doctor")
    assert not set(own) & set(checked.stdout.split())
    assert "kws: " not in checked.stderr  # it came to its end


@pytest.mark.parametrize(
    "damage",
    ["UPDATE data SET mean = 0", "UPDATE splits SET labels = (SELECT labels FROM splits WHERE split = 'train')"],
)
def test_a_card_that_was_imported_wrong_is_not_taken_for_the_clips_that_a_run_here_is_trained_on(
    templates, db, tmp_path, damage
):
    source = Path(shutil.copy(templates[1], tmp_path))
    sql(source, damage)
    kws("runs", "import", source)
    true = make_card("their clips")
    with Registry(db, create=True) as registry:
        try:
            run_id = train(registry, card=true)
        except RegistryError:
            return
        assert registry.card(registry.run(run_id).data_fingerprint) == true


@pytest.mark.sqlite_file
def test_a_registry_that_cannot_be_read_just_now_is_not_one_that_is_not_whole(runs, db, tmp_path, monkeypatch):
    def locked(*_):
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    monkeypatch.setattr(transfer, "read_rows", locked)
    said = refused("runs", "export", runs[0], tmp_path / "one.db", "--db", db)
    assert f"{db} could not be read (database is locked); try again" in said
    assert "no whole registry" not in said
