"""What a layout (kws/speech/layouts) finds in a folder: a row for each clip, and what it leaves out and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from kws.events import TEST, TRAIN, VALIDATION
from kws.speech.tables import Record, Table
from kws.speech.walk import NO_LABEL, UNREAD

# As Hugging Face's datasets and Kaldi's recipes name splits.
_SPLITS = {
    **dict.fromkeys(("train", "training", "trn"), TRAIN),
    **dict.fromkeys(("validation", "validate", "valid", "val", "dev", "development", "cv"), VALIDATION),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation"), TEST),
}
_EVALUATION = ("eval", "evaluation")


class Row(NamedTuple):
    """One clip as a layout names it."""

    path: str  # below the folder, or as a manifest has it
    word: str
    split: str | None = None
    speaker: str | None = None
    start_s: float | None = None  # in the file
    end_s: float | None = None
    base: str = ""  # the manifest's folder below the data's, with "/" behind it, which its paths may be relative to
    line: str = ""  # where a manifest names it, as "metadata.csv:3"
    below: str = ""  # the path below its word's folder, where there is one


@dataclass(frozen=True, kw_only=True)
class Found:
    """The rows of a layout, the files that they were read from, and what was left out."""

    title: str
    rows: list[Row]
    read: tuple[str, ...] = ()  # files, below the folder
    otherwise: str = "outside the words' folders"  # why a recording that no row names is not used
    reasons: Mapping[str, str] = field(default_factory=dict)  # of folders that have another reason, by their paths
    lines: Mapping[str, list[str]] = field(default_factory=dict)  # lines of manifests that name no clip, by reason
    lists: str = ""  # the folder of validation_list.txt and testing_list.txt, below the data's
    unknown_splits: tuple[str, ...] = ()  # what is given as a split, and stands for none
    by_folder: bool = False  # whether folders and file names say what clips are, and not a manifest

    @property
    def splits(self) -> int:
        """How many splits it gives."""
        return len({row.split for row in self.rows} - {None})


def splits_named(names: Iterable[str]) -> dict[str, str]:
    """The split that each of these names stands for, without those that stand for none.

    "eval" is the test split, or the validation split where another name is the test split and none is that.
    """
    names = [*names]
    found = {name: _SPLITS[name.lower()] for name in names if name.lower() in _SPLITS}
    evaluation = [name for name in found if name.lower() in _EVALUATION]
    others = {split for name, split in found.items() if name not in evaluation}
    if TEST in others and VALIDATION not in others:
        found |= dict.fromkeys(evaluation, VALIDATION)
    return found


def splits_in(names: Iterable[str]) -> dict[str, str]:
    """The split in each of these files' names, as in "train_manifest.json", without those that have none."""
    parts = {name: [part for part in re.split(r"[^A-Za-z]+", name.rpartition("/")[2]) if part] for name in names}
    known = splits_named({part for each in parts.values() for part in each})
    found = {name: {known[part] for part in each if part in known} for name, each in parts.items()}
    return {name: splits.pop() for name, splits in found.items() if len(splits) == 1}


def of_tables(title: str, tables: Mapping[str, Table], splits: Mapping[str, str], otherwise: str) -> Found:
    """What manifests name, by their paths below the folder, and the lines that name no clip, by reason.

    `splits` are those of whole manifests. A duration without an end belongs to the file, unless the file is named with
    a later start, or several times.
    """
    rows: list[Row] = []
    lines: dict[str, list[str]] = {}
    given = {record.split for table in tables.values() for record in table.records if record.split}
    named = splits_named(given)
    for name, table in tables.items():
        base = name[: name.rfind("/") + 1]
        times = Counter(record.path for record in table.records)
        for record in table.records:
            line = f"{name}:{record.line}"
            if record.label is None:
                lines.setdefault(NO_LABEL, []).append(line)
                continue
            start, end = _extent(record, is_cut=times[record.path] > 1)
            if end is not None and end <= (start or 0):
                lines.setdefault(UNREAD, []).append(line)
                continue
            split = named.get(record.split or "") or splits.get(name)
            rows.append(Row(record.path, record.label, split, record.speaker, start, end, base, line))
        for number in table.unread:
            lines.setdefault(UNREAD, []).append(f"{name}:{number}")
    return Found(
        title=title,
        rows=rows,
        read=tuple(tables),
        otherwise=otherwise,
        lines=lines,
        unknown_splits=tuple(sorted(given - {*named})),
    )


def _extent(record: Record, *, is_cut: bool) -> tuple[float | None, float | None]:
    """Where a clip begins and ends in its file; None where that is the file's own beginning or end."""
    start, end = record.start_s or None, record.end_s
    if end is None and record.duration_s is not None and (start or is_cut):
        end = (start or 0.0) + record.duration_s
    return start, end
