"""Opening a registry: a file that is none is told in one sentence; where it may lie, and who else opens it."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from commands import sql
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ledger import (
    WEIGHTS,
    make_card,
    make_epochs,
    make_recipe,
    make_registry,
    start,
    train,
)

from kws.errors import KwsError, RegistryError
from kws.registry import ids, sqlite, tables
from kws.registry.opening import is_new
from kws.registry.reader import RegistryReader
from kws.registry.runs import RUNNING
from kws.registry.store import Registry

fork = multiprocessing.get_context("fork")


def refusal(db: Path, *, create: bool) -> str:
    """The one sentence with which a file is refused, when it is opened or first read."""
    with pytest.raises(RegistryError) as refused, Registry(db, create=create) as registry:
        registry.runs()
    message = str(refused.value)
    assert str(db) in message
    assert "\n" not in message
    return message


# Files that are no registry


@pytest.mark.sqlite_file
def test_a_missing_file_is_told_when_it_is_read_and_made_when_it_is_written(db):
    assert "there is no registry" in refusal(db, create=False)
    assert not db.exists()
    with Registry(db, create=True) as registry:
        assert registry.runs() == []


@pytest.mark.sqlite_file
def test_a_file_that_is_removed_while_it_is_opened_is_not_made_anew(db, monkeypatch):
    make_registry(db)
    real = sqlite.is_new_file

    def is_removed_after(path):
        found = real(path)
        path.unlink()
        return found

    monkeypatch.setattr(sqlite, "is_new_file", is_removed_after)
    with pytest.raises(RegistryError, match=r"experiments\.db"):
        RegistryReader(db)
    assert not db.exists()


@pytest.mark.sqlite_file
def test_an_empty_file_is_no_registry_yet(db):
    db.touch()
    assert "there is no registry" in refusal(db, create=False)
    make_registry(db, [make_recipe()])
    with Registry(db) as registry:
        assert len(registry.runs()) == 1


@pytest.mark.sqlite_file
@pytest.mark.parametrize("create", [False, True])
def test_a_missing_folder_is_told(tmp_path, create):
    assert "does not exist" in refusal(tmp_path / "no folder" / "runs.db", create=create)
    assert not (tmp_path / "no folder").exists()


@pytest.mark.sqlite_file
@pytest.mark.parametrize("create", [False, True])
def test_a_folder_is_told(tmp_path, create):
    (tmp_path / "something").touch()
    assert "is a folder" in refusal(tmp_path, create=create)


@pytest.mark.sqlite_file
@pytest.mark.parametrize("create", [False, True])
def test_a_file_in_the_place_of_a_folder_is_told(tmp_path, create):
    (tmp_path / "file").write_text("text")
    refusal(tmp_path / "file" / "runs.db", create=create)


@pytest.mark.sqlite_file
@pytest.mark.parametrize("create", [False, True])
def test_a_name_that_is_too_long_for_a_file_is_told(tmp_path, create):
    refusal(tmp_path / ("x" * 300), create=create)


@pytest.mark.sqlite_file
@pytest.mark.parametrize("create", [False, True])
@pytest.mark.parametrize("content", [b"x", b"text " * 1_000, b"SQLite format 3\0", b"SQLite format 3\0" * 99])
def test_a_file_that_is_no_database_is_told_and_left_as_it_is(db, content, create):
    db.write_bytes(content)
    refusal(db, create=create)
    assert db.read_bytes() == content


@pytest.mark.sqlite_file
@pytest.mark.parametrize("create", [False, True])
def test_another_programs_database_is_told_and_left_as_it_is(db, create):
    sql(db, "CREATE TABLE runs (id TEXT)", "INSERT INTO runs VALUES ('theirs')")
    content = db.read_bytes()
    assert "not a registry of kws" in refusal(db, create=create)
    assert db.read_bytes() == content


@pytest.mark.sqlite_file
@pytest.mark.parametrize("create", [False, True])
def test_a_registry_of_a_newer_version_is_told_with_both_versions(db, create):
    make_registry(db)
    sql(db, f"PRAGMA user_version = {sqlite.SCHEMA_VERSION + 1}")
    message = refusal(db, create=create)
    assert f"schema {sqlite.SCHEMA_VERSION + 1}" in message
    assert "upgrade kws" in message


@pytest.mark.sqlite_file
@pytest.mark.parametrize("size", [20, 100, 1_000, 4_096, 10_000, -4_096])
def test_a_registry_that_was_cut_off_is_told(db, size):
    make_registry(db, [make_recipe()])
    with db.open("r+b") as file:
        file.truncate(size if size > 0 else db.stat().st_size + size)
    refusal(db, create=False)


@pytest.mark.sqlite_file
def test_a_place_that_cannot_be_written_is_told_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(RegistryError, match="cannot be written"):
        is_new(tmp_path / "runs.db")


def test_weights_that_were_changed_are_told(registry, db):
    run_id = train(registry)
    damaged = bytes([WEIGHTS[0] ^ 1]) + WEIGHTS[1:]
    sql(db, "UPDATE weights SET safetensors = ?", values=(damaged,))
    with pytest.raises(RegistryError, match=f"{run_id}.*{db.name}.*damaged"):
        registry.weights(run_id)


@pytest.mark.parametrize("column", ["evaluations.predictions", "splits.labels"])
def test_answers_and_labels_that_were_changed_are_told(registry, db, column):
    run_id = train(registry)
    table, name = column.split(".")
    sql(db, f"UPDATE {table} SET {name} = ?", values=(b"not what zlib makes",))
    with pytest.raises(RegistryError, match=db.name):
        registry.evaluations(run_id)


@pytest.mark.parametrize("where", ["data", "name", "source"])
def test_a_folder_whose_name_is_not_utf_8_is_kept_or_refused_in_a_sentence(registry, where):
    name = os.fsdecode(b"caf\xe9")
    recipe = make_recipe(data=name) if where == "data" else make_recipe()
    card = make_card(name) if where == "source" else make_card()
    try:
        start(registry, recipe, card, name=name if where == "name" else None)
    except KwsError as error:
        assert "\n" not in str(error)
    else:
        assert len(registry.runs()) == 1


# Where the file lies


@pytest.mark.sqlite_file
@pytest.mark.parametrize(
    "name",
    [
        *("with space.db", "a#b.db", "what?.db", "a?timeout=soon.db", "50%.db", "a%20b.db", "a&b=c;d.db"),
        *("æøå 語 🎤.db", ":memory:"),
    ],
)
def test_the_path_may_hold_any_letters(tmp_path, name):
    for db in (tmp_path / f"in {name}" / name, Path(name)):  # the second in the current folder, tmp_path
        db.parent.mkdir(exist_ok=True)
        made = make_registry(db, [make_recipe()])
        assert db.is_file()
        with Registry(db) as registry:
            assert [run.id for run in registry.runs()] == made
        assert ids.beginning_with(db, "") == made


@pytest.mark.sqlite_file
@settings(max_examples=10, deadline=None)
@given(st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=20))
@example("?mode=memory")
def test_any_file_name_will_do(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("any")
    db = folder / f"x{name}"
    with Registry(db, create=True) as registry:
        run_id = start(registry)
    assert [entry.name for entry in folder.iterdir()] == [f"x{name}"]
    assert ids.beginning_with(db, "") == [run_id]


@pytest.mark.sqlite_file
def test_a_closed_registry_is_one_file_that_can_be_copied(tmp_path, db):
    made = make_registry(db, [make_recipe()])
    assert [entry.name for entry in tmp_path.iterdir()] == [db.name]
    shutil.copy(db, tmp_path / "copy.db")
    with Registry(tmp_path / "copy.db") as registry:
        assert registry.run("last").id == made[0]
        assert registry.weights(made[0]) == WEIGHTS


@pytest.fixture
def nothing_is_writable(monkeypatch):
    """As it is for a user who may only read; holds for root too."""
    real = os.access
    return lambda: monkeypatch.setattr(os, "access", lambda db, mode: not mode & os.W_OK and real(db, mode))


@pytest.mark.sqlite_file
def test_a_registry_that_may_only_be_read_is_read_and_not_touched(tmp_path, db, nothing_is_writable):
    made = make_registry(db, [make_recipe()])
    content = db.read_bytes()
    nothing_is_writable()
    with Registry(db, create=True) as registry:
        assert [run.id for run in registry.runs()] == made
        assert registry.weights(made[0]) == WEIGHTS
        with pytest.raises(RegistryError, match="cannot be written") as refused:
            start(registry)
        assert str(db) in str(refused.value)
    assert [entry.name for entry in tmp_path.iterdir()] == [db.name]
    assert db.read_bytes() == content


@pytest.mark.sqlite_file
def test_a_reader_who_may_not_write_sees_what_a_writer_has_just_recorded(registry, db, nothing_is_writable):
    run_id = start(registry)
    registry.record(run_id, make_epochs(1)[0])
    nothing_is_writable()
    with Registry(db) as reader:
        assert [run.epochs_done for run in reader.runs()] == [1]


# Several processes at once


def opens(db: Path, barrier, failures) -> None:
    barrier.wait()
    try:
        with Registry(db, create=True) as registry:
            registry.runs()
    except BaseException as error:
        failures.put(repr(error))
        raise


def test_six_processes_that_open_a_new_registry_at_once_all_succeed(place):
    failures = fork.SimpleQueue()
    for attempt in range(3):
        barrier = fork.Barrier(6)
        db = place(f"{attempt}.db")
        processes = [fork.Process(target=opens, args=(db, barrier, failures)) for _ in range(6)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(30)
        assert [process.exitcode for process in processes] == [0] * 6, failures.get()
        with Registry(db) as registry:
            assert registry.runs() == []


def test_six_threads_that_open_a_new_registry_at_once_all_succeed(db):
    barrier, failures = threading.Barrier(6), fork.SimpleQueue()
    threads = [threading.Thread(target=opens, args=(db, barrier, failures)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures.empty(), failures.get()


@pytest.mark.sqlite_file
def test_opening_a_new_file_waits_for_another_process_that_is_making_it(db):
    with closing(sqlite3.connect(db, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        done = threading.Timer(0.1, lambda: other.execute("ROLLBACK"))
        done.start()
        try:
            with Registry(db, create=True) as registry:
                assert registry.runs() == []
        finally:
            done.join()


@pytest.mark.sqlite_file
def test_a_new_file_that_another_program_keeps_locked_is_told(db, monkeypatch):
    monkeypatch.setattr("kws.registry.files.BUSY_SECONDS", 0.05)
    with closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "locked by another program" in refusal(db, create=True)


@pytest.mark.sqlite_file
def test_a_file_whose_making_was_cut_short_is_made_by_the_next(db):
    # The first thing a new registry does is to switch on write-ahead logging, which writes the file's first page.
    # Another process, or the next one after a loss of power, finds a database without tables.
    sql(db, "PRAGMA journal_mode = WAL")
    assert db.stat().st_size > 0
    with Registry(db, create=True) as registry:
        assert registry.runs() == []


def records_epochs(db: Path, count: int) -> None:
    with Registry(db) as registry:
        run_id = start(registry)
        for epoch in make_epochs(count):
            registry.record(run_id, epoch)


def test_four_writers_beside_a_reader_lose_nothing(db):
    make_registry(db)
    count = 12
    writers = [fork.Process(target=records_epochs, args=(db, count)) for _ in range(4)]
    for writer in writers:
        writer.start()
    seen = [0]
    with Registry(db) as reader:
        while any(writer.is_alive() for writer in writers):
            seen.append(sum(run.epochs_done for run in reader.runs()))
        for writer in writers:
            writer.join(30)
        runs = reader.runs()
        assert [writer.exitcode for writer in writers] == [0] * 4
        assert [run.epochs_done for run in runs] == [count] * 4
        assert len({run.id for run in runs}) == 4
        assert all(len(reader.epochs(run.id)) == count for run in runs)
    assert seen == sorted(seen)


@pytest.mark.sqlite_file
def test_a_registry_that_another_program_keeps_locked_is_told(db, monkeypatch):
    monkeypatch.setattr("kws.registry.files.BUSY_SECONDS", 0.05)
    make_registry(db)
    with Registry(db) as registry, closing(sqlite3.connect(db, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert registry.runs() == []
        with pytest.raises(RegistryError, match="locked by another program") as refused:
            start(registry)
        assert str(db) in str(refused.value)
        other.execute("ROLLBACK")
        assert registry.run(start(registry)).status == RUNNING


@pytest.mark.sqlite_file
def test_the_schema_that_a_registry_is_made_with_is_that_of_the_tables():
    assert sqlite.SCHEMA.read_text() == tables.schema(), "run `make readme`"
    for_servers = sqlite.SCHEMA.with_name("schema_postgresql.sql")
    assert for_servers.read_text() == tables.schema("postgresql"), "run `make readme`"


class Signalled:
    """A connection during whose first BEGIN a signal comes, which Python raises once the statement is done."""

    def __init__(self, connection) -> None:
        self.connection, self.came = connection, False

    def __getattr__(self, name):
        return getattr(self.connection, name)

    def execute(self, statement, *values, **options):
        done = self.connection.execute(statement, *values, **options)
        if str(statement).startswith("BEGIN") and not self.came:
            self.came = True
            raise KeyboardInterrupt
        return done


@pytest.mark.parametrize("reads", [False, True])
def test_a_signal_at_the_beginning_of_a_transaction_leaves_none_open(registry, monkeypatch, reads):
    database = registry.database
    name = "_raw" if hasattr(database, "_raw") else "_connection"
    monkeypatch.setattr(database, name, Signalled(getattr(database, name)))
    use = registry.runs if reads else lambda: registry.keep_card(make_card())
    with pytest.raises(KeyboardInterrupt):
        use()
    use()
    assert registry.runs() == []
