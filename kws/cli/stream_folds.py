"""What `kws stream RUN --folds` does: each fold's network hears a stream of its test clips, and all are added up."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.cli import last, stream_making, streaming
from kws.errors import RecipeError
from kws.events import TEST

if TYPE_CHECKING:
    from kws.reports.stream_folds import FoldStream
    from kws.speech.made_streams import Mixture

SCHEMA = 1


def require_alone(**given: Any) -> None:
    """Raise RecipeError for an option that is not for --folds, which makes its streams and labels itself."""
    for name, value in given.items():
        if value:
            option = name.replace("_", "-")
            what = f"the recording {value!r}" if name == "recording" else f"--{option}"
            raise RecipeError(f"--folds hears streams of the run's own clips, a fold each; leave {what} out")


def measure(
    reference: str,
    db: Any,
    trust_code: str | None,
    windows: tuple[int, int],
    thresholds: Sequence[str],
    mixture: Mixture,
    plot: Path | None,
    *,
    json: bool,
) -> None:
    """Show misses and false accepts of all folds; `windows` are smoothing and cooldown in ms.

    Raises RegistryError where a fold has no tested run.
    """
    from kws.registry.reader import RegistryReader
    from kws.reports import stream_folds
    from kws.terminal import console, screens_stream

    with RegistryReader(db) as registry:
        runs = stream_folds.runs_of_all_folds(registry, last.run_of(registry, reference, last.fold))
        known = all(registry.speakers(run.data_fingerprint, TEST) is not None for run in runs)
    found = [_heard(run.id, db, trust_code, windows, thresholds, mixture) for run in runs]
    points, curves = stream_folds.pooled_points(found), stream_folds.pooled_curves(found)
    hours = sum(each.hours for each in found)
    never = "its speaker" if known else "it (speakers unknown: it may have heard other clips of the same one)"
    title = (
        f"{len(found)} folds of {runs[0].data_source}: {console.duration(3600 * hours)}, "
        f"{sum(each.clips for each in found):,} clips, each heard by a network that never heard {never}"
    )
    if plot is not None:
        from kws.reports import drawing, stream_figure

        drawing.save(stream_figure.figure(curves, points, title, drawing.SCREEN), plot)
        console.say(f"wrote {console.visible(str(plot))}")
    if json:
        console.print_json(
            {
                "schema": SCHEMA,
                "smoothing_ms": windows[0],
                "cooldown_ms": windows[1],
                "speakers_known": known,
                "folds": [_record(each) for each in found],
                "hours": hours,
                "points": [point.record() for point in points],
                "curves": [curve.record() for curve in curves],
            }
        )
        return
    screens_stream.print_folds(found)
    screens_stream.print_points(points, about=title, where_from=_where_from(found, thresholds))
    screens_stream.print_trade_off(curves)
    screens_stream.print_notes(hours)


def _where_from(found: Sequence[FoldStream], given: Sequence[str]) -> str:
    if given:
        return found[0].thresholds_from
    missing = [each.thresholds_from for each in found if not each.has_own_thresholds]
    own = "thresholds are those of each fold's run: each keyword's misses 5 % of its validation clips"
    return "; ".join([own, *missing])


def _heard(
    run: str, db: Any, trust_code: str | None, windows: tuple[int, int], given: Sequence[str], mixture: Mixture
) -> FoldStream:
    from kws.inference.stream_labels import labels_of
    from kws.reports.folds import fold_of
    from kws.reports.stream_folds import FoldStream

    setup = streaming.set_up(run, db, trust_code, *windows)
    assert setup.run is not None
    stream = stream_making.made_stream(setup, None, None, None, mixture)
    thresholds, where_from = streaming.thresholds_of(setup.detector, given)
    keywords = setup.detector.keywords
    made = streaming.measured(
        setup,
        stream_making.made_pieces(stream),
        lambda _: labels_of(stream.labels(""), keywords, f"a stream of run {run}"),
        thresholds,
    )
    return FoldStream(
        run=run,
        fold=fold_of(setup.run.recipe)[0],
        fingerprint=stream.fingerprint,
        clips=stream.items,
        hours=made.hours,
        thresholds=thresholds,
        thresholds_from=where_from,
        has_own_thresholds=bool(setup.detector.card.thresholds),
        points=made.points,
        curves=made.curves,
    )


def _record(found: FoldStream) -> dict[str, Any]:
    return {
        "fold": found.fold,
        "run": found.run,
        "fingerprint": found.fingerprint,
        "clips": found.clips,
        "hours": found.hours,
        "thresholds": found.thresholds,
        "thresholds_from": found.thresholds_from,
        "points": [point.record() for point in found.points],
    }
