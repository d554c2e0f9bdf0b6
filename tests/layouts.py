"""The same clips in every layout, made by hand, and what every folder must account for."""

import csv
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from kws.speech.folder import Folder
from kws.speech.walk import NO_FILES


class Made(NamedTuple):
    """A recording to lay out somewhere."""

    source: Path
    word: str
    split: str
    speaker: str


def copy(one: Made, to: Path) -> Path:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(one.source, to)
    return to


def words(folder: Path, clips: Iterable[Made]) -> None:
    lists = {"validation": "validation_list.txt", "test": "testing_list.txt"}
    lines: dict[str, list[str]] = {split: [] for split in lists}
    for i, one in enumerate(clips):
        name = f"{one.word}/{one.speaker}_nohash_{i}.wav"
        copy(one, folder / name)
        lines.get(one.split, []).append(name)
    for split, name in lists.items():
        (folder / name).write_text("\n".join(lines[split]), encoding="utf-8")


def splits(folder: Path, clips: Iterable[Made]) -> None:
    names = {"train": "Train", "validation": "val", "test": "testing"}
    for i, one in enumerate(clips):
        copy(one, folder / names[one.split] / one.word / f"{one.speaker}_nohash_{i}.wav")


def kaggle(folder: Path, clips: Iterable[Made]) -> None:
    words(folder / "train" / "audio", clips)
    for name in ("validation_list.txt", "testing_list.txt"):
        (folder / "train" / "audio" / name).rename(folder / "train" / name)


def metadata(folder: Path, clips: Iterable[Made]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metadata.jsonl").open("w", encoding="utf-8") as file:
        for i, one in enumerate(clips):
            name = copy(one, folder / one.split / f"{i:03d}.wav").relative_to(folder).as_posix()
            file.write(json.dumps({"file_name": name, "label": one.word, "speaker_id": one.speaker}) + "\n")


def metadata_in_splits(folder: Path, clips: Iterable[Made]) -> None:
    for i, one in enumerate(clips):
        copy(one, folder / one.split / f"{i}.wav")
        table = folder / one.split / "metadata.csv"
        there = table.exists()
        with table.open("a", encoding="utf-8") as file:
            file.write(("" if there else "file_name,label,speaker\n") + f"{i}.wav,{one.word},{one.speaker}\n")


def nemo(folder: Path, clips: Iterable[Made]) -> None:
    for i, one in enumerate(clips):
        place = copy(one, folder / "wavs" / f"{i}.wav")
        about = {
            "audio_filepath": str(place),
            "duration": 0.39,
            "offset": 0,
            "command": one.word,
            "speaker": one.speaker,
        }
        with (folder / f"{one.split}_manifest.json").open("a", encoding="utf-8") as file:
            file.write(json.dumps(about) + "\n")


def kaldi(folder: Path, clips: Iterable[Made]) -> None:
    names = {"train": "train", "validation": "dev", "test": "eval"}
    for i, one in enumerate(clips):
        copy(one, folder / "wavs" / f"{i}.wav")
        place = folder / names[one.split]
        place.mkdir(exist_ok=True)
        for name, value in (("wav.scp", f"wavs/{i}.wav"), ("text", one.word), ("utt2spk", one.speaker)):
            with (place / name).open("a", encoding="utf-8") as file:
                file.write(f"utt{i} {value}\n")


def table(folder: Path, clips: Iterable[Made]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "clips.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["Path", "Label", "Speaker", "Split"])
        for i, one in enumerate(clips):
            copy(one, folder / "all" / f"{i}.wav")
            rows.writerow([f"all/{i}.wav", one.word, one.speaker, one.split])


PATTERN = "{label}-{speaker}-{n}-{split}"


def flat(folder: Path, clips: Iterable[Made]) -> None:
    for i, one in enumerate(clips):
        copy(one, folder / f"{one.word}-{one.speaker}-{i}-{one.split}.wav")


# By how many splits each says that it has.
LAYOUTS: Mapping[str, tuple[Callable[[Path, Iterable[Made]], None], str]] = {
    "splits": (splits, "found: split folders above folders of words, 3 splits"),
    "kaggle": (kaggle, "found: Kaggle's train/audio"),
    "metadata": (metadata, "found: Hugging Face audiofolder, 3 splits"),
    "metadata_in_splits": (metadata_in_splits, "found: Hugging Face audiofolder, 3 splits"),
    "nemo": (nemo, "found: JSON lines, as NeMo's manifests, 3 splits"),
    "kaldi": (kaldi, "found: Kaldi's wav.scp with text, 3 splits"),
    "table": (table, "found: CSV with path and label, 3 splits"),
    "flat": (flat, "found: file names by --pattern, 3 splits"),
}


def unaccounted(place: Path, read: Folder) -> set[str]:
    """The files below a folder that are neither used, nor read, nor counted by a reason; empty if all is well.

    A file in a folder that is counted is counted with it.
    """
    found = set()
    for top, folders, files in os.walk(place):
        for name in (*files, *(each for each in folders if Path(top, each).is_symlink())):
            found.add(os.path.relpath(Path(top) / name, place))
    used = {os.path.relpath(clip.path, place) for clip in read.clips}
    counted = {path for reason, paths in read.unused.items() if reason not in NO_FILES for path in paths}
    folders = {path for paths in read.unused.values() for path in paths}
    assert not used & counted, "a clip is not among those that are not used"
    assert len(counted) == sum(len(paths) for why, paths in read.unused.items() if why not in NO_FILES), "counted once"
    followed = {os.path.realpath(Path(place, each)) for each in used | counted | folders}
    return {
        name
        for name in found - used - counted - {*read.read} - folders
        if not any(str(parent) in folders for parent in Path(name).parents)
        and not any(
            path.startswith(os.path.realpath(place / name) + os.sep) for path in followed
        )  # a link that is entered
    }
