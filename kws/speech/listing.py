"""Listing: what a data source holds now, and the key of its cached features.

The key depends on everything that decides the features: the content of the clips' files, their names, labels, splits
and speakers, which second of longer ones is used, the front end, and the versions of the libraries that decode and
transform. Listing 12,000 clips that were
seen before takes a quarter of a second and does not need torch, so one process can do it for several.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from kws.errors import DataError
from kws.events import NOISE, NOT_DRAWN, OTHER, UNKNOWN, keywords_of
from kws.recipe import ENERGY, FIRST, TASK, Config, dashed
from kws.recipe.partition import Partition
from kws.speech import digests, longer
from kws.speech.cache import cache_folder
from kws.speech.classes import Assigned, in_order
from kws.speech.folder import Clip, Folder, read_folder
from kws.speech.front_end import FRONT_END
from kws.speech.layouts.folder_a_word import TITLE as FOLDER_A_WORD
from kws.speech.names import joined
from kws.speech.partly import assigned_partly
from kws.speech.progress import Track, untracked
from kws.speech.silence import IN_NOISE
from kws.speech.sources import Source, locate
from kws.speech.unheard import clips_of

_FORMAT = 2  # increase it when older cached features can no longer be read, or would come out different


@dataclass(frozen=True)
class Listing:
    """A source, its classes and clips in order (both empty for the course's arrays), and its features' key."""

    source: Source
    classes: tuple[str, ...]
    clips: Sequence[Clip]
    key: str
    unused: Mapping[str, int] = field(default_factory=dict)  # files and folders not used, by reason
    elsewhere: int = 0  # clips in the lists whose words are not in the folder
    said: tuple[str, ...] = ()  # what the layout is, where it is not one folder per word, and which words were joined
    draw: str = NOT_DRAWN  # how the clips of "other" were chosen
    align: str = FIRST  # which second of longer clips is used

    def found(self) -> dict[str, Any]:
        """What another process needs to load the same data without listing it again, as plain values."""
        tested_on = next((clip.of for clip in self.clips if clip.of), "")
        about = {"key": self.key, "unused": dict(self.unused), "elsewhere": self.elsewhere, "tested_on": tested_on}
        return about | {"said": list(self.said), "align": self.align}


def list_source(
    data: str,
    task: Config,
    speakers: str | None = None,
    pattern: str | None = None,
    *,
    align: str = FIRST,
    partition: Partition | None = None,
    skip_unreadable: bool = False,
    track: Track = untracked,
    unheard: bool = False,
    some_of: tuple[str, ...] = (),
) -> Listing:
    """The listing of the source that `data` names, with the classes of a task (kws/speech/tasks) by its Config.

    `speakers` gives the speakers (see kws.speech.speakers), `pattern` describes file names that carry the label,
    `align` is which second of longer clips is used, and `partition` is other splits than the data's own. With
    `unheard` it is the listing of the words that the task leaves out (see kws.speech.unheard). `some_of` are the
    classes of a run of this task, of which the source may have some alone (see kws.speech.partly). Raises DataError if
    the source cannot be used.
    """
    source = locate(data, track=track)
    if source.is_arrays:
        if left_out_by(task):
            raise DataError(
                f"--leave-out needs recordings in folders named after their words, and {source.folder} holds arrays"
            )
        for name, value in (("speakers", speakers), ("pattern", pattern)):
            if value is not None:
                raise DataError(
                    f"`{name}` (={value}) is about recordings, and {source.folder} holds arrays; leave it out"
                )
        if partition is not None:
            raise DataError(
                f"--split and --fold are about recordings, and {source.folder} holds arrays, whose splits are their "
                "own; leave it out"
            )
        return Listing(source, (), (), _key_of_files(source.folder, columns(task, source.folder), track))
    folder = read_folder(source.place, speakers, pattern, partition=partition, align=align, track=track)
    require_listed(folder, source.folder)
    found = _unheard(folder, task) if unheard else assigned(folder, task, some_of=some_of, track=track)
    held = digests.of_files(source.folder, [(clip.path, clip.stamp) for clip in found.clips], track=track)
    key = _key_of_clips(found.classes, found.clips, held, skip_unreadable, align)
    unused, said = _unused(folder, found), _said(folder, found.classes)
    elsewhere = folder.splits.elsewhere
    return Listing(source, found.classes, found.clips, key, unused, elsewhere, said, folder.draw, align)


def assigned(folder: Folder, task: Config, *, some_of: tuple[str, ...] = (), track: Track = untracked) -> Assigned:
    """What a task makes of a folder.

    Raises DataError for what it lacks; with the classes of a run, `some_of`, only where it has none of them.
    """
    try:
        found: Assigned = _file_of(task).assign(folder, task, track)
    except DataError:
        if not some_of or getattr(task, "test_data", None) is not None:
            raise
    else:
        if not some_of or found.classes == some_of:
            return found
    return assigned_partly(folder, task, some_of)


def left_out_by(task: Config) -> tuple[str, ...]:
    """The words that a task keeps from training; none for a task that has no such option."""
    words: tuple[str, ...] = getattr(task, "leave_out", ())
    return words


def _unheard(folder: Folder, task: Config) -> Assigned:
    """All clips of the words that a task leaves out, each of the class that other words make."""
    classes: tuple[str, ...] = _file_of(task).classes(task)
    label = next(label for label, name in enumerate(classes) if name in (OTHER, UNKNOWN))
    clips = clips_of(folder.clips, left_out_by(task), keywords_of(classes), folder.place)
    return Assigned(classes=classes, clips=in_order([clip.labelled(label) for clip in clips]))


def columns(task: Config, place: Path) -> tuple[str, ...]:
    """The words of the first columns of the course's arrays. Raises DataError for a task that needs recordings."""
    if not hasattr(_file_of(task), "columns"):
        name = dashed(task.NAME)
        raise DataError(
            f"--task {name} needs recordings in folders named after their words, and {place} holds arrays; "
            f"--task {TASK.default} takes them"
        )
    words: tuple[str, ...] = _file_of(task).columns(task)
    return words


def _file_of(task: Config) -> ModuleType:
    return TASK.part(task.NAME).load()


def _unused(folder: Folder, found: Assigned) -> dict[str, int]:
    """The number of files that are not used, by reason."""
    unused = folder.unused_counts()
    if recordings := len({clip.path for clip in found.clips if clip.word == NOISE}):
        unused[IN_NOISE] -= recordings
    return {reason: count for reason, count in (unused | dict(found.not_used)).items() if count}


def _said(folder: Folder, classes: tuple[str, ...]) -> tuple[str, ...]:
    about = () if folder.layout == FOLDER_A_WORD else (folder.found, *folder.said)
    words = joined((clip.word for clip in folder.clips), keywords_of(classes), mark="/" if folder.by_folder else "")
    return (*about, *words)


def require_listed(folder: Folder, place: Path) -> None:
    """Raise DataError if a list names a clip that is missing although its word is there."""
    missing = folder.splits.missing
    if missing:
        more = f" and {len(missing) - 1:,} more clips" if len(missing) > 1 else ""
        raise DataError(
            f"the lists of {place} name {missing[0]}{more}, of a word that is there, but no recording of that name "
            f"can be used; put it there or delete its line (`kws data check {place}` names all)"
        )


def features_folder(key: str) -> Path:
    """The folder of the cached features with that key, whether it exists or not."""
    return cache_folder() / "features" / key


def _key_of_clips(
    classes: tuple[str, ...], clips: Sequence[Clip], held: Sequence[bytes], skip_unreadable: bool, align: str
) -> str:
    """The key; where only the features for the other `align` are there, and are the same, the key of those."""
    depends = [_FORMAT, classes, skip_unreadable, FRONT_END.describe(), _versions()]
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode())
    for clip, content in zip(clips, held, strict=True):
        cut = "" if clip.at_ms is None else f"@{clip.at_ms}"
        line = f"{clip.split}/{clip.label}/{clip.word}/{clip.file_name}{cut}\0{clip.speaker}\0"
        if clip.content:
            line += f"{clip.content}\0{clip.end_ms}\0"
        digest.update(line.encode("utf-8", "surrogateescape") + (content or b"unreadable"))
    first = digest.hexdigest()[:32]
    by_energy = hashlib.sha256(f"{first} {ENERGY}".encode()).hexdigest()[:32]
    own, other = (first, by_energy) if align == FIRST else (by_energy, first)
    is_there = features_folder(own).exists()
    return other if not is_there and longer.has_none(features_folder(other)) else own


def _key_of_files(folder: Path, words: tuple[str, ...], track: Track) -> str:
    try:
        files = sorted((str(file), digests.Stamp.of(file.stat())) for file in folder.glob("*.p"))
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read ({error.strerror})") from None
    held = digests.of_files(folder, files, track=track)
    names = [Path(path).name for path, _ in files]
    digest = hashlib.sha256(json.dumps([_FORMAT, words, names]).encode())
    digest.update(b"".join(content or b"unreadable" for content in held))
    return digest.hexdigest()[:32]


def _versions() -> dict[str, str]:
    return {package: version(package) for package in ("torch", "soundfile", "soxr")}
