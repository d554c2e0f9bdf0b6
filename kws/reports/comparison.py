"""Compares the report's figures and claims with a table of ours; kws.reports.reference says what each of them means."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING

from kws.recipe import FINAL, NETWORK, OPTIMIZER, Recipe
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports.cells import Cell, same_weights
from kws.reports.reference import (
    DOES_NOT,
    HOLDS,
    INCONCLUSIVE,
    LEVEL,
    REPORTED,
    SMALLER,
    SOURCE,
    Claim,
    Evidence,
    Figure,
    Key,
    Paper,
)
from kws.reports.table import Table

if TYPE_CHECKING:
    from kws.reports.estimates import Estimate, Sample

_WORST_LAST = (HOLDS, SMALLER, INCONCLUSIVE, DOES_NOT)
_CONDITIONS = {
    "epochs": Recipe.epochs, "batch_size": Recipe.batch_size, "precision": "fp32", "selection": FINAL,
    "until": None, "patience": None, "split_shares": None, "fold": None,
}  # fmt: skip
_SIZES = ("fc", "cnn")
_OPTS = ("sgd", "adam")
_KEYS = (*REPORTED, ("fc", "adam", True))  # the last is not reported, but claim 4 is about it


def beside(registry: RegistryReader, table: Table) -> Paper | None:
    """The report's comparison with a table of networks and optimizers; None if the conditions are not the report's."""
    if table.metric.name != "test-accuracy" or dict(table.conditions) != _CONDITIONS:
        return None
    runs = {run.id: run for run in table.runs}
    cells = {key: cell for cell in table.cells if (key := _key(runs[cell.runs[0]])) in _KEYS}
    if not cells:
        return None
    samples = {key: table.samples[cell.row, cell.column] for key, cell in cells.items()}

    def points(about: str, better: Key, worse: Key, wanted: float = 0.0, reported: float | None = None) -> Evidence:
        if better not in cells or worse not in cells:
            return Evidence(about=about, unit="points", wanted=wanted, n=0, reported=reported)
        from kws.reports.estimates import of_difference

        paired = same_weights(*(runs[cells[key].runs[0]] for key in (better, worse)))
        found = of_difference(samples[better], samples[worse], paired=paired)
        return _evidence(found, 100.0, (cells[better].n, cells[worse].n), about, "points", wanted, reported)

    return Paper(
        source=SOURCE,
        figures=tuple(_figure(key, cells.get(key), samples.get(key), reported) for key, reported in REPORTED.items()),
        claims=_claims(points, lambda arch: _sooner(registry, arch, cells), table),
        remarks=_remarks({key[0]: cell.parameters for key, cell in cells.items()}),
    )


def _claims(points: Callable[..., Evidence], sooner: Callable[[str], Evidence], table: Table) -> tuple[Claim, ...]:
    titles = {arch: NETWORK.title(arch) for arch in _SIZES}
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
            *(points(OPTIMIZER.title(opt), ("cnn", opt, False), ("fc", opt, False)) for opt in _OPTS),
            also=smaller,
        ),
        _claim(
            4,
            "A softmax layer before cross-entropy costs accuracy",
            *(
                points(
                    f"{titles['fc']}, {OPTIMIZER.title(opt)}, without it",
                    ("fc", opt, False),
                    ("fc", opt, True),
                    reported=100 * (REPORTED["fc", opt, False] - REPORTED["fc", opt, True])
                    if ("fc", opt, True) in REPORTED
                    else None,
                )
                for opt in _OPTS
            ),
        ),
    )


def _claim(number: int, statement: str, *evidence: Evidence, also: bool = True) -> Claim:
    verdict = max((each.verdict for each in evidence), key=_WORST_LAST.index)
    if not also and all(each.mean is not None for each in evidence):
        verdict = DOES_NOT
    return Claim(number=number, statement=statement, verdict=verdict, evidence=evidence)


def _evidence(
    found: Estimate,
    scale: float,
    seeds: tuple[int, int],
    about: str,
    unit: str,
    wanted: float = 0.0,
    reported: float | None = None,
) -> Evidence:
    """A part of a claim from an estimate; `scale` converts the estimate's unit to the part's."""
    low, high = (scale * end for end in found.interval(LEVEL))
    known = found.n > 1
    return Evidence(
        about=about,
        unit=unit,
        wanted=wanted,
        reported=reported,
        n=found.n,
        seeds=seeds,
        mean=scale * found.value,
        low=low if known else None,
        high=high if known else None,
        standard_error=scale * found.standard_error,
        freedom=found.freedom if math.isfinite(found.freedom) else None,
        detectable=scale * found.detectable(LEVEL) if known else None,
        seeds_to_tell=found.seeds_to_tell(found.value - wanted / scale, LEVEL) if known else None,
        error_of_clips=scale * math.sqrt(max(found.of_clusters - found.of_both, 0.0)) if known else None,
    )


def _sooner(registry: RegistryReader, arch: str, cells: dict[Key, Cell]) -> Evidence:
    """How many epochs sooner Adam reaches an accuracy than SGD, for each seed."""
    import numpy as np

    from kws.reports.estimates import Sample, of_cell

    curves = {}
    for opt in _OPTS:
        cell = cells.get((arch, opt, False))
        pairs = zip(cell.seeds, cell.runs, strict=True) if cell else ()
        curves[opt] = {seed: registry.validation_accuracies(run_id) for seed, run_id in pairs}
    seeds = sorted(curves["sgd"].keys() & curves["adam"].keys())
    if not seeds:
        return Evidence(about=NETWORK.title(arch), unit="epochs", wanted=0.0, n=0)
    reached = math.floor(100 * min(max(curves[opt][seed]) for opt in _OPTS for seed in seeds) + 1e-9) / 100
    epochs = {
        (opt, seed): next(number for number, value in enumerate(curves[opt][seed], start=1) if value >= reached)
        for opt in _OPTS
        for seed in seeds
    }
    sooner = np.array([epochs["sgd", seed] - epochs["adam", seed] for seed in seeds], dtype=float)
    means = [statistics.mean(epochs[opt, seed] for seed in seeds) for opt in ("adam", "sgd")]
    about = (
        f"{NETWORK.title(arch)}, to {100 * reached:.0f} % validation accuracy in {means[0]:.1f} epochs "
        f"against {means[1]:.1f}"
    )
    found = of_cell(Sample(tuple(seeds), sooner, None))
    return _evidence(found, 1.0, (len(seeds), len(seeds)), about, "epochs")


def _key(run: Run) -> Key | None:
    """The cell of the report that a run belongs to; None if its recipe is not the report's."""
    recipe = run.recipe
    usual = recipe.unusual().keys() <= {"softmax_before_loss", "speakers"}
    return (recipe.arch, recipe.opt, recipe.softmax_before_loss) if usual else None


def _figure(key: Key, cell: Cell | None, sample: Sample | None, reported: float) -> Figure:
    from kws.reports.estimates import from_another_run, of_cell

    arch, opt, softmax = key
    apart = from_another_run(of_cell(sample), reported) if sample and len(sample.seeds) > 1 else None
    low, high = apart.interval() if apart else (None, None)
    about = [NETWORK.title(arch), OPTIMIZER.title(opt), *["softmax before cross-entropy"] * softmax]
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
        difference_low=low,
        difference_high=high,
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
