"""PyTorch's fused optimizers, without importing the compiler, which takes a second.

torch.optim.Optimizer wraps its methods so that torch.compile leaves them alone, and the wrappers import torch._dynamo.
Nothing is compiled here, so the methods are used without their wrappers. A test checks that every step gives the same
bits as torch.optim.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

_WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
# PyTorch's names of the state, by the names in checkpoints of version 0.1.0.
_OLD = {"velocity": "momentum_buffer", "mean": "exp_avg", "square": "exp_avg_sq", "steps": "step"}


def of_torch(name: str, parameters: Iterable[Tensor], **settings: Any) -> Optimizer:
    """The torch.optim optimizer of that name over these parameters, with its own keyword settings."""
    return _unwrapped(name)(parameters, fused=True, **settings)


@cache
def _unwrapped(name: str) -> Any:
    kind: Any = getattr(torch.optim, name)
    return type(name, (unwrapped(kind),), {"step": torch.no_grad()(inspect.unwrap(kind.step))})


def unwrapped(kind: type[Optimizer]) -> Any:
    """An optimizer's class whose methods, but for step(), do not import the compiler."""
    return type(kind.__name__, (kind,), {each: inspect.unwrap(getattr(kind, each)) for each in _WRAPPED})


def begin_momentum(optimizer: Optimizer) -> None:
    """Let parameters that were frozen so far begin with a momentum of 0; fused SGD takes that of all or of none."""
    if not isinstance(optimizer, torch.optim.SGD):
        return
    for group in optimizer.param_groups:
        for parameter in group["params"] if group["momentum"] else ():
            if optimizer.state[parameter].get("momentum_buffer") is None:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def state(optimizer: Optimizer) -> dict[str, Tensor]:
    """An optimizer's state between steps; keys are the state's name and the parameter's number."""
    found = optimizer.state_dict()["state"]
    return {f"{name}.{i}": each for i, kept in found.items() for name, each in kept.items() if each is not None}


@torch.no_grad()
def restore(optimizer: Optimizer, found: Mapping[str, Tensor], may_lack: Collection[Tensor] = ()) -> None:
    """Restore an optimizer's state from state(). Raises KeyError or ValueError if it is another network's.

    Parameters that `may_lack` state were perhaps never trained so far.
    """
    untrained = set(map(id, may_lack))
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    kept: dict[int, dict[str, Tensor]] = {}
    for key, tensor in found.items():
        name, _, number = key.rpartition(".")
        parameter = parameters[int(number)]
        if tensor.ndim and tensor.shape != parameter.shape:
            raise ValueError(f"{key} has the shape {tuple(tensor.shape)}")
        # With the parameter's memory layout, since fused updates run through memory from end to end.
        like = torch.empty_like(parameter).copy_(tensor) if tensor.ndim else tensor.to(parameter.device)
        kept.setdefault(int(number), {})[_OLD.get(name, name)] = like
    remembered = getattr(optimizer, "remembered", None) or _remembered_of_all(optimizer)
    full: dict[Any, Any] = {}
    for i, parameter in enumerate(parameters):
        if (wanted := remembered(parameter)) and (i in kept or id(parameter) not in untrained):
            full[i] = {name: kept[i][name] for name in wanted}
    optimizer.load_state_dict({"state": full, "param_groups": optimizer.state_dict()["param_groups"]})


def _remembered_of_all(optimizer: Optimizer) -> Callable[[Tensor], set[str]]:
    """The names of an optimizer's state, the same for each parameter, found by a step of a new one of its class."""
    one = torch.zeros(1, requires_grad=True)
    one.grad = torch.zeros(1)
    accepted = inspect.signature(type(optimizer).__init__).parameters
    probe: Any = type(optimizer)([one], **{k: v for k, v in optimizer.defaults.items() if k in accepted})
    probe.step()
    names = {name for name, value in probe.state[one].items() if value is not None}
    return lambda _: names
