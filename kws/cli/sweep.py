"""`kws sweep`: every combination of several values, as runs of their own; stopped at any time, and continued.

The registry is the sweep's only state: what it has is skipped or gone on with. There are as many runs at once as cores,
unless --jobs says otherwise, and they share the cores: one thread each took 0.85 of the time of one run after the other
with two, on 2 cores and for either network.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from kws.cli import executor_options, options, recipe_options, sections
from kws.errors import RecipeError
from kws.recipe import at_least, cores, every_option, parse
from kws.recipe.partition import folds as each_fold
from kws.recipe.presets import for_networks, presets
from kws.registry.patience import SECONDS
from kws.sweeps import plan as planning

PAIRS = "pairs"


@recipe_options.taking_recipe(recipe_options.SEVERAL, without=("seed", recipe_options.PRESET))
def sweep(
    context: typer.Context,
    seeds: Annotated[
        str | None,
        sections.recipe(
            help=f"How many, from 0 on; or which, as in 3,7. By default 1; {planning.SEEDS} for --preset "
            "table1 and leaderboard.",
            show_default=False,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        sections.recipe(
            metavar="NAME,...",
            help=f"Recipes that have a name, one or several of {', '.join(presets())}; table1: the cells of the "
            "report's table; leaderboard: all of these. Options beside it override their values.",
            show_default=False,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        sections.data(
            metavar="N",
            help="Every fold of so many in turn (see --fold), so that each clip is tested once, by networks that never "
            "heard its speaker.",
            show_default=False,
        ),
    ] = None,
    settings: recipe_options.Set = None,
    skip_unreadable: options.SkipUnreadable = False,
    jobs: Annotated[
        int | None,
        sections.training(
            help="Runs at once, here or on the cluster. By default as many as its cores hold, by --threads.",
            show_default=False,
        ),
    ] = None,
    engine: executor_options.Engine = "local",
    address: executor_options.Address = None,
    dry_run: Annotated[bool, sections.output("--dry-run", help="Show the plan and stop.")] = False,
    retry: Annotated[bool, sections.training("--retry", help="Train runs that failed before, too.")] = False,
    fail_fast: Annotated[bool, sections.training("--fail-fast", help="Stop at the first run that fails.")] = False,
    no_test: Annotated[
        bool, sections.training("--no-test", help="Leave the test split alone; `kws test` tests a run later, once.")
    ] = False,
    db: options.Db = options.DEFAULT_DB,
    db_timeout: options.DbTimeout = SECONDS,
    checkpoints: options.Checkpoints = None,
    weights: options.WeightFiles = None,
    json: options.Json = False,
    **given: Any,
) -> None:
    """Train every combination, and go on where it stopped.

    A recipe's option takes one value or several with a comma between them, "no,yes" for one that is on or off; one
    whose value has commas itself may be repeated. --leave-out pairs leaves out each two of the other words in turn,
    --folds 5 tests each fifth of the clips in turn.

    Runs that the registry has are skipped, those that were cut off go on from their checkpoints, the rest is trained.
    Stop it at any moment and run it again: it ends with the same runs.

    Example: kws sweep --arch fc,cnn --opt sgd,adam --seeds 5
    """
    if jobs is not None:
        at_least("jobs", jobs, 1)
    ray = executor_options.on_cluster(context, engine, address)
    typed = recipe_options.typed(given, settings, several_networks=True)
    if typed.get("leave_out") == [PAIRS]:
        typed["leave_out"] = _pairs(typed)
    if folds is not None:
        if other := next((flag for flag in ("fold", "split") if {flag, f"{flag}_shares"} & {*typed}), None):
            raise RecipeError(f"--folds {folds} makes splits in turn; leave --{other} out, or --folds")
        typed["fold"] = each_fold(folds)
    chosen_presets, usual = ([{}], 1) if preset is None else planning.of_presets(preset)
    here = _here(typed, jobs, on_cluster=ray)
    plans = [_axes(typed, str(usual) if seeds is None else seeds, each, here) for each in chosen_presets]
    from kws.registry.opening import is_new
    from kws.sweeps import executors
    from kws.sweeps.trainer import WorkerConfig

    new = is_new(db)  # fail early if the registry is not writable
    chosen = None
    if not dry_run:  # its first process begins, before the rest is imported
        about: dict[str, Any] = {"patience": db_timeout, "checkpoints": checkpoints, "weights": weights}
        config = WorkerConfig.here(db, skip_unreadable=skip_unreadable, retry=retry, test=not no_test, **about)
        chosen = executors.choose(config, jobs, here, ray=ray, address=address)
    from kws.cli import sweeping

    if chosen is None:
        sweeping.rehearse(plans, jobs or executors.fitting(here), None if new else db, retry=retry, json=json)
    else:
        sweeping.run(plans, chosen, db, new=new, retry=retry, fail_fast=fail_fast, json=json)


def _pairs(typed: Mapping[str, Any]) -> list[str]:
    """Pairs of the other words that the data has, each word in one. Raises DataError for too few."""
    from kws.speech import unheard

    data = typed.get("data")
    if isinstance(data, list) and len(data) > 1:
        raise RecipeError("--leave-out pairs is for one data set; give one --data, or name the words")
    words = parse("words", typed["words"][0]) if typed.get("words") else every_option()["words"].default
    place = options.chosen_data(data[0] if data else None)
    return [",".join(group) for group in unheard.groups(unheard.other_words(place, words))]


def _here(typed: dict[str, Any], jobs: int | None, *, on_cluster: bool) -> dict[str, list[Any]]:
    """Where the data is, and what decides bits alone, with one value each (of the data one or several)."""
    data = typed.pop("data", None)
    here = recipe_options.resolved(typed, jobs=jobs or cores(), on_cluster=on_cluster)
    axes = {name: [value] for name, value in here.items()}
    if data:
        axes["data"] = [options.chosen_data(each) for each in (data if isinstance(data, list) else [data])]
    return axes


def _axes(
    typed: Mapping[str, Any], seeds: str, preset: Mapping[str, Any], here: dict[str, list[Any]]
) -> dict[str, list[Any]]:
    """The values of each option of the recipes of a plan: those typed, else the preset's."""
    given = {name: value for name, value in typed.items() if name not in here}
    for name in ("arch", "opt"):
        if name not in preset and name not in given:
            raise RecipeError(f"sweep {recipe_options.lacking(name)}, as table1 has several")
    if "arch" in preset and "arch" in given:
        preset = for_networks(preset, planning.several("arch", given["arch"]))
    found: dict[str, list[Any]] = {}
    for name, value in {**preset, **given}.items():
        if name in given or isinstance(value, str):
            found[name] = [parse(name, e) for e in value] if isinstance(value, list) else planning.several(name, value)
        else:
            found[name] = [value]
    found = {name: each for name, each in found.items() if name in given or not planning.refused_by(found, name)}
    found["opt"] = found.pop("opt")  # optimizers vary fastest but for seeds
    return here | found | {"seed": planning.seeds(seeds)}
