"""`check` finds one recording in two splits or under two words, however it was encoded or cut, and no others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings import write, write_lists
from speechlike import encoded, shifted, spoken, with_noise

from kws.speech.checks import Report, check
from kws.speech.sources import Source

COPIES = {
    "OGG": lambda clip: encoded(clip, "OGG", "VORBIS"),
    "Opus": lambda clip: encoded(clip, "OGG", "OPUS"),
    "MP3": lambda clip: encoded(clip, "MP3", "MPEG_LAYER_III"),
    "quieter": lambda clip: 0.1 * clip,
    "later": lambda clip: shifted(clip, 100),
    "earlier": lambda clip: shifted(clip, -100),
    "cut before its end": lambda clip: shifted(clip, 300),
    "with noise": lambda clip: with_noise(clip, 30),
    "all of it": lambda clip: with_noise(shifted(encoded(0.3 * clip, "MP3", "MPEG_LAYER_III"), 70), 30),
}


def checked(folder: Path) -> Report:
    return check(Source("words", folder))


def written(folder: Path, takes: int = 4, words: tuple[str, ...] = ("no", "yes")) -> Path:
    """Takes of words by speakers of their own: of every four takes the third is validation, and the fourth test."""
    lists: dict[str, list[str]] = {"validation": [], "test": []}
    for number, word in enumerate(words):
        for take in range(takes):
            name = f"{word}/s{number}x{take}_nohash_0.wav"
            write(folder / name, spoken(number, take))
            if take % 4 > 1:
                lists["test" if take % 4 == 3 else "validation"].append(name)
    write_lists(folder, lists)
    return folder


@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_in_another_split_is_found_and_makes_the_folder_unusable(tmp_path, kind):
    folder = written(tmp_path)
    write(folder / "yes" / "s1x3_nohash_0.wav", COPIES[kind](spoken(1, 0)))  # a test clip, of training's first
    report = checked(folder)
    (pair,) = report.near_duplicates
    assert {*pair.clips} == {"yes/s1x0_nohash_0", "yes/s1x3_nohash_0"} and {*pair.splits} == {"train", "test"}
    assert pair.correlation > 0.8 and report.unusable and report.split_leaks == 1
    assert report.in_two_splits == [], "it is not the same sound"
    assert report.first[0].what == "split_leaks" and report.first[0].count == 1


def test_by_how_much_a_copy_is_shifted_is_told(tmp_path):
    folder = written(tmp_path)
    write(folder / "yes" / "s1x3_nohash_0.wav", shifted(spoken(1, 0), 80))
    (pair,) = checked(folder).near_duplicates
    late = pair.clips.index("yes/s1x3_nohash_0")
    assert pair.shift_ms == pytest.approx(80 if late == 1 else -80, abs=0.5)


def test_two_takes_are_no_copies_of_each_other(tmp_path):
    report = checked(written(tmp_path, takes=8))
    assert report.near_duplicates == [] and not report.unusable


def test_among_many_clips_copies_are_found_and_nothing_else(tmp_path):
    """More than are compared pair by pair: outlines choose what is correlated."""
    folder = written(tmp_path, takes=24, words=("down", "no", "yes"))
    for take, kind in enumerate(("OGG", "MP3", "quieter", "later", "all of it")):
        write(folder / "no" / f"s1x{4 * take + 3}_nohash_0.wav", COPIES[kind](spoken(1, 4 * take)))
    report = checked(folder)
    assert len(report.clips) > 64
    found = {frozenset(pair.clips) for pair in report.near_duplicates}
    assert found == {frozenset((f"no/s1x{4 * i}_nohash_0", f"no/s1x{4 * i + 3}_nohash_0")) for i in range(5)}


def test_copies_in_one_split_count_only_under_two_words(tmp_path):
    folder = written(tmp_path)
    write(folder / "yes" / "s1x1_nohash_0.wav", 0.5 * spoken(1, 0))  # both in training, and under one word
    assert checked(folder).near_duplicates == []
    write(folder / "no" / "s0x1_nohash_0.wav", 0.7 * spoken(1, 0))
    report = checked(folder)
    assert {pair.words for pair in report.near_duplicates} == {("no", "yes")}
    assert report.word_leaks == 2 and not report.unusable, "labels are wrong, and figures mean something"


def test_silence_is_the_same_in_all_splits_and_no_leak(tmp_path):
    folder = written(tmp_path)
    for name in ("yes/s1x0_nohash_0", "yes/s1x3_nohash_0", "no/s0x3_nohash_0"):
        write(folder / f"{name}.wav", np.zeros(16_000))
    report = checked(folder)
    assert len(report.silent) == 3 and len(report.duplicated[0]) == 3
    assert report.in_two_splits == report.in_two_words == report.near_duplicates == [] and not report.unusable


@pytest.mark.parametrize(("begins", "found"), [(0.5, 1), (0.94, 1), (0.96, 0), (1.0, 0)])
def test_pieces_of_one_file_that_overlap_in_two_splits_are_a_leak(tmp_path, begins, found):
    long = np.concatenate([spoken(0, 1), spoken(1, 2), spoken(2, 3)])
    write(tmp_path / "long.wav", long)
    rows = ["path,label,split,start,end", "long.wav,yes,train,0,1", f"long.wav,yes,test,{begins},{begins + 1}"]
    rows.append("other.wav,yes,validation,0,1")
    write(tmp_path / "other.wav", spoken(3))
    (tmp_path / "clips.csv").write_text("\n".join(rows))
    report = checked(tmp_path)
    assert len(report.overlaps) == found and report.unusable == bool(found)
    assert report.near_duplicates == [], "an overlap is told once"
    if found:
        (pair,) = report.overlaps
        assert pair.correlation is None and pair.splits == ("train", "test")
        assert pair.shift_ms == -1000 * begins


def test_pieces_that_overlap_in_one_split_and_word_are_no_leak(tmp_path):
    write(tmp_path / "long.wav", np.concatenate([spoken(0, 1), spoken(1, 2)]))
    rows = ("path,label,split,start", "long.wav,yes,train,0", "long.wav,yes,train,0.5", "long.wav,no,validation,1")
    (tmp_path / "clips.csv").write_text("\n".join((*rows, "other.wav,no,test,0")))
    write(tmp_path / "other.wav", spoken(3))
    assert checked(tmp_path).overlaps != [], "from 0.5 to 1.5 s, and from 1 to 2 s"
    (tmp_path / "clips.csv").write_text("\n".join((*rows[:3], "other.wav,no,validation,0", "third.wav,no,test,0")))
    write(tmp_path / "third.wav", spoken(4))
    assert checked(tmp_path).overlaps == []


def test_a_report_with_leaks_is_json(tmp_path):
    folder = written(tmp_path)
    write(folder / "yes" / "s1x3_nohash_0.wav", 0.5 * spoken(1, 0))
    (pair,) = checked(folder).record()["near_duplicates"]
    assert pair["words"] == ("yes", "yes") and pair["correlation"] > 0.99
