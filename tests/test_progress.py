"""How far runs are: the time left in every state that a run can be in, by a clock of the test's own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from ledger import make_epochs, make_run, read_back

from kws.registry.polling import Followed, Session
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, RUNNING
from kws.reports.progress import progress, series, summary

START = datetime(2023, 5, 1, 10, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def epochs_of(seconds: list[float], first: int = 1):
    made = read_back(make_epochs(len(seconds), first=first))
    return tuple(replace(epoch, seconds=each) for epoch, each in zip(made, seconds, strict=True))


def followed(
    seconds: list[float],
    *,
    planned: int = 50,
    status: str = RUNNING,
    first_epoch: int = 1,
    heartbeat: float | None = None,
    arrived: float | None = None,
    **about,
) -> Followed:
    """A run whose epochs took so many seconds, and whose session began at 0."""
    return Followed(
        run=replace(make_run(status=status, epochs=planned), epochs_done=len(seconds), **about),
        epochs=epochs_of(seconds),
        session=Session(
            number=1,
            first_epoch=first_epoch,
            started=START,
            heartbeat=at(sum(seconds) if heartbeat is None else heartbeat),
        ),
        arrived=None if arrived is None else at(arrived),
    )


def test_the_time_left_is_that_of_the_epochs_to_come_less_the_time_since_the_last():
    row = progress(followed([2.0] * 10), at(20.5))
    assert (row.seconds_an_epoch, row.seconds_left, row.seconds_silent) == (2.0, 40 * 2.0 - 0.5, 0.5)
    assert (row.last.epoch, row.fraction, row.stalled) == (10, 0.2, False)


def test_an_epoch_lasts_as_long_as_the_mean_of_the_last_ten():
    row = progress(followed([100.0] * 5 + [1.0] * 5 + [3.0] * 5, planned=20), at(520))
    assert row.seconds_an_epoch == 2.0
    assert row.seconds_left == 5 * 2.0


def test_it_is_counted_from_when_the_last_epoch_was_seen_to_arrive():
    row = progress(followed([2.0] * 10, heartbeat=20, arrived=21), at(22))
    assert (row.seconds_silent, row.seconds_left) == (1.0, 40 * 2.0 - 1.0)


def test_an_epoch_that_is_late_is_about_to_end():
    row = progress(followed([2.0] * 10), at(25))
    assert (row.seconds_left, row.stalled) == (39 * 2.0, False)


def test_a_run_whose_epoch_is_very_late_is_stalled_and_nobody_knows_what_is_left():
    for seconds, silent, stalled in ((2.0, 11.9, False), (2.0, 12.1, True), (60.0, 179.0, False), (60.0, 181.0, True)):
        row = progress(followed([seconds] * 10, arrived=700), at(700 + silent))
        assert (row.stalled, row.seconds_left is None) == (stalled, stalled)
        assert row.seconds_silent == pytest.approx(silent)


def test_a_run_before_its_first_epoch_tells_for_how_long_and_nothing_else():
    row = progress(followed([], heartbeat=0), at(3_000))
    assert (row.seconds_an_epoch, row.seconds_left, row.seconds_silent) == (None, None, 3_000)
    assert (row.last, row.fraction, row.stalled) == (None, 0, False)


def test_a_run_in_its_test_has_nothing_left_and_is_not_stalled():
    row = progress(followed([2.0] * 50), at(1_000))
    assert (row.seconds_left, row.stalled, row.fraction) == (None, False, 1)


def test_a_session_that_goes_on_is_counted_by_its_own_epochs():
    slow = followed([10.0] * 20 + [2.0] * 5, planned=30, first_epoch=21, heartbeat=10)
    row = progress(slow, at(11))
    assert (row.seconds_an_epoch, row.seconds_left) == (2.0, 5 * 2.0 - 1)


def test_a_session_that_comes_again_to_epochs_it_has_is_counted_from_its_beginning():
    again = followed([2.0] * 20, planned=30, first_epoch=11, heartbeat=6)  # goes on after epoch 10, and is at the 13th
    row = progress(again, at(7))
    assert (row.last.epoch, row.seconds_left, row.stalled) == (20, 20 * 2.0 - 7, False)
    assert progress(again, at(21.5)).seconds_left == 20 * 2.0 - 21.5
    assert progress(again, at(40)).stalled
    new = replace(again, epochs=epochs_of([2.0] * 21), arrived=at(22))
    assert progress(new, at(22)).seconds_left == 9 * 2.0


def test_a_session_that_has_only_old_epochs_to_come_to_again_has_those_left():
    row = progress(followed([2.0] * 30, planned=30, first_epoch=21, heartbeat=4), at(5))
    assert (row.seconds_left, row.stalled) == (10 * 2.0 - 5, False)


def test_a_heartbeat_within_a_long_epoch_is_not_its_end():
    row = progress(followed([100.0] * 3, planned=10, heartbeat=341), at(350))
    assert (row.seconds_silent, row.seconds_left) == (50, 7 * 100.0 - 50)


def test_a_clock_that_is_behind_another_machines_makes_no_negative_times():
    row = progress(followed([2.0] * 10), at(-100))
    assert (row.seconds_silent, row.seconds_left) == (0, 40 * 2.0)


@pytest.mark.parametrize("status", [FINISHED, FAILED, INTERRUPTED, LOST])
def test_a_run_that_has_ended_has_no_time_left(status):
    row = progress(followed([2.0] * 10, status=status), at(1_000))
    assert (row.running, row.stalled, row.seconds_left, row.seconds_silent) == (False, False, None, None)
    assert row.seconds_an_epoch == 2.0


def test_a_run_from_elsewhere_has_no_session():
    row = progress(replace(followed([2.0] * 10, status=FINISHED), session=None), at(0))
    assert (row.seconds_an_epoch, row.seconds_left) == (2.0, None)


def test_runs_are_counted_by_their_status():
    rows = [progress(followed([], status=status), at(0)) for status in (RUNNING, LOST, RUNNING)]
    assert summary(rows) == "3 runs: 2 running, 1 lost"
    assert summary(rows[:1]) == "1 run: 1 running"


def test_a_curve_has_the_points_that_are_numbers():
    first, second = epochs_of([1.0, 1.0])
    epochs = (first, replace(second, train_loss=float("inf")))
    assert series(epochs, "train_loss") == [(1.0, first.train_loss)]
    assert series(epochs, "validation_accuracy") == [
        (1.0, first.validation_accuracy),
        (2.0, second.validation_accuracy),
    ]
