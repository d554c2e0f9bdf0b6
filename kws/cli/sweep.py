"""`kws sweep`: every combination of several values, as runs of their own; stopped at any time, and continued.

The registry is the sweep's only state: what it has is skipped or gone on with. Each run has one thread unless --threads
says otherwise, and there are as many at once as fit into the cores: on 2 cores that took 0.85 of the time of one after
the other with two threads each, for either network. Threads belong to the recipe, so they depend neither on --jobs nor
on the moment.
"""

from typing import Annotated, Any, Literal

import typer

from kws import architectures
from kws.cli import options
from kws.errors import RecipeError
from kws.recipe import Recipe, at_least, parse_maps, parse_words, usable_threads
from kws.sweeps import plan as planning
from kws.training import optimizers

_SEVERAL = "One or several, with a comma between them."


def sweep(
    context: typer.Context,
    arch: Annotated[str | None, typer.Option(help="Networks, with a comma between them.", show_default=False)] = None,
    opt: Annotated[str | None, typer.Option(help="Optimizers, with a comma between them.", show_default=False)] = None,
    seeds: Annotated[
        str | None, typer.Option(help="How many, from 0 on; or which, as in 3,7. By default 1.", show_default=False)
    ] = None,
    preset: Annotated[Literal["table1"] | None, typer.Option(help="table1: the report's table, at 5 seeds.")] = None,
    epochs: Annotated[str | None, typer.Option(help=f"{_SEVERAL} By default 50.", show_default=False)] = None,
    batch_size: Annotated[str, typer.Option(help=_SEVERAL)] = str(Recipe.batch_size),
    learning_rate: Annotated[str | None, typer.Option(help=f"{_SEVERAL} By default the optimizer's.")] = None,
    momentum: Annotated[str | None, typer.Option(help=f"{_SEVERAL} sgd only.")] = None,
    weight_decay: Annotated[str | None, typer.Option(help=f"{_SEVERAL} By default the optimizer's.")] = None,
    maps: Annotated[
        list[str] | None, typer.Option(metavar="N,N", help="Feature maps of the convolutions; may be repeated.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option(metavar="SOURCE", help="As for `kws train`; may be repeated.")
    ] = None,
    words: Annotated[
        list[str] | None,
        typer.Option(metavar="WORD,WORD", help=f"The keywords; may be repeated. By default {options.DEFAULT_WORDS}."),
    ] = None,
    speakers: options.Speakers = None,
    softmax: Annotated[str, typer.Option(help="A softmax before cross-entropy: no, yes, or both.")] = "no",
    skip_unreadable: options.SkipUnreadable = False,
    precision: Annotated[str, typer.Option(help="fp32, bf16, or both.")] = Recipe.precision,
    device: Annotated[Literal["cpu", "cuda"], typer.Option(help="Where networks are trained.")] = "cpu",
    selection: Annotated[str, typer.Option("--select", help="The epoch to keep: final, best, or both.")] = "final",
    threads: Annotated[int, typer.Option(help="Processor threads of each run; part of its recipe.")] = 1,
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
) -> None:
    """Train every combination, and go on where it stopped.

    Runs that the registry has are skipped, those that were cut off go on from their checkpoints, the rest is trained.
    Stop it at any moment and type it again: it ends with the same runs.

    Example: kws sweep --arch fc,cnn --opt sgd,adam --seeds 5
    """
    usable_threads(threads)
    if jobs is not None:
        at_least("jobs", jobs, 1)
    if engine != "ray" and options.was_typed(context, "address"):
        raise RecipeError(f"--address {address} is for a Ray cluster; add --engine ray, or leave it out")
    of: dict[str, str] = planning.TABLE1 if preset else {}
    arch, opt = of.get("arch") if arch is None else arch, of.get("opt") if opt is None else opt
    epochs = of.get("epochs", str(Recipe.epochs)) if epochs is None else epochs
    seeds = of.get("seeds", "1") if seeds is None else seeds
    for value, option in ((arch, "--arch"), (opt, "--opt")):
        if value is None:
            raise RecipeError(f"{option} is missing; name one or several, or take --preset table1")
    assert arch is not None and opt is not None

    def maybe(field: str, text: str | None) -> list[Any]:
        return [None] if text is None else [*planning.values(field, text, float)]

    axes: dict[str, list[Any]] = {
        "data": [options.chosen_data(each) for each in data] if data else [options.chosen_data(None)],
        "words": [parse_words(each) for each in words or [options.DEFAULT_WORDS]],
        "speakers": [speakers or None],
        "device": [device],
        "threads": [threads],
        "arch": planning.values("arch", arch, str, architectures.names()),
        "maps": [parse_maps(each) for each in maps] if maps else [None],
        "precision": planning.values("precision", precision, str, [*options.Precision]),
        "selection": planning.values("selection", selection, str, [*options.Selected]),
        "softmax": planning.switch("softmax", softmax),
        "epochs": planning.values("epochs", epochs, int),
        "batch_size": planning.values("batch_size", batch_size, int),
        "learning_rate": maybe("learning_rate", learning_rate),
        "momentum": maybe("momentum", momentum),
        "weight_decay": maybe("weight_decay", weight_decay),
        "opt": planning.values("opt", opt, str, optimizers.names()),
        "seed": planning.seeds(seeds),
    }
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
