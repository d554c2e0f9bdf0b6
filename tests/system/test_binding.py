"""A run is recorded in the file at the registry's path, or fails and is kept beside it; readers see the file there."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commands import dump, ok_json, sql
from ledger import (
    ENVIRONMENT,
    WEIGHTS,
    cut_off,
    make_card,
    make_epochs,
    make_evaluation,
    make_recipe,
    make_registry,
    start,
    train,
)

from kws.errors import RegistryError
from kws.registry import binding, descriptors, doctor, files, sqlite, wal
from kws.registry.binding import ReplacedError
from kws.registry.polling import Follower
from kws.registry.reader import RegistryReader
from kws.registry.rescue import rescue
from kws.registry.runs import FINISHED, INTERRUPTED, LOST, RUNNING
from kws.registry.store import Registry
from kws.registry.transfer import take_in

pytestmark = pytest.mark.sqlite_file
fork = multiprocessing.get_context("fork")
CARD = make_card()


@pytest.fixture(autouse=True)
def sooner(monkeypatch):
    """Less time to be sure in."""
    monkeypatch.setattr(binding, "SURE_SECONDS", 0.1)
    monkeypatch.setattr(binding, "_AGAIN_SECONDS", 0.02)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A folder with another registry, and one that git keeps: each test has a copy of it."""
    made = tmp_path_factory.mktemp("made")
    make_registry(made / "other.db", [make_recipe(seed=50)])
    (made / "folder").mkdir()
    make_registry(made / "folder" / "experiments.db", [make_recipe(seed=0)])
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "experiments.db"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], cwd=made / "folder", check=True)
    return made


@pytest.fixture
def other(tmp_path, made) -> Path:
    """Another registry, with a finished run of seed 50."""
    return Path(shutil.copy(made / "other.db", tmp_path))


def seeds(db: Path) -> list[int]:
    with RegistryReader(db) as registry:
        return sorted(run.recipe.seed for run in registry.runs())


def is_removed(db: Path, other: Path) -> None:
    db.unlink(missing_ok=True)


def is_moved_away(db: Path, other: Path) -> None:
    db.rename(db.with_name("elsewhere.db"))


def is_replaced(db: Path, other: Path) -> None:
    other.replace(db)


def is_replaced_by_its_copy(db: Path, other: Path) -> None:
    Path(shutil.copy(db, "copied")).replace(db)


def is_restored_by_git(db: Path, other: Path) -> None:
    subprocess.run(["git", "checkout", "--quiet", "--", db.name], cwd=db.parent, check=True)


def is_written_over(db: Path, other: Path) -> None:
    with db.open("r+b") as file:
        file.truncate(0)
        file.write(other.read_bytes())


def is_written_over_by_what_it_was(db: Path, other: Path) -> None:
    with db.open("r+b") as file:
        file.truncate(0)
        file.write(db.with_name("before.db").read_bytes())


def and_its_folder_are_moved(db: Path, other: Path) -> None:
    db.parent.rename(db.parent.with_name("moved"))


WAYS = [
    is_removed,
    is_moved_away,
    is_replaced,
    is_replaced_by_its_copy,
    is_restored_by_git,
    is_written_over,
    is_written_over_by_what_it_was,
    and_its_folder_are_moved,
]


@pytest.fixture
def place(tmp_path, made) -> Path:
    """A registry in a folder that git keeps, with a finished run of seed 0; beside it a copy of it."""
    db = shutil.copytree(made / "folder", tmp_path / "folder") / "experiments.db"
    shutil.copy(db, db.with_name("before.db"))
    return db


def records(registry, run_id: str) -> None:
    registry.record(run_id, make_epochs(3)[2])


def finishes(registry, run_id: str) -> None:
    registry.finish(run_id, make_evaluation(CARD), CARD, WEIGHTS)


def is_interrupted(registry, run_id: str) -> None:
    registry.end(run_id, INTERRUPTED)


def beats(registry, run_id: str) -> None:
    registry.beat(run_id)


@pytest.mark.parametrize("act", [records, finishes, is_interrupted, beats], ids=lambda act: act.__name__)
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_run_whose_registry_is_another_fails_at_its_next_record_and_is_kept_beside_it(place, other, way, act):
    whole = {name: dump(name) for name in (other, place)}
    registry = Registry(place)
    run_id = start(registry, make_recipe(seed=7, epochs=2))
    for epoch in make_epochs(2):
        registry.record(run_id, epoch, WEIGHTS if epoch.epoch == 1 else None)
    way(place, other)
    with pytest.raises(ReplacedError, match=f"{place} was (removed|replaced by another file) while the run was"):
        act(registry, run_id)
    outcome = (make_evaluation(CARD), WEIGHTS) if act is finishes else None
    kept = registry.kept(run_id)
    file = rescue(place, kept, CARD, status=INTERRUPTED, error="why", checkpoint=kept.checkpoint, outcome=outcome)
    registry.abandon()
    # The run is in a registry of its own, with all that was recorded of it.
    with Registry(file) as kept_in:
        run = kept_in.by_id(run_id)
        assert run.status == (FINISHED if outcome else INTERRUPTED)
        assert (run.epochs_done, len(kept_in.epochs(run_id))) == ((3, 3) if act is records else (2, 2))
        if outcome:
            assert kept_in.weights(run_id) == WEIGHTS
            assert run.test_accuracy == outcome[0].accuracy
        else:
            assert kept_in.checkpoint(run_id).data == WEIGHTS
            kept_in.go_on(run_id, epochs=5, environment=ENVIRONMENT)
            kept_in.end(run_id, INTERRUPTED)
    assert doctor.examine(file) == []
    # What is at the path now, and where the file was moved to, is whole, unmixed, and nothing there is finished of it.
    there = (place, place.with_name("elsewhere.db"), place.parent.with_name("moved") / place.name)
    for each in filter(Path.exists, there):
        assert sql(each, "PRAGMA integrity_check") == [("ok",)]
        found = dump(each)
        assert [row for row in found["trainings"] if "running" not in row] in [
            rows["trainings"] for rows in whole.values()
        ]
        with RegistryReader(each) as registry:
            assert not [run for run in registry.runs() if run.id == run_id and run.status == FINISHED]
    if way in (is_replaced, is_written_over):
        assert dump(place) == whole[other]
    if way in (is_restored_by_git, is_written_over_by_what_it_was):
        assert dump(place) == whole[place]
    if way is is_moved_away:  # all that was committed has moved along
        with RegistryReader(place.with_name("elsewhere.db")) as moved:
            assert len(moved.epochs(run_id)) >= 2
    left = sorted(entry.name for entry in place.parent.iterdir()) if place.parent.exists() else []
    assert not [name for name in left if name.endswith(("-wal", "-shm")) and name.startswith("experiments.db")]


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
        connection.tell_base(files.stamp(place, written=True))
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
        seen = files.stamp(place, written=True)
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


def test_a_file_that_is_removed_while_it_is_closed_is_not_made_anew(place, monkeypatch):
    registry = Registry(place)
    registry.annotate(registry.runs()[0].id, "x")
    place.touch()  # written by somebody, so that it is opened once more
    leave = files.File.leave
    monkeypatch.setattr(files.File, "leave", lambda file, **how: (leave(file, **how), place.unlink(missing_ok=True)))
    registry.__exit__(None, None, None)
    assert not place.exists()


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_run_that_has_ended_in_the_file_is_told_as_ended_though_that_is_replaced_right_after(
    place, other, way, monkeypatch
):
    release = Registry._release

    def too_late(registry, run_id):
        way(place, other)
        release(registry, run_id)

    monkeypatch.setattr(Registry, "_release", too_late)
    with Registry(place) as registry:
        run = registry.finish(start(registry, make_recipe(seed=7)), make_evaluation(CARD), CARD, WEIGHTS)
    assert run.status == FINISHED


def test_a_run_right_after_another_needs_no_look_into_the_file_and_its_end_does(place, monkeypatch):
    real, looks = binding._opened, []
    monkeypatch.setattr(binding, "_opened", lambda *about: looks.append(about) or real(*about))
    with Registry(place) as registry:
        train(registry, make_recipe(seed=1))
        looks.clear()
        run = start(registry, make_recipe(seed=2), CARD)
        assert looks == []
        registry.finish(run, make_evaluation(CARD), CARD, WEIGHTS)
        assert looks


def test_a_link_that_is_led_elsewhere_is_another_registry_and_each_keeps_its_log(place, other, tmp_path):
    link = tmp_path / "link.db"
    link.symlink_to(place)
    registry = Registry(link)
    run_id = start(registry, make_recipe(seed=7))
    registry.record(run_id, make_epochs(1)[0])
    assert Path(f"{place}-wal").exists()
    link.unlink()
    link.symlink_to(other)
    with pytest.raises(ReplacedError, match="was replaced"):
        registry.record(run_id, make_epochs(2)[1])
    registry.abandon()
    assert seeds(link) == [50]
    with RegistryReader(place) as there:
        assert len(there.epochs(run_id)) == 1
    assert seeds(place) == [0, 7]


def test_the_same_file_by_another_inode_is_the_same(place, monkeypatch):
    """As on some mounts, where inodes are numbered as they come."""
    real, shift = files.stamp, [0]

    def renumbered(path, *, written=False):
        device, *rest = real(path, written=written) or (None,)
        return (device + shift[0], *rest) if rest else ()

    monkeypatch.setattr(files, "stamp", renumbered)
    monkeypatch.setattr(binding, "stamp", renumbered)
    with Registry(place) as registry:
        run_id = start(registry, make_recipe(seed=7))
        for epoch in make_epochs(4):
            shift[0] += 1
            registry.record(run_id, epoch)
        shift[0] += 1
        registry.finish(run_id, make_evaluation(CARD), CARD, WEIGHTS)
        assert registry.by_id(run_id).status == FINISHED
    assert doctor.examine(place) != []  # it has 4 of 50 epochs
    assert seeds(place) == [0, 7]


def test_where_the_file_cannot_be_opened_anew_its_run_fails_as_one_that_was_replaced(place, monkeypatch):
    """As where another process still has what was there before open: the run is to be kept beside it, too."""
    registry = Registry(place)
    run_id = start(registry, make_recipe(seed=7))
    registry.record(run_id, make_epochs(1)[0], WEIGHTS)
    with closing(sqlite3.connect(place)) as reader:  # so that the log stays
        reader.execute("SELECT count(*) FROM trainings").fetchone()
        monkeypatch.setattr(binding.Binding, "confirm", lambda *_, **__: True)
        monkeypatch.setattr(sqlite, "open_file", lambda path, **_: (_ for _ in ()).throw(RegistryError("in use")))
        place.touch()
        with pytest.raises(ReplacedError, match=r"was replaced while the run was recorded in it \(in use\)"):
            registry.record(run_id, make_epochs(2)[1])
        monkeypatch.undo()
        kept = registry.kept(run_id)
        registry.abandon()
    file = rescue(place, kept, CARD, status=INTERRUPTED, error="why", checkpoint=kept.checkpoint, outcome=None)
    with Registry(file) as kept_in:
        assert len(kept_in.epochs(run_id)) == 2


def test_a_log_that_is_removed_takes_nothing_along(place):
    with Registry(place) as registry:
        run_id = start(registry, make_recipe(seed=7))
        first, second, third = make_epochs(3)
        registry.record(run_id, first)
        for ending in ("-wal", "-shm"):
            Path(f"{place}{ending}").unlink()
        registry.record(run_id, second)
        with Registry(place) as another:
            another.annotate(run_id, "seen")
        registry.record(run_id, third)
        assert registry.by_id(run_id).note == "seen"
    with RegistryReader(place) as registry:
        assert [epoch.epoch for epoch in registry.epochs(run_id)] == [1, 2, 3]
    assert sql(place, "PRAGMA integrity_check") == [("ok",)]


def test_others_may_write_compact_and_copy_the_file_meanwhile(place):
    with Registry(place) as registry, Registry(place) as second:
        run_id, other_run = start(registry, make_recipe(seed=7)), start(second, make_recipe(seed=8))
        for epoch in make_epochs(6):
            registry.record(run_id, epoch, bytes(2_000_000))
            second.record(other_run, epoch, bytes(2_000_000))
            with closing(sqlite3.connect(place)) as connection:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                connection.execute("VACUUM")
        registry.finish(run_id, make_evaluation(CARD), CARD, WEIGHTS)
        second.finish(other_run, make_evaluation(CARD), CARD, WEIGHTS)
    assert [run["status"] for run in ok_json("runs", "list", "--db", place)["runs"]] == [FINISHED] * 3


def test_a_reader_that_keeps_the_log_from_being_written_delays_no_end(place, monkeypatch):
    monkeypatch.setattr(binding, "SURE_SECONDS", 20.0)
    with Registry(place) as registry, RegistryReader(place) as reader, reader.reading() as connection:
        connection.execute("SELECT count(*) FROM trainings").fetchone()
        run_id = start(registry, make_recipe(seed=7))
        registry.record(run_id, make_epochs(1)[0])
        registry.finish(run_id, make_evaluation(CARD), CARD, WEIGHTS)
    assert seeds(place) == [0, 7]


def leave_half_written(db: Path) -> sqlite3.Connection:
    """Let a checkpoint end before the file's last page, which was written again after the returned reader began."""
    reader = sqlite3.connect(db, isolation_level=None)
    with closing(sqlite3.connect(db, isolation_level=None)) as writer:
        writer.executescript("CREATE TABLE large (x); INSERT INTO large VALUES (zeroblob(20000))")
        reader.executescript("BEGIN; SELECT * FROM large")
        reader.execute("SELECT * FROM large").fetchone()
        writer.execute("UPDATE large SET x = randomblob(20000)")
        _, commits, written = writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        assert commits > written > 0
    alone = sqlite3.connect(f"{db.as_uri()}?mode=ro&immutable=1", uri=True)
    with closing(alone), pytest.raises(sqlite3.DatabaseError, match="malformed"):
        alone.execute("SELECT * FROM large")
    return reader


@pytest.mark.parametrize("act", [records, finishes], ids=lambda act: act.__name__)
@pytest.mark.parametrize("reads_on", [False, True])
def test_a_checkpoint_that_a_reader_cut_off_is_finished_by_a_process_that_records(place, act, reads_on, monkeypatch):
    """Nobody finds their run in the file then: if all waited for another process to finish it, they would for ever."""
    monkeypatch.setattr(binding, "_LONGEST_SECONDS", 2.0)
    with Registry(place) as registry:
        run_id = start(registry, make_recipe(seed=7, epochs=3))
        for epoch in make_epochs(2):
            registry.record(run_id, epoch)
        with closing(leave_half_written(place)) as reader:
            if not reads_on:
                reader.execute("ROLLBACK")
            act(registry, run_id)
        assert len(registry.epochs(run_id)) == (3 if act is records else 2)
    assert sql(place, "PRAGMA integrity_check") == [("ok",)]
    assert seeds(place) == [0, 7]


def test_the_log_is_not_written_into_the_part_of_another_file_that_was_written_over_it(place, other, monkeypatch):
    monkeypatch.setattr(binding, "_LONGEST_SECONDS", 0.5)
    part = other.read_bytes()[: other.stat().st_size // 2]
    with Registry(place) as registry:
        run_id = start(registry, make_recipe(seed=7))
        registry.record(run_id, make_epochs(1)[0])
        with place.open("r+b") as file:
            file.truncate(0)
            file.write(part)
        with pytest.raises(ReplacedError, match="was replaced by another file"):
            registry.record(run_id, make_epochs(2)[1])
        assert place.read_bytes() == part
        registry.abandon()
    assert place.read_bytes() == part


def test_between_two_runs_a_process_takes_up_the_file_that_is_there_now(place, other):
    with Registry(place) as registry:
        first = train(registry, make_recipe(seed=1))
        other.replace(place)
        second = train(registry, make_recipe(seed=2))
        assert [run.recipe.seed for run in registry.runs()] == [50, 2]
        assert second != first
    assert seeds(place) == [2, 50]


@pytest.mark.parametrize("way", [is_replaced, is_written_over, is_restored_by_git], ids=lambda way: way.__name__)
def test_a_reader_sees_the_file_that_is_at_the_path_and_never_two(place, other, way):
    with RegistryReader(place) as reader:
        (mine,) = reader.runs()
        assert len(reader.epochs(mine.id)) == 2
        way(place, other)
        assert [run.recipe.seed for run in reader.runs()] == ([0] if way is is_restored_by_git else [50])
        if way is not is_restored_by_git:
            with pytest.raises(RegistryError, match="there is no run"):
                reader.epochs(mine.id)


def test_a_reader_whose_file_is_removed_says_so_and_reads_on_when_it_is_back(place, other, monkeypatch):
    monkeypatch.setattr("kws.registry.sqlite._MOVING_SECONDS", 0.1)
    with RegistryReader(place) as reader:
        reader.runs()
        place.rename("away.db")
        for _ in range(2):
            with pytest.raises(RegistryError, match="there is no registry"):
                reader.runs()
        other.replace(place)
        assert [run.recipe.seed for run in reader.runs()] == [50]


def test_who_watches_begins_anew_with_another_file(place, other):
    now = datetime.now(UTC)
    with Registry(other) as registry, Follower(place) as follower:
        assert follower.look(now) == []
        run_id = start(registry, make_recipe(seed=51))
        registry.record(run_id, make_epochs(1)[0])
        place.unlink()
        place.symlink_to(other)
        assert [(each.run.id, each.run.status) for each in follower.look(now)] == [(run_id, RUNNING)]
        sql(other, "UPDATE sessions SET process_started = 'earlier'")
        assert [each.run.status for each in follower.look(now)] == [LOST]


def test_a_run_that_ends_between_two_looks_is_seen_and_an_imported_one_is_not(place, other):
    now = datetime.now(UTC)
    with Registry(place) as registry, Follower(place) as follower:
        assert follower.look(now) == []
        run_id = train(registry, make_recipe(seed=3))
        assert [each.run.id for each in follower.look(now)] == [run_id]
        sql(other, "UPDATE trainings SET started_at = '2023-05-01T10:00:00.000+00:00'")
        take_in(place, other)
        assert [each.run.id for each in follower.look(now)] == [run_id]


def test_a_run_that_goes_on_elsewhere_keeps_its_earlier_epochs(place, other):
    with Registry(place) as registry:
        run_id = cut_off(registry, epochs=2)
        registry.go_on(run_id, epochs=5, environment=ENVIRONMENT)
        registry.tag(run_id, ["kept"])
        is_removed(place, other)
        with pytest.raises(ReplacedError):
            registry.record(run_id, make_epochs(3)[2], b"another")
        kept = registry.kept(run_id)
        file = rescue(place, kept, CARD, status=INTERRUPTED, error=None, checkpoint=kept.checkpoint, outcome=None)
        registry.abandon()
    with RegistryReader(file) as found:
        assert [epoch.epoch for epoch in found.epochs(run_id)] == [1, 2, 3]
        assert found.checkpoint(run_id).epoch == 3
    assert len(sql(file, "SELECT * FROM sessions")) == 2


def test_where_no_registry_can_be_made_the_checkpoint_is_kept_and_where_nothing_can_be_that_is_said(
    place, other, monkeypatch
):
    registry = Registry(place)
    run_id = start(registry, make_recipe(seed=7))
    kept, about = registry.kept(run_id), {"status": INTERRUPTED, "error": None, "outcome": None}
    monkeypatch.setattr("kws.registry.rescue.Registry.keep_card", lambda *_: (_ for _ in ()).throw(RegistryError("x")))
    file = rescue(place, kept, CARD, checkpoint=(1, WEIGHTS), **about)
    assert (file.suffix, file.read_bytes()) == (".safetensors", WEIGHTS)
    assert run_id in file.name
    assert rescue(place, kept, CARD, checkpoint=None, **about) is None
    registry.end(run_id, INTERRUPTED)
    registry.__exit__()
