"""`kws predict`: the word in each recording, by a run's network or by an exported file."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws.cli import options
from kws.errors import ClipError, DataError
from kws.terminal.quiet import insist
from kws.terminal.visible import visible_part  # without what kws.terminal.console imports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kws.inference.detector import Detector, Prediction

_SCHEMA = 1


def predict(
    run: options.RunOrFile,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE...", help="Recordings, folders of them, or - for one on stdin.")
    ],
    windows: Annotated[
        bool,
        typer.Option(
            "--windows", help="Look for the most probable keyword in the whole recording, a window of a second a time."
        ),
    ] = False,
    trust_code: options.TrustCode = None,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """Print the word in each recording, and its probability.

    A second of a recording is heard, as in training: a shorter one is padded with silence, and of a longer one it is
    the second with the word, or the first where the run was trained on that. With --windows all of it is searched for
    a keyword. Any format that training reads will do. RUN may be a file that `kws export` wrote,
    which needs onnxruntime alone. What cannot be read is named on stderr, and ends the command with exit code 1.

    Example: kws predict last clips/ --json
    """
    from kws.inference import recordings

    with ExitStack() as stack:
        stdin = getattr(sys.stdin, "buffer", None)
        if recordings.PIPE in files and (len(files) > 1 or stdin is None):
            raise DataError("- is one recording on stdin, alone: name it without other files, and pipe a recording")
        if not run.lower().endswith(".onnx") and Path(run).is_file():
            raise DataError(f"{run} is a file, and RUN comes first, as in `kws predict last {shlex.quote(run)}`")
        paths = [stack.enter_context(recordings.piped(stdin))] if stdin and files == [recordings.PIPE] else None
        listed = paths or recordings.files_of(files)
        names = ["stdin"] if paths else [str(path) for path in listed]
        detector, _ = options.detector(run, db, trust_code)
        found = (recordings.by_windows if windows else recordings.predictions)(detector, listed)
        failed = _show(detector, zip(names, listed, found, strict=True), as_json=json)
    if failed:
        raise typer.Exit(1)


def _show(detector: Detector, found: Iterator[tuple[str, Path, Prediction | ClipError]], *, as_json: bool) -> int:
    """Print what was predicted of each recording; returns how many could not be read."""
    records: list[dict[str, Any]] = []
    width = max(map(len, detector.words))
    failed = 0
    for name, path, answer in found:
        if isinstance(answer, ClipError):
            failed += 1
            message = str(answer).replace(str(path), name)
            records.append({"file": name, "error": message})
            insist(f"kws: {visible_part(message)}")
            continue
        records.append({"file": name} | {key: value for key, value in vars(answer).items() if value is not None})
        if not as_json:
            at = "" if answer.seconds is None else f"  at {answer.seconds:8.2f} s"
            typer.echo(f"{answer.word:<{width}}  {100 * answer.probability:6.2f} %{at}  {visible_part(name)}")
    if as_json:
        from kws.terminal import console

        console.print_json({"schema": _SCHEMA, "run": detector.card.run, "predictions": records})
    return failed
