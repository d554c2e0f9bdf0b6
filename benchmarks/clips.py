"""Recordings to measure with: a folder in the Speech Commands layout, of noise that swells and fades as a word does.

Every clip is a whole second of 16-bit PCM at 16 kHz, the costliest of the real ones. Counts are the report's, 9,489 /
1,198 / 1,229. The full-size folder has the 105,829 clips of Speech Commands v2 in 35 words, as hard links to the others
where the file system can, else as copies.
"""

from __future__ import annotations

import os
import shutil
import struct
from pathlib import Path

COUNTS = {  # clips of each word, by split: the report's, with "other" drawn from four words
    "train": {"yes": 3228, "no": 3130, "up": 783, "down": 783, "left": 783, "right": 782},
    "validation": {"yes": 397, "no": 406, "up": 99, "down": 99, "left": 99, "right": 98},
    "test": {"yes": 419, "no": 405, "up": 102, "down": 101, "left": 101, "right": 101},
}
QUICK = {
    split: dict.fromkeys(("yes", "no", "up"), clips)
    for split, clips in (("train", 192), ("validation", 24), ("test", 24))
}
TINY = {
    split: dict.fromkeys(("yes", "no", "up"), clips) for split, clips in (("train", 8), ("validation", 4), ("test", 4))
}
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
FULL_WORDS = [f"word{number:02d}" for number in range(35)]
FULL_COUNTS = {"train": 84_843, "validation": 9_981, "test": 11_005}
FULL_QUICK = {"train": 1_050, "validation": 70, "test": 70}
_SAMPLES = _RATE = 16_000


def write(folder: str, quick: bool) -> int:
    """Make the folder; returns how many clips it has. Runs in a process of its own."""
    return _write(folder, QUICK if quick else COUNTS)


def write_tiny(folder: str) -> int:
    """Make a folder of a few clips, whose training takes milliseconds. Runs in a process of its own."""
    return _write(folder, TINY)


def _write(folder: str, counts: dict[str, dict[str, int]]) -> int:
    import numpy as np

    random = np.random.default_rng(0)
    swell = np.hanning(_SAMPLES) * 6_000
    noise = random.standard_normal(_SAMPLES + 65_536)
    header = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        *(b"RIFF", 36 + 2 * _SAMPLES, b"WAVE", b"fmt ", 16, 1, 1, _RATE, 2 * _RATE, 2, 16, b"data", 2 * _SAMPLES),
    )
    number = 0
    lists: dict[str, list[str]] = {name: [] for name in LISTS.values()}
    for split, words in counts.items():
        for word, clips in words.items():
            into = Path(folder) / word
            into.mkdir(parents=True, exist_ok=True)
            for _ in range(clips):
                start = int(random.integers(65_536))
                samples = (noise[start : start + _SAMPLES] * swell).clip(-32_768, 32_767).astype("<i2")
                name = f"{number:08x}_nohash_0.wav"
                (into / name).write_bytes(header + samples.tobytes())
                if split in LISTS:
                    lists[LISTS[split]].append(f"{word}/{name}")
                number += 1
    _write_lists(Path(folder), lists)
    return number


def write_full(folder: str, of: str, quick: bool) -> int:
    """Make the full-size folder out of the clips in `of`; returns how many clips it has."""
    clips = sorted(Path(of).glob("*/*.wav"))
    lists: dict[str, list[str]] = {name: [] for name in LISTS.values()}
    number = 0
    for word in FULL_WORDS:
        (Path(folder) / word).mkdir(parents=True)
    for split, count in (FULL_QUICK if quick else FULL_COUNTS).items():
        for _ in range(count):
            word, name = FULL_WORDS[number % len(FULL_WORDS)], f"{number:08x}_nohash_0.wav"
            _link(clips[number % len(clips)], Path(folder) / word / name)
            if split in LISTS:
                lists[LISTS[split]].append(f"{word}/{name}")
            number += 1
    _write_lists(Path(folder), lists)
    return number


def read_all(folder: str) -> int:
    """Read every clip once, so that the files are in the page cache; returns their bytes."""
    return sum(len(path.read_bytes()) for path in Path(folder).glob("*/*.wav"))


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _write_lists(folder: Path, lists: dict[str, list[str]]) -> None:
    for name, clips in lists.items():
        (folder / name).write_text("\n".join(clips) + "\n", encoding="utf-8")
