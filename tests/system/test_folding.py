"""A network without its normalisations gives the same logits, for every architecture, or it stays as it is."""

import pytest
import torch
from torch import nn

from kws import architectures
from kws.inference.folding import folded
from kws.recipe import NETWORK, Recipe

WINDOWS = torch.randn(3, 101, 40, generator=torch.Generator().manual_seed(0))


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in network.modules())


def trained_looking(network: nn.Module) -> nn.Module:
    """The network with statistics as a training leaves them."""
    torch.manual_seed(0)
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(2 * torch.randn(8, 101, 40) + 1)
    return network.eval()


@pytest.mark.parametrize("arch", list(NETWORK.parts))
@torch.inference_mode()
def test_every_architecture_gives_the_same_logits(arch):
    network = trained_looking(architectures.build(Recipe.of(arch=arch, opt="adam"), 3))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = folded(network, WINDOWS)
    for batch in (WINDOWS, WINDOWS[:1], WINDOWS.repeat(30, 1, 1)):
        torch.testing.assert_close(found(batch), network(batch), rtol=0, atol=1e-4)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@torch.inference_mode()
def test_a_network_of_convolutions_has_no_normalisation_left():
    network = trained_looking(architectures.build(Recipe.of(arch="tc-resnet", opt="adam"), 3))
    assert norms(network) > 5
    found = folded(network, WINDOWS)
    assert found is not network and sum(node.op == "call_module" and "norm" in str(node.target)
                                        for node in found.graph.nodes) == 0  # fmt: skip


class Twice(nn.Module):
    """A convolution that is used with and without normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(101, 101, 1), nn.BatchNorm1d(101)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return (self.norm(self.conv(features)) + self.conv(2 * features)).mean(1)


class Branching(Twice):
    """A network whose steps depend on its input."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return super().forward(features if features.sum() > 0 else -features)


@pytest.mark.parametrize("kind", [Twice, Branching])
@torch.inference_mode()
def test_what_cannot_be_folded_is_the_same_nonetheless(kind):
    network = trained_looking(kind())
    torch.testing.assert_close(folded(network, WINDOWS)(WINDOWS), network(WINDOWS), rtol=0, atol=1e-5)


def test_a_network_that_steps_by_its_input_stays_as_it_is():
    network = trained_looking(Branching())
    assert folded(network, WINDOWS) is network
