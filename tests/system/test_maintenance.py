"""Looking after a registry: copies, numbers, tags and notes, and runs that are deleted, restored and purged."""

from __future__ import annotations

import dataclasses
import os
import resource
import threading
from contextlib import closing
from pathlib import Path

import pytest
from commands import dump, kws, ok, ok_json, refused, sql
from ledger import cut_off, make_card, make_epochs, make_evaluation, make_recipe, start, train, with_manifests

from kws.errors import RegistryError
from kws.events import SPLITS
from kws.registry import maintenance
from kws.registry.location import Location
from kws.registry.schema import SCHEMA_VERSION
from kws.registry.sqlite import Database
from kws.registry.store import Registry


@pytest.fixture
def runs(db) -> tuple[str, str]:
    """A registry with a finished run, whose key is 1, and an interrupted one."""
    with Registry(db, create=True) as opened:
        return train(opened, make_recipe(epochs=2)), cut_off(opened)


def own_files(db: Location) -> list[str]:
    """The names of the registry's files; a server has none here."""
    return [db.name] if isinstance(db, Path) else []


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


# Copies


def test_a_copy_is_compact_and_holds_the_same(runs, db, tmp_path):
    if isinstance(db, Path):
        sql(db, "CREATE TABLE large (x)", "INSERT INTO large VALUES (zeroblob(1000000))", "DROP TABLE large")
    before = dump(db)
    assert ok("db", "backup", "copy.db") == "copy.db\n"
    assert dump(tmp_path / "copy.db") == dump(db) == before
    assert ok("db", "doctor", "--db", "copy.db") == "copy.db is in order\n"
    assert names(tmp_path) == ["copy.db", *own_files(db)]
    if not isinstance(db, Path):
        return
    assert (tmp_path / "copy.db").stat().st_size < db.stat().st_size
    for pragma in ("application_id", "user_version", "journal_mode", "auto_vacuum"):
        assert sql(tmp_path / "copy.db", f"PRAGMA {pragma}") == sql(db, f"PRAGMA {pragma}")


def test_a_copy_to_share_has_the_weights_of_each_recipes_best_seed_in_validation(registry, db, tmp_path):
    trained = [
        train(registry, make_recipe(arch, "sgd", seed=seed))
        for arch, seed in (("fc", 0), ("fc", 1), ("fc", 2), ("cnn", 0))
    ]
    accuracies = (0.9, 0.95, 0.95, 0.1)  # of two that are equal, the first
    for run_id, accuracy in zip(trained, accuracies, strict=True):
        sql(
            db,
            f"UPDATE trainings SET validation_accuracy = {accuracy}, test_accuracy = 1 - {accuracy} "
            f"WHERE id = '{run_id}'",
        )
    before = dump(db)
    for which, kept in (("best", [trained[1], trained[3]]), ("none", []), ("all", trained)):
        ok("db", "backup", f"{which}.db", "--weights", which)
        copy = tmp_path / f"{which}.db"
        assert [row[0] for row in sql(copy, "SELECT id FROM weights JOIN runs ON run_key = key ORDER BY key")] == kept
        rest = {table: rows for table, rows in dump(copy).items() if table != "weights"}
        assert rest == {table: rows for table, rows in before.items() if table != "weights"}
    assert "left out the weights of 2 runs" in kws("db", "backup", "again.db", "--weights", "best").stderr
    assert dump(db) == before


def test_copies_that_are_made_while_a_thread_writes_are_whole(registry, db, tmp_path):
    stop, epochs = threading.Event(), make_epochs(400)
    run_ids = [start(registry), start(registry)]

    def write():
        for epoch in epochs:
            for run_id in run_ids:
                registry.record(run_id, epoch, bytes(20_000))
            if stop.is_set():
                return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(4):
            maintenance.back_up(db, tmp_path / f"{number}.db")
    finally:
        stop.set()
        thread.join()
    seen = []
    for number in range(4):
        with Registry(tmp_path / f"{number}.db") as copy:
            assert sql(copy.path, "PRAGMA integrity_check") == [("ok",)]
            for run in copy.runs():
                assert [epoch.epoch for epoch in copy.epochs(run.id)] == [*range(1, run.epochs_done + 1)]
                assert run.epochs_done == 0 or copy.checkpoint(run.id).epoch == run.epochs_done
            done = [run.epochs_done for run in copy.runs()]
            assert done[0] - done[1] in (0, 1)
            seen.append(done)
    assert seen == sorted(seen)
    assert names(tmp_path) == ["0.db", "1.db", "2.db", "3.db", *(n for n in names(tmp_path) if n.startswith("exp"))]


def test_a_copy_never_takes_the_place_of_a_file(runs, db, tmp_path):
    (tmp_path / "mine.db").write_text("mine")
    (tmp_path / "dangling.db").symlink_to(tmp_path / "nowhere.db")
    for name in ("mine.db", "dangling.db", *own_files(db)):
        assert f"{name} is already there; give a name that is free" in refused("db", "backup", name)
    assert (tmp_path / "mine.db").read_text() == "mine"
    assert names(tmp_path) == sorted(["dangling.db", *own_files(db), "mine.db"])


@pytest.mark.parametrize("to", ["no folder/copy.db", "file/copy.db", f"{'x' * 300}.db"])
def test_a_copy_that_cannot_be_written_is_told_by_its_own_name_and_leaves_nothing(runs, db, tmp_path, to):
    before = dump(db)
    (tmp_path / "file").touch()
    assert to in refused("db", "backup", to)
    assert names(tmp_path) == sorted([*own_files(db), "file"])
    assert dump(db) == before


def test_a_copy_that_fails_at_its_end_leaves_nothing(runs, db, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(RegistryError, match=r"copy\.db cannot be written \(No space left on device\)"):
        maintenance.back_up(db, tmp_path / "copy.db")
    assert names(tmp_path) == own_files(db)


# Numbers, tags and notes


def test_info_counts_what_is_there(registry, db):
    for _ in range(3):
        train(registry)
    for run_id in (train(registry), cut_off(registry)):
        registry.delete(run_id)
    cut_off(registry)
    start(registry)
    lost = start(registry)
    sql(db, "UPDATE sessions SET process_started = 'earlier' WHERE run_key = (SELECT max(key) FROM runs)")
    assert registry.run("last").id == lost
    info = ok_json("db", "info")
    assert info["runs"] == {"running": 1, "finished": 3, "failed": 0, "interrupted": 1, "lost": 1}
    assert (info["deleted_runs"], info["registry_schema"], info["path"]) == (2, SCHEMA_VERSION, str(db))
    there = {"runs" if table == "trainings" else table: len(rows) for table, rows in dump(db).items()}
    assert info["rows"] == {table: count for table, count in there.items() if table in info["rows"]}
    assert (info["rows"]["runs"], info["rows"]["epochs"], info["rows"]["checkpoints"]) == (8, 14, 2)
    if isinstance(db, Path):
        with closing(Database(db, create=False)) as database, database.untransacted() as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        assert info["bytes"] == db.stat().st_size
    else:
        assert (info["bytes"] > 100_000, info["bytes_free"]) == (True, None)
    shown = ok("db", "info")
    assert "1 running, 3 finished, 1 interrupted, 1 lost; 2 deleted" in shown


@pytest.mark.sqlite_file
def test_info_tells_how_much_is_free(registry, db):
    run_id = cut_off(registry, checkpoint=bytes(500_000))
    sql(db, "DELETE FROM checkpoints")
    info = ok_json("db", "info")
    assert 450_000 < info["bytes_free"] < info["bytes"]
    assert (info["rows"]["checkpoints"], registry.checkpoint(run_id)) == (0, None)


def test_tags_are_given_once_and_taken_away(registry):
    run_id, other = train(registry), train(registry)
    assert ok("runs", "tag", run_id, "paper", "æ ø", "paper") == f"{run_id}: paper, æ ø\n"
    assert ok("runs", "tag", run_id, "draft", "paper") == f"{run_id}: draft, paper, æ ø\n"
    assert ok_json("runs", "show", run_id)["tags"] == ["draft", "paper", "æ ø"]
    assert "#draft #paper" in ok("runs", "list")
    assert registry.run(other).tags == ()
    assert ok("runs", "tag", run_id[:5], "--remove", "paper", "never given") == f"{run_id}: draft, æ ø\n"
    assert ok("runs", "tag", run_id, "draft", "æ ø", "--remove") == f"{run_id}: no tags\n"
    assert "there is no run 'zzzz'" in refused("runs", "tag", "zzzz", "paper")


def test_a_note_takes_the_place_of_the_last_one(registry):
    run_id, other = train(registry), train(registry)
    for note, kept in (("50 % [bold]", "50 % [bold]"), ("another", "another"), ("", None)):
        assert ok("runs", "note", run_id, note) == ""
        assert ok_json("runs", "show", run_id)["note"] == kept
    assert registry.run(other).note is None


def test_a_deleted_run_is_in_no_list_and_no_table_and_is_not_the_last(registry, db, tmp_path):
    kept, gone = train(registry, make_recipe(seed=0)), train(registry, make_recipe(seed=1))
    whole = dump(db)
    assert ok("runs", "delete", gone[:6]) == f"{gone} deleted; kws runs restore {gone} brings it back\n"
    assert [run["run"] for run in ok_json("runs", "list")["runs"]] == [kept]
    assert [run["run"] for run in ok_json("runs", "list", "--where", "1 = 1")["runs"]] == [kept]
    assert gone not in ok("runs", "list")
    assert gone not in ok("compare", "--format", "json")
    assert ok_json("runs", "show", "last")["run"] == kept
    for command in (["runs", "show"], ["eval"], ["rerun"], ["train", "--resume"], ["runs", "delete"]):
        assert f"there is no run '{gone}'" in refused(*command, gone)
    for command in (["runs", "tag", gone, "x"], ["runs", "note", gone, "x"], ["runs", "export", gone, "x.db"]):
        assert f"there is no run '{gone}'" in refused(*command)
    assert names(tmp_path) == sorted(name + ending for name in own_files(db) for ending in ("", "-shm", "-wal"))
    (listed,) = ok_json("runs", "list", "--deleted")["runs"]
    assert (listed["run"], bool(listed["deleted_at"])) == (gone, True)
    assert f"there is no deleted run '{kept}'" in refused("runs", "restore", kept)
    assert ok("runs", "restore", gone) == f"{gone} restored\n"
    assert dump(db) == whole
    assert ok_json("runs", "show", "last")["run"] == gone


def test_several_runs_are_deleted_together_or_none_is(registry, db):
    first, second, third = (train(registry) for _ in range(3))
    before = dump(db)
    assert "there is no run 'zzzz'" in refused("runs", "delete", first, "zzzz")
    assert dump(db) == before
    ok("runs", "delete", first, third, first)
    assert [run.id for run in registry.runs()] == [second]
    assert ok("runs", "restore", "last", first).splitlines() == [f"{third} restored", f"{first} restored"]


def test_a_run_that_is_still_running_is_not_deleted(registry, db):
    running = start(registry)
    before = dump(db)
    assert f"run {running} is still running; stop it first" in refused("runs", "delete", running)
    assert dump(db) == before
    sql(db, "UPDATE sessions SET process_started = 'earlier'")
    ok("runs", "delete", running)
    assert registry.runs() == []


def test_a_purge_removes_all_of_a_run_and_the_data_that_nobody_needs_and_gives_space_back(db, tmp_path):
    ours, theirs, answered = make_card("ours"), make_card("theirs"), make_card("answered")
    with Registry(db, create=True) as registry:
        kept = train(registry, card=ours)
        registry.keep_evaluation(kept, make_evaluation(answered), answered)
        before = dump(db)
        gone = [train(registry, card=theirs), cut_off(registry, checkpoint=bytes(range(256)) * 4_000)]
        registry.tag(gone[0], ["x"])
        for run_id in gone:
            registry.delete(run_id)
    size = db.stat().st_size if isinstance(db, Path) else None
    said = ok("runs", "purge")
    assert said.startswith("2 runs purged, 1." if size else "2 runs purged, ")
    assert said.endswith(" MB freed\n")
    left = dump(db)
    looks = left.pop("tests"), before.pop("tests")
    assert left == before
    assert set(looks[0]) > set(looks[1])  # what was looked at, was
    if size:
        assert db.stat().st_size < size - 1_000_000
        assert sql(db, "PRAGMA foreign_key_check") == []
    assert ok("runs", "purge") == "0 runs purged, 0.0 MB freed\n"
    assert "there is no deleted run" in refused("runs", "restore", gone[0])
    assert dump(db) | {"tests": []} == before | {"tests": []}


def test_only_deleted_runs_are_purged_and_of_them_those_that_are_named(registry, db):
    first, second, third = (train(registry) for _ in range(3))
    ok("runs", "delete", first, second)
    assert f"there is no deleted run '{third}'" in refused("runs", "purge", first, third)
    assert len(sql(db, "SELECT id FROM runs")) == 3
    assert ok("runs", "purge", second[:7]).startswith("1 run purged")
    assert sql(db, "SELECT id FROM runs ORDER BY key") == [(first,), (third,)]


def test_a_run_that_is_named_twice_is_purged_once(registry, db):
    run_id = train(registry)
    ok("runs", "delete", run_id)
    assert ok("runs", "purge", run_id, "last").startswith("1 run purged")
    assert sql(db, "SELECT id FROM runs") == []


@pytest.mark.sqlite_file
def test_a_registry_that_may_only_be_read_is_copied_and_not_changed(runs, db, tmp_path, monkeypatch):
    content, real = db.read_bytes(), os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and real(path, mode))
    maintenance.back_up(db, tmp_path / "copy.db")
    for command in (["runs", "delete", runs[0]], ["runs", "tag", runs[0], "x"], ["runs", "purge"]):
        assert f"{db} cannot be written" in refused(*command)
    assert db.read_bytes() == content
    monkeypatch.undo()
    assert dump(tmp_path / "copy.db") == dump(db)


def test_what_differs_between_two_runs_is_told_and_what_does_not(registry, db):
    first = train(registry, make_recipe("cnn", "adam", seed=0, maps=(8, 4)))
    second = train(registry, make_recipe("cnn", "sgd", seed=0), make_card("other clips"), wrong=3)
    sql(db, "UPDATE trainings SET torch_version = '9.9' WHERE id = ?", values=(second,))
    told = ok_json("runs", "diff", first[:6], "last")
    assert told["runs"] == [first, second]
    differ = told["differ"]
    assert (differ["opt"], differ["momentum"]) == (["adam", "sgd"], [None, 0.9])
    assert (differ["channels"], differ["test_accuracy"]) == ([[8, 4], [32, 16]], [5 / 6, 0.5])
    assert (differ["torch_version"], differ["learning_rate"]) == (["2.13.0", "9.9"], [0.001, 0.01])
    assert {"data_fingerprint"} <= set(differ)
    assert {"arch", "seed", "batch_size", "cpu", "git_commit"} <= set(told["same"])
    assert not set(differ) & set(told["same"])
    shown = ok("runs", "diff", first, second)
    assert all(word in shown for word in (first, second, "torch_version", "9.9", "the same: "))
    itself = ok_json("runs", "diff", first, first)
    assert (itself["differ"], set(itself["same"])) == (
        {}, (set(differ) | set(told["same"])) - {"momentum", "nesterov"}
    )  # fmt: skip
    assert "there is no run 'zzzz'" in refused("runs", "diff", first, "zzzz")


def test_the_same_clips_under_another_name_rename_nothing(registry, db):
    card = make_card("first name")
    run = train(registry, card=card)
    renamed = dataclasses.replace(card, source="another name")
    registry.keep_evaluation(run, make_evaluation(renamed, "validation"), renamed)
    train(registry, card=renamed)
    assert {run.data_source for run in registry.runs()} == {"first name"}
    assert "another name" not in ok("compare")


def test_a_manifest_is_added_to_a_data_set_that_an_older_registry_has_without(registry):
    card = make_card()
    run = train(registry, card=card)
    assert registry.speakers(card.fingerprint, "test") is None
    whole = with_manifests(card)
    registry.keep_evaluation(run, make_evaluation(whole, "validation"), whole)
    for split in SPLITS:
        assert registry.manifest(card.fingerprint, split) == whole.manifests[split]
    assert registry.speakers(card.fingerprint, "test") == whole.manifests["test"].speakers


# Disks that are full


@pytest.mark.sqlite_file
@pytest.mark.parametrize(
    "command", [["backup", "copy.db"], ["backup", "copy.db", "--weights", "none"], ["doctor", "--fix"]]
)
def test_a_copy_that_cannot_grow_is_named_and_nothing_of_it_is_left(runs, db, tmp_path, command):
    sql(db, "UPDATE trainings SET epochs_done = 7 WHERE key = 1")
    before = names(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (db.stat().st_size // 2, hard))
    try:
        result = kws("db", *command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert result.exit_code == 1
    *_, told = result.stderr.splitlines()
    assert f"{'copy' if command[0] == 'backup' else f'{db.stem}.before-fix'}.db " in told
    assert names(tmp_path) == before
