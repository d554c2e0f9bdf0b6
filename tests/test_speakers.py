"""Who speaks in each clip: known from names made as Speech Commands makes them, told, or unknown; never invented."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws.errors import DataError
from kws.speech.speakers import speakers_of

HERE = Path("here")
names = st.text("abcé0123_ ", min_size=1, max_size=8)


def test_names_made_as_speech_commands_makes_them_tell_their_speakers_at_any_depth():
    assert speakers_of(["yes/ann_nohash_0", "yes/session2/bob_nohash_12"], None, HERE) == ["ann", "bob"]


@pytest.mark.parametrize("name", ["yes/alice_01", "yes/ann/take1", "yes/1", "yes/ann_nohash_x"])
def test_one_name_that_tells_nothing_makes_all_speakers_unknown(name):
    assert speakers_of(["yes/ann_nohash_0", name], None, HERE) is None


@pytest.mark.parametrize(
    ("pattern", "name", "speaker"),
    [
        ("{speaker}_{n}", "yes/alice_01", "alice"),
        ("{speaker}_{n}", "yes/anna_maria_01", "anna_maria"),
        ("{speaker}_{date}_{n}", "yes/anna_2024_01", "anna"),
        ("{speaker}/{n}", "yes/ann/take1", "ann"),
        ("{session}/{speaker}_{n}", "yes/monday/ann_1", "ann"),
        ("{speaker}/{session}/{n}", "yes/ann/monday/1", "ann"),
        ("{word}-{speaker}-{n}", "yes/yes-ann-1", "ann"),
        ("{speaker}", "yes/ann", "ann"),
        ("p{speaker}.{n}", "yes/p12.3", "12"),
        ("{speaker}_{n}.wav", "yes/ann_1", "ann"),
        ("({speaker}) [{n}]", "yes/(ann) [1]", "ann"),
        ("{n}_{speaker}", "yes/01_ñ 言葉", "ñ 言葉"),
    ],
)
def test_a_pattern_tells_the_speaker_in_the_path_below_the_word(pattern, name, speaker):
    assert speakers_of([name], pattern, HERE) == [speaker]


@given(st.lists(st.tuples(names, names.filter(lambda text: "_" not in text)), min_size=1))
def test_a_pattern_takes_apart_what_was_put_together_by_it(parts):
    clips = [f"yes/{speaker}_{n}" for speaker, n in parts]
    assert speakers_of(clips, "{speaker}_{n}", HERE) == [speaker for speaker, _ in parts]


def test_a_pattern_that_does_not_fit_every_clip_is_an_error_that_names_those():
    with pytest.raises(DataError, match=r"does not fit yes/x, yes/a/b_1, no/y and 1 more; it is about"):
        speakers_of(["yes/a_1", "yes/x", "yes/a/b_1", "no/y", "no/z"], "{speaker}_{n}", HERE)


@pytest.mark.parametrize("pattern", ["{n}", "{speaker}{speaker}", "{speaker", "{speaker}_{n", "{}", "}{speaker}"])
def test_a_pattern_must_have_the_speaker_once(pattern):
    with pytest.raises(DataError, match=r"must have \{speaker\} once|is neither a file nor a pattern"):
        speakers_of(["yes/a_1"], pattern, HERE)


CLIPS = ["yes/a", "yes/session 2/b", "no/a", "no/c"]
ROWS = (("yes/a.wav", "ann"), ("yes/session 2/b.wav", "bob"), ("no/a.wav", "ann"), ("no/c.wav", "eve v."))


def table(form: str, *above: str, end: str = "\n") -> str:
    """A file with a line for each row, below these lines."""
    return "".join(line + end for line in (*above, *(form.format(*row) for row in ROWS)))


TABLES = {
    "csv": table("{},{}", "path,speaker"),
    "csv without names": table("{},{}"),
    "quoted": table('"{}","{}"', '"path","speaker"'),
    "speaker first": table("{1},30,{0}", "client_id,age,path"),
    "tsv": table("{}\t{}"),
    "windows": table("{};{}", "path;speaker", end="\r\n").replace("/", "\\").replace("yes", "C:\\x\\Yes"),
    "a byte order mark": table("{},{}", "\ufeffpath,speaker"),
    "more than is there": table("{},{}", "path,speaker", "left/a.wav,tom"),
    "file names": "file,speaker\na.wav,ann\nb.wav,bob\nc.wav,eve v.\n",
}


@pytest.mark.parametrize("kind", TABLES)
def test_a_file_tells_the_speaker_of_every_clip(tmp_path, kind):
    (tmp_path / "who").write_text(TABLES[kind], encoding="utf-8", newline="")
    assert speakers_of(CLIPS, str(tmp_path / "who"), HERE) == ["ann", "bob", "ann", "eve v."]
    assert speakers_of(CLIPS, "who", tmp_path) == ["ann", "bob", "ann", "eve v."], "it may lie in the data's folder"


def test_kaldis_utt2spk_is_such_a_file(tmp_path):
    (tmp_path / "utt2spk").write_text("# made by hand\nyes/a ann\nyes/session 2/b  bob\nno/a\tann\nno/c.wav eve\n")
    assert speakers_of(CLIPS, str(tmp_path / "utt2spk"), HERE) == ["ann", "bob", "ann", "eve"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("yes/a.wav,ann\n", r"has no speaker for yes/session 2/b, no/a, no/c;"),
        ("", r"has no speaker for yes/a, yes/session 2/b, no/a and 1 more"),
        (TABLES["csv"] + "yes/a,tom\n", "gives yes/a two speakers, ann and tom"),
        ("yes/a.wav,ann\nno/a.wav,\n", "has no speaker in the line 'no/a.wav '"),
        ("yes/a.wav\n", "has no speaker in the line 'yes/a.wav'"),
    ],
)
def test_a_file_that_does_not_tell_all_speakers_is_refused(tmp_path, text, reason):
    (tmp_path / "who").write_text(text)
    with pytest.raises(DataError, match=reason):
        speakers_of(CLIPS, str(tmp_path / "who"), HERE)


@pytest.mark.parametrize("told", ["nowhere.csv", ".", "~nobody-by-this-name/x", "x" * 300, "a\0b"])
def test_what_is_neither_a_file_nor_a_pattern_is_refused(told):
    with pytest.raises(DataError, match="is neither a file nor a pattern"):
        speakers_of(CLIPS, told, HERE)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "who").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match="cannot be read as a file of clips and speakers"):
        speakers_of(CLIPS, str(tmp_path / "who"), HERE)
