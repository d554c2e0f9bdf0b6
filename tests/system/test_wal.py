"""A log beside a registry is used only where it is its own: after a kill, but not after another file came."""

from __future__ import annotations

import multiprocessing
import multiprocessing.synchronize
import os
import shutil
import sqlite3
import struct
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import kws, ok_json, refused
from ledger import make_card, make_epochs, make_evaluation, make_recipe, make_registry, start, train

from kws.errors import RegistryError
from kws.registry import descriptors, files, wal
from kws.registry.maintenance import purge
from kws.registry.reader import RegistryReader
from kws.registry.store import Registry

fork = multiprocessing.get_context("fork")
CARD = make_card()
pytestmark = pytest.mark.sqlite_file


def log_of(db: Path) -> Path:
    return Path(f"{db}-wal")


def in_a_child(act, *arguments, check: bool = True) -> None:
    child = fork.Process(target=act, args=arguments)
    child.start()
    child.join(30)
    assert not check or child.exitcode == 0


def is_killed_in_training(db: Path, epochs: int = 3) -> None:
    registry = Registry(db, create=True)
    run_id = start(registry, make_recipe(seed=7))
    for epoch in make_epochs(epochs):
        registry.record(run_id, epoch)
    os._exit(0)  # as by SIGKILL: nothing is closed


def shift(path: Path, seconds: float) -> None:
    """Let a file have been written so much later."""
    about = path.stat()
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + int(seconds * 1e9)))


def seeds(db: Path) -> list[int]:
    with RegistryReader(db) as registry:
        return sorted(run.recipe.seed for run in registry.runs())


@pytest.fixture
def killed(db: Path) -> Path:
    """A registry with a finished run of seed 0, and one of seed 7 that was killed; beside it is as it was before."""
    make_registry(db, [make_recipe(seed=0)])
    shutil.copy2(db, "before.db")
    in_a_child(is_killed_in_training, db)
    assert log_of(db).stat().st_size
    return db


def put(content: Path | str, db: Path, later: float = 1.0) -> None:
    """As git, mv or a sync client do: another file under the name, written so much later than the log."""
    new = db.with_name("incoming")
    shutil.copy(content, new)
    os.utime(new, ns=(0, log_of(db).stat().st_mtime_ns + int(later * 1e9)))
    new.replace(db)


def test_a_killed_runs_log_is_its_registrys_own(killed):
    assert seeds(killed) == [0, 7]
    (run,) = ok_json("runs", "list", "--where", "seed = 7")["runs"]
    assert (run["status"], run["epochs"]) == ("lost", 3)


def test_after_git_checkout_of_the_file_a_killed_runs_log_is_refused_and_nothing_is_touched(killed):
    put("before.db", killed)
    before = killed.read_bytes(), log_of(killed).read_bytes()
    for command in (
        ["runs", "list"],
        ["compare"],
        ["db", "doctor"],
        ["db", "backup", "copy.db"],
        ["runs", "tag", "last", "x"],
    ):
        assert f"{log_of(killed)} is not of this {killed.name}" in refused(*command)
    assert (killed.read_bytes(), log_of(killed).read_bytes()) == before
    told = refused("runs", "list")
    assert f"mv {log_of(killed)} {log_of(killed)}.old" in told
    log_of(killed).rename(f"{log_of(killed)}.old")
    assert seeds(killed) == [0]


def test_who_knows_better_says_so_by_touch(killed):
    shift(killed, 5.0)  # somebody has touched the file itself
    assert "touch" in refused("runs", "list")
    shift(log_of(killed), 6.0)
    assert seeds(killed) == [0, 7]


def test_another_registry_with_an_older_time_is_not_mixed_with_the_log(killed, tmp_path):
    with Registry(tmp_path / "other.db", create=True) as other:
        for seed in range(20, 60):
            train(other, make_recipe(seed=seed))
    put("other.db", killed, later=-1000.0)
    refused("runs", "list")


@pytest.mark.parametrize("later", [-1000.0, 1000.0])
def test_a_database_with_pages_of_another_size_is_not_either(killed, later):
    with closing(sqlite3.connect("small.db")) as other:
        other.executescript("PRAGMA page_size = 1024; CREATE TABLE x (y)")
    put("small.db", killed, later=later)
    assert f"{log_of(killed)} is not of this" in refused("runs", "list")


def test_a_file_moved_there_with_an_older_time_is_told_by_when_it_was_moved(killed, monkeypatch):
    put("before.db", killed, later=-1000.0)
    refused("runs", "list")


def test_a_registry_that_is_moved_or_copied_with_its_log_takes_it_along(killed, tmp_path):
    for make in (shutil.copy, shutil.copy2, os.rename):
        folder = tmp_path / make.__name__
        folder.mkdir()
        for ending in ("", "-wal"):
            make(f"{killed}{ending}", folder / f"moved.db{ending}")
        assert seeds(folder / "moved.db") == [0, 7]


def test_one_that_is_copied_with_its_log_within_one_tick_of_the_file_systems_clock_takes_it_along(killed, monkeypatch):
    """Such as Linux's before 6.13, whose clock ticks every 4 ms."""
    monkeypatch.setattr(wal, "_is_newer", lambda *_: None)
    for ending in ("", "-wal"):
        shutil.copy(f"{killed}{ending}", f"copy.db{ending}")
    assert seeds(Path("copy.db")) == [0, 7]


def pages_in(log: bytes) -> dict[int, bytes]:
    """The last image of each page in a log whose commits are all whole."""
    size = struct.unpack(">I", log[8:12])[0]
    return {
        struct.unpack(">I", log[at : at + 4])[0]: log[at + 24 : at + 24 + size] for at in range(32, len(log), 24 + size)
    }


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_checkpoint_that_was_cut_short_is_one_of_this_log(killed, share):
    log = log_of(killed).read_bytes()
    pages = sorted(pages_in(log).items())
    with killed.open("r+b") as file:
        for page, image in pages[: max(int(share * len(pages)), 3)]:
            file.seek((page - 1) * len(image))
            file.write(image)
    os.utime(killed, ns=(0, log_of(killed).stat().st_mtime_ns + 10**9))
    assert seeds(killed) == [0, 7]


def test_another_file_with_the_first_page_of_the_log_is_not_one_that_a_checkpoint_has_written(killed):
    """Two registries that have grown alike may well have the same one: a page of a tree, or the number of pages."""
    page, image = min(pages_in(log_of(killed).read_bytes()).items())
    with killed.open("r+b") as file:
        file.seek((page - 1) * len(image))
        file.write(image)
    os.utime(killed, ns=(0, log_of(killed).stat().st_mtime_ns + 10**9))
    refused("runs", "list")


def test_a_file_that_came_at_the_very_moment_of_the_last_commit_is_told_by_its_state(killed, tmp_path, monkeypatch):
    """The file system's clock ticks every few milliseconds."""
    make_registry(tmp_path / "other.db", [make_recipe(seed=5)])
    monkeypatch.setattr(wal, "_is_newer", lambda *_: None)
    assert seeds(killed) == [0, 7]
    in_a_child(is_killed_in_training, killed)
    shift(log_of(killed), -1.0)  # else a fast machine's last commit is in the tick of the state that the log tells of
    put(tmp_path / "other.db", killed, later=0.0)
    content = killed.read_bytes()
    with pytest.raises(RegistryError, match="is not of this"):
        RegistryReader(killed)
    assert killed.read_bytes() == content
    monkeypatch.undo()
    log = written_at(1_000)
    assert wal._is_newer(written_at(1_000), log) is None
    assert wal._is_newer(written_at(995, moved=1_000), log) is None
    assert wal._is_newer(written_at(1_001), log) is True
    assert wal._is_newer(written_at(995), log) is False


def written_at(modified_ns: int, moved: int | None = None) -> SimpleNamespace:
    return SimpleNamespace(st_mtime_ns=modified_ns, st_ctime_ns=moved or modified_ns)


def test_an_empty_or_torn_log_is_nothing(killed, tmp_path):
    for content in (b"", b"x" * 10, b"x" * 5000, log_of(killed).read_bytes()[:2000]):
        shutil.copy("before.db", tmp_path / "torn.db")
        log_of(tmp_path / "torn.db").write_bytes(content)
        shift(tmp_path / "torn.db", 5.0)
        assert seeds(tmp_path / "torn.db") == [0]


def test_a_new_registry_beside_an_old_log_is_new(killed):
    killed.unlink()
    make_registry(killed, [make_recipe(seed=9)])
    assert seeds(killed) == [9]


def trains_until_told(db: Path, ready, done) -> None:
    registry = Registry(db)
    run_id = start(registry, make_recipe(seed=8))
    registry.record(run_id, make_epochs(1)[0])
    ready.set()
    done.wait(30)
    os._exit(0)


def tries_to_open(db: Path, told) -> None:
    """In a process of its own, which has nothing open."""
    told.put(kws("runs", "list", "--db", db).stderr)


@pytest.mark.parametrize("how", ["an older copy", "a copy of now", "another registry", "nothing"])
def test_where_another_process_still_has_the_file_before_nobody_mixes_its_log_with_a_new_one(db, tmp_path, how):
    make_registry(db, [make_recipe(seed=0)])
    make_registry(tmp_path / "other.db", [make_recipe(seed=5)])
    shutil.copy(db, "before.db")
    ready, done, told = fork.Event(), fork.Event(), fork.SimpleQueue()
    trainer = fork.Process(target=trains_until_told, args=(db, ready, done))
    trainer.start()
    assert ready.wait(30)
    in_a_child(tries_to_open, db, told)
    assert told.get() == ""  # until then all can look
    if how == "nothing":
        db.unlink()
        in_a_child(lambda: told.put(kws("runs", "import", "other.db", "--db", db).stderr))
    else:
        source = {"an older copy": "before.db", "a copy of now": str(db), "another registry": "other.db"}[how]
        shutil.copy(source, "incoming")
        Path("incoming").replace(db)
        in_a_child(tries_to_open, db, told)
    try:
        assert f"process {trainer.pid} still has the registry open that was at {db} before" in told.get()
        assert db.exists() == (how != "nothing")
    finally:
        done.set()
        trainer.join()


def trains_on_behind_a_reader(db: Path, ready, done) -> None:
    """A checkpoint writes no page that was written again after the reader began: here none of the first ones."""
    registry = Registry(db)
    run_id = start(registry, make_recipe(seed=8))
    registry.record(run_id, make_epochs(1)[0])
    with closing(sqlite3.connect(db, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM trainings").fetchall()
        registry.annotate(run_id, "x" * 10_000)
        with closing(sqlite3.connect(db)) as connection:
            _, commits, written = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        assert commits > written > 0
        ready.set()
        done.wait(30)
    os._exit(0)


def test_a_checkpoint_that_a_reader_cut_off_is_one_of_this_log_while_others_train_and_after_they_are_killed(db):
    make_registry(db, [make_recipe(seed=0)])
    ready, done, told = fork.Event(), fork.Event(), fork.SimpleQueue()
    trainer = fork.Process(target=trains_on_behind_a_reader, args=(db, ready, done))
    trainer.start()
    try:
        assert ready.wait(30)
        shift(db, 1.0)  # the checkpoint took a while
        in_a_child(tries_to_open, db, told)
        assert told.get() == ""
    finally:
        done.set()
        trainer.join()
    assert seeds(db) == [0, 8]


def test_a_file_that_was_written_over_while_another_process_has_it_open_is_not_mixed_with_its_log(db, tmp_path):
    make_registry(db, [make_recipe(seed=0)])
    make_registry(tmp_path / "other.db", [make_recipe(seed=5)])
    ready, done, told = fork.Event(), fork.Event(), fork.SimpleQueue()
    trainer = fork.Process(target=trains_on_behind_a_reader, args=(db, ready, done))
    trainer.start()
    try:
        assert ready.wait(30)
        db.write_bytes((tmp_path / "other.db").read_bytes())
        shift(db, 1.0)
        in_a_child(tries_to_open, db, told)
        assert f"process {trainer.pid} still has the registry open that was at {db} before" in told.get()
    finally:
        done.set()
        trainer.join()


def trains_on_in_a_log_just_begun(db: Path, told) -> None:
    """All earlier commits are in the file, and none of this log's; it commits once more when the file is another."""
    registry = Registry(db)
    run_id = start(registry, make_recipe(seed=8))
    registry.record(run_id, make_epochs(1)[0])
    registry.database._connection.write_log()
    registry.annotate(run_id, "the log is begun anew")
    before = db.stat().st_mtime_ns
    told.put("ready")
    while db.stat().st_mtime_ns == before:
        time.sleep(0.01)
    registry.database._connection.execute("UPDATE trainings SET note = 'too late'")
    told.put("recorded")
    time.sleep(30)


def test_a_file_that_was_written_over_while_a_log_was_just_begun_and_grew_after_it_is_not_mixed_with_it(db, tmp_path):
    """No checkpoint of the log tells which file it is of, and the log is newer than the file."""
    make_registry(db, [make_recipe(seed=0)])
    make_registry(tmp_path / "other.db", [make_recipe(seed=5)])
    told, trained = fork.SimpleQueue(), fork.SimpleQueue()
    trainer = fork.Process(target=trains_on_in_a_log_just_begun, args=(db, trained))
    trainer.start()
    try:
        assert trained.get() == "ready"
        in_a_child(tries_to_open, db, told)
        assert told.get() == ""
        db.write_bytes((tmp_path / "other.db").read_bytes())
        assert trained.get() == "recorded"
        assert log_of(db).stat().st_mtime_ns >= db.stat().st_mtime_ns
        in_a_child(tries_to_open, db, told)
        assert f"process {trainer.pid} still has the registry open that was at {db} before" in told.get()
    finally:
        trainer.kill()
        trainer.join()


def ends_a_run_behind_a_reader(db: Path, told) -> None:
    """The file shrinks within one log, of which a checkpoint then writes no page above what is left."""
    registry = Registry(db)
    run_id = start(registry, make_recipe(seed=8), CARD)
    reader = sqlite3.connect(db, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM trainings").fetchall()  # so that the log is not begun anew
    registry.record(run_id, make_epochs(1)[0], bytes(1_000_000))
    registry.finish(run_id, make_evaluation(CARD), CARD, b"weights")
    reader.execute("COMMIT")
    assert registry.database._connection.write_log()
    told.put("ready")
    time.sleep(30)


def test_a_file_that_shrank_while_another_process_has_it_open_is_still_its_logs(db):
    make_registry(db, [make_recipe(seed=0)])
    told, trained = fork.SimpleQueue(), fork.SimpleQueue()
    trainer = fork.Process(target=ends_a_run_behind_a_reader, args=(db, trained))
    trainer.start()
    try:
        assert trained.get() == "ready"
        in_a_child(tries_to_open, db, told)
        assert told.get() == ""
    finally:
        trainer.kill()
        trainer.join()


def has_seed_7_alone(db: Path) -> None:
    assert seeds(db) == [7]


KEEPS_READING = """
import sqlite3, sys
reader = sqlite3.connect(sys.argv[1], isolation_level=None)
reader.execute("BEGIN")
print(reader.execute("SELECT count(*) FROM epochs").fetchall(), flush=True)
sys.stdin.read()
"""


def test_a_registry_is_opened_whose_space_was_freed_while_somebody_read_it(db, monkeypatch):
    """Rewriting a file is no transaction of ours: a checkpoint may come just before it, of which its log must tell."""
    monkeypatch.setattr(files, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr(wal, "_LONG", 1)
    gone, _ = make_registry(db, [make_recipe(seed=0), make_recipe(seed=7)])
    readers = list[subprocess.Popen[bytes]]()
    write_long_log = files.File.write_long_log

    def and_somebody_reads(file: files.File) -> None:
        write_long_log(file)
        if not readers:
            command = [sys.executable, "-c", KEEPS_READING, str(db)]
            readers.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            assert readers[0].stdout.readline()

    monkeypatch.setattr(files.File, "write_long_log", and_somebody_reads)
    purge(db, [gone])
    assert log_of(db).stat().st_size
    in_a_child(has_seed_7_alone, db)
    readers[0].communicate()


def test_a_process_that_closes_its_registry_between_two_looks_is_not_one_that_has_another_file(db, monkeypatch):
    make_registry(db, [make_recipe(seed=0)])
    looks = iter([4711, None, 4711, None, None])  # at the log and at the file in turns: it opened it once more
    monkeypatch.setattr(wal, "_locked_by", lambda *_: next(looks))
    assert wal._user(db) == ("", False)


def test_a_process_that_has_the_file_before_open_itself_does_not_mix_it_either(registry, db):
    start(registry)
    make_registry(db.with_name("other.db"), [make_recipe(seed=5)])
    db.with_name("other.db").replace(db)
    with pytest.raises(RegistryError, match="this process still has the registry open that was at"):
        RegistryReader(db)


@pytest.mark.parametrize("left", [0, 8, 32, 40])  # bytes: none, part of the header, the header, part of a frame
def test_a_log_that_is_cut_off_while_it_is_read_ends_there(killed, left, monkeypatch):
    read = wal._read

    def cut_off(file: int, size: int, place: int) -> bytes:
        if place:  # after the header, and after its size was looked up
            os.truncate(log_of(killed), left)
        return read(file, size, place)

    monkeypatch.setattr(wal, "_read", cut_off)
    assert log_of(killed).stat().st_size > left
    with wal._opened(killed) as file:
        assert wal.is_foreign(file, log_of(killed), None, in_use=False) is False
    assert log_of(killed).stat().st_size == left


@pytest.mark.parametrize("looks", [1, 3, 19])
def test_a_log_that_is_written_while_it_is_looked_at_is_not_taken_for_another_files(killed, monkeypatch, looks):
    """A process that opens the registry just then writes both, and they are not read at the same moment."""
    seen = []

    def is_foreign(file: int, log: Path, index: int | None, *, in_use: bool) -> bool:
        seen.append(log.stat().st_mtime_ns)
        shift(log, 1)  # somebody writes
        return len(seen) <= looks

    monkeypatch.setattr(wal, "is_foreign", is_foreign)
    monkeypatch.setattr(wal, "_PAUSE_SECONDS", 0)
    assert wal.foreign_log(killed) is None
    assert len(seen) == looks + 1


def test_a_log_that_nobody_writes_is_anothers(killed, monkeypatch):
    looks = []
    monkeypatch.setattr(wal, "is_foreign", lambda *_, in_use: looks.append(1) or True)
    monkeypatch.setattr(wal, "_PAUSE_SECONDS", 0)
    assert "is not of this" in wal.foreign_log(killed)
    assert len(looks) == 1


def test_who_closes_a_registry_while_it_is_looked_at_has_not_another_open(killed, monkeypatch):
    alive = iter([4711, None])
    locks = {wal._ALIVE: lambda: next(alive), wal.SHARED: lambda: None}
    monkeypatch.setattr(wal, "_locked_by", lambda _, *place: locks[place]())
    assert wal._user(killed) == ("", False)


def _opened_again_and_again(db: Path, ended: multiprocessing.synchronize.Event) -> None:
    while not ended.is_set():
        with closing(sqlite3.connect(db, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS more (x)")
            connection.execute("INSERT INTO more VALUES (randomblob(3000))")


def test_a_registry_that_is_opened_and_closed_meanwhile_has_its_own_log(db, monkeypatch):
    """Looks that take as long as on a slow disk, beside a process that opens, writes and closes the registry."""
    read, user = wal._read_log, wal._user
    monkeypatch.setattr(wal, "_read_log", lambda log: (read(log), time.sleep(0.004))[0])
    monkeypatch.setattr(wal, "_user", lambda file: (user(file), time.sleep(0.002))[0])
    make_registry(db, [make_recipe(seed=0)])
    ended = fork.Event()
    writer = fork.Process(target=_opened_again_and_again, args=(db, ended))
    writer.start()
    try:
        found = {wal.foreign_log(db) for _ in range(100)}
    finally:
        ended.set()
        writer.join(30)
    assert found == {None}


def test_who_keeps_a_file_open_for_a_process_that_was_killed_says_nothing(tmp_path):
    with (tmp_path / "runs.db").open("w+b") as file:
        command = [sys.executable, "-I", "-S", "-c", descriptors._LOCK, *map(str, (file.fileno(), *wal.SHARED))]
        about = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with subprocess.Popen(command, pass_fds=[file.fileno()], **about) as other:
            other.stdout.close()
            other.stdin.close()
            assert (other.stderr.read(), other.wait(30)) == (b"", 0)
