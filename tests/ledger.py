"""Small things for the registry's and the reports' tests: a recipe, a data card, epochs, an evaluation, runs."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from kws.events import SPLITS, TEST, DataCard, EpochEnd, Evaluation, IterationEnd, Manifest
from kws.recipe import NETWORK, OPTIMIZER, Recipe
from kws.registry.claims import Wanted
from kws.registry.environment import Environment
from kws.registry.runs import FINISHED, INTERRUPTED, Curve, Epoch, Run
from kws.registry.store import Registry

PARAMETERS = {"fc": 567_171, "cnn": 346_067}
WEIGHTS = save({"fc1.weight": np.arange(200, dtype=np.float32).reshape(4, 50)})

ENVIRONMENT = Environment(
    kws_version="1.2.3",
    python_version="3.11.7",
    torch_version="2.13.0",
    platform="Linux x86_64",
    cpu="A processor",
    instruction_set="avx avx2 fma",
    git_commit="0123456789abcdef0123456789abcdef01234567",
    git_dirty=False,
    command="kws train --arch cnn --opt adam",
)


def defaults(opt: str) -> dict[str, float]:
    """An optimizer's options and their defaults."""
    return OPTIMIZER.part(opt).config().values()


def build_optimizer(opt: str, parameters: Any, **values: float) -> Any:
    """The optimizer by that name over these parameters."""
    part = OPTIMIZER.part(opt)
    return part.load().optimizer(parameters, part.config(**values))


def build_network(arch: str, classes: int, **options: Any) -> Any:
    """The network by that name."""
    from kws import architectures

    return architectures.build(make_recipe(arch, **options), classes)


def make_recipe(arch: str = "cnn", opt: str = "adam", **changes: Any) -> Recipe:
    """A recipe with the optimizer's defaults; of a network or optimizer that there is not, one of its name."""
    known = Recipe.of(
        ignoring=True,
        **{
            "arch": arch if arch in NETWORK.parts else "fc",
            "opt": opt if opt in OPTIMIZER.parts else "adam",
            **changes,
        },
    )
    values = json.loads(known.text)
    values["network"]["name"], values["optimizer"]["name"] = arch, opt
    return Recipe.from_text(json.dumps(values))


def make_card(source: str = "clips", *, clips: int = 6, classes: tuple[str, ...] = ("yes", "no", "other")) -> DataCard:
    """A card whose every split has `clips` clips; its fingerprint depends on the source's name and the clips."""
    labels = {split: bytes((i + shift) % len(classes) for i in range(clips)) for shift, split in enumerate(SPLITS)}
    return DataCard(
        source=source,
        classes=classes,
        counts={split: tuple(data.count(k) for k in range(len(classes))) for split, data in labels.items()},
        split_fingerprints={
            split: hashlib.sha256(f"{source} {split}".encode("utf-8", "replace") + data).hexdigest()
            for split, data in labels.items()
        },
        labels=labels,
        front_end={"sample_rate_hz": 16_000, "hop_ms": 10, "log_offset": 1e-6},
        mean=-3.25,
        std=2.1,
    )


def make_epochs(count: int = 2, iterations: int = 3, first: int = 1) -> list[EpochEnd]:
    """Epochs from `first` on, whose losses fall and accuracies rise; the last minibatch of each has fewer clips."""
    made = []
    for epoch in range(first, first + count):
        steps = [(epoch - 1) * iterations + i for i in range(1, iterations + 1)]
        made.append(
            EpochEnd(
                epoch=epoch,
                train_loss=1 / (epoch + 1),
                train_accuracy=1 - 1 / (epoch + 2),
                validation_loss=1.1 / (epoch + 1),
                validation_accuracy=1 - 1 / (epoch + 3),
                seconds=0.125 * epoch,
                processor_seconds=0.1 * epoch,
                iterations=tuple(
                    IterationEnd(
                        iteration=step, clips=4 if step % iterations else 1, loss=1.3 / step, accuracy=1 - 0.7 / step
                    )
                    for step in steps
                ),
            )
        )
    return made


def make_evaluation(card: DataCard, split: str = TEST, *, wrong: int = 1) -> Evaluation:
    """Answers on a split, all right but the first `wrong` ones."""
    labels = card.labels_of(split)
    k = len(card.classes)
    predictions = bytes((label + 1) % k if i < wrong else label for i, label in enumerate(labels))
    outputs = [[2.0 if label == answer else -0.01 * i for label in range(k)] for i, answer in enumerate(predictions)]
    return Evaluation(
        split=split,
        loss=0.37,
        objective=0.37,
        accuracy=(len(labels) - wrong) / len(labels),
        predictions=predictions,
        labels=labels,
        logits=np.array(outputs, "<f2").tobytes(),
    )


def recipe_of_source(source: str, options: dict[str, Any] | None = None, **changes: Any) -> Recipe:
    """The recipe of a network of the user's own, which nobody builds."""
    values = json.loads(make_recipe("fc", **changes).text)
    values["network"] = {"name": "own", "sha256": hashlib.sha256(source.encode()).hexdigest(), **(options or {})}
    return Recipe.from_text(json.dumps(values))


def make_wanted(recipe: Recipe, card: DataCard, **more: Any) -> Wanted:
    """A claim of a recipe on data."""
    about = {"retry": False, "parameters": 3, "multiply_accumulates": 4, "environment": ENVIRONMENT}
    return Wanted.of(recipe, card, **about | more)


def start(registry: Registry, recipe: Recipe | None = None, card: DataCard | None = None, **about: Any) -> str:
    """A run that has been started; its id."""
    return registry.start(
        recipe or make_recipe(), card or make_card(), **{"parameters": 346_067, "environment": ENVIRONMENT, **about}
    )


def train(
    registry: Registry, recipe: Recipe | None = None, card: DataCard | None = None, *, wrong: int = 1, epochs: int = 2
) -> str:
    """A run that has been recorded from its start to its end; its id."""
    card = card or make_card()
    recipe = recipe or make_recipe()
    run_id = start(registry, recipe, card, parameters=PARAMETERS.get(recipe.arch, 1))
    for epoch in make_epochs(epochs):
        registry.record(run_id, epoch)
    registry.finish(run_id, make_evaluation(card, wrong=wrong), card, WEIGHTS)
    return run_id


def cut_off(registry: Registry, *, epochs: int = 3, checkpoint: bytes = WEIGHTS) -> str:
    """A run that was interrupted, with a checkpoint of its last epoch; its id."""
    run_id = start(registry)
    for epoch in make_epochs(epochs):
        registry.record(run_id, epoch, checkpoint)
    registry.end(run_id, INTERRUPTED)
    return run_id


def make_registry(path: Path, recipes: Iterable[Recipe] = ()) -> list[str]:
    """A registry file with a finished run of each recipe; the runs' ids."""
    with Registry(path, create=True) as registry:
        return [train(registry, recipe) for recipe in recipes]


def make_run(
    run_id: str = "bcdfghjk",
    *,
    card: DataCard | None = None,
    test_accuracy: float | None = 0.9,
    status: str = FINISHED,
    parameters: int | None = None,
    **recipe: Any,
) -> Run:
    """A run as the registry answers with it, without a registry."""
    card = card or make_card()
    made = make_recipe(**recipe)
    return Run(
        id=run_id,
        status=status,
        error=None,
        name=None,
        note=None,
        started_at="2023-05-01T10:00:00.000+00:00",
        ended_at="2023-05-01T10:05:00.000+00:00",
        parameters=PARAMETERS.get(made.arch, 1_000) if parameters is None else parameters,
        data_fingerprint=card.fingerprint,
        data_source=card.source,
        recipe=made,
        environment=ENVIRONMENT,
        epochs_done=made.epochs,
        seconds=300.0,
        validation_accuracy=0.91,
        test_accuracy=test_accuracy,
    )


def read_back(epochs: Iterable[EpochEnd]) -> list[Epoch]:
    """Epochs as the registry answers with them, without a registry."""
    return [
        Epoch(
            **{key: value for key, value in vars(epoch).items() if key != "iterations"},
            iteration_losses=tuple(i.loss for i in epoch.iterations),
            iteration_accuracies=tuple(i.accuracy for i in epoch.iterations),
        )
        for epoch in epochs
    ]


class Cards:
    """As much of a registry's reader as a table without a test asks for: data cards, and no answers."""

    def __init__(self, *cards: DataCard) -> None:
        self._cards = {card.fingerprint: card for card in cards}

    def card(self, fingerprint: str) -> DataCard:
        return self._cards[fingerprint]

    def answers(self, run_ids: Iterable[str], card: DataCard, split: str) -> dict[str, None]:
        return dict.fromkeys(run_ids)

    def predictions(self, run_ids: Iterable[str], card: DataCard, split: str) -> dict[str, bytes]:
        return {}

    def validation_accuracies(self, run_id: str) -> list[float]:
        return []

    def curve(self, run_id: str) -> Curve:
        return Curve(validation_accuracies=(), seconds=(), processor_seconds=None)

    def processors(self, runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
        return {run.id: (run.environment.cpu,) for run in runs}

    def processor_seconds(self, run_ids: Sequence[str]) -> dict[str, None]:
        return dict.fromkeys(run_ids)

    def manifest(self, fingerprint: str, split: str) -> None:
        return None

    speakers = digests = paths = manifest

    def recipes_judged(self, split_fingerprint: str, *, apart: Iterable[str] = ()) -> int:
        return 1


def with_manifests(card: DataCard, *, speakers: int | None = 3) -> DataCard:
    """The same card with every clip's path, digest and speaker: so many speakers a split, or none that are known."""
    return dataclasses.replace(
        card,
        manifests={
            split: Manifest(
                paths=tuple(f"{split}/{place}.wav" for place in range(len(labels))),
                digests=b"".join(hashlib.sha256(f"{split} {place}".encode()).digest() for place in range(len(labels))),
                speakers=None if speakers is None else tuple(f"{split}{i % speakers}" for i in range(len(labels))),
                modified_ns=tuple(range(len(labels))),
                seconds=(1.0,) * len(labels),
            )
            for split, labels in card.labels.items()
        },
    )
