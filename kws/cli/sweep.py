"""`kws sweep`: every combination of several values, as runs of their own; stopped at any time, and continued.

The registry is the sweep's only state: what it has is skipped or gone on with. There are as many runs at once as cores,
unless --jobs says otherwise, and they share the cores: one thread each took 0.85 of the time of one run after the other
with two, on 2 cores and for either network.
"""

from typing import Annotated, Any, Literal

import typer

from kws.cli import options, recipe_options
from kws.errors import RecipeError
from kws.recipe import at_least, cores, parse
from kws.sweeps import plan as planning


@recipe_options.taking_recipe(recipe_options.SEVERAL, without=("seed",))
def sweep(
    context: typer.Context,
    seeds: Annotated[
        str | None, typer.Option(help="How many, from 0 on; or which, as in 3,7. By default 1.", show_default=False)
    ] = None,
    preset: Annotated[Literal["table1"] | None, typer.Option(help="table1: the report's table, at 5 seeds.")] = None,
    settings: recipe_options.Set = None,
    skip_unreadable: options.SkipUnreadable = False,
    jobs: Annotated[
        int | None, typer.Option(help="Runs at once. By default as many as fit into the cores.", show_default=False)
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Who trains: processes of this machine, or a Ray cluster.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(
            envvar="RAY_ADDRESS",
            metavar="HOST:PORT",
            help="The Ray cluster's, or `auto`; without one, Ray is started on this machine.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Train runs that failed before, too.")] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first run that fails.")] = False,
    no_test: Annotated[
        bool, typer.Option("--no-test", help="Leave the test split alone; `kws test` tests a run later, once.")
    ] = False,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
    **given: Any,
) -> None:
    """Train every combination, and go on where it stopped.

    A recipe's option takes one value or several with a comma between them, "no,yes" for one that is on or off; one
    whose value has commas itself may be repeated.

    Runs that the registry has are skipped, those that were cut off go on from their checkpoints, the rest is trained.
    Stop it at any moment and type it again: it ends with the same runs.

    Example: kws sweep --arch fc,cnn --opt sgd,adam --seeds 5
    """
    if jobs is not None:
        at_least("jobs", jobs, 1)
    if engine != "ray" and options.was_typed(context, "address"):
        raise RecipeError(f"--address {address} is for a Ray cluster; add --engine ray, or leave it out")
    typed = recipe_options.typed(given, settings, several_networks=True)
    if engine == "ray" and typed.get("device") != "cuda":
        typed["device"] = "cpu"
    axes = _axes(typed, seeds, planning.TABLE1 if preset else {}, jobs, on_cluster=engine == "ray")
    from kws.registry.opening import is_new
    from kws.sweeps import executors
    from kws.sweeps.trainer import WorkerConfig

    new = is_new(db)  # fail early if the registry is not writable
    chosen = None
    if not dry_run:  # its first process begins, before the rest is imported
        config = WorkerConfig.here(db, skip_unreadable=skip_unreadable, retry=retry, test=not no_test)
        chosen = executors.choose(config, jobs, axes, ray=engine == "ray", address=address)
    from kws.cli import sweeping

    if chosen is None:
        sweeping.rehearse(axes, jobs or executors.fitting(axes), None if new else db, retry=retry, json=json)
    else:
        sweeping.run(axes, chosen, db, new=new, retry=retry, fail_fast=fail_fast, json=json)


def _axes(
    typed: dict[str, Any], seeds: str | None, preset: dict[str, str], jobs: int | None, *, on_cluster: bool
) -> dict[str, list[Any]]:
    """The values of each option of the plan's recipes; where the data is and what decides bits alone has one each.

    A cluster's nodes have GPUs of their own, whatever this machine has.
    """
    data, device = typed.pop("data", None), typed.get("device")
    asked = typed | ({"device": "cpu"} if on_cluster else {})
    axes = {name: [value] for name, value in recipe_options.resolved(asked, jobs=jobs or cores()).items()}
    if on_cluster:
        axes["device"] = [device]
    if data:
        axes["data"] = [options.chosen_data(each) for each in (data if isinstance(data, list) else [data])]
    texts = {name: text for name, text in (preset | typed).items() if name != "seeds" and name not in axes}
    for name in ("arch", "opt"):
        if name not in texts:
            raise RecipeError(f"--{name} is missing; name one or several, or take --preset table1")
    for name in (*(each for each in texts if each != "opt"), "opt"):  # optimizers vary fastest but for seeds
        text = texts[name]
        axes[name] = [parse(name, each) for each in text] if isinstance(text, list) else planning.several(name, text)
    return axes | {"seed": planning.seeds(preset.get("seeds", "1") if seeds is None else seeds)}
