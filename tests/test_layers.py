"""Layers of every kind: sizes, parameters and work, against PyTorch's own counter; networks with batch statistics."""

from __future__ import annotations

from collections.abc import Iterator

import made_up
import pytest
import torch
from commands import kws, ok_json
from ledger import build_network
from short import split_of, up_to
from sounds import write_task
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kws.recipe import NETWORK, Recipe
from kws.training import checkpoints, loop, weights
from kws.training.layers import describe

FRAMES, BANDS = 101, 40


class Recurrent(nn.Module):
    """A recurrent layer that returns its last state, too, and a linear layer a frame."""

    def __init__(self, layer: nn.Module, outputs: int) -> None:
        super().__init__()
        self.layer, self.each, self.last = layer, nn.Linear(outputs, 7), nn.Linear(7, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.layer.batch_first:
            return self.last(self.each(self.layer(x.transpose(0, 1))[0])[-1])
        return self.last(self.each(self.layer(x)[0])[:, -1])


def over_bands(*layers: nn.Module) -> nn.Module:
    """Layers over time, the bands as channels."""

    class Bands(nn.Sequential):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.transpose(1, 2))

    return Bands(*layers)


def as_image(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (1, FRAMES)), *layers)


NETWORKS = {
    "1-D convolutions": over_bands(nn.Conv1d(40, 16, 9, stride=2, padding=4), nn.BatchNorm1d(16), nn.Conv1d(16, 8, 1)),
    "grouped 1-D": over_bands(nn.Conv1d(40, 40, 3, groups=40, bias=False), nn.Conv1d(40, 20, 5, groups=4, dilation=2)),
    "grouped 2-D": as_image(nn.Conv2d(1, 8, (5, 3), stride=(2, 1)), nn.Conv2d(8, 8, 3, groups=8, padding="same")),
    "pooling": as_image(nn.Conv2d(1, 4, 3), nn.AvgPool2d(2), nn.MaxPool2d((2, 3), stride=1, padding=1)),
    "gru": Recurrent(nn.GRU(40, 12, num_layers=2, batch_first=True), 12),
    "both directions": Recurrent(nn.GRU(40, 12, num_layers=2, batch_first=True, bidirectional=True), 24),
    "lstm": Recurrent(nn.LSTM(40, 12, bias=False), 12),
    "rnn": Recurrent(nn.RNN(40, 5), 5),
    "normalisation": nn.Sequential(nn.LayerNorm(40), nn.Flatten(), nn.Linear(4040, 4, bias=False), nn.BatchNorm1d(4)),
    "group normalisation": as_image(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Dropout(0.5)),
    "the report's": build_network("cnn", 3),
}


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_work_is_that_of_pytorchs_own_counter_and_parameters_are_those_of_their_formulas(network):
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    described = describe("net", network.train())
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    counter = FlopCounterMode(display=False)
    with counter, torch.backends.mkldnn.flags(enabled=False):  # whose fused LSTM the counter does not see
        network.eval()(torch.zeros(1, FRAMES, BANDS))
    assert 2 * described.multiply_accumulates == counter.get_total_flops()
    assert described.parameters == sum(parameter.numel() for parameter in network.parameters())
    for layer in described.layers:
        if layer.parameter_formula:
            assert eval(layer.parameter_formula.replace("x", "*")) == layer.parameters
        for size in layer.size_formula.split(", ") if "floor" in layer.size_formula else ():
            formula, _, said = size.rpartition(" = ")
            assert eval(formula.replace("x", "*").replace("floor", "int")) == int(said)
            assert int(said) in layer.output_size


WITH_STATISTICS = '''"""Statistics: batch normalisation and a recurrent layer."""

import torch
from torch import nn

BATCH_STATISTICS = True
MICRO_BATCH = {"fp32": 4}


class Network(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.norm = nn.BatchNorm1d(40)
        self.gru = nn.GRU(40, 6, batch_first=True)
        self.last = nn.Linear(6, classes)

    def forward(self, x):
        x, _ = self.gru(self.norm(x.transpose(1, 2)).transpose(1, 2))
        return self.last(x[:, -1])
'''


@pytest.fixture
def statistics(tmp_path) -> Iterator[None]:
    with made_up.part(NETWORK, "statistics", WITH_STATISTICS, tmp_path):
        yield


@pytest.mark.usefixtures("statistics")
def test_batch_statistics_are_of_whole_minibatches_and_go_on_from_a_checkpoint_to_the_same_bits():
    recipe = Recipe.of(arch="statistics", opt="sgd", epochs=4, batch_size=20)
    assert recipe.micro_batch_size == 20
    train, validation = split_of(40), split_of(9)

    whole = up_to(4, recipe, train, validation)
    assert int(whole.model.norm.num_batches_tracked) == 8
    fresh = loop.Training.begin(recipe, 3)
    checkpoints.restore(fresh, checkpoints.to_bytes(up_to(2, recipe, train, validation)))
    list(loop.fit(fresh, train, validation, recipe))
    assert weights.to_bytes(fresh.model) == weights.to_bytes(whole.model)
    other = loop.Training.begin(recipe, 3).model
    weights.load(other, weights.to_bytes(whole.model))
    assert torch.equal(other.norm.running_var, whole.model.norm.running_var)
    assert not torch.equal(other.norm.running_var, torch.ones(40))


@pytest.mark.usefixtures("statistics")
def test_a_run_of_it_is_repeated_bit_for_bit_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KWS_DB", str(tmp_path / "runs.db"))
    write_task(tmp_path / "task")
    short = ["--data", tmp_path / "task", "--batch-size", 16, "--threads", 1]
    run = ok_json("train", "--arch", "statistics", "--opt", "adam", "--epochs", 2, *short)["run"]
    assert ok_json("rerun", run)["same"]
    assert ok_json("eval", run, "--split", "validation")["accuracy"] is not None
    assert kws("summary", "--arch", "statistics").exit_code == 0
