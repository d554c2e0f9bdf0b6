"""A run is recorded in the file at the registry's path, or fails and is kept beside it; readers see the file there."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from commands import dump, ok_json, sql
from ledger import (
    ENVIRONMENT,
    WEIGHTS,
    cut_off,
    make_epochs,
    make_evaluation,
    make_recipe,
    start,
    train,
)
from other_files import (
    CARD,
    WAYS,
    beats,
    finishes,
    is_interrupted,
    is_moved_away,
    is_removed,
    is_replaced,
    is_restored_by_git,
    is_written_over,
    is_written_over_by_what_it_was,
    records,
)

from kws.errors import RegistryError
from kws.registry import binding, doctor, files, sqlite
from kws.registry.binding import ReplacedError
from kws.registry.polling import Follower
from kws.registry.reader import RegistryReader
from kws.registry.rescue import rescue
from kws.registry.runs import FINISHED, INTERRUPTED, LOST, RUNNING
from kws.registry.stamps import stamp
from kws.registry.store import Registry
from kws.registry.transfer import take_in

pytestmark = pytest.mark.sqlite_file


def seeds(db: Path) -> list[int]:
    with RegistryReader(db) as registry:
        return sorted(run.recipe.seed for run in registry.runs())


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
    real, shift = stamp, [0]

    def renumbered(path, *, written=False):
        device, *rest = real(path, written=written) or (None,)
        return (device + shift[0], *rest) if rest else ()

    for module in (files, binding, sqlite):
        monkeypatch.setattr(module, "stamp", renumbered)
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
        later = place.stat().st_mtime_ns + 10**9
        os.utime(place, ns=(later, later))
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
