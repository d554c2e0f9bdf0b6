"""`kws tune`: a search over hyperparameters, on validation accuracy only; its trials are ordinary runs."""

from typing import Annotated

import typer

from kws.cli import options
from kws.errors import RecipeError
from kws.recipe import Recipe, at_least, cores, parse_maps, parse_words, usable_threads
from kws.training import optimizers

_RANGE = "A range as in 0.001:0.1, or values with a comma between them."


def tune(
    arch: Annotated[options.Architecture, typer.Option(help="The network.")],
    trials: Annotated[int, typer.Option(help="Trials in all, those that are there already among them.")] = 50,
    opt: Annotated[str, typer.Option(help="The optimizer, or several with a comma between them.")] = "adam",
    epochs: Annotated[int, typer.Option(help="Passes over the training split, of a trial that is not given up.")] = 20,
    learning_rate: Annotated[str, typer.Option(help=_RANGE)] = "0.0001:0.1",
    batch_size: Annotated[str, typer.Option(help=_RANGE)] = "64,128,256,512,1024",
    weight_decay: Annotated[str, typer.Option(help=_RANGE)] = "1e-6:0.01",
    momentum: Annotated[
        str | None, typer.Option(help=f"{_RANGE} By default 0.8:0.99; sgd only.", show_default=False)
    ] = None,
    maps: Annotated[
        str | None, typer.Option(metavar="N,N", help="Feature maps of the convolutions, for all trials; cnn only.")
    ] = None,
    data: options.Data = None,
    words: options.Words = options.DEFAULT_WORDS,
    speakers: options.Speakers = None,
    skip_unreadable: options.SkipUnreadable = False,
    selection: Annotated[
        options.Selected,
        typer.Option("--select", help="The epoch that counts: the last, or the best on the validation split."),
    ] = options.Selected.FINAL,
    seed: Annotated[int, typer.Option(help="Of every run, and of the search.")] = Recipe.seed,
    random: Annotated[bool, typer.Option("--random", help="Random search instead of TPE.")] = False,
    prune: Annotated[bool, typer.Option("--prune/--no-prune", help="Give up trials that are below the median.")] = True,
    threads: Annotated[int, typer.Option(help="Processor threads of each run; part of its recipe.")] = 1,
    jobs: Annotated[
        int | None, typer.Option(help="Trials at once. By default as many as fit into the cores.", show_default=False)
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="The search's name: its runs have the tag tune-NAME. By default made of its options."),
    ] = None,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """Search for hyperparameters by validation accuracy.

    Each trial is a run with the search's tag, drawn by Optuna from the ranges, learning from the trials before it, and
    given up when its validation accuracy falls behind. No trial is tested. Stop it at any moment and type it again: it
    goes on. It ends with the command that trains the best recipe with other seeds, which are tested.

    Example: kws tune --arch cnn --trials 50
    """
    at_least("trials", trials, 1)
    usable_threads(threads)
    if name is not None and not name.strip():
        raise RecipeError("--name is empty; give the search a name, or leave it out")
    jobs = max(cores() // threads, 1) if jobs is None else jobs
    at_least("jobs", jobs, 1)
    from kws.cli import tuning

    tuning.run(
        arch=arch.value,
        opts=tuning.chosen(opt, optimizers.names()),
        ranges={
            "learning_rate": learning_rate,
            "batch_size": batch_size,
            "weight_decay": weight_decay,
            "momentum": momentum,
        },
        fixed={
            "epochs": epochs,
            "seed": seed,
            "maps": None if maps is None else parse_maps(maps),
            "words": parse_words(words),
            "data": options.chosen_data(data),
            "threads": threads,
            "selection": selection.value,
            **({"speakers": speakers} if speakers else {}),
        },
        trials=trials,
        random=random,
        prune=prune,
        jobs=jobs,
        name=name,
        db=db,
        skip_unreadable=skip_unreadable,
        json=json,
    )
