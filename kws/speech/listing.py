"""Listing: what a data source holds now, and the key of its cached features.

The key depends on everything that decides the features: the content of the clips' files, their names, labels, splits
and speakers, the front end, and the versions of the libraries that decode and transform. Listing 12,000 clips that were
seen before takes a quarter of a second and does not need torch, so one process can do it for several.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kws.errors import DataError
from kws.speech import digests
from kws.speech.cache import cache_folder
from kws.speech.folder import NOT_DRAWN, Clip, Folder, draw_classes, read_folder
from kws.speech.front_end import FRONT_END
from kws.speech.progress import Track, untracked
from kws.speech.sources import Source, locate

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

    def found(self) -> dict[str, Any]:
        """What another process needs to load the same data without listing it again, as plain values."""
        return {"key": self.key, "unused": dict(self.unused), "elsewhere": self.elsewhere}


def list_source(
    data: str,
    words: tuple[str, ...],
    speakers: str | None = None,
    *,
    skip_unreadable: bool = False,
    track: Track = untracked,
) -> Listing:
    """The listing of the source that `data` names; `speakers` gives the speakers (see kws.speech.speakers).

    Raises DataError if the source cannot be used.
    """
    source = locate(data, track=track)
    if source.is_arrays:
        if speakers is not None:
            raise DataError(
                f"`speakers` (={speakers}) is about recordings, and {source.folder} holds arrays; leave it out"
            )
        return Listing(source, (), (), _key_of_files(source.folder, words, track))
    folder = read_folder(source.folder, speakers)
    require_listed(folder, source.folder)
    classes, clips = draw_classes(folder.clips, words, source.folder)
    held = digests.of_files(source.folder, [(clip.path, clip.stamp) for clip in clips], track=track)
    unused = folder.unused_counts()
    if len(clips) < len(folder.clips):
        unused[NOT_DRAWN] = len(folder.clips) - len(clips)
    key = _key_of_clips(classes, clips, held, skip_unreadable)
    return Listing(source, classes, clips, key, unused, folder.splits.elsewhere)


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


def _key_of_clips(classes: tuple[str, ...], clips: Sequence[Clip], held: Sequence[bytes], skip_unreadable: bool) -> str:
    depends = [_FORMAT, classes, skip_unreadable, FRONT_END.describe(), _versions()]
    digest = hashlib.sha256(json.dumps(depends, sort_keys=True).encode())
    for clip, content in zip(clips, held, strict=True):
        line = f"{clip.split}/{clip.label}/{clip.word}/{clip.file_name}\0{clip.speaker}\0"
        digest.update(line.encode("utf-8", "surrogateescape") + (content or b"unreadable"))
    return digest.hexdigest()[:32]


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
