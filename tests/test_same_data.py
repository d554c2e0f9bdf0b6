"""Folders that could be trained on before recordings in subfolders and of further kinds were used stay what they were.

Committed runs name their data by its fingerprint and rely on its draw, so both are held to what they came to then.
"""

import hashlib
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import report

from kws.events import SPLITS
from kws.speech.classes import draw_classes
from kws.speech.dataset import load
from kws.speech.digests import Stamp
from kws.speech.folder import Clip
from kws.speech.splits import split_clips

LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
NOWHEN = Stamp(0, 0, 0, 0, 0)


def write_clip(path: Path, number: int) -> None:
    """A tenth of a second that is another for each number, the same on every machine."""
    samples = b"".join(struct.pack("<h", (i * i * (number + 3)) % 20011 - 10005) for i in range(1600))
    header = struct.pack("<4sI8sIHHIIHH", b"RIFF", 36 + len(samples), b"WAVEfmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + b"data" + struct.pack("<I", len(samples)) + samples)


def speakers(word: str) -> list[str]:
    return [f"{hashlib.md5(f'{i}'.encode()).hexdigest()[:8]}_nohash_{len(word)}" for i in range(24)]


def numbered(word: str) -> list[str]:
    return [f"{word}_{i:03d}" for i in range(24)]


def odd(word: str) -> list[str]:
    return [*("a.b.c", "ñ 言葉", "a_nohash_x", "it's", "A", "a", "-", "x_nohash_y_nohash_1"), *speakers(word)[:16]]


@pytest.mark.parametrize(
    ("named", "lists", "fingerprint"),
    [
        (speakers, (), "57400a78baa278995346d5545290eb8147a0e415bc2a82f5d575f236d7d4e546"),
        (speakers, ("validation", "test"), "a216183419f323896b88eacd3d8cc035812d5f5423765a62f221fc4ed1877b48"),
        (speakers, ("test",), "ae29d52126535bc704e19bd0d2c92de6f9b48d5e07b2bd6b072205e38bfd6520"),
        (numbered, (), "5aab02a6dfe40f4aef6701f530cc743bbb36551a9158912040a6c8b466b80e78"),
        (numbered, ("validation",), "284a9ed939948b3ff8069528ae8aa591b1c633bfbcf4b1550891d8fae2cb7b6e"),
        (odd, (), "cc27b5cba4a7d0470e582816c25d527598a8be6b540949f02b5e4f40f67ba6ab"),
        (odd, ("validation", "test"), "26e1ad03e70c4e73a6fe89ff9c0be37820d27fe2d2667cc606c43d1de365487e"),
    ],
)
def test_the_fingerprint_of_a_flat_folder_stays_what_it_was(tmp_path, named, lists, fingerprint):
    folder = tmp_path / "words"
    names = [f"{word}/{name}" for word in ("yes", "no", "up", "Down", "left") for name in named(word)]
    for number, name in enumerate(names):
        write_clip(folder / f"{name}.wav", number)
    for place, split in enumerate(lists):
        (folder / LISTS[split]).write_text("".join(f"{name}.wav\n" for name in names[place::7]), encoding="utf-8")
    for name in ("README.md", "_background_noise_/hum.wav", "yes/.hidden.wav", "no/notes.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("not a clip")
    assert load(str(folder), report("yes", "no")).card.fingerprint == fingerprint


# The rule and the draw as they were, word for word


def old_split(clip: str, lists: dict[str, set[str]]) -> str:
    for split, clips in lists.items():
        if clip in clips:
            return split
    if len(lists) == 2:
        return "train"
    speaker = clip.partition("/")[2].partition("_nohash_")[0]
    if "_nohash_" not in clip:
        speaker = f"{speaker}.wav"
    share = int(hashlib.sha1(speaker.encode()).hexdigest(), 16) % 2**27 * (100.0 / (2**27 - 1))
    by_rule = "validation" if share < 10 else "test" if share < 20 else "train"
    return "train" if by_rule in lists else by_rule


def in_order(name: str) -> tuple[str, str]:
    word, _, stem = name.partition("/")
    return word, f"{stem}.wav"


def old_draw(clips: list[tuple[str, str]], words: tuple[str, ...]) -> list[str]:
    taken = []
    for split in SPLITS:
        mine = sorted((name for name, of in clips if of == split), key=in_order)
        of_words = [[name for name in mine if name.partition("/")[0] == word] for word in words]
        others = [name for name in mine if name.partition("/")[0] not in words]
        count = round(sum(map(len, of_words)) / len(words))
        drawn = sorted(others, key=lambda name: hashlib.sha256(name.encode()).digest())[:count]
        taken += [name for names in of_words for name in names] + sorted(drawn, key=in_order)
    return taken


words = st.sampled_from(["yes", "no", "up", "left"])
stems = st.one_of(
    st.tuples(st.text("0123456789abcdef", min_size=8, max_size=8), st.integers(0, 9)).map(
        "{0[0]}_nohash_{0[1]}".format
    ),
    st.text("abc_- 0", min_size=1, max_size=6).filter(lambda text: text[0] not in " ." and text[-1] != " "),
)


@given(
    st.lists(st.tuples(words, stems), min_size=1, max_size=40, unique=True),
    st.randoms(use_true_random=False),
    st.integers(0, 3),
)
def test_splits_and_draw_of_a_flat_folder_stay_what_they_were(found, random, which):
    names = sorted({f"{word}/{stem}" for word, stem in found} | {"yes/a", "no/b", "up/c"})
    listed = {split: set(random.sample(names, len(names) // 4)) for split in LISTS}
    listed["test"] -= listed["validation"]
    lists = {split: listed[split] for place, split in enumerate(LISTS) if which >> place & 1}
    lines = {split: [f"{name}.wav" for name in sorted(each)] for split, each in lists.items()}
    splits = split_clips(names, None, lines, Path("here"))
    old = [(name, old_split(name, lists)) for name in names]
    assert list(zip(names, splits.of, strict=True)) == old
    clips = []
    for name, split in old:
        word, _, stem = name.partition("/")
        clips.append(Clip(name, word, f"{stem}.wav", split, NOWHEN))
    classes, taken = draw_classes(clips, ("yes", "no"), Path("here"))
    assert classes == ("yes", "no", "other")
    assert [clip.name for clip in taken] == old_draw(old, ("yes", "no"))
