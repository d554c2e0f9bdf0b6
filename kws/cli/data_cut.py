"""`kws data cut`: the words in one long recording with pauses, as clips of a second."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kws.cli import options
from kws.errors import DataError

if TYPE_CHECKING:
    from kws.speech.cutting import Found

SCHEMA = 1


def cut(
    recording: Annotated[Path, typer.Argument(metavar="RECORDING", help="A recording of any length, with pauses.")],
    word: Annotated[str | None, typer.Option(help="The word that is said, again and again.")] = None,
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The words in the order in which they are said, one in each line."),
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FOLDER", help="Where the clips are written, in a folder for each word."),
    ] = Path("clips"),
    least: Annotated[
        float, typer.Option(min=0.02, max=1, callback=options.number, help="The shortest word, in seconds.")
    ] = 0.1,
    pause: Annotated[
        float,
        typer.Option(min=0.05, max=10, callback=options.number, help="The shortest pause between words, in seconds."),
    ] = 0.3,
    only_list: Annotated[
        bool, typer.Option("--list", help="Print what is found, all of it, and write nothing.")
    ] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Remove the clips in FOLDER that were cut from a recording of this name before."
        ),
    ] = False,
    json: options.Json = False,
) -> None:
    """Cut the words out of a long recording with pauses.

    A word is what is above the recording's own background; a second is cut of each, with the word in its middle, and
    written as FOLDER/WORD/RECORDING_001.wav with 16 bits at 16 kHz, which --data FOLDER takes. Without --word and
    --labels, all are in FOLDER/unsorted. Left out, and said, is what is too short, too long for a second, too close to
    another word, at the recording's edge, clipped, or too quiet. With --labels nothing is written unless as many words
    are found as the file has lines.

    Example: kws data cut lamp.wav --word lamp --out my_clips
    """
    from kws.recipe import counted
    from kws.speech import cutting
    from kws.terminal import console, screens_cut

    words = _words(word, labels)
    before = [] if only_list else cutting.earlier(out, recording)
    if before and not replace:
        raise DataError(
            f"{out} has {counted(len(before), 'clip')} of a recording of this name already, as "
            f"{before[0].relative_to(out)}; give --replace to have these instead, or name another folder"
        )
    found = cutting.find(recording, least_s=least, pause_s=pause, track=console.track)
    fits = labels is None or len(words) == found.spoken
    if fits:
        found = found.named(words)
    is_written = fits and not only_list and bool(found.words)
    if is_written:
        for path in before:
            path.unlink(missing_ok=True)
        cutting.write(found, out)
    if json:
        console.print_json(_record(found, out if is_written else None))
    else:
        screens_cut.print_cut(found, out if is_written else None, every=only_list or not fits)
    if not fits:
        raise DataError(
            f"{labels} has {counted(len(words), 'word')}, and {found.spoken:,} are said in {recording}, so that "
            "nothing is written; compare both (--list), or give --least or --pause other values than "
            f"{least:g} and {pause:g} s"
        )
    if not found.words:
        raise DataError(f"no word is found in {recording} that can be cut; --list says what is, and why not")


def _words(word: str | None, labels: Path | None) -> list[str]:
    """The words that were given. Raises DataError for what can be no folder of a word."""
    if word is not None and labels is not None:
        raise DataError("--word is for a recording of one word, and --labels for one of several; leave one of both out")
    if labels is None:
        return [] if word is None else [_checked(word, "`word`")]
    try:
        lines = labels.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DataError(f"{labels} is not UTF-8 text; save it as UTF-8, with one word in each line") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{labels} cannot be read ({getattr(error, 'strerror', None) or error})") from None
    words = [_checked(line, f"{labels}, line {at},") for at, line in enumerate(lines, start=1) if line.strip()]
    if not words:
        raise DataError(f"{labels} has no words; write one in each line, in the order in which they are said")
    return words


def _checked(word: str, where: str) -> str:
    word = " ".join(word.split())
    if not word or word.startswith(".") or any(each in '/\\:"*?<>|' or not each.isprintable() for each in word):
        raise DataError(f"{where} (={word}) cannot be the name of a word's folder; give a word, as in --word lamp")
    return word


def _record(found: Found, out: Path | None) -> dict[str, Any]:
    """What was found, as JSON; `out` is where it was written, if it was."""
    from kws.speech import cutting

    names = iter(cutting.names(found))
    return {
        "schema": SCHEMA,
        "recording": str(found.path),
        "seconds": found.seconds,
        "out": None if out is None else str(out),
        "clips": len(found.words),
        "left_out": found.left_out(),
        "pieces": [
            {
                "begin_sec": piece.begin_ms / 1000,
                "end_sec": piece.end_ms / 1000,
                "word": piece.word or None,
                "file": None if piece.why else next(names),
                "second_sec": None if piece.why else piece.second_ms / 1000,
                "left_out": piece.why or None,
            }
            for piece in found.pieces
        ],
    }
