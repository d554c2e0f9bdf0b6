"""`kws train`: one run from a recipe to the registry."""

from typing import Annotated, Any

import typer

from kws import architectures
from kws.cli import options
from kws.errors import RecipeError
from kws.recipe import Recipe, cores, parse_maps, parse_words, usable_threads
from kws.registry.runs import Run
from kws.training import optimizers


def train(
    context: typer.Context,
    arch: Annotated[options.Architecture | None, typer.Option(help="The network.", show_default=False)] = None,
    opt: Annotated[options.Optimizer | None, typer.Option(help="The optimizer.", show_default=False)] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training split.")] = Recipe.epochs,
    seed: Annotated[int, typer.Option(help="Decides the first weights and the shuffling.")] = Recipe.seed,
    batch_size: Annotated[int, typer.Option(help="Clips a minibatch.")] = Recipe.batch_size,
    learning_rate: Annotated[
        float | None, typer.Option(help="By default the optimizer's: 0.01 for sgd, 0.001 for adam.")
    ] = None,
    momentum: Annotated[float | None, typer.Option(help="By default 0.9; sgd only.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="By default 1e-5 for sgd, 0 for adam.")] = None,
    maps: Annotated[
        str | None, typer.Option(metavar="N,N", help="Feature maps of the convolutions, by default 32,16; cnn only.")
    ] = None,
    data: options.Data = None,
    words: options.Words = options.DEFAULT_WORDS,
    speakers: options.Speakers = None,
    softmax: Annotated[
        bool,
        typer.Option("--softmax", help="Put a softmax before cross-entropy: the mistake that the report corrects."),
    ] = False,
    skip_unreadable: options.SkipUnreadable = False,
    precision: Annotated[
        options.Precision,
        typer.Option(help="bf16 is faster where the processor has AMX or AVX512-BF16; `kws bench` tells."),
    ] = options.Precision.FP32,
    device: Annotated[
        options.Device, typer.Option(help="`auto` takes a GPU where there is one.")
    ] = options.Device.AUTO,
    selection: Annotated[
        options.Selected,
        typer.Option("--select", help="The epoch to keep and to test: the last, or the best on the validation split."),
    ] = options.Selected.FINAL,
    threads: Annotated[
        int | None, typer.Option(help="Processor threads; part of what decides a run's bits. By default all cores.")
    ] = None,
    no_test: Annotated[
        bool, typer.Option("--no-test", help="Leave the test split alone; `kws test` tests the run later, once.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="A name for the run.")] = None,
    note: Annotated[str | None, typer.Option(help="A note to keep with the run.")] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Go on with a run that was cut off, from its last checkpoint; --epochs may be raised.",
            autocompletion=options.complete_run,
        ),
    ] = None,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """Train a network and keep the run in the registry.

    Kept are the recipe, every epoch, the test accuracy and the weights. The defaults are the report's. The test split
    is used once, after the last epoch, or with --no-test not at all until `kws test`. A run that was cut off goes on
    with --resume, to the same bits; one that was begun with --no-test is not tested then, either.

    Example: kws train --arch cnn --opt adam --epochs 50
    """
    if resume is not None:
        _show(_resume(context, resume), json)
        return
    for value, option in ((arch, "--arch"), (opt, "--opt")):
        if value is None:
            raise typer.BadParameter(f"Missing option '{option}'", ctx=context)
    assert arch is not None and opt is not None
    hyperparameters = optimizers.hyperparameters(
        opt.value, learning_rate=learning_rate, momentum=momentum, weight_decay=weight_decay
    )
    chosen = _device(device)
    recipe = Recipe(
        arch=arch.value,
        opt=opt.value,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        softmax=softmax,
        maps=None if maps is None else architectures.normal_maps(arch.value, parse_maps(maps)),
        words=parse_words(words),
        data=options.chosen_data(data),
        speakers=speakers or None,
        threads=cores() if threads is None else usable_threads(threads),
        slice_size=architectures.slice_size(arch.value, max(batch_size, 1), precision=precision.value, device=chosen),
        precision=precision.value,
        device=chosen,
        selection=selection.value,
        learning_rate=hyperparameters["learning_rate"],
        momentum=hyperparameters.get("momentum"),
        weight_decay=hyperparameters["weight_decay"],
    )
    from kws.terminal.progress import Terminal
    from kws.training import runner

    _show(
        runner.run(
            recipe, db=db, name=name, note=note, skip_unreadable=skip_unreadable, test=not no_test, reporter=Terminal()
        ),
        json,
    )


def _show(run: Run, json: bool) -> None:
    if json:
        from kws.reports import json_output
        from kws.terminal import console

        console.print_json(json_output.run_record(run))


def _resume(context: typer.Context, reference: str) -> Run:
    """Go on with a run; raises RecipeError where an option asks for another recipe than it has."""
    from kws.registry.reader import RegistryReader
    from kws.terminal.progress import Terminal
    from kws.training import runner

    given = {
        name: value
        for name, value in context.params.items()
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    }
    with RegistryReader(given.get("db", context.params["db"])) as registry:
        run = registry.run(reference)
    for name in given.keys() - {"resume", "epochs", "db", "json", "skip_unreadable", "no_test"}:
        option = f"--{name.replace('_', '-')}"
        if not hasattr(run.recipe, name):
            raise RecipeError(f"{option} is for a new run; run {run.id} has its own")
        has, value = getattr(run.recipe, name), _as_recipe(name, given[name], run.recipe)
        if value != has:
            raise RecipeError(
                f"`{name}` (={given[name]}) is not what run {run.id} was started with (={_plain(has)}); "
                f"leave {option} out, for a run goes on with its own recipe"
            )
    return runner.resume(
        run.id,
        db=context.params["db"],
        epochs=given.get("epochs"),
        skip_unreadable=context.params["skip_unreadable"],
        test=not context.params["no_test"],
        reporter=Terminal(),
    )


_NAMES = ("arch", "opt", "precision", "selection")


def _as_recipe(name: str, value: Any, recipe: Recipe) -> Any:
    """An option's value as that recipe has it."""
    if name == "device":
        return _device(value)
    if name == "words":
        return parse_words(value)
    if name == "maps":
        return architectures.normal_maps(recipe.arch, parse_maps(value))
    return str(getattr(value, "value", value)) if name in _NAMES else value


def _plain(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _device(asked: options.Device) -> str:
    """The device asked for; raises RecipeError for a GPU that is not there."""
    if asked is options.Device.CPU:
        return "cpu"
    import torch

    there = torch.cuda.is_available()
    if asked is options.Device.CUDA and not there:
        raise RecipeError("`device` (=cuda) needs a GPU that PyTorch can use; there is none here, try --device cpu")
    return "cuda" if there else "cpu"
