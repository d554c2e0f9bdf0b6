"""The metrics that a table can show: each is one number per run, with its format and whether more is better.

Adding one is one function here. A metric of the test split also states how much each cluster of clips moves it, so that
its intervals cover other clips, too.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kws.inference.card import MISS_RATE
from kws.registry.runs import Curve, Run
from kws.reports.predictions import Predictions

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kws.events import DataCard
    from kws.registry.reader import RegistryReader
    from kws.reports.influences import Influences

    Floats = NDArray[np.float64]
    Clusters = NDArray[np.int64]


UNHEARD = "unheard-accepts"
TARGET = 0.9  # validation accuracy that a metric waits for by default


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric: `of` gives a run's value, None if it has none. Percent metrics are fractions, shown as percent.

    `influences` gives how much each cluster of test clips moves the value of each of n runs (n, G), None if that is
    unknown for one of them. An `exact` metric is the same for every seed. A `censored` metric is infinite if it was not
    reached.
    """

    name: str
    title: str
    of: Callable[[Predictions, Run], float | None]
    influences: Callable[[Predictions, Sequence[Run], Clusters], Influences | None] | None = None
    more_is_better: bool = True
    percent: bool = False
    digits: int = 0
    unit: str = ""
    of_test: bool = True
    exact: bool = False
    censored: bool = False
    target: float | None = None  # the validation accuracy that a censored metric waits for
    clips_of: Callable[[RegistryReader, Run], DataCard | None] | None = None  # whose clips, where not those of its test
    of_time: bool = False  # whether it depends on the machine, so that runs of different machines cannot be compared

    def bare(self, value: float, spread: float | None = None) -> str:
        """A value or a difference without its unit, with no more decimals than a `spread` of such values allows.

        Two digits of the spread are told. Percentages have two decimals, as in the report.
        """
        if self.percent:
            return f"{100 * value:.2f}"
        digits = self.digits
        if spread and math.isfinite(spread):
            digits = min(max(1 - math.floor(math.log10(abs(spread))), 0), digits)
        return f"{value:,.{digits}f}"

    def text(self, value: float, spread: float | None = None) -> str:
        """A value as tables print it."""
        unit = "%" if self.percent else self.unit
        return f"{self.bare(value, spread)} {unit}".rstrip()


def metric(name: str, *, target: float = TARGET, misses: float = MISS_RATE) -> Metric:
    """The metric with that name.

    `target` is the validation accuracy that those of TO_REACH wait for, and `misses` the share of a keyword's
    validation clips that its threshold misses, at which UNHEARD is taken.
    """
    if name == UNHEARD:
        return _unheard_accepts(misses)
    if name not in TO_REACH:
        return METRICS[name]
    called, spent = TO_REACH[name]
    return Metric(
        name=name,
        title=f"Median of the {called} until {100 * target:g} % validation accuracy",
        of=lambda answers, run: _until(answers, run, target, spent),
        more_is_better=False,
        digits=1,
        unit="s" if called != "epochs" else "",
        of_test=False,
        censored=True,
        target=target,
        of_time=called != "epochs",
    )


def _of_each(one: Callable[[Predictions, Run, Clusters], Floats | None]) -> Any:
    """Influence values of several runs by those of one."""

    def influences(answers: Predictions, runs: Sequence[Run], clusters: Clusters) -> Floats | None:
        import numpy as np

        found = [one(answers, run, clusters) for run in runs]
        return None if any(each is None for each in found) else np.stack(found)  # type: ignore[arg-type]

    return influences


def _right(answers: Predictions, runs: Sequence[Run], clusters: Clusters) -> Influences | None:
    """The influence values of accuracy: those of _of_mean(), by counts."""
    from kws.reports.influences import OfShares

    right = answers.all_right(runs)
    return None if right is None else OfShares.of(right, clusters)


@_of_each
def _losses(answers: Predictions, run: Run, clusters: Clusters) -> Floats | None:
    """The influence values of the loss; None if the logits were not kept."""
    losses = answers.losses(run)
    return None if losses is None else _of_mean(losses, clusters)


def _of_mean(values: Floats, clusters: Clusters) -> Floats:
    import numpy as np

    count = int(clusters.max()) + 1
    sizes = np.bincount(clusters, minlength=count)
    influences: Floats = (np.bincount(clusters, values, count) - sizes * values.mean()) / len(values)
    return influences


def _f1(answers: Predictions, run: Run) -> float | None:
    found = answers.of(run)
    if found is None:
        return None
    from kws.reports.classes import ClassReport

    card, evaluation = found
    return statistics.fmean(score.f1 or 0.0 for score in ClassReport.of(evaluation, card.classes).scores)


@_of_each
def _f1_influences(answers: Predictions, run: Run, clusters: Clusters) -> Floats | None:
    """The influence values of F1, by leaving out each cluster in turn.

    This is the jackknife (Efron and Stein, Annals of Statistics 9, 1981).
    """
    import numpy as np

    found = answers.of(run)
    if found is None:
        return None
    card, evaluation = found
    k, count = len(card.classes), int(clusters.max()) + 1
    said, heard = (
        np.frombuffer(each, np.uint8).astype(np.int64) for each in (evaluation.labels, evaluation.predictions)
    )
    confusions = np.bincount((clusters * k + said) * k + heard, minlength=count * k * k).reshape(count, k, k)
    without = confusions.sum(axis=0) - confusions  # (G, K, K)
    both = without.sum(axis=1) + without.sum(axis=2)
    diagonal = np.diagonal(without, axis1=1, axis2=2)
    scores = np.divide(2.0 * diagonal, both, out=np.zeros_like(diagonal, dtype=float), where=both > 0).mean(axis=1)
    influences: Floats = (count - 1) / count * (scores.mean() - scores)
    return influences


def _until(answers: Predictions, run: Run, target: float, spent: Spent) -> float | None:
    """What was spent until the end of the first epoch that reached `target`, its validation included.

    Infinite if no epoch reached it; None for a run without epochs, or where it is not known what was spent.
    """
    curve = answers.registry.curve(run.id)
    costs = spent(curve)
    if not curve.validation_accuracies or costs is None:
        return None
    place = curve.reaches(target)
    return float("inf") if place is None else float(costs[place])


def _unheard_accepts(misses: float) -> Metric:
    """The share of clips of words never heard in training that are taken for a keyword."""

    def accepted(answers: Predictions, run: Run) -> Floats | None:
        from kws.reports import unheard

        found = unheard.of(answers.registry, run, miss_rate=misses)
        return None if found is None else found.accepted.astype(float)

    def of(answers: Predictions, run: Run) -> float | None:
        found = accepted(answers, run)
        return None if found is None else float(found.mean())

    @_of_each
    def influences(answers: Predictions, run: Run, clusters: Clusters) -> Floats | None:
        found = accepted(answers, run)
        return None if found is None else _of_mean(found, clusters)

    def clips_of(registry: RegistryReader, run: Run) -> DataCard | None:
        from kws.reports import unheard

        return unheard.card_of(registry, run)

    return Metric(
        name=UNHEARD,
        title=f"Clips of words never heard in training that are taken for a keyword at {100 * misses:g} % misses",
        of=of,
        influences=influences,
        clips_of=clips_of,
        more_is_better=False,
        percent=True,
    )


Spent = Callable[[Curve], Sequence[float] | None]
TO_REACH: dict[str, tuple[str, Spent]] = {  # what is counted, and how much of it was spent after each epoch
    "epochs-to-reach": ("epochs", lambda curve: range(1, len(curve.validation_accuracies) + 1)),
    "seconds-to-reach": ("training seconds", lambda curve: curve.seconds),
    "processor-seconds-to-reach": ("processor seconds", lambda curve: curve.processor_seconds),
}


def _loss(answers: Predictions, run: Run) -> float | None:
    found = answers.of(run)
    return found[1].loss if found else None


METRICS = {
    each.name: each
    for each in (
        Metric(
            name="test-accuracy",
            title="Test accuracy",
            of=lambda _, run: run.test_accuracy,
            influences=_right,
            percent=True,
        ),
        Metric(
            name="validation-accuracy",
            title="Validation accuracy",
            of=lambda _, run: run.validation_accuracy,
            percent=True,
            of_test=False,
        ),
        Metric(
            name="test-loss",
            title="Test loss",
            of=_loss,
            influences=_losses,
            more_is_better=False,
            digits=4,
            unit="nats",
        ),
        Metric(name="f1", title="Macro-averaged F1 on the test split", of=_f1, influences=_f1_influences, percent=True),
        Metric(
            name="seconds",
            title="Training time",
            of=lambda _, run: run.seconds,
            more_is_better=False,
            digits=1,
            unit="s",
            of_test=False,
            of_time=True,
        ),
        Metric(
            name="parameters",
            title="Parameters",
            of=lambda _, run: float(run.parameters),
            more_is_better=False,
            of_test=False,
            exact=True,
        ),
        Metric(
            name="multiply-accumulates",
            title="Multiply-accumulates a clip",
            of=lambda _, run: None if run.multiply_accumulates is None else float(run.multiply_accumulates),
            more_is_better=False,
            of_test=False,
            exact=True,
        ),
    )
}
NAMES = (*METRICS, UNHEARD, *TO_REACH)
