"""`kws train`: one run from a recipe to the registry."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from kws import architectures, optimizers
from kws.cli import options
from kws.data_card import TEST, TRAIN, VALIDATION
from kws.environment import cores
from kws.errors import RecipeError
from kws.recipe import Recipe, parse_maps, parse_words


def train(
    arch: Annotated[options.Architecture, typer.Option(help="The network.", show_default=False)],
    opt: Annotated[options.Optimizer, typer.Option(help="The optimizer.", show_default=False)],
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
    threads: Annotated[
        int | None, typer.Option(help="Processor threads; part of what decides a run's bits. By default all cores.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="A name for the run.")] = None,
    note: Annotated[str | None, typer.Option(help="A note to keep with the run.")] = None,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """Train a network and keep the run in the registry.

    Kept are the recipe, every epoch, the test accuracy and the weights. The defaults are the report's. The test split
    is used once, after the last epoch.

    Example: kws train --arch cnn --opt adam --epochs 50
    """
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
        maps=architectures.normal_maps(arch.value, parse_maps(maps)) if maps else None,
        words=parse_words(words),
        data=options.chosen_data(data),
        threads=cores() if threads is None else threads,
        slice_size=architectures.slice_size(arch.value, max(batch_size, 1), precision=precision.value, device=chosen),
        precision=precision.value,
        device=chosen,
        learning_rate=hyperparameters["learning_rate"],
        momentum=hyperparameters.get("momentum"),
        weight_decay=hyperparameters["weight_decay"],
    )
    run(recipe, name=name, note=note, db=db, skip_unreadable=skip_unreadable, json=json)


def run(recipe: Recipe, *, name: str | None, note: str | None, db: Path, skip_unreadable: bool, json: bool) -> None:
    """Train by this recipe, record it, and show how it went."""
    from kws import display, speed, training, weights
    from kws.environment import Environment
    from kws.errors import KwsError
    from kws.events import EpochEnd
    from kws.registry.connection import is_new
    from kws.registry.runs import FAILED, INTERRUPTED
    from kws.registry.store import Registry
    from kws.reports import records
    from kws.speech import dataset

    is_new(db)  # a place that cannot be written is told before the work, not after it
    architectures.build(recipe.arch, classes=2, maps=recipe.maps)  # so is a wrong --maps
    loaded = dataset.load(recipe.data, recipe.words, skip_unreadable=skip_unreadable, track=display.track)
    dataset.require_all_classes(loaded)
    if loaded.left_out:
        display.say(f"left out {len(loaded.left_out)} unreadable clips: {', '.join(loaded.left_out[:5])}")

    training.set_up(recipe)
    if recipe.precision != Recipe.precision:
        display.say(speed.verdict(recipe))
        training.set_up(recipe)
    model = architectures.build(recipe.arch, classes=len(loaded.card.classes), maps=recipe.maps).to(recipe.device)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    optimizer = optimizers.build(recipe.opt, model.parameters(), **recipe.hyperparameters())
    train_split, validation_split, test_split = (
        loaded.splits[name].to(recipe.device) for name in (TRAIN, VALIDATION, TEST)
    )

    with Registry(db, create=True) as registry:
        run_id = registry.start(
            recipe,
            loaded.card,
            parameters=parameters,
            environment=Environment.here(sys.argv[1:]),
            name=name,
            note=note,
        )
        display.say(display.training_title(run_id, recipe, parameters, loaded.card))
        try:
            with display.TrainingProgress(recipe, len(train_split)) as progress:
                for event in training.fit(model, optimizer, train_split, validation_split, recipe):
                    if isinstance(event, EpochEnd):
                        registry.record(run_id, event)
                    progress.show(event)
            evaluation = training.evaluate(model, test_split, TEST, recipe)
            registry.finish(run_id, evaluation, loaded.card, weights.to_bytes(model))
        except KeyboardInterrupt:
            registry.end(run_id, INTERRUPTED)
            display.say(f"run {run_id} was interrupted; what its epochs measured is kept: kws runs show {run_id}")
            raise typer.Exit(130) from None
        except BaseException as error:
            registry.end(run_id, FAILED, str(error) or type(error).__name__)
            if isinstance(error, KwsError):
                raise type(error)(f"run {run_id} failed: {error}") from None
            raise
        done = registry.run(run_id)
    display.say(display.training_end(done, loaded.card))
    if json:
        display.print_json(records.run_record(done))


def _device(asked: options.Device) -> str:
    """The device asked for; raises RecipeError for a GPU that is not there."""
    if asked is options.Device.CPU:
        return "cpu"
    import torch

    there = torch.cuda.is_available()
    if asked is options.Device.CUDA and not there:
        raise RecipeError("`device` (=cuda) needs a GPU that PyTorch can use; there is none here, try --device cpu")
    return "cuda" if there else "cpu"
