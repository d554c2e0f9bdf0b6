"""PyTorch's optimizers, fused, without the second that the first of them takes to import the compiler.

torch.optim.Optimizer wraps its methods so that torch.compile leaves them alone, and the wrappers import torch._dynamo.
Nothing is compiled here, so that the methods are taken without their wrappers; a test holds every step to the bits of
torch.optim.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
# What checkpoints of version 0.1.0 call PyTorch's state.
_OLD = {"velocity": "momentum_buffer", "mean": "exp_avg", "square": "exp_avg_sq", "steps": "step"}


def of_torch(name: str, parameters: Iterable[Tensor], **settings: Any) -> Optimizer:
    """torch.optim's optimizer by that name over these parameters, with settings as it takes them."""
    return _unwrapped(name)(parameters, fused=True, **settings)


@cache
def _unwrapped(name: str) -> Any:
    kind: Any = getattr(torch.optim, name)
    own = {each: inspect.unwrap(getattr(kind, each)) for each in _WRAPPED}
    return type(name, (kind,), own | {"step": torch.no_grad()(inspect.unwrap(kind.step))})


def state(optimizer: Optimizer) -> dict[str, Tensor]:
    """What an optimizer remembers between steps, named after what it is and the parameter's number."""
    found = optimizer.state_dict()["state"]
    return {f"{name}.{i}": each for i, kept in found.items() for name, each in kept.items() if each is not None}


@torch.no_grad()
def restore(optimizer: Optimizer, found: Mapping[str, Tensor]) -> None:
    """Have an optimizer remember what state() gave. Raises KeyError or ValueError where it is another network's."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    kept: dict[int, dict[str, Tensor]] = {}
    for key, tensor in found.items():
        name, _, number = key.rpartition(".")
        parameter = parameters[int(number)]
        if tensor.ndim and tensor.shape != parameter.shape:
            raise ValueError(f"{key} has the shape {tuple(tensor.shape)}")
        # As the parameter lies in memory, which fused updates go through from end to end.
        like = torch.empty_like(parameter).copy_(tensor) if tensor.ndim else tensor
        kept.setdefault(int(number), {})[_OLD.get(name, name)] = like
    wanted = _remembers(optimizer)
    full: dict[Any, Any] = {i: {name: kept[i][name] for name in wanted} for i in range(len(parameters)) if wanted}
    optimizer.load_state_dict({"state": full, "param_groups": optimizer.state_dict()["param_groups"]})


def _remembers(optimizer: Optimizer) -> set[str]:
    """The names of what it remembers of a parameter, found by a step on one of its own kind."""
    one = torch.zeros(1, requires_grad=True)
    one.grad = torch.zeros(1)
    accepted = inspect.signature(type(optimizer).__init__).parameters
    probe: Any = type(optimizer)([one], **{k: v for k, v in optimizer.defaults.items() if k in accepted})
    probe.step()
    return {name for name, value in probe.state[one].items() if value is not None}
