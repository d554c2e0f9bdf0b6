"""The report's figure: accuracy and loss side by side over the training iteration; one below the other in a paper.

Training is drawn per iteration, thin; validation per epoch, at its last iteration, with a marker where there are few.
One run: training and validation differ in colour. Several: a run keeps its colour and dash, and its training is pale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.ticker import MaxNLocator

from kws.errors import RegistryError
from kws.registry.reader import RegistryReader
from kws.registry.runs import Epoch, Run
from kws.reports.drawing import COLOURS, Style, explain, label_outer, look, panels, plain
from kws.reports.names import names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY = False
_ITERATIONS = {"accuracy": "iteration_accuracies", "loss": "iteration_losses"}


def figure(registry: RegistryReader, runs: list[Run], style: Style) -> Figure:
    """The curves of one run, or of several laid over each other; accuracies in percent, losses in nats a clip.

    Raises RegistryError for a run without epochs.
    """
    drawing, (accuracy, loss) = panels(style, 2, sharex=not style.titled)
    for number, (run, name) in enumerate(zip(runs, names(runs), strict=True)):
        epochs = registry.epochs(run.id)
        if not epochs:
            raise RegistryError(
                f"run {run.id} ({run.status}) has no epochs to plot; `kws runs list` shows how many each run has"
            )
        for axes, quantity in ((accuracy, "accuracy"), (loss, "loss")):
            _draw(axes, epochs, quantity, style, number=None if len(runs) == 1 else number, name=plain(name))
    for axes, title, unit in ((accuracy, "Accuracy", "accuracy (%)"), (loss, "Loss", "cross-entropy (nats)")):
        axes.set(title=title if style.titled else "", xlabel="training iteration", ylabel=unit)
        axes.margins(x=0.01)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
    loss.set_ylim(bottom=0)
    about = _about(runs)
    if style.titled:
        explain(drawing, style, about)
        accuracy.legend(loc="lower right", frameon=False)
        loss.legend(loc="upper right", frameon=False)
    else:
        label_outer([accuracy, loss])
        explain(drawing, style, about, [line for line in accuracy.lines if not str(line.get_label()).startswith("_")])
    return drawing


def _draw(axes: Axes, epochs: list[Epoch], quantity: str, style: Style, *, number: int | None, name: str) -> None:
    """Draw one run's training and validation: the only run where it has no number."""
    percent = 100 if quantity == "accuracy" else 1
    training = [value * percent for epoch in epochs for value in getattr(epoch, _ITERATIONS[quantity])]
    ends, iterations = [], 0
    for epoch in epochs:
        iterations += len(epoch.iteration_losses)
        ends.append(iterations)
    single = number is None
    line = look(number or 0)
    axes.plot(
        range(1, len(training) + 1),
        training,
        color=line["color"],
        linewidth=(1.0 if single else 0.8) * style.line,
        alpha=0.75 if single else 0.35,
        label="training, per iteration" if single else None,
    )
    axes.plot(
        ends,
        [getattr(epoch, f"validation_{quantity}") * percent for epoch in epochs],
        color=COLOURS[1] if single else line["color"],
        linestyle="-" if single else line["linestyle"],
        linewidth=1.8 * style.line,
        marker="o" if len(epochs) <= 10 else None,
        markersize=4 * style.line,
        label="validation, per epoch" if single else name,
    )


def _about(runs: list[Run]) -> str:
    sources = ", ".join(sorted({run.data_source for run in runs}))
    if len(runs) > 1:
        return f"{len(runs)} runs on {sources}: validation per epoch (bold), training per iteration (pale)"
    (run,) = runs
    tested = "" if run.test_accuracy is None else f", test accuracy {100 * run.test_accuracy:.2f} %"
    return f"{names([run])[0]}, seed {run.recipe.seed}, on {sources}{tested} [run {run.id}]"
