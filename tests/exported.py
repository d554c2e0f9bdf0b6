"""A small network with a card and clips of tones, to export without training it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from ledger import build_network, make_recipe
from sounds import write_task

from kws.inference.card import ModelCard
from kws.inference.export import clips
from kws.inference.network import NetworkModel

CARD = ModelCard(
    words=("yes", "no", "other"),
    run="bcdfghjk",
    commit="0123456",
    data="tones",
    fingerprint="f00d",
    temperature=0.8,
    thresholds={"yes": 0.75, "no": 0.25},
)
MEAN, STD = -6.0, 4.0


def network_model(arch: str = "tc_resnet", **options: Any) -> NetworkModel:
    """A network whose batch normalisation has seen something and whose outputs are apart."""
    torch.manual_seed(0)
    network = build_network(arch, 3, **options)
    with torch.no_grad():
        network.train()(torch.randn(16, 101, 40))
        for parameter in list(network.parameters())[-2:]:
            parameter.mul_(8)
    return NetworkModel(CARD, network, MEAN, STD)


def tones(folder: Path, **counts: int) -> clips.Clips:
    """Clips of tones in a new folder, so many a word and split."""
    write_task(folder, {"train": 6, "validation": 1, "test": 4} | counts)
    return clips.of(make_recipe(data=str(folder)), CARD.words, CARD.run)
