"""The networks: one file each, and the file's name is the network's name on the command line.

Each file has a `Network(classes, ...)`, a torch module that takes log-mel features (B, T, M) and returns logits (B, K);
its further arguments are what the command line may set. The file's docstring up to the colon is the row's title in
Table 1, ORDER its place there, and SLICE how many clips are computed at once. All of these are read without importing
torch.
"""

from __future__ import annotations

import ast
import importlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.errors import RecipeError

if TYPE_CHECKING:
    from torch import nn

FRAMES, BANDS = 101, 40  # T and M of the report: 1 s with a hop of 10 ms, 40 mel bands


@cache
def names() -> tuple[str, ...]:
    """Every network's name, in the order of Table 1's rows."""
    files = (path.stem for path in Path(__file__).parent.glob("*.py"))
    networks = (name for name in files if not name.startswith("_"))
    return tuple(sorted(networks, key=lambda name: (_constant(name, "ORDER"), name)))


@cache
def title(name: str) -> str:
    """The network's name in a table: its file's docstring up to the colon; the name itself if there is no such file."""
    return (ast.get_docstring(_source(name)) or name).split(":")[0] if name in names() else name


def build(name: str, *, classes: int, maps: tuple[int, ...] | None = None) -> nn.Module:
    """The network by that name with K = classes outputs, in PyTorch's default initialisation.

    Raises RecipeError where `maps` is given and the network has no feature maps, or another number of them.
    """
    network = importlib.import_module(f"{__name__}.{name}").Network
    if maps is None:
        return network(classes)
    require_maps(name, maps)
    try:
        return network(classes, maps=maps)
    except (RuntimeError, MemoryError):  # what PyTorch raises where memory does not suffice
        given = ",".join(map(str, maps))
        raise RecipeError(f"`maps` (={given}) makes a network that does not fit into memory; try fewer") from None


def require_maps(name: str, maps: tuple[int, ...]) -> None:
    """Raise RecipeError where the network has no feature maps, or another number of them. Imports no torch."""
    given, usual = ",".join(map(str, maps)), _constant(name, "MAPS")
    if usual is None:
        raise RecipeError(f"`maps` (={given}) is not for {name}, which has no feature maps")
    if len(maps) != len(usual):
        example = ",".join(map(str, usual))
        raise RecipeError(f"`maps` (={given}) must be {len(usual)} numbers, as in --maps {example}")


def has_maps(name: str) -> bool:
    """Whether the network has feature maps to choose."""
    return _constant(name, "MAPS") is not None


def normal_maps(name: str, maps: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """None for the maps that the network has by default, so that one network has one recipe."""
    return None if maps == _constant(name, "MAPS") else maps


def slice_size(name: str, batch_size: int, *, precision: str = "fp32", device: str = "cpu") -> int:
    """How many clips of a minibatch the network computes at once, so that its activations stay near the core."""
    if device != "cpu":
        return batch_size
    return min(batch_size, _constant(name, "SLICE").get(precision, batch_size))


@cache
def _source(name: str) -> ast.Module:
    return ast.parse((Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8"))


def _constant(name: str, constant: str) -> Any:
    """A value that the network's file defines in one line, read without running it; None where it does not."""
    for node in _source(name).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
            if getattr(target, "id", "") == constant:
                return ast.literal_eval(node.value)
    return None
