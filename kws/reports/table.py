"""Table: a metric by rows and columns, and its caption: what the numbers are, and what their intervals are over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from kws.recipe import FINAL, TASK, Recipe
from kws.recipe.wording import listed
from kws.registry.runs import Run
from kws.reports.cells import Cell, Place
from kws.reports.metrics import Metric

if TYPE_CHECKING:
    from kws.reports.estimates import Sample
    from kws.reports.reference import Paper

TIES = "= marks what cannot be told from the best (5 %, Bonferroni's correction over all pairs of cells)."
_NUMBERS = dict(enumerate(("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")))
_NAMED_CLASSES = 8  # most classes that a caption names; of more it gives their number and the first few
_FIRST_CLASSES = 3
SMALL = 0.02  # a test split is small if its clips alone leave more than this on either side of the best cell's mean


@dataclass(frozen=True)
class Others:
    """What the class of all other words is made of."""

    name: str  # the class's
    heard: int  # words with training clips
    unheard: int  # words with test clips alone


@dataclass(frozen=True, kw_only=True)
class Beside:
    """What a leaderboard says of a recipe beside its metric: means over the cell's seeds, None if not recorded."""

    recipe: Recipe  # that of one of the seeds
    preset: str | None  # the name of the preset that it is
    validation_accuracy: float | None  # after the last epoch
    multiply_accumulates: int | None  # a clip
    seconds: float  # of training
    processor_seconds: float | None  # of all threads


@dataclass(frozen=True, kw_only=True)
class Table:
    """The cells of one data set under equal conditions; a cell is missing if nothing was run."""

    metric: Metric
    data: str
    data_fingerprint: str
    classes: tuple[str, ...]
    test_clips: int
    test_speakers: int | None  # None if unknown
    recipes_judged: int  # recipes that the test split has ever judged
    judged_of_report: bool = False  # whether these are the report's alone, and recipes of other kinds do not count
    optimism: float | None  # how much better than it is the best of these recipes would look if all were equally good
    conditions: Mapping[str, Any]  # those of a recipe's options that are conditions, and equal for all cells
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[Cell, ...]
    tested: bool
    notes: tuple[str, ...]
    runs: tuple[Run, ...]
    samples: Mapping[Place, Sample] = field(default_factory=dict, repr=False, compare=False)  # the data of each cell
    paper: Paper | None = None  # what the report says about it, if requested
    clips_alone: float | None = None  # half of the best cell's interval over test clips alone, with endless seeds
    left_out: tuple[str, ...] = ()  # words that no run here heard in training
    others: Others | None = None  # the words of "other"; None if there is no such class, or they are not known
    beside: Mapping[str, Beside] = field(default_factory=dict)  # of a leaderboard's rows; empty for any other table

    @property
    def caption(self) -> str:
        """What the numbers are, in a few sentences."""
        return caption(self)

    def cell(self, row: str, column: str) -> Cell | None:
        """The cell in that row and column; None if nothing was run for it."""
        return next((cell for cell in self.cells if (cell.row, cell.column) == (row, column)), None)


def caption(table: Table) -> str:
    """The whole caption."""
    parts = (_what(table), *_recipes(table), *_intervals(table), *_size(table), *_ties(table), *_looks(table))
    return " ".join(parts)


def classes_text(classes: tuple[str, ...], recipes: Iterable[Recipe] = ()) -> str:
    """The classes by name, or the number and the first of many; before them the recipes' task, if not the report's.

    Recipes of several tasks may have the same classes and clips; then the rows name the tasks.
    """
    text = ", ".join(classes)
    if len(classes) > _NAMED_CLASSES:
        text = f"{len(classes)} classes such as {listed(classes[:_FIRST_CLASSES])}"
    names = {recipe.task.NAME for recipe in recipes}
    return f"{TASK.title(*names)}: {text}" if len(names) == 1 and names != {TASK.default} else text


def _what(table: Table) -> str:
    about = [table.metric.title]
    many = epochs_text(table.conditions)
    best = table.conditions.get("selection", FINAL) != FINAL
    if many:
        about.append(f"at the best on the validation split of {many}" if best else f"after {many}")
    if "batch_size" in table.conditions:
        about.append(f"in minibatches of {table.conditions['batch_size']:,}")
    if table.conditions.get("precision", Recipe.precision) != Recipe.precision:
        about.append(f"in {table.conditions['precision']}")
    clips = f"{table.test_clips:,} test clips of " if table.metric.of_test else ""
    if table.metric.clips_of:
        clips += f"{listed(table.left_out)} in "
    classes = classes_text(table.classes, (run.recipe for run in table.runs))
    return (
        f"{' '.join(about).removesuffix(',')}, on {clips}{table.data} "
        f"({classes}; {_of_splits(table)}fingerprint {table.data_fingerprint[:12]}){_of_other(table)}."
    )


def _of_splits(table: Table) -> str:
    """How the data was divided, if not by its own lists or the official rule; and what intervals do not say."""
    split, fold = table.conditions.get("split_shares"), table.conditions.get("fold")
    text = "" if split is None else f"split {split}; "
    text += "" if fold is None else f"fold {fold.replace('/', ' of ')}; "
    over_clips = any("clips" in (cell.interval_over or "") for cell in table.cells)
    unsaid = table.metric.of_test and table.test_speakers is None and not over_clips
    return text + "speakers unknown; " * unsaid


def _of_other(table: Table) -> str:
    """What "other" is made of: how many words, and which of them were never heard in training."""
    never = f"{listed(table.left_out)} never" if table.left_out else ""
    others = table.others
    if others is None:
        return f"; other: {never} heard in training" if never else ""
    words = f"{_NUMBERS.get(others.heard, others.heard)} word{'' if others.heard == 1 else 's'}"
    if not never and not others.unheard:
        return f"; {others.name}: {words}, {'' if others.heard == 1 else 'all '}heard in training"
    never = never or f"{_NUMBERS.get(others.unheard, others.unheard)} of the test split never"
    return f"; {others.name}: {words} heard in training, {never}"


def _recipes(table: Table) -> list[str]:
    if not table.beside:
        return []
    return [
        "A row is a recipe; validation accuracy is that after the last epoch, MACs are multiply-accumulates a clip, "
        "and times are those of training, by the clock and of all threads on the processor; all are means over seeds."
    ]


def epochs_text(conditions: Mapping[str, Any]) -> str:
    """For how many epochs runs under these conditions are trained, and what ends them earlier; "" if cells differ."""
    until, patience, epochs = (conditions.get(name) for name in ("until", "patience", "epochs"))
    many = "" if epochs is None else f"{epochs} epoch{'' if epochs == 1 else 's'}"
    rules = [] if until is None else [f"at {100 * until:g} % validation accuracy"]
    if patience is not None:
        better = "validation accuracy" if until is None else "one"
        rules.append(f"after {patience} epoch{'' if patience == 1 else 's'} without a better {better}")
    if not rules:
        return many
    return f"{f'at most {many}' if many else 'training'}, ended early {' or '.join(rules)},"


def _intervals(table: Table) -> list[str]:
    over = {cell.interval_over for cell in table.cells if cell.interval_over}
    if table.metric.censored:
        return [
            "A seed that did not reach it counts as later than all that did, and a median is given where more than "
            "half of them did; such medians have no intervals here."
        ]
    if not over:
        return []
    several = any("seeds" in each for each in over)
    clips = ""
    if any("speakers" in each for each in over):
        clips = f"{table.test_speakers:,} test speakers"
    elif any("clips" in each for each in over):
        whose = "speakers unknown" if table.test_speakers is None else "of one speaker"
        clips = f"test clips ({whose})" if table.metric.of_test else "validation clips"
    text = " and ".join(["seeds"] * several + [clips] * bool(clips))
    if several and clips and any("seeds" not in each for each in over):
        text += ", for a single seed over those alone"
    elif clips and not several:
        text += " alone, because every cell has a single seed"
    return [f"Intervals are 95 %, over {text}{too_narrow(table.test_speakers) if 'test clips' in text else ''}."]


def too_narrow(speakers: int | None) -> str:
    """What is wrong with intervals over clips, where speakers are unknown or there is but one; "" otherwise."""
    if speakers is None:
        return "; clips of one speaker are alike, so these are too narrow"
    return "; they say nothing of other speakers" if speakers == 1 else ""


def _size(table: Table) -> list[str]:
    """How coarse a small test split is; nothing for one that is not small."""
    if table.clips_alone is None or table.clips_alone <= SMALL:
        return []
    whose = f" of {table.test_speakers:,} speakers" if table.test_speakers and table.test_speakers > 1 else ""
    clips, points = f"{table.test_clips:,} clips{whose}", f"{100 * table.clips_alone:.1f} points"
    alone = f"its {clips} alone leave a 95 % interval of {points} to either side"
    return [f"The test split is small: {alone}, whatever the seeds."]


def _ties(table: Table) -> list[str]:
    return [TIES] if any(cell.tie for cell in table.cells) else []


def _looks(table: Table) -> list[str]:
    """How many recipes the test split has judged, and what that does to the best figure."""
    if table.recipes_judged < 2:
        return []
    whose = " of the report's networks" if table.judged_of_report else ""
    text = f"This test split has judged {table.recipes_judged:,} recipes{whose}"
    if table.optimism is not None:
        better = f"{100 * table.optimism:.2f} points better than it is"
        text += f"; if all were equally good, chance alone would make the best look {better}"
    return [f"{text}."]
