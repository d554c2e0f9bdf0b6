"""Prints results on the terminal: Table 1, runs, a network, data sources and speeds.

Text from outside is never interpreted as rich markup, as in kws.terminal.console.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.text import Text

from kws.events import SPLITS, DataCard, Evaluation
from kws.registry.runs import Epoch, Run, described, early_stop, total_of
from kws.terminal.console import STATUS_STYLES, duration, out, paragraph, percent, shows_bold, training_time, visible
from kws.terminal.layout import Table, least_width

if TYPE_CHECKING:
    from kws.registry.queries import Answer
    from kws.reports.table import Table as Table1
    from kws.reports.text_tables import Grid
    from kws.speech.sources import Entry
    from kws.training.layers import Network
    from kws.training.profile import Speed


_JUDGED = 5  # listed splits
BEST = "bold green"


def loss_text(evaluation: Evaluation) -> str:
    """An evaluation's loss as text; "loss unknown" if an older registry lacks the values to compute it from."""
    return "loss unknown" if evaluation.loss is None else f"loss {evaluation.loss:.4f}"


def print_tables(tables: list[Table1], *, with_runs: bool, more: Iterable[Grid] = ()) -> None:
    """Print Table 1 of each data set, the other requested tables, and `more` after them.

    The best values are bold, or have a mark that the caption explains where nothing can be bold.
    """
    from kws.reports.text_tables import BEST_LEGEND, BEST_MARK, grids

    console = out()
    marked = "" if shows_bold(console) else BEST_MARK
    made = [*(grid for table in tables for grid in grids(table, with_runs=with_runs)), *more]
    for number, whole in enumerate(made):
        if number:
            console.print()
        grid, left_out = whole.fitting(lambda lengths: len(marked) + least_width(lengths) <= console.width)
        drawn = table_of(*map(visible, grid.columns), title=visible(grid.title) or f"Table {number + 1}")
        for i, row in enumerate(grid.rows):
            cells = ((visible(text), (i, j) in grid.bold) for j, text in enumerate(row))
            drawn.add_row(*(Text(f"{text}{marked}", style=BEST) if best else Text(text) for text, best in cells))
        console.print(drawn)
        legend = f" {BEST_LEGEND}" if marked and grid.bold else ""
        paragraph(console, f"{visible(grid.caption)}{legend}")
        for note in grid.notes:
            paragraph(console, visible(f"Note: {note}."))
        if left_out:
            paragraph(console, f"Not shown, as this terminal is too narrow: {', '.join(left_out)}.")


def print_run(
    run: Run, card: DataCard, evaluations: list[tuple[DataCard, Evaluation]], epochs: list[Epoch], *, judged: int
) -> None:
    """Print everything about one run; `judged` is how many recipes its test split has judged."""
    from kws.reports.coverage import of_classes

    console = out()
    facts = table_of("", "", title=f"Run {run.id}", header=False)
    rows = {"status": described(run) + (f": {run.error}" if run.error else ""), "name": run.name, "note": run.note}
    rows |= {"tags": ", ".join(run.tags) or None, "the recipe of": run.rerun_of, "deleted": run.deleted_at}
    rows |= {"started": run.started_at, "ended": run.ended_at, "training": training_time(run.seconds, total_of(epochs))}
    rows |= {"early stop": early_stop(run)}
    rows |= {"parameters": f"{run.parameters:,}"}
    rows |= {"data": f"{card.source}, fingerprint {card.fingerprint[:12]}"}
    for split in SPLITS:
        counts = ", ".join(f"{name} {count:,}" for name, count in zip(card.classes, card.counts[split], strict=True))
        rows[f"  {split}"] = counts
    rows["recipes judged"] = f"{judged:,} by this test split so far"
    rows["test"] = f"not tested; `kws test {run.id}` does it, once" if run.awaits_test else None
    rows |= {f"recipe {name}": _plain(value) for name, value in run.recipe.values.items() if value is not None}
    rows["source"] = f"{run.recipe.source}; `kws runs show {run.id} --source` prints it" if run.recipe.source else None
    rows |= {name: _plain(value) for name, value in vars(run.environment).items()}
    for name, value in rows.items():
        if value is not None:
            facts.add_row(name, Text(visible(value), style=STATUS_STYLES.get(run.status, "") * (name == "status")))
    console.print(facts)
    for on, evaluation in evaluations:
        console.print(
            f"{evaluation.split} split of {on.source}: accuracy {percent(evaluation.accuracy)}, "
            f"{loss_text(evaluation)}, {evaluation.clips:,} clips{of_classes(on, evaluation)}"
        )
    drawn = table_of("epoch", "training loss", "accuracy", "validation loss", "accuracy", "seconds")
    for epoch in epochs:
        drawn.add_row(
            str(epoch.epoch),
            f"{epoch.train_loss:.4f}",
            percent(epoch.train_accuracy),
            f"{epoch.validation_loss:.4f}",
            percent(epoch.validation_accuracy),
            f"{epoch.seconds:.2f}",
        )
    console.print(drawn)


def print_difference(first: Run, second: Run, differing: dict[str, tuple[Any, Any]], same: tuple[str, ...]) -> None:
    """Print the differences of two runs side by side."""
    console = out()
    drawn = table_of("", f"run {first.id}", f"run {second.id}")
    for field, pair in differing.items():
        drawn.add_row(field, *(Text("-" if value is None else visible(_figure_of(field, value))) for value in pair))
    console.print(drawn)
    paragraph(console, f"the same: {', '.join(same)}")


def _figure_of(field: str, value: Any) -> str:
    """A run's value by its field, as the other screens write it."""
    if field == "parameters":
        return f"{value:,}"
    if field == "seconds":
        return duration(value)
    return percent(value) if field.endswith("_accuracy") and isinstance(value, float) else _plain(value)


def print_info(info: dict[str, Any]) -> None:
    """Print a registry's size and contents."""
    drawn = table_of("", "", title=visible(info["path"]), header=False)
    drawn.add_row("schema", str(info["registry_schema"]))
    free = "" if info["bytes_free"] is None else f", of which {info['bytes_free'] / 1e6:,.1f} MB are free"
    drawn.add_row("size", f"{info['bytes'] / 1e6:,.1f} MB{free}")
    runs = ", ".join(f"{count:,} {status}" for status, count in info["runs"].items() if count) or "none"
    drawn.add_row("runs", runs + (f"; {info['deleted_runs']:,} deleted" if info["deleted_runs"] else ""))
    drawn.add_row("rows", ", ".join(f"{table} {count:,}" for table, count in info["rows"].items()))
    for place, judged in enumerate(info["judged"][:_JUDGED]):
        split = f"{visible(str(judged['split']))} split {visible(str(judged['fingerprint']))[:12]}"
        counted = f"{judged['recipes']:,} recipe{'' if judged['recipes'] == 1 else 's'}"
        looks = f"{judged['evaluations']:,} evaluation{'' if judged['evaluations'] == 1 else 's'}"
        drawn.add_row("" if place else "judged", f"{split}: {counted}, {looks}")
    if (more := len(info["judged"]) - _JUDGED) > 0:
        drawn.add_row("", f"and {more:,} more split{'' if more == 1 else 's'}, which --json lists")
    out().print(drawn)


def print_answer(answer: Answer) -> None:
    """Print a query's rows in columns; plain text where no line is broken, since there may be thousands."""
    rows = [tuple(map(visible, answer.columns)), *(tuple(map(_cell_of, row)) for row in answer.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    console = out()
    if console.is_terminal and sum(widths) + 2 * (len(widths) - 1) > console.width:
        drawn = table_of(*rows[0])
        for row in rows[1:]:
            drawn.add_row(*row)
        console.print(drawn)
        return
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())  # noqa: T201


def _cell_of(value: Any) -> str:
    if isinstance(value, bytes):
        return f"({len(value):,} bytes)"
    return "-" if value is None else visible(str(value))


def print_summary(network: Network, others: list[Network]) -> None:
    """Print a network layer by layer, its totals, and its size compared with the other networks."""
    console = out()
    title = f"{network.title}: log-mel features {_size(network.input_size)} to {_size(network.layers[-1].output_size)}"
    drawn = table_of("layer", "", "output size", "parameters", "=", "multiply-accumulates", title=title)
    for layer in network.layers:
        drawn.add_row(
            layer.name,
            layer.kind,
            _size(layer.output_size),
            f"{layer.parameters:,}",
            re.sub(r"\d+", lambda found: f"{int(found[0]):,}", layer.parameter_formula),
            f"{layer.multiply_accumulates:,}",
        )
    drawn.add_section()
    drawn.add_row("total", "", "", f"{network.parameters:,}", "", f"{network.multiply_accumulates:,}")
    console.print(drawn)
    for layer in network.layers:
        if layer.size_formula:
            paragraph(console, f"{layer.name}: {layer.size_formula}")
    for other in others:
        larger, smaller = sorted((network, other), key=lambda each: each.parameters, reverse=True)
        paragraph(
            console,
            f"{larger.arch} has {larger.parameters:,} parameters, {larger.parameters / smaller.parameters:.4f} times "
            f"the {smaller.parameters:,} of {smaller.arch}",
        )


def print_speeds(arch: str, threads: int, speeds: list[Speed]) -> None:
    """Print the training speed in each precision, and which precision to choose."""
    console = out()
    drawn = table_of("precision", "clips/s", "GFLOP/s", "peak", "share", title=f"Training {arch}, {threads} threads")
    for speed in speeds:
        peak, share = _figure(speed.peak_gflops), f"{100 * speed.share:.0f} %"
        if speed.peak_is_lower_bound:
            peak, share = f"at least {peak}", "not known"
        drawn.add_row(speed.precision, f"{speed.clips_per_second:,.0f}", _figure(speed.gflops), peak, share)
    console.print(drawn)
    for speed in speeds:
        if speed.peak_is_lower_bound:
            console.print(
                f"{speed.precision}: training was faster than every product of matrices that was tried, so its peak is "
                "not known; it is at least that"
            )
    fastest = max(speeds, key=lambda speed: speed.clips_per_second)
    console.print(f"fastest here: --precision {fastest.precision}")


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def print_sources(sources: list[Entry], chosen: str) -> None:
    """Print the data sources, their folders, and which one is the default."""
    drawn = table_of("source", "", "there", "folder")
    for source in sources:
        drawn.add_row(source.name, source.title, "yes" if source.is_there else "no", Text(str(source.folder)))
    title = "recordings, in a layout of docs/data.md, or the course's arrays X_train.p ... Y_test.p"
    drawn.add_row("FOLDER", title, "", "")
    console = out()
    console.print(drawn)
    console.print(f"used without --data: {chosen}")


def table_of(*columns: str, title: str = "", header: bool = True) -> Table:
    """A table in the style of all our tables; its header holds the column names."""
    return Table(*columns, title=title, header=header)


def _size(size: tuple[int, ...]) -> str:
    return " x ".join(map(str, size))


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
