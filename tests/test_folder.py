"""Which clips of a folder take part, in which class and split."""

import os
import random
import shutil
import unicodedata
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import noise, write, write_folder, write_lists

from kws.errors import DataError
from kws.events import SPLITS
from kws.speech.classes import draw_classes
from kws.speech.folder import Clip, read_folder

WORDS = ("yes", "no")
HERE = Path("here")


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """Two keywords, three other words, both lists; nobody changes it."""
    counts = {"yes": (4, 2, 1), "no": (6, 1, 2), "up": (4, 2, 3), "down": (3, 1, 2), "left": (5, 2, 1)}
    return write_folder(tmp_path_factory.mktemp("folder") / "data", counts, seconds=0.01)


def list_clips(folder: Path) -> list[Clip]:
    """The clips of a folder."""
    return read_folder(folder).clips


def clips_of(word: str, split: str, count: int) -> list[Clip]:
    return [Clip(f"{word}/{i}", word, f"{split}{i}_nohash_0.wav", split, 100, 0) for i in range(count)]


def drawn(clips: list[Clip], words: tuple[str, ...] = WORDS) -> set[str]:
    """The names of the clips in "other"."""
    classes, taken = draw_classes(clips, words, HERE)
    return {clip.name for clip in taken if classes[clip.label] == "other"}


def touch(path: Path, content: bytes = b"a clip") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def refusal(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        list_clips(folder)
    assert "`kws data list`" in str(caught.value), "the next command to try"
    return str(caught.value)


def test_every_recording_is_listed_with_its_word_split_size_and_time(folder):
    clips = list_clips(folder)
    assert [clip.name for clip in clips] == sorted(clip.name for clip in clips)
    assert Counter((clip.word, clip.split) for clip in clips)["yes", "train"] == 4
    assert Counter(clip.split for clip in clips) == {"train": 22, "validation": 8, "test": 9}
    for clip in clips:
        about = Path(clip.path).stat()
        assert Path(clip.path) == folder / clip.word / clip.file_name
        assert (clip.stamp.size, clip.stamp.modified_ns, clip.label) == (about.st_size, about.st_mtime_ns, -1)
        assert clip.file_name.startswith(clip.split)


def test_keywords_become_classes_in_the_order_given_and_other_is_last(folder):
    clips = list_clips(folder)
    for words in (("yes", "no"), ("no", "yes"), ("up", "no", "yes")):
        classes, taken = draw_classes(clips, words, folder)
        assert classes == (*words, "other")
        for clip in taken:
            assert classes[clip.label] == (clip.word if clip.word in words else "other")


def test_all_clips_of_the_keywords_take_part_once(folder):
    clips = list_clips(folder)
    _, taken = draw_classes(clips, WORDS, folder)
    assert sorted(c.name for c in taken if c.word in WORDS) == sorted(c.name for c in clips if c.word in WORDS)
    assert len({clip.name for clip in taken}) == len(taken)


def test_clips_are_ordered_by_split_label_and_name(folder):
    _, taken = draw_classes(list_clips(folder), WORDS, folder)
    keys = [(SPLITS.index(clip.split), clip.label, clip.name) for clip in taken]
    assert keys == sorted(keys)


def test_other_is_as_large_as_the_keywords_on_average_in_each_split(folder):
    classes, taken = draw_classes(list_clips(folder), WORDS, folder)
    counts = Counter((clip.split, classes[clip.label]) for clip in taken)
    assert {split: counts[split, "other"] for split in SPLITS} == {"train": 5, "validation": 2, "test": 2}


@given(st.tuples(*[st.integers(0, 9)] * 3), st.tuples(*[st.integers(0, 9)] * 3), st.tuples(*[st.integers(0, 9)] * 3))
def test_other_takes_the_rounded_mean_of_the_keywords_or_all_there_is(yes, no, up):
    counts = {"yes": yes, "no": no, "up": up}
    clips = [
        clip
        for word, in_splits in counts.items()
        for split, count in zip(SPLITS, in_splits, strict=True)
        for clip in clips_of(word, split, count)
    ]
    if not (sum(yes) and sum(no)):
        with pytest.raises(DataError, match="no recordings of"):
            draw_classes(clips, WORDS, HERE)
        return
    classes, taken = draw_classes(clips, WORDS, HERE)
    assert classes == ((*WORDS, "other") if sum(up) else WORDS)
    for split, a, b, others in zip(SPLITS, yes, no, up, strict=True):
        labels = Counter(clip.label for clip in taken if clip.split == split)
        assert (labels[0], labels[1], labels[2]) == (a, b, min(others, round((a + b) / 2)))


@given(st.randoms(use_true_random=False))
def test_the_draw_does_not_depend_on_the_order_of_the_files(shuffler):
    clips = [clip for word in ("yes", "no", "up", "left") for split in SPLITS for clip in clips_of(word, split, 5)]
    shuffled = random.Random(shuffler.random()).sample(clips, len(clips))
    assert draw_classes(shuffled, WORDS, HERE) == draw_classes(clips, WORDS, HERE)


def test_the_draw_does_not_depend_on_place_time_size_or_ending(tmp_path, folder):
    other = tmp_path / "elsewhere"
    shutil.copytree(folder, other, copy_function=shutil.copyfile)  # other times
    for i, path in enumerate(sorted(other.rglob("*.wav"), reverse=True)):
        path.write_bytes(b"x" * i)
        os.utime(path, (i, i))
        path.rename(path.with_suffix(".FLAC"))
    assert drawn(list_clips(other)) == drawn(list_clips(folder))


@given(st.integers(0, 8), st.integers(0, 8))
def test_further_words_only_displace_clips_and_never_bring_back_others(up, left):
    keywords = [clip for word in WORDS for clip in clips_of(word, "train", 4)]
    few = keywords + clips_of("up", "train", up)
    many = few + clips_of("left", "train", left)
    assert drawn(many) & {clip.name for clip in few} <= drawn(few)


@given(st.integers(1, 8))
def test_more_clips_of_the_keywords_only_add_to_the_draw(more):
    others = [clip for word in ("up", "left") for clip in clips_of(word, "train", 8)]
    few = [clip for word in WORDS for clip in clips_of(word, "train", 4)]
    many = few + [clip for word in WORDS for clip in clips_of(word, "train", 4 + more)[4:]]
    assert drawn(few + others) < drawn(many + others)


def test_the_draw_takes_from_all_other_words_not_from_the_first():
    clips = [clip for word in (*WORDS, "up", "left", "go") for clip in clips_of(word, "train", 40)]
    assert {name.partition("/")[0] for name in drawn(clips)} == {"up", "left", "go"}


def test_the_draw_is_the_same_on_every_machine():
    clips = [clip for word in (*WORDS, "up", "left") for clip in clips_of(word, "train", 3)]
    # By `printf NAME | sha256sum`, the first three of six; others would make old and new runs incomparable.
    assert drawn(clips) == {"left/train2_nohash_0", "left/train1_nohash_0", "up/train1_nohash_0"}


@pytest.mark.parametrize("name", ["_background_noise_", ".git", "_", ".x"])
def test_folders_with_an_underscore_or_a_dot_in_front_are_left_out(tmp_path, name):
    touch(tmp_path / name / "a.wav")
    touch(tmp_path / "yes" / "a.wav")
    assert [clip.word for clip in list_clips(tmp_path)] == ["yes"]


def test_recordings_of_any_kind_and_depth_are_listed_and_nothing_else(tmp_path):
    for name in ("a.wav", "b.WAV", "c.flac", "d.Ogg", "f.mp3", "g.AIFF", "h.opus", "i.au"):
        touch(tmp_path / "yes" / name)
    for name in ("README", "a.txt", "a.mp3", ".hidden.wav", ".wav", "a.wav.part", "wav", "k.m4a"):
        touch(tmp_path / "yes" / name)
    touch(tmp_path / "loose.wav")
    touch(tmp_path / "yes" / "deeper" / "still" / "e.wav")
    found = [clip.file_name for clip in list_clips(tmp_path)]
    assert found == ["a.wav", "b.WAV", "c.flac", "d.Ogg", "deeper/still/e.wav", "f.mp3", "g.AIFF", "h.opus", "i.au"]


def test_a_word_without_recordings_is_no_word(tmp_path):
    touch(tmp_path / "yes" / "a.wav")
    touch(tmp_path / "no" / "b.wav")
    (tmp_path / "up").mkdir()
    assert draw_classes(list_clips(tmp_path), WORDS, tmp_path)[0] == WORDS


def test_a_missing_keyword_is_named_with_what_is_there(folder):
    with pytest.raises(DataError, match=r"no recordings of 'maybe'; it has down, left, no, up, yes; .*--words"):
        draw_classes(list_clips(folder), ("yes", "maybe"), folder)


def test_a_keyword_is_matched_by_its_whole_name(folder):
    for word in ("ye", "yess", "y es"):
        with pytest.raises(DataError, match="no recordings of"):
            draw_classes(list_clips(folder), ("no", word), folder)


NFC, NFD = (unicodedata.normalize(form, "größer") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("folders", "word"),
    [
        (["Yes", "yes"], "yes"),
        (["YES"], "yes"),
        (["yes"], "Yes"),
        ([NFD], NFC),
        ([NFC], NFD),
        ([NFD, NFC], NFC),
        (["turn  on", "turn on", "Turn\u00a0on "], "turn on"),
    ],
)
def test_folders_that_differ_in_case_composition_or_spaces_alone_are_one_word(tmp_path, folders, word):
    for number, name in enumerate([*folders, "no", "up"]):
        for i in range(8):
            touch(tmp_path / name / f"{number}{i}_nohash_0.wav")
    there = {path.name for path in tmp_path.iterdir()}
    classes, taken = draw_classes(list_clips(tmp_path), (word, "no"), tmp_path)
    assert classes == (word, "no", "other")
    assert {clip.word for clip in taken if clip.label == 0} == there - {"no", "up"}
    assert {clip.word for clip in taken if clip.label == 2} == {"up"}


def test_words_that_differ_in_case_alone_are_two_where_both_are_asked_for(tmp_path):
    for name in ("Weg", "weg", "WEG"):
        touch(tmp_path / name / "a.wav")
    classes, taken = draw_classes(list_clips(tmp_path), ("Weg", "weg"), tmp_path)
    assert classes == ("Weg", "weg", "other")
    assert {clip.word: clip.label for clip in taken} == {"Weg": 0, "weg": 1, "WEG": 2}


def test_letters_that_are_not_the_same_letter_make_two_words(tmp_path):
    for name in ("Masse", "Maße", "schön", "schon"):
        touch(tmp_path / name / "a.wav")
    _, taken = draw_classes(list_clips(tmp_path), ("Masse", "schon"), tmp_path)
    assert {clip.word: clip.label for clip in taken if clip.label < 2} == {"Masse": 0, "schon": 1}


@pytest.mark.parametrize("name", ["_unknown_", "_silence_"])
def test_what_is_no_keyword_takes_part_in_other_or_is_a_class_if_it_is_asked_for(tmp_path, name):
    for word in ("yes", "no", name):
        touch(tmp_path / word / "a.wav")
    classes, taken = draw_classes(list_clips(tmp_path), WORDS, tmp_path)
    assert classes == (*WORDS, "other") and {clip.word: clip.label for clip in taken}[name] == 2
    classes, taken = draw_classes(list_clips(tmp_path), (*WORDS, name), tmp_path)
    assert classes == (*WORDS, name) and {clip.word: clip.label for clip in taken}[name] == 2


def test_words_that_lie_deeper_are_named_with_the_folder_to_give(tmp_path):
    touch(tmp_path / "archive" / "audio" / "yes" / "a.wav")
    with pytest.raises(DataError, match=r"no recordings of 'yes'.* lie in archive/audio: give --data"):
        draw_classes(list_clips(tmp_path), WORDS, tmp_path)
    touch(tmp_path / "more" / "Yes" / "a.wav")
    with pytest.raises(DataError, match=r"lie in archive/audio, more.*; splits are told by validation_list\.txt"):
        draw_classes(list_clips(tmp_path), WORDS, tmp_path)


@pytest.mark.parametrize("words", [("yes", "no"), ("yes", "no", "up")])
def test_nothing_but_the_keywords_makes_a_task_without_other(words):
    clips = [clip for word in words for split in SPLITS for clip in clips_of(word, split, 2)]
    classes, taken = draw_classes(clips, words, HERE)
    assert classes == words
    assert len(taken) == len(clips)


def test_one_word_alone_is_refused():
    with pytest.raises(DataError, match="'yes' alone; at least one other word is needed"):
        draw_classes(clips_of("yes", "train", 3), ("yes",), HERE)


def test_one_keyword_among_other_words_is_a_task(folder):
    classes, taken = draw_classes(list_clips(folder), ("yes",), folder)
    counts = Counter((clip.split, clip.label) for clip in taken)
    assert classes == ("yes", "other")
    assert all(counts[split, 0] == counts[split, 1] for split in SPLITS)


def test_a_missing_folder_is_refused_by_name(tmp_path):
    assert f"{tmp_path / 'nowhere'} does not exist" in refusal(tmp_path / "nowhere")


def test_a_file_instead_of_a_folder_is_refused_by_name(tmp_path):
    path = write(tmp_path / "yes.wav", noise())
    assert f"{path} names no recordings" in refusal(path)


def test_a_folder_without_recordings_is_refused_by_name(tmp_path):
    assert f"{tmp_path} has no recordings" in refusal(tmp_path)
    touch(tmp_path / "loose.wav")
    (tmp_path / "yes").mkdir()
    assert f"{tmp_path} has no recordings" in refusal(tmp_path)


def test_links_to_folders_and_clips_are_followed(tmp_path):
    touch(tmp_path / "yes" / "a.wav")
    (tmp_path / "yes" / "b.wav").symlink_to("a.wav")
    (tmp_path / "no").symlink_to("yes")
    assert [clip.name for clip in list_clips(tmp_path)] == ["no/a", "no/b", "yes/a", "yes/b"]


def test_a_link_back_up_does_not_hang(tmp_path):
    touch(tmp_path / "yes" / "a.wav")
    (tmp_path / "yes" / "up").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path)
    assert [clip.name for clip in list_clips(tmp_path)] == ["yes/a"]


def test_links_back_to_what_was_entered_or_lies_above_are_entered_once(tmp_path):
    data = tmp_path / "above" / "data"
    touch(data / "yes" / "a.wav")
    touch(data / "yes" / "session" / "b.wav")
    touch(tmp_path / "above" / "elsewhere" / "c.wav")
    for name, target in (("twin", "session"), ("self", "."), ("up", ".."), ("far", "../.."), ("farther", tmp_path)):
        (data / "yes" / name).symlink_to(target)
    (data / "yes" / "session" / "back").symlink_to("..")
    (data / "no").symlink_to("../elsewhere")
    read = read_folder(data)
    assert [clip.name for clip in read.clips][:2] == ["no/c", "yes/a"]
    assert {clip.name.rpartition("/")[2] for clip in read.clips} == {"a", "b", "c"} and len(read.clips) == 3
    assert len(read.unused["folders that are linked again"]) == 6


@pytest.mark.parametrize("target", ["nowhere.wav", "b.wav"], ids=["dangling", "loop"])
def test_a_recording_that_is_a_broken_link_is_listed_so_that_reading_it_names_it(tmp_path, target):
    # As part of a data set kept by git-annex or Git LFS is: it can then be left out with --skip-unreadable.
    touch(tmp_path / "yes" / "a.wav")
    (tmp_path / "yes" / "b.wav").symlink_to(target)
    assert [clip.name for clip in list_clips(tmp_path)] == ["yes/a", "yes/b"]


def test_odd_names_are_names(tmp_path):
    for word, name in (("two words", "a b.wav"), ("ja", "ñ 言葉.wav"), ("-rf", "it's.wav"), ("x", "new\nline.wav")):
        touch(tmp_path / word / name)
    assert len(list_clips(tmp_path)) == 4


def test_a_name_that_is_not_unicode_is_a_name(tmp_path):
    touch(tmp_path / "yes" / "a.wav")
    try:
        touch(Path(os.fsdecode(os.fsencode(tmp_path) + b"/yes/caf\xe9.wav")))
    except OSError:
        pytest.skip("this file system takes only names in Unicode")
    assert len(list_clips(tmp_path)) == 2


def test_a_clip_in_both_lists_is_refused(folder, tmp_path):
    touch(tmp_path / "yes" / "a.wav")
    write_lists(tmp_path, {"validation": ["yes/a.wav"], "test": ["yes/a.wav"]})
    with pytest.raises(DataError, match="yes/a"):
        list_clips(tmp_path)


def test_a_words_own_folder_leads_to_the_one_above(folder, monkeypatch):
    """Given for the folder of all words, as a newcomer does who wants one word."""
    with pytest.raises(
        DataError, match="if it is the folder of a word, as down beside it may be, name the f"
    ) as caught:
        list_clips(folder / "yes")
    assert f"name the folder above: --data {folder}; " in str(caught.value)
    monkeypatch.chdir(folder / "yes")
    with pytest.raises(DataError, match=r"name the folder above: --data \.\.; "):
        list_clips(Path())


def test_a_words_folder_that_has_a_folder_a_speaker_leads_to_the_one_above(tmp_path):
    for speaker in ("anna", "bob"):
        touch(tmp_path / "my clips" / "yes" / speaker / "1.wav")
    with pytest.raises(DataError, match=r"it is called like a word: name the folder above: --data '.*/my clips'$"):
        draw_classes(list_clips(tmp_path / "my clips" / "yes"), WORDS, tmp_path / "my clips" / "yes")


def test_recordings_without_folders_are_told_the_simplest_layout(tmp_path):
    touch(tmp_path / "flat" / "1.wav")
    with pytest.raises(DataError, match=r"simplest is one folder per word, as .*flat/yes/1.wav"):
        list_clips(tmp_path / "flat")
