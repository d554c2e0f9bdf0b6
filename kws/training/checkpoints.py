"""Checkpoints: a training as the bytes of a safetensors file and back; a resumed training gives the same bits.

The file holds the weights (`model.`), the optimizer's state (`optimizer.`), the random number generators' states
(`random.`, also the GPU's if the training is on one), the number of finished epochs and iterations (`progress`), the
best validation accuracy (`best_accuracy`) and, if the recipe needs them, the best epoch's weights (`best.`) and the
averaged weights (`average.`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kws.errors import RegistryError

if TYPE_CHECKING:
    from torch import Tensor

    from kws.training.loop import Training


def to_bytes(training: Training) -> bytes:
    """The training's state after its last epoch, as bytes."""
    from safetensors.torch import save

    return save({name: tensor.detach().cpu().contiguous() for name, tensor in _state(training).items()})


def restore(training: Training, data: bytes) -> None:
    """Restore a training to the state that to_bytes() saved.

    Raises RegistryError if `data` is not a safetensors file, or belongs to another network or optimizer.
    """
    import safetensors
    import safetensors.torch
    import torch

    from kws.training import updates

    try:
        found = safetensors.torch.load(data)
        training.model.load_state_dict(_part(found, "model."))
        frozen = [
            each for name, each in training.model.named_parameters() if training.head and name not in training.head
        ]
        updates.restore(training.optimizer, _part(found, "optimizer."), may_lack=frozen)
        training.shuffling.set_state(found["random.shuffling"])
        torch.set_rng_state(found["random.default"])
        if _is_on_gpu(training):
            torch.cuda.set_rng_state(found["random.gpu"])
        training.epoch, training.iteration = found["progress"].tolist()
        training.best_accuracy, training.best = found["best_accuracy"].item(), _part(found, "best.")
        own = training.model.state_dict()
        training.average = {name: tensor.to(own[name].device) for name, tensor in _part(found, "average.").items()}
    except (safetensors.SafetensorError, RuntimeError, IndexError, KeyError, ValueError, TypeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise RegistryError(f"the checkpoint does not fit the recipe ({reason})") from None


def _state(training: Training) -> dict[str, Tensor]:
    import torch

    from kws.training import updates

    return {
        **{f"model.{name}": tensor for name, tensor in training.model.state_dict().items()},
        **{f"optimizer.{name}": tensor for name, tensor in updates.state(training.optimizer).items()},
        "random.shuffling": training.shuffling.get_state(),
        "random.default": torch.get_rng_state(),
        **({"random.gpu": torch.cuda.get_rng_state()} if _is_on_gpu(training) else {}),
        "progress": torch.tensor([training.epoch, training.iteration]),
        "best_accuracy": torch.tensor(training.best_accuracy, dtype=torch.float64),
        **{f"best.{name}": tensor for name, tensor in training.best.items()},
        **{f"average.{name}": tensor for name, tensor in training.average.items()},
    }


def _is_on_gpu(training: Training) -> bool:
    return any(parameter.is_cuda for parameter in training.model.parameters())


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
