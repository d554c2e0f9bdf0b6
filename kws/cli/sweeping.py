"""A sweep from its plan to its end: shown first, then trained by an executor, then told what failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import typer

from kws.errors import UnavailableError
from kws.recipe import Recipe, has_rule
from kws.registry import pretrained, tracked
from kws.registry.location import Location
from kws.registry.plans import PlanWatcher
from kws.registry.reader import RegistryReader
from kws.registry.runs import FAILED
from kws.reports.json_output import SCHEMA
from kws.speech import pinning, sources
from kws.sweeps.plan import Axes, expand
from kws.sweeps.progress import SweepProgress, Waiting, named
from kws.sweeps.scheduler import Ended, Executor, Scheduler, are_silent, result_of, wait
from kws.sweeps.status import Kind, PlanStatus
from kws.sweeps.trainer import as_task
from kws.terminal import console
from kws.terminal.console import duration, visible
from kws.terminal.quiet import insist
from kws.training.stopping import Stopped, stoppable

_TIMED_KINDS = 4  # kinds of runs that are timed before the first sweep of them


def rehearse(plans: Sequence[Axes], jobs: int, db: Location | None, *, retry: bool, json: bool) -> None:
    """Show the plan. Raises RecipeError for one that cannot be."""
    recipes = expand(*plans) if db is None else pretrained.pinned(expand(*plans), db)
    # The plan of data that is not here, or not yet, is shown without the digests of its noise.
    here = {data for data in {recipe.data for recipe in recipes} if sources.is_here(data)}
    pinned = iter(pinning.of_recipes(recipe for recipe in recipes if recipe.data in here))
    status = PlanStatus.of([next(pinned) if recipe.data in here else recipe for recipe in recipes], db)
    _show(status, jobs, "", status.estimate(jobs, {}, retry=retry))
    if json:
        _print(status, {}, dry_run=True)


def run(
    plans: Sequence[Axes],
    executor: Executor,
    db: Location,
    *,
    new: bool,
    retry: bool,
    fail_fast: bool,
    json: bool,
) -> list[str]:
    """Show the plan, then train what is left of it; ends with exit code 1 where runs failed.

    Returns the ids of its runs in the order of the plan.

    `new` is whether the registry is not there yet; the executor makes it. Raises RecipeError for a plan that cannot be.
    """
    ended: dict[Recipe, Ended] = {}
    status = PlanStatus(plan=(), alike=(), found=(), seconds_an_epoch={}, tell=str)
    stopped: Stopped | None = None
    try:
        with stoppable(), executor:
            recipes = pinning.of_recipes(pretrained.pinned(expand(*plans), db))
            status, timed = _look(executor, recipes, None if new else db, retry=retry)
            seconds = status.estimate(executor.jobs, timed, retry=retry)
            _show(status, executor.jobs, executor.where, seconds)
            if (told := tracked.note(db)) and status.left(retry=retry):
                console.say(console.visible(told))
            watcher = partial(PlanWatcher, db)
            scheduler = Scheduler(executor, status.left(retry=retry), status.fingerprints, watcher)
            waiting = Waiting()
            silent = partial(are_silent, executor)
            with SweepProgress(len(scheduler.plan), db, status.tell, seconds, tells_away=silent) as shown:
                for recipe in scheduler.plan:
                    shown.expect(recipe, status.seconds(recipe, timed) or float(recipe.epochs))
                for each in scheduler.ended():
                    for line in executor.news():
                        shown.note(line)
                    if each is None:
                        waiting.tell(scheduler, shown)
                        shown.passed()
                        continue
                    ended[each.recipe] = each
                    shown.ended(each)
                    if fail_fast and each.result["status"] == FAILED:
                        break
    except KeyboardInterrupt as stop:
        stopped = Stopped(stop)
        insist("the sweep was interrupted; the same command goes on with it")
    failed = _failed_before(status, retry) + [e for e in ended.values() if e.result["status"] == FAILED]
    _tell_failed(failed, status.tell)
    if stopped:
        raise stopped
    with suppress(UnavailableError):  # all of them are recorded, and it is no more than a note
        _tell_untested(db, [*(run.id for run in status.found if run), *(e.result.get("run") for e in ended.values())])
    if json:
        _print(status, ended, dry_run=False)
    if failed:
        raise typer.Exit(1)
    return [
        run
        for recipe, known in zip(status.plan, status.found, strict=True)
        if (run := ended[recipe].result["run"] if recipe in ended else known and known.id)
    ]


def _look(
    executor: Executor, plan: list[Recipe], db: Location | None, *, retry: bool
) -> tuple[PlanStatus, dict[Kind, float]]:
    """Where the plan stands, its data known, and the seconds an epoch of runs of which none has finished yet."""
    first, *others = {recipe.data_key: recipe for recipe in reversed(plan)}.items()
    executor.submit(as_task(first[1], do="probe"))  # while it does, the registry is read
    status = PlanStatus.of(plan, db)
    fingerprints = {first[0]: wait(executor)["fingerprint"]}
    fingerprints |= {of: result_of(executor, "probe", recipe)["fingerprint"] for of, recipe in others}
    status = status.on(fingerprints)
    untimed = status.untimed(retry=retry)
    if len(untimed) > _TIMED_KINDS:
        return status, {}
    return status, {kind: result_of(executor, "time", recipe)["seconds"] for kind, recipe in untimed.items()}


def _show(status: PlanStatus, jobs: int, where: str, seconds: float | None) -> None:
    for line in status.lines(jobs, where):
        console.say(line)
    if seconds is None:
        console.say("estimated time: unknown until a run of each network has been timed")
    elif seconds:
        most = "at most " if any(map(has_rule, status.plan)) else ""
        console.say(f"estimated time: {most}{duration(seconds)}")


def _failed_before(status: PlanStatus, retry: bool) -> list[Ended]:
    """The plan's runs that failed earlier and are left alone."""
    return [
        Ended(recipe=recipe, result={"status": FAILED, "run": run.id, "error": run.error, "before": True})
        for recipe, run in zip(status.plan, status.found, strict=True)
        if run and run.status == FAILED and not retry
    ]


def _tell_failed(failed: list[Ended], tell: Callable[[Recipe], str]) -> None:
    for each in failed:
        insist(visible(f"failed: {named(each, tell)}: {each.result['error']}"))
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


def _print(status: PlanStatus, ended: Mapping[Recipe, Ended], *, dry_run: bool) -> None:
    runs: list[dict[str, Any]] = []
    for at, recipe in enumerate(status.plan):
        known, now = status.found[at], ended.get(recipe)
        result = now.result if now else {}
        about = ("arch", "opt", "seed", "learning_rate", "batch_size", "epochs")
        runs.append(
            {
                "run": result.get("run") or (known.id if known else None),
                "status": result.get("status") or status.state(at),
                "error": result.get("error") if now else known.error if known else None,
                **{name: getattr(recipe, name) for name in about},
            }
        )
    console.print_json({"schema": SCHEMA, "dry_run": dry_run, "runs": runs})
