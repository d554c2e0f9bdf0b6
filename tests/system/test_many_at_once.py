"""Many processes that use one registry file at once, with checkpoints between their commits: none is refused."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from at_once import at_once, fork
from ledger import make_card, make_epochs, make_recipe, make_registry, make_wanted, start

from kws.registry import wal
from kws.registry.claims import Claimer
from kws.registry.files import File
from kws.registry.reader import RegistryReader
from kws.registry.sqlite import Database
from kws.registry.store import Registry

pytestmark = pytest.mark.sqlite_file
CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"


def checkpoints(db: Path, told) -> None:
    with closing(sqlite3.connect(db)) as connection:
        told.put(tuple(connection.execute(CHECKPOINT).fetchone()))


def asked(act, *arguments):
    """What another process tells."""
    told = fork.Queue()
    process = fork.Process(target=act, args=(*arguments, told))
    process.start()
    found = told.get(timeout=30)
    process.join(30)
    return found


def claims(db: Path, seed: int, together, told) -> None:
    with Claimer(db) as registry:
        together.wait(60)
        run_id = registry.claim(make_wanted(make_recipe(seed=seed), make_card())).run
        for epoch in make_epochs(3, iterations=4_000):  # long enough for a checkpoint after each
            registry.record(run_id, epoch)
    told.put(run_id)


def test_processes_that_begin_at_once_all_get_their_runs(db):
    """Nearly each of their commits is followed by a checkpoint, while the others wait for the lock."""
    make_registry(db, [])
    told = at_once(claims, [(db, seed) for seed in range(30)])
    with RegistryReader(db) as registry:
        assert sorted(run.id for run in registry.runs()) == sorted(told)
        assert {run.epochs_done for run in registry.runs()} == {3}


def test_no_checkpoint_comes_between_what_a_commit_tells_of_the_file_and_its_end(db):
    """Its commit would begin the log anew, and tell of the file as it was before."""
    make_registry(db, [])
    with Registry(db) as registry:
        run_id = start(registry, make_recipe(seed=7))
        with registry.database.writing() as connection:
            connection.execute("UPDATE trainings SET note = 'late'")
            busy, *_ = asked(checkpoints, db)
        assert busy
        assert asked(checkpoints, db)[0] == 0
        registry.record(run_id, make_epochs(1)[0])
        assert asked(sees, db) == [run_id]


def sees(db: Path, told) -> None:
    with RegistryReader(db) as registry:
        told.put([run.id for run in registry.runs()])


def test_nor_does_one_of_another_thread(db):
    """Locks of a file are a process's: they keep its own threads from nothing."""
    make_registry(db, [])
    with Registry(db) as registry, Registry(db) as other:
        start(registry, make_recipe(seed=7))
        thread = threading.Thread(target=other.database._connection.write_log)
        with registry.database.writing() as connection:
            connection.execute("UPDATE trainings SET note = 'late'")
            thread.start()
            thread.join(0.2)
            assert thread.is_alive()
            assert not asked(may_checkpoint, Path(f"{db}-shm"))
        thread.join(30)
        assert asked(may_checkpoint, Path(f"{db}-shm"))


def may_checkpoint(index: Path, told) -> None:
    with index.open("rb+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 121)  # as SQLite does
            told.put(True)
        except OSError:
            told.put(False)


def holds_the_lock(index: Path, held, done) -> None:
    with index.open("rb+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX, 1, 121)
        held.set()
        done.wait(30)


def test_who_must_not_be_disturbed_waits_for_a_checkpoint_but_not_for_ever(tmp_path):
    index = tmp_path / "runs.db-shm"
    index.touch()
    held, done = fork.Event(), fork.Event()
    process = fork.Process(target=holds_the_lock, args=(index, held, done))
    process.start()
    assert held.wait(30)
    with index.open("rb") as file:
        begun = time.monotonic()
        with wal.no_checkpoint(file.fileno(), 0.2):
            assert time.monotonic() - begun >= 0.2
        threading.Timer(0.2, done.set).start()
        with wal.no_checkpoint(file.fileno(), 30):
            assert done.is_set() and not asked(may_checkpoint, index)
        assert asked(may_checkpoint, index)
    process.join(30)


def test_of_those_who_write_after_a_checkpoint_one_reads_the_log(db, monkeypatch):
    """With 64 processes each would read a thousand pages after each checkpoint, while none of the others may write."""
    read = list[File]()
    has_its_log = File.has_its_log
    make_registry(db, [])
    with Registry(db) as one, Registry(db) as two, Registry(db) as three:
        runs = {start(each, make_recipe(seed=seed)): each for seed, each in enumerate((one, two, three))}
        monkeypatch.setattr(File, "has_its_log", lambda file: read.append(file) or has_its_log(file))
        monkeypatch.setattr(Database, "_follow", lambda *_, writing: None)  # as if all had looked before it
        for epoch in make_epochs(3):
            assert asked(checkpoints, db)[0] == 0
            read.clear()
            for run_id, registry in runs.items():
                registry.record(run_id, epoch)
            assert len(read) == 1


def is_in_use(db: Path, told) -> None:
    told.put(wal._user(db))


def test_who_closes_a_file_does_not_drop_the_locks_of_another_thread_that_is_just_opening_it(db, monkeypatch):
    """SQLite has its locks on the -shm before we know of them, and closing any descriptor of it drops them."""
    make_registry(db, [make_recipe()])
    bind = File.bind
    first = Registry(db)

    def binds_late(file: File) -> None:
        if file is not first.database._connection and closing_it.ident is None:
            closing_it.start()
            closing_it.join(30)
        bind(file)

    closing_it = threading.Thread(target=first.database.close)
    monkeypatch.setattr(File, "bind", binds_late)
    with RegistryReader(db) as registry:
        assert not closing_it.is_alive()
        assert asked(is_in_use, db) == (f"process {os.getpid()}", True)
        assert len(registry.runs()) == 1
    assert asked(is_in_use, db) == ("", False)
