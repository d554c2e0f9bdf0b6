"""A table of folds as text: a row a fold and one for all of them, a column a recipe."""

from __future__ import annotations

from typing import Any

from kws.reports.folds import Folded, FoldTable, Tested
from kws.reports.metrics import METRICS
from kws.reports.table import classes_text, too_narrow
from kws.reports.text_tables import Grid

_METRIC = METRICS["test-accuracy"]
_ALL = "all"


def fold_grids(table: FoldTable, *, with_runs: bool = False) -> list[Grid]:
    """The table, and on request the runs of every fold."""
    found = [_main(table)]
    if with_runs:
        found.append(_runs(table))
    return found


def _main(table: FoldTable) -> Grid:
    rows = []
    for fold in [*range(1, table.count + 1), _ALL]:
        cells = [each.together if fold == _ALL else each.folds.get(int(fold)) for each in table.recipes]
        sizes = next(((each.clips, each.speakers) for each in cells if each), None)
        clips, speakers = ("-", "-") if sizes is None else (f"{sizes[0]:,}", _known(sizes[1]))
        rows.append((f"{fold}", clips, speakers, *map(_text, cells)))
    return Grid(
        title=f"Folds of {table.data}",
        caption=caption(table),
        columns=("fold", "clips", "speakers", *(each.name for each in table.recipes)),
        rows=tuple(rows),
        notes=tuple(_notes(table)),
        left_out_first=(2, 1),
    )


def caption(table: FoldTable) -> str:
    """What the numbers are, and what their intervals are over."""
    whole = [each.together for each in table.recipes if each.together]
    text = (
        f"Test accuracy on each of {table.count} folds of {table.data} ({classes_text(table.classes)}), of networks "
        "that were trained on the others but for one, their validation split."
    )
    if whole:
        whose = "clips, speakers unknown" if whole[0].speakers is None else f"clips of {whole[0].speakers:,} speakers"
        text += (
            f" Over all {table.count} folds: {whole[0].clips:,} {whose}, each tested once a seed; their answers are "
            "pooled."
        )
    tested = [each for folded in table.recipes for each in (*folded.folds.values(), folded.together) if each]
    seeds = [each.accuracy.n > 1 for each in tested if each.accuracy]
    clips = " or ".join(sorted({each.over for each in tested}))
    text += f" Intervals are 95 %, over {'seeds and ' * any(seeds)}{clips}"
    if not any(seeds):
        text += " alone, because every cell has a single seed"
    elif not all(seeds):
        text += ", for a single seed over those alone"
    text += next((too_narrow(each.speakers) for each in tested if each.over == "clips"), "")
    text += "; that networks of different folds share training clips is not in them."
    if any(each.speakers is None for each in tested):
        text += " Clips of one speaker may be in several folds, which makes accuracies look better than they are."
    return text


def _notes(table: FoldTable) -> list[str]:
    found = [*table.leaks]
    for each in table.recipes:
        missing = [fold for fold in range(1, table.count + 1) if fold not in each.folds]
        if missing:
            found.append(f"{each.name} has no run of fold {', '.join(map(str, missing))}, so none for all folds yet")
        elif each.together is None:
            found.append(f"no seed of {each.name} has a run of every fold, so none for all folds yet")
    return found


def _known(speakers: int | None) -> str:
    return "unknown" if speakers is None else f"{speakers:,}"


def _text(tested: Tested | None) -> str:
    if tested is None or tested.accuracy is None:
        return "-"
    low, high = tested.accuracy.proportion_interval()
    seeds = f", n = {tested.accuracy.n}" if tested.accuracy.n > 1 else ""
    return f"{_METRIC.text(tested.accuracy.value)} ({_METRIC.bare(low)} to {_METRIC.bare(high)}{seeds})"


def _runs(table: FoldTable) -> Grid:
    rows = []
    for each in table.recipes:
        for fold, tested in each.folds.items():
            rows += [
                (each.name, str(fold), str(run.recipe.seed), run.id, _METRIC.text(run.test_accuracy or 0.0))
                for run in tested.runs
            ]
    return Grid(
        caption=f"The runs of every fold of {table.data}.",
        columns=("recipe", "fold", "seed", "run", _METRIC.title),
        rows=tuple(rows),
    )


def record(table: FoldTable) -> dict[str, Any]:
    """As JSON, accuracies as fractions."""
    return {
        "data": table.data,
        "classes": table.classes,
        "folds": table.count,
        "caption": caption(table),
        "notes": _notes(table),
        "recipes": [_record(each) for each in table.recipes],
    }


def _record(folded: Folded) -> dict[str, Any]:
    return {
        "recipe": folded.name,
        "folds": {fold: _of(tested) for fold, tested in folded.folds.items()},
        "all": None if folded.together is None else _of(folded.together),
    }


def _of(tested: Tested) -> dict[str, Any]:
    found = tested.accuracy
    low, high = (None, None) if found is None else found.proportion_interval()
    return {
        "clips": tested.clips,
        "speakers": tested.speakers,
        "accuracy": None if found is None else found.value,
        "low": low,
        "high": high,
        "n": 0 if found is None else found.n,
        "interval_over": ["seeds"] * bool(found and found.n > 1) + [tested.over],
        "runs": [run.id for run in tested.runs],
    }
