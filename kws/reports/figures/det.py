"""Draws detection error trade-off curves: misses against false accepts of each keyword, both on normal-deviate axes.

The axes are those of Martin et al. ("The DET curve in assessment of detection task performance", Eurospeech 1997):
normally distributed scores give a straight line. A marker is where both rates are equal, and beside it or in the legend
stands that rate.

Decisions:
- A keyword is every class but "other", "unknown" and "silence", which are what is left when no keyword was said.
- One run is drawn in one panel, with one line per keyword; several are drawn in one panel per keyword, with one line
  per run.
- The keywords of one run have their names beside their markers; if there is no room for all, there is a legend.
- Rates of 0 and 1 have no place on these axes, so a curve ends at the last threshold before them.
scipy is slow to import, so it is imported where a figure is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from kws.errors import RegistryError
from kws.events import NO_KEYWORDS, TEST, DataCard, Evaluation
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports import labels
from kws.reports.drawing import MARKERS, PLAIN_LOOKS, Style, explain, look, panels, plain, wrapped
from kws.reports.groups import require_finished
from kws.reports.point_labels import Point, beside_points

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY = False
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 60, 80, 90, 95, 98, 99)  # percent
_AT_LEAST_TO = 40
_AT_MOST_FROM = 10  # even if there are no misses and no false accepts
_TICKS_APART = 2.4  # heights of a letter, at least, between tick labels
_HEIGHT = {(True, True): 5.2, (True, False): 4.0, (False, True): 3.2, (False, False): 3.4}  # by titled, one panel


def figure(registry: RegistryReader, runs: list[Run], style: Style) -> Figure:
    """The curves of these runs on their test split, rates in percent.

    Raises RegistryError if the runs are on different data, if a run's outputs were not kept, or if no keyword has both
    clips of its own and clips of other classes.
    """
    if different := next((run for run in runs if run.data_fingerprint != runs[0].data_fingerprint), None):
        raise RegistryError(
            f"runs {runs[0].id} and {different.id} were tested on different clips ({labels.data_of(runs[0])} and "
            f"{labels.data_of(different)}), which are never in one figure; "
            "`kws runs list --data SOURCE` shows those alike"
        )
    card = registry.card(runs[0].data_fingerprint)
    tested = [_tested(registry, run) for run in runs]

    from kws.reports.scores import Scores

    of_runs = [Scores.of(each, card.classes) for each in tested]
    keywords = [k for k in _keywords(card) if 0 < card.counts[TEST][k] < len(card.labels[TEST])]
    if not keywords:
        raise RegistryError(
            f"the test split of {card.source} has no keyword's clips beside others, which a DET curve is made of; "
            "`kws plot RUN --kind confusion` shows what it has"
        )
    found = {k: [scores.detection(k) for scores in of_runs] for k in keywords}
    if len(runs) == 1:
        for named in (True, False):
            drawing, fits = _drawn(runs, card, found, style, named=named)
            if fits:
                break
        return drawing
    return _drawn(runs, card, found, style, named=False)[0]


def _drawn(
    runs: list[Run], card: DataCard, found: Mapping[int, list[Any]], style: Style, *, named: bool
) -> tuple[Figure, bool]:
    """The figure of these detections by keyword, and whether, with `named`, all names have room beside markers."""
    keywords, single = [*found], len(runs) == 1
    drawing, axes_of = panels(style, 1 if single else len(keywords), height=_HEIGHT[style.titled, single])
    for place, k in enumerate(keywords):
        axes = axes_of[0 if single else place]
        for number, detection in enumerate(found[k]):
            _draw(axes, detection, place if single else number, style)
        if not single:
            axes.set_title(wrapped(card.classes[k], style, 3))
    for axes in axes_of:
        _scale(axes, [each for of_keyword in found.values() for each in of_keyword], style)
    equal = [
        [(card.classes[k], f"{100 * found[k][number].equal_error_rate:.2f} %") for k in keywords]
        for number in range(len(runs))
    ]
    if single:
        called = [f"{word}, EER {rate}" for word, rate in equal[0]]
    else:
        called = [
            f"{name}, EER: {', '.join(map(' '.join, rates))}"
            for name, rates in zip(labels.of_few_runs(runs), equal, strict=True)
        ]
    recipe = runs[0].recipe
    run = f"{labels.of_runs(runs)[0]}, seed {recipe.seed}, {recipe.epochs} epochs [run {runs[0].id}]"
    what = run if single else f"{len(runs)} runs"
    handles = [Line2D([], [], **_look(number, style), label=plain(each)) for number, each in enumerate(called)]
    clips = f"{len(card.labels[TEST]):,} test clips of {labels.data_of(runs[0])}"
    about = f"{what}, on the {clips}; markers at equal error rates (EER)"
    explain(drawing, style, about, () if named else handles)
    return drawing, not named or _name_markers(axes_of[0], called, [found[k][0] for k in keywords], style)


def _name_markers(axes: Axes, called: Sequence[str], detections: Sequence[Any], style: Style) -> bool:
    """Write each keyword's name beside its marker; returns whether all have a marker, and room."""
    from scipy.stats import norm

    at = norm.ppf([each.equal_error_rate for each in detections])
    places = zip(at, called, strict=True)
    points = [Point(x=x, y=x, low=x, high=x, half=4, name=name) for x, name in places if np.isfinite(x)]
    return beside_points(axes, points, style) and len(points) == len(called)


def _keywords(card: DataCard) -> list[int]:
    return [k for k, name in enumerate(card.classes) if name not in NO_KEYWORDS]


def _tested(registry: RegistryReader, run: Run) -> Evaluation:
    require_finished(run)
    found = registry.evaluation(run.id, run.data_fingerprint, TEST)
    if found is None or not found.logits:
        raise RegistryError(
            f"run {run.id} has no outputs of its network on its test split in {registry.path}; `kws eval {run.id}` "
            "adds them"
        )
    return found


def _look(number: int, style: Style) -> dict[str, Any]:
    again = number // PLAIN_LOOKS  # above 0, colour and dash are those of an earlier line
    shape = MARKERS[(number + again) % len(MARKERS)]
    marker = {"marker": shape, "markersize": 6 * style.line**0.5, "markeredgecolor": "black", "markevery": 1}
    return {**look(number), **marker, "linewidth": 1.6 * style.line, "markeredgewidth": style.line}


def _draw(axes: Axes, detection: Any, number: int, style: Style) -> None:
    """Draw a kws.reports.scores.Detection: its curve, and a marker where both rates are equal."""
    from scipy.stats import norm

    deviates = norm.ppf([detection.false_accept_rates, detection.miss_rates])
    x, y = deviates[:, np.isfinite(deviates).all(axis=0)]
    axes.plot(x, y, **_look(number, style) | {"marker": None})
    at = norm.ppf(detection.equal_error_rate)
    if np.isfinite(at):
        axes.plot([at], [at], **_look(number, style) | {"linestyle": "none"}, zorder=3)


def _scale(axes: Axes, detections: list[Any], style: Style) -> None:
    """Set equal normal-deviate axes, from below the smallest measured rate to above the equal error rates."""
    from scipy.stats import norm

    rates = np.concatenate([np.append(each.false_accept_rates, each.miss_rates) for each in detections])
    least = 100 * min(rates[rates > 0], default=0.01)
    equal = 100 * max(each.equal_error_rate for each in detections)
    first = max((tick for tick in _TICKS if tick <= min(least, _AT_MOST_FROM)), default=_TICKS[0])
    last = next((tick for tick in _TICKS if tick >= max(_AT_LEAST_TO, 1.2 * equal)), _TICKS[-1])
    ticks = [tick for tick in _TICKS if first <= tick <= last]
    places = norm.ppf(np.array(ticks) / 100)
    # Both axes are as long as the panel's shorter side.
    columns = axes.get_subplotspec().get_gridspec().ncols  # type: ignore[union-attr]
    apart = _TICKS_APART * style.points / 72 / (min(style.width / columns, _HEIGHT[style.titled, columns == 1]) - 0.7)
    labels, free = [], places[0]
    for tick, place in zip(ticks, places, strict=True):
        labels.append(f"{tick:g}" if place >= free else "")
        free = max(free, place + apart * (places[-1] - places[0])) if place >= free else free
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(places, labels)
    axes.set(xlim=places[[0, -1]], ylim=places[[0, -1]], aspect="equal")
    axes.set(xlabel="false accepts (% of the other clips)", ylabel="misses (% of the keyword's clips)")
    axes.plot(places[[0, -1]], places[[0, -1]], color="#999999", linewidth=0.6, zorder=1)
