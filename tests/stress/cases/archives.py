"""Archives: paths that lead out, links, devices, absurd sizes, damage; through kws.speech.archives.folder().

An archive lies where a user may put it by hand, so that nothing is fetched. Afterwards nothing may have been written
but below the cache folder, and nothing but plain files and folders there.
"""

from __future__ import annotations

import io
import random
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

from tests.stress.cases import EscapedError, Place, damaged, nonsense

_KINDS = (stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK)
_LINKS = (tarfile.SYMTYPE, tarfile.LNKTYPE)
_SPECIAL = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE, b"Z")


def attempt(draw: random.Random, place: Place) -> None:
    """Put an archive where it is looked for, and have it unpacked."""
    from kws.speech.archives import Archive, folder

    suffix, make = draw.choice(((".zip", _zip), (".tar.gz", _tar)))
    cache, outside = place.folder / "cache", place.folder / "outside"
    cache.mkdir()
    outside.mkdir()
    (outside / "kept").write_bytes(b"kept")
    data = nonsense(draw) if draw.random() < 0.04 else make(draw, _names(draw, outside), outside)
    if draw.random() < 0.3:
        data = damaged(draw, data)
    path = cache / f"case{suffix}"
    path.write_bytes(data)
    archive = Archive(
        name="case", url=f"https://localhost.invalid/{path.name}", sha256=None, bytes=None, title="a case"
    )
    try:
        folder(archive, cache)
    finally:
        _look(place.folder, cache, outside)


def _look(top: Path, cache: Path, outside: Path) -> None:
    around = {path.name for path in top.iterdir()}
    if around - {"cache", "outside"} or [path.name for path in outside.iterdir()] != ["kept"]:
        raise EscapedError(f"written outside the target: {around}, {list(outside.iterdir())}")
    if (outside / "kept").read_bytes() != b"kept":
        raise EscapedError("a file outside the target was overwritten")
    if left := [path.name for path in cache.iterdir() if path.name not in ("case", "case.zip", "case.tar.gz")]:
        raise EscapedError(f"left beside the target: {left}")
    for path in cache.rglob("*"):
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or mode & (stat.S_ISUID | stat.S_ISGID):
            raise EscapedError(f"neither a plain file nor a folder was made: {path.name}")


def _names(draw: random.Random, outside: Path) -> list[str]:
    """What members are called: mostly as they should be."""
    odd = [
        "../outside/pwned", "../../outside/pwned", "../../../outside/pwned", "a/../../../outside/pwned", "..", ".", "",
        "/", "//outside", str(outside / "pwned"), f"/{outside}/pwned", "C:\\pwned", "C:pwned", "\\pwned",
        "a\\..\\..\\..\\outside\\pwned", "\\\\server\\share\\pwned", "link", "link/pwned", "top/link/pwned", "a" * 300,
        "a/" * 2_000 + "b", "nul\0name", "\n", "\x1b[31m", "🎙️.wav", "\udcff.wav", "top/yes", "TOP/YES/A.WAV", "~/pwned",
        "a/", "./a", "a//b", "a/./b", "con", "aux.wav", "x:y", "__MACOSX/a", "._a", ".DS_Store", "top/./yes/a.wav", " ",
        "top ",
    ]  # fmt: skip
    usual = [f"top/{word}/{clip}.wav" for word in ("yes", "no") for clip in "ab"] + ["top/README.md"]
    names = draw.sample(usual, draw.randrange(len(usual) + 1)) + draw.choices(odd, k=draw.choice((0, 0, 0, 1, 1, 3)))
    if draw.random() < 0.5:
        draw.shuffle(names)
    return names or ["a"]


def _tar(draw: random.Random, names: list[str], outside: Path) -> bytes:
    file = io.BytesIO()
    mode = "w:gz" if draw.random() < 0.95 else draw.choice(("w:bz2", "w:xz", "w"))
    format_ = draw.choice((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT))
    with tarfile.open(fileobj=file, mode=mode, format=format_) as tar:
        for name in names:
            data = _content(draw)
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.mode = draw.choice((0o644, 0o755, 0o4755, 0o000, 0o7777))
            if name.endswith("link") or draw.random() < 0.07:
                info.type, info.size = draw.choice(_LINKS), 0
                info.linkname = draw.choice(
                    (str(outside), "../../outside", str(outside / "kept"), "/etc/passwd", name, "top")
                )
            elif draw.random() < 0.05:
                info.type = draw.choice(_SPECIAL)
            elif draw.random() < 0.08:
                info.type, info.size = tarfile.DIRTYPE, 0
            if draw.random() < 0.05:
                size = draw.choice((2**33, 2**40, 2**62, len(data) + 512, 8**11 - 1))
                info.size = size
                try:
                    header = info.tobuf(format_)
                except (ValueError, UnicodeError):  # a size that this format cannot say
                    continue
                tar.fileobj.write(header + data)  # type: ignore[union-attr]
                continue
            if draw.random() < 0.05 and format_ == tarfile.PAX_FORMAT:
                info.pax_headers = {
                    draw.choice(("path", "size", "linkpath", "GNU.sparse.realsize")): draw.choice(names)
                }
            try:
                tar.addfile(info, io.BytesIO(data))
            except (ValueError, UnicodeError):  # a name that this format cannot say
                continue
    return file.getvalue()


def _zip(draw: random.Random, names: list[str], outside: Path) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo("x")
            info.filename = name.encode("utf-8", "replace").decode() or "x"
            info.compress_type = draw.choice(
                (0, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
            )
            kind = draw.choice(
                (0, 0, stat.S_IFREG, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO)
            )
            if name.endswith("link"):
                kind = stat.S_IFLNK
            info.external_attr = (kind | draw.choice((0o644, 0o4755))) << 16
            info.create_system = draw.choice((0, 3, 3))
            archive.writestr(info, str(outside).encode() if kind == stat.S_IFLNK else _content(draw))
        if draw.random() < 0.1:
            archive.comment = draw.randbytes(draw.randrange(100))
    data = bytearray(file.getvalue())
    if draw.random() < 0.25:  # the table of contents says something else than the members do
        at = data.rfind(b"PK\1\2")
        where, value = draw.choice(((20, 2**32 - 1), (24, 2**32 - 1), (24, 2**31), (24, 0), (42, 2**32 - 1), (42, 0)))
        data[at + where : at + where + 4] = struct.pack("<I", value)
        if draw.random() < 0.3:
            data[at + 8 : at + 10] = struct.pack("<H", draw.choice((1, 0x41, 0x800, 0xFFFF)))
    return bytes(data)


def _content(draw: random.Random) -> bytes:
    kind = draw.random()
    if kind < 0.02:
        return bytes(20_000_000)
    return draw.randbytes(draw.choice((0, 1, 511, 512, 513, 5_000))) if kind < 0.9 else b"RIFF" * 100
