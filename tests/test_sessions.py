"""Sessions in the registry: who works on a run, what an epoch that comes again does, and where a run can go on."""

from __future__ import annotations

import json
import re
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from at_once import at_once
from commands import allow, dump, ok, ok_json, refuse, sql
from ledger import ENVIRONMENT, WEIGHTS, make_card, make_epochs, make_evaluation, make_recipe, start, train

from kws.errors import RegistryError
from kws.events import IterationEnd
from kws.registry.process import SILENT_SECONDS, Process
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, RUNNING, Checkpoint
from kws.registry.store import Registry
from kws.registry.waiting import wait_for_silence
from kws.terminal.progress import Terminal

CHECKPOINT = b"a checkpoint"


def lose(db: Path) -> None:
    """As if the process had ended, and another had its number by now."""
    sql(db, "UPDATE sessions SET process_started = 'earlier'")


def go_on(registry: Registry, run_id: str, epochs: int = 5) -> None:
    registry.go_on(run_id, epochs=epochs, environment=ENVIRONMENT)


# Epochs that come again


def test_an_epoch_that_comes_again_to_the_same_bits_is_kept_with_its_milliseconds(registry):
    run_id = start(registry)
    epochs = make_epochs(3)
    for epoch in epochs:
        registry.record(run_id, epoch)
    before = registry.run(run_id), registry.epochs(run_id)
    for epoch in epochs[:2]:
        registry.record(run_id, replace(epoch, seconds=99.0, processor_seconds=98.0))
        assert (registry.run(run_id), registry.epochs(run_id)) == before


@pytest.mark.parametrize(
    "change",
    [
        {"train_loss": 0.5000000000000001},
        {"train_accuracy": 0.1},
        {"validation_loss": 0.1},
        {"validation_accuracy": 0.1},
        {"iterations": (IterationEnd(iteration=4, clips=4, loss=0.5, accuracy=0.5),)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_epoch_that_comes_again_otherwise_replaces_that_one_and_those_after_it(registry, change):
    run_id, other = start(registry), start(registry)
    first, second, third = make_epochs(3)
    for epoch in (first, second, third):
        registry.record(run_id, epoch)
        registry.record(other, epoch)
    untouched = registry.run(other), registry.epochs(other)
    again = replace(second, seconds=7.0, **change)
    registry.record(run_id, again)
    kept = registry.epochs(run_id)
    assert [epoch.epoch for epoch in kept] == [1, 2]
    assert (kept[1].train_loss, kept[1].validation_accuracy) == (again.train_loss, again.validation_accuracy)
    assert len(kept[1].iteration_losses) == len(again.iterations)
    run = registry.run(run_id)
    assert (run.epochs_done, run.seconds, run.validation_accuracy) == (2, 0.125 + 7.0, again.validation_accuracy)
    registry.record(run_id, third)
    assert [epoch.epoch for epoch in registry.epochs(run_id)] == [1, 2, 3]
    assert registry.run(run_id).seconds == 0.125 + 7.0 + 0.375
    assert (registry.run(other), registry.epochs(other)) == untouched


# Checkpoints


def test_the_last_checkpoint_is_the_one_that_is_kept(registry, db):
    run_id = start(registry)
    first, second, third = make_epochs(3)
    registry.record(run_id, first)
    assert registry.checkpoint(run_id) is None
    registry.record(run_id, first, b"one")
    registry.record(run_id, second, b"two")
    registry.record(run_id, third)
    assert registry.checkpoint(run_id) == Checkpoint(epoch=2, data=b"two")
    assert sql(db, "SELECT count(*) FROM checkpoints") == [(1,)]


@pytest.mark.parametrize("failing", ["epochs", "checkpoints"])
def test_an_epoch_and_its_checkpoint_are_recorded_both_or_neither(registry, db, failing):
    run_id = start(registry)
    first, second = make_epochs(2)
    registry.record(run_id, first, b"one")
    refuse(db, failing)
    before = dump(db)
    with pytest.raises(RegistryError, match="stopped"):
        registry.record(run_id, second, b"two")
    assert dump(db) == before
    assert registry.checkpoint(run_id) == Checkpoint(epoch=1, data=b"one")
    assert registry.run(run_id).epochs_done == 1
    allow(db, failing)
    registry.record(run_id, second, b"two")
    assert registry.checkpoint(run_id) == Checkpoint(epoch=2, data=b"two")


def test_a_checkpoint_that_was_changed_is_told(registry, db):
    run_id = start(registry)
    registry.record(run_id, make_epochs(1)[0], CHECKPOINT)
    sql(db, "UPDATE checkpoints SET safetensors = x'00'")
    with pytest.raises(RegistryError, match=f"checkpoint of run {run_id}.*damaged.*kws db doctor --fix"):
        registry.checkpoint(run_id)


@pytest.mark.sqlite_file
def test_a_finish_drops_the_checkpoint_and_gives_its_pages_back(db):
    card = make_card()
    with Registry(db, create=True) as registry:
        run_id = start(registry, card=card)
        registry.record(run_id, make_epochs(1)[0], bytes(range(256)) * 4_000)
        (large,) = sql(db, "PRAGMA page_count")[0]
        registry.finish(run_id, make_evaluation(card), card, WEIGHTS)
        assert registry.checkpoint(run_id) is None
        (small,) = sql(db, "PRAGMA page_count")[0]
        assert sql(db, "PRAGMA freelist_count") == [(0,)]
        assert small * 4096 < large * 4096 - 1_000_000
    assert db.stat().st_size == small * 4096


# Who works on a run


def test_a_run_that_this_process_works_on_is_running_whatever_its_heartbeat(registry, db):
    run_id = start(registry)
    sql(db, "UPDATE sessions SET heartbeat_at = '2001-01-01T00:00:00.000+00:00'")
    assert registry.run(run_id).status == RUNNING


def test_a_run_whose_process_is_gone_is_lost_and_the_file_is_not_changed_by_seeing_it(registry, db):
    run_id, other = start(registry), train(registry)
    lose(db)
    before = dump(db)
    assert [(run.id, run.status) for run in registry.runs()] == [(run_id, LOST), (other, FINISHED)]
    assert dump(db) == before
    assert sql(db, "SELECT status FROM runs WHERE id = ?", values=(run_id,)) == [("running",)]


ELSEWHERE = ["host = 'another'", "boot = 'another'", "host = 'another', boot = NULL"]


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
@pytest.mark.parametrize("minutes", [-11, 0, 11, 100_000])  # of a clock that is behind or ahead, or of a silence
def test_a_run_that_cannot_be_seen_from_here_is_running_and_was_last_seen_then(registry, db, elsewhere, minutes):
    run_id = start(registry)
    heartbeat = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
    sql(db, f"UPDATE sessions SET {elsewhere}, heartbeat_at = '{heartbeat}'")
    run = registry.run(run_id)
    assert (run.status, run.last_seen) == (RUNNING, heartbeat)
    (listed,) = (line for line in ok("runs", "list").splitlines() if line.startswith(run_id))
    assert f"  running  {heartbeat[:19].replace('T', ' ')}  " in listed
    assert f"running, last seen at {heartbeat[:19]}Z" in " ".join(ok("runs", "show", run_id).split())
    assert [ok_json("runs", "show", run_id)[key] for key in ("status", "last_seen")] == [RUNNING, heartbeat]
    with pytest.raises(RegistryError, match=f"run {run_id} is still running"):
        go_on(registry, run_id)
    with pytest.raises(RegistryError, match=f"run {run_id} is still running"):
        registry.delete(run_id)


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_only_its_last_sign_of_life_permits_to_take_over_a_run_that_cannot_be_seen(registry, db, elsewhere):
    run_id = start(registry)
    sign = registry.sighting(run_id).sign
    with Registry(db) as other:
        with pytest.raises(RegistryError, match="still running"):  # it can be seen, and lives
            other.go_on(run_id, epochs=5, environment=ENVIRONMENT, silent=sign)
        sql(db, f"UPDATE sessions SET {elsewhere}")
        with pytest.raises(RegistryError, match="still running"):
            other.go_on(run_id, epochs=5, environment=ENVIRONMENT, silent="1 earlier")
        assert other.sighting(run_id).unseen
        other.go_on(run_id, epochs=5, environment=ENVIRONMENT, silent=sign)
        with pytest.raises(RegistryError, match="no longer this process's"):
            registry.record(run_id, make_epochs(1)[0])
        other.record(run_id, make_epochs(1)[0])


@pytest.fixture
def minute(monkeypatch):
    """A clock that goes on as long as is slept, and nothing that is set; what happens at each second of it."""
    now, happens = [0.0], {}

    def sleep(seconds):
        now[0] += seconds
        happens.pop(round(now[0]), lambda: None)()

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    return now, happens


def test_who_goes_on_with_a_run_elsewhere_waits_for_a_sign_and_says_so(registry, db, minute, capsys):
    run_id = start(registry)
    sql(db, "UPDATE sessions SET boot = 'another'")
    sign = registry.sighting(run_id).sign
    assert wait_for_silence(registry, run_id, Terminal().say) == sign
    assert SILENT_SECONDS <= minute[0][0] <= SILENT_SECONDS + 2
    said = capsys.readouterr().err
    assert f"last seen at {sign.split()[1]}" in said
    assert f"waiting {SILENT_SECONDS:.0f} s for a sign of life" in said
    assert re.search(rf"no sign of run {run_id} for 3\d s; waiting 5\d s more", said)


def test_a_sign_of_life_while_it_waits_is_told_whatever_that_clock_says(registry, db, minute):
    run_id = start(registry)
    sql(db, "UPDATE sessions SET boot = 'another'")
    minute[1][80] = lambda: sql(db, "UPDATE sessions SET heartbeat_at = '2001-01-01T00:00:00.000+00:00'")
    with pytest.raises(RegistryError, match=f"run {run_id} is still running.*sign of life at 2001-01-01"):
        wait_for_silence(registry, run_id, str)
    assert minute[0][0] < SILENT_SECONDS


def test_nobody_waits_for_a_run_that_can_be_seen_or_ends_meanwhile(registry, db, minute):
    run_id = start(registry)
    assert wait_for_silence(registry, run_id, str) is None
    lose(db)
    assert wait_for_silence(registry, run_id, str) is None
    assert minute[0][0] == 0
    sql(db, "UPDATE sessions SET host = 'another'")
    minute[1][5] = lambda: sql(db, "UPDATE trainings SET status = 'finished'")
    assert wait_for_silence(registry, run_id, str) is None
    assert minute[0][0] <= 6


def test_a_running_run_without_a_session_is_lost(registry, db):
    run_id = start(registry)
    sql(db, "DELETE FROM sessions")
    assert registry.run(run_id).status == LOST


@pytest.mark.parametrize("act", ["record", "beat"])
def test_an_epoch_and_a_beat_renew_the_heartbeat(registry, db, act):
    run_id = start(registry)
    sql(db, "UPDATE sessions SET heartbeat_at = '2001-01-01T00:00:00.000+00:00'")
    if act == "record":
        registry.record(run_id, make_epochs(1)[0])
    else:
        registry.beat(run_id)
    ((heartbeat,),) = sql(db, "SELECT heartbeat_at FROM sessions")
    assert datetime.now(UTC) - datetime.fromisoformat(heartbeat) < timedelta(minutes=1)


def test_a_session_names_its_process_and_where_it_began(registry, db):
    run_id = start(registry, make_recipe(epochs=5))
    registry.record(run_id, make_epochs(1)[0], CHECKPOINT)
    registry.record(run_id, make_epochs(2)[1])
    registry.end(run_id, FAILED, "no reason")
    environment = replace(ENVIRONMENT, torch_version="9.9")
    registry.go_on(run_id, epochs=8, environment=environment)
    run = registry.run(run_id)
    assert (run.status, run.error, run.ended_at, run.recipe.epochs) == (RUNNING, None, None, 8)
    assert (run.environment, run.epochs_done) == (ENVIRONMENT, 2)
    here = Process.here()
    columns = "session, first_epoch, host, boot, pid, process_started, environment"
    first, second = sql(db, f"SELECT {columns} FROM sessions ORDER BY session")
    assert first == (1, 1, here.host, here.boot, here.pid, here.started, None)
    assert second[:-1] == (2, 2, here.host, here.boot, here.pid, here.started)
    assert json.loads(second[-1]) == asdict(environment)


def test_a_run_without_a_checkpoint_goes_on_from_its_first_epoch(registry, db):
    run_id = start(registry)
    registry.record(run_id, make_epochs(1)[0])
    registry.end(run_id, INTERRUPTED)
    go_on(registry, run_id)
    assert sql(db, "SELECT session, first_epoch FROM sessions ORDER BY session") == [(1, 1), (2, 1)]


def test_a_finished_and_a_running_run_do_not_go_on(registry, db):
    finished, running = train(registry), start(registry)
    before = dump(db)
    with pytest.raises(RegistryError, match=f"run {finished} is finished; `kws rerun {finished}`"):
        go_on(registry, finished)
    with pytest.raises(RegistryError, match=f"run {running} is still running"):
        go_on(registry, running)
    assert dump(db) == before


@pytest.mark.parametrize(
    "act",
    [
        lambda registry, run_id, card: registry.record(run_id, make_epochs(2)[1], b"mine"),
        lambda registry, run_id, card: registry.record(run_id, replace(make_epochs(1)[0], train_loss=9.0)),
        lambda registry, run_id, card: registry.beat(run_id),
        lambda registry, run_id, card: registry.finish(run_id, make_evaluation(card), card, WEIGHTS),
        lambda registry, run_id, card: registry.end(run_id, FAILED, "mine"),
        lambda registry, run_id, card: registry.end(run_id, INTERRUPTED),
    ],
    ids=["record", "record again", "beat", "finish", "fail", "interrupt"],
)
def test_a_session_that_another_has_taken_over_from_can_change_nothing(registry, db, act):
    card = make_card()
    run_id = start(registry, card=card)
    registry.record(run_id, make_epochs(1)[0], CHECKPOINT)
    lose(db)
    with Registry(db) as second:
        go_on(second, run_id)
        before = dump(db)
        with pytest.raises(RegistryError, match=f"run {run_id} is no longer this process's"):
            act(registry, run_id, card)
        assert dump(db) == before
        second.record(run_id, make_epochs(2)[1])
        second.finish(run_id, make_evaluation(card), card, WEIGHTS)
        assert second.run(run_id).status == FINISHED


def tries_to_go_on(db: Path, run_id: str, barrier, won) -> None:
    with Registry(db) as registry:
        barrier.wait()
        try:
            go_on(registry, run_id)
            won.put(True)
        except RegistryError as error:
            won.put(str(error))
        barrier.wait()  # whoever has won is still alive while the others try


def test_of_four_processes_that_go_on_with_a_run_at_once_one_does(db):
    with Registry(db, create=True) as registry:
        run_id = start(registry)
        registry.end(run_id, INTERRUPTED)
    results = at_once(tries_to_go_on, [(db, run_id)] * 4)
    assert results.count(True) == 1
    assert sum("still running" in str(result) for result in results) == 3
    assert len(sql(db, "SELECT * FROM sessions")) == 2
