"""Which layout (kws/speech/layouts) a folder or a manifest has, and what is said where it has none that is known."""

from __future__ import annotations

import importlib
import itertools
import os
import pkgutil
import shlex
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

from kws.errors import DataError
from kws.speech import layouts, tables
from kws.speech.found import Found, Row, of_tables, splits_in
from kws.speech.names import folded
from kws.speech.tree import Tree, ending_of, is_recording

_NEAREST = 3
_NAMED = 3  # of what was seen
_LOOKED_AT = 100  # files and folders, to tell what a folder is


def known() -> list[ModuleType]:
    """Every layout, in the order in which they are tried."""
    names = [each.name for each in pkgutil.iter_modules(layouts.__path__)]
    found = [importlib.import_module(f"{layouts.__name__}.{name}") for name in names]
    return sorted(found, key=lambda layout: layout.ORDER)


def recognised(tree: Tree) -> Found | None:
    """What the first layout that a folder has makes of it; None for one folder per word, and for what none takes.

    Raises DataError for a manifest that no layout takes.
    """
    for layout in known():
        found: Found | None = layout.find(tree)
        if found is not None:
            return found
    if tree.is_manifest:
        raise unknown(tree)
    return None


def unknown(tree: Tree) -> DataError:
    """What is said of a folder without recordings in any layout: what was seen, and the layouts nearest to that."""
    seen = Seen(tree)
    alone = not tree.is_manifest and not seen.folders and 0 < seen.flat == len(tree.top)
    if alone and (words := words_beside(tree.folder)):
        return DataError(
            f"{tree.place} has recordings, but no folders of words; if it is the folder of a word, as {words[0]} "
            f"beside it may be, name the folder above: --data {folder_above(tree.place)}; else docs/data.md has every "
            "layout that is known"
        )
    near = sorted(known(), key=lambda layout: -layout.likeness(seen))[:_NEAREST]
    examples = "; ".join(f"({place}) {layout.TITLE}: {layout.EXAMPLE}" for place, layout in enumerate(near, start=1))
    simplest = f"simplest is one folder per word, as {tree.place / 'yes' / '1.wav'}; " if seen.flat else ""
    what = "names no recordings" if tree.is_manifest else "has no recordings (.wav, .flac, .ogg, .mp3 ...)"
    return DataError(
        f"{tree.place} {what} in a layout that is known; seen: {seen.told()}; {simplest}the nearest layouts are "
        f"{examples}; "
        "docs/data.md has all of them, and `kws data list` shows what can be used without a folder"
    )


def folder_above(place: Path) -> str:
    """The folder that a folder is in, as it is typed after --data."""
    above = place.parent if place.name not in ("", "..") else place / ".."
    return shlex.quote(str(above))


def words_beside(folder: Path) -> list[str]:
    """The names of folders beside a folder that have recordings at their top, where half of all or more have.

    Hidden folders, and those whose names begin with "_", are no words.
    """
    here, words, others = folder.resolve(), [], 0
    with suppress(OSError):
        beside = sorted(each for each in here.parent.iterdir() if not each.name.startswith((".", "_")))
        for each in itertools.islice(beside, _LOOKED_AT):
            if each.is_dir() and each != here:
                with os.scandir(each) as entries:
                    has_any = any(is_recording(entry.name) for entry in itertools.islice(entries, _LOOKED_AT))
                words += [each.name] if has_any else []
                others += not has_any
    return words if len(words) >= others else []


@dataclass(frozen=True)
class Seen:
    """What is in a folder in no layout that is known, or in a manifest."""

    tree: Tree

    @property
    def folders(self) -> list[str]:
        """The folders at the top."""
        return self.tree.folders

    @cached_property
    def flat(self) -> int:
        """Recordings at the top."""
        return sum(is_recording(name) for name in self.tree.top)

    def has(self, *names: str) -> bool:
        """Whether a file at the top has one of these names."""
        return any(name.lower() in names for name in self.tree.top)

    def ending(self, *endings: str) -> bool:
        """Whether a file at the top has one of these endings."""
        return any(ending_of(name) in endings for name in self.tree.top if "." in name)

    def told(self) -> str:
        """In words, as "412 .wav files in one folder, no folders"."""
        if self.tree.is_manifest:
            return self._columns(self.tree.place.name) or "a file without columns"
        files = self.tree.files
        kinds = Counter(ending_of(name) if "." in name.rpartition("/")[2] else "" for name in files)
        parts = [
            f"{count:,} {f'{ending} ' if ending else ''}{'file' if count == 1 else 'files'}"
            for ending, count in kinds.most_common(_NAMED)
        ]
        if more := len(files) - sum(count for _, count in kinds.most_common(_NAMED)):
            parts.append(f"{more:,} others")
        places = len({name.rpartition("/")[0] for name in files})
        where = f" in {'one folder' if places == 1 else f'{places:,} folders'}" if files else ""
        named = [" ".join(name.split()) for name in self.folders[:_NAMED]]
        named += ["..."] if len(self.folders) > _NAMED else []
        below = f"{len(self.folders):,} {'folder' if len(self.folders) == 1 else 'folders'} ({', '.join(named)})"
        told = f"{', '.join(parts) or 'no files'}{where}, {below if self.folders else 'no folders'}"
        columns = [
            self._columns(name) for name in self.tree.top if ending_of(name) in (".csv", ".tsv", ".json", ".jsonl")
        ]
        return ", ".join([told, *[each for each in columns if each][:_NAMED]])

    def _columns(self, name: str) -> str:
        columns = [each[:40] for each in tables.peeked(self.tree.folder / name).columns if each.isprintable()][:8]
        return f"{name} with the columns {', '.join(columns)}" if columns else ""


def manifests(tree: Tree, title: str, endings: Sequence[str]) -> Found | None:
    """The clips that the tables at the top name whose endings are these; None without any.

    With one folder per word, tables that say what the folders say, or name no file that is there, are left aside.
    """
    names = [name for name in tree.top if not endings[0] or ending_of(name) in endings]
    names = [name for name in names if tables.peeked(tree.folder / name).names_clips]
    splits = splits_in(names) if len(names) > 1 else {}
    names = [name for name in names if name in splits] or names
    if not names:
        return None
    otherwise = f"not in {names[0]}" if len(names) == 1 else "not in the manifests"
    found = of_tables(title, {name: tables.read(tree.folder / name) for name in names}, splits, otherwise)
    beside_words = not tree.is_manifest and any("/" in name for name in tree.recordings())
    is_aside = beside_words and (says_what_folders_say(tree, found.rows) or not names_any(tree, found.rows))
    return None if is_aside else found


def names_any(tree: Tree, rows: Sequence[Row]) -> bool:
    """Whether a file that is there is named."""
    return any(tree.resolved(row.path, row.base) for row in rows)


def says_what_folders_say(tree: Tree, rows: Sequence[Row], *, or_less: bool = False) -> bool:
    """Whether most rows name clips that lie in a folder called like their label, so that it is one folder per word.

    With `or_less`, only where all rows do, and give nothing else.
    """
    names = [tree.resolved(row.path, row.base) or "" for row in rows]
    agreeing = sum(folded(name.partition("/")[0]) == folded(row.word) for name, row in zip(names, rows, strict=True))
    if or_less:
        return bool(rows) and agreeing == len(rows) and all(row[2:6] == (None,) * 4 for row in rows)
    return 2 * agreeing > len(rows)


def in_words(tree: Tree, place: str) -> list[Row]:
    """The recordings in folders below `place`, each with its folder there as its word."""
    deep = (name for name in tree.recordings(place) if name.count("/") > place.count("/"))
    below = [(name, name.removeprefix(place).partition("/")) for name in tree.one_of_each(deep)]
    return [Row(name, word, below=rest) for name, (word, _, rest) in below]
