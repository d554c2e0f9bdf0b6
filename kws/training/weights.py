"""A network's weights as the bytes of a safetensors file and back; such a file holds data only, no code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kws.errors import RegistryError

if TYPE_CHECKING:
    from torch import Tensor, nn


def to_bytes(model: nn.Module) -> bytes:
    """The network's parameters as a safetensors file."""
    from safetensors.torch import save

    return save({name: tensor.cpu().contiguous() for name, tensor in model.state_dict().items()})


def read(data: bytes) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name. Raises RegistryError if it is none."""
    import safetensors
    import safetensors.torch

    try:
        return safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise _misfit(error) from None


def load(model: nn.Module, data: bytes) -> None:
    """Load the parameters of a safetensors file into the network.

    Raises RegistryError if `data` is not a safetensors file or belongs to another network.
    """
    try:
        model.load_state_dict(read(data))
    except RuntimeError as error:
        raise _misfit(error) from None


def _misfit(error: Exception) -> RegistryError:
    return RegistryError(f"the weights do not fit the network ({str(error).splitlines()[0]})")
