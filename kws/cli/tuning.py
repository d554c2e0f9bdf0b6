"""A search from its space to its best recipe: trials trained by an executor, told and shown as they end."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from kws.errors import KwsError, RecipeError, needs
from kws.recipe import BY_OPTION, Recipe, kind_of, names, option_of
from kws.recipe.parts import refusal
from kws.registry import tracked
from kws.registry.location import Location
from kws.registry.opening import is_new
from kws.registry.patience import Patience
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, STATUSES
from kws.registry.selection import Selection
from kws.reports import labels
from kws.reports.json_output import SCHEMA
from kws.sweeps import executors
from kws.sweeps.plan import several
from kws.sweeps.scheduler import result_of
from kws.sweeps.trainer import WorkerConfig
from kws.terminal import console
from kws.terminal.console import percent, visible
from kws.terminal.quiet import insist
from kws.training.stopping import Stopped, stoppable

if TYPE_CHECKING:
    from kws.sweeps.search import Space

_ENDS = (FINISHED, "pruned", *(status for status in STATUSES if status != FINISHED))


def run(
    *,
    arch: str,
    opts: list[str],
    ranges: Mapping[str, str],
    fixed: Mapping[str, Any],
    only_given: bool,
    trials: int,
    random: bool,
    prune: bool,
    jobs: int | None,
    ray: bool,
    address: str | None,
    name: str | None,
    db: Location,
    skip_unreadable: bool,
    patience: float,
    checkpoints: str | None,
    weights: str | None,
    json: bool,
) -> None:
    """Search until there are so many trials, and show the best. Raises KwsError where Optuna is not installed."""
    try:
        from kws.sweeps.search import Search
    except ImportError:
        raise KwsError(needs("kws tune", "optuna")) from None
    is_new(db)  # fail early if the registry is not writable
    if told := tracked.note(db):
        console.say(console.visible(told))
    space = _space(arch, opts, ranges, fixed, only_given=only_given)
    if only_given and not space.searched:
        raise RecipeError("there is nothing to search; give a range beside --preset, as in --learning-rate 0.001:0.01")
    from kws.sweeps.trials import Trials

    here = {name: [fixed[name]] for name in ("threads", "device")}
    about: dict[str, Any] = {"patience": patience, "checkpoints": checkpoints, "weights": weights}
    config = WorkerConfig.here(db, skip_unreadable=skip_unreadable, test=False, **about)
    try:
        with stoppable(), executors.choose(config, jobs, here, ray=ray, address=address) as executor:
            first = Recipe.of(ignoring=True, **{**space.fixed, "opt": opts[0]})
            fingerprint = result_of(executor, "probe", first)["fingerprint"]
            tag = space.tag(name, fingerprint, fixed["seed"])
            search = Search(space, random=random, prune=prune, seed=fixed["seed"], epochs=fixed["epochs"])
            Trials(executor, search, db, tag, fingerprint, patience=patience).until(trials)
    except KeyboardInterrupt as stop:
        insist("the search was interrupted; the same command goes on with it")
        raise Stopped(stop) from None
    Patience(patience, say=insist).through(partial(_tell, db, tag, space, fingerprint, json=json))


def _space(
    arch: str, opts: list[str], ranges: Mapping[str, str], fixed: Mapping[str, Any], *, only_given: bool = False
) -> Space:
    """Where is searched: the ranges given, and unless `only_given` those that options declare.

    What has one value is no matter of a search. Raises RecipeError for a range or a value that cannot be, and for one
    that none of the optimizers takes.
    """
    from optuna.distributions import CategoricalDistribution

    from kws.sweeps import search

    searched: dict[str, Any] = {"opt": CategoricalDistribution(opts)}
    parts = {name: [value] for name, value in fixed.items() if name in BY_OPTION}
    parts |= {name: several(name, text) for name, text in ranges.items() if name in BY_OPTION}
    parts |= {"arch": [arch], "opt": opts}
    for name in names():
        kind = kind_of(name)
        choices = [{kind.option: each} for each in parts.get(kind.option, [None])] if kind else [{}]
        option = next(filter(None, (option_of(name, each) for each in choices)), None)
        if name in ranges or (option and option.search and not only_given):
            text = ranges.get(name, option.search if option else "")
            searched[name] = search.values(name, text, option)
            if kind and option is None:
                raise refusal(name, text, kind.chosen(choices[0]))
        if name in searched and search.is_linear(name, searched[name]):
            console.say(f"note: {name.replace('_', ' ')} is drawn evenly, and not by powers of ten, for it begins at 0")
    same = {name: search.only_value(d) for name, d in searched.items() if d.single()}
    space = search.Space(
        searched={name: d for name, d in searched.items() if name not in same}, fixed={**fixed, **same, "arch": arch}
    )
    # What cannot be is told before the work.
    Recipe.of(ignoring=True, **{"opt": opts[0], "batch_size": 1, **space.fixed})
    return space


def _tell(db: Location, tag: str, space: Space, fingerprint: str, *, json: bool) -> None:
    """The best trials, what became of the others, and what to type next."""
    from kws.sweeps.search import score
    from kws.sweeps.trials import of_search, state

    with RegistryReader(db) as registry:
        runs = of_search(registry.runs(Selection(tags=(tag,))), space, fingerprint)
        scores = {
            run.id: score(run.recipe, registry.validation_accuracies(run.id)) for run in runs if run.status == FINISHED
        }
    ranked = sorted((run for run in runs if run.id in scores), key=lambda run: -scores[run.id])
    best = ranked[0] if ranked else None
    if json:
        console.print_json(
            {
                "schema": SCHEMA,
                "tag": tag,
                "best": best.id if best else None,
                "trials": [
                    {
                        "run": run.id,
                        "status": state(run),
                        "validation_accuracy": scores.get(run.id),
                        "epochs": run.epochs_done,
                        **{name: run.recipe.values.get(name) for name in (*space.searched, *space.fixed)},
                    }
                    for run in runs
                ],
            }
        )
        return
    counts = Counter(map(state, runs))
    ended = ", ".join(f"{counts[each]} {each}" for each in _ENDS if counts[each])
    if best is None:
        raise KwsError(f"no trial was finished ({ended}); look at `kws runs list --tag {tag}`, or search elsewhere")
    insist(
        f"best of {len(runs)} trials ({ended}): run {best.id}, "
        f"validation accuracy {percent(scores[best.id])}, {visible(labels.of_trial(best.recipe))}"
    )
    insist(f"next: {_command(best.recipe)}")


def _command(recipe: Recipe) -> str:
    """The sweep that says what a recipe is worth: over seeds that the search did not see."""
    seeds = ",".join(str(recipe.seed + more) for more in range(1, 6))
    return shlex.join(["kws", "sweep", *recipe.arguments(without=("seed",), switches=False), "--seeds", seeds])
