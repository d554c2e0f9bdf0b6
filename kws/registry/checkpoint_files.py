"""Checkpoint files: where the checkpoints of many machines' runs belong, beside a registry that keeps all else.

Nearly all bytes that a sweep writes are checkpoints. On many machines they go to a place that all of them reach: a
shared folder, or an object store by a URL that fsspec understands (s3://, gs://, az:// ...). The registry keeps the
URL, the SHA-256 and the epoch. Each checkpoint is a file of its own, and is referred to only once it is whole: a file
that a process left half written when it died is never read. A file is removed when a newer one is recorded, and when
its run ends.
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
from kws.registry.runs import Checkpoint

_NAME = re.compile(r"(?P<run>[a-z0-9]+)\.\d+\.[0-9a-f]{8}\.safetensors")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_PACKAGES = {"s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}


class _Registry(Protocol):
    """A registry in which a run is recorded."""

    files: CheckpointFiles | None

    def checkpoint(self, run_id: str) -> Checkpoint | None: ...


class CheckpointFiles:
    """The folder at a URL, or at a path; a path's folder is made. Raises RegistryError if it cannot be used."""

    def __init__(self, place: str) -> None:
        if not is_url(place):
            folder = Path(place).expanduser().absolute()
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RegistryError(f"--checkpoints {place} cannot be made ({error.strerror})") from None
            place = str(folder)
        else:
            _system(place)
        self.place = place.rstrip("/")
        self.trouble = ""  # why the last checkpoint could not be written
        self._last: dict[str, str] = {}  # URLs by run

    def write(self, run_id: str, epoch: int, data: bytes) -> str | None:
        """Write a checkpoint; returns its URL. None, and `trouble` says why, if it is not whole there."""
        url = f"{self.place}/{run_id}.{epoch}.{secrets.token_hex(4)}.safetensors"
        try:
            if is_url(url):
                _system(url).pipe_file(url, data)
            else:
                with Path(url).open("xb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
        except Exception as error:  # each store has errors of its own
            self.trouble = f"a checkpoint could not be written to {self.place} ({_reason(error)})"
            return None
        self.trouble = ""
        return url

    def replaced(self, run_id: str, url: str) -> None:
        """Remove the checkpoint before this one, which is recorded now, or which a run is resumed from."""
        before, self._last[run_id] = self._last.get(run_id), url
        if before and before != url:
            remove(before, run_id)


def is_url(place: str) -> bool:
    """Whether this names a place by a URL, and not by a path."""
    return _SCHEME.match(place) is not None


def read(url: str) -> bytes:
    """A checkpoint's bytes. Raises RegistryError if there are none."""
    try:
        found: bytes = _system(url).cat_file(url) if is_url(url) else Path(url).read_bytes()
    except KwsError:
        raise
    except Exception as error:  # each store has errors of its own
        raise RegistryError(f"{url} cannot be read ({_reason(error)})") from None
    return found


def remove(url: str, run_id: str) -> None:
    """Remove a checkpoint of this run, if it is there and can be removed.

    Nothing else is removed, whatever a registry from elsewhere says: only what has the name of this run's checkpoints.
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


def _system(url: str) -> Any:
    """The file system of a URL. Raises RegistryError for one of a kind that is not known, or not installed."""
    scheme = url.partition("://")[0].lower()
    try:
        import fsspec  # type: ignore[import-untyped]

        return fsspec.core.url_to_fs(url)[0]
    except ImportError:
        packages = ["fsspec", *([_PACKAGES[scheme]] if scheme in _PACKAGES else [])]
        raise RegistryError(needs(f"--checkpoints {scheme}://", *packages)) from None
    except Exception as error:
        raise RegistryError(f"--checkpoints {url} cannot be used ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
