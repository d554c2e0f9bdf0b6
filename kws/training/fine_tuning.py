"""Fine-tuning: a network that starts from the weights of another run, with a new last layer for new classes.

Decisions:
- The last layer is what depends on the number of classes. It keeps the other run's weights where the classes are the
  same; else it is new.
- In the first `head_epochs` it alone is trained. Batch statistics of all other layers stay as they are then, as few
  clips would spoil them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kws import architectures
from kws.errors import RecipeError
from kws.training import weights

if TYPE_CHECKING:
    import torch
    from torch import nn

    from kws.recipe import Recipe

_CLASSES = 3  # any number


def head_of(recipe: Recipe, classes: int) -> frozenset[str]:
    """The names of the parameters that depend on the number of classes."""
    one, other = _shapes(recipe, classes), _shapes(recipe, classes + 1)
    return frozenset(name for name in one if one[name] != other[name])


def _shapes(recipe: Recipe, classes: int) -> dict[str, torch.Size]:
    """The shape of each of a network's tensors by name; the run's own random numbers stay as they are."""
    import torch

    with torch.random.fork_rng(devices=[]):
        return {name: tensor.shape for name, tensor in architectures.build(recipe, classes).state_dict().items()}


def start_from(model: nn.Module, blob: bytes, head: frozenset[str], *, whole: bool) -> None:
    """Load the weights of a safetensors file into a network, but for those of its `head` unless the `whole` is wanted.

    Raises RegistryError for what is no such file.
    """
    theirs, own = weights.read(blob), model.state_dict()
    wanted = own.keys() if whole else own.keys() - head
    model.load_state_dict(own | {name: theirs[name] for name in wanted})


def require_fit(recipe: Recipe, blob: bytes, told: str) -> None:
    """Raise RecipeError where the weights in a safetensors file are another network's; `told` says whose they are."""
    own, head, theirs = _shapes(recipe, _CLASSES), head_of(recipe, _CLASSES), weights.read(blob)
    if theirs.keys() != own.keys() or any(theirs[name].shape != own[name] for name in own.keys() - head):
        raise RecipeError(f"{told} has another network than this recipe; leave --arch and its options to --from")


def freeze(model: nn.Module, head: frozenset[str], *, frozen: bool) -> None:
    """Let the head alone be trained, or all of the network again."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(not frozen or name in head)


def keep_statistics(model: nn.Module) -> None:
    """Let what is frozen, in whole or in part, work as in evaluation; its batch statistics stay."""
    for module in model.modules():
        if not all(each.requires_grad for each in module.parameters()):
            module.training = False
