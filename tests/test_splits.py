"""A clip's split is that of the list which names it, else of the official rule on its speaker."""

import os
import tarfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import LISTS, write_lists

from kws.errors import DataError
from kws.speech.splits import (
    official_split,
    read_lists,
    shared_speakers,
    speaker_of,
    split_of,
    without_ending,
)

REAL = Path(__file__).resolve().parent.parent.parent / "shared" / "speech_commands"
real = pytest.mark.skipif(
    not (REAL / "clips.tar").exists(),
    reason="the real clips are not beside the repository, in ../shared/speech_commands",
)
# From the published lists.
SPEAKERS = {"train": "00f0204f", "validation": "067f61e2", "test": "0cb74144"}
speakers = st.text("0123456789abcdef", min_size=8, max_size=8)


@pytest.fixture(scope="module")
def real_splits() -> dict[str, str]:
    """Each real clip, as word/file without its ending, and its split by the published lists."""
    listed = {
        without_ending(line): split for split, name in LISTS.items() for line in (REAL / name).read_text().split()
    }
    with tarfile.open(REAL / "clips.tar") as archive:
        clips = [without_ending(name) for name in archive.getnames() if "/" in name]
    assert listed.keys() <= set(clips)
    return {clip: listed.get(clip, "train") for clip in clips}


@real
@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_real_clip_falls_by_rule_into_the_split_of_its_list(real_splits, split):
    names = [clip.partition("/")[2] for clip, listed in real_splits.items() if listed == split]
    assert len(names) == {"train": 9489, "validation": 1198, "test": 1229}[split]
    assert {official_split(speaker_of(name)) for name in names} == {split}


@real
def test_real_lists_and_the_rule_say_the_same_of_every_clip(real_splits):
    lists = read_lists(REAL)
    for clip, split in real_splits.items():
        word, _, name = clip.partition("/")
        assert split_of(word, f"{name}.wav", lists) == split_of(word, f"{name}.flac", {}) == split


@real
def test_no_real_speaker_is_in_two_splits(real_splits):
    assert shared_speakers((split, clip.partition("/")[2]) for clip, split in real_splits.items()) == []


@pytest.mark.parametrize(("split", "speaker"), SPEAKERS.items())
def test_the_rule_puts_a_known_speaker_where_the_published_lists_do(split, speaker):
    assert official_split(speaker) == split


def test_the_rule_gives_a_tenth_to_validation_and_a_tenth_to_the_test():
    counts = Counter(official_split(f"{speaker:08x}") for speaker in range(4000))
    assert counts["validation"] == pytest.approx(400, abs=80)
    assert counts["test"] == pytest.approx(400, abs=80)


@given(speakers, st.integers(0, 99), st.sampled_from(["yes", "no", "up"]), st.sampled_from(["wav", "flac", "ogg"]))
def test_all_clips_of_a_speaker_share_a_split(speaker, number, word, ending):
    assert split_of(word, f"{speaker}_nohash_{number}.{ending}", {}) == official_split(speaker)


@pytest.mark.parametrize(
    ("file_name", "speaker"),
    [
        ("0cb74144_nohash_1.wav", "0cb74144"),
        ("0cb74144_nohash_12.flac", "0cb74144"),
        ("anna_maria_nohash_0.wav", "anna_maria"),
        ("a_nohash_b_nohash_0.wav", "a"),
    ],
)
def test_the_speaker_stands_before_nohash(file_name, speaker):
    assert speaker_of(file_name) == speaker


def test_without_nohash_every_name_is_a_speaker():
    assert speaker_of("one") != speaker_of("two")


@pytest.mark.parametrize("listed", ["none", "validation", "test", "both"])
@pytest.mark.parametrize(("by_rule", "speaker"), SPEAKERS.items())
@pytest.mark.parametrize("named_in", [None, "validation", "test"])
def test_a_list_wins_and_the_rule_fills_in_for_a_missing_list(tmp_path, listed, by_rule, speaker, named_in):
    clip = f"{speaker}_nohash_0"
    there = {"none": [], "both": ["validation", "test"]}.get(listed, [listed])
    for split in there:
        write_lists(tmp_path, {split: [f"yes/{split}_nohash_0.wav"] + [f"yes/{clip}.wav"] * (split == named_in)})
    if named_in in there:
        expected = named_in
    elif by_rule in there or len(there) == 2:
        expected = "train"  # a list that is there is complete, so who is not in it is not in its split
    else:
        expected = by_rule
    assert split_of("yes", f"{clip}.wav", read_lists(tmp_path)) == expected


def test_a_list_names_a_clip_of_one_word_only(tmp_path):
    write_lists(tmp_path, {"validation": ["yes/a_nohash_0.wav"], "test": []})
    lists = read_lists(tmp_path)
    assert split_of("yes", "a_nohash_0.wav", lists) == "validation"
    assert split_of("no", "a_nohash_0.wav", lists) == "train"


@pytest.mark.parametrize("listed", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("there", ["wav", "flac", "ogg", "WAV"])
def test_a_list_fits_the_same_clips_with_another_ending(tmp_path, listed, there):
    write_lists(tmp_path, {"validation": [], "test": [f"yes/a_nohash_0.{listed}"]})
    assert split_of("yes", f"a_nohash_0.{there}", read_lists(tmp_path)) == "test"


@pytest.mark.parametrize("name", ["a_nohash_0", "a", "recording 1", "clip12", "1"])
def test_the_rule_puts_the_same_clip_with_another_ending_into_the_same_split(name):
    for i in range(20):
        of_wav, of_flac = (split_of("yes", f"{i}{name}.{ending}", {}) for ending in ("wav", "flac"))
        assert of_wav == of_flac


@pytest.mark.parametrize(
    "text",
    [
        b"yes/a_nohash_0.wav\nyes/b_nohash_0.wav\n",
        b"yes/a_nohash_0.wav\nyes/b_nohash_0.wav",
        b"yes/a_nohash_0.wav\r\nyes/b_nohash_0.wav\r\n",
        b"\n  yes/a_nohash_0.wav  \n\n\tyes/b_nohash_0.wav\n\n",
        b"\xef\xbb\xbfyes/a_nohash_0.wav\nyes/b_nohash_0.wav\n",
    ],
    ids=["usual", "no end", "windows", "blanks", "byte order mark"],
)
def test_a_list_may_come_from_any_editor(tmp_path, text):
    (tmp_path / LISTS["test"]).write_bytes(text)
    assert read_lists(tmp_path) == {"test": {"yes/a_nohash_0", "yes/b_nohash_0"}}


def test_an_empty_list_is_a_list(tmp_path):
    write_lists(tmp_path, {"validation": []})
    assert read_lists(tmp_path) == {"validation": frozenset()}
    assert split_of("yes", f"{SPEAKERS['validation']}_nohash_0.wav", read_lists(tmp_path)) == "train"


def test_a_clip_in_both_lists_is_refused_by_name(tmp_path):
    write_lists(tmp_path, {"validation": ["yes/a.wav", "yes/b.wav"], "test": ["yes/c.wav", "yes/b.flac"]})
    with pytest.raises(DataError, match=r"yes/b and 0 more clips stand in both .*one split only"):
        read_lists(tmp_path)


@pytest.mark.parametrize("name", LISTS.values())
def test_a_list_that_is_no_text_is_refused_by_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"yes/\xff\xfe.wav\n")
    with pytest.raises(DataError, match=f"{name} cannot be read as a list of clips"):
        read_lists(tmp_path)


def test_a_folder_in_place_of_a_list_is_refused_by_name(tmp_path):
    (tmp_path / LISTS["test"]).mkdir()
    with pytest.raises(DataError, match=r"testing_list\.txt cannot be read as a list of clips"):
        read_lists(tmp_path)


def test_a_file_name_that_is_not_unicode_has_a_split():
    assert split_of("yes", os.fsdecode(b"caf\xe9_nohash_0.wav"), {}) in ("train", "validation", "test")


def test_speakers_in_two_splits_are_named():
    clips = [
        ("train", "b_nohash_0.wav"),
        ("test", "b_nohash_1.wav"),
        ("train", "a_nohash_0.wav"),
        ("validation", "a_nohash_0.wav"),
        ("train", "c_nohash_0.wav"),
        ("train", "c_nohash_1.wav"),
        ("test", "d_nohash_0.wav"),
    ]
    assert shared_speakers(clips) == ["a", "b"]


@given(st.lists(st.tuples(speakers, st.integers(0, 9))))
def test_the_rule_never_shares_a_speaker(clips):
    names = [f"{speaker}_nohash_{number}.wav" for speaker, number in clips]
    assert shared_speakers((split_of("yes", name, {}), name) for name in names) == []
