"""The cache folder for downloads, built-in speech and features; a folder appears in it completely or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kws.errors import DataError

_HOMELESS = "the cache folder cannot be found, for this user has no home"


def cache_folder() -> Path:
    """The cache folder: $KWS_CACHE, else the user's cache folder for kws, else a temporary folder.

    The temporary folder is used if the user's cache folder is not usable. A note on stderr says so, once for this
    process and all that it starts. Raises DataError if this user cannot use the folder in $KWS_CACHE, or if not even a
    temporary folder can be created.
    """
    if chosen := os.environ.get("KWS_CACHE"):
        folder = Path(chosen)
        if why := _closed(folder):
            raise DataError(f"the cache folder {folder} cannot be used ({why}); choose another with KWS_CACHE")
        return folder
    import platformdirs

    try:
        folder = platformdirs.user_cache_path("kws")
        if folder.is_absolute():
            why = _closed(folder) or _cannot_be_made(folder)
            if not why:
                return folder
            why = f"the cache folder {folder} cannot be used ({why})"
        else:
            why = _HOMELESS
    except RuntimeError:
        why = _HOMELESS
    instead = _temporary(why)
    os.environ["KWS_CACHE"] = str(instead)
    sys.stderr.write(f"note: {why}; downloads and features go to {instead}, unless KWS_CACHE names another folder\n")
    return instead


def _closed(folder: Path) -> str | None:
    """Why an existing folder cannot be read; None if it can, or does not exist."""
    try:
        (folder / ".").stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror
    return None if os.access(folder, os.R_OK) else os.strerror(errno.EACCES)


def _cannot_be_made(folder: Path) -> str | None:
    """Why a missing folder cannot be created; None if it can, or exists."""
    above = folder
    while not above.exists():
        above = above.parent
    return None if above == folder or os.access(above, os.W_OK | os.X_OK) else os.strerror(errno.EACCES)


def _temporary(why: str) -> Path:
    """This user's own folder for temporary files, the same each time. Raises DataError if it cannot be used.

    The folder must belong to this user: anybody else could have created one of that name and put features of other
    clips into it.
    """
    try:
        folder = Path(tempfile.gettempdir()) / f"kws-{os.geteuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise FileExistsError(errno.EEXIST, f"{folder} is not this user's own")
    except OSError as error:
        raise DataError(
            f"{why}, and no temporary folder can either ({error.strerror}); name a folder with KWS_CACHE"
        ) from None
    return folder


def unusable(error: OSError) -> DataError:
    """The DataError for a file that cannot be used; for a cached file it suggests another cache folder."""
    file = os.fsdecode(error.filename)
    chosen = os.environ.get("KWS_CACHE")
    is_cached = Path(file).is_relative_to(chosen or cache_folder())
    advice = "; choose another cache folder with KWS_CACHE" if is_cached else ""
    return DataError(f"{file} cannot be used ({error.strerror}){advice}")


@contextmanager
def published(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, which is renamed to it when the body ends, and removed if the body fails.

    Several processes may do this at once: the first to finish wins, the others' work is discarded. Raises DataError if
    the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name[:32]}-", dir=folder.parent))
    except OSError as error:
        raise DataError(
            f"the cache folder {folder.parent} cannot be written ({error.strerror}); choose another with KWS_CACHE"
        ) from None
    try:
        try:
            yield temporary
            temporary.chmod(0o755)
            if not folder.exists():
                temporary.rename(folder)
        except OSError as error:
            if not folder.exists():
                raise DataError(f"{folder} could not be written ({error.strerror or error})") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
