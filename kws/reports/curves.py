"""The report's figure: accuracy and loss side by side over the training iteration.

Training is drawn per iteration, thin; validation per epoch, at its last iteration, with a marker where there are few.
Colours are Okabe and Ito's, which stay apart for colour-blind readers; runs are also told apart by their dashes.
"""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import matplotlib as mpl
from matplotlib.ticker import MaxNLocator

from kws import architectures, optimizers
from kws.errors import RegistryError
from kws.registry.runs import Epoch, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
ENDINGS = (".png", ".svg", ".pdf")


def figure(runs: list[tuple[Run, list[Epoch]]]) -> Figure:
    """The figure of one run, or of several laid over each other."""
    import pandas as pd
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(10, 4.4), layout="constrained")
    accuracy, loss = drawing.subplots(1, 2)
    names = _names([run for run, _ in runs])
    dashes = cycle(("-", "--", "-.", ":"))
    for (_, epochs), name, colour, dash in zip(runs, names, cycle(COLOURS), dashes, strict=False):
        by_epoch = pd.DataFrame([vars(epoch) for epoch in epochs])
        ends = by_epoch["iteration_losses"].map(len).cumsum()
        for axes, quantity in ((accuracy, "accuracy"), (loss, "loss")):
            plural = {"accuracy": "iteration_accuracies", "loss": "iteration_losses"}[quantity]
            training = pd.Series([value for epoch in by_epoch[plural] for value in epoch])
            validation = by_epoch[f"validation_{quantity}"]
            percent = 100 if quantity == "accuracy" else 1
            # One run: training and validation differ in colour. Several: a run keeps its colour, training is pale.
            single = len(runs) == 1
            axes.plot(
                training.index + 1,
                training * percent,
                color=colour,
                linewidth=1.0 if single else 0.8,
                alpha=0.75 if single else 0.35,
                label="training, per iteration" if single else None,
            )
            axes.plot(
                ends,
                validation * percent,
                color=COLOURS[1] if single else colour,
                linestyle="-" if single else dash,
                linewidth=1.8,
                marker="o" if len(epochs) <= 10 else None,
                markersize=4,
                label="validation, per epoch" if single else f"{name}",
            )
    _finish(accuracy, "Accuracy", "accuracy (%)", "lower right")
    _finish(loss, "Loss", "cross-entropy (nats)", "upper right")
    loss.set_ylim(bottom=0)
    drawing.suptitle(_title(runs), fontsize="medium", parse_math=False)
    return drawing


def save(drawing: Figure, path: Path) -> None:
    """Write the figure as PNG, SVG or PDF, by the file's ending; the same runs give the same bytes.

    Raises RegistryError for another ending or a place that cannot be written.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise RegistryError(f"`out` (={str(path)!r}) must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    dates: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}
    try:
        with mpl.rc_context({"svg.hashsalt": "kws", "pdf.fonttype": 42}):
            drawing.savefig(path, dpi=160, metadata=dates[ending])
    except OSError as error:
        raise RegistryError(f"{path} cannot be written ({error.strerror or error})") from None


def _finish(axes: Axes, title: str, ylabel: str, place: Literal["lower right", "upper right"]) -> None:
    axes.set(title=title, xlabel="training iteration", ylabel=ylabel)
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    for text in axes.legend(loc=place, frameon=False, fontsize="small").get_texts():
        text.set_parse_math(False)


def _names(runs: list[Run]) -> list[str]:
    """What tells the runs apart: network and optimizer, and what else differs among these runs."""
    varying = [
        field
        for field in ("seed", "learning_rate", "batch_size", "softmax", "maps")
        if any(
            len({getattr(run.recipe, field) for run in runs if field != "learning_rate" or run.recipe.opt == opt}) > 1
            for opt in {run.recipe.opt for run in runs}
        )
    ]
    names = []
    for run in runs:
        extra = []
        for field in varying:
            value = getattr(run.recipe, field)
            if field == "softmax":
                extra += ["softmax"] if value else []
            elif value is not None:
                extra.append(f"{field.replace('_', ' ')} {value}")
        head = f"{architectures.title(run.recipe.arch)}, {optimizers.title(run.recipe.opt)}"
        names.append(", ".join([head, *extra]))
    return [name if names.count(name) == 1 else f"{name} [{run.id}]" for name, run in zip(names, runs, strict=True)]


def _title(runs: list[tuple[Run, list[Epoch]]]) -> str:
    sources = ", ".join(sorted({run.data_source for run, _ in runs}))
    if len(runs) > 1:
        return f"{len(runs)} runs on {sources}: validation per epoch (bold), training per iteration (pale)"
    run = runs[0][0]
    tested = "" if run.test_accuracy is None else f", test accuracy {100 * run.test_accuracy:.2f} %"
    return f"{_names([run])[0]}, seed {run.recipe.seed}, on {sources}{tested} [run {run.id}]"
