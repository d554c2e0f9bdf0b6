"""The networks: one file each, and the file's name is the network's name on the command line.

Each file has a `Network`, a torch module that takes log-mel features (B, T, M) and returns logits (B, K). Its
constructor takes `classes`, which is K, and, if the network has options, `config`, an instance of the file's Config.
MICRO_BATCH is how many clips are computed at once, by precision; a network with BATCH_STATISTICS gets whole
minibatches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kws.errors import RecipeError
from kws.recipe import NETWORK, plain

if TYPE_CHECKING:
    from torch import nn

    from kws.recipe import Recipe

FRAMES, BANDS = 101, 40  # T and M of the report: 1 s with a hop of 10 ms, 40 mel bands


def build(recipe: Recipe, classes: int) -> nn.Module:
    """The recipe's network with K = classes outputs, in PyTorch's default initialisation.

    Raises RecipeError where its options make a network that does not fit into memory.
    """
    config = recipe.network
    part = NETWORK.part(config.NAME)
    network = part.load().Network
    try:
        return network(classes, config) if part.options else network(classes)
    except (RuntimeError, MemoryError):  # what PyTorch raises where memory does not suffice
        given = ", ".join(f"`{name}` (={plain(value)})" for name, value in config.values().items())
        raise RecipeError(f"{given} makes a network that does not fit into memory; try fewer") from None
