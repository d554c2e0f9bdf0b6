"""Labels of a stream are understood, or refused in a sentence that says which and why."""

import json

import pytest

from kws.errors import DataError
from kws.inference.stream_labels import StreamLabels, Window, labels_of, read_labels

WORDS = ("yes", "no")


def labels(*windows, keywords=WORDS, **more) -> StreamLabels:
    return labels_of({"detection_windows": list(windows), **more}, keywords, "a.json")


def test_mlperfs_windows_are_those_of_the_only_keyword(tmp_path):
    path = tmp_path / "a.json"
    about = {"wav_file": "a.wav", "sample_rate": 16000, "length_sec": 60.5, "detection_windows": [[5, 6.5], [1.5, 2]]}
    path.write_text(json.dumps(about), encoding="utf-8-sig")
    found = read_labels(path, ("marvin",))
    assert found.windows == (Window(1.5, 2.0, "marvin"), Window(5.0, 6.5, "marvin"))
    assert (found.seconds, found.rate_hz, found.is_test) == (60.5, 16_000, False)


def test_the_words_stand_in_the_windows_or_beside_them():
    expected = (Window(1.0, 2.0, "yes"), Window(3.0, 4.0, "no"))
    assert labels([1, 2, "yes"], [3, 4, "no"]).windows == expected
    assert labels([1, 2], [3, 4], words=["yes", "no"]).windows == expected
    assert labels([1, 2], [3, 4, "no"], words=["yes", "yes"]).windows == expected  # its own word counts first


@pytest.mark.parametrize(
    ("windows", "more", "says"),
    [
        ([[1, 2]], {}, r"window 1 in a\.json .* does not say its word, and there are 2 keywords \(yes, no\)"),
        ([[1, 2, "up"]], {}, r"window 1 in a\.json has the word 'up', which this run does not detect \(yes, no\)"),
        ([[1, 2, "yes"], [-1, 2, "yes"]], {}, r"window 2 in a\.json .* must start at 0 s or later"),
        ([[2, 2, "yes"]], {}, "must start at 0 s or later and stop after its start"),
        ([[1, float("nan"), "yes"]], {}, r"must be \[start, stop\] in seconds"),
        ([["1", 2, "yes"]], {}, r"must be \[start, stop\] in seconds"),
        ([[1]], {}, r"must be \[start, stop\] in seconds"),
        ([{"start": 1}], {}, r"must be \[start, stop\] in seconds"),
        ([[1, 2]], {"words": ["yes", "no"]}, r"`words` in a\.json must list one word for each of the 1"),
        ([], {"length_sec": -3}, r"`length_sec` \(=-3\) in a\.json must be a number above 0"),
        ([], {"sample_rate": "16k"}, r"`sample_rate` \(='16k'\) in a\.json must be a number above 0"),
    ],
)
def test_what_is_no_label_is_refused(windows, more, says):
    with pytest.raises(DataError, match=says):
        labels(*windows, **more)


@pytest.mark.parametrize("found", [[], {}, {"detection_windows": 3}, "x", None])
def test_what_is_no_list_of_windows_is_refused(found):
    with pytest.raises(DataError, match="have no list `detection_windows`; they look like"):
        labels_of(found, WORDS, "a.json")


@pytest.mark.parametrize("text", ["", "yes 1 2", "[" * 100_000, b"\xff\xfe\x00\x01"])
def test_what_is_no_json_is_refused(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DataError, match=r"the labels .*a\.json (are not JSON|cannot be read)"):
        read_labels(path, WORDS)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"the labels .*b\.json cannot be read \(No such file"):
        read_labels(tmp_path / "b.json", WORDS)


def test_labels_of_another_recording_are_refused():
    found = labels([1, 2, "yes"], length_sec=60.0, sample_rate=16_000)
    found.require_of("a.wav", 60.05, 16_000)
    with pytest.raises(DataError, match=r"a\.json labels a recording of 60\.00 s, but b\.wav has 50\.00 s"):
        found.require_of("b.wav", 50.0, 16_000)
    with pytest.raises(DataError, match=r"a\.json labels a recording of 16000 Hz, but b\.wav has 8000 Hz"):
        found.require_of("b.wav", 60.0, 8_000)
    with pytest.raises(DataError, match=r"a\.json has a word until 12\.00 s, but b\.wav ends after 10\.00 s"):
        labels([11, 12, "yes"]).require_of("b.wav", 10.0, 16_000)


def test_a_stream_made_of_test_clips_says_so():
    assert labels(made_from={"split": "test"}).is_test
    assert not labels(made_from={"split": "validation"}).is_test
    assert not labels(made_from="test").is_test
