"""Words are found in a long recording with pauses, and cut out of it."""

import numpy as np
import pytest
import soundfile
from commands import kws, ok, ok_json
from recordings import RATE_HZ, noise, tone, write

from kws.speech import cutting
from kws.speech.decode import SAMPLES
from kws.speech.folder import read_folder

HUM = 0.002


def session(path, *words: tuple[float, float], seconds: float = 10, level: float = 0.4, rate_hz: int = RATE_HZ):
    """A recording with a tone at each of these (begin, length), in noise; returns its path."""
    samples = noise(3, seconds=seconds, rate_hz=rate_hz, level=HUM)
    for begin, length in words:
        word = tone(700, seconds=length, rate_hz=rate_hz, level=level)
        at = round(begin * rate_hz)
        samples[at : at + len(word)] += word[: len(samples) - at]
    return write(path, samples, rate_hz)


def whys(found: cutting.Found) -> list[str]:
    return [piece.why for piece in found.pieces]


@pytest.mark.parametrize(("name", "rate_hz"), [("a.wav", 16_000), ("a.flac", 44_100)])
def test_each_word_is_found_and_lies_in_the_middle_of_its_clip(tmp_path, name, rate_hz):
    said = [(1.0, 0.5), (2.3, 0.3), (5.0, 0.8)]
    found = cutting.find(session(tmp_path / name, *said, rate_hz=rate_hz))
    assert [(round(p.begin_ms / 1000, 1), round((p.end_ms - p.begin_ms) / 1000, 1)) for p in found.words] == said
    assert found.seconds == 10 and found.spoken == 3
    cutting.write(found.named(["lamp"]), tmp_path / "out")
    files = sorted((tmp_path / "out" / "lamp").iterdir())
    assert [file.name for file in files] == ["a_001.wav", "a_002.wav", "a_003.wav"]
    for file in files:
        about, (samples, rate) = soundfile.info(file), soundfile.read(file)
        assert (len(samples), rate, about.subtype) == (SAMPLES, RATE_HZ, "PCM_16")
        loud = np.flatnonzero(np.abs(samples) > 0.1)
        assert abs(loud[0] + loud[-1] - SAMPLES) < 0.04 * RATE_HZ
    clips = read_folder(tmp_path / "out", "{speaker}_{n}").clips
    assert {(clip.word, clip.speaker) for clip in clips} == {("lamp", "a")}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([(2, 0.05), (4, 0.5)], [cutting.TOO_SHORT, ""]),
        ([(2, 1.4), (5, 0.5)], [cutting.TOO_LONG, ""]),
        ([(2, 0.3), (2.64, 0.3), (3.28, 0.3)], ["", cutting.TOO_CLOSE, ""]),
        ([(0, 0.5), (4, 0.5), (9.7, 0.3)], [cutting.AT_THE_EDGE, "", cutting.AT_THE_EDGE]),
        ([], []),
    ],
)
def test_what_is_left_out_has_a_reason(tmp_path, said, expected):
    found = cutting.find(session(tmp_path / "a.wav", *said))
    assert whys(found) == expected
    assert found.spoken == sum(why not in (cutting.TOO_SHORT, cutting.TOO_QUIET) for why in expected)


def test_a_second_gives_way_to_the_words_beside_it_and_to_the_recordings_ends(tmp_path):
    found = cutting.find(session(tmp_path / "a.wav", (0.1, 0.4), (1.1, 0.2), (1.65, 0.2), (9.4, 0.4)))
    assert whys(found) == [""] * 4
    first, second, third, last = (piece.second_ms for piece in found.pieces)
    assert first == 0 and last == 9000
    assert second + 1000 <= 1650 and third >= 1300 and third - second < 700
    assert whys(cutting.find(session(tmp_path / "b.wav", (0.2, 0.3), seconds=0.7))) == [""]


def test_what_is_clipped_or_much_quieter_than_words_is_left_out(tmp_path):
    samples, _ = soundfile.read(session(tmp_path / "a.wav", (1, 0.5), (3, 0.5), (5, 0.5)))
    samples[7 * RATE_HZ :][:8000] += tone(700, seconds=0.5, level=0.035)
    samples[3 * RATE_HZ :][:8000] *= 4
    assert whys(cutting.find(write(tmp_path / "b.wav", samples.clip(-1, 1)))) == ["", cutting.CLIPPED, "", "too quiet"]


def test_the_background_is_followed(tmp_path):
    samples, _ = soundfile.read(session(tmp_path / "a.wav", *((2 * i + 1, 0.4) for i in range(30)), seconds=61))
    samples[30 * RATE_HZ :] += noise(8, seconds=31, level=0.05)
    found = cutting.find(write(tmp_path / "b.wav", samples))
    begins = [round(piece.begin_ms / 1000) for piece in found.words]
    assert len(begins) >= 28 and {*begins} <= {2 * i + 1 for i in range(30)}


def test_words_by_a_list_are_those_that_were_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session(tmp_path / "anna.wav", (1, 0.4), (3, 0.05), (4, 0.4), (6, 1.5))
    (tmp_path / "words.txt").write_text("lamp\n\nheater\nlamp\n")  # the third is too long to be cut
    record = ok_json("data", "cut", "anna.wav", "--labels", "words.txt", "--out", "my")
    assert [(piece["word"], piece["file"], piece["left_out"]) for piece in record["pieces"]] == [
        ("lamp", "lamp/anna_001.wav", None),
        (None, None, "too short"),
        ("heater", "heater/anna_002.wav", None),
        ("lamp", None, "too long for a second"),
    ]
    assert sorted(path.name for path in (tmp_path / "my").rglob("*.wav")) == ["anna_001.wav", "anna_002.wav"]
    (tmp_path / "words.txt").write_text("lamp\nheater\n")
    done = kws("data", "cut", "anna.wav", "--labels", "words.txt", "--out", "other")
    assert done.exit_code == 1
    assert "words.txt has 2 words, and 3 are said in anna.wav" in done.stderr
    assert "left out: too long" in done.stdout and not (tmp_path / "other").exists()


def test_nothing_is_overwritten_unless_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session(tmp_path / "a.wav", (1, 0.4), (4, 0.4))
    listed = ok("data", "cut", "a.wav", "--list")
    assert "2 words in 10.00 s" in listed and not (tmp_path / "clips").exists()
    assert "clips/unsorted" not in listed and "unsorted/a_002.wav" in listed
    ok("data", "cut", "a.wav")
    other = write(tmp_path / "clips" / "unsorted" / "a_b_001.wav", noise(1))
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "clips").rglob("*.wav")}
    done = kws("data", "cut", "a.wav", "--word", "lamp")
    assert done.exit_code == 1
    assert "has 2 clips of a recording of this name already" in done.stderr and "--replace" in done.stderr
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "clips").rglob("*.wav")}
    ok("data", "cut", "a.wav", "--word", "lamp", "--replace")
    left = {str(path.relative_to(tmp_path / "clips")) for path in (tmp_path / "clips").rglob("*.wav")}
    assert left == {"unsorted/a_b_001.wav", "lamp/a_001.wav", "lamp/a_002.wav"} and other.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing.wav"], "missing.wav is not a file"),
        (["words.txt"], "words.txt cannot be read as audio"),
        (["quiet.wav"], "no word is found in quiet.wav"),
        (["a.wav", "--word", "on/off"], "cannot be the name of a word's folder"),
        (["a.wav", "--word", " "], "cannot be the name of a word's folder"),
        (["a.wav", "--word", "lamp", "--labels", "words.txt"], "leave one of both out"),
        (["a.wav", "--labels", "a.wav"], "is not UTF-8 text"),
        (["a.wav", "--labels", "missing.txt"], "missing.txt cannot be read"),
        (["a.wav", "--labels", "empty.txt"], "empty.txt has no words"),
        (["a.wav", "--out", "words.txt"], "words.txt) cannot hold unsorted/a_001.wav"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(tmp_path, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    session(tmp_path / "a.wav", (1, 0.4), seconds=3)
    write(tmp_path / "quiet.wav", np.zeros(3 * RATE_HZ))
    (tmp_path / "words.txt").write_text("lamp\n")
    (tmp_path / "empty.txt").write_text("\n")
    done = kws("data", "cut", *words)
    assert done.exit_code == 1 and message in done.stderr
