"""Reads the tables of a file that may hold a paper's: LaTeX, Markdown, text or CSV, cell by cell as plain text.

kws.reports.checking says what a cell means.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from kws.errors import RegistryError
from kws.reports.latex_tables import latex
from kws.reports.markdown_tables import markdown
from kws.reports.written_tables import FileTable, Said

_LARGEST = 4_000_000  # bytes; a paper is less


def read(path: Path) -> list[FileTable]:
    """The tables of a file, by its suffix: .tex, .md (or .markdown, .txt), .csv.

    Raises RegistryError if the suffix is another, or if the file cannot be read, is too large or holds no table.
    """
    readers = {".tex": latex, ".md": markdown, ".markdown": markdown, ".txt": markdown, ".csv": _csv}
    if path.suffix.lower() not in readers:
        raise RegistryError(
            f"`check` (={str(path)!r}) must end in .tex, .md or .csv, so that it is known how to read it"
        )
    try:
        data = path.read_bytes() if path.stat().st_size <= _LARGEST else None
    except OSError as error:
        raise RegistryError(f"{path} cannot be read ({error.strerror})") from None
    if data is None:
        raise RegistryError(f"{path} is larger than {_LARGEST:,} bytes; put its table into a file of its own")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RegistryError(f"{path} is not text in UTF-8") from None
    found = list(readers[path.suffix.lower()](text.replace("\r\n", "\n")))
    if not found:
        raise RegistryError(f"{path} has no table")
    return found


def _csv(text: str) -> Iterator[FileTable]:
    try:
        head, *rows = [row for row in csv.reader(io.StringIO(text, newline="")) if row] or [[]]
    except csv.Error:
        return
    if rows and len(head) > 1:
        made = tuple(tuple(Said(cell.strip()) for cell in row) for row in rows)
        yield FileTable(columns=tuple(head), rows=made)
