"""A clip's split is that of the list which names it, else of the official rule on its speaker."""

import os
import tarfile
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import LISTS, write_lists

from kws.errors import DataError
from kws.speech.names import without_ending
from kws.speech.splits import official_split, read_lists, shared_speakers, speaker_in, speaker_of, split_clips

REAL = Path(__file__).resolve().parent.parent.parent / "shared" / "speech_commands"
real = pytest.mark.skipif(
    not (REAL / "clips.tar").exists(),
    reason="the real clips are not beside the repository, in ../shared/speech_commands",
)
# From the published lists.
SPEAKERS = {"train": "00f0204f", "validation": "067f61e2", "test": "0cb74144"}
speakers = st.text("0123456789abcdef", min_size=8, max_size=8)


def split_of(word: str, file_name: str, lists: dict[str, list[str]]) -> str:
    """The split of one clip among others of the same speakers; its ending does not count."""
    name = without_ending(f"{word}/{file_name}")
    others = {without_ending(line.strip()) for lines in lists.values() for line in lines} - {name}
    return split_clips([name, *others], None, lists, Path("here")).of[0]


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
    names, splits = list(real_splits), list(real_splits.values())
    assert split_clips(names, None, lists, REAL).of == split_clips(names, None, {}, REAL).of == splits


@real
def test_no_real_speaker_is_in_two_splits(real_splits):
    assert shared_speakers((split, speaker_of(clip.partition("/")[2])) for clip, split in real_splits.items()) == []


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
    names = ["yes/a_nohash_0", "yes/b_nohash_0", "yes/c_nohash_0"]
    assert split_clips(names, None, read_lists(tmp_path), tmp_path).of[:2] == ["test", "test"]


def test_an_empty_list_is_a_list(tmp_path):
    write_lists(tmp_path, {"validation": []})
    assert read_lists(tmp_path) == {"validation": []}
    assert split_of("yes", f"{SPEAKERS['validation']}_nohash_0.wav", read_lists(tmp_path)) == "train"


def test_a_clip_in_both_lists_is_refused_by_name(tmp_path):
    write_lists(tmp_path, {"validation": ["yes/a.wav", "yes/b.wav"], "test": ["yes/c.wav", "yes/b.flac"]})
    with pytest.raises(DataError, match=r"yes/b stands in both .*one split only"):
        split_clips(["yes/a", "yes/b", "yes/c"], None, read_lists(tmp_path), tmp_path)
    with pytest.raises(DataError, match=r"yes/b stands in both .*one split only"):
        split_clips(["no/a"], None, read_lists(tmp_path), tmp_path)  # whether or not it is there


@pytest.mark.parametrize("name", LISTS.values())
@pytest.mark.parametrize("content", [b"yes/\xff\xfe.wav\n", "yes/a.wav\n".encode("utf-16-le")])
def test_a_list_that_is_no_text_is_refused_by_name(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} cannot be read as a list of clips"):
        read_lists(tmp_path)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_in_place_of_a_list_is_refused_by_name(tmp_path, make):
    make(tmp_path / LISTS["test"])
    with pytest.raises(DataError, match=r"testing_list\.txt cannot be read as a list of clips"):
        read_lists(tmp_path)


def test_a_file_name_that_is_not_unicode_has_a_split():
    assert split_of("yes", os.fsdecode(b"caf\xe9_nohash_0.wav"), {}) in ("train", "validation", "test")


def test_speakers_in_two_splits_are_named():
    clips = [("train", "b"), ("test", "b"), ("train", "a"), ("validation", "a"), ("train", "c"), ("train", "c")]
    assert shared_speakers([*clips, ("test", "d")]) == ["a", "b"]


@given(st.lists(st.tuples(speakers, st.integers(0, 9))))
def test_the_rule_never_shares_a_speaker(clips):
    names = [f"yes/{speaker}_nohash_{number}" for speaker, number in clips]
    of = split_clips(names, None, {}, Path("here")).of
    assert shared_speakers(zip(of, (speaker for speaker, _ in clips), strict=True)) == []


@pytest.mark.parametrize(
    ("stem", "speaker"),
    [
        ("0cb74144_nohash_1", "0cb74144"),
        ("anna_maria_nohash_12", "anna_maria"),
        ("a_nohash_b_nohash_0", None),
        ("a_nohash_", None),
        ("a_nohash_1 (copy)", None),
        ("_nohash_0", None),
        ("alice_01", None),
        ("yes", None),
        ("a_nohash_\u0661", None),
    ],
)
def test_a_speaker_is_known_only_from_a_name_made_as_speech_commands_makes_it(stem, speaker):
    assert speaker_in(stem) == speaker


def test_all_clips_of_a_speaker_who_is_told_share_a_split():
    names = [f"{word}/{speaker}_{i}" for word in ("yes", "no") for speaker in ("ann", "bob", "eve") for i in range(40)]
    told = [name.partition("/")[2].partition("_")[0] for name in names]
    by_name, by_speaker = (split_clips(names, each, {}, Path("here")).of for each in (None, told))
    assert shared_speakers(zip(by_speaker, told, strict=True)) == []
    assert shared_speakers(zip(by_name, told, strict=True)) == ["ann", "bob", "eve"]
    assert by_speaker == [official_split(speaker) for speaker in told]


def test_the_same_take_of_several_folders_is_not_one_clip_to_the_rule():
    names = [f"yes/{speaker}/take1" for speaker in range(200)]
    assert set(split_clips(names, None, {}, Path("here")).of) == {"train", "validation", "test"}


# Lists as people's tools write them

CLIPS = ["yes/a_nohash_0", "yes/b_nohash_0", "no/a_nohash_0", "Größer/c", "yes/session 2/d.v1", "turn on/e", "yes/f"]


@pytest.mark.parametrize(
    ("line", "clip"),
    [
        ("yes/a_nohash_0.wav", "yes/a_nohash_0"),
        ("./yes/a_nohash_0.wav", "yes/a_nohash_0"),
        ("yes//a_nohash_0.wav", "yes/a_nohash_0"),
        ("yes/../no/a_nohash_0.wav", "no/a_nohash_0"),
        ("yes\\a_nohash_0.wav", "yes/a_nohash_0"),
        (".\\yes\\a_nohash_0.wav", "yes/a_nohash_0"),
        ("C:\\my data\\yes\\a_nohash_0.wav", "yes/a_nohash_0"),
        ("/home/me/data/yes/a_nohash_0.wav", "yes/a_nohash_0"),
        ("/home/no/data/yes/a_nohash_0.wav", "yes/a_nohash_0"),
        ("speech_commands_v0.02/yes/a_nohash_0.wav", "yes/a_nohash_0"),
        ("file:///data/yes/a_nohash_0.wav", "yes/a_nohash_0"),
        ("Yes/A_NOHASH_0.WAV", "yes/a_nohash_0"),
        ("\ufeffyes/a_nohash_0.wav", "yes/a_nohash_0"),
        ("  yes/a_nohash_0.wav\t ", "yes/a_nohash_0"),
        ("yes/a_nohash_0.wav\r", "yes/a_nohash_0"),
        ('"yes/a_nohash_0.wav"', "yes/a_nohash_0"),
        ('"yes/a_nohash_0.wav","yes"', "yes/a_nohash_0"),
        ("yes/a_nohash_0.wav,yes", "yes/a_nohash_0"),
        ("yes/a_nohash_0.wav\t1", "yes/a_nohash_0"),
        ("yes/a_nohash_0.wav # coughs", "yes/a_nohash_0"),
        ("yes/a_nohash_0", "yes/a_nohash_0"),
        ("yes/a_nohash_0.opus", "yes/a_nohash_0"),
        ("gro\u0308ßer/c.wav", "Größer/c"),
        ("yes/session 2/d.v1.wav", "yes/session 2/d.v1"),
        ("yes/session 2/d.v1", "yes/session 2/d.v1"),
        ("x\\YES\\Session 2\\D.v1.Wav", "yes/session 2/d.v1"),
        ("turn on/e.wav", "turn on/e"),
        ("f.wav", "yes/f"),
    ],
)
def test_a_listed_test_clip_is_never_trained_on_however_its_line_is_written(tmp_path, line, clip):
    (tmp_path / LISTS["test"]).write_bytes(f"{line}\n".encode())
    (tmp_path / LISTS["validation"]).touch()
    splits = split_clips(CLIPS, None, read_lists(tmp_path), tmp_path)
    assert [name for name, split in zip(CLIPS, splits.of, strict=True) if split == "test"] == [clip]
    assert (splits.missing, splits.elsewhere) == ([], 0)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_list_may_be_in_any_unicode(tmp_path, encoding):
    mark = "\ufeff" if encoding.endswith(("le", "be")) else ""
    (tmp_path / LISTS["test"]).write_bytes(f"{mark}Größer/c.wav\r\nyes/f.wav\r\n".encode(encoding))
    (tmp_path / LISTS["validation"]).touch()
    splits = split_clips(CLIPS, None, read_lists(tmp_path), tmp_path).of
    assert [name for name, split in zip(CLIPS, splits, strict=True) if split == "test"] == ["Größer/c", "yes/f"]


def test_a_list_whose_name_differs_in_case_alone_is_that_list(tmp_path):
    (tmp_path / "Testing_List.TXT").write_text("yes/f.wav\n")
    assert read_lists(tmp_path) == {"test": ["yes/f.wav"]}


def test_a_bare_file_name_means_the_clips_of_that_name_of_every_word(tmp_path):
    write_lists(tmp_path, {"test": ["a_nohash_0.wav"], "validation": []})
    splits = split_clips(CLIPS, None, read_lists(tmp_path), tmp_path)
    listed = [name for name, split in zip(CLIPS, splits.of, strict=True) if split == "test"]
    assert listed == ["yes/a_nohash_0", "no/a_nohash_0"]


def test_a_line_that_is_a_clips_name_means_that_one_and_not_another_spelling(tmp_path):
    write_lists(tmp_path, {"test": ["yes/A.wav", "Yes/b.wav"], "validation": []})
    names = ["yes/A", "yes/a", "Yes/b", "yes/b", "yes/c"]
    splits = split_clips(names, None, read_lists(tmp_path), tmp_path)
    assert [name for name, split in zip(names, splits.of, strict=True) if split == "test"] == ["yes/A", "Yes/b"]


@pytest.mark.parametrize(
    "line",
    ["yes/z.wav", "Yes\\z.wav", "/data/yes/z.wav", "yes/session 2/z.wav", "/x/yes/session 2/z.wav", "yes/new/z.wav"],
)
def test_a_line_of_a_word_that_is_there_whose_clip_is_not_is_missing(tmp_path, line):
    write_lists(tmp_path, {"test": [line, "yes/f.wav"], "validation": []})
    splits = split_clips(CLIPS, None, read_lists(tmp_path), tmp_path)
    assert (splits.missing, splits.elsewhere) == ([line], 0)


@pytest.mark.parametrize(
    "line", ["left/a_nohash_0.wav", "/home/no/data/left/a.wav", "_background_noise_/x.wav", "z.wav"]
)
def test_a_line_of_a_word_that_is_not_there_is_counted(tmp_path, line):
    write_lists(tmp_path, {"test": [line, "yes/f.wav", "# a comment"], "validation": []})
    splits = split_clips(CLIPS, None, read_lists(tmp_path), tmp_path)
    assert (splits.missing, splits.elsewhere) == ([], 1)
    assert Counter(splits.of) == {"train": len(CLIPS) - 1, "test": 1}


@pytest.mark.parametrize("line", ["yes/" * 200_000, "a/" * 200_000 + "../" * 200_000, "/" * 500_000, "." * 500_000])
def test_a_line_of_any_length_is_read_at_once(tmp_path, line):
    write_lists(tmp_path, {"test": [line, f"{line}yes/f.wav"], "validation": []})
    start = time.process_time()
    split_clips(CLIPS, None, read_lists(tmp_path), tmp_path)
    assert time.process_time() - start < 3


def test_a_clip_that_both_lists_name_in_different_spellings_is_refused(tmp_path):
    write_lists(tmp_path, {"test": ["yes\\f.wav"], "validation": ["./Yes/F.wav", "yes/b_nohash_0.wav"]})
    with pytest.raises(DataError, match="yes/f stands in both"):
        split_clips(CLIPS, None, read_lists(tmp_path), tmp_path)
