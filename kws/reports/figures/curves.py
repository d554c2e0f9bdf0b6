"""Draws the report's figure: accuracy and loss over the training iteration, side by side; in a paper one below another.

Training is drawn per iteration, thin. Validation is drawn per epoch, at its last iteration, with markers if there are
few.

Decisions:
- One run: training and validation differ in colour. Several runs: each keeps its colour and dash, and its training is
  pale.
- A few runs have a legend, which is below the panels, where it hides no curve. More have their names beside each panel,
  which are then one below another. Very many have a legend; there the seeds of one recipe share a look and a line.
- A panel has runs of one data set. The loss of runs with a softmax before cross-entropy is a different quantity from
  that of runs without, so it has a panel of its own beside theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from kws.errors import RegistryError
from kws.registry.reader import RegistryReader
from kws.registry.runs import Epoch, Run
from kws.reports import labels, line_labels
from kws.reports.drawing import COLOURS, LOOKS, Style, explain, label_outer, look, panels, plain, wrapped
from kws.reports.line_labels import End

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curves = Mapping[str, list[Epoch]]  # by the runs' ids
MANY = False
_ITERATIONS = {"accuracy": "iteration_accuracies", "loss": "iteration_losses"}
_MOST_DATA = 8  # most data sets in one figure
_FEW = 4  # most lines of a legend on screen that is not very long
_HIGHEST = 5.0  # inches of a panel with names beside it
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
    looks = {name: number for number, name in enumerate(dict.fromkeys(called))}
    needed = line_labels.height_for([*looks], style, style.beside)
    direct = style.titled and _FEW < len(looks) <= line_labels.MOST and needed <= _HIGHEST
    together = style.titled and not direct  # the panels of one data set, side by side
    columns = min(style.columns, max(map(len, rows))) if together else 1
    cells = [each for row in rows for each in (row + [None] * (-len(row) % columns))]
    height = max(style.panel, needed) if direct else None
    drawing, found = panels(style, len(cells), columns=columns, height=height, sharex=not together)
    drawn = [(axes, panel) for axes, panel in zip(found, cells, strict=True) if panel]
    pale = 0.35 if len(runs) <= _FEW else 0.15
    for axes, panel in drawn:
        for run, name in zip(runs, called, strict=True):
            if panel.has(run):
                number = None if len(runs) == 1 else looks[name]
                _draw(axes, curves[run.id], panel.quantity, style, number=number, name=plain(name), pale=pale)
        _finish(axes, panel, style, columns, titled=len(drawn) > 2)
    for axes in set(found) - {axes for axes, _ in drawn}:
        axes.set_axis_off()
    if not together:
        label_outer([axes for axes, _ in drawn])
    folded = len({(run.data_fingerprint, name) for run, name in zip(runs, called, strict=True)}) < len(runs)
    about = _about(runs, len(looks) if folded else None)
    explain(drawing, style, about, () if direct else _handles(drawn, len(runs), style, looks), columns=4)
    if direct:
        for axes, panel in drawn:
            line_labels.beside_lines(axes, _ends(panel, runs, called, curves, looks), style, style.beside)
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
    alone = labels.of_few_runs(runs, panel=lambda run: run.data_fingerprint)
    together = labels.of_runs(runs, without=("seed",))
    called = together if len(set(alone)) > _MOST_ALONE and len(set(together)) < len(set(alone)) else alone
    if len(set(called)) > LOOKS:
        raise RegistryError(
            f"{len(set(called))} curves cannot be told apart in one figure, {LOOKS} can; name fewer runs, or draw the "
            "means of all with `kws plot --kind optimizers`"
        )
    return called


def _finish(axes: Axes, panel: _Panel, style: Style, columns: int, *, titled: bool) -> None:
    title = wrapped(panel.title, style, style.width / columns - 0.5) if titled else ""
    unit = wrapped(panel.unit, style, 0.8 * style.panel)
    axes.set(title=title, xlabel="training iteration", ylabel=unit)
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=(1, 2, 5, 10)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if panel.quantity == "loss":
        axes.set_ylim(bottom=0)


def _handles(
    drawn: Sequence[tuple[Axes, _Panel]], runs: int, style: Style, looks: Mapping[str, int]
) -> Sequence[Artist]:
    """The legend's lines: of one run training and validation, of several a line a name."""
    if runs == 1:
        return [line for line in drawn[0][0].lines if not str(line.get_label()).startswith("_")]
    sizes = {"linewidth": 1.8 * style.line, "markersize": 4 * style.line}
    return [Line2D([], [], **look(number) | sizes, label=plain(name)) for name, number in looks.items()]


def _ends(
    panel: _Panel, runs: Sequence[Run], called: Sequence[str], curves: Curves, looks: Mapping[str, int]
) -> list[End]:
    """Where the lines of a panel end, one a name: that of the last run that has it."""
    ends = {}
    for run, name in zip(runs, called, strict=True):
        if panel.has(run):
            line, percent = look(looks[name]), 100 if panel.quantity == "accuracy" else 1
            ends[name] = End(
                x=sum(len(epoch.iteration_losses) for epoch in curves[run.id]),
                y=getattr(curves[run.id][-1], f"validation_{panel.quantity}") * percent,
                name=name,
                color=line["color"],
                linestyle=line["linestyle"],
            )
    return [*ends.values()]


def _draw(
    axes: Axes, epochs: Sequence[Epoch], quantity: str, style: Style, *, number: int | None, name: str, pale: float
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
