"""Training and evaluation: fit() yields what happens, evaluate() returns a network's answers.

Decisions:
- The loop is a generator of events; it neither prints nor saves. Progress, recording and stopping are loops around it.
- fit() is given the training and the validation split and never sees the test split.
- A minibatch is computed in micro-batches of `micro_batch_size` clips whose gradients are summed before the one
  optimizer step: the activations of a micro-batch stay in the processor's cache. Only the order of summation differs
  from the whole minibatch. A network with batch statistics gets whole minibatches.
- Features are one tensor in memory, shuffled by index; there is no loader in the loop.
- Denormal numbers are flushed to zero: they are some 100 times slower and far below what a weight can show.
- With `precision` bf16 the network runs in bfloat16 by PyTorch's autocast, forward and backward; weights, their
  gradients' sums, the loss and the optimizer stay fp32. Evaluation is always fp32: what is stored is fp32.
- The schedule multiplies the optimizer's learning rate in each step; augmentations change the features of each
  micro-batch in training; where weights are averaged, the average is what is evaluated and kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from kws import architectures
from kws.errors import DivergedError
from kws.events import EpochEnd, Evaluation, IterationEnd
from kws.recipe import BEST
from kws.recipe.parts import AUGMENTATION, AVERAGING, LOSS, OPTIMIZER, SCHEDULE
from kws.speech.memory import keep_freed_memory

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn
    from torch.optim import Optimizer

    from kws.recipe import Kind, Recipe
    from kws.speech.dataset import Split

_LARGEST = torch.finfo(torch.half).max


def set_up(recipe: Recipe) -> None:
    """Fix what else decides a run's bits: threads, denormals and the seed of PyTorch's random numbers.

    Also keeps freed memory at hand (see kws.speech.memory), which changes no bits, but most of the time of a step.
    """
    keep_freed_memory()
    torch.set_num_threads(recipe.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(recipe.seed)


@dataclass
class Training:
    """All that changes while a network is trained; kws.training.checkpoints keeps it and puts it back.

    `shuffling` gives each epoch its order. It is on the CPU, so that every device sees the same one.
    """

    model: nn.Module
    optimizer: Optimizer
    shuffling: Generator
    epoch: int = 0  # epochs and iterations that are done
    iteration: int = 0
    best_accuracy: float = -1.0  # on the validation split, of the weights in `best`
    best: dict[str, Tensor] = field(default_factory=dict)  # empty where the recipe takes the last epoch
    average: dict[str, Tensor] = field(default_factory=dict)  # of the weights; empty where they are not averaged

    @classmethod
    def begin(cls, recipe: Recipe, classes: int) -> Training:
        """A new network of K = classes outputs and its optimizer, before the first epoch; calls set_up()."""
        set_up(recipe)
        model = architectures.build(recipe, classes).to(recipe.device)
        optimizer = _module(OPTIMIZER, recipe.optimizer).optimizer(model.parameters(), recipe.optimizer)
        return cls(model, optimizer, torch.Generator().manual_seed(recipe.seed))


def _module(kind: Kind, config: Any) -> Any:
    return kind.part(config.NAME).load()


def take_selected(training: Training) -> None:
    """Put the weights that the recipe selects into the network: the best epoch's, or the average, if so."""
    if kept := training.best or training.average:
        training.model.load_state_dict(kept)


@contextmanager
def _averaged(training: Training) -> Iterator[nn.Module]:
    """The network with its averaged weights, if they are averaged; afterwards it is as before."""
    if not training.average:
        yield training.model
        return
    own = {name: tensor.detach().clone() for name, tensor in training.model.state_dict().items()}
    training.model.load_state_dict(training.average)
    yield training.model
    training.model.load_state_dict(own)


def fit(training: Training, train: Split, validation: Split, recipe: Recipe) -> Iterator[IterationEnd | EpochEnd]:
    """Train up to `recipe.epochs`; yields an IterationEnd after each optimizer step and an EpochEnd after each epoch.

    The training split is shuffled anew each epoch. When an EpochEnd is yielded, `training` is as it was after that
    epoch. Raises DivergedError at the first loss that is not finite.
    """
    model, optimizer = training.model, training.optimizer
    schedule, averaging = _module(SCHEDULE, recipe.schedule), _module(AVERAGING, recipe.averaging)
    steps = recipe.epochs * math.ceil(len(train) / recipe.batch_size)
    for epoch in range(training.epoch + 1, recipe.epochs + 1):
        start = time.perf_counter()
        iterations = []
        for batch in torch.randperm(len(train), generator=training.shuffling).split(recipe.batch_size):
            training.iteration = iteration = training.iteration + 1
            factor = schedule.factor(iteration - 1, steps, recipe.schedule)
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * factor
            loss, correct = step(model, optimizer, train, batch.to(recipe.device), recipe)
            if not math.isfinite(loss):
                raise DivergedError(
                    f"the training loss became {loss} in iteration {iteration} (epoch {epoch}); "
                    f"try a --learning-rate below {recipe.learning_rate:g}"
                )
            training.average = averaging.updated(training.average, model, recipe.averaging)
            iterations.append(
                IterationEnd(iteration=iteration, clips=len(batch), loss=loss, accuracy=correct / len(batch))
            )
            yield iterations[-1]
        with _averaged(training):
            held_out = evaluate(model, validation, "validation", recipe)
        if not math.isfinite(held_out.objective):
            raise DivergedError(
                f"the validation loss became {held_out.objective} in epoch {epoch}; "
                f"try a --learning-rate below {recipe.learning_rate:g}"
            )
        training.epoch = epoch
        if recipe.selection == BEST and held_out.accuracy > training.best_accuracy:
            training.best_accuracy = held_out.accuracy
            kept = training.average or model.state_dict()
            training.best = {name: tensor.detach().clone() for name, tensor in kept.items()}
        yield EpochEnd(
            epoch=epoch,
            train_loss=math.fsum(i.loss * i.clips for i in iterations) / len(train),
            train_accuracy=math.fsum(i.accuracy * i.clips for i in iterations) / len(train),
            validation_loss=held_out.objective,
            validation_accuracy=held_out.accuracy,
            seconds=time.perf_counter() - start,
            iterations=tuple(iterations),
        )


def step(model: nn.Module, optimizer: Optimizer, split: Split, batch: Tensor, recipe: Recipe) -> tuple[float, int]:
    """One optimizer step on the clips whose indices are `batch` (B,); returns the mean loss and how many were right.

    Both are those of the weights before the step.
    """
    model.train()
    optimizer.zero_grad()
    loss, correct = 0.0, 0
    criterion = _module(LOSS, recipe.loss).loss
    augmentations = [(_module(AUGMENTATION, config).augment, config) for config in recipe.augmentation]
    # One context for all micro-batches: it casts the weights to bfloat16 once a minibatch.
    with torch.autocast(recipe.device, dtype=torch.bfloat16, enabled=recipe.precision == "bf16"):
        for index in batch.split(recipe.micro_batch_size):
            features, labels = split.features.index_select(0, index), split.labels[index]
            for augment, config in augmentations:
                features = augment(features, config)
            logits = model(features).float()
            part = criterion(logits, labels, recipe.loss) / len(batch)
            part.backward()
            loss += part.item()
            correct += int((logits.detach().argmax(1) == labels).sum())
    optimizer.step()
    return loss, correct


@torch.inference_mode()
def evaluate(model: nn.Module, split: Split, name: str, recipe: Recipe) -> Evaluation:
    """The network's loss, objective, accuracy, predictions and logits (as float16) on every clip of a split."""
    model.eval()
    loss = objective = 0.0
    criterion = _module(LOSS, recipe.loss).loss
    predictions = torch.empty(len(split), dtype=torch.uint8, device=split.labels.device)
    outputs = []
    for index in torch.arange(len(split), device=split.labels.device).split(recipe.micro_batch_size):
        logits = model(split.features.index_select(0, index))
        objective += criterion(logits, split.labels[index], recipe.loss).item()
        loss += F.cross_entropy(logits, split.labels[index], reduction="sum").item()
        predictions[index] = logits.argmax(1).to(torch.uint8)
        outputs.append(logits.clamp(-_LARGEST, _LARGEST).half())
    labels = split.labels.to(torch.uint8)
    return Evaluation(
        split=name,
        loss=loss / len(split),
        objective=objective / len(split),
        accuracy=int((predictions == labels).sum()) / len(split),
        predictions=predictions.cpu().numpy().tobytes(),
        labels=labels.cpu().numpy().tobytes(),
        logits=torch.cat(outputs).cpu().numpy().tobytes(),
    )
