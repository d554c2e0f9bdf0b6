"""How a registry's file is opened: behind links, where nothing may be written, without hard links, in another mode."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commands import dump, ok, ok_json, refused, sql
from ledger import make_card, make_epochs, make_evaluation, make_recipe, make_registry, start, train

from kws.errors import RegistryError
from kws.registry import descriptors, files, maintenance
from kws.registry.failures import failure
from kws.registry.files import open_file
from kws.registry.polling import Follower
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, INTERRUPTED, RUNNING
from kws.registry.store import Registry

fork = multiprocessing.get_context("fork")
pytestmark = pytest.mark.sqlite_file


@pytest.fixture
def closed(monkeypatch):
    """Let a folder be one where nothing may be written; holds for root, too."""
    real, folders = os.access, []

    def access(path, mode):
        there = Path(path).resolve()
        return not (mode & os.W_OK and any(folder in (there, *there.parents) for folder in folders)) and real(
            path, mode
        )

    monkeypatch.setattr(os, "access", access)
    return lambda folder: folders.append(folder.resolve())


@pytest.fixture
def real(tmp_path) -> Path:
    """A registry in a folder of its own."""
    folder = tmp_path / "real"
    folder.mkdir()
    make_registry(folder / "runs.db", [make_recipe(seed=0)])
    return folder / "runs.db"


@pytest.fixture
def link(tmp_path, real) -> Path:
    """A link to it in another folder, by way of a second one."""
    folder = tmp_path / "links"
    folder.mkdir()
    (folder / "folder").symlink_to(real.parent)
    (folder / "link.db").symlink_to(folder / "folder" / real.name)
    return folder / "link.db"


def notes(db: Path) -> list[str | None]:
    return [run["note"] for run in ok_json("runs", "list", "--db", db)["runs"]]


# Links


def test_a_link_where_nothing_may_be_written_leads_to_what_was_recorded_last(real, link, closed):
    with Registry(real) as writer:
        writer.annotate(writer.run("last").id, "just now")
        closed(link.parent)
        assert notes(link) == notes(real) == ["just now"]
        ok("runs", "note", "last", "by the link", "--db", link)  # the file itself may be written
        assert notes(real) == ["by the link"]
    assert sorted(each.name for each in link.parent.iterdir()) == ["folder", "link.db"]
    assert [each.name for each in real.parent.iterdir()] == [real.name]


def test_a_link_to_a_file_where_nothing_may_be_written_is_read_as_that_is(real, link, closed):
    content = real.read_bytes()
    closed(real.parent)
    assert notes(link) == [None]
    assert f"{link} cannot be written" in refused("runs", "note", "last", "x", "--db", link)
    assert real.read_bytes() == content
    assert [each.name for each in real.parent.iterdir()] == [real.name]


def test_a_registry_is_made_where_a_link_leads(tmp_path, real):
    (tmp_path / "new.db").symlink_to(real.parent / "made.db")
    make_registry(tmp_path / "new.db", [make_recipe(seed=3)])
    assert (real.parent / "made.db").is_file()
    (tmp_path / "nowhere.db").symlink_to(tmp_path / "no folder" / "x.db")
    with pytest.raises(RegistryError, match=r"the folder of .*nowhere\.db does not exist"):
        Registry(tmp_path / "nowhere.db", create=True)
    (tmp_path / "loop.db").symlink_to(tmp_path / "loop.db")
    with pytest.raises(RegistryError, match=r"loop\.db"):
        Registry(tmp_path / "loop.db", create=True)


def test_the_live_page_sees_by_a_link_what_is_only_in_the_log(real, link):
    from kws.reports.page.live import Live

    live = Live(link)
    with Registry(real) as writer:
        before, _ = live.now()
        run_id = start(writer, make_recipe(seed=5))
        after, overview = live.now()
    assert before != after
    assert [run.id for run in overview.runs][-1] == run_id


# Where nothing may be written


def test_what_is_recorded_where_others_may_write_is_seen_by_who_may_only_read(real, closed, monkeypatch):
    """As with `kws watch` on a read-only mount, opened before the run began."""
    now = datetime.now(UTC)
    closed(real.parent)
    with Follower(real) as follower:
        assert follower.look(now) == []
        monkeypatch.undo()
        with Registry(real) as writer:
            run_id = start(writer, make_recipe(seed=7, epochs=2))
            closed(real.parent)
            seen = [follower.look(now)]
            for epoch in make_epochs(2):
                writer.record(run_id, epoch)
                seen.append(follower.look(now))
            card = make_card()
            writer.finish(run_id, make_evaluation(card), card, b"weights")
            seen.append(follower.look(now))
        seen.append(follower.look(now))  # the log is gone by now
    assert [len(each.epochs) for (each,) in seen] == [0, 1, 2, 2, 2]
    assert [each.run.status for (each,) in seen] == [RUNNING] * 3 + [FINISHED] * 2


def test_a_copy_with_its_log_is_read_with_it_where_no_index_of_it_can_be_made(real, tmp_path, closed):
    copy = tmp_path / "media" / "copy.db"
    copy.parent.mkdir()
    with Registry(real) as writer:
        writer.annotate(writer.run("last").id, "in the log")
        for ending in ("", "-wal"):
            shutil.copy(f"{real}{ending}", f"{copy}{ending}")
    before = copy.read_bytes(), Path(f"{copy}-wal").read_bytes()
    closed(copy.parent)
    with closing(files._opened_as_it_lies(copy, copy)) as connection:  # which root could make, where not even he may
        assert [row["note"] for row in connection.execute("SELECT note FROM trainings")] == ["in the log"]
        assert connection.is_current()
        os.utime(f"{copy}-wal", ns=(0, 0))
        assert not connection.is_current()
    assert sorted(each.name for each in copy.parent.iterdir()) == ["copy.db", "copy.db-wal"]
    assert (copy.read_bytes(), Path(f"{copy}-wal").read_bytes()) == before


def test_nothing_is_read_from_memory_that_was_replaced_where_only_reading_is_allowed(real, tmp_path, closed):
    make_registry(tmp_path / "other.db", [make_recipe(seed=9)])
    closed(real.parent)
    with RegistryReader(real) as reader:
        assert [run.recipe.seed for run in reader.runs()] == [0]
        (tmp_path / "other.db").replace(real)
        assert [run.recipe.seed for run in reader.runs()] == [9]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (sqlite3.SQLITE_BUSY, "was locked by another program"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "was locked by another program"),
        (sqlite3.SQLITE_FULL, "cannot grow: the disk is full"),
        (sqlite3.SQLITE_READONLY, "cannot be written"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, "cannot be written"),
        (sqlite3.SQLITE_READONLY_ROLLBACK, "cannot be read here.*-journal"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
        (sqlite3.SQLITE_NOTADB, "is not a SQLite database"),
        (sqlite3.SQLITE_CORRUPT, "is damaged"),
        (sqlite3.SQLITE_CONSTRAINT, "cannot be used as a registry"),
        (None, "cannot be used as a registry"),
    ],
)
def test_what_went_wrong_is_told_by_its_code_and_not_by_its_words(tmp_path, code, told):
    error = sqlite3.OperationalError("readonly: the table locked is full, unable to open: I/O, not a database")
    if code is not None:
        error.sqlite_errorcode = code
    message = str(failure(tmp_path / "runs.db", error))
    assert "\n" not in message
    with pytest.raises(RegistryError, match=f"^{tmp_path / 'runs.db'} {told}"):
        raise RegistryError(message)


def test_a_text_that_says_locked_is_no_lock(registry, db):
    run_id = start(registry)
    sql(db, "CREATE TRIGGER t BEFORE INSERT ON tags BEGIN SELECT RAISE(ABORT, 'locked, full, readonly'); END")
    with pytest.raises(RegistryError, match="cannot be used as a registry"):
        registry.tag(run_id, ["x"])


# Copies where there are no hard links


@pytest.fixture(params=[errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def no_links(request, monkeypatch):
    def link(*_, **__):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "link", link)


def test_copies_are_made_where_there_are_no_hard_links(no_links, registry, db, tmp_path):
    run_id = train(registry)
    ok("db", "backup", "copy.db")
    ok("runs", "export", run_id, "one.db")
    for copy in ("copy.db", "one.db"):
        assert dump(tmp_path / copy)["epochs"] == dump(db)["epochs"]
    names = {each.name for each in tmp_path.iterdir()} - {f"{db.name}{ending}" for ending in ("", "-wal", "-shm")}
    assert names == {"copy.db", "one.db"}
    assert "copy.db is already there" in refused("db", "backup", "copy.db")


def test_what_has_appeared_meanwhile_is_never_written_over_without_links_either(no_links, registry, db, tmp_path):
    train(registry)

    def appear(connection):
        (tmp_path / "copy.db").write_text("theirs")

    with (
        pytest.raises(RegistryError, match=r"copy\.db cannot be written \(File exists\)"),
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(maintenance, "best_seeds", lambda runs: appear(runs) or set())
        maintenance.back_up(db, tmp_path / "copy.db", weights=maintenance.BEST)
    assert (tmp_path / "copy.db").read_text() == "theirs"
    assert not list(tmp_path.glob(".new-*"))


# Another journal mode


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST"])
def test_a_registry_that_writes_no_log_is_recorded_into_and_read_all_the_same(real, mode, closed):
    sql(real, f"PRAGMA journal_mode = {mode}")
    with Registry(real) as writer, RegistryReader(real) as reader, Follower(real) as follower:
        run_id = start(writer, make_recipe(seed=7))
        for epoch in make_epochs(3):
            writer.record(run_id, epoch, bytes(100_000))
            assert len(reader.epochs(run_id)) == epoch.epoch
        writer.end(run_id, INTERRUPTED)
        follower.follow([run_id])
        assert [each.run.status for each in follower.look(datetime.now(UTC))] == [INTERRUPTED]
    closed(real.parent)
    assert [run["status"] for run in ok_json("runs", "list", "--db", real)["runs"]] == [INTERRUPTED, FINISHED]
    assert sql(real, "PRAGMA journal_mode") == [("delete",)]  # of these three, that is all that a file says


def interrupted_write(real: Path, copy: Path) -> None:
    with closing(sqlite3.connect(real, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN")
        connection.execute("UPDATE trainings SET note = 'half'")
        connection.execute(
            "CREATE TABLE filler AS WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n LIMIT 9999) "
            "SELECT * FROM n"
        )
        for ending in ("", "-journal"):
            shutil.copy(f"{real}{ending}", f"{copy}{ending}")


def test_a_write_that_was_cut_short_is_undone_where_it_can_be(real, tmp_path):
    sql(real, "PRAGMA journal_mode = DELETE")
    copy = tmp_path / "copy.db"
    interrupted_write(real, copy)
    assert Path(f"{copy}-journal").stat().st_size
    assert notes(copy) == [None]
    assert dump(copy) == dump(real)


# In one process


def test_threads_that_open_and_close_a_registry_never_take_away_each_others_locks(real):
    """A file that is opened and closed once more loses its process every lock on it: the last to close would then
    take the log away under the others."""
    failures: list[BaseException] = []

    def open_and_close() -> None:
        try:
            for _ in range(30):
                with RegistryReader(real) as reader:
                    reader.runs()
        except BaseException as error:
            failures.append(error)

    program = (
        "import sys\nfrom kws.cli import app\nfor _ in range(20):\n"
        "    try:\n        app(sys.argv[1:])\n    except SystemExit:\n        pass\n"
    )
    with Registry(real) as writer:
        run_id = start(writer, make_recipe(seed=8))
        threads = [threading.Thread(target=open_and_close) for _ in range(4)]
        for thread in threads:
            thread.start()
        command = [sys.executable, "-c", program, "runs", "list", "--db", str(real)]
        count = 0
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as another:
            while another.poll() is None or any(thread.is_alive() for thread in threads):
                count += 1
                writer.record(run_id, make_epochs(1, first=count)[0])
                assert Path(f"{real}-wal").exists()
            assert another.stderr.read() == b""
    assert not failures
    with RegistryReader(real) as reader:
        assert len(reader.epochs(run_id)) == count
    assert not descriptors.opened[descriptors.inode(real)]


def test_a_forked_process_has_nothing_of_its_parents_open(real):
    def opens() -> None:
        with closing(open_file(real)):
            os._exit(descriptors.opened[descriptors.inode(real)] != 1)

    with Registry(real):
        assert descriptors.opened[descriptors.inode(real)] == 1
        with descriptors.opening:  # as if another thread of the parent were just opening something
            child = fork.Process(target=opens)
            child.start()
            child.join(10)
        assert child.exitcode == 0
