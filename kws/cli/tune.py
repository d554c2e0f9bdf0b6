"""`kws tune`: a search over hyperparameters, on validation accuracy only; its trials are ordinary runs."""

from typing import Annotated, Any

import typer

from kws.cli import executor_options, options, recipe_options, sections
from kws.errors import RecipeError
from kws.recipe import Recipe, at_least, cores, own_options
from kws.recipe.presets import Preset, for_networks, preset
from kws.registry.patience import SECONDS
from kws.sweeps.plan import several

_EPOCHS = 20
_OWN = ("epochs", "seed")
_LEVELLING = "until"  # all trials that reach it would be as good as each other


@recipe_options.taking_recipe(recipe_options.RANGE, without=(*_OWN, _LEVELLING))
def tune(
    context: typer.Context,
    trials: Annotated[int, typer.Option(help="Trials in all, those that are there already among them.")] = 50,
    epochs: Annotated[
        int | None,
        sections.recipe(
            help="Passes over the training split, of a trial that is not pruned. By default "
            f"{_EPOCHS}, or the preset's: fewer than the {Recipe.epochs} of `kws train`, for trials are compared with "
            "one another alone.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, sections.recipe(help="Of every run, and of the search.")] = Recipe.seed,
    settings: recipe_options.Set = None,
    skip_unreadable: options.SkipUnreadable = False,
    random: Annotated[bool, typer.Option("--random", help="Random search instead of TPE.")] = False,
    prune: Annotated[bool, typer.Option("--prune/--no-prune", help="Prune trials that are below the median.")] = True,
    jobs: Annotated[
        int | None,
        sections.training(
            help="Trials at once, here or on the cluster. By default as many as its cores hold, by --threads.",
            show_default=False,
        ),
    ] = None,
    engine: executor_options.Engine = "local",
    address: executor_options.Address = None,
    name: Annotated[
        str | None,
        sections.registry(help="The search's name: its runs have the tag tune-NAME. By default made of its options."),
    ] = None,
    db: options.Db = options.DEFAULT_DB,
    db_timeout: options.DbTimeout = SECONDS,
    checkpoints: options.Checkpoints = None,
    weights: options.WeightFiles = None,
    json: options.Json = False,
    **given: Any,
) -> None:
    """Search for hyperparameters by validation accuracy.

    A recipe's option takes one value, several with a comma between them, or a range as in 0.001:0.1.

    Without --preset the ranges that options declare are searched, with it only what is given here: all else is as in
    the preset.

    Each trial is a run with the search's tag, drawn by Optuna from the ranges, learning from the trials before it, and
    pruned when its validation accuracy falls behind. No trial is tested. Stop it at any moment and run it again: it
    goes on. Run it in several places at once, with the same registry: they share the trials. It ends with the command
    that trains the best recipe with other seeds, which are tested. There is no --until, at which all good trials would
    end alike; --patience ends one that gets no better.

    Example: kws tune --arch cnn --trials 50
    """
    at_least("trials", trials, 1)
    if jobs is not None:
        at_least("jobs", jobs, 1)
    ray = executor_options.on_cluster(context, engine, address)
    if name is not None and not name.strip():
        raise RecipeError("--name is empty; give the search a name, or leave it out")
    start = preset(given.pop("preset")) if given.get("preset") else None
    typed = recipe_options.typed(given, settings)
    if start is None and "arch" not in typed:
        raise typer.BadParameter(recipe_options.needed("arch", context), ctx=context)
    if _LEVELLING in typed:
        raise RecipeError(
            f"`until` (={typed[_LEVELLING]}) would end all good trials at one accuracy, and none would be the best; "
            "leave it out, or use --patience"
        )
    here = recipe_options.resolved(typed, jobs=jobs or cores(), on_cluster=ray)
    ranges = {name: text for name, text in typed.items() if name not in here}
    usual = {"opt": recipe_options.SEARCHED, "epochs": _EPOCHS} | (_values(start) if start else {})
    if "arch" in usual and "arch" in ranges:
        usual = for_networks(usual, (ranges["arch"],))
    from kws.cli import tuning
    from kws.speech import noise

    if "noise" in ranges:
        ranges["noise"] = noise.pinned(ranges["noise"], here["data"])
    tuning.run(
        arch=ranges.pop("arch", usual.pop("arch", None)),
        opts=several("opt", ranges.pop("opt", usual.pop("opt"))),
        ranges=ranges,
        fixed={**{name: value for name, value in usual.items() if name not in ranges}, "seed": seed, **here}
        | ({} if epochs is None else {"epochs": epochs}),
        only_given=start is not None,
        trials=trials,
        random=random,
        prune=prune,
        jobs=jobs,
        ray=ray,
        address=address,
        name=name,
        db=db,
        patience=db_timeout,
        checkpoints=checkpoints,
        weights=weights,
        skip_unreadable=skip_unreadable,
        json=json,
    )


def _values(start: Preset) -> dict[str, Any]:
    """All values of a preset's recipe, but for those that say where and with which seed it is trained."""
    own = {each.name for each in own_options() if each.bits or each.role}
    return {name: value for name, value in start.recipe.values.items() if value is not None and name not in own}
