"""Runs to record: what kws's registry and its peers are given, and a registry made of them.

A run has 50 epochs of 10 iterations; losses and accuracies are drawn, since round numbers would compress too well. The
four cells of Table 1 take turns, with the same seeds on the same clips, and differ in how many answers are right: so
there is something to compare. Weights are left out: a byte stands for them, and the peers have none.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EPOCHS, ITERATIONS = 50, 10
CELLS = [(arch, opt) for arch in ("fc", "cnn") for opt in ("sgd", "adam")]
_TEST_CLIPS = 1_229
_RIGHT = {("fc", "sgd"): 0.885, ("fc", "adam"): 0.887, ("cnn", "sgd"): 0.907, ("cnn", "adam"): 0.934}


def metrics(epoch: int, draw: random.Random) -> dict[str, float]:
    """The four metrics of an epoch that every tool records."""
    return {
        "train_loss": draw.uniform(0.9, 1.1) / epoch,
        "train_accuracy": 1 - draw.uniform(0.2, 0.4) / epoch,
        "validation_loss": draw.uniform(1.0, 1.2) / epoch,
        "validation_accuracy": 1 - draw.uniform(0.3, 0.5) / epoch,
    }


def parameters(number: int) -> dict[str, Any]:
    """What decides the run with that number, as every tool records it."""
    arch, opt = CELLS[number % len(CELLS)]
    return {
        "arch": arch,
        "opt": opt,
        "learning_rate": 0.001 if opt == "adam" else 0.01,
        "batch_size": 1024,
        "epochs": EPOCHS,
        "seed": number // len(CELLS),
    }


def build(path: str, runs: int) -> None:
    """Make a registry with so many finished runs. Runs in a process of its own."""
    from kws.registry.store import Registry

    draw = random.Random(0)
    with Registry(Path(path), create=True) as registry:
        for number in range(runs):
            record(registry, number, draw)


def multiply(path: str, times: int) -> None:
    """Copy every run of a registry so that it holds `times` as many, by SQL. Runs in a process of its own."""
    connection = sqlite3.connect(path)
    numbers = itertools.count()
    connection.create_function("new_id", 0, lambda: f"{next(numbers):08x}")  # drawn ones would meet among 100,000
    with connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for name in names}
        last = connection.execute("SELECT max(key) FROM trainings").fetchone()[0]
        for copy in range(1, times):
            new = {"key": f"key + {copy * last}", "run_key": f"run_key + {copy * last}", "id": "new_id()"}
            seed = f"json_extract(recipe_json, '$.seed') + {copy * last}"
            new["recipe_json"], new["recipe_digest"] = f"json_set(recipe_json, '$.seed', {seed})", "new_id()"
            for name in ["trainings", *(name for name in names if "run_key" in columns[name])]:
                values = ", ".join(new.get(column, column) for column in columns[name])
                order = "key" if name == "trainings" else "run_key"
                connection.execute(f"INSERT INTO {name} SELECT {values} FROM {name} WHERE {order} <= {last}")
    connection.close()


def record(registry: Any, number: int, draw: random.Random, *, iterations: bool = True) -> float:
    """Record one run from its start to its end; returns the seconds that it took."""
    made = make(number, draw, iterations=iterations)
    start = time.perf_counter()
    made.keep(registry)
    return time.perf_counter() - start


@dataclass(frozen=True, kw_only=True)
class Made:
    """All that is to be recorded of one run."""

    recipe: Any
    card: Any
    environment: Any
    epochs: list[Any]
    evaluation: Any

    def keep(self, registry: Any, weights: bytes = b"w") -> None:
        """Record it, in as many transactions as it has epochs and two."""
        run_id = registry.start(self.recipe, self.card, parameters=346_067, environment=self.environment)
        for epoch in self.epochs:
            registry.record(run_id, epoch)
        registry.finish(run_id, self.evaluation, self.card, weights)


def make(number: int, draw: random.Random, *, iterations: bool = True) -> Made:
    """Draw the run with that number."""
    from kws.events import EpochEnd, Evaluation, IterationEnd
    from kws.registry.environment import Environment

    card, about = _card(), parameters(number)
    recipe = _recipe(about)
    environment = Environment(
        kws_version="1.2.3",
        python_version="3.11.7",
        torch_version="2.13.0",
        platform="Linux x86_64",
        cpu="A processor",
        instruction_set=None,
        git_commit="0123456789abcdef0123456789abcdef01234567",
        git_dirty=False,
        command=f"kws train --arch {recipe.arch} --opt {recipe.opt} --seed {recipe.seed}",
    )
    ended = [
        EpochEnd(
            epoch=epoch,
            seconds=draw.uniform(3, 4),
            iterations=tuple(
                IterationEnd(
                    iteration=(epoch - 1) * ITERATIONS + i + 1,
                    clips=1024,
                    loss=draw.uniform(0.8, 1.2) / epoch,
                    accuracy=draw.randrange(700, 1024) / 1024,
                )
                for i in range(ITERATIONS if iterations else 0)
            ),
            **metrics(epoch, draw),
        )
        for epoch in range(1, EPOCHS + 1)
    ]
    labels = card.labels_of("test")
    chance = (_RIGHT[recipe.arch, recipe.opt] - 1 / 3) / (2 / 3)  # a third of the guesses is right
    predictions = bytes(label if draw.random() < chance else draw.randrange(3) for label in labels)
    right = sum(a == b for a, b in zip(labels, predictions, strict=True))
    evaluation = Evaluation(
        split="test",
        loss=0.37,
        objective=0.37,
        accuracy=right / len(labels),
        predictions=predictions,
        labels=labels,
        logits=draw.randbytes(2 * len(card.classes) * len(labels)),
    )
    return Made(recipe=recipe, card=card, environment=environment, epochs=ended, evaluation=evaluation)


def _recipe(about: dict[str, Any]) -> Any:
    from kws.recipe import Recipe

    return Recipe.of(**about, threads=2, data="data/speech_commands")


def _card() -> Any:
    from kws.events import SPLITS, DataCard

    labels = {split: bytes(i % 3 for i in range(_TEST_CLIPS)) for split in SPLITS}
    return DataCard(
        source="clips",
        classes=("yes", "no", "other"),
        counts={split: tuple(data.count(k) for k in range(3)) for split, data in labels.items()},
        split_fingerprints={split: f"{number:064x}" for number, split in enumerate(SPLITS)},
        labels=labels,
        front_end={"sample_rate_hz": 16_000, "hop_ms": 10, "log_offset": 1e-6},
        mean=-3.25,
        std=2.1,
    )
