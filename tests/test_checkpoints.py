"""A training that was kept and put back goes on to the same bits, and what does not fit is refused."""

from dataclasses import replace

import pytest
import safetensors.torch
import short
import torch
from ledger import defaults

from kws.errors import RegistryError
from kws.events import EpochEnd, IterationEnd
from kws.recipe import NETWORK, OPTIMIZER, Recipe
from kws.training import checkpoints, loop, weights
from kws.training.loop import Training

MAPS = {"fc": None, "cnn": (2, 1)}
EVERY = [(arch, opt) for arch in ("fc", "cnn") for opt in OPTIMIZER.parts]  # others: tests/test_schedules.py


TRAIN, VALIDATION = short.split_of(40), short.split_of(10, seed=1)


def recipe_of(arch: str, opt: str, **changes) -> Recipe:
    values = {"epochs": 5, "batch_size": 16, "threads": 1, "micro_batch_size": 8, "maps": MAPS.get(arch)}
    return Recipe.of(arch=arch, opt=opt, **{**values, **defaults(opt), **changes})


def go_on(state: Training, recipe: Recipe) -> list[IterationEnd | EpochEnd]:
    """Train to the recipe's end; the events, without the seconds that they took."""
    return [untimed(event) for event in loop.fit(state, TRAIN, VALIDATION, recipe)]


def untimed(event: IterationEnd | EpochEnd) -> IterationEnd | EpochEnd:
    return replace(event, seconds=0.0, processor_seconds=None) if isinstance(event, EpochEnd) else event


def up_to(epoch: int, recipe: Recipe) -> Training:
    """A training after that epoch of a longer recipe."""
    return short.up_to(epoch, recipe, TRAIN, VALIDATION)


def disturb() -> None:
    """What another process is like: its random numbers are elsewhere, and other networks were trained in it."""
    go_on(Training.begin(recipe_of("fc", "sgd", epochs=1, seed=99), 3), recipe_of("fc", "sgd", epochs=1, seed=99))
    torch.manual_seed(12345)
    torch.randn(1000)


@pytest.mark.parametrize(("arch", "opt", "epoch"), [(*pair, 1 + 2 * (i % 2)) for i, pair in enumerate(EVERY)])
def test_a_training_that_was_put_back_goes_on_to_the_same_events_and_weights(arch, opt, epoch):
    recipe = recipe_of(arch, opt)
    unbroken = Training.begin(recipe, 3)
    whole = go_on(unbroken, recipe)
    kept = checkpoints.to_bytes(up_to(epoch, recipe))
    disturb()
    fresh = Training.begin(recipe, 3)
    checkpoints.restore(fresh, kept)
    assert (fresh.epoch, fresh.iteration) == (epoch, 3 * epoch)
    assert go_on(fresh, recipe) == whole[4 * epoch :]  # three iterations and one end an epoch
    assert weights.to_bytes(fresh.model) == weights.to_bytes(unbroken.model)
    assert checkpoints.to_bytes(fresh) == checkpoints.to_bytes(unbroken)


@pytest.mark.parametrize(("arch", "opt"), [("fc", "sgd"), ("cnn", "adam")])
def test_without_the_optimizers_state_and_the_order_it_would_come_out_otherwise(arch, opt):
    """So the test above would see what a checkpoint left out."""
    recipe = recipe_of(arch, opt)
    unbroken = Training.begin(recipe, 3)
    go_on(unbroken, recipe)
    kept = checkpoints.to_bytes(up_to(3, recipe))
    for forgotten in ("optimizer", "shuffling"):
        fresh = Training.begin(recipe, 3)
        untouched = getattr(Training.begin(recipe, 3), forgotten)
        checkpoints.restore(fresh, kept)
        if forgotten == "optimizer":
            fresh.optimizer.state.clear()
        else:
            fresh.shuffling.set_state(untouched.get_state())
        go_on(fresh, recipe)
        assert weights.to_bytes(fresh.model) != weights.to_bytes(unbroken.model), forgotten


def test_the_best_epochs_weights_come_back_with_their_accuracy():
    recipe = recipe_of("cnn", "sgd", selection="best", learning_rate=0.3)
    unbroken = Training.begin(recipe, 3)
    accuracies = [event.validation_accuracy for event in go_on(unbroken, recipe) if isinstance(event, EpochEnd)]
    best = accuracies.index(max(accuracies)) + 1
    assert best < recipe.epochs  # else there would be nothing to remember
    fresh = Training.begin(recipe, 3)
    checkpoints.restore(fresh, checkpoints.to_bytes(up_to(best, recipe)))
    kept = weights.to_bytes(fresh.model)
    go_on(fresh, recipe)
    assert weights.to_bytes(fresh.model) == weights.to_bytes(unbroken.model) != kept
    assert fresh.best_accuracy == unbroken.best_accuracy == max(accuracies)
    for state in (fresh, unbroken):
        loop.take_selected(state)
        assert weights.to_bytes(state.model) == kept


def test_the_states_of_all_random_numbers_come_back():
    recipe = recipe_of("fc", "adam")
    state = up_to(2, recipe)
    torch.manual_seed(7)
    kept = checkpoints.to_bytes(state)
    default, order = torch.rand(5), torch.randperm(40, generator=state.shuffling)
    disturb()
    fresh = Training.begin(recipe, 3)
    checkpoints.restore(fresh, kept)
    assert torch.equal(torch.rand(5), default)
    assert torch.equal(torch.randperm(40, generator=fresh.shuffling), order)


def test_keeping_a_training_changes_nothing_of_it():
    recipe = recipe_of("cnn", "adam")
    unbroken, kept = Training.begin(recipe, 3), Training.begin(recipe, 3)
    whole = go_on(unbroken, recipe)
    events = []
    for event in loop.fit(kept, TRAIN, VALIDATION, recipe):
        events.append(untimed(event))
        if isinstance(event, EpochEnd):
            assert checkpoints.to_bytes(kept) == checkpoints.to_bytes(kept)
    assert events == whole
    assert weights.to_bytes(kept.model) == weights.to_bytes(unbroken.model)


def test_a_checkpoint_is_a_copy_that_later_steps_do_not_change():
    recipe = recipe_of("fc", "sgd")
    state = up_to(1, recipe)
    kept = checkpoints.to_bytes(state)
    before = bytes(kept)
    go_on(state, recipe)
    assert kept == before != checkpoints.to_bytes(state)


def test_a_checkpoint_of_the_last_epoch_has_nothing_left_to_train():
    recipe = recipe_of("cnn", "sgd")
    unbroken = Training.begin(recipe, 3)
    go_on(unbroken, recipe)
    fresh = Training.begin(recipe, 3)
    checkpoints.restore(fresh, checkpoints.to_bytes(unbroken))
    assert go_on(fresh, recipe) == []
    assert weights.to_bytes(fresh.model) == weights.to_bytes(unbroken.model)


def test_a_checkpoint_goes_on_to_more_epochs_than_were_planned():
    recipe = recipe_of("cnn", "adam")
    longer = replace(recipe, epochs=7)
    unbroken = Training.begin(longer, 3)
    whole = go_on(unbroken, longer)
    fresh = Training.begin(longer, 3)
    checkpoints.restore(fresh, checkpoints.to_bytes(up_to(5, recipe)))
    assert go_on(fresh, longer) == whole[4 * 5 :]
    assert weights.to_bytes(fresh.model) == weights.to_bytes(unbroken.model)


# What does not fit


def refusal(into: Training, data: bytes) -> str:
    """The one sentence with which a checkpoint is refused."""
    with pytest.raises(RegistryError) as refused:
        checkpoints.restore(into, data)
    message = str(refused.value)
    assert message.startswith("the checkpoint does not fit the recipe (")
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("of", "into"), [("fc", "cnn"), ("cnn", "fc")])
@pytest.mark.parametrize("opt", tuple(OPTIMIZER.parts))
def test_another_networks_checkpoint_is_refused(of, into, opt):
    kept = checkpoints.to_bytes(Training.begin(recipe_of(of, opt), 3))
    refusal(Training.begin(recipe_of(into, opt), 3), kept)


def test_a_checkpoint_of_other_feature_maps_or_classes_is_refused():
    kept = checkpoints.to_bytes(Training.begin(recipe_of("cnn", "adam"), 3))
    refusal(Training.begin(recipe_of("cnn", "adam", maps=(4, 1)), 3), kept)
    refusal(Training.begin(recipe_of("cnn", "adam"), 4), kept)


@pytest.mark.parametrize("arch", tuple(NETWORK.parts))
@pytest.mark.parametrize(("of", "into"), [("sgd", "adam"), ("adam", "sgd")])
def test_another_optimizers_checkpoint_is_refused(arch, of, into):
    kept = checkpoints.to_bytes(Training.begin(recipe_of(arch, of), 3))
    refusal(Training.begin(recipe_of(arch, into), 3), kept)


@pytest.mark.parametrize("left", [0, 1, 7, 8, 100, 5_000, -1])
def test_a_truncated_checkpoint_is_refused(left):
    recipe = recipe_of("cnn", "sgd")
    refusal(Training.begin(recipe, 3), checkpoints.to_bytes(Training.begin(recipe, 3))[:left])


@pytest.mark.parametrize("garbage", [b"garbage " * 100, bytes(1_000), b"\xff" * 1_000, b"\x02" + bytes(7) + b"{}"])
def test_garbage_is_refused(garbage):
    refusal(Training.begin(recipe_of("cnn", "sgd"), 3), garbage)


@pytest.mark.parametrize("missing", ["progress", "random.default", "random.shuffling", "model.conv1.weight"])
def test_a_checkpoint_without_one_of_its_parts_is_refused(missing):
    recipe = recipe_of("cnn", "sgd")
    found = safetensors.torch.load(checkpoints.to_bytes(Training.begin(recipe, 3)))
    del found[missing]
    refusal(Training.begin(recipe, 3), safetensors.torch.save(found))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("progress", torch.tensor(3)),
        ("progress", torch.tensor([1, 2, 3])),
        ("random.default", torch.zeros(5)),
        ("random.default", torch.zeros(5, dtype=torch.uint8)),
        ("random.shuffling", torch.zeros(5)),
        ("optimizer.momentum_buffer.0", torch.zeros(9)),
    ],
)
def test_a_checkpoint_with_a_part_of_another_kind_is_refused(part, value):
    recipe = recipe_of("cnn", "sgd")
    found = safetensors.torch.load(checkpoints.to_bytes(up_to(1, recipe)))
    assert part in found
    found[part] = value
    refusal(Training.begin(recipe, 3), safetensors.torch.save(found))


def test_weights_alone_are_no_checkpoint():
    recipe = recipe_of("cnn", "sgd")
    state = Training.begin(recipe, 3)
    refusal(state, weights.to_bytes(state.model))
