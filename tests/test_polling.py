"""Following runs: each look has what is new, reads nothing that has not changed, and sees who is gone."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from commands import sql
from ledger import ENVIRONMENT, WEIGHTS, make_card, make_epochs, make_evaluation, start, train

from kws.registry.polling import Follower
from kws.registry.process import SILENT_SECONDS, Process
from kws.registry.runs import FINISHED, INTERRUPTED, LOST, RUNNING
from kws.registry.store import Registry

NOW = datetime(2023, 5, 1, 10, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
def follower(registry):
    with Follower(registry.path) as opened:
        yield opened


def ids(follower, seconds: float = 0) -> list[str]:
    return [followed.run.id for followed in follower.look(at(seconds))]


def test_every_run_that_is_running_is_followed_from_when_it_is_seen_to_its_end(registry, follower):
    train(registry)
    assert ids(follower) == []
    first = start(registry)
    assert ids(follower) == [first]
    second = start(registry)
    registry.end(first, INTERRUPTED)
    assert [(each.run.id, each.run.status) for each in follower.look(at(1))] == [
        (first, INTERRUPTED),
        (second, RUNNING),
    ]


def test_given_runs_are_followed_whatever_they_are_and_no_others(registry, follower):
    first, second = train(registry), start(registry)
    start(registry)
    follower.follow([second, first])
    assert ids(follower) == [first, second]


def test_a_look_has_the_epochs_so_far_and_knows_when_the_last_one_arrived(registry, follower):
    run_id = start(registry)
    epochs = make_epochs(3)
    registry.record(run_id, epochs[0])
    (seen,) = follower.look(at(0))
    assert ([epoch.epoch for epoch in seen.epochs], seen.arrived) == ([1], None)
    registry.record(run_id, epochs[1])
    registry.record(run_id, epochs[2])
    (seen,) = follower.look(at(5))
    assert ([epoch.epoch for epoch in seen.epochs], seen.arrived) == ([1, 2, 3], at(5))
    assert seen.epochs == tuple(
        replace(epoch, iteration_losses=(), iteration_accuracies=()) for epoch in registry.epochs(run_id)
    )
    registry.beat(run_id)
    (again,) = follower.look(at(9))
    assert (again.epochs, again.arrived) == (seen.epochs, at(5))


@pytest.mark.sqlite_file
def test_what_has_not_changed_is_not_read_again(registry, follower):
    runs = [start(registry) for _ in range(3)]
    for epoch in make_epochs(5):
        registry.record(runs[0], epoch)
    follower.look(at(0))
    said: list[str] = []
    with follower.reading() as connection:
        connection.set_trace_callback(said.append)
    before = follower.look(at(1))
    assert not [statement for statement in said if "FROM epochs" in statement or "runs.*" in statement]
    registry.record(runs[0], make_epochs(6)[5])
    said.clear()
    after = follower.look(at(2))
    assert [len(each.epochs) for each in before] == [5, 0, 0]
    assert [len(each.epochs) for each in after] == [6, 0, 0]
    assert any("epoch >= 5" in statement for statement in said)


def test_a_process_that_is_killed_is_seen_though_nothing_in_the_file_changes(registry, follower, monkeypatch):
    run_id = start(registry)
    assert [each.run.status for each in follower.look(at(0))] == [RUNNING]
    monkeypatch.setattr(Process, "is_alive", lambda *_: False)
    assert [(each.run.id, each.run.status) for each in follower.look(at(1))] == [(run_id, LOST)]
    monkeypatch.undo()  # as if another had gone on with it
    assert [each.run.status for each in follower.look(at(2))] == [RUNNING]


def test_a_run_that_goes_on_has_a_new_session_and_its_replaced_epochs_are_read_anew(registry, follower):
    run_id = start(registry)
    epochs = make_epochs(4)
    for epoch in epochs[:3]:
        registry.record(run_id, epoch, WEIGHTS if epoch.epoch == 1 else None)
        follower.look(at(epoch.epoch))
    registry.end(run_id, INTERRUPTED)
    registry.go_on(run_id, epochs=50, environment=ENVIRONMENT)
    (seen,) = follower.look(at(10))
    assert (seen.session.number, seen.session.first_epoch, seen.arrived) == (2, 2, None)
    registry.record(run_id, replace(epochs[1], train_loss=9.0))
    (seen,) = follower.look(at(11))
    assert ([epoch.train_loss for epoch in seen.epochs], seen.arrived) == ([epochs[0].train_loss, 9.0], at(11))


def test_a_run_that_was_purged_is_gone_and_the_run_with_its_key_is_another(registry, follower):
    first = start(registry)
    registry.record(first, make_epochs(1)[0])
    assert ids(follower) == [first]
    sql(registry.path, "DELETE FROM epochs", "DELETE FROM sessions", "DELETE FROM trainings")
    with Registry(registry.path) as other:
        second = start(other)
        (seen,) = follower.look(at(1))
        assert (seen.run.id, seen.epochs, seen.arrived) == (second, (), None)
        sql(registry.path, "DELETE FROM sessions", "DELETE FROM trainings")
        assert ids(follower, 2) == []


def test_the_end_of_a_run_has_its_test_accuracy(registry, follower):
    card = make_card()
    run_id = start(registry, card=card)
    registry.record(run_id, make_epochs(1)[0])
    assert ids(follower) == [run_id]
    registry.finish(run_id, make_evaluation(card), card, WEIGHTS)
    (seen,) = follower.look(at(1))
    assert (seen.run.status, seen.run.test_accuracy) == (FINISHED, registry.run(run_id).test_accuracy)


@pytest.mark.parametrize("elsewhere", ["host = 'another'", "boot = 'another'"])
def test_a_run_that_cannot_be_seen_is_lost_after_a_silence_that_the_follower_has_watched(
    registry, follower, elsewhere, monkeypatch
):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    run_id = start(registry)
    sql(registry.path, f"UPDATE sessions SET {elsewhere}, heartbeat_at = '2001-01-01T00:00:00.000+00:00'")
    follower.follow([run_id])

    def status(*, after: float) -> str:
        until = now[0] + after
        while True:
            (each,) = follower.look(at(0))
            assert each.run.last_seen
            if now[0] == until:
                return each.run.status
            now[0] = min(now[0] + 5, until)

    assert status(after=0) == RUNNING  # however old its last sign of life is
    assert status(after=SILENT_SECONDS - 1) == RUNNING
    sql(registry.path, "UPDATE sessions SET heartbeat_at = '2001-01-01T00:00:20.000+00:00'")
    assert status(after=SILENT_SECONDS - 1) == RUNNING
    assert status(after=2) == LOST
    sql(registry.path, "UPDATE sessions SET heartbeat_at = '2001-01-01T00:00:40.000+00:00'")
    assert status(after=0) == RUNNING
