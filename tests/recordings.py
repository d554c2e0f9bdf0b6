"""Small fake recordings: tones and noise, alone or in the Speech Commands layout."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import soundfile

from kws.recipe import TASK, Config

RATE_HZ = 16_000
SPLITS = ("train", "validation", "test")
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}


def report(*words: str) -> Config:
    """The report's task with these keywords."""
    return TASK.part("report").config(words=words)


def tone(hz: float, *, seconds: float = 1.0, rate_hz: int = RATE_HZ, level: float = 0.5) -> np.ndarray:
    """A sine that starts at 0, float64 (samples,)."""
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)


def noise(seed: int = 0, *, seconds: float = 1.0, rate_hz: int = RATE_HZ, level: float = 0.3) -> np.ndarray:
    """White noise between -level and level, float64 (samples,)."""
    return np.random.default_rng(seed).uniform(-level, level, round(seconds * rate_hz))


def write(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ, subtype: str | None = "PCM_16") -> Path:
    """Write samples (S,) or (S, channels) in the format of the path's ending; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate_hz, subtype=subtype, format=path.suffix[1:].upper())
    return path


def write_lists(folder: Path, names: Mapping[str, list[str]]) -> None:
    """Write the list of each split in `names`, a line a clip."""
    for split, clips in names.items():
        (folder / LISTS[split]).write_text("".join(f"{clip}\n" for clip in clips), encoding="utf-8")


def write_folder(folder: Path, counts: Mapping[str, tuple[int, int, int]], *, seconds: float = 0.4) -> Path:
    """Write a data set with both lists; `counts` are a word's clips in training, validation and test.

    Every clip is different noise by another speaker, <split><i>_nohash_0.wav.
    """
    names: dict[str, list[str]] = {split: [] for split in LISTS}
    seed = 0
    for word, in_splits in counts.items():
        (folder / word).mkdir(parents=True)
        for split, count in zip(SPLITS, in_splits, strict=True):
            for i in range(count):
                name = f"{word}/{split}{i}_nohash_0.wav"
                write(folder / name, noise(seed := seed + 1, seconds=seconds, level=0.05 + 0.5 / seed))
                if split in names:
                    names[split].append(name)
    write_lists(folder, names)
    return folder
