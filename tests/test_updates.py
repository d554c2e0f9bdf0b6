"""Our updates are PyTorch's, to the bit, and what they remember can be put back."""

import subprocess
import sys

import pytest
import torch
from ledger import build_optimizer, defaults

from kws.recipe import OPTIMIZER
from kws.training import updates
from kws.training.orthogonal import orthogonalised

THEIRS = {
    "sgd": lambda p, learning_rate, momentum, weight_decay, nesterov: torch.optim.SGD(
        p, lr=learning_rate, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov, fused=True
    ),
    "adamw": lambda p, learning_rate, weight_decay: torch.optim.AdamW(
        p, lr=learning_rate, weight_decay=weight_decay, fused=True
    ),
    "adam": lambda p, learning_rate, weight_decay: torch.optim.Adam(
        p, lr=learning_rate, weight_decay=weight_decay, fused=True
    ),
}


def parameters():
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, generator=generator, requires_grad=True) for shape in ((3, 5), (7,), (2, 1, 3, 3), (4, 2))
    ]


def train(optimizer, weights, steps, first=0):
    """Steps with gradients that depend on the step's number alone."""
    for step in range(first, first + steps):
        optimizer.zero_grad()
        generator = torch.Generator().manual_seed(step)
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        optimizer.step()


@pytest.mark.parametrize("factor", [0, 1, 0.5])
@pytest.mark.parametrize("name", tuple(THEIRS))
def test_steps_are_those_of_torch_optim_to_the_bit(name, factor):
    values = {field: value if isinstance(value, bool) else value * factor for field, value in defaults(name).items()}
    values["learning_rate"] = 0.01
    ours, theirs = parameters(), parameters()
    train(build_optimizer(name, ours, **values), ours, 20)
    train(THEIRS[name](theirs, **values), theirs, 20)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not torch.equal(ours[0], parameters()[0])


def test_muon_moves_hidden_matrices_as_torch_optims_and_the_rest_as_its_adamw(monkeypatch):
    """torch.optim's orthogonalises in bfloat16; it is given ours, which a test of its own compares with an SVD."""
    monkeypatch.setattr(torch.optim._muon, "_zeropower_via_newtonschulz", lambda grad, *_: orthogonalised(grad))
    ours, theirs = parameters(), parameters()
    train(build_optimizer("muon", ours, learning_rate=0.02, weight_decay=0.1, momentum=0.9), ours, 20)
    hidden = torch.optim.Muon([theirs[0]], lr=0.02, weight_decay=0.1, momentum=0.9)
    others = torch.optim.AdamW(theirs[1:], lr=0.002, weight_decay=0.0, fused=True)

    class Both:
        def zero_grad(self):
            pass

        def step(self):
            hidden.step()
            others.step()

    train(Both(), theirs, 20)
    assert torch.allclose(ours[0], theirs[0], atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(ours[1:], theirs[1:], strict=True))


@pytest.mark.parametrize("shape", [(16, 360), (48, 24), (6, 6)])
def test_an_orthogonalised_matrix_keeps_its_directions_and_has_singular_values_of_about_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    left = u.T @ orthogonalised(matrix) @ v.T
    assert ((left.diagonal()[s > 0.1 * s[0]] - 1).abs() < 0.35).all()
    assert (left - left.diagonal().diag()).abs().max() < 1e-4


@pytest.mark.parametrize("name", tuple(OPTIMIZER.parts))
def test_an_optimizer_that_is_given_its_state_back_goes_on_to_the_same_bits(name):
    whole, broken = parameters(), parameters()
    values = dict(defaults(name))
    train(build_optimizer(name, whole, **values), whole, 10)
    first = build_optimizer(name, broken, **values)
    train(first, broken, 6)
    second = build_optimizer(name, broken, **values)
    updates.restore(second, {key: tensor.clone() for key, tensor in updates.state(first).items()})
    train(second, broken, 4, first=6)
    assert all(torch.equal(a, b) for a, b in zip(whole, broken, strict=True))


@pytest.mark.parametrize("name", tuple(OPTIMIZER.parts))
def test_another_networks_state_is_refused(name):
    values = dict(defaults(name))
    weights = parameters()
    optimizer = build_optimizer(name, weights, **values)
    train(optimizer, weights, 1)
    with pytest.raises(KeyError):
        updates.restore(optimizer, {})
    with pytest.raises(ValueError, match="has the shape"):
        updates.restore(optimizer, {key: torch.zeros(99) for key in updates.state(optimizer)})
    other = "adam" if name == "sgd" else "sgd"
    with pytest.raises(KeyError):
        updates.restore(build_optimizer(other, parameters()), updates.state(optimizer))


def test_a_checkpoint_of_version_0_1_0_goes_on():
    """It had other names for what PyTorch's optimizers remember."""
    old = {"momentum_buffer": "velocity", "exp_avg": "mean", "exp_avg_sq": "square", "step": "steps"}
    for name in OPTIMIZER.parts:
        weights = parameters()
        first, second = build_optimizer(name, weights), build_optimizer(name, weights)
        train(first, weights, 3)
        updates.restore(
            second, {f"{old[k.split('.')[0]]}.{k.split('.')[1]}": t for k, t in updates.state(first).items()}
        )
        assert all(torch.equal(updates.state(second)[key], value) for key, value in updates.state(first).items())


def test_a_step_does_not_import_the_compiler():
    """It takes more than a second, before the first step of every run."""
    script = (
        "import sys, torch\n"
        "from kws.recipe import OPTIMIZER\n"
        "for part in OPTIMIZER.parts.values():\n"
        "    w = torch.zeros(3, requires_grad=True)\n"
        "    optimizer = part.load().optimizer([w], part.config())\n"
        "    optimizer.zero_grad(); (w * 2).sum().backward(); optimizer.step()\n"
        "    assert w.abs().sum() > 0\n"
        "print('torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
