"""Reads a table of clips: CSV, TSV and the like, with or without a header, or JSON lines.

Decisions:
- Columns are known by their names, in any case; of several, the first in the lists below counts. Without a header, the
  column whose values end like recordings has the paths, and the next one the labels.
- Every line stands for itself: one that cannot be read is counted, and costs no other. A line has at most MOST_LINE
  characters and a file at most MOST_BYTES bytes.
- Bytes that are not UTF-8 stay what they are, as in file names. UTF-16 is read where it is marked.
- Nothing that a table holds is ever run.
"""

from __future__ import annotations

import codecs
import csv
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from kws.errors import DataError
from kws.speech.tree import kind_of

PATHS = (
    *("file_name", "path", "audio_filepath", "filename", "file", "filepath", "file_path", "audio_path", "audio"),
    *("wav_file", "wav_filename", "wav_path", "wav", "fname", "clip", "relative_path", "audio_file", "recording"),
)
LABELS = (
    *("label", "command", "word", "keyword", "labels", "class", "class_name", "category", "target"),
    *("text", "transcript", "transcription", "sentence"),
)
SPEAKERS = ("speaker", "speaker_id", "speakerid", "spk", "spk_id", "client_id", "user", "user_id", "speaker_name")
SPLIT_COLUMNS = ("split", "set", "subset", "partition")
STARTS, ENDS = ("start", "offset", "begin", "start_s", "start_time", "onset"), ("end", "stop", "end_s", "end_time")
DURATIONS = ("duration", "dur", "duration_s")
_COLUMNS = (PATHS, LABELS, SPEAKERS, SPLIT_COLUMNS, STARTS, ENDS, DURATIONS)  # of a Record
MOST_BYTES, MOST_LINE, MOST_SECONDS = 2**30, 2**16, 1e7
_PEEKED = 2**16  # bytes of a file that are looked at to know what it is
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DELIMITERS = "\t,;|"


class Record(NamedTuple):
    """One line that names a clip; None for what it does not give."""

    line: int  # from 1
    path: str
    label: str | None
    speaker: str | None
    split: str | None
    start_s: float | None
    end_s: float | None
    duration_s: float | None


@dataclass
class Table:
    """What a file holds: the names of its columns, its records, and the numbers of lines that cannot be read."""

    columns: tuple[str, ...] = ()
    records: list[Record] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)

    @property
    def names_clips(self) -> bool:
        """Whether it has a column of paths and one of labels."""
        return _first(self.columns, PATHS) is not None and _first(self.columns, LABELS) is not None


def read(path: Path) -> Table:
    """The whole table in a file. Raises DataError if it cannot be read, or has more than MOST_BYTES."""
    return _table(_lines(text_of(path)))


def peeked(path: Path) -> Table:
    """The table in the beginning of a file, to know what it is; an empty one if the file cannot be read."""
    try:
        if not path.is_file():
            return Table()
        with path.open("rb") as file:
            data = file.read(_PEEKED)
    except (OSError, ValueError):
        return Table()
    lines = _lines(_decoded(data))
    return _table(lines[:-1] if len(data) == _PEEKED and len(lines) > 1 else lines)


def text_of(path: Path) -> str:
    """A file's text. Raises DataError if it is no file, cannot be read, or has more than MOST_BYTES."""
    try:
        if not path.is_file():  # reading a pipe would block
            raise DataError(f"{path} cannot be read as a list of clips (it is no file)")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read as a list of clips ({reason})") from None
    if len(data) > MOST_BYTES:
        raise DataError(f"{path} is larger than a list of clips may be ({MOST_BYTES >> 30} GiB); split it")
    return _decoded(data)


def seconds(value: Any) -> float | None:
    """A time in seconds; None where there is none. Raises ValueError for one that cannot be."""
    if value is None or value == "":
        return None
    if isinstance(value, bool | list | dict):
        raise ValueError
    try:
        number = float(value)
    except OverflowError:
        raise ValueError from None
    if math.isnan(number) and isinstance(value, float):
        return None
    if not 0 <= number <= MOST_SECONDS:
        raise ValueError
    return number


def _decoded(data: bytes) -> str:
    if data.startswith(_UTF_16):
        return data.decode("utf-16", "replace").lstrip("\ufeff")
    return data.decode("utf-8", "surrogateescape").lstrip("\ufeff")


def _lines(text: str) -> list[str]:
    return re.split("\r\n|\n|\r", text)


def _table(lines: Sequence[str]) -> Table:
    first = next((line.strip() for line in lines if line.strip()), "")
    return _json_lines(lines) if first.startswith(("{", "[")) else _delimited(lines)


def _json_lines(lines: Sequence[str]) -> Table:
    """JSON lines, or one array of objects."""
    table, columns = Table(), dict[str, None]()
    for number, value in _objects(lines, table):
        columns |= dict.fromkeys(value)
        _add(table, number, tuple(value), list(value.values()))
    table.columns = tuple(_plain(name) for name in columns)
    return table


def _objects(lines: Sequence[str], table: Table) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects with their lines, or with their places in an array."""
    if next(line for line in lines if line.strip()).lstrip().startswith("["):
        array = _parsed("\n".join(lines))
        values = array if isinstance(array, list) else [None]
    else:
        values = [_parsed(line) if line.strip() and len(line) <= MOST_LINE else line.strip() for line in lines]
    for number, value in enumerate(values, start=1):
        if isinstance(value, dict):
            yield number, value
        elif value != "":
            table.unread.append(number)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # of numbers with thousands of digits, too
        return None


def _delimited(lines: Sequence[str]) -> Table:
    table = Table()
    some = [line for line in lines[:20] if line.strip() and len(line) <= MOST_LINE]
    delimiter = next((mark for mark in _DELIMITERS if some and all(mark in line for line in some[:2])), ",")
    columns: tuple[str, ...] | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        row = _row(line, delimiter)
        if row is None:
            table.unread.append(number)
            continue
        if columns is None:
            columns = _header(row)
            table.columns = tuple(map(_plain, columns))
            if not any(kind_of(cell, "") == "" for cell in row):
                continue
        _add(table, number, columns, row)
    return table


def _row(line: str, delimiter: str) -> list[str] | None:
    if len(line) > MOST_LINE or "\0" in line:
        return None
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter, skipinitialspace=True))]
    except (csv.Error, StopIteration):
        return None


def _header(row: Sequence[str]) -> tuple[str, ...]:
    """The columns' names: those in a first row, or path and label where that has a recording's name already."""
    at = next((place for place, cell in enumerate(row) if kind_of(cell, "") == ""), None)
    if at is None:
        return tuple(row)
    label = next((place for place in (*range(at + 1, len(row)), *range(at)) if row[place]), None)
    return tuple({at: "path", label: "label"}.get(place, "") for place in range(len(row)))


def _add(table: Table, number: int, columns: tuple[str, ...], values: Sequence[Any]) -> None:
    """Add the record in a line, or its number to those that cannot be read."""
    places = _places(columns)
    found = [values[at] if at is not None and at < len(values) else None for at in places]
    path, label, speaker, split = (_text(value) for value in found[:4])
    try:
        times = [seconds(value) for value in found[4:]]
    except ValueError:
        path = None
    if path is None or "\0" in path or len(path) > MOST_LINE:
        table.unread.append(number)
    else:
        table.records.append(Record(number, path, label and label[:MOST_LINE], speaker, split, *times))


@lru_cache(64)
def _places(columns: tuple[str, ...]) -> tuple[int | None, ...]:
    """The place of each of a record's values among the columns."""
    return tuple(_first(columns, names) for names in _COLUMNS)


def _text(value: Any) -> str | None:
    """A value as text; None for an empty one, or one that is no text or number."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):  # as in Hugging Face's {"path": ..., "bytes": ...}
        value = value.get("path")
    if not isinstance(value, str | int | float):
        return None
    try:
        return str(value).strip() or None
    except ValueError:  # a number of thousands of digits
        return None


def _first(columns: Sequence[str], names: Sequence[str]) -> int | None:
    """The place of the column with the first of these names that is there; None for none."""
    plain = [_plain(column) for column in columns]
    return next((plain.index(name) for name in names if name in plain), None)


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace("-", "_")
