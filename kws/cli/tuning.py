"""A search from its space to its best recipe: trials on this machine's processes, told and shown as they end."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kws import architectures
from kws.errors import KwsError, RecipeError
from kws.recipe import Recipe
from kws.registry.location import Location
from kws.registry.opening import is_new
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, STATUSES
from kws.registry.selection import Selection
from kws.reports.json_output import SCHEMA
from kws.reports.page import recipes
from kws.sweeps.local_executor import LocalExecutor
from kws.sweeps.plan import complete, values
from kws.sweeps.scheduler import result_of
from kws.sweeps.trainer import WorkerConfig
from kws.terminal import console
from kws.terminal.console import percent, visible
from kws.training import optimizers
from kws.training.stopping import Stopped, stoppable

if TYPE_CHECKING:
    from kws.sweeps.search import Space

_ENDS = (FINISHED, "given up", *(status for status in STATUSES if status != FINISHED))
DEFAULTS = {
    "learning_rate": "0.0001:0.1",
    "batch_size": "64,128,256,512,1024",
    "weight_decay": "1e-6:0.01",
    "momentum": "0.8:0.99",
}


def chosen(opt: str, names: Sequence[str]) -> list[str]:
    """The optimizers in "sgd,adam"; raises RecipeError for one that is not known."""
    return values("opt", opt, str, names)


def run(
    *,
    arch: str,
    opts: list[str],
    ranges: Mapping[str, str | None],
    fixed: Mapping[str, Any],
    trials: int,
    random: bool,
    prune: bool,
    jobs: int,
    name: str | None,
    db: Location,
    skip_unreadable: bool,
    json: bool,
) -> None:
    """Search until there are so many trials, and show the best. Raises KwsError where Optuna is not installed."""
    try:
        from kws.sweeps.search import Search
    except ImportError:
        raise KwsError('kws tune needs Optuna, which is not installed: pip install "kws[tune]"') from None
    is_new(db)  # fail early if the registry is not writable
    space = _space(arch, opts, ranges, fixed)
    from kws.sweeps.trials import Trials

    config = WorkerConfig.here(db, skip_unreadable=skip_unreadable, test=False)
    try:
        with stoppable(), LocalExecutor(jobs, config) as engine:
            of: dict[str, Any] = {name: fixed.get(name) for name in ("data", "words", "speakers")}
            first = Recipe(arch=arch, opt=opts[0], learning_rate=0.1, **of)
            fingerprint = result_of(engine, "probe", first)["fingerprint"]
            tag = space.tag(name, fingerprint, fixed["seed"])
            search = Search(space, random=random, prune=prune, seed=fixed["seed"], epochs=fixed["epochs"])
            Trials(engine, search, db, tag, fingerprint).until(trials)
    except KeyboardInterrupt as stop:
        console.say("the search was interrupted; the same command goes on with it")
        raise Stopped(stop) from None
    _tell(db, tag, space, fingerprint, json=json)


def _space(arch: str, opts: list[str], ranges: Mapping[str, str | None], fixed: Mapping[str, Any]) -> Space:
    """Where is searched; what has one value is no matter of a search.

    Raises RecipeError for a range or a value that cannot be, and for one that none of the optimizers takes.
    """
    from optuna.distributions import CategoricalDistribution

    from kws.sweeps import search

    searched: dict[str, Any] = {"opt": CategoricalDistribution(opts)}
    for field, given in ranges.items():
        distribution = search.values(
            field, DEFAULTS[field] if given is None else given, int if field == "batch_size" else float
        )
        if field == "batch_size" or any(field in optimizers.defaults(opt) for opt in opts):
            searched[field] = distribution
        elif given is not None:
            takes = ", ".join(optimizers.defaults(opts[0]))
            raise RecipeError(f"`{field}` (={given}) is not for {' or '.join(opts)}, which has {takes}")
        if search.is_linear(field, distribution):
            console.say(
                f"note: {field.replace('_', ' ')} is drawn evenly, and not by powers of ten, for it begins at 0"
            )
    same = {field: search.only_value(d) for field, d in searched.items() if d.single()}
    if fixed["maps"] and not architectures.has_maps(arch):
        raise RecipeError(f"`maps` is not for {arch}, which has no feature maps")
    maps = architectures.normal_maps(arch, fixed["maps"])
    space = search.Space(
        searched={field: d for field, d in searched.items() if field not in same},
        fixed={**fixed, **same, "maps": maps, "arch": arch, "precision": Recipe.precision, "device": "cpu"},
    )
    complete({"opt": opts[0], "batch_size": 1, **space.fixed})  # what cannot be is told before the work
    return space


def _tell(db: Location, tag: str, space: Space, fingerprint: str, *, json: bool) -> None:
    """The best trials, what became of the others, and what to type next."""
    from kws.sweeps.search import score
    from kws.sweeps.trials import called, of_search, state

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
                        **{name: getattr(run.recipe, name) for name in (*space.searched, *space.fixed)},
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
    console.say(
        f"best of {len(runs)} trials ({ended}): run {best.id}, "
        f"validation accuracy {percent(scores[best.id])}, {visible(called(best.recipe))}"
    )
    console.say(f"next: {_command(best.recipe)}")


def _command(recipe: Recipe) -> str:
    """The sweep that says what a recipe is worth: over seeds that the search did not see."""
    seeds = ",".join(str(recipe.seed + more) for more in range(1, 6))
    return shlex.join(["kws", "sweep", *recipes.options(recipe, without=("seed",)), "--seeds", seeds])
