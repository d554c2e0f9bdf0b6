"""Training and evaluation: fit() yields events, evaluate() returns a network's predictions and loss.

Decisions:
- The loop is a generator of events; it neither prints nor saves. Progress, recording and stopping are loops around it.
- fit() gets the training and the validation split and never sees the test split.
- A minibatch is computed in micro-batches of `micro_batch_size` clips, whose gradients are summed before a single
  optimizer step. The activations of a micro-batch stay in the processor's cache. Only the order of summation differs
  from a whole minibatch. A network with batch statistics gets whole minibatches.
- Features are one tensor in memory, shuffled by index; there is no loader in the loop.
- Denormal numbers are flushed to zero: they are about 100 times slower and too small to affect a weight.
- With `precision` bf16 the network runs in bfloat16 by PyTorch's autocast, forward and backward; weights, summed
  gradients, the loss and the optimizer stay fp32. Evaluation is always fp32, since the stored weights are fp32.
- The schedule scales the optimizer's learning rate in each step. Augmentations change the features of each micro-batch
  in training; those that exchange clips for others change labels, too. If weights are averaged, the average is
  evaluated and stored.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from kws import architectures
from kws.errors import DivergedError
from kws.events import EpochEnd, Evaluation, IterationEnd
from kws.recipe import BEST, SHUFFLED
from kws.recipe.parts import AUGMENTATION, AVERAGING, LOSS, OPTIMIZER, SCHEDULE
from kws.speech.memory import keep_freed_memory
from kws.training import fine_tuning, updates

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn
    from torch.optim import Optimizer

    from kws.recipe import Kind, Recipe
    from kws.speech.dataset import Split

_LARGEST = torch.finfo(torch.half).max
_NOTHING: Mapping[str, tuple[Any]] = {}


def set_up(recipe: Recipe) -> None:
    """Set the process-wide state that decides a run's bits: threads, denormals, a GPU's kernels and PyTorch's seed.

    On a GPU all kernels add up in the same order each time, and fp32 is fp32: by default, PyTorch convolves in TF32,
    whose fraction has 10 bits. An operation that has no such kernel is warned of.

    Also keeps freed memory in the process (see kws.speech.memory). That changes no bits, but saves most of a step's
    time where page faults are expensive.
    """
    keep_freed_memory()
    torch.set_num_threads(recipe.threads)
    torch.set_flush_denormal(True)
    if (on_gpu := recipe.device == "cuda") != torch.are_deterministic_algorithms_enabled():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, cuBLAS adds up in any order
        torch.set_deterministic_debug_mode("warn" if on_gpu else "default")
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        torch.backends.cudnn.allow_tf32 = not on_gpu
    torch.manual_seed(recipe.seed)


@dataclass
class Training:
    """All state that changes during training; kws.training.checkpoints saves and restores it.

    `shuffling` generates the order of clips in each epoch. It is on the CPU, so that the order is the same on every
    device.
    """

    model: nn.Module
    optimizer: Optimizer
    shuffling: Generator
    epoch: int = 0  # finished epochs and iterations
    iteration: int = 0
    best_accuracy: float = -1.0  # on the validation split, of the weights in `best`
    best: dict[str, Tensor] = field(default_factory=dict)  # empty if the recipe selects the last epoch
    average: dict[str, Tensor] = field(default_factory=dict)  # of the weights; empty if they are not averaged
    prepared: dict[str, tuple[Any]] = field(default_factory=dict)  # for augmentations (kws.training.augmenting)
    head: frozenset[str] = frozenset()  # parameters of the last layer, of a network that another run trained before

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
    """Load the selected weights into the network: the best epoch's, the average, or else those it has."""
    if kept := training.best or training.average:
        training.model.load_state_dict(kept)


@contextmanager
def _averaged(training: Training) -> Iterator[nn.Module]:
    """The network with its averaged weights, if there are any; its own weights are restored afterwards."""
    if not training.average:
        yield training.model
        return
    own = {name: tensor.detach().clone() for name, tensor in training.model.state_dict().items()}
    training.model.load_state_dict(training.average)
    try:
        yield training.model
    finally:
        training.model.load_state_dict(own)


def fit(training: Training, train: Split, validation: Split, recipe: Recipe) -> Iterator[IterationEnd | EpochEnd]:
    """Train up to `recipe.epochs`; yields an IterationEnd after each optimizer step and an EpochEnd after each epoch.

    The training split is reshuffled each epoch. When an EpochEnd is yielded, `training` holds the state after that
    epoch. Raises DivergedError at the first loss that is not finite.
    """
    model, optimizer = training.model, training.optimizer
    schedule, averaging = _module(SCHEDULE, recipe.schedule), _module(AVERAGING, recipe.averaging)
    steps = recipe.epochs * math.ceil(len(train) / recipe.batch_size)
    for epoch in range(training.epoch + 1, recipe.epochs + 1):
        start, start_of_processor = time.perf_counter(), time.process_time()
        iterations = []
        if recipe.head_epochs:
            fine_tuning.freeze(model, training.head, frozen=epoch <= recipe.head_epochs)
            if epoch == recipe.head_epochs + 1:
                updates.begin_momentum(optimizer)
        for batch in drawn(train.labels, recipe, training.shuffling).split(recipe.batch_size):
            training.iteration = iteration = training.iteration + 1
            factor = schedule.factor(iteration - 1, steps, recipe.schedule)
            for group in optimizer.param_groups:
                group["lr"] = recipe.learning_rate * factor
            loss, correct = step(model, optimizer, train, batch.to(recipe.device), recipe, training.prepared)
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
            processor_seconds=time.process_time() - start_of_processor,
            iterations=tuple(iterations),
        )


def drawn(labels: Tensor, recipe: Recipe, generator: Generator) -> Tensor:
    """The clips of an epoch by their indices (N,): each once, or with repeats, each class equally often."""
    if recipe.sampling == SHUFFLED:
        return torch.randperm(len(labels), generator=generator)
    of_class = torch.bincount(labels.cpu())
    return torch.multinomial(1 / of_class[labels.cpu()], len(labels), replacement=True, generator=generator)


def step(
    model: nn.Module,
    optimizer: Optimizer,
    split: Split,
    batch: Tensor,
    recipe: Recipe,
    prepared: Mapping[str, tuple[Any]] = _NOTHING,
) -> tuple[float, int]:
    """The mean loss and the number of correct predictions in one optimizer step on the clips with indices `batch` (B,).

    Both are computed with the weights before the step. `prepared` holds what augmentations know of the data set, by
    their names (see kws.training.augmenting).
    """
    model.train()
    if recipe.head_epochs:
        fine_tuning.keep_statistics(model)
    optimizer.zero_grad()
    loss, correct = 0.0, 0
    criterion = _module(LOSS, recipe.loss).loss
    augmentations = [
        (_module(AUGMENTATION, config), config, *prepared.get(config.NAME, ())) for config in recipe.augmentation
    ]
    # One context for all micro-batches, so that the weights are cast to bfloat16 once per minibatch.
    with torch.autocast(recipe.device, dtype=torch.bfloat16, enabled=recipe.precision == "bf16"):
        for index in batch.split(recipe.micro_batch_size):
            features, labels = split.features.index_select(0, index), split.labels[index]
            with torch.autocast(recipe.device, enabled=False):  # features are changed in fp32 in bf16's recipes, too
                for module, *about in augmentations:
                    if hasattr(module, "exchange"):
                        features, labels = module.exchange(features, labels, *about)
                    else:
                        features = module.augment(features, *about)
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
