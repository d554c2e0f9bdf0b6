"""Each augmentation beside the training step of tc_resnet that it is a part of, minibatches of 128, one thread.

A turn is a process, in which every augmentation and the step take turns, so that whatever else the machine does meets
them alike. Counted is the thread's own processor time; its median is a turn's figure. Clips are random numbers, and
noise is five minutes of white noise.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from benchmarks.measure import Samples, Turns, call, take_turns
from benchmarks.report import Row, missing
from benchmarks.workspace import Workspace

ON = {
    "speed": {"speed_change": 0.1},
    "shift": {"shift_frames": 10},
    "noise": {"noise": "dataset", "noise_share": 0.8},
    "gain": {"gain_db": 6.0},
    "spec_augment": {"mask_bands": 8, "mask_frames": 20},
}
_STEP = "tc_resnet training step"
_BATCH, _CLIPS, _SECONDS_OF_NOISE = 128, 2048, 300
_MOST = 0.1  # of a step


def measure(workspace: Workspace) -> list[Row]:
    """A row for each augmentation."""
    repeats = 3 if workspace.quick else 25
    turns = take_turns({"all": lambda: call("augmenting:seconds", repeats=repeats)}, workspace.rounds, group="augment")
    return [_row(name, turns.samples("all", lambda found, name=name: 1000 * found[name]), turns) for name in ON]


def _row(name: str, ours: Samples | None, turns: Turns) -> Row:
    what = f"{name}, minibatch {_BATCH}"
    step = turns.samples("all", lambda found: 1000 * found[_STEP])
    if ours is None or step is None:
        return missing(what, "augment", _STEP, turns.failures["all"])
    share = ours.over(step)
    return Row(
        group="augment",
        what=what,
        unit="ms",
        ours=ours,
        against=_STEP,
        theirs=step,
        ratio=share,
        reading="share",
        wanted=f"at most {100 * _MOST:.0f} %",
        holds=share.median <= _MOST,
    )


def seconds(repeats: int) -> dict[str, float]:
    """The processor seconds of each augmentation of a minibatch, and of a step. Runs in a process of its own."""
    import torch

    from kws import architectures
    from kws.recipe import Recipe
    from kws.recipe.parts import AUGMENTATION
    from kws.speech.dataset import Split
    from kws.training import loop

    recipe = Recipe.of(arch="tc_resnet", opt="adamw", batch_size=_BATCH, threads=1)
    state = loop.Training.begin(recipe, 3)
    features = torch.randn(_CLIPS, architectures.FRAMES, architectures.BANDS)
    split, clips, batch = Split(features, torch.arange(_CLIPS) % 3), features[:_BATCH], torch.arange(_BATCH)
    prepared, work = _prepared(), dict[str, Callable[[], object]]()
    for name, options in ON.items():
        part = AUGMENTATION.part(name)
        augment, config, known = part.load().augment, part.config(**options), prepared.get(name, ())
        work[name] = lambda augment=augment, config=config, known=known: augment(clips, config, *known)
    work[_STEP] = lambda: loop.step(state.model, state.optimizer, split, batch, recipe)
    spent: dict[str, list[float]] = {name: [] for name in work}
    for number in range(repeats + 2):  # two to warm up
        for name, each in work.items():
            start = time.thread_time()
            each()
            if number >= 2:
                spent[name].append(time.thread_time() - start)
    return {name: statistics.median(each) for name, each in spent.items()}


def _prepared() -> dict[str, tuple[object, ...]]:
    """What augmentations would have prepared."""
    import torch

    from kws import architectures
    from kws.speech.features import mel_power
    from kws.speech.noise_power import NoisePower, mean_power
    from kws.training.augmentations import noise
    from kws.training.augmenting import Scale

    scale = Scale(mean=-10.5, std=3.8, offset=1e-6)
    frames = mel_power(0.1 * torch.randn(1, 16_000 * _SECONDS_OF_NOISE))[0]
    starts = torch.arange(len(frames) - architectures.FRAMES + 1)
    power = mean_power(frames[: architectures.FRAMES].unsqueeze(0)).expand(len(starts)).contiguous()
    return {"gain": (scale,), "noise": (noise.Prepared(scale, NoisePower(frames, starts, power)),)}
