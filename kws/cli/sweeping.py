"""A sweep from its plan to its end: shown first, then trained by an engine, then told what failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import typer

from kws.recipe import Recipe
from kws.registry.location import Location
from kws.registry.reader import RegistryReader
from kws.registry.runs import FAILED
from kws.reports.json_output import SCHEMA
from kws.sweeps.plan import expand
from kws.sweeps.progress import Shown, named
from kws.sweeps.scheduler import Ended, Executor, Line, result_of, wait
from kws.sweeps.status import Kind, Standing
from kws.sweeps.trainer import as_task
from kws.terminal import console
from kws.terminal.console import duration, visible
from kws.training.stopping import Stopped, stoppable

_TELL_SECONDS = 30.0  # between two words about the same run
_TIMED_KINDS = 4  # kinds of runs that are timed before the first sweep of them


def rehearse(axes: Mapping[str, Sequence[Any]], jobs: int, db: Location | None, *, retry: bool, json: bool) -> None:
    """Show the plan. Raises RecipeError for one that cannot be."""
    standing = Standing.of(expand(axes), db)
    _show(standing, jobs, "", standing.estimate(jobs, {}, retry=retry))
    if json:
        _print(standing, {}, dry_run=True)


def run(
    axes: Mapping[str, Sequence[Any]],
    engine: Executor,
    db: Location,
    *,
    new: bool,
    retry: bool,
    fail_fast: bool,
    json: bool,
) -> None:
    """Show the plan, then train what is left of it; ends with exit code 1 where runs failed.

    `new` is whether the registry is not there yet; the engine makes it. Raises RecipeError for a plan that cannot be.
    """
    ended: dict[Recipe, Ended] = {}
    standing = Standing(plan=(), alike=(), found=(), seconds_an_epoch={}, tell=str)
    stopped: Stopped | None = None
    try:
        with stoppable(), engine:
            standing, timed = _look(engine, expand(axes), None if new else db, retry=retry)
            seconds = standing.estimate(engine.jobs, timed, retry=retry)
            _show(standing, engine.jobs, engine.where, seconds)
            line = Line(engine, standing.left(retry=retry), standing.fingerprints)
            waiting = _Waiting()
            with Shown(len(line.plan), db, standing.tell, seconds) as shown:
                for recipe in line.plan:
                    shown.expect(recipe, standing.seconds(recipe, timed) or float(recipe.epochs))
                for each in line.ended():
                    if each is None:
                        waiting.tell(line, shown)
                        shown.passed()
                        continue
                    ended[each.recipe] = each
                    shown.ended(each)
                    if fail_fast and each.result["status"] == FAILED:
                        break
    except KeyboardInterrupt as stop:
        stopped = Stopped(stop)
        console.say("the sweep was interrupted; the same command goes on with it")
    _tell_untested(db, [*(run.id for run in standing.found if run), *(e.result.get("run") for e in ended.values())])
    failed = _failed_before(standing, retry) + [e for e in ended.values() if e.result["status"] == FAILED]
    _tell_failed(failed, standing.tell)
    if stopped:
        raise stopped
    if json:
        _print(standing, ended, dry_run=False)
    if failed:
        raise typer.Exit(1)


@dataclass
class _Waiting:
    """What a sweep says of the runs that it waits for: of each that cannot be seen at once, and then now and then."""

    _told: dict[str, tuple[str, float]] = field(default_factory=dict)

    def tell(self, line: Line, shown: Shown) -> None:
        """Say what is new."""
        others = line.elsewhere
        shown.waiting = f"waiting for {others} that other processes train" if others else ""
        for run, (last_seen, left) in line.unseen.items():
            seen, until = self._told.get(run, ("", 0.0))
            if seen == last_seen and left > until - _TELL_SECONDS:
                continue
            self._told[run] = last_seen, left
            if seen != last_seen:
                shown.note(
                    f"run {run} runs where it cannot be seen from here, last seen at {last_seen}; "
                    f"it is gone on with if it gives no sign of life for {left:.0f} s"
                )
            elif left:
                shown.note(f"no other sign of run {run} yet; waiting {left:.0f} s more for one")


def _look(
    engine: Executor, plan: list[Recipe], db: Location | None, *, retry: bool
) -> tuple[Standing, dict[Kind, float]]:
    """Where the plan stands, its data known, and the seconds an epoch of runs of which none has finished yet."""
    first, *others = {(recipe.data, recipe.words): recipe for recipe in reversed(plan)}.items()
    engine.submit(as_task(first[1], do="probe"))  # while it does, the registry is read
    standing = Standing.of(plan, db)
    fingerprints = {first[0]: wait(engine)["fingerprint"]}
    fingerprints |= {of: result_of(engine, "probe", recipe)["fingerprint"] for of, recipe in others}
    standing = standing.on(fingerprints)
    untimed = standing.untimed(retry=retry)
    if len(untimed) > _TIMED_KINDS:
        return standing, {}
    return standing, {kind: result_of(engine, "time", recipe)["seconds"] for kind, recipe in untimed.items()}


def _show(standing: Standing, jobs: int, where: str, seconds: float | None) -> None:
    for line in standing.lines(jobs, where):
        console.say(line)
    if seconds is None:
        console.say("estimated time: unknown until a run of each network has been timed")
    elif seconds:
        console.say(f"estimated time: {duration(seconds)}")


def _failed_before(standing: Standing, retry: bool) -> list[Ended]:
    """The plan's runs that failed earlier and are left alone."""
    return [
        Ended(recipe=recipe, result={"status": FAILED, "run": run.id, "error": run.error, "before": True})
        for recipe, run in zip(standing.plan, standing.found, strict=True)
        if run and run.status == FAILED and not retry
    ]


def _tell_failed(failed: list[Ended], tell: Callable[[Recipe], str]) -> None:
    for each in failed:
        console.say(visible(f"failed: {named(each, tell)}: {each.result['error']}"))
    if any(each.result.get("before") for each in failed):
        console.say("runs that failed before were left alone; --retry trains them again")
    elif failed:
        console.say("the same command with --retry trains what failed again")


def _tell_untested(db: Location, ids: Iterable[str | None]) -> None:
    """Say how many of these runs are finished but not tested: a search's trials, or those of a --no-test."""
    asked = set(ids) - {None}
    if not asked:
        return
    with RegistryReader(db) as registry:
        untested = [run.id for run in registry.runs() if run.id in asked and run.awaits_test]
    if untested:
        these = "1 of these runs is" if len(untested) == 1 else f"{len(untested):,} of these runs are"
        console.say(f"note: {these} finished and not tested; `kws test {untested[0]}` tests one")


def _print(standing: Standing, ended: Mapping[Recipe, Ended], *, dry_run: bool) -> None:
    runs: list[dict[str, Any]] = []
    for at, recipe in enumerate(standing.plan):
        known, now = standing.found[at], ended.get(recipe)
        result = now.result if now else {}
        about = ("arch", "opt", "seed", "learning_rate", "batch_size", "epochs")
        runs.append(
            {
                "run": result.get("run") or (known.id if known else None),
                "status": result.get("status") or standing.state(at),
                "error": result.get("error") if now else known.error if known else None,
                **{name: getattr(recipe, name) for name in about},
            }
        )
    console.print_json({"schema": SCHEMA, "dry_run": dry_run, "runs": runs})
