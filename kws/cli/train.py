"""`kws train`: one run from a recipe to the registry."""

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws.cli import last, options, recipe_options, sections
from kws.errors import RecipeError
from kws.recipe import Recipe, every_option, own_options, plain
from kws.recipe.config import PLACE
from kws.recipe.presets import beside, name_of, preset, presets
from kws.registry.location import Location
from kws.registry.patience import SECONDS
from kws.registry.runs import Run

if TYPE_CHECKING:
    from kws.registry.pretrained import Pretrained

_OF_THE_REGISTRY = ("db", "db_timeout", "checkpoints", "weights")
_OF_ANY_RUN = ("resume", "trust_code", "json", "skip_unreadable", "no_test", "settings", *_OF_THE_REGISTRY)
_OF_A_NEW_RUN = ("name", "note", "preset", "show")
_OF_A_MACHINE = ("speakers", *(each.name for each in own_options() if each.bits or each.role == PLACE))


@recipe_options.taking_recipe(recipe_options.ONE)
def train(
    context: typer.Context,
    settings: recipe_options.Set = None,
    skip_unreadable: options.SkipUnreadable = False,
    no_test: Annotated[
        bool, sections.training("--no-test", help="Leave the test split alone; `kws test` tests the run later, once.")
    ] = False,
    name: Annotated[str | None, sections.registry(help="A name for the run.")] = None,
    note: Annotated[str | None, sections.registry(help="A note to keep with the run.")] = None,
    show: Annotated[
        bool, sections.output("--show", help="Show the recipe and the command that has all of it, and train nothing.")
    ] = False,
    resume: Annotated[
        str | None,
        sections.training(
            metavar="RUN",
            help="Go on with a run that was cut off, from its last checkpoint; --epochs may be raised.",
            autocompletion=options.complete_run,
        ),
    ] = None,
    trust_code: options.TrustCode = None,
    db: options.Db = options.DEFAULT_DB,
    db_timeout: options.DbTimeout = SECONDS,
    checkpoints: options.Checkpoints = None,
    weights: options.WeightFiles = None,
    json: options.Json = False,
    **given: Any,
) -> None:
    """Train a network and keep the run in the registry.

    It needs --arch and --opt, or --preset, which has both; all other defaults are the report's. Kept are the recipe,
    every epoch, the test accuracy and the weights. The test split is used once, after the last epoch, or with --no-test
    not at all until `kws test`. A run that was cut off goes on with --resume, to the same bits; one that was begun with
    --no-test is not tested then, either.

    PRESETS

    Example: kws train --arch cnn --opt adam --epochs 50
    """
    if trust_code is not None and resume is None:
        raise RecipeError("--trust-code is for a run that goes on; add --resume RUN, or leave it out")
    if resume is not None:
        _show(_resume(context, resume), json)
        return
    start = _started_from(given["pretrained"], db)
    chosen = recipe_options.chosen(given, settings, needs=() if start else ("arch", "opt"), context=context)
    if start:
        chosen = _beside(start, chosen)
    if show:
        _show_recipe(Recipe.of(**chosen), given, settings, json=json)
        return
    recipe = Recipe.of(**(chosen | recipe_options.resolved(chosen)))
    from kws.terminal import loading
    from kws.terminal.progress import Terminal
    from kws.training import runner

    loading.pytorch()
    about = {"name": name, "note": note, "skip_unreadable": skip_unreadable, "start": start}
    about |= {"patience": db_timeout, "checkpoints": checkpoints, "weights": weights}  # type: ignore[dict-item]
    _show(runner.run(recipe, db=db, **about, test=not no_test, reporter=Terminal()), json)  # type: ignore[arg-type]


def _started_from(value: str | None, db: Location) -> "Pretrained | None":
    """The run that the network starts from; None where it starts anew."""
    if not value:
        return None
    from kws.registry import pretrained

    return pretrained.of(value, db)


def _beside(start: "Pretrained", chosen: dict[str, Any]) -> dict[str, Any]:
    """The options of the run that the network starts from, beside those chosen; says what is not taken over."""
    from kws.registry.pretrained import options_of, recordings_of
    from kws.terminal import console

    made = beside(options_of(start), chosen)
    for name, place in recordings_of(start).items():
        if name not in chosen:
            other = ", or --noise builtin" if name == "noise" else ""
            console.say(
                f"note: run {start.run.id} was trained with --{name} {console.visible(place)}, which is not taken "
                f"over, for it is of other data; add --{name} to do so here{other}"
            )
    return made


def _show(run: Run, json: bool) -> None:
    if json:
        from kws.reports import json_output
        from kws.terminal import console

        console.print_json(json_output.run_record(run))


def _show_recipe(recipe: Recipe, given: dict[str, Any], settings: list[str] | None, *, json: bool) -> None:
    """Print a recipe and its command; what a machine decides is left out of both unless it was typed."""
    from kws.reports import json_output
    from kws.terminal import console, screens_recipe

    start = preset(given[recipe_options.PRESET]) if given[recipe_options.PRESET] else None
    typed = recipe_options.chosen(given | {recipe_options.PRESET: None}, settings).keys()
    left_out = set(_OF_A_MACHINE) - typed
    values = {name: each for name, each in recipe.values.items() if each is not None and name not in left_out}
    command = shlex.join(["kws", "train", *recipe.arguments(without=[*left_out, *({"seed"} - typed)])])
    if json:
        console.print_json(json_output.recipe_record(recipe, values, start, command))
    else:
        screens_recipe.print_recipe(values, name_of(recipe), start, typed, command)


def _resume(context: typer.Context, reference: str) -> Run:
    """Go on with a run; raises RecipeError where an option asks for another recipe than it has."""
    from kws.registry.reader import RegistryReader
    from kws.registry.trust import admit
    from kws.terminal.progress import Terminal
    from kws.training import runner

    given = {name: value for name, value in context.params.items() if options.was_typed(context, name)}
    with RegistryReader(given.get("db", context.params["db"])) as registry:
        run = last.run_of(registry, reference, last.cut_off) if "epochs" not in given else registry.run(reference)
    for name in (each for each in _OF_A_NEW_RUN if each in given):
        raise RecipeError(f"--{name} is for a new run; run {run.id} has its own")
    of_recipe = {name: value for name, value in given.items() if name not in _OF_ANY_RUN}
    wanted = recipe_options.chosen(of_recipe, given.get("settings"))
    if "device" in wanted:
        wanted["device"] = options.chosen_device(wanted["device"])
    epochs = wanted.pop("epochs", None)
    for name, value in wanted.items():
        if value != (has := run.recipe.values.get(name)):
            flags = every_option()[name].flags if name in every_option() else ()
            flag = flags[0] if flags else f"--{name.replace('_', '-')}"
            raise RecipeError(
                f"`{name}` (={plain(value)}) is not what run {run.id} was started with (={plain(has)}); "
                f"leave {flag} out, for a run goes on with its own recipe"
            )
    with RegistryReader(context.params["db"]) as registry:
        admit(registry, run, context.params["trust_code"])
    return runner.resume(
        run.id,
        db=context.params["db"],
        epochs=epochs,
        skip_unreadable=context.params["skip_unreadable"],
        test=not context.params["no_test"],
        patience=context.params["db_timeout"],
        checkpoints=context.params["checkpoints"],
        weights=context.params["weights"],
        reporter=Terminal(),
    )


train.__doc__ = (train.__doc__ or "").replace(
    "PRESETS", "Presets:\n\n    \b\n    " + "\n    ".join(f"{n:<12} {each.title}" for n, each in presets().items())
)
