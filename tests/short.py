"""Trainings on a few random clips, from which networks can learn."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from kws.events import TRAIN, EpochEnd
from kws.recipe import Recipe
from kws.speech.dataset import Split
from kws.training import augmenting, loop
from kws.training.loop import Training

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def split_of(clips: int, seed: int = 0) -> Split:
    """So many clips whose lower bands tell the class."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (clips,), generator=random)
    features = torch.randn(clips, 101, 40, generator=random)
    features[:, :, :20] += 2.0 * (labels[:, None, None] - 1)
    return Split(features, labels)


def data_of(train: Split) -> Any:
    """What augmentations ask of a data set, for these clips."""
    card = SimpleNamespace(front_end={"offset": 1e-6}, mean=-8.0, std=3.0, source="here")
    return SimpleNamespace(card=card, splits={TRAIN: train})


def up_to(epoch: int, recipe: Recipe, train: Split, validation: Split, loaded: Any = None) -> Training:
    """A training after that epoch of a longer recipe, or after its last; with what augmentations make of `loaded`."""
    state = Training.begin(recipe, 3)
    if loaded:
        state.prepared = augmenting.prepared(recipe, loaded)
    if not epoch:
        return state
    for event in loop.fit(state, train, validation, recipe):
        if isinstance(event, EpochEnd) and event.epoch == epoch:
            break
    return state
