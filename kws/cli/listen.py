"""`kws listen`: words that a microphone hears, as they are said."""

from __future__ import annotations

import json as to_json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from kws.cli import options
from kws.cli.stream import Cooldown, Smoothing, Thresholds
from kws.inference.card import COOLDOWN_MS, SMOOTHING_MS

if TYPE_CHECKING:
    import numpy as np


def listen(
    run: options.RunOrFile,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A microphone by its number or a part of its name; else the system's own."),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Stop after so long; else Ctrl-C ends it.", callback=options.number)
    ] = None,
    threshold: Thresholds = None,
    smoothing_ms: Smoothing = SMOOTHING_MS,
    cooldown_ms: Cooldown = COOLDOWN_MS,
    trust_code: options.TrustCode = None,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """Print keywords as a microphone hears them.

    A line below them shows how loud it is and the most probable keyword now. What is heard is not kept. It needs the
    extra `listen`. With --json each detection is an object on a line of its own.

    Example: kws listen last --threshold 0.9
    """
    from kws.cli import streaming
    from kws.inference import microphone
    from kws.inference.detections import Detecting
    from kws.terminal import console, listening, screens_stream
    from kws.training.stopping import Stopped, Terminated, stoppable

    setup = streaming.set_up(run, db, trust_code, smoothing_ms, cooldown_ms)
    detector = setup.detector
    thresholds, origin = streaming.thresholds_of(detector, threshold or ())
    columns = [detector.words.index(word) for word in thresholds]
    detecting = Detecting(detector.words, thresholds, cooldown_ms=cooldown_ms)
    try:
        with stoppable(), microphone.opened(device) as heard, listening.live_line() as line:
            console.say(f"listening to {console.visible(heard.name)}; {origin}; Ctrl-C ends it")
            blocks = _Levels(heard.pieces(seconds))
            for averages in detector.averages(blocks, smoothing_ms):
                for each in detecting.push(averages):
                    record = streaming.detection_record(each)
                    typer.echo(to_json.dumps(record) if json else screens_stream.detection_line(each))
                if len(averages):
                    best = max(columns, key=lambda k: averages[-1, k])
                    line.show(blocks.level_db, detector.words[best], float(averages[-1, best]), lost=heard.lost)
        if heard.lost:
            console.say(f"note: {heard.lost} blocks of 20 ms were lost, for this machine fell behind")
    except KeyboardInterrupt as stop:
        if isinstance(stop, Terminated):
            raise Stopped(stop) from None  # else it is Ctrl-C, which is how it ends


class _Levels:
    """Pieces as they pass, and how loud the last one was."""

    def __init__(self, pieces: Iterator[np.ndarray]) -> None:
        self._pieces, self.level_db = pieces, -120.0

    def __iter__(self) -> Iterator[np.ndarray]:
        from kws.inference.microphone import level_db

        for piece in self._pieces:
            self.level_db = level_db(piece)
            yield piece
