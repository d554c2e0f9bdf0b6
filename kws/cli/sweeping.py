"""A plan on its way: what of it is there, how long the rest may take, and training it.

Before the data is read, runs are known by the name of their data, which is what --dry-run goes by; then by its
fingerprint. The estimate is the mean time an epoch of finished runs with the same network, data and threads.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import typer

from kws import display
from kws.cli.pool import Pool
from kws.cli.session import Terminated, stoppable
from kws.display import duration, percent, visible
from kws.recipe import Recipe
from kws.registry.claims import Key, Known, key_of, known_runs
from kws.registry.connection import is_new
from kws.registry.reader import RegistryReader
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, RUNNING
from kws.reports.records import SCHEMA

_NEW = "new"
_ABOUT = {
    FINISHED: "finished", RUNNING: "running elsewhere", INTERRUPTED: "to go on with", FAILED: "failed before",
    _NEW: "new",
}  # fmt: skip


def run(
    plan: list[Recipe],
    *,
    jobs: int,
    db: Path,
    dry_run: bool,
    retry: bool,
    fail_fast: bool,
    skip_unreadable: bool,
    json: bool,
) -> None:
    """Show the plan, then train what is left of it; ends with exit code 1 where runs failed."""
    known = _read(db)
    if dry_run:
        found = [_find(known, recipe, None) for recipe in plan]
        _show(plan, found, known, jobs)
        if json:
            _print(plan, found, {}, dry_run=True)
        return
    ended: dict[Recipe, dict[str, Any]] = {}
    stopped: int | None = None
    found = []
    try:
        with stoppable(), Pool(jobs, db=db, retry=retry, skip_unreadable=skip_unreadable) as pool:
            fingerprint = pool.fingerprint(plan[0])
            found = [_find(known, recipe, fingerprint) for recipe in plan]
            _show(plan, found, known, jobs)
            left = []
            for recipe, run in zip(plan, found, strict=True):
                if run and run.status == FAILED and not retry:
                    ended[recipe] = {"status": FAILED, "run": run.id, "error": run.error, "before": True}
                elif not (run and run.status == FINISHED):
                    left.append(recipe)
            with _Shown(len(left), pool) as shown:
                for recipe, answer in pool.train(left) if left else ():
                    ended[recipe] = answer
                    shown.show(recipe, answer)
                    if fail_fast and answer["status"] == FAILED:
                        break
    except KeyboardInterrupt as stop:
        stopped = 143 if isinstance(stop, Terminated) else 130
        display.say("the sweep was interrupted; the same command goes on with it")
    failed = [(recipe, answer) for recipe, answer in ended.items() if answer["status"] == FAILED]
    for recipe, answer in failed:
        display.say(visible(f"failed: {_who(recipe, answer)}: {answer.get('error')}"))
    if any(answer.get("before") for _, answer in failed):
        display.say("runs that failed before are left alone; --retry trains them again")
    if json and stopped is None:
        _print(plan, found, ended, dry_run=False)
    if stopped or failed:
        raise typer.Exit(stopped or 1)


def _read(db: Path) -> dict[Key, list[Known]]:
    if is_new(db):
        return {}
    with RegistryReader(db) as registry:
        return known_runs(registry)


def _find(known: dict[Key, list[Known]], recipe: Recipe, fingerprint: str | None) -> Known | None:
    """The equal run that is furthest, on the data of that fingerprint, or of that name where there is none yet."""
    for run in known.get(key_of(recipe), ()):
        if (run.data == recipe.data) if fingerprint is None else (run.fingerprint == fingerprint):
            return run
    return None


def _group(run: Known | None) -> str:
    return _NEW if run is None else INTERRUPTED if run.status == LOST else run.status


def _show(plan: list[Recipe], found: list[Known | None], known: dict[Key, list[Known]], jobs: int) -> None:
    counts = Counter(_group(run) for run in found)
    parts = ", ".join(f"{counts[group]:,} {about}" for group, about in _ABOUT.items() if counts[group])
    display.say(f"plan: {len(plan):,} runs ({parts}), {jobs} at once")
    if len(plan) <= 40:
        for recipe, run in zip(plan, found, strict=True):
            display.say(visible(f"  {_what(recipe)}: {f'run {run.id}, ' if run else ''}{_ABOUT[_group(run)]}"))
    left = [recipe for recipe, run in zip(plan, found, strict=True) if _group(run) in (_NEW, INTERRUPTED)]
    if left:
        seconds = _estimate(left, known, jobs)
        display.say(f"estimated time: {'unknown' if seconds is None else duration(seconds)}")


def _estimate(left: list[Recipe], known: dict[Key, list[Known]], jobs: int) -> float | None:
    """Seconds that these may take; None where there is no finished run to go by for one of them."""
    spent: dict[tuple[str, str, int], list[float]] = {}
    for runs in known.values():
        for run in runs:
            if run.status == FINISHED:
                sums = spent.setdefault((run.arch, run.data, run.threads), [0.0, 0.0])
                sums[0] += run.seconds
                sums[1] += run.epochs
    total = 0.0
    for recipe in left:
        sums = spent.get((recipe.arch, recipe.data, recipe.threads), [0.0, 0.0])
        if not sums[1]:
            return None
        total += recipe.epochs * sums[0] / sums[1]
    return total / min(jobs, len(left))


def _what(recipe: Recipe) -> str:
    return (
        f"{recipe.arch}, {recipe.opt}, seed {recipe.seed}, learning rate {recipe.learning_rate:g}, "
        f"batch size {recipe.batch_size}, {recipe.epochs} epochs"
    )


def _who(recipe: Recipe, answer: dict[str, Any]) -> str:
    return f"run {answer['run']} ({_what(recipe)})" if answer.get("run") else _what(recipe)


def _print(
    plan: list[Recipe], found: list[Known | None], ended: dict[Recipe, dict[str, Any]], *, dry_run: bool
) -> None:
    runs = []
    for recipe, run in zip(plan, found, strict=True):
        answer = ended.get(recipe) or ({"run": run.id, "status": run.status} if run else {})
        about = {
            name: getattr(recipe, name) for name in ("arch", "opt", "seed", "learning_rate", "batch_size", "epochs")
        }
        runs.append(
            {"run": answer.get("run"), "status": answer.get("status", _NEW), "error": answer.get("error"), **about}
        )
    display.print_json({"schema": SCHEMA, "dry_run": dry_run, "runs": runs})


class _Shown:
    """A bar on a terminal; where stderr is none, a line a run that has ended."""

    def __init__(self, count: int, pool: Pool) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = display.err()
        self._count, self._done, self._pool = count, 0, pool
        self._bar = (
            Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=console,
            )
            if console.is_terminal and count
            else None
        )

    def __enter__(self) -> _Shown:
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task("runs", total=self._count)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, recipe: Recipe, answer: dict[str, Any]) -> None:
        """Draw that a run has ended."""
        self._done += 1
        result = percent(answer.get("test_accuracy")) if answer.get("test_accuracy") is not None else ""
        text = visible(f"{_who(recipe, answer)} {answer['status']} {result}").rstrip()
        if self._bar:
            self._bar.update(self._task, advance=1, description=f"{self._pool.running} running")
            self._bar.console.print(text, soft_wrap=True)
        else:
            display.say(f"{self._done}/{self._count} {text}")
