"""The report's figures beside ours, and its four claims: whether they hold in the registry's runs.

The report is "PhD course Deep learning - assignment 2", Group 530, Aalborg University, May 2023: one seed, 1,229 test
clips of which "other" was drawn from words that it does not name. Decisions:
- Only runs under the report's conditions count: its two networks and optimizers as they are, 50 epochs in minibatches
  of 1,024, fp32, the last epoch.
- A claim holds where each 95 % interval of what it is about lies on its side; it does not hold where one lies wholly on
  the other; else it cannot be told from so many seeds. With one seed it cannot be told at all.
- Differences of accuracy are paired by seed; the interval is the wider of that over seeds and that over test clips.
- "Faster" is fewer epochs to the highest whole percent of validation accuracy that every run of both optimizers has
  reached.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass

from kws import architectures, optimizers
from kws.recipe import FINAL, Recipe
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports import inference
from kws.reports.table1 import Cell, Table, answers_of

SOURCE = "the report (Group 530, Aalborg University, 2023; one seed)"
HOLDS, DOES_NOT, CANNOT_BE_TOLD = "holds", "does not hold", "cannot be told"
REPORTED = {
    ("fc", "sgd", False): 0.8527,
    ("fc", "adam", False): 0.8796,
    ("cnn", "sgd", False): 0.8959,
    ("cnn", "adam", False): 0.9178,
    ("fc", "sgd", True): 0.778,  # "about 77.8 %", with a softmax before cross-entropy
}
_CONDITIONS = {"epochs": Recipe.epochs, "batch_size": Recipe.batch_size, "precision": "fp32", "selection": FINAL}
_SIZES = ("fc", "cnn")
_OPTS = ("sgd", "adam")
Key = tuple[str, str, bool]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A test accuracy of the report and ours, as fractions; ours is None where nothing was run."""

    title: str
    arch: str
    opt: str
    softmax: bool
    reported: float
    n: int
    mean: float | None
    low: float | None
    high: float | None
    difference: float | None  # ours less the report's
    runs: tuple[str, ...]

    @property
    def reported_text(self) -> str:
        """The report's figure as it prints it."""
        return f"about {100 * self.reported:.1f} %" if self.softmax else f"{100 * self.reported:.2f} %"

    @property
    def here_text(self) -> str:
        """Our mean and the number of seeds."""
        return "-" if self.mean is None else f"{100 * self.mean:.2f} % (n = {self.n})"

    @property
    def difference_text(self) -> str:
        """The difference in points, and the interval of our mean moved by the report's figure."""
        if self.difference is None or self.low is None or self.high is None:
            return "-"
        low, high = (100 * (end - self.reported) for end in (self.low, self.high))
        return f"{100 * self.difference:+.2f} ({low:+.2f} to {high:+.2f})"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """A mean difference over n seeds with its interval, which the claim wants above `wanted`; None where n is 0."""

    about: str
    unit: str  # "points" of accuracy, or "epochs"
    wanted: float
    n: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def text(self) -> str:
        """It in words."""
        if self.mean is None:
            return f"{self.about}: no runs to compare"
        interval = "" if self.low is None or self.n < 2 else f"{self.low:+.2f} to {self.high:+.2f}, "
        return f"{self.about}: {self.mean:+.2f} {self.unit} ({interval}n = {self.n})"

    @property
    def verdict(self) -> str:
        """Whether the interval lies above what is wanted, not above it, or on both sides."""
        if self.low is None or self.high is None or self.n < 2:
            return CANNOT_BE_TOLD
        return HOLDS if self.low > self.wanted else DOES_NOT if self.high <= self.wanted else CANNOT_BE_TOLD


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One of the report's claims and what was measured about it."""

    number: int
    statement: str
    verdict: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, kw_only=True)
class Paper:
    """The report beside a table."""

    source: str
    figures: tuple[Figure, ...]
    claims: tuple[Claim, ...]
    remarks: tuple[str, ...]

    def reported(self, cell: Cell) -> float | None:
        """The report's figure for a cell, where it has one."""
        return next((each.reported for each in self.figures if each.runs == cell.runs), None)


def beside(registry: RegistryReader, table: Table) -> Paper | None:
    """What the report says of a table of networks and optimizers; None where its conditions are not the report's."""
    if table.metric.name != "test-accuracy" or dict(table.conditions) != _CONDITIONS:
        return None
    runs = {run.id: run for run in table.runs}
    cells = {key: cell for cell in table.cells if (key := _key(runs[cell.runs[0]])) in REPORTED}
    if not cells:
        return None
    labels = registry.card(table.data_fingerprint).labels["test"]
    answers = {key: answers_of(registry, (runs[run] for run in cell.runs)) for key, cell in cells.items()}

    def points(about: str, better: Key, worse: Key, wanted: float = 0.0) -> Evidence:
        pair = inference.paired(answers.get(better, {}), answers.get(worse, {}), labels)
        if pair is None:
            return Evidence(about=about, unit="points", wanted=wanted, n=0)
        low, high = 100 * pair.interval.low, 100 * pair.interval.high
        mean = 100 * pair.difference
        return Evidence(about=about, unit="points", wanted=wanted, n=pair.seeds, mean=mean, low=low, high=high)

    return Paper(
        source=SOURCE,
        figures=tuple(_figure(key, cells.get(key), reported) for key, reported in REPORTED.items()),
        claims=_claims(points, lambda arch: _sooner(registry, arch, cells), table),
        remarks=_remarks({key[0]: cell.parameters for key, cell in cells.items()}),
    )


def _claims(points: Callable[..., Evidence], sooner: Callable[[str], Evidence], table: Table) -> tuple[Claim, ...]:
    titles = {arch: architectures.title(arch) for arch in _SIZES}
    parameters = {cell.arch: cell.parameters for cell in table.cells}
    smaller = parameters.get("cnn", 0) < parameters.get("fc", 0)
    return (
        _claim(
            1,
            "Adam improves test accuracy by over 2 percentage points for both networks",
            *(points(titles[arch], (arch, "adam", False), (arch, "sgd", False), 2.0) for arch in _SIZES),
        ),
        _claim(2, "Adam converges significantly faster", *map(sooner, _SIZES)),
        _claim(
            3,
            "The convolutional network beats the fully connected one with both optimizers, with fewer parameters",
            *(points(optimizers.title(opt), ("cnn", opt, False), ("fc", opt, False)) for opt in _OPTS),
            also=smaller,
        ),
        _claim(
            4,
            "A softmax layer before cross-entropy costs accuracy",
            points(f"{titles['fc']}, SGD, without it", ("fc", "sgd", False), ("fc", "sgd", True)),
        ),
    )


def _claim(number: int, statement: str, *evidence: Evidence, also: bool = True) -> Claim:
    verdicts = {each.verdict for each in evidence}
    known = all(each.mean is not None for each in evidence)
    if DOES_NOT in verdicts or (known and not also):
        verdict = DOES_NOT
    else:
        verdict = CANNOT_BE_TOLD if CANNOT_BE_TOLD in verdicts else HOLDS
    return Claim(number=number, statement=statement, verdict=verdict, evidence=evidence)


def _sooner(registry: RegistryReader, arch: str, cells: dict[Key, Cell]) -> Evidence:
    """How many epochs sooner Adam reaches an accuracy than SGD, by seed."""
    curves = {}
    for opt in _OPTS:
        cell = cells.get((arch, opt, False))
        pairs = zip(cell.seeds, cell.runs, strict=True) if cell else ()
        curves[opt] = {seed: registry.validation_accuracies(run_id) for seed, run_id in pairs}
    seeds = sorted(curves["sgd"].keys() & curves["adam"].keys())
    if not seeds:
        return Evidence(about=architectures.title(arch), unit="epochs", wanted=0.0, n=0)
    reached = math.floor(100 * min(max(curves[opt][seed]) for opt in _OPTS for seed in seeds) + 1e-9) / 100
    epochs = {
        (opt, seed): next(number for number, value in enumerate(curves[opt][seed], start=1) if value >= reached)
        for opt in _OPTS
        for seed in seeds
    }
    sooner = [float(epochs["sgd", seed] - epochs["adam", seed]) for seed in seeds]
    interval = inference.over_seeds(sooner) if len(sooner) > 1 else None
    means = [statistics.mean(epochs[opt, seed] for seed in seeds) for opt in ("adam", "sgd")]
    return Evidence(
        about=f"{architectures.title(arch)}, to {100 * reached:.0f} % validation accuracy in {means[0]:.1f} epochs "
        f"against {means[1]:.1f}",
        unit="epochs",
        wanted=0.0,
        n=len(seeds),
        mean=statistics.mean(sooner),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
    )


def _key(run: Run) -> Key | None:
    """The cell of the report that a run belongs to; None where its recipe is not the report's."""
    recipe = run.recipe
    usual = recipe.opt in optimizers.names() and recipe.hyperparameters() == optimizers.defaults(recipe.opt)
    return (recipe.arch, recipe.opt, recipe.softmax) if usual and recipe.maps is None else None


def _figure(key: Key, cell: Cell | None, reported: float) -> Figure:
    arch, opt, softmax = key
    about = [architectures.title(arch), optimizers.title(opt), *["softmax before cross-entropy"] * softmax]
    return Figure(
        title=", ".join(about),
        arch=arch,
        opt=opt,
        softmax=softmax,
        reported=reported,
        n=cell.n if cell else 0,
        mean=cell.mean if cell else None,
        low=cell.low if cell else None,
        high=cell.high if cell else None,
        difference=cell.mean - reported if cell else None,
        runs=cell.runs if cell else (),
    )


def _remarks(parameters: dict[str, int]) -> tuple[str, ...]:
    remarks = [
        'the words of the report\'s class "other" are not known, so figures are not comparable digit by digit',
        f"the report gives 128 x (128 + 1) parameters as 16,152; that is {128 * 129:,}, and its total is right",
    ]
    if {"fc", "cnn"} <= parameters.keys():
        remarks.append(
            f"the report gives the ratio of the networks' parameters as 1.65; {parameters['fc']:,} / "
            f"{parameters['cnn']:,} is {parameters['fc'] / parameters['cnn']:.4f}"
        )
    return tuple(remarks)
