"""The metrics that a table can show: each is one number a run, and says how it is written and whether more is better.

Adding one is one function here. A metric that needs more than the run itself asks the registry's reader for it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from kws.data_card import TEST
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports.classes import ClassReport


@dataclass(frozen=True, kw_only=True)
class Metric:
    """`of` gives a run's value, None where it has none. Percent metrics are fractions, shown as percent."""

    name: str
    title: str
    of: Callable[[RegistryReader, Run], float | None]
    more_is_better: bool = True
    percent: bool = False
    digits: int = 0
    unit: str = ""

    def bare(self, value: float) -> str:
        """A value or a difference without its unit."""
        return f"{100 * value:.2f}" if self.percent else f"{value:,.{self.digits}f}"

    def text(self, value: float) -> str:
        """A value as tables print it."""
        unit = "%" if self.percent else self.unit
        return f"{self.bare(value)} {unit}".rstrip()


def metric(name: str, *, reach: float = 0.9) -> Metric:
    """The metric by that name; `reach` is the validation accuracy that `epochs-to-reach` waits for."""
    if name == "epochs-to-reach":
        return Metric(
            name=name,
            title=f"Epochs until {100 * reach:g} % validation accuracy",
            of=lambda reader, run: _epochs_to(reader, run, reach),
            more_is_better=False,
            digits=1,
        )
    return METRICS[name]


def _of_test(reader: RegistryReader, run: Run, value: Callable[..., float]) -> float | None:
    for card, evaluation in reader.evaluations(run.id):
        if card.fingerprint == run.data_fingerprint and evaluation.split == TEST:
            return value(card, evaluation)
    return None


def _f1(reader: RegistryReader, run: Run) -> float | None:
    return _of_test(
        reader,
        run,
        lambda card, evaluation: statistics.fmean(
            score.f1 or 0.0 for score in ClassReport.of(evaluation, card.classes).scores
        ),
    )


def _epochs_to(reader: RegistryReader, run: Run, accuracy: float) -> float | None:
    curve = reader.validation_accuracies(run.id)
    return next((float(epoch) for epoch, value in enumerate(curve, start=1) if value >= accuracy), None)


METRICS = {
    each.name: each
    for each in (
        Metric(name="test-accuracy", title="Test accuracy", of=lambda _, run: run.test_accuracy, percent=True),
        Metric(
            name="validation-accuracy",
            title="Validation accuracy",
            of=lambda _, run: run.validation_accuracy,
            percent=True,
        ),
        Metric(
            name="test-loss",
            title="Test loss",
            of=lambda reader, run: _of_test(reader, run, lambda _, evaluation: evaluation.loss),
            more_is_better=False,
            digits=4,
            unit="nats",
        ),
        Metric(name="f1", title="Macro-averaged F1 on the test split", of=_f1, percent=True),
        Metric(
            name="seconds",
            title="Training time",
            of=lambda _, run: run.seconds,
            more_is_better=False,
            digits=1,
            unit="s",
        ),
        Metric(name="parameters", title="Parameters", of=lambda _, run: float(run.parameters), more_is_better=False),
        Metric(
            name="multiply-accumulates",
            title="Multiply-accumulates a clip",
            of=lambda _, run: None if run.multiply_accumulates is None else float(run.multiply_accumulates),
            more_is_better=False,
        ),
    )
}
NAMES = (*METRICS, "epochs-to-reach")
