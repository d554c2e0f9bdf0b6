"""Names of words and clips: which names are the same, and which clips of a folder a line of a list refers to.

Decisions:
- Words are the same if they differ only in case, in Unicode composition, or in spaces around them or doubled. An exact
  match has priority, so "Weg" and "weg" can be two words if both are requested.
- A clip's name is its path below the folder, without the ending.
- A line of a list may come from any system: with backslashes, "./", another case, quotes, an absolute path or the
  folder's own name in front, and further columns behind. It refers to the clip with exactly that name; else to the one
  with that name in another spelling; else to the one whose name the line ends with; else, if the line has no folder, to
  all clips with that file name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kws.recipe.wording import listed
from kws.speech.decode import OTHER_AUDIO, SUFFIXES

_AUDIO = frozenset((*SUFFIXES, *OTHER_AUDIO))
_QUOTES = ('"', "'")
_LEFT_OUT = ("", ".")
_SHOWN = 5
_UNUSUAL = re.compile("[\\\\,;\t\"'#\ufeff]|[.][.]")


def without_ending(name: str) -> str:
    """A clip's name without its ending, so that a list of .wav files also fits the same clips kept as FLAC."""
    stem, dot, _ = name.rpartition(".")
    return stem if dot else name


def folded(name: str) -> str:
    """The name composed (Unicode NFC), in lower case and with single spaces, the same for all its spellings."""
    lower = name.lower() if name.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).lower())
    return " ".join(lower.split()) if any(map(str.isspace, lower)) else lower


def labels_of(folders: Iterable[str], words: Sequence[str]) -> dict[str, int]:
    """The index into `words` of each folder that holds one of them, by folder name; other folders are left out."""
    exact = {word: place for place, word in enumerate(words)}
    spellings = [folded(word) for word in words]
    close = {spelling: place for place, spelling in enumerate(spellings) if spellings.count(spelling) == 1}
    found = {folder: exact.get(folder, close.get(folded(folder))) for folder in folders}
    return {folder: place for folder, place in found.items() if place is not None}


def one_word(folders: Iterable[str]) -> dict[str, str]:
    """Each folder's word. Folders of the same word get the name that sorts last, as "yes" after "Yes"."""
    by_spelling: dict[str, str] = {}
    names = sorted(set(folders))
    for name in names:
        by_spelling[folded(name)] = name
    return {name: by_spelling[folded(name)] for name in names}


def joined(names: Iterable[str], words: Sequence[str] | None = None, *, mark: str = "") -> list[str]:
    """Sentences on which of these names were joined to one word, and which look like one and were kept apart.

    `mark` follows a name, as "/" does a folder's. With `words`, the keywords, only what concerns them is said.
    """
    by_spelling: dict[str, list[str]] = {}
    for name in sorted(set(names)):
        by_spelling.setdefault(folded(name), []).append(name)
    labels = labels_of((name for group in by_spelling.values() for name in group), words or ())
    looks: dict[str, list[str]] = {}
    lines = []
    for spelling, group in by_spelling.items():
        looks.setdefault(_looks(spelling), []).append(group[-1])
        meant = {labels.get(name) for name in group}
        if len(group) == 1 or (words is not None and meant == {None}):
            continue
        shown = _listed(group, mark)
        if len(meant) > 1:
            lines.append(f"{shown} are kept apart, since --words names them so")
        else:
            label = meant.pop()
            lines.append(f"{shown} are one word: joined as {group[-1] if label is None or not words else words[label]}")
    alike = (group for group in looks.values() if len(group) > 1)
    lines += [
        f"{_listed(group, mark)} look alike and are kept apart, as {len(group)} words"
        for group in alike
        if words is None or any(name in labels for name in group)
    ]
    return lines if len(lines) <= _SHOWN else [*lines[:_SHOWN], f"and {len(lines) - _SHOWN:,} more such names"]


def _looks(spelling: str) -> str:
    """A spelling without what the eye hardly sees: signs between words, widths of letters, and accents' encodings."""
    return re.sub(r"[\s_.-]+", "", unicodedata.normalize("NFKC", spelling).casefold())


def _listed(names: Sequence[str], mark: str) -> str:
    shown = [f"{name!r}{mark}" if name != " ".join(name.split()) else f"{name}{mark}" for name in names]
    return listed(shown) + (
        " (composed in two ways)" if len({unicodedata.normalize("NFC", name) for name in names}) == 1 else ""
    )


class Finder:
    """Finds the clips that a line refers to, among those with these names (word/.../file without ending)."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._exact = {name: place for place, name in enumerate(names)}
        self._words: set[str] = set()
        self._by_spelling: Mapping[str, list[int]] | None = None
        self._by_file: dict[str, list[int]] = {}
        self._folders: set[str] = set()
        self._foreign: dict[str, bool] = {}
        self._depth = 0  # parts of the longest name

    def find(self, line: str) -> list[int]:
        """The indices of the clips that a line refers to; empty if there are none."""
        if (exact := self._exact.get(without_ending(line))) is not None:
            return [exact]
        self._index()
        if self._is_foreign(line):
            return []
        for parts in _readings(line):
            if found := self._find(parts):
                return found
        return []

    def has_word(self, line: str) -> bool:
        """Whether a line that refers to no clip contains a word that is there."""
        self._index()
        if self._is_foreign(line):
            return False
        for parts in _readings(line):
            folders = [folded(part) for part in parts[:-1]]
            if not folders:
                continue
            if folders[0] in self._words or folders[-1] in self._words:
                return True
            if any("/".join(folders[start:]) in self._folders for start in self._starts(parts)):
                return True
        return False

    def _is_foreign(self, line: str) -> bool:
        """Whether a line is plainly written and has no word that is there, like most lines of a list of all words."""
        folder = line.rpartition("/")[0]
        if not folder or _UNUSUAL.search(line):
            return False
        if folder not in self._foreign:
            self._foreign[folder] = not any(folded(part.strip()) in self._words for part in folder.split("/"))
        return self._foreign[folder]

    def _find(self, parts: Sequence[str]) -> list[int]:
        assert self._by_spelling is not None
        file_names = _without_audio_ending(parts[-1])
        for start in self._starts(parts):
            folder = "/".join(parts[start:-1])
            for name in (f"{folder}/{file_name}" for file_name in file_names):
                if (exact := self._exact.get(name)) is not None:
                    return [exact]
                if close := self._by_spelling.get(folded(name)):
                    return close
        if len(parts) == 1:
            for name in file_names:
                if found := self._by_file.get(folded(name)):
                    return found
        return []

    def _starts(self, parts: Sequence[str]) -> range:
        """The positions in a path where the word may be: no clip lies deeper than the deepest one."""
        return range(max(len(parts) - self._depth, 0), len(parts) - 1)

    def _index(self) -> None:
        """Build the index for lines that are not exactly a clip's name; most lists have none of those."""
        if self._by_spelling is not None:
            return
        by_spelling: dict[str, list[int]] = {}
        for place, name in enumerate(self._names):
            spelling = folded(name)
            folder, _, file_name = spelling.rpartition("/")
            by_spelling.setdefault(spelling, []).append(place)
            self._by_file.setdefault(file_name, []).append(place)
            self._folders.add(folder)
            self._depth = max(self._depth, spelling.count("/") + 1)
            self._words.add(folder.partition("/")[0])
        self._by_spelling = by_spelling


def _readings(line: str) -> Iterator[list[str]]:
    """The possible path parts of a line, the most likely first."""
    seen = set()
    whole = line.strip().strip("\ufeff").strip()
    first = re.split(r"[,;\t]", whole, maxsplit=1)[0].rstrip()
    for text in (line, whole, first, whole.partition(" #")[0].rstrip()):
        bare = text[1:-1] if len(text) > 1 and text[0] in _QUOTES and text[-1] == text[0] else text
        for path in (bare, bare.replace("\\", "/")):
            if path and path not in seen:
                seen.add(path)
                if parts := _parts(path):
                    yield parts


def _parts(path: str) -> list[str]:
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in _LEFT_OUT:
            parts.append(part)
    return parts


def _without_audio_ending(file_name: str) -> tuple[str, str]:
    """The possible names of a file without ending, the likelier first; an unknown ending may be part of the name."""
    stem = without_ending(file_name)
    is_ending = file_name[len(stem) :].lower() in _AUDIO
    return (stem, file_name) if is_ending else (file_name, stem)
