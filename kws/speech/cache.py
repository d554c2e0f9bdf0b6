"""Where downloads, built-in speech and features are kept, and how a folder appears there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kws.errors import DataError


def cache_folder() -> Path:
    """$KWS_CACHE, else the user's cache folder for kws."""
    if chosen := os.environ.get("KWS_CACHE"):
        return Path(chosen)
    import platformdirs

    return platformdirs.user_cache_path("kws")


@contextmanager
def published(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its name when the body ends, and is removed if the body fails.

    Several processes may do this at once: the first to end wins, the others' work is discarded. Raises DataError
    where the place cannot be written.
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
