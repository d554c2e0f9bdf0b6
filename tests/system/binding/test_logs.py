"""The log of a registry whose file is removed or written over goes into no other file and is taken for no other's."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from ledger import (
    WEIGHTS,
    make_epochs,
    make_evaluation,
    make_recipe,
    start,
)
from other_files import (
    CARD,
    is_moved_away,
    is_removed,
    is_replaced,
    is_written_over,
    is_written_over_by_what_it_was,
    records,
)

from kws.errors import RegistryError
from kws.registry import binding, descriptors, files, sqlite, wal
from kws.registry.binding import ReplacedError
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED
from kws.registry.stamps import stamp
from kws.registry.store import Registry

pytestmark = pytest.mark.sqlite_file
fork = multiprocessing.get_context("fork")


def test_a_log_does_not_grow_without_end_and_is_never_written_into_a_file_that_somebody_else_wrote(place, other):
    with Registry(place) as registry:
        run_id = start(registry, make_recipe(seed=7))
        for epoch in make_epochs(12):
            registry.record(run_id, epoch, bytes(1_000_000))
        assert Path(f"{place}-wal").stat().st_size < 8_000_000
        is_written_over(place, other)
        with pytest.raises(ReplacedError):
            registry.record(run_id, make_epochs(13)[12])
    assert place.read_bytes() == other.read_bytes()


def test_a_long_log_is_not_written_into_a_file_that_was_written_over_during_the_commit(place, other):
    with Registry(place) as registry:
        run_id = start(registry, make_recipe(seed=7))
        registry.record(run_id, make_epochs(1)[0])
        with registry.database.writing() as connection:
            connection.execute("UPDATE trainings SET note = :note", {"note": "too late" * 1_000_000})
            is_written_over(place, other)
        assert wal.is_long(descriptors.descriptor(Path(f"{place}-shm")))
        with pytest.raises(ReplacedError):
            registry.record(run_id, make_epochs(2)[1])
    assert place.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("others", [False, True])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("way", [is_written_over, is_written_over_by_what_it_was], ids=lambda way: way.__name__)
def test_a_process_that_has_seen_nothing_of_its_own_in_the_file_writes_nothing_into_another(
    place, other, monkeypatch, way, first, others
):
    """The other comes before its first checkpoint, or during that; who was in a transaction just then commits it."""
    another = Registry(place)
    run_id = start(another, make_recipe(seed=8))
    another.record(run_id, make_epochs(1)[0])
    another.database._connection.write_log()
    confirm, write_log = binding.Binding.confirm, files.File.write_log
    written = []

    def happens() -> None:
        way(place, other)
        written.append(place.read_bytes())
        if others:
            connection = another.database._connection
            connection.execute("BEGIN IMMEDIATE")
            connection.tell_base()
            connection.execute("UPDATE trainings SET note = :note", {"note": "late" * 10_000})
            connection.execute("COMMIT")

    def confirms(self, *arguments, **options):
        if first and not written:
            happens()
        return confirm(self, *arguments, **options)

    def writes_log(file: files.File) -> bool:
        whole = write_log(file)
        if not written:
            happens()
        return whole

    monkeypatch.setattr(binding.Binding, "confirm", confirms)
    monkeypatch.setattr(files.File, "write_log", writes_log)
    with Registry(place) as registry, pytest.raises(ReplacedError, match="was replaced by another file"):
        start(registry, make_recipe(seed=7))
    assert [place.read_bytes()] == written
    another.abandon()
    assert [place.read_bytes()] == written


def test_who_opens_a_file_while_another_commits_to_the_log_of_the_one_before_writes_nothing_into_either(
    place, other, monkeypatch
):
    """The log was empty when it was opened, and has the other's commit when its own turn comes."""
    monkeypatch.setattr(sqlite, "_SURE_SECONDS", 0.1)
    with Registry(place) as another:
        run_id = start(another, make_recipe(seed=8))
        another.record(run_id, make_epochs(1)[0])
        connection = another.database._connection
        connection.write_log()
        connection.execute("BEGIN IMMEDIATE")
        connection.tell_base(stamp(place, written=True))
        is_written_over(place, other)
        with Registry(place) as registry:
            connection.execute("UPDATE trainings SET note = :note", {"note": "late" * 10_000})
            connection.execute("COMMIT")
            with pytest.raises(RegistryError, match="another process still has the registry open that was at"):
                start(registry, make_recipe(seed=7))
    assert place.read_bytes() == other.read_bytes()


def test_a_log_whose_checkpointed_pages_were_all_written_again_is_not_that_of_what_the_file_was_before(place):
    """So nothing that a checkpoint wrote can be looked for; its last commit tells what file it builds on."""
    with Registry(place) as registry, closing(sqlite3.connect(place)) as reader:
        connection = registry.database._connection
        run_id = start(registry, make_recipe(seed=7))
        first, second, third = make_epochs(3)
        registry.record(run_id, first)
        assert connection.write_log()
        shutil.copy(place, place.with_name("before.db"))
        registry.record(run_id, second)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM epochs").fetchall()  # so that the log is not begun anew
        assert connection.write_log()
        registry.record(run_id, third)
        assert connection.has_its_log()
        seen = stamp(place, written=True)
        connection.execute("BEGIN IMMEDIATE")
        is_written_over_by_what_it_was(place, place)
        assert not connection.has_its_log()
        connection.tell_base(seen)
        connection.execute("UPDATE trainings SET note = 'late'")
        connection.execute("COMMIT")
        assert not connection.has_its_log()
        with pytest.raises(ReplacedError):
            registry.record(run_id, third)
    assert place.read_bytes() == place.with_name("before.db").read_bytes()


def test_a_file_that_is_removed_while_a_process_waits_for_its_turn_is_told_as_removed(place, monkeypatch):
    with Registry(place) as registry:
        run_id = start(registry, make_recipe(seed=7))
        turn = files.File.turn

        def is_removed_meanwhile(file: files.File):
            is_removed(place, place)
            return turn(file)

        monkeypatch.setattr(files.File, "turn", is_removed_meanwhile)
        with pytest.raises(ReplacedError, match="was removed while the run was recorded"):
            registry.record(run_id, make_epochs(1)[0])


@pytest.mark.parametrize("act", [records, lambda registry, _: registry.abandon()], ids=["records", "leaves"])
@pytest.mark.parametrize("way", [is_removed, is_moved_away, is_replaced], ids=lambda way: way.__name__)
def test_a_file_that_was_written_over_and_then_moved_does_not_get_the_log_either(place, other, tmp_path, way, act):
    """Both happen between two looks: the path tells nothing of what the open file is by then."""
    with Registry(place) as registry:
        run_id = start(registry, make_recipe(seed=7))
        registry.record(run_id, make_epochs(1)[0])
        is_written_over(place, other)
        os.link(place, tmp_path / "moved.db")
        wanted = other.read_bytes()
        way(place, other)
        with suppress(ReplacedError):
            act(registry, run_id)
    assert (tmp_path / "moved.db").read_bytes() == wanted


def test_who_has_committed_to_the_log_of_a_file_that_is_another_now_tells_who_opens_that(place, other, monkeypatch):
    """The other was written over it in the midst of the first commit, of which nothing was seen in the file so far."""
    monkeypatch.setattr(files, "_AGAIN_SECONDS", 0.01)
    with Registry(place) as registry, registry.database.writing() as connection:
        connection.execute("UPDATE trainings SET note = :note", {"note": "late" * 10_000})
        is_written_over(place, other)
    assert place.read_bytes() == other.read_bytes()
    with pytest.raises(RegistryError, match="but of one that was there before"):
        Registry(place)
    assert place.read_bytes() == other.read_bytes()


def waits_to_give_up(db: Path, ready, done) -> None:
    registry = Registry(db)
    start(registry, make_recipe(seed=7))
    registry.database._connection.write_log()  # so that closing it has nothing left to write, and removes the log
    ready.set()
    done.wait(30)
    registry.abandon()


@pytest.mark.parametrize("way", [is_written_over, is_replaced], ids=lambda way: way.__name__)
def test_who_gives_a_file_up_leaves_the_log_of_those_who_have_opened_the_next(place, other, way):
    """SQLite removes the log by its name when the last process closes the file, whose log that may be by now."""
    ready, done = (fork.Event(), fork.Event()), (fork.Event(), fork.Event())
    first, second = (fork.Process(target=waits_to_give_up, args=(place, ready[i], done[i])) for i in range(2))
    for i, process in enumerate((first, second)):
        process.start()
        assert ready[i].wait(30)
    way(place, other)
    done[0].set()
    first.join(30)
    with Registry(place) as third:
        run_id = start(third, make_recipe(seed=9))
        third.record(run_id, make_epochs(1)[0])
        third.finish(run_id, make_evaluation(CARD), CARD, WEIGHTS)
    assert way is is_replaced or Path(f"{place}-wal").stat().st_size
    done[1].set()
    second.join(30)
    assert (first.exitcode, second.exitcode) == (0, 0)
    with RegistryReader(place) as registry:
        assert registry.by_id(run_id).status == FINISHED
        assert len(registry.epochs(run_id)) == 1


def test_where_another_file_was_written_over_it_the_log_is_dropped_though_it_is_newer(place, other):
    """As where a transaction was under way meanwhile."""
    with Registry(place) as registry:
        registry.finish(start(registry, make_recipe(seed=7)), make_evaluation(CARD), CARD, WEIGHTS)
        is_written_over(place, other)
        registry.database._connection.execute("UPDATE trainings SET note = 'too late'")
        assert Path(f"{place}-wal").stat().st_mtime_ns >= place.stat().st_mtime_ns
    assert place.read_bytes() == other.read_bytes()
    assert not Path(f"{place}-wal").exists()


def test_where_several_give_a_file_up_the_log_that_the_first_one_kept_stays(place, other):
    registry, log = Registry(place), Path(f"{place}-wal")
    run_id = start(registry, make_recipe(seed=7))
    registry.record(run_id, make_epochs(1)[0])
    is_written_over(place, other)
    log.with_name(f"{log.name}.old").write_bytes(log.read_bytes())
    os.truncate(log, 0)  # as far as the first one has come
    registry.abandon()
    assert Path(f"{log}.old").stat().st_size
    assert place.read_bytes() == other.read_bytes()
