"""Pages that a command writes: one HTML file, whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path

from kws.errors import PageError

_ENDINGS = (".html", ".htm")


def require_html(path: Path, option: str, example: str) -> None:
    """Raise PageError for a file whose name does not end as a page's; `example` is a command that has one."""
    if path.suffix.lower() not in _ENDINGS:
        raise PageError(f"`{option}` (={str(path)!r}) must end in .html, as in `{example}`")


def require_place(path: Path) -> None:
    """Raise PageError where no file can be, before the work that it would show."""
    if path.is_dir() or not path.parent.is_dir():
        what = "it is a folder" if path.is_dir() else f"there is no folder {path.parent}"
        raise PageError(f"{path} cannot be written ({what}); name a file in a folder that can be written")


def write(path: Path, text: str) -> None:
    """Write the file whole, or leave what was there; raises PageError where it cannot be written."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        new.write_text(text, encoding="utf-8", newline="\n")
        new.replace(path)
    except OSError as error:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise PageError(
            f"{path} cannot be written ({error.strerror or error}); name a file in a folder that can be written"
        ) from None
