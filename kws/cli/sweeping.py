"""A sweep from its plan to its end: shown first, then trained by an engine, then told what failed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer

from kws import display
from kws.cli.session import Terminated, stoppable
from kws.display import duration, visible
from kws.recipe import Recipe
from kws.registry.connection import is_new
from kws.registry.runs import FAILED
from kws.reports.records import SCHEMA
from kws.sweeps import standing as standings
from kws.sweeps.line import Ended, Engine, Line, ask
from kws.sweeps.pool import Pool
from kws.sweeps.shown import Shown, named
from kws.sweeps.standing import Standing, teller
from kws.sweeps.trainer import About, code_digest

_TIMED_KINDS = 4  # kinds of runs that are timed before the first sweep of them


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
    new = is_new(db)  # the engine makes one at once; a place that cannot be written is told before that
    if dry_run:
        standing = standings.standing(plan, {} if new else standings.read(db), {})
        _show(standing, jobs, standing.estimate(jobs, {}, retry=retry))
        if json:
            _print(standing, {}, dry_run=True)
        return
    about = About(
        db=str(db.absolute()),
        retry=retry,
        skip_unreadable=skip_unreadable,
        arguments=tuple(sys.argv[1:]),
        folder=str(Path.cwd()),
        code=code_digest(),
    )
    ended: dict[Recipe, Ended] = {}
    stopped: int | None = None
    standing = Standing(plan=plan, found=[None] * len(plan), seconds_an_epoch={})
    try:
        with stoppable(), Pool(jobs, about) as engine:  # which begins to import torch while the registry is read
            standing, line, seconds = _prepare(engine, plan, None if new else db, jobs, retry=retry)
            tell = teller(plan)
            with Shown(line, db, tell, seconds) as shown:
                for each in line.ended():
                    if each is None:
                        shown.passed()
                        continue
                    ended[each.recipe] = each
                    shown.ended(each)
                    if fail_fast and each.answer["status"] == FAILED:
                        break
    except KeyboardInterrupt as stop:
        stopped = 143 if isinstance(stop, Terminated) else 130
        display.say("the sweep was interrupted; the same command goes on with it")
    failed = _failed_before(standing, retry) + [e for e in ended.values() if e.answer["status"] == FAILED]
    for each in failed:
        display.say(visible(f"failed: {named(each, teller(plan))}: {each.answer.get('error')}"))
    if any(each.answer.get("before") for each in failed):
        display.say("runs that failed before were left alone; --retry trains them again")
    elif failed and stopped is None:
        display.say("the same command with --retry trains what failed again")
    if json and stopped is None:
        _print(standing, ended, dry_run=False)
    if stopped or failed:
        raise typer.Exit(stopped or 1)


def _prepare(
    engine: Engine, plan: list[Recipe], db: Path | None, jobs: int, *, retry: bool
) -> tuple[Standing, Line, float | None]:
    """Know the data, show where the plan stands, and line up what is left of it; the seconds it may take."""
    known = standings.read(db) if db else {}
    firsts = {(recipe.data, recipe.words): recipe for recipe in reversed(plan)}
    fingerprints = {of: ask(engine, "look", recipe)["fingerprint"] for of, recipe in firsts.items()}
    standing = standings.standing(plan, known, fingerprints)
    untimed = standing.untimed(retry=retry)
    timed = {}
    if len(untimed) <= _TIMED_KINDS:
        timed = {kind: ask(engine, "time", recipe)["seconds"] for kind, recipe in untimed.items()}
    seconds = standing.estimate(jobs, timed, retry=retry)
    _show(standing, jobs, seconds)
    return standing, Line(engine, standing.left(retry=retry), fingerprints), seconds


def _show(standing: Standing, jobs: int, seconds: float | None) -> None:
    for line in standing.lines(jobs):
        display.say(line)
    if seconds is None:
        display.say("estimated time: unknown until a run of each network has been timed")
    elif seconds:
        display.say(f"estimated time: {duration(seconds)}")


def _failed_before(standing: Standing, retry: bool) -> list[Ended]:
    """The plan's runs that failed earlier and are left alone."""
    return [
        Ended(recipe=recipe, answer={"status": FAILED, "run": run.id, "error": run.error, "before": True})
        for recipe, run in zip(standing.plan, standing.found, strict=True)
        if run and run.status == FAILED and not retry
    ]


def _print(standing: Standing, ended: dict[Recipe, Ended], *, dry_run: bool) -> None:
    runs: list[dict[str, Any]] = []
    for at, recipe in enumerate(standing.plan):
        known, now = standing.found[at], ended.get(recipe)
        answer = now.answer if now else {}
        runs.append(
            {
                "run": answer.get("run") or (known.id if known else None),
                "status": answer.get("status") or standing.state(at),
                "error": answer.get("error") or (known.error if known and not now else None),
                **{
                    name: getattr(recipe, name)
                    for name in ("arch", "opt", "seed", "learning_rate", "batch_size", "epochs")
                },
            }
        )
    display.print_json({"schema": SCHEMA, "dry_run": dry_run, "runs": runs})
