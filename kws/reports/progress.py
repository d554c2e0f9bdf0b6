"""The progress of runs while they train: one line of facts per run, and the time that is left.

Decisions:
- An epoch is expected to take the mean of the last ten, those of this session if it has any: a run may continue
  elsewhere, or beside others.
- The time left is that of the remaining epochs, less the time since the last one. A late epoch counts as about to end.
  A very late one makes the run stalled: then the time left is unknown, and none is reported.
- A session that resumes from a checkpoint repeats epochs that are already recorded. Until it has passed them, progress
  is counted from where the session began.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from kws.recipe import NETWORK, OPTIMIZER, last_epoch
from kws.registry.polling import Followed, Session
from kws.registry.process import HEARTBEAT_SECONDS
from kws.registry.runs import RUNNING, Epoch, Run

RECENT = 10  # epochs whose mean duration is the expected one
LATE_SECONDS = 10.0  # an epoch must be at least this late for its run to be stalled
LATE_TIMES = 2.0  # and this many times the longest of the recent ones


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A run's line: how far it is, and how long it will take.

    `epochs` are those recorded, and `last` is the last of them. `seconds_an_epoch` is None before the first one; so is
    `seconds_left`, which is also None if the run is stalled or at its end. `seconds_silent` is how long no epoch has
    come, for a running run, and None for others.
    """

    run: Run
    epochs: tuple[Epoch, ...]
    seconds_an_epoch: float | None
    seconds_left: float | None
    seconds_silent: float | None
    stalled: bool

    @property
    def running(self) -> bool:
        """Whether a process is training it."""
        return self.run.status == RUNNING

    @property
    def last(self) -> Epoch | None:
        """The last epoch recorded."""
        return self.epochs[-1] if self.epochs else None

    @property
    def fraction(self) -> float:
        """The share of its epochs that is recorded, in [0, 1]; 1 after the epoch in which its own rule ends it."""
        return min((self.last.epoch if self.last else 0) / _planned(self.run, self.epochs), 1.0)

    @property
    def network(self) -> str:
        """The network's title in Table 1."""
        return NETWORK.title(self.run.recipe.arch)

    @property
    def optimizer(self) -> str:
        """The optimizer's title in Table 1."""
        return OPTIMIZER.title(self.run.recipe.opt)


def progress(followed: Followed, now: datetime) -> Progress:
    """The progress of a followed run at `now`."""
    run, epochs, session = followed.run, followed.epochs, followed.session
    own = [epoch for epoch in epochs if session is None or epoch.epoch >= session.first_epoch]
    passed = followed.arrived is not None or _has_passed(own, session)
    recent = [epoch.seconds for epoch in (own if own and passed else epochs)[-RECENT:]]
    mean = sum(recent) / len(recent) if recent else None
    left = silent = None
    stalled = False
    if run.status == RUNNING and session:
        from_epoch, since = _anchor(epochs, own, session, followed.arrived, passed, mean)
        silent = max((now - since).total_seconds(), 0.0)
        if mean is not None:
            done, planned = epochs[-1].epoch, _planned(run, epochs)
            awaited = min(done + 1, planned) - from_epoch  # epochs from there to the next new one; 0 during the test
            late = silent - awaited * mean
            stalled = awaited > 0 and late > max(LATE_SECONDS, LATE_TIMES * max(recent))
            if awaited > 0 and not stalled:
                left = max((planned - from_epoch) * mean - silent, (planned - done - 1) * mean, 0.0)
    return Progress(
        run=run, epochs=epochs, seconds_an_epoch=mean, seconds_left=left, seconds_silent=silent, stalled=stalled
    )


def _planned(run: Run, epochs: Sequence[Epoch]) -> int:
    """The last epoch of a run: the one in which its own rule has ended it, else as many as its recipe has."""
    return last_epoch(run.recipe, [epoch.validation_accuracy for epoch in epochs]) or run.recipe.epochs


def _has_passed(own: Sequence[Epoch], session: Session | None) -> bool:
    """Whether this session made all epochs from its first one on: it has been alive for as long as they took.

    If not, they are an earlier session's, and this session has yet to repeat them.
    """
    if session is None or not own:
        return True
    alive = (session.heartbeat - session.started).total_seconds()
    return 0.99 * sum(epoch.seconds for epoch in own) <= alive  # durations are rounded to milliseconds


def _anchor(
    epochs: Sequence[Epoch],
    own: Sequence[Epoch],
    session: Session,
    arrived: datetime | None,
    passed: bool,
    mean: float | None,
) -> tuple[int, datetime]:
    """The epoch that this session is known to have ended last (0 for none), and when."""
    if arrived is not None:
        return epochs[-1].epoch, arrived
    if not own or not passed:
        return session.first_epoch - 1, session.started
    if mean is not None and mean > HEARTBEAT_SECONDS:  # the heartbeat may fall within an epoch
        took = sum(epoch.seconds for epoch in own)
        return epochs[-1].epoch, min(session.started + timedelta(seconds=took), session.heartbeat)
    return epochs[-1].epoch, session.heartbeat


def summary(rows: Sequence[Progress]) -> str:
    """The number of runs, in all and by status: "3 runs: 2 running, 1 lost"."""
    counts: dict[str, int] = {}
    for row in rows:
        counts[row.run.status] = counts.get(row.run.status, 0) + 1
    told = ", ".join(f"{count} {status}" for status, count in counts.items())
    return f"{len(rows)} run{'' if len(rows) == 1 else 's'}: {told}" if rows else "no run"


def series(epochs: Sequence[Epoch], field: str) -> list[tuple[float, float]]:
    """A curve's points: epoch and value of `field` ("validation_accuracy" ...), finite values only."""
    points = ((float(epoch.epoch), float(getattr(epoch, field))) for epoch in epochs)
    return [point for point in points if math.isfinite(point[1])]
