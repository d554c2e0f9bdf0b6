"""Networks whose training steps are computed by functions of their own give what plain modules give."""

import copy
import threading
import time

import pytest
import torch
from ledger import build_network
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.plain_networks import network as plain_network
from kws.architectures import _recurrent, _separable, _threads

IN_PARTS = ("gru", "ds_cnn")  # which Python's threads take
PLAIN = (*IN_PARTS, "bc_resnet", "tc_resnet")


@pytest.fixture
def threads():
    """Sets PyTorch's threads for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def of_both(arch, clips):
    """kws's network and the plain one, with the same weights in (0.5, 1.5) of normalisations, and without dropout."""
    torch.manual_seed(1)
    ours, plain = build_network(arch, 3), plain_network(arch)
    for name, parameter in ours.named_parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter.data, 0.5, 1.5)
            assert "weight" in name or "bias" in name
    plain.load_state_dict({k: v.reshape(plain.state_dict()[k].shape) for k, v in ours.state_dict().items()})
    for module in (*ours.modules(), *plain.modules()):
        if isinstance(module, nn.Dropout | nn.Dropout2d):
            module.p = 0.0
    return ours, plain, torch.randn(clips, 101, 40) + 1, torch.arange(clips) % 3


def of_step(network, features, labels):
    """The logits, gradients and buffers of one step."""
    network.zero_grad()
    logits = network(features)
    cross_entropy(logits, labels).backward()
    return logits.detach(), [each.grad.clone() for each in network.parameters()], list(network.buffers())


@pytest.mark.parametrize("arch", PLAIN)
def test_logits_gradients_and_running_statistics_are_those_of_the_plain_network(arch, monkeypatch):
    """In fp64, where the order of sums and a value near zero, which ReLU may or may not pass, make no difference."""
    monkeypatch.setattr(_separable, "_PART", 2 * 64)  # two clips
    monkeypatch.setattr(_recurrent, "_PART", 2)
    ours, plain, features, labels = of_both(arch, clips=3)
    found = of_step(ours.double(), features.double(), labels)
    exact = of_step(plain.double(), features.double(), labels)
    torch.testing.assert_close(found[0], exact[0], rtol=1e-6, atol=1e-8)
    for mine, true in zip((*found[1], *found[2]), (*exact[1], *exact[2]), strict=True):
        torch.testing.assert_close(mine.view_as(true), true, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("arch", PLAIN)
def test_in_fp32_they_differ_from_those_by_rounding(arch):
    ours, plain, features, labels = of_both(arch, clips=10)
    found, exact = of_step(ours, features, labels), of_step(plain.double(), features.double(), labels)
    torch.testing.assert_close(found[0].double(), exact[0], rtol=1e-4, atol=1e-5)
    mine, true = (torch.cat([each.double().flatten() for each in side[1]]) for side in (found, exact))
    assert (mine - true).norm() < 0.01 * true.norm()
    for mine, true in zip(found[2], exact[2], strict=True):
        torch.testing.assert_close(mine.double(), true.double(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", IN_PARTS)
def test_steps_have_the_same_bits_on_one_thread_and_on_more(arch, threads, monkeypatch):
    """Dropout included, which draws from PyTorch's generator."""
    monkeypatch.setattr(_recurrent, "_PART", 8)
    network, features = build_network(arch, 3), torch.randn(20, 101, 40)
    before, found = copy.deepcopy(network.state_dict()), []
    for number in (1, 3, 3):
        threads(number)
        network.load_state_dict(before)
        torch.manual_seed(7)
        found.append(of_step(network, features, torch.arange(20) % 3))
    for others in found[1:]:
        assert torch.equal(found[0][0], others[0])
        assert all(map(torch.equal, found[0][1], others[1]))


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_dropout_drops_its_share_of_values_one_by_one(share):
    """By the deviation of counts, each value by itself and beside the one that the same 32 bits decide about."""
    size = 2**18
    dropped = _separable.drop(torch.ones(2 * size), share, seed=3) == 0
    one, other = dropped.view(2, size).float()
    deviation = (share * (1 - share) / size) ** 0.5
    assert abs(one.mean() - share) < 4 * deviation
    assert abs(other.mean() - share) < 4 * deviation
    assert abs(((one - share) * (other - share)).mean()) < 4 * share * (1 - share) / size**0.5
    assert not torch.equal(dropped, _separable.drop(torch.ones(2 * size), share, seed=4) == 0)


def test_gradients_go_where_dropout_let_values_through():
    """What is dropped is the same in the plain network here, whose dropout draws as ours does."""

    class SameDropout(nn.Module):
        def __init__(self, share):
            super().__init__()
            self.share = share

        def forward(self, x):
            ones = torch.ones_like(x.permute(0, 2, 3, 1), memory_format=torch.contiguous_format)
            kept = _separable.drop(ones, self.share, int(torch.randint(2**63 - 1, (1,))))
            return x * kept.permute(0, 3, 1, 2) / (1 - self.share)

    ours, plain, features, labels = of_both("ds_cnn", clips=5)
    ours.stem[3].p, ours.dropout.p, plain.stem[3], plain.dropout = 0.2, 0.4, SameDropout(0.2), SameDropout(0.4)
    found, exact = (torch.manual_seed(3) and of_step(each, features, labels) for each in (ours, plain))
    torch.testing.assert_close(found[0], exact[0], rtol=1e-4, atol=1e-5)
    mine, true = (torch.cat([each.flatten() for each in side[1]]) for side in (found, exact))
    assert (mine - true).norm() < 0.01 * true.norm()


def test_parts_are_done_in_any_order_and_returned_in_theirs(threads):
    threads(3)
    assert _threads.each(50, lambda part: part * part) == [part * part for part in range(50)]
    assert torch.get_num_threads() == 3


def test_each_thread_has_one_of_pytorchs_even_if_it_begins_when_the_others_are_done(threads):
    threads(3)
    _threads._pool.cache_clear()

    def work(part):
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.05)
        return torch.get_num_threads()

    assert set(_threads.each(1000, work)) == {1}


@pytest.mark.parametrize("fails", [range(1), range(50)])
def test_what_fails_on_any_thread_is_raised(fails, threads):
    threads(3)

    def work(part):
        if part in fails:
            raise ValueError(f"part {part}")

    with pytest.raises(ValueError, match="part"):
        _threads.each(50, work)
    assert torch.get_num_threads() == 3


@pytest.mark.parametrize("arch", PLAIN)
def test_features_with_a_gradient_are_left_to_the_modules(arch):
    features = torch.randn(4, 101, 40, requires_grad=True)
    build_network(arch, 3)(features).sum().backward()
    assert features.grad.abs().sum() > 0
