"""Draws the report's figure: accuracy and loss over the training iteration, side by side; stacked in a paper.

Training is drawn per iteration, thin. Validation is drawn per epoch, at its last iteration, with markers if there are
few.

Decisions:
- One run: training and validation differ in colour. Several runs: each keeps its colour and dash, and its training is
  pale.
- With many runs, the seeds of one recipe share a look and a line of the legend. A legend with more than a few lines is
  below the panels.
- A panel has runs of one data set. The loss of runs with a softmax before cross-entropy is a different quantity from
  that of runs without, so it has a panel of its own beside theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from kws.errors import RegistryError
from kws.registry.reader import RegistryReader
from kws.registry.runs import Epoch, Run
from kws.reports import labels
from kws.reports.drawing import COLOURS, LOOKS, Style, explain, label_outer, look, panels, plain, wrapped

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY = False
_ITERATIONS = {"accuracy": "iteration_accuracies", "loss": "iteration_losses"}
_MOST_DATA = 8  # most data sets in one figure
_MOST_INSIDE = 4  # most runs whose names are inside the panels
_LONG_NAME = 48  # letters of a name that would hide curves there
_MOST_ALONE = 12  # most runs with a look of their own; with more, the seeds of a recipe share one


@dataclass(frozen=True, kw_only=True)
class _Panel:
    """What a panel shows: a quantity of runs on the data with this fingerprint; for a loss, whether after a softmax."""

    quantity: str
    fingerprint: str
    title: str
    softmax: bool | None = None

    def has(self, run: Run) -> bool:
        return run.data_fingerprint == self.fingerprint and self.softmax in (None, run.recipe.softmax_before_loss)

    @property
    def unit(self) -> str:
        if self.quantity == "accuracy":
            return "accuracy (%)"
        return "cross-entropy after a softmax (nats)" if self.softmax else "cross-entropy (nats)"


def figure(registry: RegistryReader, runs: list[Run], style: Style) -> Figure:
    """The curves of one run, or of several in the same panels; accuracies in percent, losses in nats per clip.

    Raises RegistryError if a run has no epochs, or if there are more runs or data sets than can be distinguished.
    """
    curves = {run.id: registry.epochs(run.id) for run in runs}
    for run in runs:
        if not curves[run.id]:
            raise RegistryError(
                f"run {run.id} ({run.status}) has no epochs to plot; `kws runs list` shows how many each run has"
            )
    rows = _rows(runs)
    called = _names(runs)
    columns = max(map(len, rows)) if style.titled else 1
    cells = [each for row in rows for each in (row + [None] * (columns - len(row)) if style.titled else row)]
    drawing, found = panels(style, len(cells), columns=columns, sharex=not style.titled)
    drawn = [(axes, panel) for axes, panel in zip(found, cells, strict=True) if panel]
    looks = {name: number for number, name in enumerate(dict.fromkeys(called))}
    pale = 0.35 if len(runs) <= _MOST_ALONE else 0.15
    for axes, panel in drawn:
        for run, name in zip(runs, called, strict=True):
            if panel.has(run):
                number = None if len(runs) == 1 else looks[name]
                _draw(axes, curves[run.id], panel.quantity, style, number=number, name=plain(name), pale=pale)
        _finish(axes, panel, style, titled=style.titled or len(drawn) > 2)
    for axes in set(found) - {axes for axes, _ in drawn}:
        axes.set_axis_off()
    if not style.titled:
        label_outer([axes for axes, _ in drawn])
    folded = len({(run.data_fingerprint, name) for run, name in zip(runs, called, strict=True)}) < len(runs)
    _explain(drawing, style, _about(runs, len(looks) if folded else None), len(runs), drawn, looks)
    return drawing


def _rows(runs: Sequence[Run]) -> list[list[_Panel | None]]:
    """The panels of each data set: accuracy, and one or two losses."""
    sources = dict.fromkeys((run.data_fingerprint, labels.data_of(run)) for run in runs)
    of = dict(reversed(sources))
    if len(of) > _MOST_DATA:
        raise RegistryError(
            f"these {len(runs)} runs are on {len(of)} data sets, and a figure has room for {_MOST_DATA}; name runs of "
            "fewer, which `kws runs list --data SOURCE` shows"
        )
    rows: list[list[_Panel | None]] = []
    for fingerprint in dict.fromkeys(run.data_fingerprint for run in runs):
        source = of[fingerprint]
        if list(of.values()).count(source) > 1:
            source = f"{source} ({fingerprint[:8]})"
        on = f" on {source}" if len(of) > 1 else ""
        with_softmax = sorted({run.recipe.softmax_before_loss for run in runs if run.data_fingerprint == fingerprint})
        row: list[_Panel | None] = [_Panel(quantity="accuracy", fingerprint=fingerprint, title=f"Accuracy{on}")]
        for softmax in with_softmax:
            after = " after a softmax" if softmax else ""
            title = f"Loss{after}{on}"
            row.append(_Panel(quantity="loss", fingerprint=fingerprint, title=title, softmax=softmax))
        rows.append(row)
    return rows


def _names(runs: list[Run]) -> list[str]:
    """The label of each run; with many runs, seeds of one recipe share a label if that gives fewer labels."""
    alone = labels.of_runs(runs, panel=lambda run: run.data_fingerprint)
    together = labels.of_runs(runs, without=("seed",))
    called = together if len(set(alone)) > _MOST_ALONE and len(set(together)) < len(set(alone)) else alone
    if len(set(called)) > LOOKS:
        raise RegistryError(
            f"{len(set(called))} curves cannot be told apart in one figure, {LOOKS} can; name fewer runs, or draw the "
            "means of all with `kws plot --kind optimizers`"
        )
    return called


def _finish(axes: Axes, panel: _Panel, style: Style, *, titled: bool) -> None:
    title = wrapped(panel.title, style, style.panel[0] - 0.5) if titled else ""
    unit = wrapped(panel.unit, style, 0.8 * style.panel[1])
    axes.set(title=title, xlabel="training iteration", ylabel=unit)
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=(1, 2, 5, 10)))
    if panel.quantity == "loss":
        axes.set_ylim(bottom=0)


def _explain(
    drawing: Figure, style: Style, about: str, runs: int, drawn: Sequence[tuple[Axes, _Panel]], looks: dict[str, int]
) -> None:
    """Say what is shown, and which line is which: inside the panels if that hides nothing, else below them."""
    one_set = len({panel.fingerprint for _, panel in drawn}) == 1
    inside = one_set and runs <= _MOST_INSIDE and max(map(len, looks)) <= _LONG_NAME
    if style.titled and (runs == 1 or inside):
        explain(drawing, style, about)
        for axes, panel in drawn:
            axes.legend(loc="lower right" if panel.quantity == "accuracy" else "upper right", frameon=False)
        return
    if runs == 1:
        handles: list[Artist] = [line for line in drawn[0][0].lines if not str(line.get_label()).startswith("_")]
    else:
        sizes = {"linewidth": 1.8 * style.line, "markersize": 4 * style.line}
        handles = [Line2D([], [], **look(number) | sizes, label=plain(name)) for name, number in looks.items()]
    explain(drawing, style, about, handles, columns=4)


def _draw(
    axes: Axes, epochs: list[Epoch], quantity: str, style: Style, *, number: int | None, name: str, pale: float
) -> None:
    """Draw one run's training and validation; `number` is None if it is the only run."""
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
        alpha=0.75 if single else pale,
        label="training, per iteration" if single else None,
    )
    if single:
        line |= {"color": COLOURS[1]}
    if len(epochs) <= 10:
        line = {"marker": "o" if single else ".", **line, "markevery": 1}
    axes.plot(
        ends,
        [getattr(epoch, f"validation_{quantity}") * percent for epoch in epochs],
        **line,
        linewidth=1.8 * style.line,
        markersize=4 * style.line,
        label="validation, per epoch" if single else name,
    )


def _about(runs: list[Run], recipes: int | None) -> str:
    """The runs, their data and how they are drawn; `recipes` is the number of recipes if their seeds look alike."""
    sources = ", ".join(sorted({labels.data_of(run) for run in runs}))
    if len(runs) > 1:
        count = f"{len(runs)} runs" if recipes is None else f"{len(runs)} runs of {recipes} recipes"
        seeds = "" if recipes is None else ", the seeds of a recipe alike"
        return f"{count} on {sources}: validation per epoch (bold), training per iteration (pale){seeds}"
    (run,) = runs
    tested = "" if run.test_accuracy is None else f", test accuracy {100 * run.test_accuracy:.2f} %"
    return f"{labels.of_runs([run])[0]}, seed {run.recipe.seed}, on {sources}{tested} [run {run.id}]"
