"""Training and evaluation: fit() yields what happens, evaluate() returns a network's answers.

Decisions:
- The loop is a generator of events; it neither prints nor saves. Progress, recording and stopping are loops around it.
- fit() is given the training and the validation split and never sees the test split.
- A minibatch is computed in slices of `slice_size` clips whose gradients are summed before the one optimizer step: the
  activations of a slice stay in the processor's cache. Only the order of summation differs from the whole minibatch.
- Features are one tensor in memory, shuffled by index; there is no loader in the loop.
- Denormal numbers are flushed to zero: they are some 100 times slower and far below what a weight can show.
- With `precision` bf16 the network runs in bfloat16 by PyTorch's autocast, forward and backward; weights, their
  gradients' sums, the loss and the optimizer stay fp32. Evaluation is always fp32: what is stored is fp32.
- A network may not hold state outside its parameters (no batch statistics): slices would change its meaning.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from kws import architectures
from kws.errors import DivergedError
from kws.events import EpochEnd, Evaluation, IterationEnd
from kws.recipe import BEST
from kws.speech.memory import keep_freed_memory
from kws.training import optimizers

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn

    from kws.recipe import Recipe
    from kws.speech.dataset import Split
    from kws.training.updates import Optimizer

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

    @classmethod
    def begin(cls, recipe: Recipe, classes: int) -> Training:
        """A new network of K = classes outputs and its optimizer, before the first epoch; calls set_up()."""
        set_up(recipe)
        model = architectures.build(recipe.arch, classes=classes, maps=recipe.maps).to(recipe.device)
        optimizer = optimizers.build(recipe.opt, model.parameters(), **recipe.hyperparameters())
        return cls(model, optimizer, torch.Generator().manual_seed(recipe.seed))


def take_selected(training: Training) -> None:
    """Put the weights of the epoch that the recipe selects into the network: the best one's, if it asked for them."""
    if training.best:
        training.model.load_state_dict(training.best)


def fit(training: Training, train: Split, validation: Split, recipe: Recipe) -> Iterator[IterationEnd | EpochEnd]:
    """Train up to `recipe.epochs`; yields an IterationEnd after each optimizer step and an EpochEnd after each epoch.

    The training split is shuffled anew each epoch. When an EpochEnd is yielded, `training` is as it was after that
    epoch. Raises DivergedError at the first loss that is not finite.
    """
    model, optimizer = training.model, training.optimizer
    for epoch in range(training.epoch + 1, recipe.epochs + 1):
        start = time.perf_counter()
        iterations = []
        for batch in torch.randperm(len(train), generator=training.shuffling).split(recipe.batch_size):
            training.iteration = iteration = training.iteration + 1
            loss, correct = step(model, optimizer, train, batch.to(recipe.device), recipe)
            if not math.isfinite(loss):
                raise DivergedError(
                    f"the training loss became {loss} in iteration {iteration} (epoch {epoch}); "
                    f"try a --learning-rate below {recipe.learning_rate:g}"
                )
            iterations.append(
                IterationEnd(iteration=iteration, clips=len(batch), loss=loss, accuracy=correct / len(batch))
            )
            yield iterations[-1]
        held_out = evaluate(model, validation, "validation", recipe)
        if not math.isfinite(held_out.objective):
            raise DivergedError(
                f"the validation loss became {held_out.objective} in epoch {epoch}; "
                f"try a --learning-rate below {recipe.learning_rate:g}"
            )
        training.epoch = epoch
        if recipe.selection == BEST and held_out.accuracy > training.best_accuracy:
            training.best_accuracy = held_out.accuracy
            training.best = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
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
    # One context for all slices: it casts the weights to bfloat16 once a minibatch.
    with torch.autocast(recipe.device, dtype=torch.bfloat16, enabled=recipe.precision == "bf16"):
        for index in batch.split(recipe.slice_size):
            logits = model(split.features.index_select(0, index)).float()
            labels = split.labels[index]
            part = cross_entropy(logits, labels, softmax=recipe.softmax) / len(batch)
            part.backward()
            loss += part.item()
            correct += int((logits.detach().argmax(1) == labels).sum())
    optimizer.step()
    return loss, correct


def cross_entropy(logits: Tensor, labels: Tensor, *, softmax: bool) -> Tensor:
    """The cross-entropy of logits (B, K) with labels (B,), summed over the clips, in nats.

    With `softmax` the logits pass through a softmax first, the mistake of the report's claim 4: cross-entropy applies
    its own, so probabilities are squeezed twice and gradients shrink.
    """
    return F.cross_entropy(logits.softmax(1) if softmax else logits, labels, reduction="sum")


@torch.inference_mode()
def evaluate(model: nn.Module, split: Split, name: str, recipe: Recipe) -> Evaluation:
    """The network's loss, objective, accuracy, predictions and logits (as float16) on every clip of a split."""
    model.eval()
    loss = objective = 0.0
    predictions = torch.empty(len(split), dtype=torch.uint8, device=split.labels.device)
    outputs = []
    for index in torch.arange(len(split), device=split.labels.device).split(recipe.slice_size):
        logits = model(split.features.index_select(0, index))
        objective += cross_entropy(logits, split.labels[index], softmax=recipe.softmax).item()
        if recipe.softmax:
            loss += cross_entropy(logits, split.labels[index], softmax=False).item()
        predictions[index] = logits.argmax(1).to(torch.uint8)
        outputs.append(logits.clamp(-_LARGEST, _LARGEST).half())
    labels = split.labels.to(torch.uint8)
    return Evaluation(
        split=name,
        loss=(loss if recipe.softmax else objective) / len(split),
        objective=objective / len(split),
        accuracy=int((predictions == labels).sum()) / len(split),
        predictions=predictions.cpu().numpy().tobytes(),
        labels=labels.cpu().numpy().tobytes(),
        logits=torch.cat(outputs).cpu().numpy().tobytes(),
    )
