"""Time as work grows: an epoch over its clips, a run over its epochs, `kws compare` over its runs; and a plot of all.

- An epoch over its clips: kws.training.loop.fit() on random clips, an eighth as many to validate on; the second epoch
  counts.
- A run over its epochs: the sum of its epochs' seconds.
- `kws compare` over its runs: whole processes. The registry of the most runs is a smaller one whose rows were copied.
What is linear takes as long a clip, or an epoch, at the large end as at the small one.
"""

from __future__ import annotations

from itertools import accumulate
from pathlib import Path
from typing import Any

from benchmarks.comparing import COMPARE, require_compared
from benchmarks.measure import Samples, call, kws_program, take_turns, wall
from benchmarks.report import Row
from benchmarks.steps import make_recipe
from benchmarks.workspace import Workspace

FIGURE = Path(__file__).parent.parent / "docs" / "growth.png"
_ARCHS = ("cnn", "fc")
_LINEAR = 1.25  # as long a piece of work at the large end as at the small one, but for this factor
Curve = dict[int, Samples]


def measure(workspace: Workspace) -> list[Row]:
    """The rows of growth; also draws the plot."""
    quick = workspace.quick
    sizes = (256, 512) if quick else (1_000, 2_000, 4_000, 8_000)
    lengths = {"cnn": (1, 2), "fc": (2, 4)} if quick else {"cnn": (2, 4, 8, 12), "fc": (2, 4, 8, 12, 50)}
    counts = (10, 100) if quick else (100, 1_000, 10_000)
    cells: dict[Any, Any] = {}
    for arch in _ARCHS:
        for size in sizes:
            cells[f"{arch}, {size} clips"] = lambda arch=arch, size=size: call(
                "growth:epochs", arch=arch, clips=size, epochs=2
            )[1]
        cells[f"{arch}, epochs"] = lambda arch=arch: call(
            "growth:epochs", arch=arch, clips=sizes[0], epochs=max(lengths[arch])
        )
    for count in counts:
        database = str(workspace.registry(count))
        require_compared(database)
        cells[f"{count} runs"] = lambda database=database: wall([*kws_program(), COMPARE, "--db", database])
    turns = take_turns(cells, workspace.rounds, group="growth", unit="s")

    clips = {arch: _curve(turns, {size: f"{arch}, {size} clips" for size in sizes}) for arch in _ARCHS}
    epochs = {
        arch: {
            length: samples
            for length in lengths[arch]
            if (
                samples := turns.samples(
                    f"{arch}, epochs", lambda taken, length=length: list(accumulate(taken))[length - 1]
                )
            )
        }
        for arch in _ARCHS
    }
    runs = {"kws compare": _curve(turns, {count: f"{count} runs" for count in counts})}
    draw(clips, epochs, runs, FIGURE.with_stem("growth-quick") if quick else FIGURE)
    rows = [_row(f"{arch}, an epoch", "clips", clips[arch]) for arch in _ARCHS]
    rows += [_row(f"{arch}, a run", "epochs", epochs[arch]) for arch in _ARCHS]
    return rows + _compare_rows(runs["kws compare"])


def _curve(turns: Any, cells: dict[int, str]) -> Curve:
    return {size: samples for size, cell in cells.items() if (samples := turns.samples(cell))}


def _row(what: str, of: str, curve: Curve) -> Row:
    if len(curve) < 2:
        return Row(group="growth", what=f"{what} over its {of}", note="no figure")
    small, large = min(curve), max(curve)
    ratio = curve[large].map(lambda seconds: seconds / large).over(curve[small].map(lambda seconds: seconds / small))
    return Row(
        group="growth",
        what=f"{what} over its {of}: each of {large:,} beside each of {small:,}",
        unit="ms",
        ours=curve[large].map(lambda seconds: 1000 * seconds / large),
        against=f"kws, {small:,} {of}",
        theirs=curve[small].map(lambda seconds: 1000 * seconds / small),
        ratio=ratio,
        reading="times",
        wanted=f"linear: at most {_LINEAR:g} times",
        holds=ratio.median <= _LINEAR,
    )


def _compare_rows(curve: Curve) -> list[Row]:
    small = min(curve, default=0)
    return [
        Row(
            group="growth",
            what=f"`kws {COMPARE}` over {count:,} runs of 50 epochs",
            unit="s",
            ours=seconds,
            against=f"kws, {small:,} runs",
            theirs=curve[small],
            ratio=seconds.over(curve[small]),
            reading="times",
        )
        for count, seconds in curve.items()
        if count != small
    ]


def epochs(arch: str, clips: int, epochs: int) -> list[float]:
    """The seconds of each epoch, validation included. Runs in a process of its own."""
    import torch

    from kws import architectures
    from kws.events import EpochEnd
    from kws.speech.dataset import Split
    from kws.training import loop

    recipe = make_recipe(arch, epochs=epochs)
    begun = loop.Training.begin(recipe, 3)
    train, validation = (
        Split(torch.randn(count, architectures.FRAMES, architectures.BANDS), torch.arange(count) % 3)
        for count in (clips, clips // 8)
    )
    return [event.seconds for event in loop.fit(begun, train, validation, recipe) if isinstance(event, EpochEnd)]


def draw(clips: dict[str, Curve], epochs: dict[str, Curve], runs: dict[str, Curve], path: Path) -> None:
    """Three panels, with medians as lines and the least and the most as bars; the first two have logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    panels = (
        ("An epoch over its clips", "training clips", clips, True),
        ("A run over its epochs", "epochs", epochs, True),
        ("kws compare over its runs", "runs in the registry", runs, False),
    )
    for axis, (title, label, curves, linear) in zip(axes, panels, strict=True):
        for name, curve in curves.items():
            middle = [samples.median for samples in curve.values()]
            below = [samples.median - samples.least for samples in curve.values()]
            above = [samples.most - samples.median for samples in curve.values()]
            (line, *_) = axis.errorbar(list(curve), middle, yerr=[below, above], marker="o", capsize=3, label=name)
            if linear and curve:
                first = min(curve)
                straight = [curve[first].median * size / first for size in curve]
                axis.plot(list(curve), straight, color=line.get_color(), linestyle=":", zorder=1)
        axis.set(title=title, xlabel=label, ylabel="seconds")
        axis.set_xscale("log")
        if linear:
            axis.set_yscale("log")
        else:
            axis.set_ylim(bottom=0)
        sizes = sorted(max(curves.values(), key=len, default={}))
        axis.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axis.set_xticks([], minor=True)
        axis.yaxis.set_major_formatter("{x:g}")
        axis.grid(alpha=0.3)
        axis.legend()
    figure.suptitle("Time as work grows: medians, bars from the least to the most, dotted lines for what is linear")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
