"""Manifests that contradict themselves, and pieces of one recording that share sound across splits."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from kws.errors import DataError
from kws.events import SPLITS
from kws.speech.folder import read_folder
from kws.speech.overlapping import Piece, in_other_splits


def write(folder, text, files=("a.wav", "b.wav", "c.wav")):
    """A folder with these files and a table."""
    for place, name in enumerate(files):
        (folder / name).write_bytes(bytes([place]))
    (folder / "clips.csv").write_text(text)
    return folder


def test_all_clips_with_two_words_or_splits_are_counted_and_the_first_is_named_with_both_lines(tmp_path):
    text = "path,label,split\na.wav,yes,train\nb.wav,yes,test\nc.wav,no,test\na.wav,no,train\n"
    with pytest.raises(DataError) as one:
        read_folder(write(tmp_path, text))
    assert str(one.value) == (
        "a.wav is yes in clips.csv:2, and no in clips.csv:5; a clip has one word and one split, so delete one of the "
        "lines"
    )
    with pytest.raises(DataError, match=r"clips\.csv:5; 1 more clip has two words or splits, too; a clip has one word"):
        read_folder(write(tmp_path, text + "b.wav,yes,train\nb.wav,no,train\n"))
    with pytest.raises(DataError, match=r"2 more clips have two words or splits, too"):
        read_folder(write(tmp_path, text + "b.wav,yes,train\nc.wav,yes,test\n"))


def overlapping_by_hand(pieces):
    """The same by looking at each pair."""

    def share(one, other):
        return one.file == other.file and one.begin_ms < other.end and other.begin_ms < one.end

    return [i for i, one in enumerate(pieces) if any(one.split != each.split and share(one, each) for each in pieces)]


@given(
    st.lists(
        st.builds(
            lambda file, begin, length, split: Piece(file, begin, length and begin + length, split),
            st.sampled_from("ab"),
            st.integers(0, 12),
            st.none() | st.integers(1, 6),
            st.sampled_from(SPLITS),
        ),
        max_size=9,
    )
)
@settings(max_examples=150, deadline=None)
def test_pieces_that_overlap_pieces_in_another_split_are_those_of_every_pair(pieces):
    assert in_other_splits(pieces) == overlapping_by_hand(pieces)


def test_training_says_which_pieces_share_sound_with_another_split(tmp_path):
    soundfile.write(tmp_path / "long.wav", np.zeros(80_000), 16_000)
    soundfile.write(tmp_path / "other.wav", np.zeros(32_000), 16_000)
    lines = ["0,1,train", "0.5,1.5,test", "1.4,2,train", "2,3,validation", "3,4,test"]
    table = "".join(f"long.wav,yes,{each}\n" for each in lines)
    (tmp_path / "clips.csv").write_text(f"path,label,start,end,split\n{table}other.wav,no,,,train\n")
    assert read_folder(tmp_path).said == (
        "WARNING: 3 pieces of long.wav overlap pieces in another split: clips.csv:2, clips.csv:3, clips.csv:4; "
        "accuracies will look better than on other clips",
    )
    (tmp_path / "clips.csv").write_text(
        f"path,label,start,end,split\n{table}other.wav,no,,,train\nother.wav,no,1,2,test\n"
    )
    assert "5 pieces of long.wav and 1 more recording overlap" in read_folder(tmp_path).said[0]
    apart = "".join(f"long.wav,yes,{i},{i + 1},{split}\n" for i, split in enumerate(SPLITS))
    (tmp_path / "clips.csv").write_text(f"path,label,start,end,split\n{apart}other.wav,no,,,train\n")
    assert read_folder(tmp_path).said == ()
