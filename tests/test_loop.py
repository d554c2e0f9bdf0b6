"""The training step, against a plain PyTorch loop, and what fit() promises."""

import copy
import math
import os
import platform

import pytest
import torch
import torch.nn.functional as F
from ledger import build_network, build_optimizer
from short import split_of
from torch import nn

from kws.errors import DivergedError, RegistryError
from kws.events import EpochEnd, IterationEnd
from kws.recipe import NETWORK, Recipe
from kws.speech.dataset import Split
from kws.speech.memory import keep_freed_memory
from kws.training import loop, profile, weights
from kws.training.losses import cross_entropy

REPORTS = ("fc", "cnn")


def recipe_of(arch: str = "fc", opt: str = "adam", **changes) -> Recipe:
    values = {"epochs": 2, "batch_size": 32, "threads": 1, "micro_batch_size": 8, **changes}
    return Recipe.of(arch=arch, opt=opt, **values)


def trained(recipe: Recipe, train: Split, validation: Split) -> tuple[nn.Module, list[IterationEnd | EpochEnd]]:
    begun = loop.Training.begin(recipe, 3)
    return begun.model, list(loop.fit(begun, train, validation, recipe))


class PlainConvolutional(nn.Module):
    """The report's network as one would write it: contiguous, ReLU before pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 32, 5), nn.Conv2d(32, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(2464, 128), nn.Linear(128, 128), nn.Linear(128, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv1(x[:, None])), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = F.relu(self.fc1(x.flatten(1)))
        return self.fc3(F.relu(self.fc2(x)))


class PlainFullyConnected(nn.Module):
    """The report's other network as one would write it."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [4040, 128, 128, 128, 128, 3]
        for i in range(5):
            self.add_module(f"fc{i + 1}", nn.Linear(sizes[i], sizes[i + 1]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.flatten(1)
        for i in range(1, 5):
            x = F.relu(getattr(self, f"fc{i}")(x))
        return self.fc5(x)


@pytest.mark.parametrize(("arch", "plain"), [("cnn", PlainConvolutional), ("fc", PlainFullyConnected)])
@pytest.mark.parametrize("opt", ["sgd", "adam"])
def test_a_step_in_slices_is_the_plain_step_on_the_whole_minibatch(arch, plain, opt):
    train, recipe = split_of(40), recipe_of(arch, opt)
    loop.set_up(recipe)
    model, reference = build_network(arch, 3), plain()
    reference.load_state_dict(model.state_dict())
    optimizer = build_optimizer(opt, model.parameters(), **recipe.optimizer.values())
    unfused = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=1e-5, fused=False),
        "adam": lambda p: torch.optim.Adam(p, fused=False, foreach=False),
    }[opt](reference.parameters())
    for batch in torch.arange(40).split(20):
        loss, correct = loop.step(model, optimizer, train, batch, recipe)
        logits = reference(train.features[batch])
        expected = F.cross_entropy(logits, train.labels[batch])
        unfused.zero_grad()
        expected.backward()
        assert loss == pytest.approx(expected.item(), rel=1e-5)
        assert correct == int((logits.argmax(1) == train.labels[batch]).sum())
        for (name, ours), theirs in zip(model.named_parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: n + m)
            theirs.grad.copy_(ours.grad)  # Adam's first steps blow the last bits up; the optimizers are compared alone
        unfused.step()
        for ours, theirs in zip(model.parameters(), reference.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)
            theirs.data.copy_(ours.data)


@pytest.mark.parametrize("arch", REPORTS)  # the others: tests/test_schedules.py
@pytest.mark.parametrize("opt", ["sgd", "adam"])
def test_the_same_recipe_gives_the_same_bits(arch, opt):
    train, validation = split_of(40), split_of(16, seed=1)
    runs = [trained(recipe_of(arch, opt, seed=seed), train, validation) for seed in (3, 3, 4)]
    first, again, other = [[e.loss for e in events if isinstance(e, IterationEnd)] for _, events in runs]
    assert first == again
    assert first != other
    for ours, theirs in zip(runs[0][0].parameters(), runs[1][0].parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_on_a_gpu_all_kernels_add_up_in_the_same_order_and_fp32_is_fp32():
    """PyTorch itself is asked: what comes of it takes a GPU to see (tests/test_schedules.py)."""
    for device, same in (("cuda", True), ("cpu", False)):
        loop.set_up(Recipe.of(arch="cnn", opt="adam", device=device))
        assert torch.are_deterministic_algorithms_enabled() is same
        assert torch.backends.cudnn.allow_tf32 is not same
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


@pytest.mark.parametrize("arch", REPORTS)
def test_bf16_is_fp32_within_its_rounding_and_weights_stay_fp32(arch):
    train, gradients = split_of(32), {}
    for precision in ("fp32", "bf16"):
        recipe = recipe_of(arch, precision=precision)
        loop.set_up(recipe)
        model = build_network(arch, 3)
        loop.step(model, build_optimizer("adam", model.parameters()), train, torch.arange(32), recipe)
        assert {p.dtype for p in model.parameters()} == {torch.float32}
        gradients[precision] = torch.cat([p.grad.flatten() for p in model.parameters()])
    difference = (gradients["bf16"] - gradients["fp32"]).norm() / gradients["fp32"].norm()
    assert 0 < difference < 0.1


def test_operations_are_three_times_those_of_classifying_but_for_the_first_layers_input():
    assert profile.operations(recipe_of("cnn")) == 2 * (3 * 11_010_560 - 2_793_600)
    assert profile.operations(recipe_of("fc")) == 2 * (3 * 566_656 - 517_120)


def test_fit_yields_each_iteration_and_each_epoch():
    train, validation = split_of(70), split_of(16, seed=1)
    _, events = trained(recipe_of(epochs=3, batch_size=32), train, validation)
    iterations = [e for e in events if isinstance(e, IterationEnd)]
    epochs = [e for e in events if isinstance(e, EpochEnd)]
    assert [i.iteration for i in iterations] == list(range(1, 10))
    assert [i.clips for i in iterations] == [32, 32, 6] * 3
    assert [e.epoch for e in epochs] == [1, 2, 3]
    assert [type(e) for e in events[:4]] == [IterationEnd, IterationEnd, IterationEnd, EpochEnd]
    for number, epoch in enumerate(epochs):
        mine = tuple(iterations[3 * number : 3 * number + 3])
        assert epoch.iterations == mine
        assert epoch.train_loss == pytest.approx(sum(i.loss * i.clips for i in mine) / 70)
        assert epoch.train_accuracy == pytest.approx(sum(i.accuracy * i.clips for i in mine) / 70)
        assert epoch.seconds > 0
        assert 0 < epoch.processor_seconds <= epoch.seconds * os.cpu_count() + 0.1


def test_every_clip_is_seen_once_an_epoch_in_an_order_that_changes(monkeypatch):
    seen = []

    def step(model, optimizer, split, batch, recipe, prepared):
        seen.append(batch.clone())
        return 1.0, 0

    monkeypatch.setattr(loop, "step", step)
    trained(recipe_of(epochs=2, batch_size=32), split_of(70), split_of(16, seed=1))
    first, second = torch.cat(seen[:3]), torch.cat(seen[3:])
    assert first.sort().values.tolist() == second.sort().values.tolist() == list(range(70))
    assert first.tolist() != second.tolist()


def test_networks_learn_what_can_be_learnt():
    train, validation = split_of(120), split_of(60, seed=1)
    for arch in REPORTS:
        _, events = trained(recipe_of(arch, epochs=6, learning_rate=0.003), train, validation)
        last = events[-1]
        assert last.validation_accuracy > 0.8, f"{arch} reached {last.validation_accuracy:.2f}"


def test_the_validation_figures_are_those_of_the_weights_after_the_epoch():
    train, validation = split_of(40), split_of(21, seed=1)
    recipe = recipe_of("cnn", epochs=1)
    model, events = trained(recipe, train, validation)
    logits = model(validation.features)
    assert events[-1].validation_loss == pytest.approx(F.cross_entropy(logits, validation.labels).item(), rel=1e-5)
    assert events[-1].validation_accuracy == int((logits.argmax(1) == validation.labels).sum()) / 21


def test_evaluate_returns_every_clips_prediction_and_label():
    validation, recipe = split_of(21), recipe_of("cnn")
    model = build_network("cnn", 3)
    evaluation = loop.evaluate(model, validation, "validation", recipe)
    assert list(evaluation.predictions) == model(validation.features).argmax(1).tolist()
    assert list(evaluation.labels) == validation.labels.tolist()
    right = sum(p == t for p, t in zip(evaluation.predictions, evaluation.labels, strict=True))
    assert evaluation.accuracy == right / 21
    assert evaluation.clips == 21


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_iteration():
    train = split_of(40)
    train.features[7] = math.nan
    with pytest.raises(DivergedError, match=r"training loss became nan in iteration \d \(epoch 1\); .*--learning-rate"):
        trained(recipe_of(), train, split_of(16, seed=1))


def test_a_softmax_before_cross_entropy_shrinks_gradients():
    logits = torch.tensor([[4.0, 0.0, 0.0]], requires_grad=True)
    labels = torch.tensor([1])
    (without,) = torch.autograd.grad(cross_entropy.loss(logits, labels, recipe_of().loss), logits)
    (with_it,) = torch.autograd.grad(
        cross_entropy.loss(logits, labels, recipe_of(softmax_before_loss=True).loss), logits
    )
    assert with_it.norm() < without.norm() / 10
    assert cross_entropy.loss(logits, labels, recipe_of(softmax_before_loss=True).loss).item() == pytest.approx(
        F.cross_entropy(logits.softmax(1), labels).item()
    )


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no mallopt")
def test_freed_memory_stays_with_the_process():
    assert keep_freed_memory()


@pytest.mark.parametrize("arch", tuple(NETWORK.parts))
def test_weights_survive_as_bytes(arch):
    model = build_network(arch, 3)
    data = weights.to_bytes(model)
    other = copy.deepcopy(model)
    for parameter in other.parameters():
        parameter.data.zero_()
    weights.load(other, data)
    x = torch.randn(4, 101, 40)
    assert torch.equal(model.eval()(x), other.eval()(x))


@pytest.mark.parametrize("data", [b"", b"not safetensors", b"\xff" * 100])
def test_weights_that_are_not_safetensors_are_refused(data):
    with pytest.raises(RegistryError, match="do not fit the network"):
        weights.load(build_network("fc", 3), data)


def test_weights_of_another_network_are_refused():
    with pytest.raises(RegistryError, match="do not fit the network"):
        weights.load(build_network("fc", 3), weights.to_bytes(build_network("cnn", 3)))


def test_an_epoch_has_each_clip_once_or_each_class_equally_often():
    labels = torch.tensor([0] * 5 + [1] * 95 + [2] * 900)
    recipe = Recipe.of(arch="fc", opt="adam")
    once = loop.drawn(labels, recipe, torch.Generator().manual_seed(1))
    assert sorted(once.tolist()) == list(range(1000))
    balanced = [
        loop.drawn(labels, recipe.changed(sampling="balanced"), torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert balanced[0].equal(balanced[1])
    assert not balanced[0].equal(balanced[2])
    counts = torch.bincount(labels[balanced[0]]).tolist()
    assert len(balanced[0]) == 1000
    assert all(270 < count < 400 for count in counts)  # 333 each; five standard deviations are 75
