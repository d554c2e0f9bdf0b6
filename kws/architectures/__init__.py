"""The networks: one file each, and the file's name is the network's name on the command line.

Each file has a `Network`, a torch module that takes log-mel features (B, T, M) and returns logits (B, K). Its
constructor takes `classes`, which is K, and, if the network has options, `config`, an instance of the file's Config.
MICRO_BATCH is how many clips are computed at once, by precision; a network with BATCH_STATISTICS gets whole
minibatches. A network of the user's own (kws.recipe.own) has the same in a file elsewhere; it is tried on two clips
when it is built, so that its faults are told before a run is recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kws.errors import RecipeError, UntrustedError
from kws.recipe import NETWORK, plain
from kws.recipe.own import OwnNetwork
from kws.recipe.parts import OWN

if TYPE_CHECKING:
    from torch import nn

    from kws.recipe import Recipe

FRAMES, BANDS = 101, 40  # T and M of the report: 1 s with a hop of 10 ms, 40 mel bands


def build(recipe: Recipe, classes: int) -> nn.Module:
    """The recipe's network with K = classes outputs, in PyTorch's default initialisation.

    Raises RecipeError where its options make a network that does not fit into memory, or where a network of the user's
    own is none, and UntrustedError where nobody asked for its code to be run.
    """
    config = recipe.network
    if recipe.source:
        part = OWN.get(recipe.source)
        if not isinstance(part, OwnNetwork):
            raise UntrustedError(f"the network {config.NAME} is code from a registry, which does not run unasked")
        return _build_own(part, config, classes)
    part = NETWORK.part(config.NAME)
    network = part.load().Network
    try:
        return network(classes, config) if part.options else network(classes)
    except (RuntimeError, MemoryError):  # what PyTorch raises where memory does not suffice
        given = ", ".join(f"`{name}` (={plain(value)})" for name, value in config.values().items())
        raise RecipeError(f"{given} makes a network that does not fit into memory; try fewer") from None


def _build_own(part: OwnNetwork, config: Any, classes: int) -> nn.Module:
    """A network of the user's own that was tried: it returns logits, and each of its losses has a gradient."""
    config = part.config(**config.values())  # a recipe that was read has its values, and not its class
    model: Any
    with part.explained("Network"):
        model = part.load().Network(classes, config) if part.options else part.load().Network(classes)
        problem = _problem(model, classes)
    if problem:
        raise RecipeError(f"{part.line('Network')}: {problem}")
    return model


def _problem(model: Any, classes: int) -> str | None:
    """What is wrong with a network's answer to two clips, or with what it is; None where it can be trained.

    Neither its weights nor the random numbers of the run change.
    """
    import copy

    import torch
    from torch import nn

    if not isinstance(model, nn.Module):
        return f"Network must be a child of torch.nn.Module; it makes a {type(model).__name__}"
    clips = torch.zeros(2, FRAMES, BANDS)
    was_training = model.training
    with torch.random.fork_rng(devices=[]):
        with torch.no_grad():
            logits = model.eval()(clips)
        model.train(was_training)
        if not isinstance(logits, torch.Tensor):
            return f"it returns a {type(logits).__name__}, and must return logits (B, K), a tensor"
        if logits.shape != (2, classes) or not logits.is_floating_point():
            what = f"{str(logits.dtype).removeprefix('torch.')} of the shape {tuple(logits.shape)}"
            return f"it returns {what} for 2 clips, and must return logits (B, K), here (2, {classes})"
        if not any(parameter.requires_grad for parameter in model.parameters()):
            return "it has no parameters to train"
        copy.deepcopy(model).train()(clips).sum().backward()
    return None
