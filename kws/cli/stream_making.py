"""What `kws stream --make` and `--target-fa` do: labelled streams of a split's clips, and a threshold chosen on one.

The order keeps the test out of the choice: labels are looked at first, the validation stream is heard and its threshold
chosen, and only then is the recording heard that is to be tested, once, at this threshold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.cli.streaming import DetectorSetup, measured, tracked
from kws.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from kws.inference.stream_labels import StreamLabels
    from kws.reports.streams import Point
    from kws.speech.long import LongRecording
    from kws.speech.made_streams import MadeStream, Mixture


@dataclass(frozen=True)
class Choice:
    """A threshold that a validation stream shows to hold a target, and that stream's say."""

    target: float
    point: Point  # of all keywords together
    validation: str  # the stream
    hours: float
    words: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Where the threshold is from."""
        alarms = self.point.false_accepts
        return (
            f"threshold chosen on {self.validation} ({self.hours:.2f} h) for at most {self.target:g} false accepts an "
            f"hour: the lowest that is shown to hold it, with {alarms.events} there, at most {alarms.at_most:.2f} an "
            f"hour (95 %, one-sided); {self.point.misses} of {self.point.said} words were missed"
        )

    def record(self) -> dict[str, Any]:
        """As JSON."""
        return {"target_fa": self.target, "stream": self.validation, "hours": self.hours} | self.point.record()


def chosen(
    target: float, setup: DetectorSetup, stream: LongRecording | MadeStream, labels: StreamLabels | None
) -> Choice:
    """The threshold for a target, shared by all keywords, from a validation stream; `labels` are None for a made one.

    Raises DataError where it is too short, or no threshold holds the target.
    """
    from kws.inference.stream_labels import labels_of
    from kws.reports.streams import require_enough, threshold_for
    from kws.speech.made_streams import MadeStream

    keywords = setup.detector.keywords
    unused = dict.fromkeys(keywords, 1.0)
    if isinstance(stream, MadeStream):
        name = f"a stream made of the validation split of {stream.source}"
        require_enough(target, stream.seconds / 3600, name)
        found = measured(setup, made_pieces(stream), lambda _: labels_of(stream.labels(""), keywords, name), unused)
    else:
        assert labels is not None
        name = stream.name
        if stream.seconds is not None:
            require_enough(target, stream.seconds / 3600, name)
            labels.require_of(name, stream.seconds, stream.rate_hz)
        given = labels

        def checked(seconds: float) -> StreamLabels:
            given.require_of(name, seconds, None)
            return given

        found = measured(setup, tracked(stream), checked, unused)
    point = threshold_for(target, found.curves[-1], name)
    return Choice(target, point, name, found.hours, keywords)


def made_pieces(stream: MadeStream) -> Iterator[np.ndarray]:
    """A made stream's pieces, with progress."""
    from kws.terminal import console

    yield from console.track(
        stream.pieces(), total=stream.items, what=f"Mixing {console.visible(stream.source)}", unit="pieces"
    )


def require_apart(path: str, validation: str, test: StreamLabels | None, labels: StreamLabels) -> None:
    """Raise DataError for a validation stream of test or training clips, or the very stream that is to be tested."""
    if labels.is_train:
        raise DataError(f"{labels.path} is of clips of a training split, in which a threshold looks better than it is; "
                        "`kws stream --make FILE --split validation` makes another")  # fmt: skip
    if labels.is_test:
        raise DataError(f"{labels.path} is of clips of a test split, on which nothing may be chosen; "
                        "`kws stream --make FILE --split validation` makes another")  # fmt: skip
    same = path == validation or (Path(path).exists() and Path(path).samefile(validation))
    print_of = labels.made_from.get("fingerprint")
    if same or (test is not None and print_of is not None and print_of == test.made_from.get("fingerprint")):
        raise DataError(f"{validation} is the stream to be tested as well; a threshold is chosen on another one")


def made(stream: MadeStream, path: Path) -> dict[str, Any]:
    """Write a made stream, and its labels beside it with the ending .json; returns the labels. Raises ClipError."""
    import json

    from kws.errors import ClipError
    from kws.speech import long

    if path.suffix.lower() != ".wav":
        raise ClipError(f"`make` (={path}) must end in .wav; its labels are written beside it, ending in .json")
    long.write(path, made_pieces(stream))
    labels = stream.labels(path.name)
    try:
        path.with_suffix(".json").write_text(json.dumps(labels, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise ClipError(f"{path.with_suffix('.json')} cannot be written ({error.strerror})") from None
    return labels


def made_stream(
    setup: DetectorSetup | None, data: str | None, speakers: str | None, words: str | None, mixture: Mixture
) -> MadeStream:
    """A stream of a run's data and task, unless other data or words are named.

    Other data may have some of the run's words alone; which are not said, is told.
    """
    from kws.cli import options
    from kws.recipe import ENERGY, TASK
    from kws.recipe.words import read
    from kws.speech.made_streams import MadeStream
    from kws.terminal import console

    run = None if setup is None else setup.run
    partition = None if run is None else run.recipe.partition
    if words is not None:
        task = TASK.part("report").config(words=read(words))
    elif run is not None:
        task = run.recipe.task
    else:
        task = TASK.part("report").config(**({} if setup is None else {"words": setup.detector.keywords}))
    some_of = () if setup is None or data is None or words is not None else setup.detector.words
    pattern, align = None, ENERGY if run is None else run.recipe.align
    if data is None and run is not None:
        data, speakers, pattern = run.recipe.data, speakers or run.recipe.speakers, run.recipe.pattern
    about = {"speakers": speakers, "pattern": pattern, "align": align, "partition": partition, "some_of": some_of}
    stream = MadeStream(options.chosen_data(data), task, mixture, track=console.track, **about)  # type: ignore[arg-type]
    if stream.not_said:
        console.say(f"note: {stream.source} has no clips of {', '.join(stream.not_said)} in its {mixture.split} split, "
                    "so the stream does not say them")  # fmt: skip
    return stream
