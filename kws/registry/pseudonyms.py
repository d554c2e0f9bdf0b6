"""Pseudonyms of speakers and clips, for runs that are given away: `kws runs export`, unless it is asked for names.

Decisions:
- A pseudonym is made of sound, never of a name: a digest of the sounds of a speaker's clips, or of a file's. So no list
  of names can be tried against it, and it is the same in each file that is exported. Two speakers of one data set never
  share one. Whoever has the recordings can tell who is who, by the digests of sounds that a manifest has anyway.
- A path keeps its word, its ending and where it was cut. The word is the folder that keywords' clips have in the same
  place; in a layout without such folders it is the class.
- Digests, labels, order, splits and fingerprints stay, so that tables, intervals over speakers, and folds come out the
  same.
- Clips that are all named as in Speech Commands, and the course's arrays, have no names in them and stay as they are.
- In places of data and in commands, the user's home becomes "~". Notes, tags, names, error texts, and the source of a
  network of the user's own are free text and stay; so do paths that a recipe's digest depends on.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kws.events import LEFT_OUT, NO_WORDS, NOISE, NOT_DRAWN, SPLITS, DataCard, Manifest, keywords_of
from kws.recipe import Recipe
from kws.recipe.canonical import canonical

_DIGITS = 12  # of a digest, in hexadecimal
_CUT = re.compile(r"(.*?)(@\d+(?:\.\d+)?(?:-\d+(?:\.\d+)?)?)?", re.DOTALL)
_OFFICIAL = re.compile(r"[^/]+/[0-9a-f]{8}_nohash_\d+\.\w+")
_PSEUDONYM = re.compile(r".+/[0-9a-f]{12}(?:-\d+)?(?:\.[A-Za-z0-9]{1,5})?(?:@[\d.-]+)?", re.DOTALL)
_NO_PEOPLE = (f"{NOISE}/", f"{NO_WORDS[1]}/")  # what silence has in place of a speaker begins so
_SPLIT = re.compile(r" \(\w+\)$")  # and ends so
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,5}$")

Names = Mapping[str, Manifest]


def of(card: DataCard, manifests: Names, own: tuple[DataCard, Names] | None = None) -> Names:
    """The same manifests by split with pseudonyms in place of speakers and paths; themselves if they have no names.

    `own` is the run's own data set where this one has words that it left out, and so no keywords to tell the layout by.
    """
    elsewhere = card.source.partition(" + ")[2]
    paths = [path for manifest in manifests.values() for path in manifest.paths]
    if card.draw == NOT_DRAWN or not paths or all(_is_official(path, elsewhere) for path in paths):
        return manifests
    at = _place_of_words(*own) if own and card.draw == LEFT_OUT else _place_of_words(card, manifests)
    files, people = _pseudonyms(manifests)
    made = {}
    for split, manifest in manifests.items():
        words = [card.classes[label] for label in card.labels[split]]
        told = zip(manifest.paths, words, strict=True)
        made[split] = replace(
            manifest,
            paths=tuple(_path(path, word, at, elsewhere, files) for path, word in told),
            speakers=None if manifest.speakers is None else tuple(_speaker(each, people) for each in manifest.speakers),
        )
    return made


def are(paths: Iterable[str]) -> bool:
    """Whether all clips with these paths have pseudonyms, by their form."""
    return all(_PSEUDONYM.fullmatch(path) for path in paths)


def of_run(row: dict[str, Any]) -> dict[str, Any]:
    """A run's row with the user's home as "~" in its command, and in its recipe where its digest does not change."""
    return row | {"command": homeless(row["command"]), "recipe_json": _of_recipe(row["recipe_json"])}


def of_session(row: dict[str, Any]) -> dict[str, Any]:
    """A session's row with the user's home as "~" in its environment, a JSON text."""
    return row if row["environment"] is None else row | {"environment": homeless(row["environment"])}


def homeless(text: str) -> str:
    """A text with "~" in place of the user's home folder."""
    try:
        home = str(Path.home())
    except RuntimeError:
        return text
    if len(home) < 2:
        return text
    return re.sub(rf"(?<![\w.~-]){re.escape(home.rstrip('/'))}(?![\w.-])", "~", text)


def _of_recipe(text: str) -> str:
    if homeless(text) == text:
        return text
    known, values = Recipe.from_text(text), json.loads(text)
    for within in (values, *_parts(values)):
        for name, value in within.items():
            if isinstance(value, str) and (shorter := homeless(value)) != value:
                within[name] = shorter
                changed = Recipe.from_text(canonical(values))
                if (changed.digest, changed.cell) != (known.digest, known.cell):
                    within[name] = value
    return canonical(values)


def _parts(values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for value in values.values():
        if isinstance(value, dict):
            yield value
            yield from _parts(value)


def _is_official(path: str, elsewhere: str) -> bool:
    """Whether a clip is named as in Speech Commands, by a hash of its speaker; noise has no speaker."""
    path = path.removeprefix(f"{elsewhere}/") if elsewhere else path
    return path.startswith(f"{NOISE}/") or _OFFICIAL.fullmatch(path) is not None


def _place_of_words(card: DataCard, manifests: Names) -> int | None:
    """Which folder of a path is the word, from 0: the first that is the class in every keyword's clips; else None."""
    keywords, elsewhere, common = set(keywords_of(card.classes)), card.source.partition(" + ")[2], None
    for split, manifest in manifests.items():
        for path, label in zip(manifest.paths, card.labels[split], strict=True):
            word = card.classes[label]
            if word in keywords:
                folders = _folders(path, elsewhere)
                here = {at for at, folder in enumerate(folders) if _spelt(folder) == _spelt(word)}
                common = here if common is None else common & here
    return min(common) if common else None


def _spelt(word: str) -> str:
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", word).lower()).split())


def _folders(path: str, elsewhere: str) -> list[str]:
    return (path.removeprefix(f"{elsewhere}/") if elsewhere else path).split("/")[:-1]


def _pseudonyms(manifests: Names) -> tuple[dict[str, str], dict[str, str]]:
    """A pseudonym of each file and of each speaker."""
    files: dict[str, set[bytes]] = {}
    people: dict[str, set[bytes]] = {}
    for split in SPLITS:
        if manifest := manifests.get(split):
            speakers: Iterable[str | None] = manifest.speakers or [None] * len(manifest.paths)
            for path, speaker, digest in zip(manifest.paths, speakers, manifest.each_digest(), strict=True):
                files.setdefault(_file_and_cut(path)[0], set()).add(digest)
                if speaker is not None:
                    people.setdefault(speaker, set()).add(digest)
    return _called(files), _called(people)


def _called(sounds: Mapping[str, set[bytes]]) -> dict[str, str]:
    """A digest of the sounds of each; where they are the same, with a number behind it."""
    found: dict[str, str] = {}
    times: dict[str, int] = {}
    for name, digests in sounds.items():
        digest = hashlib.sha256(b"".join(sorted(digests))).hexdigest()[:_DIGITS]
        times[digest] = times.get(digest, 0) + 1
        found[name] = digest if times[digest] == 1 else f"{digest}-{times[digest]}"
    return found


def _file_and_cut(path: str) -> tuple[str, str]:
    found = _CUT.fullmatch(path)
    return (found[1], found[2] or "") if found else (path, "")


def _path(path: str, word: str, at: int | None, elsewhere: str, files: Mapping[str, str]) -> str:
    """The path with a pseudonym, as "yes/4f2a91c3d0e1.wav"; `word` is its class."""
    file, cut = _file_and_cut(path)
    folders = _folders(path, elsewhere)
    if folders[:1] == [NOISE]:
        said = NOISE
    elif at is not None and at < len(folders):
        said = folders[at]
    else:
        said = word
    ending = _ENDING.search(file)
    before = f"{elsewhere}/" if elsewhere and path.startswith(f"{elsewhere}/") else ""
    return f"{before}{said}/{files[file]}{ending[0] if ending else ''}{cut}"


def _speaker(name: str, people: Mapping[str, str]) -> str:
    """A speaker's pseudonym, as "speaker-4f2a91c3d0e1"; silence keeps what says that it is no person."""
    begins = next((each for each in _NO_PEOPLE if name.startswith(each)), "speaker-")
    split = _SPLIT.search(name) if begins in _NO_PEOPLE else None
    return f"{begins}{people[name]}{split[0] if split else ''}"
