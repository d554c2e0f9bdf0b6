"""Prints what a labelled stream says of a detector: where it works, and its trade-off, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.text import Text

from kws.terminal.console import duration, out, paragraph, visible
from kws.terminal.screens import table_of

if TYPE_CHECKING:
    from kws.inference.detections import Detection
    from kws.reports.stream_folds import FoldStream
    from kws.reports.streams import DetCurve, FalseAccepts, Point

ALL = "all keywords"


def detection_line(found: Detection) -> str:
    """When which word was heard, and how probable it is."""
    return f"{found.seconds:9.2f} s  {visible(found.word)}  {found.probability:.4f}"


def print_points(points: Sequence[Point], *, about: str, where_from: str) -> None:
    """Print misses and false accepts of each keyword, and of all together, at the thresholds that are used."""
    console = out()
    for line in (about, where_from):
        paragraph(console, visible(line))
    table = table_of("keyword", "said", "misses, %", "false accepts", "an hour", "at most")
    for point in points:
        alarms = point.false_accepts
        table.add_row(
            Text(ALL if point.word is None else visible(point.word)),
            f"{point.said:,}",
            _misses(point),
            f"{alarms.events:,}",
            _rate(alarms),
            f"{alarms.at_most:.1f}",
        )
    console.print(table)


def print_folds(folds: Sequence[FoldStream]) -> None:
    """Print what each fold's network made of its own stream, all keywords together."""
    table = table_of("fold", "run", "hours", "misses, %", "false accepts", "an hour")
    for each in folds:
        point = each.points[-1]
        alarms = point.false_accepts
        table.add_row(
            str(each.fold), visible(each.run), f"{each.hours:.3f}", _misses(point), f"{alarms.events:,}", _rate(alarms)
        )
    console = out()
    console.print(table)
    rates = [each.points[-1].false_accepts.per_hour for each in folds]
    paragraph(
        console,
        f"From {min(rates):.1f} to {max(rates):.1f} false accepts an hour by fold. What follows is of these "
        f"{len(folds)} networks together: its intervals are over the audio, and one that is trained anew may differ as "
        "folds do.",
    )


def print_trade_off(curves: Sequence[DetCurve]) -> None:
    """Print, for some rates of false accepts, the lowest threshold with no more, and what is missed there."""
    console = out()
    table = table_of("keyword", "at most/h", "threshold", "an hour", "misses, %", title="Trade-off (DET)")
    for curve in curves:
        name = ALL if curve.word is None else visible(curve.word)
        for level, point in curve.levels():
            threshold = _threshold(point.threshold or 0.0)
            table.add_row(Text(name), f"{level:g}", threshold, _rate(point.false_accepts), _misses(point))
            name = ""
    console.print(table)


def print_notes(hours: float) -> None:
    """Print what counts as what, and which intervals these are."""
    console = out()
    for line in (
        "A word is heard if it is detected in its window or up to 1 s after; what hears nothing is a false accept, and "
        "those within 1 s of one another are one: of each keyword alone in its line, of any in the last.",
        f"Intervals are 95 %: Wilson's for misses, Garwood's for false accepts an hour, over {hours:.3f} h. `at most` "
        "is what these hours prove of the rate, 95 %, one-sided; with no event it is 3 / hours.",
    ):
        paragraph(console, line)


def _threshold(value: float) -> str:
    return f"{value:.4f}" if value < 0.999 else f"{value:.6f}"


def _misses(point: Point) -> str:
    if not point.said:
        return "-"
    interval = point.miss_interval
    return f"{100 * point.misses / point.said:.1f} ({100 * interval.low:.1f}-{100 * interval.high:.1f})"


def _rate(alarms: FalseAccepts) -> str:
    interval = alarms.interval
    return f"{alarms.per_hour:.1f} ({interval.low:.1f}-{interval.high:.1f})"


def listed(thresholds: Mapping[str, float]) -> str:
    """Each keyword's threshold."""
    return ", ".join(f"{visible(word)} {_threshold(value)}" for word, value in thresholds.items())


def print_made(path: str, labels: Mapping[str, Any]) -> None:
    """Print what a made stream holds."""
    console, about = out(), labels["made_from"]
    noise = ", ".join(about["noise"]) or "none"
    heard = "which nothing is trained on" if about["noise_held_out"] else "which a run with --noise may have heard"
    for line in (
        f"{path}: {duration(labels['length_sec'])} of {about['clips']:,} clips of the {about['split']} split of "
        f"{about['data']}, {len(labels['detection_windows']):,} of keywords; labels in "
        f"{path.removesuffix('.wav')}.json",
        f"noise: {noise}" + (f", {about['noise_seconds']:.0f} s, {heard}" if about["noise"] else ""),
        f"fingerprint {about['fingerprint'][:12]}",
    ):
        paragraph(console, visible(line))
