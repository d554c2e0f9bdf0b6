"""Prints an evaluation on the terminal: every figure with its 95 % interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text

from kws.events import DataCard, Evaluation
from kws.registry.runs import Run
from kws.reports.classes import ClassReport
from kws.reports.coverage import of_classes
from kws.reports.statistics import Interval, over_clips
from kws.terminal.console import out, paragraph, percent, visible
from kws.terminal.screens import loss_text, table_of

if TYPE_CHECKING:
    from rich.console import Console

    from kws.reports.coverage import Coverage
    from kws.reports.scores import Scores
    from kws.reports.unheard import Unheard
    from kws.terminal.layout import Table

_FALSE_ACCEPTS = 0.01
_ALL_BUT_SURE = 0.9999
_MOST_MISTAKEN = 20  # pairs of classes that are listed where a matrix is too wide


def headline(run: Run, card: DataCard, evaluation: Evaluation) -> str:
    """Accuracy and loss in one line."""
    right = sum(label == answer for label, answer in zip(evaluation.labels, evaluation.predictions, strict=True))
    return (
        f"run {run.id} ({visible(run.recipe.arch)}, {visible(run.recipe.opt)}) on the {evaluation.split} split of "
        f"{visible(card.source)}, {evaluation.clips:,} clips{of_classes(card, evaluation)}: "
        f"accuracy {_with(evaluation.accuracy, over_clips(right, evaluation.clips))}, {loss_text(evaluation)}"
    )


def not_tested_line(names: Sequence[str]) -> str:
    """Which of a run's classes have no clips in what it was evaluated on."""
    return f"not tested, for there are no clips of them here: {', '.join(map(visible, names))}"


def judged_line(recipes: int) -> str:
    """How many recipes a split has judged; the more there are, the more the best one looks better than it is."""
    return f"this split has now judged {recipes:,} recipe{'' if recipes == 1 else 's'}"


def coverage_lines(coverage: Coverage) -> list[str]:
    """How many clips were trained on, how many of the data's clips were used, and how that biases the figures."""
    clips = f"{coverage.clips:,} clips"
    if coverage.trained_on is None:
        trained = f"how many of these {clips} it was trained on is not known"
    else:
        trained = f"{coverage.trained_on:,} of these {clips} were trained on"
    used = f"used {coverage.clips:,} of {coverage.offered:,} clips"
    if coverage.left_out:
        used += f": {', '.join(f'{count:,} {visible(reason)}' for reason, count in coverage.left_out.items())}"
    if not coverage.is_whole:
        used += "; what its folder held besides is not recorded"
    lines = [trained, used]
    if coverage.not_tested:
        lines.append(not_tested_line(coverage.not_tested))
    if coverage.flatters:
        lines.append(
            "silence, noise and unknown words that are left out would have been false accepts at times, so false "
            "accepts look better here than they are"
        )
    return lines


def print_evaluation(run: Run, card: DataCard, evaluation: Evaluation, report: ClassReport, coverage: Coverage) -> None:
    """Print accuracy, loss, what was evaluated, the confusion matrix and the scores of each class."""
    console = out()
    for line in (headline(run, card, evaluation), *coverage_lines(coverage)):
        paragraph(console, line)
    names = [visible(name) for name in card.classes]
    console.print(_confusion(console, names, report))
    scores = table_of("class", "precision", "recall", "F1", "clips", title="Each class")
    for name, score, interval in zip(names, report.scores, report.intervals(), strict=True):
        figures = (
            _with(score.precision, interval.precision),
            _with(score.recall, interval.recall),
            _with(score.f1, interval.f1),
        )
        scores.add_row(Text(name), *figures, f"{score.clips:,}")
    console.print(scores)


def _confusion(console: Console, names: Sequence[str], report: ClassReport) -> Table:
    """The confusion matrix, a row each class that has clips, as far as a terminal is wide enough.

    For more classes its columns have numbers instead of names, and for still more there is a list of what was mistaken
    for what. What is no terminal has the matrix at any width.
    """
    numbers = [str(number) for number in range(1, len(names) + 1)]
    numbered = [f"{number} {name}" for number, name in zip(numbers, names, strict=True)]
    for title, columns, rows in (
        ("Confusion matrix", ("said \\ heard as", *names), names),
        ("Confusion matrix: what was said, and the number of what was heard", ("", *numbers), numbered),
    ):
        matrix = table_of(*columns, title=title)
        for i, row in enumerate(report.confusion):
            if not report.scores[i].clips:
                continue
            matrix.add_row(Text(rows[i]), *(Text(str(n), style="bold" if i == j else "") for j, n in enumerate(row)))
        if not console.is_terminal or _fits(console, matrix):
            return matrix
    errors = [
        (count, i, j) for i, row in enumerate(report.confusion) for j, count in enumerate(row) if count and i != j
    ]
    shown = sorted(errors, key=lambda each: (-each[0], *each[1:]))[:_MOST_MISTAKEN]
    title = f"Most often mistaken, {len(shown)} of {len(errors)} pairs"
    pairs = table_of("said", "heard as", "clips", "of what was said", title=title)
    for count, i, j in shown:
        pairs.add_row(Text(names[i]), Text(names[j]), f"{count:,}", percent(count / report.scores[i].clips))
    return pairs


def _fits(console: Console, table: Table) -> bool:
    """Whether a table needs no more than the terminal's width."""
    return table.width <= console.width


def print_scores(scores: Scores | None, names: Sequence[str], *, most: int) -> None:
    """Print each class against the rest, calibration and the most confident errors; nothing if `scores` is None."""
    if scores is None:
        return
    console = out()
    title = "Each class told from the rest by its score"
    at = f"misses at {100 * _FALSE_ACCEPTS:g} % false accepts"
    detection = table_of("class", "equal error rate", "area under ROC", at, title=title)
    for k, name in enumerate(scores.classes):
        found = scores.detection(k)
        detection.add_row(
            Text(visible(name)),
            _with(found.equal_error_rate, found.equal_error_interval),
            _with(found.area, found.area_interval, percents=False),
            _with(found.miss_rate_at(_FALSE_ACCEPTS), None),
        )
    console.print(detection)
    calibration = scores.calibration()
    bins = table_of("probability", "clips", "said on average", "right", title="Calibration of the answers")
    for b in calibration.bins:
        said = f"{100 * b.low:.0f} to {100 * b.high:.0f} %"
        bins.add_row(said, f"{b.clips:,}", percent(b.probability), _with(b.right, b.interval))
    console.print(bins)
    paragraph(
        console,
        f"expected calibration error {_with(calibration.expected_error, calibration.expected_error_interval)}, "
        f"Brier score {_with(calibration.brier, calibration.brier_interval, percents=False)}",
    )
    wrong = table_of("clip", "said", "heard as", "probability", title="Most confident errors")
    for each in scores.most_confident_errors(most):
        classes = (Text(visible(scores.classes[k])) for k in (each.label, each.prediction))
        sure = percent(each.probability) if each.probability < _ALL_BUT_SURE else f"over {percent(_ALL_BUT_SURE)}"
        wrong.add_row(Text(visible(names[each.clip])), *classes, sure)
    if wrong.row_count:
        console.print(wrong)
    paragraph(
        console,
        "Intervals are 95 %: Wilson's for shares of clips, over resampled clips for the others.",
    )


def print_unheard(unheard: Unheard | None) -> None:
    """Print how many clips of words never heard in training are taken for a keyword; nothing if `unheard` is None."""
    if unheard is None:
        return
    console = out()
    at = f"Words never heard in training, at {100 * unheard.miss_rate:g} % misses a keyword"
    table = table_of("said", "taken for a keyword", "clips", "as", title=f"{at}, {unheard.split} split")
    for word, (accepted, clips, taken) in unheard.of_words().items():
        whole = over_clips(accepted, clips)
        names = ", ".join(f"{visible(name)} {count:,}" for name, count in taken.items())
        table.add_row(Text(visible(word)), _with(accepted / clips, whole), f"{clips:,}", Text(names))
    table.add_row("all", _with(unheard.rate, unheard.interval()), f"{len(unheard.accepted):,}", "")
    console.print(table)
    thresholds = ", ".join(f"{visible(name)} {value:.3f}" for name, value in unheard.thresholds.items())
    paragraph(console, f"thresholds from the validation split: {thresholds}")


def _with(value: float | None, interval: Interval | None, *, percents: bool = True) -> str:
    """A figure and its interval; "-" if there is no figure."""
    if value is None or value != value:
        return "-"
    scale, digits, unit = (100, 2, " %") if percents else (1, 4, "")
    text = f"{scale * value:.{digits}f}{unit}"
    return (
        text
        if interval is None
        else (f"{text} ({scale * interval.low:.{digits}f} to {scale * interval.high:.{digits}f})")
    )
