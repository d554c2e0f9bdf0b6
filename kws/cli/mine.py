"""`kws mine`: the worst false accepts of a long recording, as clips."""

from __future__ import annotations

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws.cli import options, stream
from kws.errors import DataError
from kws.events import TEST, VALIDATION
from kws.inference.card import HOP_MS, SMOOTHING_MS

if TYPE_CHECKING:
    from kws.inference.detections import Detection

SCHEMA = 1


def mine(
    run: options.RunOrFile,
    recording: Annotated[Path, typer.Argument(metavar="RECORDING", help="A recording of any length.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the clips are written; new or empty.")
    ],
    most: Annotated[int | None, typer.Option(min=1, help="So many clips at most. By default all.")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="When keywords are said, as for `kws stream`; else none of them may be."),
    ] = None,
    threshold: stream.Thresholds = None,
    smoothing_ms: stream.Smoothing = SMOOTHING_MS,
    trust_code: options.TrustCode = None,
    db: options.Db = options.DEFAULT_DB,
    json: options.Json = False,
) -> None:
    """Write the worst false accepts of a recording as clips.

    Each is the second that a keyword was most probable in, the most probable first, no two within a second of one
    another. Seconds that hold a labelled keyword are none. By default they are those above the run's thresholds; a
    lower --threshold finds those that nearly are. `kws train --also FOLDER` trains on them as "other".

    Example: kws mine last radio.wav --out mined --most 100
    """
    from kws.cli import streaming
    from kws.inference import mining
    from kws.inference.sweeping import Candidates
    from kws.recipe import counted
    from kws.speech import long
    from kws.terminal import console

    setup = streaming.set_up(run, db, trust_code, smoothing_ms, 0)
    thresholds, where_from = streaming.thresholds_of(setup.detector, threshold or [])
    found = long.from_file(recording)
    windows: Any = ()
    if labels is not None:
        known = streaming.read_labels(labels, setup)
        known.require_of(found.name, found.seconds, found.rate_hz)
        windows = known.windows
    _require_may_be_trained_on(recording, labels)
    _require_free(out)
    words = setup.detector.words
    candidates = Candidates(words, setup.detector.keywords, min(thresholds.values()))
    for _ in setup.listen(streaming.tracked(found), dict.fromkeys(thresholds, 1.0), candidates):
        pass
    worst = mining.worst(candidates, thresholds, windows, most)
    clips = _write(out, recording, worst)
    record = {
        "schema": SCHEMA,
        "run": setup.detector.card.run,
        "recording": str(recording),
        "hours": candidates.hops_seen * HOP_MS / 1000 / 3600,
        "thresholds": thresholds,
        "labels": None if labels is None else str(labels),
        "clips": clips,
    }
    _write_list(out, record)
    if json:
        console.print_json(record)
        return
    for each in clips:
        typer.echo(f"{each['probability']:.4f}  {console.visible(each['word'])}  {console.visible(each['file'])}")
    kept = f"{counted(len(clips), 'clip')} of {record['hours']:.2f} h"
    console.say(f"{kept} in {console.visible(str(out))}; {where_from}")


def _require_may_be_trained_on(recording: Path, labels: Path | None) -> None:
    """Raise DataError for a stream of validation or test clips, by its labels or those beside it."""
    for path in (labels, recording.with_suffix(".json")):
        try:
            about = json_text.loads(path.read_text(encoding="utf-8-sig")) if path else None
        except (OSError, ValueError):
            continue
        made_from = about.get("made_from") if isinstance(about, dict) else None
        if isinstance(made_from, dict) and (split := made_from.get("split")) in (VALIDATION, TEST):
            raise DataError(
                f"{recording} is made of {split} clips ({path} says so), and what is mined is trained on; mine a "
                "recording of your own, or one of `kws stream --make FILE --split train`"
            )


def _require_free(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"`out` (={folder}) is there and not empty; name a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"`out` (={folder}) cannot be made ({error.strerror}); name another folder") from None


def _write(folder: Path, recording: Path, worst: list[Detection]) -> list[dict[str, Any]]:
    """Write each second as a clip; returns what is said of each, the worst first."""
    from kws.inference import mining
    from kws.speech import long

    names = {}
    at = {each.seconds: each for each in worst}
    for seconds, second in mining.seconds_before(long.from_file(recording).pieces, list(at)):
        each = at[seconds]
        begin = max(seconds - 1, 0)
        name = f"{recording.stem}_at_{1000 * begin:.0f}ms_{each.word}_{each.probability:.4f}.wav"
        long.write(folder / name, [second])
        names[seconds] = name
    return [
        {
            "file": names[each.seconds],
            "begin_sec": round(each.seconds - 1, 2),
            "seconds": each.seconds,
            "word": each.word,
            "probability": each.probability,
        }
        for each in worst
    ]


def _write_list(folder: Path, record: dict[str, Any]) -> None:
    path = folder / "mined.json"
    try:
        path.write_text(json_text.dumps(record, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror})") from None
