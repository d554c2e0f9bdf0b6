"""State files: where the checkpoints and final weights of many machines' runs belong, beside a registry with all else.

Nearly all bytes that a sweep writes are states of its networks. On many machines they go to a place that all of them
reach: a shared folder, or an object store by a URL that fsspec understands (s3://, gs://, az:// ...). The registry
keeps the URL and the SHA-256. Each state is a file of its own, and is referred to only once it is whole: a file that a
process left half written when it died is never read. A checkpoint is removed when a newer one is recorded, and when its
run ends; weights are removed when their run is purged.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePath
from typing import Any, Protocol, TypeVar

from kws.errors import KwsError, RegistryError, needs
from kws.registry.location import Location
from kws.registry.protocols import Row
from kws.registry.runs import Checkpoint

T = TypeVar("T")
_LONGEST_SECONDS = 30.0  # to write, read or remove a state; after 90 s of silence others take the run over
WEIGHTS = "weights"  # in the name of a file, where a checkpoint's has its epoch
_NAME = re.compile(rf"(?P<run>[a-z0-9]+)\.(\d+|{WEIGHTS})\.[0-9a-f]{{8}}\.safetensors")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}  # by schemes of places


class OutOfReachError(RegistryError):
    """The file of a state cannot be read now, though it may well be there: its store is away, or not mounted here."""


class GoneError(RegistryError):
    """The file of a state is not there: a run that trains has replaced its checkpoint, or somebody has removed it."""


class _Registry(Protocol):
    """A registry in which a run is recorded."""

    files: StateFiles | None

    def checkpoint(self, run_id: str) -> Checkpoint | None: ...


class StateFiles:
    """The folder at a URL, or at a path; a path's last folder is made. Raises RegistryError if it cannot be used.

    `option` is the one that names it.
    """

    def __init__(self, place: str, option: str = "--checkpoints") -> None:
        if not place:  # an environment variable that is not set, say
            raise RegistryError(f"{option} names no place; leave it out, or give a folder or a URL")
        self._option = option
        if not is_url(place):
            try:
                folder = Path(place).expanduser().absolute()
                folder.mkdir(exist_ok=True)
            except FileNotFoundError:  # a share that is not mounted here, say
                raise RegistryError(f"{option} {place} cannot be made: there is no {folder.parent}") from None
            except (OSError, RuntimeError) as error:  # the latter where ~ names nobody
                raise RegistryError(f"{option} {place} cannot be made ({_reason(error)})") from None
            place = str(folder)
        else:
            try:
                _system(place)
            except RegistryError as error:
                raise RegistryError(f"{option} {place} cannot be used: {error}") from None
        self.place = place.rstrip("/")
        self.trouble = ""  # why the last one could not be written
        self._last: dict[str, str] = {}  # URLs by run

    def tried(self) -> StateFiles:
        """The same, once a file could be written there. Raises RegistryError if none could."""
        if (url := self.write("kws", 0, b"")) is None:
            raise RegistryError(f"{self._option} {self.place} cannot be used: {self.trouble}")
        why = remove(url, "kws")
        if why and self._option == "--checkpoints":  # of which every run would leave each that it makes
            raise RegistryError(f"{self._option} {self.place} cannot be used: a file there cannot be removed ({why})")
        return self

    def write(self, run_id: str, of: int | str, data: bytes) -> str | None:
        """Write a checkpoint of that epoch, or WEIGHTS; returns the URL.

        None, and `trouble` says why, if it is not whole there.
        """
        url = f"{self.place}/{run_id}.{of}.{secrets.token_hex(4)}.safetensors"
        try:
            _in_time(partial(_written, url, data), late=partial(remove, url, run_id))
        except Exception as error:  # each store has errors of its own
            what = f"the weights of run {run_id}" if of == WEIGHTS else "a checkpoint" if of else "a file"
            self.trouble = f"{what} could not be written to {self.place} ({_reason(error)})"
            return None
        self.trouble = ""
        return url

    def replaced(self, run_id: str, url: str) -> None:
        """Remove the checkpoint before this one, which is recorded now, or which a run is resumed from."""
        before, self._last[run_id] = self._last.get(run_id), url
        if before and before != url:
            remove(before, run_id)

    def ended(self, run_id: str) -> None:
        """Remove the last checkpoint of a run that has ended, and is recorded as such."""
        if last := self._last.pop(run_id, None):
            remove(last, run_id)

    def clear(self, run_id: str) -> None:
        """Remove every checkpoint of a run that is here, whoever wrote it, and whether it is whole."""
        with suppress(Exception):  # as in remove()
            for name in _in_time(partial(_names, self.place, f"{run_id}.*")):
                if not name.startswith(f"{run_id}.{WEIGHTS}."):
                    remove(f"{self.place}/{name}", run_id)


def files_of(checkpoints: str | None, weights: str | None) -> dict[str, Any]:
    """What a Registry is given for these places, None for itself. Raises RegistryError if one cannot be used."""
    return {
        "files": StateFiles(checkpoints) if checkpoints is not None else None,
        "weight_files": StateFiles(weights, "--weights") if weights is not None else None,
    }


def tried(checkpoints: str | None, weights: str | None) -> dict[str, Any]:
    """files_of() places of which each could be written to just now."""
    return {name: files and files.tried() for name, files in files_of(checkpoints, weights).items()}


def is_url(place: str) -> bool:
    """Whether this names a place by a URL, and not by a path."""
    return _SCHEME.match(place) is not None


def url_of(row: Row) -> str | None:
    """The URL in a row of weights or checkpoints, if a file has its bytes; older registries lack the column."""
    return row["url"] if "url" in row.keys() else None  # noqa: SIM118 - a row is no dict


def content(row: Row, run_id: str) -> bytes:
    """The bytes of a run's weights or checkpoint, from its row or from the file that this names.

    Raises OutOfReachError or GoneError if its file cannot be read, and RegistryError for what is none of kws's. A
    registry may come from elsewhere: no other file is read than one that has the name of a state of this run, and none
    at other places than StateFiles writes to.
    """
    if not (url := url_of(row)):
        if not isinstance(kept := row["safetensors"], bytes | memoryview):
            raise RegistryError(f"what is kept is of the type {type(kept).__name__}")
        return bytes(kept)
    if not _is_named(url, run_id):
        raise RegistryError(f"{url} cannot be read (its name is not that of a state of run {run_id})")
    try:
        found = _in_time(partial(_read, url))
    except Exception as error:  # each store has errors of its own
        kind = GoneError if isinstance(error, FileNotFoundError) and _is_place_there(url) else OutOfReachError
        raise kind(f"{url} cannot be read ({_reason(error)})") from None
    return found


def checkpoint(row: Row, run_id: str, place: Location) -> Checkpoint:
    """The checkpoint in a row of the registry at that place.

    Raises OutOfReachError or GoneError if its file cannot be read, and RegistryError if it is damaged.
    """
    advice = "`kws db doctor --fix` removes it, and the run then begins anew"
    try:
        data = content(row, run_id)
    except OutOfReachError as error:
        raise OutOfReachError(f"the checkpoint of run {run_id} in {place}: {error}; try again when it can be") from None
    except RegistryError as error:
        raise type(error)(f"the checkpoint of run {run_id} in {place}: {error}; {advice}") from None
    if hashlib.sha256(data).hexdigest() != row["sha256"] or not isinstance(row["epoch"], int):
        raise RegistryError(
            f"the checkpoint of run {run_id} in {place} is damaged: its SHA-256 does not match; {advice}"
        )
    return Checkpoint(epoch=row["epoch"], data=data, url=row["url"])


def whole(row: Row, run_id: str) -> bytes:
    """content() that has the SHA-256 of its row. Raises RegistryError if it has another."""
    found = content(row, run_id)
    if hashlib.sha256(found).hexdigest() != row["sha256"]:
        raise RegistryError(f"{url_of(row) or 'what is kept'} is damaged: its SHA-256 does not match")
    return found


def remove(url: str, run_id: str) -> str:
    """Remove a state of this run, if it is there; returns why it cannot be removed, "" if it is gone.

    Nothing else is removed, whatever a registry from elsewhere says: only what has the name of this run's states.
    """
    if _is_named(url, run_id):
        try:
            _in_time(partial(_remove, url))
        except FileNotFoundError:
            return ""
        except Exception as error:  # it stays, and harms nobody
            return _reason(error)
    return ""


def _is_named(url: Any, run_id: str) -> bool:
    found = _NAME.fullmatch(url.rpartition("/")[2]) if isinstance(url, str) else None
    return found is not None and found["run"] == run_id


def _in_time(act: Callable[[], T], late: Callable[[], object] = lambda: None) -> T:
    """What `act` returns or raises. Raises TimeoutError if that takes too long; if it succeeds later, late() is called.

    A store that does not answer would otherwise keep a process from telling that it is alive.
    """
    from concurrent.futures import Future

    ended: Future[T] = Future()

    def work() -> None:
        try:
            ended.set_result(act())
        except BaseException as error:
            ended.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    try:
        return ended.result(_LONGEST_SECONDS)
    except BaseException as error:
        is_late = isinstance(error, TimeoutError) and not ended.done()
        ended.add_done_callback(lambda done: done.exception() or late())
        if is_late:
            raise TimeoutError(f"it took longer than {_LONGEST_SECONDS:.0f} s") from None
        raise


def _written(url: str, data: bytes) -> None:
    if is_url(url):
        _system(url).pipe_file(url, data)
    else:
        _write(Path(url), data)


def _remove(url: str) -> None:
    if is_url(url):
        _system(url).rm_file(url)
    else:
        Path(url).unlink(missing_ok=True)


def _names(place: str, pattern: str) -> list[str]:
    if not is_url(place):
        return [each.name for each in Path(place).glob(pattern)]
    system = _system(place)
    system.invalidate_cache()  # it may have listed the place before
    return [PurePath(each).name for each in system.glob(f"{place}/{pattern}")]


def _write(path: Path, data: bytes) -> None:
    """Write a new file so that it survives a power failure; none is left where that fails."""
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _read(url: str) -> bytes:
    if is_url(url):
        found: bytes = _system(url).cat_file(url)
        return found
    path = Path(url)
    if not stat.S_ISREG(path.stat().st_mode):
        raise RegistryError("it is no file")
    return path.read_bytes()


def _is_place_there(url: str) -> bool:
    """Whether the folder of a state, or its bucket, can be seen; where it cannot, nothing is known of the state."""
    if not is_url(url):
        return Path(url).parent.is_dir()
    try:
        system = _system(url)
        bucket = url.partition("://")[2].partition("/")[0]
        return bool(_in_time(partial(system.exists, bucket)))
    except Exception:  # each store has errors of its own
        return False


@contextmanager
def left_behind(
    registry: _Registry, run_id: str, checkpoint: Checkpoint | None, *, again: bool = True
) -> Iterator[None]:
    """Train a run, which goes on from this checkpoint; once it has ended well, no file of its checkpoints is left.

    A run that is trained `again` may have been left by a process that died: with a file half written, or with one that
    the registry does not name. Whatever else ends the training leaves the files: the registry may be another by then.
    """
    yield
    before = checkpoint.url if checkpoint else None
    if not (before or (again and registry.files)):
        return
    with suppress(KwsError):
        now = registry.checkpoint(run_id)
        if before and (now is None or now.url != before):
            remove(before, run_id)
        if again and registry.files and now is None:
            registry.files.clear(run_id)


def _system(url: str) -> Any:
    """The file system of a URL. Raises RegistryError for one of a kind that is not known, or not installed."""
    scheme = url.partition("://")[0].lower()
    if scheme not in _PACKAGES or "::" in url:  # others may name any host, or chain what one reads from the other
        known = ", ".join(f"{each}://" for each in _PACKAGES)
        raise RegistryError(f"give a folder, or a URL that begins with one of {known}")
    try:
        import fsspec  # type: ignore[import-untyped]

        return fsspec.core.url_to_fs(url)[0]
    except ImportError:
        raise RegistryError(needs(f"{scheme}://", "fsspec", _PACKAGES[scheme])) from None
    except Exception as error:
        raise RegistryError(_reason(error)) from None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # the rest names the file once more
    return " ".join(str(error).split()) or type(error).__name__
