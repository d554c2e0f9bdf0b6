"""Lists of a folder's splits: through the data set, and through `kws data check`."""

from __future__ import annotations

import os
import random
from pathlib import Path

from tests.stress.cases import REPORT, Place, damaged, nonsense
from tests.stress.cases.commands import invoke

_NAMES = ("validation_list.txt", "testing_list.txt")


def attempt(draw: random.Random, place: Place) -> None:
    """Change one or both lists, and read the folder."""
    from kws.speech import dataset, splits

    folder = place.task()
    for name in draw.choice((_NAMES[:1], _NAMES[1:], _NAMES)):
        path = folder / name
        lines = path.read_text(encoding="utf-8").splitlines()
        _change(draw, path, lines, [p.relative_to(folder).as_posix() for p in sorted(folder.glob("*/*"))])
    splits.read_lists(folder)
    os.environ["KWS_CACHE"] = str(place.folder / "cache")
    if draw.random() < 0.5:
        loaded = dataset.load(str(folder), REPORT)
        dataset.require_all_classes(loaded)
    else:
        invoke("data", "check", str(folder), *draw.choice(((), ("--json",))))


def _change(draw: random.Random, path: Path, lines: list[str], clips: list[str]) -> None:
    match draw.randrange(12):
        case 0:
            path.write_bytes(nonsense(draw))
        case 1:
            path.write_bytes(damaged(draw, path.read_bytes()))
        case 2:
            encoding = draw.choice(("utf-16", "utf-32", "utf-8-sig", "cp037", "utf-7"))
            path.write_bytes("\n".join(lines).encode(encoding))
        case 3:
            path.write_text("\n".join(lines + lines + draw.choices(clips, k=5)), encoding="utf-8")
        case 4:
            path.write_text("\n".join([*lines, "yes/missing.wav", "nowhere/at/all.wav", "/etc/passwd", "../x.wav"]))
        case 5:
            path.write_text(draw.choice(("x" * 200_000, "/" * 200_000, "\n" * 200_000, "yes/" * 50_000, "." * 100_000)))
        case 6:
            path.write_text(
                draw.choice(("\r", "\r\n", "\v", "\x85", "\u2028", " \n ", "\t\n")).join(lines), encoding="utf-8"
            )
        case 7:
            path.write_text("\n".join(line.upper() for line in lines))
        case 8:
            path.write_text("\n".join(clips))
        case 9:
            path.unlink()
            draw.choice(
                (path.mkdir, lambda: path.symlink_to(path.name), lambda: path.symlink_to("/dev/null"), lambda: None)
            )()
        case 10:
            odd = ("", "/", "yes/", "/yes", "yes", "\0", "yes/\0.wav", "\ufeff", "🎙️/🎙️.wav", ".wav", "yes/.wav", "a/b/c")
            path.write_text("\n".join(draw.choices((*odd, *lines), k=20)), encoding="utf-8")
        case _:
            path.write_bytes(
                "\n".join(lines).encode() + draw.choice((b"\xff\xfe", b"\0" * 100, b"\x80", b"\x1a", b"\n\n"))
            )
