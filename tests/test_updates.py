"""Our updates are PyTorch's, to the bit, and what they remember can be put back."""

import subprocess
import sys

import pytest
import torch

from kws.training import optimizers

THEIRS = {
    "sgd": lambda p, learning_rate, momentum, weight_decay: torch.optim.SGD(
        p, lr=learning_rate, momentum=momentum, weight_decay=weight_decay, fused=True
    ),
    "adam": lambda p, learning_rate, weight_decay: torch.optim.Adam(
        p, lr=learning_rate, weight_decay=weight_decay, fused=True
    ),
}


def parameters():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator, requires_grad=True) for shape in ((3, 5), (7,), (2, 1, 3, 3))]


def train(optimizer, weights, steps, first=0):
    """Steps with gradients that depend on the step's number alone."""
    for step in range(first, first + steps):
        optimizer.zero_grad()
        generator = torch.Generator().manual_seed(step)
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()


@pytest.mark.parametrize("factor", [0, 1, 0.5])
@pytest.mark.parametrize("name", optimizers.names())
def test_steps_are_those_of_torch_optim_to_the_bit(name, factor):
    values = {field: value * factor for field, value in optimizers.defaults(name).items()}
    values["learning_rate"] = 0.01
    ours, theirs = parameters(), parameters()
    train(optimizers.build(name, ours, **values), ours, 20)
    train(THEIRS[name](theirs, **values), theirs, 20)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not torch.equal(ours[0], parameters()[0])


@pytest.mark.parametrize("name", optimizers.names())
def test_an_optimizer_that_is_given_its_state_back_goes_on_to_the_same_bits(name):
    whole, broken = parameters(), parameters()
    values = dict(optimizers.defaults(name))
    train(optimizers.build(name, whole, **values), whole, 10)
    first = optimizers.build(name, broken, **values)
    train(first, broken, 6)
    second = optimizers.build(name, broken, **values)
    second.restore({key: tensor.clone() for key, tensor in first.state().items()})
    train(second, broken, 4, first=6)
    assert all(torch.equal(a, b) for a, b in zip(whole, broken, strict=True))


@pytest.mark.parametrize("name", optimizers.names())
def test_another_networks_state_is_refused(name):
    values = dict(optimizers.defaults(name))
    optimizer = optimizers.build(name, parameters(), **values)
    with pytest.raises(KeyError):
        optimizer.restore({})
    with pytest.raises(RuntimeError):
        optimizer.restore({key: torch.zeros(99) for key in optimizer.state()})


def test_a_step_does_not_import_the_compiler():
    """It takes more than a second, before the first step of every run."""
    script = (
        "import sys, torch\n"
        "from kws.training import optimizers\n"
        "for name in optimizers.names():\n"
        "    w = torch.zeros(3, requires_grad=True)\n"
        "    optimizer = optimizers.build(name, [w], **optimizers.defaults(name))\n"
        "    optimizer.zero_grad(); (w * 2).sum().backward(); optimizer.step()\n"
        "    assert w.abs().sum() > 0\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
