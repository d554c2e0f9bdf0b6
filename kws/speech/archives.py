"""Downloads an archive of recordings and unpacks it into a folder of clips on first use.

Decisions:

- An archive is downloaded once, verified, and unpacked completely or not at all: everything happens in a temporary
  folder beside the final one, which is renamed when it is complete. If two processes do this at once, the second
  discards its own copy. The archive file stays at `place()`, so that an interrupted unpacking needs no second download.
- Without a network, the archive file can be put at `place()` by hand. It is verified in the same way; kws never deletes
  what it did not download.
- An archive is not trusted, even with the right checksum: only regular files and folders are written, below the target
  and nowhere else. Links, devices, absolute paths, `..`, a file given twice and more than MAX_BYTES or MAX_MEMBERS are
  refused. Files are written by this module rather than by tarfile or zipfile, so that both kinds obey the same rules
  and no owner, mode or link of the archive reaches the disk.
- An archive, or an existing folder in its place, that holds none of the archive's words is refused and does not count
  as present.
- If everything lies in one top folder, the content of that folder is used. What macOS adds (__MACOSX, ._*, .DS_Store)
  is left out. So every archive can be read as `folder(...)/<word>/*.wav`.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import IO, NamedTuple, cast

from kws.errors import DownloadError
from kws.speech.decode import SUFFIXES
from kws.speech.progress import Track, untracked
from kws.speech.published import ARCHIVES as ARCHIVES
from kws.speech.published import Archive as Archive

MAX_BYTES = 8 * 2**30  # Speech Commands unpacks to 3.3 GB
MAX_MEMBERS = 200_000  # Speech Commands has 105,835 clips of words
TIMEOUT_S = 30.0  # to connect, and between two pieces of a response
CHUNK_BYTES = 2**20

# The errors that tarfile, zipfile and zlib raise, deliberately or not, if an archive is truncated or damaged.
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, struct.error)
_BROKEN = (*_DAMAGED, EOFError, ValueError, RuntimeError)


def place(archive: Archive, cache: Path) -> Path:
    """The path of the archive file below `cache`, where it may also be put by hand."""
    return cache / archive.url.rsplit("/", 1)[-1]


def is_there(archive: Archive, cache: Path) -> bool:
    """Whether the archive is unpacked below `cache`; a folder of that name without any of its words does not count."""
    return _holds_words(archive, cache / archive.name)


def _holds_words(archive: Archive, unpacked: Path) -> bool:
    """Whether a folder has a recording of one of the archive's words, or any entry if the archive names no words."""
    try:
        if not archive.words:
            return any(unpacked.iterdir())
        return any(
            file.name.lower().endswith(SUFFIXES) and file.name[0] != "." and file.is_file()
            for word in archive.words
            if (unpacked / word).is_dir()
            for file in (unpacked / word).iterdir()
        )
    except OSError:  # absent, a file, or not readable by this user
        return False


def folder(archive: Archive, cache: Path, *, track: Track = untracked) -> Path:
    """The unpacked archive's folder below `cache`, downloaded and unpacked on first use.

    Later calls only check the folder and need no network. `track` shows download, check and unpacking in bytes of the
    archive file. mini-speech-commands has no published checksum: its content is not checked.
    Raises DownloadError if the archive cannot be downloaded, written or unpacked, or is not the expected one. In that
    case neither a folder nor a downloaded file is left, except a valid archive file that the disk had no room to
    unpack.
    """
    unpacked, path = cache / archive.name, place(archive, cache)
    try:
        if is_there(archive, cache):
            return unpacked
        if unpacked.is_dir() and any(unpacked.iterdir()):
            raise DownloadError(
                f"{unpacked} has no recordings of {_some(archive)}; move it away, and {archive.name} takes its place"
            )
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache, prefix=f".{archive.name}-") as temporary:
            by_hand = path.exists()
            if by_hand:
                _check(archive, path, track)
            else:
                _download(archive, path, Path(temporary), track)
            try:
                content = _unpack(archive, path, Path(temporary) / "content", track)
            except DownloadError:
                if not by_hand:
                    path.unlink(missing_ok=True)
                raise
            try:
                content.rename(unpacked)
            except OSError:
                if not is_there(archive, cache):  # otherwise another process was first, with the same content
                    raise
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DownloadError(
            f"{archive.name} could not be stored in {cache} ({reason}); "
            "make room, make that folder writable or choose another cache folder"
        ) from error
    return unpacked


def _check(archive: Archive, path: Path, track: Track) -> None:
    """Raise DownloadError unless the file at `path`, put there by hand, has the archive's size and SHA-256."""
    size = path.stat().st_size
    if archive.bytes is not None and size != archive.bytes:
        raise DownloadError(
            f"{path} has {size:,} bytes where {archive.bytes:,} are expected; delete it, or put the whole file there"
        )
    if archive.sha256 is None:
        return
    digest = hashlib.sha256()
    with path.open("rb") as file:
        chunks = iter(functools.partial(file.read, CHUNK_BYTES), b"")
        for chunk in track(chunks, total=size, what=f"Checking {archive.name}", unit="bytes"):
            digest.update(chunk)
    _compare(archive, path, digest.hexdigest(), "delete it, or put the right file there")


def _compare(archive: Archive, path: Path, got: str, advice: str) -> None:
    if got != archive.sha256:
        raise DownloadError(f"{path} has SHA-256 {got} where {archive.sha256} is expected; {advice}")


def _download(archive: Archive, path: Path, temporary: Path, track: Track) -> None:
    """Download the archive into the folder `temporary`, and move it to `path` once it is complete and verified."""
    import requests

    partial, digest, received = temporary / path.name, hashlib.sha256(), 0
    try:
        # Without "identity" a server may compress the file again, so the announced length is not the received one.
        headers = {"Accept-Encoding": "identity"}
        with (
            requests.get(archive.url, stream=True, timeout=TIMEOUT_S, headers=headers) as response,
            partial.open("xb") as file,
        ):
            response.raise_for_status()
            length = response.headers.get("Content-Length", "")
            announced = int(length) if length.isdecimal() else archive.bytes or 0
            expected = archive.bytes or announced  # 0 if unknown
            if announced != expected:
                raise _unfetched(archive, path, f"{announced:,} bytes are offered where {expected:,} are expected")
            chunks = response.iter_content(CHUNK_BYTES)
            for chunk in track(chunks, total=expected, what=f"Downloading {archive.name}", unit="bytes"):
                received += len(chunk)
                if received > (expected or MAX_BYTES):
                    raise _unfetched(archive, path, f"more than {expected or MAX_BYTES:,} bytes came")
                digest.update(chunk)
                file.write(chunk)
    except requests.RequestException as error:
        raise _unfetched(archive, path, _reason(error, received)) from error
    if received < expected:
        raise _unfetched(archive, path, f"it broke off after {received:,} of {expected:,} bytes")
    if archive.sha256 is not None:
        _compare(archive, path, digest.hexdigest(), f"what {archive.url} sent is discarded, so try again later")
    partial.replace(path)


def _unfetched(archive: Archive, path: Path, reason: str) -> DownloadError:
    return DownloadError(
        f"{archive.url} could not be downloaded ({reason}); try again, or put the file at {path} by hand"
    )


def _reason(error: Exception, received: int) -> str:
    """Why a request failed, in a few words; the messages of requests mention sockets and pools."""
    import requests

    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"the server answered {error.response.status_code} {error.response.reason}"
    # requests raises a plain ConnectionError if a server stops sending in the middle of its response
    if isinstance(error, requests.Timeout) or _holds_timeout(error):
        return f"no answer within {TIMEOUT_S:g} s"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or received:
        return "it broke off before its end"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    return type(error).__name__


def _holds_timeout(error: BaseException) -> bool:
    """Whether an error is a timeout or wraps one: requests and urllib3 put one error into another."""
    from urllib3.exceptions import NewConnectionError
    from urllib3.exceptions import TimeoutError as NoAnswer

    if isinstance(error, NewConnectionError):  # a subclass of NoAnswer in urllib3, though perhaps not a timeout
        return isinstance(error.__cause__, TimeoutError)
    inside = [each for each in (*error.args, getattr(error, "reason", None)) if isinstance(each, BaseException)]
    return isinstance(error, TimeoutError | NoAnswer) or any(map(_holds_timeout, inside))


class _Member(NamedTuple):
    """One entry of an archive; it is refused if it is neither a folder nor a file."""

    name: str
    is_folder: bool
    is_file: bool
    size: int  # bytes, unpacked, as the archive declares it
    open: Callable[[], IO[bytes]]


def _tar_members(file: IO[bytes]) -> Iterator[_Member]:
    with tarfile.open(fileobj=file, mode="r:gz") as tar:
        for info in tar:
            is_file = info.isreg() and not info.issparse()  # a sparse file may declare terabytes that it does not hold
            # extractfile returns None for anything but files and links; only plain files are opened
            opener = cast("Callable[[], IO[bytes]]", functools.partial(tar.extractfile, info))
            yield _Member(info.name, info.isdir(), is_file, info.size, opener)


def _zip_members(file: IO[bytes]) -> Iterator[_Member]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)  # 0 if the archive was not made on Unix
            readable = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) and not info.flag_bits & 1
            is_file = kind in (0, stat.S_IFREG) and readable and not info.is_dir()
            is_folder = kind in (0, stat.S_IFDIR) and info.is_dir()
            yield _Member(info.filename, is_folder, is_file, info.file_size, functools.partial(archive.open, info))


def _unpack(archive: Archive, path: Path, target: Path, track: Track) -> Path:
    """The folder with the unpacked content of the archive at `path`: the new `target`, or the only folder in it."""
    target.mkdir()
    with path.open("rb") as file:
        members = _zip_members(file) if path.suffix == ".zip" else _tar_members(file)
        steps = _explained(_write(members, path, target, file), path, target)
        for _ in track(steps, total=path.stat().st_size, what=f"Unpacking {archive.name}", unit="bytes"):
            pass
    if not any(item.is_file() for item in target.rglob("*")):
        raise DownloadError(f"{path} holds no file at all; try again with a fresh copy")
    top = list(target.iterdir())
    content = top[0] if len(top) == 1 and top[0].is_dir() else target
    if archive.words and _holds_words(archive, target):  # the only folder may itself be a word's
        content = target
    if not _holds_words(archive, content):
        raise DownloadError(f"{path} holds no recordings of {_some(archive)}; put the right archive there")
    return content


def _some(archive: Archive) -> str:
    """The first few of an archive's words, for use in a sentence."""
    first = ", ".join(archive.words[:3])
    return f"{first} or any other of its {len(archive.words)} words" if len(archive.words) > 3 else first


def _explained(steps: Iterator[range], path: Path, target: Path) -> Iterator[range]:
    """The same steps; errors of tarfile, zipfile and zlib become a DownloadError with one sentence."""
    try:
        yield from steps
    except _BROKEN as error:
        raise DownloadError(f"{path} is not a whole archive ({error}); try again with a fresh copy") from error
    except (FileExistsError, NotADirectoryError) as error:
        name = Path(error.filename).relative_to(target)
        raise DownloadError(f"{path} is refused: it holds '{name}' twice") from error


def _write(members: Iterable[_Member], path: Path, target: Path, file: IO[bytes]) -> Iterator[range]:
    """Write the members below `target`; yields after each one a range as long as the part of `file` read for it."""
    total = done = 0
    for count, member in enumerate(members, start=1):
        # Windows rules cover both separators and drive letters, so a name that is relative by them is so everywhere.
        name = PureWindowsPath(member.name)
        total += member.size
        if name.anchor or ".." in name.parts:
            raise DownloadError(f"{path} is refused: {member.name!r} would be written outside its folder")
        if not (member.is_folder or member.is_file):
            raise DownloadError(f"{path} is refused: {member.name!r} is neither a plain file nor a folder")
        if total > MAX_BYTES or count > MAX_MEMBERS:
            raise DownloadError(f"{path} is refused: it holds more than {MAX_BYTES:,} bytes or {MAX_MEMBERS:,} files")
        if any(part in ("__MACOSX", ".DS_Store") or part.startswith("._") for part in name.parts):
            continue
        destination = target.joinpath(*name.parts)
        if member.is_folder:
            destination.mkdir(parents=True, exist_ok=True)
            continue
        destination.parent.mkdir(parents=True, exist_ok=True)
        # "x" refuses a repeated name, also if the file system treats "Yes" and "yes" as the same
        with member.open() as source, destination.open("xb") as copy:
            shutil.copyfileobj(source, copy, CHUNK_BYTES)
            if copy.tell() != member.size:
                raise EOFError(f"{member.name} has {copy.tell():,} of {member.size:,} bytes")
        yield range(max(file.tell() - done, 0))
        done = max(file.tell(), done)
    yield range(max(os.fstat(file.fileno()).st_size - done, 0))  # the archive's own table of contents, at its end
