"""A sweep's progress: one live display of all runs on a terminal, otherwise one line per finished run.

The display is drawn from the registry, which every worker writes to, so it also shows runs on other machines.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol, Self

from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from kws.errors import RegistryError, UnavailableError
from kws.recipe import Recipe
from kws.registry.location import Location
from kws.registry.polling import Followed, Follower
from kws.registry.runs import FAILED, RUNNING
from kws.sweeps.scheduler import Ended
from kws.terminal import console
from kws.terminal.console import duration, percent, visible

_LOOK_SECONDS, _PING_SECONDS = 0.5, 5.0  # between two looks into the registry, with a display and without
_AWAY_SECONDS, _AGAIN_SECONDS = 5.0, 60.0  # for how long it may be away before that is said, and said again
_TELL_SECONDS = 30.0  # between two messages about the same run
_MOST_ROWS = 16  # runs shown at once
_LABEL = 1  # its column
_WITH_BARS = 80  # terminals with at least this many columns have room for bars


class SweepProgress:
    """Draws the progress of `total` runs; `tell` gives the label of a run's recipe.

    expect() names the runs to draw. `seconds` is the estimated time for all of them. `waiting` says what else the sweep
    is waiting for. It says that the registry is away where `tells_away` is so: the workers cannot, or none works.
    """

    def __init__(
        self,
        total: int,
        db: Location,
        tell: Callable[[Recipe], str],
        seconds: float | None = None,
        *,
        tells_away: Callable[[], bool] = lambda: True,
    ) -> None:
        self._total, self._db, self._tell, self._estimate = total, db, tell, seconds
        self._tells_away = tells_away
        self._weights: dict[str, float] = {}
        self.waiting = ""
        self._console = console.err()
        self._live: Live | None = None
        self._registry: Follower | None = None
        self._done, self._failed, self._done_weight = 0, 0, 0.0
        self._start = self._looked = time.monotonic()
        self._running: list[Followed] = []
        self._away: float | None = None  # since when the registry is away, and when that was last said
        self._told_away: float | None = None

    def __enter__(self) -> Self:
        if self._console.is_interactive and self._total:
            self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
            self._live.start()
            self._draw()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
        if self._registry:
            self._registry.__exit__()

    def expect(self, recipe: Recipe, weight: float = 1.0) -> None:
        """Draw this recipe's run while it trains; `weight` is its expected duration relative to the others."""
        self._weights[recipe.digest] = weight

    def forget(self, recipe: Recipe) -> None:
        """Expect a recipe's run no longer."""
        self._weights.pop(recipe.digest, None)

    def ended(self, ended: Ended) -> None:
        """Report that a run has ended, and how."""
        self._done += 1
        self._done_weight += self._weights.get(ended.recipe.digest, 1.0)
        self._failed += ended.result["status"] == FAILED
        text = visible(f"{self._done}/{self._total} {named(ended, self._tell)} {_outcome(ended)}")
        if self._live:
            console.paragraph(self._live.console, text)
            self._draw()
        else:
            console.say(text)
        for told in ended.result.get("notes", ()):
            self.note(told)

    def note(self, text: str) -> None:
        """Print a message above the display."""
        if self._live:
            console.paragraph(self._live.console, visible(text))
        else:
            console.say(visible(text))

    def passed(self) -> None:
        """Poll the registry if it is time to, and redraw; call this regularly."""
        if time.monotonic() - self._looked <= (_LOOK_SECONDS if self._live else _PING_SECONDS):
            return
        self._looked = time.monotonic()
        try:
            if not self._registry:
                self._registry = Follower(self._db)
                self._registry.database.again_seconds = 0.0
            self._look(self._registry)
        except UnavailableError as error:
            if self._tells_away():
                self._tell_away(error)
        except RegistryError:  # read only: whoever writes to the registry reports what is wrong
            pass
        else:
            if self._told_away:
                self.note("the registry is back")
            self._away = self._told_away = None
        if self._live:
            self._draw()

    def _look(self, registry: Follower) -> None:
        if not self._live:
            registry.version()
            return
        self._running = [
            each
            for each in registry.look(datetime.now(UTC))
            if each.run.status == RUNNING and each.run.recipe.digest in self._weights
        ]

    def _tell_away(self, error: UnavailableError) -> None:
        """Say that the registry is away once it has been for some seconds, and then now and then."""
        now = time.monotonic()
        self._away = self._away or now
        if now - self._away > _AWAY_SECONDS and now - (self._told_away or float("-inf")) > _AGAIN_SECONDS:
            self._told_away = now
            self.note(f"note: {error.what}; runs go on, and are recorded when it is back")

    def _draw(self) -> None:
        assert self._live
        parts = [f"{self._done} of {self._total} runs", f"{len(self._running)} running"]
        parts += [f"{self._failed} failed"] if self._failed else []
        parts += [self.waiting] if self.waiting else []
        share = self._share()
        parts += [left] if (left := self._left(share)) else []
        bars = self._console.width >= _WITH_BARS
        summary = Table.grid(padding=(0, 1))
        summary.add_row(
            *[ProgressBar(total=1.0, completed=share, width=30, **console.BAR_STYLES)] * bars, Text(", ".join(parts))
        )
        rows = Table.grid(padding=(0, 1))
        for place in range(4 + bars):
            rows.add_column(no_wrap=place != _LABEL)  # the label alone gives way where there is no room
        for each in self._running[:_MOST_ROWS]:
            recipe, last = each.run.recipe, each.epochs[-1] if each.epochs else None
            accuracy = f"validation {percent(last.validation_accuracy)}" if last else "starting"
            rows.add_row(
                Text(f"run {each.run.id}"),
                Text(visible(self._tell(recipe)), no_wrap=True, overflow="ellipsis"),
                *[ProgressBar(total=recipe.epochs, completed=len(each.epochs), width=16, **console.BAR_STYLES)] * bars,
                Text(f"epoch {len(each.epochs)}/{recipe.epochs}"),
                Text(accuracy),
            )
        self._live.update(Group(rows, summary), refresh=True)

    def _share(self) -> float:
        """The fraction of all work that is done, by weight."""
        begun = sum(
            self._weights[each.run.recipe.digest] * len(each.epochs) / each.run.recipe.epochs for each in self._running
        )
        unknown = max(self._total - len(self._weights), 0)  # runs of a search whose recipes are not drawn yet
        return min((self._done_weight + begun) / (sum(self._weights.values()) + unknown), 1.0)

    def _left(self, share: float) -> str:
        """The time left: a blend that moves from the initial estimate to the measured rate as work gets done."""
        spent = time.monotonic() - self._start
        at_this_rate = spent * (1 - share) / share if share > 0.02 else None
        if self._estimate is None:
            left = at_this_rate
        else:
            left = max(self._estimate - spent, 0.0)
            if at_this_rate is not None:
                left = share * at_this_rate + (1 - share) * left
        return f"about {duration(left)} left" if left else ""


class WaitsForOthers(Protocol):
    """What waits for runs that other processes train: for how many, and which of them cannot be seen from here.

    `unseen` has by run id the time of the last sign of life, and in how many seconds the run is resumed here unless
    another sign comes.
    """

    elsewhere: int
    unseen: Mapping[str, tuple[str, float]]


@dataclass
class Waiting:
    """Says which runs of other processes are waited for: of each that cannot be seen at once, and then now and then."""

    _told: dict[str, tuple[str, float]] = field(default_factory=dict)

    def tell(self, who: WaitsForOthers, shown: SweepProgress) -> None:
        """Say what is new."""
        shown.waiting = f"waiting for {who.elsewhere} that other processes train" if who.elsewhere else ""
        for run, (last_seen, left) in who.unseen.items():
            seen, until = self._told.get(run, ("", 0.0))
            if seen == last_seen and left > until - _TELL_SECONDS:
                continue
            self._told[run] = last_seen, left
            if seen != last_seen:
                shown.note(
                    f"run {run} is recorded as running where it cannot be seen from here, last seen at {last_seen}; "
                    f"it is resumed here after {left:.0f} s without another sign of life"
                )
            elif left:
                shown.note(f"no other sign of run {run} yet; waiting {left:.0f} s more for one")


def named(ended: Ended, tell: Callable[[Recipe], str]) -> str:
    """A run's id, if it has one, and its recipe's label."""
    run = ended.result.get("run")
    return f"run {run} ({tell(ended.recipe)})" if run else tell(ended.recipe)


def _outcome(ended: Ended) -> str:
    result = ended.result
    if result["status"] == FAILED:
        return f"failed: {result['error']}"
    parts = [result["status"] if not result.get("before") else f"{result['status']} elsewhere"]
    for split in ("test", "validation"):
        if (accuracy := result.get(f"{split}_accuracy")) is not None:
            parts.append(f"{split} accuracy {percent(accuracy)}")
            break
    parts += [duration(result["seconds"])] if result.get("seconds") else []
    return ", ".join(parts)
