"""Compares a publication's figures and claims with a table of ours; kws.reports.reference says what each means."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kws.recipe import NETWORK, OPTIMIZER, Recipe, current_name, own_options, plain
from kws.recipe.wording import listed
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports import labels
from kws.reports.cells import Cell, same_weights
from kws.reports.publications import EPOCHS, POINTS, Claimed, Pair, Publication, Reported, key, the_report
from kws.reports.reference import INCONCLUSIVE, Claim, Evidence, Figure, Paper
from kws.reports.statistics import CONFIDENCE
from kws.reports.table import Table

if TYPE_CHECKING:
    from kws.reports.estimates import Estimate, Sample

_PARTS = (NETWORK.option, OPTIMIZER.option)


@dataclass(frozen=True)
class _Ours:
    """The cells of a table by the key of their recipe, with their samples and first runs."""

    table: Table
    cells: Mapping[str, Cell]
    samples: Mapping[str, Sample]
    runs: Mapping[str, Run]

    @classmethod
    def of(cls, table: Table) -> _Ours:
        by_id = {run.id: run for run in table.runs}
        keys = {key(by_id[cell.runs[0]].recipe): cell for cell in table.cells}
        return cls(
            table=table,
            cells=keys,
            samples={each: table.samples[cell.row, cell.column] for each, cell in keys.items()},
            runs={each: by_id[cell.runs[0]] for each, cell in keys.items()},
        )


def beside(registry: RegistryReader, table: Table, publication: Publication | None = None) -> Paper | None:
    """A publication, by default the report, beside a table of its metric; None if no cell is of its recipes."""
    of = publication or the_report()
    if table.metric.name != of.metric or not table.samples:
        return None
    ours = _Ours.of(table)
    named = [figure.recipe for figure in of.figures]
    named += [recipe for claim in of.claims for pair in claim.pairs for recipe in (pair.better, pair.worse)]
    if not any(key(recipe) in ours.cells for recipe in named):
        return None
    level = 1 - (1 - CONFIDENCE) / max(len(of.claims), 1)
    claims = tuple(_claim(registry, of, claim, number, ours, level) for number, claim in enumerate(of.claims, start=1))
    figures = tuple(_figure(each, ours) for each in of.figures)
    return Paper(
        source=of.source,
        short=of.short or "there",
        metric=table.metric.title,
        error_rate=of.error_rate,
        figures=figures,
        claims=claims,
        level=level,
        notes=of.notes,
        missing=tuple(figure.title for figure in figures if not figure.n),
        goals=tuple(_goal(claim) for claim in claims if any(each.goal is not None for each in claim.evidence)),
    )


def beside_each(registry: RegistryReader, tables: Sequence[Table], publication: Publication) -> list[Paper | None]:
    """A publication beside each of several tables: a figure that has a cell in one of them has no row in the others.

    A figure that has a cell in none is in the first.
    """
    papers = [beside(registry, table, publication) for table in tables]
    known = [paper for paper in papers if paper]
    there = {figure.title for paper in known for figure in paper.figures if figure.n}
    return [paper and _without(paper, there if paper is known[0] else None) for paper in papers]


def _without(paper: Paper, elsewhere: set[str] | None) -> Paper:
    """The same without figures that have no cell here, of those titles, or of all."""
    figures = [figure for figure in paper.figures if figure.n or not (elsewhere is None or figure.title in elsewhere)]
    return replace(paper, figures=tuple(figures), missing=tuple(figure.title for figure in figures if not figure.n))


def nearest(publication: Publication, runs: Iterable[Run]) -> str:
    """Which of these runs is nearest to a recipe of the publication that none of them has, and what differs."""
    found: list[tuple[int, str]] = []
    recipes = {key(run.recipe): run for run in runs}
    for figure in publication.figures:
        for run in recipes.values():
            values = [(name, figure.recipe.values.get(name), run.recipe.values.get(name)) for name in _own(run.recipe)]
            differing = [
                f"{name} ({_told(there)} there, {_told(here)} here)" for name, there, here in values if there != here
            ]
            text = f"the nearest to {_title(figure)} is run {run.id}, which differs in {', '.join(differing[:4])}"
            found.append((len(differing), text + (f" and {len(differing) - 4} more" if len(differing) > 4 else "")))
    return min(found, default=(0, ""))[1]


def _own(recipe: Recipe) -> list[str]:
    """The names of the values that make a cell."""
    left_out = {each.name for each in own_options() if each.role or each.bits} | {"speakers"}
    return [name for name in recipe.values if name not in left_out]


def _told(value: Any) -> str:
    return "none" if value is None else plain(value)


def _claim(registry: RegistryReader, of: Publication, claim: Claimed, number: int, ours: _Ours, level: float) -> Claim:
    measure = _sooner if claim.unit == EPOCHS else _points
    evidence = tuple(measure(registry, of, claim, pair, ours, level) for pair in claim.pairs)
    sizes = None
    if claim.fewer_parameters:
        known = [
            tuple(ours.cells[key(recipe)].parameters for recipe in (pair.better, pair.worse))
            for pair in claim.pairs
            if key(pair.better) in ours.cells and key(pair.worse) in ours.cells
        ]
        sizes = max(known, key=lambda each: each[0] / each[1], default=None)
    return Claim(number=number, statement=claim.statement, evidence=evidence, sizes=sizes)  # type: ignore[arg-type]


def _points(_: RegistryReader, of: Publication, claim: Claimed, pair: Pair, ours: _Ours, level: float) -> Evidence:
    """The difference of two cells in points."""
    from kws.reports.estimates import of_difference

    better, worse = key(pair.better), key(pair.worse)
    there = of.figure(pair.better), of.figure(pair.worse)
    reported = 100 * (there[0].value - there[1].value) if claim.size and there[0] and there[1] else None
    about: dict[str, Any] = {
        **_about(pair),
        "unit": POINTS,
        "wanted": claim.over,
        "reported": reported,
        "seeds": tuple(ours.cells[each].n if each in ours.cells else 0 for each in (better, worse)),
        "over": "clips" if ours.table.test_speakers is None else "speakers",
    }
    if better not in ours.cells or worse not in ours.cells:
        return Evidence(**about, n=0)
    paired = same_weights(ours.runs[better], ours.runs[worse])
    found = of_difference(ours.samples[better], ours.samples[worse], paired=paired)
    return _evidence(found, 100.0, level, about)


def _evidence(found: Estimate, scale: float, level: float, about: Mapping[str, Any]) -> Evidence:
    """A part of a claim from an estimate; `scale` converts the estimate's unit to the part's."""
    from kws.reports.power import settling

    low, high = (scale * end for end in found.interval(level))
    known = found.n > 1
    made = Evidence(
        **about,
        n=found.n,
        mean=scale * found.value,
        low=low if known else None,
        high=high if known else None,
        standard_error=scale * found.standard_error,
        freedom=found.freedom if math.isfinite(found.freedom) else None,
        detectable=scale * found.detectable(level) if known else None,
        error_of_clips=scale * math.sqrt(max(found.of_clusters - found.of_both, 0.0)) if known else None,
    )
    if made.verdict != INCONCLUSIVE or not known:
        return made
    return replace(made, plan=settling(found, found.value - made.wanted / scale, level))


def _about(pair: Pair) -> dict[str, Any]:
    """What a part is called, and its two sides."""
    sides = tuple(_called(recipe) for recipe in (pair.better, pair.worse))
    return {"about": pair.about or " against ".join(sides), "sides": sides}


def _called(recipe: Recipe) -> str:
    """A recipe's network and optimizer, and what is not their default."""
    more = [labels.told(name, value, {}) for name, value in recipe.unusual().items()]
    conditions = {each.name: each.default for each in own_options() if each.condition}
    more += [
        labels.told(name, recipe.values[name], {})
        for name, usual in conditions.items()
        if recipe.values[name] not in (usual, None)
    ]
    return ", ".join([labels.of_parts(recipe), *more])


def _sooner(
    registry: RegistryReader, _: Publication, claim: Claimed, pair: Pair, ours: _Ours, level: float
) -> Evidence:
    """How many epochs sooner one cell reaches an accuracy than another, for each seed."""
    import numpy as np

    from kws.reports.estimates import Sample, of_cell

    sides = [ours.cells.get(key(recipe)) for recipe in (pair.better, pair.worse)]
    runs = [dict(zip(cell.seeds, cell.runs, strict=True)) if cell else {} for cell in sides]
    known = [registry.accuracies_of([*each.values()]) for each in runs]
    curves = [{seed: of.get(run, ()) for seed, run in each.items()} for each, of in zip(runs, known, strict=True)]
    seeds = sorted(curves[0].keys() & curves[1].keys())
    about: dict[str, Any] = {**_about(pair), "unit": EPOCHS, "wanted": claim.over}
    if not seeds:
        return Evidence(**about, n=0, seeds=(len(runs[0]), len(runs[1])))
    goal = math.floor(100 * min(max(curve[seed]) for curve in curves for seed in seeds) + 1e-9) / 100
    epochs = [
        {seed: next(number for number, value in enumerate(curve[seed], start=1) if value >= goal) for seed in seeds}
        for curve in curves
    ]
    sooner = np.array([epochs[1][seed] - epochs[0][seed] for seed in seeds], dtype=float)
    means = [statistics.mean(each.values()) for each in epochs]
    about["about"] += f", to {100 * goal:.0f} % validation accuracy in {means[0]:.1f} epochs against {means[1]:.1f}"
    about |= {"seeds": (len(seeds), len(seeds)), "goal": goal}
    return _evidence(of_cell(Sample(tuple(seeds), sooner, None)), 1.0, level, about)


def _goal(claim: Claim) -> str:
    """Why epochs are counted to the accuracies that they are counted to."""
    goals = dict.fromkeys(f"{100 * each.goal:.0f} %" for each in claim.evidence if each.goal is not None)
    each = "each is" if len(goals) > 1 else "it is"
    return (
        f"claim {claim.number} counts epochs to {listed(goals)} validation accuracy: {each} the highest whole percent "
        "that every run of both recipes reaches, so that no run is left out"
    )


def _figure(reported: Reported, ours: _Ours) -> Figure:
    from kws.reports.estimates import from_elsewhere, of_cell

    cell, sample = ours.cells.get(key(reported.recipe)), ours.samples.get(key(reported.recipe))
    low = high = None
    if sample and len(sample.seeds) > 1:
        clips = (reported.test_clips or ours.table.test_clips) / ours.table.test_clips
        low, high = from_elsewhere(
            of_cell(sample), reported.value, seeds=reported.seeds or 1, deviation=reported.deviation, clips=clips
        ).interval()
    recipe = reported.recipe
    return Figure(
        title=_title(reported),
        arch=recipe.arch,
        opt=recipe.opt,
        softmax=recipe.softmax_before_loss,
        recipe={name: value for name, value in reported.given.items() if name != "name"},
        reported=reported.value,
        reported_text=reported.text,
        digits=reported.digits,
        reported_seeds=reported.seeds,
        reported_clips=reported.test_clips,
        n=cell.n if cell else 0,
        mean=cell.mean if cell else None,
        low=cell.low if cell else None,
        high=cell.high if cell else None,
        difference=cell.mean - reported.value if cell else None,
        difference_low=low,
        difference_high=high,
        runs=cell.runs if cell else (),
    )


def _title(reported: Reported) -> str:
    """What the publication calls a figure, else the preset or the network and optimizer, and what else it names."""
    given = dict(reported.given)
    if name := given.pop("name", ""):
        return str(name)
    first = given.pop("preset", "") or labels.of_parts(reported.recipe)
    named = {name: reported.recipe.values[current_name(name)] for name in given if current_name(name) not in _PARTS}
    return ", ".join([str(first), *(labels.told(current_name(name), value, {}) for name, value in named.items())])
