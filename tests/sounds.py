"""A small task that networks can learn: each word is a tone of its own in noise, in the Speech Commands layout."""

from pathlib import Path

import numpy as np
import soundfile

TONES_HZ = {"yes": 400, "no": 1200, "up": 2400, "down": 3600}
CLIPS = {"train": 12, "validation": 4, "test": 4}  # a word


def write_task(folder: Path, clips: dict[str, int] | None = None, words: tuple[str, ...] = tuple(TONES_HZ)) -> Path:
    """Write the folder; `clips` counts a word and split. Returns the folder."""
    random = np.random.default_rng(0)
    time_s = np.arange(16_000) / 16_000
    lists: dict[str, list[str]] = {"validation": [], "test": []}
    for word in words:
        (folder / word).mkdir(parents=True)
        for split, count in (clips or CLIPS).items():
            for i in range(count):
                name = f"{word}/{split}{i:04x}_nohash_0.wav"
                tone = np.sin(2 * np.pi * TONES_HZ[word] * time_s + random.uniform(0, 6))
                sound = 0.3 * tone + 0.1 * random.standard_normal(16_000)
                soundfile.write(folder / name, sound.astype(np.float32), 16_000, subtype="PCM_16")
                if split in lists:
                    lists[split].append(name)
    (folder / "validation_list.txt").write_text("\n".join(lists["validation"]) + "\n")
    (folder / "testing_list.txt").write_text("\n".join(lists["test"]) + "\n")
    return folder
