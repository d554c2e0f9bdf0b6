"""Lightning: the same networks in a LightningModule, trained by its Trainer from a DataLoader, as its guide has it.

Progress bar, checkpoints, logger and summary are off, and no validation runs, all of which is in its favour.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.peers_torch import BANDS, CLASSES, FRAMES, network


def fit(arch: str, batch: int, steps: int) -> float:
    """The seconds a step of a second epoch of so many steps. Runs in a process of its own."""
    import lightning
    import torch
    from torch.nn.functional import cross_entropy
    from torch.utils.data import DataLoader, TensorDataset

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.network = network(arch)
            self.seconds: list[float] = []

        def training_step(self, clips: Any, _: int) -> Any:
            features, labels = clips
            return cross_entropy(self.network(features), labels)

        def configure_optimizers(self) -> Any:
            return torch.optim.Adam(self.parameters())

        def on_train_epoch_start(self) -> None:
            self.seconds.append(-time.perf_counter())

        def on_train_epoch_end(self) -> None:
            self.seconds[-1] += time.perf_counter()

    clips = batch * steps
    data = TensorDataset(torch.randn(clips, FRAMES, BANDS), torch.arange(clips) % CLASSES)
    module = Module()
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(module, DataLoader(data, batch_size=batch, shuffle=True))
    return module.seconds[1] / steps
