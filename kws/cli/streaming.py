"""What `kws stream` and `kws mine` do with a detector and a recording; the commands only take options and show."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.cli import options
from kws.errors import RecipeError, RegistryError

if TYPE_CHECKING:
    import numpy as np

    from kws.inference.detections import Detection
    from kws.inference.detector import Detector
    from kws.inference.stream_labels import StreamLabels
    from kws.inference.sweeping import Candidates
    from kws.registry.runs import Run
    from kws.reports.streams import DetCurve, Point
    from kws.speech.long import LongRecording

STDIN = "-"


@dataclass(frozen=True)
class DetectorSetup:
    """A detector, the run that it is from if the registry has it, and how it is to detect."""

    detector: Detector
    run: Run | None
    smoothing_ms: int
    cooldown_ms: int

    def listen(
        self, pieces: Iterable[np.ndarray], thresholds: Mapping[str, float], candidates: Candidates | None = None
    ) -> Iterator[Detection]:
        """Detections as they come; hops that may count at other thresholds are kept in `candidates`."""
        from kws.inference.detections import Detecting

        detecting = Detecting(self.detector.words, thresholds, cooldown_ms=self.cooldown_ms)
        for averages in self.detector.averages(pieces, self.smoothing_ms):
            if candidates is not None:
                candidates.push(averages)
            yield from detecting.push(averages)


def set_up(run: str, db: Any, trust_code: str | None, smoothing_ms: int, cooldown_ms: int) -> DetectorSetup:
    """The detector of a run, or in an exported file. Raises RegistryError, DataError."""
    detector, found = options.detector(run, db, trust_code)
    if not detector.keywords:
        raise RegistryError(
            f"run {detector.card.run} has no keywords to detect, only {', '.join(detector.words)}; name another run"
        )
    return DetectorSetup(detector, found, smoothing_ms, cooldown_ms)


def recording(name: str, raw_rate_hz: int | None = None) -> LongRecording:
    """A recording by its path, or `-` for stdin. Raises ClipError, and RecipeError for --raw with a file."""
    from kws.speech import long

    if name == STDIN:
        return long.from_pipe(sys.stdin.buffer, raw_rate_hz)
    if raw_rate_hz is not None:
        raise RecipeError(
            f"--raw (={raw_rate_hz}) says how samples on stdin are to be read, as in `kws stream RUN - --raw "
            f"{raw_rate_hz} < {name}`"
        )
    return long.from_file(Path(name))


def thresholds_of(detector: Detector, given: Sequence[str]) -> tuple[dict[str, float], str]:
    """Each keyword's threshold, from --threshold and else the run's, and where they are from. Raises RecipeError."""
    card = detector.card
    found = detector.thresholds()
    if not given:
        own = f"thresholds of {name_of(detector)}: each keyword's misses 5 % of its validation clips"
        missing = f"{name_of(detector)} has no answers on validation clips to choose thresholds by, so they are 0.5"
        return found, own if card.thresholds else missing
    for text in given:
        word, separator, value = text.rpartition("=")
        words = [word] if separator else list(found)
        if separator and word not in found:
            raise RecipeError(f"`threshold` (={text}) is of {word!r}, none of the keywords {', '.join(found)}")
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not 0 <= number <= 1:
            raise RecipeError(f"`threshold` (={text}) must be a probability from 0 to 1, or WORD=PROBABILITY")
        found |= dict.fromkeys(words, number)
    return found, "thresholds as given with --threshold" + (
        "" if any("=" not in text for text in given) else f"; those of other keywords are of {name_of(detector)}"
    )


def name_of(detector: Detector) -> str:
    """What a detector is called in sentences."""
    return f"run {detector.card.run}"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a labelled stream says: detections and the windows they hear, the working points, and the trade-off."""

    seconds: float
    detections: list[Detection]
    hears: list[int | None]
    points: list[Point]
    curves: list[DetCurve]

    @property
    def hours(self) -> float:
        """The time that it rests on."""
        return self.seconds / 3600

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "points": [point.record() for point in self.points],
            "curves": [curve.record() for curve in self.curves],
            "detections": [
                detection_record(each) | {"window": place}
                for each, place in zip(self.detections, self.hears, strict=True)
            ],
        }


def detection_record(found: Detection) -> dict[str, Any]:
    """A detection as JSON."""
    return {"seconds": found.seconds, "word": found.word, "probability": found.probability}


def measured(
    setup: DetectorSetup,
    pieces: Iterable[np.ndarray],
    labels: Callable[[float], StreamLabels],
    thresholds: Mapping[str, float],
) -> Measured:
    """Listen to a stream, and compare with its labels, which are asked for when its length in seconds is known."""
    from kws.inference import matching, sweeping
    from kws.reports.streams import DetCurve, FalseAccepts, Point
    from kws.speech.decode import SAMPLE_RATE_HZ

    samples = 0

    def counted() -> Iterator[np.ndarray]:
        nonlocal samples
        for piece in pieces:
            samples += len(piece)
            yield piece

    keywords = setup.detector.keywords
    candidates = sweeping.Candidates(setup.detector.words, keywords)
    detections = list(setup.listen(counted(), thresholds, candidates))
    seconds = samples / SAMPLE_RATE_HZ
    windows = labels(seconds).windows
    tallies, hears = matching.tallies(detections, windows, keywords)
    common = next(iter(set(thresholds.values()))) if len(set(thresholds.values())) == 1 else None
    points = [
        Point(
            word=tally.word,
            threshold=common if tally.word is None else thresholds[tally.word],
            said=tally.said,
            misses=tally.misses,
            false_accepts=FalseAccepts(len(tally.false_accepts), seconds / 3600),
        )
        for tally in tallies
        if tally.word is not None or len(keywords) > 1
    ]
    curves = [
        DetCurve(hours=seconds / 3600, **vars(curve))
        for curve in sweeping.curves(candidates, windows, cooldown_ms=setup.cooldown_ms)
    ]
    return Measured(seconds=seconds, detections=detections, hears=hears, points=points, curves=curves)


def read_labels(path: Path, setup: DetectorSetup) -> StreamLabels:
    """The labels of a stream that a run may be measured on.

    Raises DataError for what is not understood, and RegistryError for a test stream before the run's test.
    """
    from kws.inference.stream_labels import read_labels
    from kws.terminal import console

    labels = read_labels(path, setup.detector.keywords)
    if labels.is_test and setup.run is not None and setup.run.awaits_test:
        raise RegistryError(
            f"{path} is of clips of a test split, and run {setup.run.id} is not tested yet; `kws test "
            f"{setup.run.id}` does it, once"
        )
    if setup.run is not None and (note := _of_other_splits(labels, setup.run)):
        console.say(note)
    return labels


def _of_other_splits(labels: StreamLabels, run: Run) -> str | None:
    """A note where a stream was made of the run's data by other splits than the run was trained on."""
    about, own = labels.made_from, run.recipe.partition
    mine = None if own is None else own.told
    if about.get("data") != run.data_source or about.get("splits") == mine:
        return None
    return (
        f"note: {labels.path} is of the {about.get('split')} clips of {about.get('splits') or 'the official splits'}, "
        f"and run {run.id} was trained by {mine or 'the official splits'}: it may have learnt them by heart; "
        f"`kws stream {run.id} --make FILE --split test` makes a stream of its own"
    )


def tracked(found: LongRecording) -> Iterator[np.ndarray]:
    """A recording's pieces, with progress."""
    from kws.terminal import console

    total = 0 if found.seconds is None else max(round(found.seconds / 10), 1)
    yield from console.track(found.pieces, total=total, what=f"Listening to {console.visible(found.name)}",
                             unit="pieces of 10 s")  # fmt: skip
