"""The data sources by name: the values of `--data`, and the folder of each.

A source is a folder of recordings, a manifest that names recordings, or a folder of the course's arrays. Built-in
sources are generated or downloaded into the cache on first use, and are folders of recordings from then on.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kws.errors import DataError
from kws.events import NOISE
from kws.speech import archives, arrays, synthetic
from kws.speech.cache import cache_folder
from kws.speech.progress import Track, untracked
from kws.speech.tree import kind_of
from kws.speech.walk import NO_AUDIO


@dataclass(frozen=True)
class Source:
    """A folder to read, or a manifest in it, and its name in tables."""

    name: str
    folder: Path
    manifest: Path | None = None

    @property
    def place(self) -> Path:
        """The manifest, or the folder where there is none."""
        return self.manifest or self.folder

    @property
    def noise(self) -> Path:
        """The folder of its noise recordings, whether it is there or not; Kaggle's lies beside the words."""
        places = (self.folder / below / NOISE for below in ("train/audio", "audio"))
        return next((place for place in places if place.is_dir()), self.folder / NOISE)

    @property
    def is_arrays(self) -> bool:
        """Whether it holds the course's arrays rather than recordings."""
        return self.manifest is None and arrays.is_arrays_folder(self.folder)


def names() -> list[str]:
    """The sources that need no folder."""
    return [synthetic.NAME, *archives.ARCHIVES]


@dataclass(frozen=True)
class Entry:
    """One line of `kws data list`: a source that needs no folder from the user."""

    name: str
    title: str
    folder: Path
    is_there: bool

    def record(self) -> dict[str, str | bool]:
        """As JSON."""
        return {"source": self.name, "title": self.title, "folder": str(self.folder), "there": self.is_there}


def catalogue() -> list[Entry]:
    """The sources that need no folder, with the folder in the cache and whether it is there."""
    cache = cache_folder()
    spoken = cache / f"{synthetic.NAME}-v{synthetic.VERSION}"
    return [
        Entry(synthetic.NAME, "synthetic speech by eSpeak NG, made on first use (built in)", spoken, spoken.is_dir()),
        *(
            Entry(archive.name, archive.title, cache / archive.name, archives.is_there(archive, cache))
            for archive in archives.ARCHIVES.values()
        ),
    ]


def is_here(data: str) -> bool:
    """Whether a source can be read now, without a download; the built-in speech is made where it is needed."""
    archive = archives.ARCHIVES.get(data)
    return archives.is_there(archive, cache_folder()) if archive else data == synthetic.NAME or Path(data).exists()


def locate(data: str, *, track: Track = untracked) -> Source:
    """The source named `data`, or the folder or manifest `data`.

    Built-in sources are generated or downloaded on first use. Raises DataError if there is neither.
    """
    cache = cache_folder()
    if data == synthetic.NAME:
        return Source(f"{synthetic.NAME} speech", synthetic.folder(cache, track=track))
    if data in archives.ARCHIVES:
        return Source(data, archives.folder(archives.ARCHIVES[data], cache, track=track))
    try:
        folder = Path(data).expanduser()
        may_be = folder.is_dir() or (folder.is_file() and kind_of(folder.name, "") == NO_AUDIO)
        what = "" if may_be else "is not a folder" if folder.exists() else "does not exist"
    except (OSError, RuntimeError) as error:  # unknown user, name too long, no access to a parent folder
        what = f"cannot be looked up ({getattr(error, 'strerror', None) or error})"
    if what:
        raise DataError(
            f"the data folder {data} {what}; give a folder of recordings, a manifest, or one of {', '.join(names())}"
        )
    if folder.is_file():
        return Source(folder.name, folder.parent, folder)
    return Source(folder.resolve().name, folder)
