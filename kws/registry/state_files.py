"""State files: where the checkpoints and final weights of many machines' runs belong, beside a registry with all else.

Nearly all bytes that a sweep writes are states of its networks. On many machines they go to a place that all of them
reach: a shared folder, or an object store by a URL that fsspec understands (s3://, gs://, az:// ...). The registry
keeps the URL and the SHA-256. Each state is a file of its own, and is referred to only once it is whole: a file that a
process left half written when it died is never read. A checkpoint is removed when a newer one is recorded, and when its
run ends; weights are removed when their run is purged.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from kws.errors import KwsError, RegistryError, needs
from kws.registry.protocols import Row
from kws.registry.runs import Checkpoint

WEIGHTS = "weights"  # in the name of a file, where a checkpoint's has its epoch
_NAME = re.compile(rf"(?P<run>[a-z0-9]+)\.(\d+|{WEIGHTS})\.[0-9a-f]{{8}}\.safetensors")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


class _Registry(Protocol):
    """A registry in which a run is recorded."""

    files: StateFiles | None

    def checkpoint(self, run_id: str) -> Checkpoint | None: ...


class StateFiles:
    """The folder at a URL, or at a path; a path's folder is made. Raises RegistryError if it cannot be used.

    `option` is the one that names it.
    """

    def __init__(self, place: str, option: str = "--checkpoints") -> None:
        if not is_url(place):
            folder = Path(place).expanduser().absolute()
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RegistryError(f"{option} {place} cannot be made ({error.strerror})") from None
            place = str(folder)
        else:
            _system(place, option)
        self.place = place.rstrip("/")
        self.trouble = ""  # why the last one could not be written
        self._last: dict[str, str] = {}  # URLs by run

    def write(self, run_id: str, of: int | str, data: bytes) -> str | None:
        """Write a checkpoint of that epoch, or WEIGHTS; returns the URL.

        None, and `trouble` says why, if it is not whole there.
        """
        url = f"{self.place}/{run_id}.{of}.{secrets.token_hex(4)}.safetensors"
        try:
            if is_url(url):
                _system(url).pipe_file(url, data)
            else:
                with Path(url).open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
        except Exception as error:  # each store has errors of its own
            what = f"the weights of run {run_id}" if of == WEIGHTS else "a checkpoint"
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


def files_of(checkpoints: str | None, weights: str | None) -> dict[str, Any]:
    """What a Registry is given for these places, None for itself. Raises RegistryError if one cannot be used."""
    return {
        "files": StateFiles(checkpoints) if checkpoints else None,
        "weight_files": StateFiles(weights, "--weights") if weights else None,
    }


def is_url(place: str) -> bool:
    """Whether this names a place by a URL, and not by a path."""
    return _SCHEME.match(place) is not None


def url_of(row: Row) -> str | None:
    """The URL in a row of weights or checkpoints, if a file has its bytes; older registries lack the column."""
    return row["url"] if "url" in row.keys() else None  # noqa: SIM118 - a row is no dict


def read(url: str) -> bytes:
    """A state's bytes. Raises RegistryError if there are none."""
    try:
        found: bytes = _system(url).cat_file(url) if is_url(url) else Path(url).read_bytes()
    except KwsError:
        raise
    except Exception as error:  # each store has errors of its own
        raise RegistryError(f"{url} cannot be read ({_reason(error)})") from None
    return found


def remove(url: str, run_id: str) -> None:
    """Remove a state of this run, if it is there and can be removed.

    Nothing else is removed, whatever a registry from elsewhere says: only what has the name of this run's states.
    """
    found = _NAME.fullmatch(url.rpartition("/")[2])
    if found is None or found["run"] != run_id:
        return
    try:
        if is_url(url):
            _system(url).rm_file(url)
        else:
            Path(url).unlink(missing_ok=True)
    except Exception:  # noqa: S110 - it stays, and harms nobody
        pass


@contextmanager
def left_behind(registry: _Registry, run_id: str, checkpoint: Checkpoint | None) -> Iterator[None]:
    """Train a run that goes on from this checkpoint; its file, if it is in one, is removed when the run has ended well.

    For a process without a place for such files: one that has a place removes each file itself. Whatever else ends the
    training leaves the file: the registry may be another by then.
    """
    yield
    if checkpoint and checkpoint.url and not registry.files:
        with suppress(KwsError):
            now = registry.checkpoint(run_id)
            if now is None or now.url != checkpoint.url:
                remove(checkpoint.url, run_id)


def _system(url: str, option: str = "--checkpoints") -> Any:
    """The file system of a URL. Raises RegistryError for one of a kind that is not known, or not installed."""
    scheme = url.partition("://")[0].lower()
    try:
        import fsspec  # type: ignore[import-untyped]

        return fsspec.core.url_to_fs(url)[0]
    except ImportError:
        packages = ["fsspec", *([_PACKAGES[scheme]] if scheme in _PACKAGES else [])]
        raise RegistryError(needs(f"{option} {scheme}://", *packages)) from None
    except Exception as error:
        raise RegistryError(f"{option} {url} cannot be used ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror  # the rest names the file once more
    return " ".join(str(error).split()) or type(error).__name__
