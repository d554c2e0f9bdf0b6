"""Schedules, averages and augmentations, against PyTorch's own and by what they promise."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger import build_network
from short import DEVICES, data_of, split_of, up_to
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kws.events import EpochEnd
from kws.recipe import NETWORK, Recipe
from kws.recipe.parts import AUGMENTATION, AVERAGING, SCHEDULE
from kws.training import checkpoints, loop, weights


def rates(name: str, steps: int, **options: float) -> list[float]:
    part = SCHEDULE.part(name)
    config = part.config(**options)
    return [part.load().factor(step, steps, config) for step in range(steps)]


def theirs(make, steps: int) -> list[float]:
    """The learning rates of a scheduler of PyTorch whose optimizer has 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scheduler.step()
    return found


@settings(deadline=None)
@given(st.integers(10, 200), st.sampled_from([0.2, 0.3, 0.5]))
def test_one_cycle_is_pytorchs(steps, peak):
    scheduler = torch.optim.lr_scheduler.OneCycleLR
    wanted = theirs(lambda o: scheduler(o, max_lr=1.0, total_steps=steps, pct_start=peak, cycle_momentum=False), steps)
    assert rates("one_cycle", steps, peak=peak) == pytest.approx(wanted, abs=1e-9)


@settings(deadline=None)
@given(st.integers(1, 200))
def test_cosine_without_a_warm_up_is_pytorchs(steps):
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR
    assert rates("cosine", steps, warm_up=0.0) == pytest.approx(theirs(lambda o: scheduler(o, steps), steps), abs=1e-9)


@settings(deadline=None)
@given(st.integers(20, 200), st.floats(0.05, 0.9))
def test_a_warm_up_rises_evenly_to_the_whole_rate_and_then_falls(steps, share):
    found = rates("cosine", steps, warm_up=share)
    rising = round(share * steps)
    assert found[:rising] == pytest.approx([(step + 1) / rising for step in range(rising)])
    assert found[rising:] == sorted(found[rising:], reverse=True)


def test_steps_are_of_equal_length_and_a_constant_rate_is_the_recipes():
    assert rates("step", 9, drops=2, drop_factor=0.5) == [1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert rates("constant", 3) == [1.0, 1.0, 1.0]


def test_the_schedule_is_what_the_optimizer_steps_by(monkeypatch):
    recipe = Recipe.of(arch="fc", opt="sgd", epochs=2, batch_size=10, schedule="step", drops=3, drop_factor=0.5)
    seen = []

    def step(model, optimizer, *_):
        seen.append(optimizer.param_groups[0]["lr"])
        return 1.0, 0

    monkeypatch.setattr(loop, "step", step)
    list(loop.fit(loop.Training.begin(recipe, 3), split_of(20), split_of(9), recipe))
    assert seen == [0.01, 0.005, 0.0025, 0.00125]


def test_an_exponential_moving_average_is_pytorchs():
    part = AVERAGING.part("ema")
    config = part.config(decay=0.9)
    model = build_network("tc_resnet", 3)
    wanted = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    average: dict[str, torch.Tensor] = {}
    for _ in range(5):
        model.train()(torch.randn(4, 101, 40))  # its statistics change
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        average = part.load().updated(average, model, config)
        wanted.update_parameters(model)
    for name, tensor in wanted.module.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(average[name], tensor)


def test_the_average_is_evaluated_and_kept():
    recipe = Recipe.of(arch="fc", opt="sgd", epochs=3, batch_size=10, averaging="ema", decay=0.5)
    train, validation = split_of(30), split_of(9)
    state = loop.Training.begin(recipe, 3)
    events = [event for event in loop.fit(state, train, validation, recipe) if isinstance(event, EpochEnd)]
    own = weights.to_bytes(state.model)
    loop.take_selected(state)
    assert weights.to_bytes(state.model) != own
    assert loop.evaluate(state.model, validation, "validation", recipe).objective == events[-1].validation_loss


def augmented(name: str, features: torch.Tensor, **options: int) -> torch.Tensor:
    part = AUGMENTATION.part(name)
    return part.load().augment(features, part.config(**options))


@pytest.mark.parametrize("name", AUGMENTATION.parts)
def test_an_augmentation_is_off_by_default(name):
    features, labels = torch.randn(3, 101, 40), torch.arange(3)
    part = AUGMENTATION.part(name)
    if exchange := getattr(part.load(), "exchange", None):
        assert exchange(features, labels, part.config()) == (features, labels)
    else:
        assert augmented(name, features) is features


def test_shifted_clips_are_moved_by_at_most_so_many_frames_and_filled_with_their_quietest():
    torch.manual_seed(0)
    features = torch.randn(200, 101, 40)
    moved = augmented("shift", features, shift_frames=4)
    offsets = set()
    for clip, other in zip(features, moved, strict=True):
        quiet = clip[clip.mean(1).argmin()]
        for offset in range(-4, 5):
            kept = clip[max(-offset, 0) : 101 - max(offset, 0)]
            if torch.equal(other[max(offset, 0) : 101 - max(-offset, 0)], kept):
                offsets.add(offset)
                rest = torch.cat([other[: max(offset, 0)], other[101 - max(-offset, 0) :]])
                assert torch.equal(rest, quiet.expand(abs(offset), 40))
                break
        else:
            pytest.fail("a clip was moved in another way")
    assert offsets == set(range(-4, 5))


def test_masks_are_of_whole_bands_and_frames_and_no_larger_than_asked():
    torch.manual_seed(0)
    masked = augmented("spec_augment", torch.ones(300, 101, 40), mask_bands=8, mask_frames=20) == 0
    bands, frames = masked.all(1).sum(1), masked.all(2).sum(1)
    assert (int(bands.max()), int(frames.max()), int(bands.min()), int(frames.min())) == (8, 20, 0, 0)
    whole = masked.all(1)[:, None, :] | masked.all(2)[:, :, None]
    assert torch.equal(whole, masked)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("arch", "opt"), [*((name, "adamw") for name in NETWORK.parts), ("tc_resnet", "muon")])
def test_every_network_with_every_augmentation_goes_on_to_the_same_bits(arch, opt, device, tmp_path):
    soundfile.write(tmp_path / "hiss.wav", 0.1 * np.random.default_rng(0).standard_normal(40_000), 16_000)
    about = {"schedule": "cosine", "averaging": "ema", "decay": 0.9, "label_smoothing": 0.1, "selection": "best"}
    about |= {"device": device} | ({"dropout": 0.2} if arch == "tc_resnet" else {})
    recipe = Recipe.of(
        arch=arch, opt=opt, epochs=3, batch_size=8, data=str(tmp_path), noise=str(tmp_path), gain_db=6.0,
        speed_change=0.1, shift_frames=10, mask_bands=8, mask_frames=20, **about,
    )  # fmt: skip
    train, validation = split_of(16).to(device), split_of(6).to(device)
    loaded = data_of(train)

    whole = up_to(3, recipe, train, validation, loaded)
    fresh = up_to(0, recipe, train, validation, loaded)
    kept = checkpoints.to_bytes(up_to(1, recipe, train, validation, loaded))
    torch.manual_seed(99)  # another process is elsewhere in its random numbers
    checkpoints.restore(fresh, kept)
    list(loop.fit(fresh, train, validation, recipe))
    assert weights.to_bytes(fresh.model) == weights.to_bytes(whole.model)
    assert all(torch.equal(fresh.average[name], tensor) for name, tensor in whole.average.items())
