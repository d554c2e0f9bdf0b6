"""`kws stream`: words in a long recording, as they come or against labels; and labelled streams to measure with."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws.cli import options, sections
from kws.errors import RecipeError
from kws.inference.card import COOLDOWN_MS, SMOOTHING_MS

if TYPE_CHECKING:
    from kws.cli.streaming import DetectorSetup
    from kws.inference.stream_labels import StreamLabels
    from kws.speech.made_streams import Mixture

SCHEMA = 1
_OF_MAKE = ("split", "keywords")
_OF_MADE_STREAMS = ("data", "speakers", "words", "others", "speech", "noisy", "snr", "minutes", "whole_noise")


class Others(StrEnum):
    """Which words besides the keywords a made stream has."""

    DRAWN = "drawn"
    ALL = "all"


class Split(StrEnum):
    """The split whose clips a made stream has."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


Detector = Annotated[
    str | None,
    typer.Argument(
        metavar="RUN", help="As for `kws eval`, or an exported .onnx file.", autocompletion=options.complete_run
    ),
]
Recording = Annotated[
    str | None, typer.Argument(metavar="RECORDING", help="A recording of any length, or `-` for one on stdin.")
]
Thresholds = Annotated[
    list[str] | None,
    sections.detection(
        "--threshold",
        metavar="P|WORD=P",
        help="The averaged probability from which on a keyword is heard, for all or for one; may be repeated. By "
        "default the run's own. Higher for fewer false accepts, lower for fewer misses.",
    ),
]
Smoothing = Annotated[
    int,
    sections.detection(min=20, max=1000, help="Probabilities are averaged over so long; longer hears less of clicks."),
]
Cooldown = Annotated[
    int,
    sections.detection(min=0, max=60_000, help="After a detection there is none for so long, as an application needs."),
]
Raw = Annotated[
    int | None,
    typer.Option(min=1000, max=1_000_000, metavar="HZ", help="Stdin is 16-bit samples of one channel, no WAV file."),
]


def stream(
    context: typer.Context,
    run: Detector = None,
    recording: Recording = None,
    threshold: Thresholds = None,
    smoothing_ms: Smoothing = SMOOTHING_MS,
    cooldown_ms: Cooldown = COOLDOWN_MS,
    raw: Raw = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="When the keywords are said, as JSON: what is missed then?")
    ] = None,
    plot: Annotated[
        Path | None, sections.output(metavar="FILE", help="With --labels: draw the trade-off, as PNG, SVG or PDF.")
    ] = None,
    target_fa: Annotated[
        float | None,
        sections.detection(callback=options.number, help="Choose the threshold for so many false accepts an hour."),
    ] = None,
    validation: Annotated[
        str | None,
        sections.detection(metavar="RECORDING", help="For --target-fa: the stream to choose on; else one is made."),
    ] = None,
    validation_labels: Annotated[
        Path | None, sections.detection(metavar="FILE", help="The labels of --validation.")
    ] = None,
    make: Annotated[
        Path | None,
        sections.made_streams(metavar="FILE.wav", help="Make a labelled stream, of RUN's data unless --data is given."),
    ] = None,
    split: Annotated[
        Split, sections.made_streams(help="For --make: whose clips and noise; train is for mining.")
    ] = Split.VALIDATION,
    data: Annotated[
        str | None, sections.made_streams(metavar="SOURCE", help="For made streams, as for `kws train`.")
    ] = None,
    speakers: options.Speakers = None,
    words: Annotated[
        str | None, sections.made_streams(metavar="WORD,...", help="For --make: the keywords. By default those of RUN.")
    ] = None,
    others: Annotated[
        Others | None,
        sections.made_streams(help="For --make: other words that the task drew, or all; for --target-fa always all."),
    ] = None,
    keywords: Annotated[bool, sections.made_streams(help="For --make: whether keywords are said.")] = True,
    speech: Annotated[
        float, sections.made_streams(help="For made streams: the share of time that clips take, as where it is used.")
    ] = 0.5,
    noisy: Annotated[float, sections.made_streams(help="For made streams: the share of clips that have noise.")] = 0.5,
    snr: Annotated[
        str, sections.made_streams(metavar="DB,DB", help="For made streams: between which speech is louder than noise.")
    ] = "5,20",
    minutes: Annotated[
        float | None, sections.made_streams(help="For made streams: how long at most. By default all clips.")
    ] = None,
    whole_noise: Annotated[
        bool, sections.made_streams("--whole-noise", help="For made streams: noise recordings follow, whole.")
    ] = False,
    folds: Annotated[
        bool,
        sections.made_streams(
            "--folds",
            help="Of a run of `kws sweep --folds`: hear every clip of the data by the network of the fold that tests "
            "it, in streams that are made.",
        ),
    ] = False,
    trust_code: options.TrustCode = None,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
    json_lines: Annotated[
        bool, sections.output("--json-lines", help="Print each detection as a line of JSON, as it comes.")
    ] = False,
) -> None:
    """Detect words in a long recording, or in a pipe.

    Prints time, word and probability of each detection as it comes. With --labels it says instead how many words were
    missed and how many false accepts there were an hour, at the thresholds and over all of them. --target-fa first
    chooses a threshold on a validation stream, then says what the recording makes of it. --make writes a stream of a
    split's clips, noise and silence, with its labels beside it. --folds adds up what the networks of all folds make of
    the clips that they never heard: more hours, where clips are few.

    Example: kws stream last long.wav --labels long.json --plot det.png
    """
    from kws.cli import streaming

    _require_made(context, make=make is not None, is_made=folds or (target_fa is not None and validation is None))
    mixture = None
    if folds:
        split = Split.TEST
    elif make is None:
        split = Split.VALIDATION
    if make is not None or folds or (target_fa is not None and validation is None):
        mixture = _mixture(
            split=split.value,
            others=(others or (Others.DRAWN if make is not None else Others.ALL)).value,
            keywords=keywords,
            speech=speech,
            noisy=noisy,
            snr=snr,
            minutes=minutes,
            whole_noise=whole_noise,
        )
    if folds:
        _hear_folds(run, (db, trust_code), (smoothing_ms, cooldown_ms), threshold or [], mixture, plot, json=json,
                    recording=recording, raw=raw, labels=labels, target_fa=target_fa, validation=validation, make=make,
                    data=data, speakers=speakers, words=words, json_lines=json_lines)  # fmt: skip
        return
    if make is not None:
        if recording is not None:
            raise RecipeError(f"--make writes a stream and hears none; leave {recording!r} out, or --make")
        assert mixture is not None
        setup = None if run is None else streaming.set_up(run, db, trust_code, smoothing_ms, cooldown_ms)
        _make(make, setup, data, speakers, words, mixture, json=json)
        return
    if run is None or recording is None:
        raise RecipeError("name a run and a recording, as in `kws stream last long.wav`; --make makes a recording")
    if json_lines and (json or labels is not None):
        raise RecipeError("--json-lines prints detections as they come; leave --json and --labels out, or --json-lines")
    _require_together(labels, plot, target_fa, threshold, validation, validation_labels)
    setup = streaming.set_up(run, db, trust_code, smoothing_ms, cooldown_ms)
    thresholds, where_from = streaming.thresholds_of(setup.detector, threshold or [])
    known = None if labels is None else streaming.read_labels(labels, setup)
    choice = None
    if target_fa is not None:
        choice = _choose(target_fa, setup, (validation, validation_labels), (recording, known),
                         (data, speakers, words, mixture))  # fmt: skip
        assert choice.point.threshold is not None
        thresholds, where_from = dict.fromkeys(thresholds, choice.point.threshold), choice.sentence
    about: dict[str, Any] = {
        "schema": SCHEMA,
        "run": setup.detector.card.run,
        "recording": recording,
        "thresholds": thresholds,
        "thresholds_from": where_from,
        "smoothing_ms": smoothing_ms,
        "cooldown_ms": cooldown_ms,
        "chosen": None if choice is None else choice.record(),
    }
    if known is None:
        _detect(setup, recording, raw, thresholds, about, json=json, json_lines=json_lines)
    else:
        _judge(setup, recording, raw, thresholds, known, about, plot, json=json)


def _hear_folds(
    run: str | None,
    where: tuple[Any, str | None],
    windows: tuple[int, int],
    thresholds: list[str],
    mixture: Mixture | None,
    plot: Path | None,
    *,
    json: bool,
    **others: Any,
) -> None:
    from kws.cli import stream_folds

    assert mixture is not None
    stream_folds.require_alone(**others)
    if run is None:
        raise RecipeError("--folds needs a run of one of them, as in `kws stream last --folds`")
    stream_folds.measure(run, *where, windows, thresholds, mixture, plot, json=json)


def _mixture(*, snr: str, **given: Any) -> Mixture:
    from kws.speech.made_streams import Mixture

    try:
        low, high = map(float, snr.split(","))
    except ValueError:
        raise RecipeError(f"`snr` (={snr}) must be two numbers of decibels, the lower first, as in 5,20") from None
    return Mixture(snr_db=(low, high), **given)


def _require_made(context: typer.Context, *, make: bool, is_made: bool) -> None:
    """Raise RecipeError for an option of streams that are made where none is, or not by --make."""
    wrong = [] if make else [*_OF_MAKE] if is_made else [*_OF_MAKE, *_OF_MADE_STREAMS]
    for name in wrong:
        if options.was_typed(context, name):
            option = "--no-keywords" if name == "keywords" else f"--{name.replace('_', '-')}"
            raise RecipeError(f"{option} is for streams that are made; add --make FILE.wav, or leave {option} out")


def _require_together(
    labels: Path | None,
    plot: Path | None,
    target: float | None,
    threshold: list[str] | None,
    validation: str | None,
    validation_labels: Path | None,
) -> None:
    """Raise RecipeError for options that need, or exclude, one another."""
    if plot is not None and labels is None:
        raise RecipeError(f"--plot (={plot}) draws misses against false accepts, which --labels FILE tells apart")
    if (validation is None) != (validation_labels is None):
        raise RecipeError("--validation and --validation-labels go together; give both, or neither to have one made")
    if validation is not None and target is None:
        raise RecipeError(f"--validation (={validation}) is what --target-fa chooses a threshold on; give that, too")
    if target is not None and threshold:
        raise RecipeError(f"--target-fa (={target:g}) chooses the threshold; leave --threshold out")
    if target is not None and not target > 0:
        raise RecipeError(f"`target-fa` (={target:g}) must be more than 0: no stream shows that there is never one")


def _make(
    path: Path,
    setup: DetectorSetup | None,
    data: str | None,
    speakers: str | None,
    words: str | None,
    mixture: Mixture,
    *,
    json: bool,
) -> None:
    from kws.cli import stream_making
    from kws.terminal import console, screens_stream

    stream = stream_making.made_stream(setup, data, speakers, words, mixture)
    labels = stream_making.made(stream, path)
    about = {name: value for name, value in labels["made_from"].items() if name != "items"}
    if json:
        windows = len(labels["detection_windows"])
        console.print_json(
            {"schema": SCHEMA, "stream": str(path), "labels": str(path.with_suffix(".json")), "windows": windows}
            | {"seconds": labels["length_sec"]}
            | about
        )
    else:
        screens_stream.print_made(str(path), labels)


def _choose(target: float, setup: DetectorSetup, validation: tuple[Any, Any], test: tuple[Any, Any], make: Any) -> Any:
    """The threshold, from a validation stream alone (see kws.cli.stream_making)."""
    from kws.cli import stream_making, streaming

    path, path_of_labels = validation
    if path is None:
        return stream_making.chosen(target, setup, stream_making.made_stream(setup, *make), None)
    if path == streaming.STDIN:
        raise RecipeError("--validation is heard before the recording; give a file, not stdin")
    labels = streaming.read_labels(path_of_labels, setup)
    stream_making.require_apart(test[0], path, test[1], labels)
    return stream_making.chosen(target, setup, streaming.recording(path), labels)


def _detect(
    setup: DetectorSetup,
    recording: str,
    raw: int | None,
    thresholds: dict[str, float],
    about: dict[str, Any],
    *,
    json: bool,
    json_lines: bool,
) -> None:
    """Show detections as they come; as one JSON object, at the end."""
    import json as json_text

    from kws.cli import streaming
    from kws.terminal import console, screens_stream

    found = streaming.recording(recording, raw)
    console.say(about["thresholds_from"] + ": " + screens_stream.listed(thresholds))
    kept = []
    for each in setup.listen(found.pieces, thresholds):
        if json:
            kept.append(streaming.detection_record(each))
        elif json_lines:
            typer.echo(json_text.dumps(streaming.detection_record(each)))
        else:
            typer.echo(screens_stream.detection_line(each))
    if json:
        console.print_json(about | {"detections": kept})


def _judge(
    setup: DetectorSetup,
    recording: str,
    raw: int | None,
    thresholds: dict[str, float],
    labels: StreamLabels,
    about: dict[str, Any],
    plot: Path | None,
    *,
    json: bool,
) -> None:
    """Show what is missed and falsely accepted."""
    from kws.cli import streaming
    from kws.terminal import console, screens_stream

    stream = streaming.recording(recording, raw)
    if stream.seconds is not None and recording != streaming.STDIN:
        labels.require_of(stream.name, stream.seconds, stream.rate_hz)

    def checked(seconds: float) -> StreamLabels:
        labels.require_of(stream.name, seconds, stream.rate_hz)
        return labels

    found = streaming.measured(setup, streaming.tracked(stream), checked, thresholds)
    title = f"{streaming.name_of(setup.detector)} on {recording}: {console.duration(found.seconds)}"
    if plot is not None:
        from kws.reports import drawing, stream_figure

        made = stream_figure.figure(found.curves, found.points, title, drawing.SCREEN)
        drawing.save(made, plot)
        console.say(f"wrote {console.visible(str(plot))}")
    if json:
        made_from = {name: value for name, value in labels.made_from.items() if name != "items"}
        more = {"labels": labels.path, "made_from": made_from, "seconds": found.seconds, "hours": found.hours}
        console.print_json(about | more | found.record())
        return
    screens_stream.print_points(
        found.points,
        about=title,
        where_from=f"{about['thresholds_from']}: {screens_stream.listed(about['thresholds'])}",
    )
    screens_stream.print_trade_off(found.curves)
    screens_stream.print_notes(found.hours)
    if labels.is_train:
        console.say("note: these are clips of a training split, which a network may have learnt by heart")
    if labels.is_test:
        console.say("note: a threshold that is chosen by this table was chosen on test clips; --target-fa chooses one "
                    "on validation clips")  # fmt: skip
