"""`kws stream` and `kws mine` as programs: long recordings, pipes, labels, targets and clips that are mined."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from commands import kws, ok, ok_json, refused, typed
from sounds import TONES_HZ, write_task

from kws.events import NOISE

RATE_HZ = 16_000
PROGRAM = [sys.executable, "-m", "kws"]
TRAIN = ["train", "--arch", "tc-resnet", "--opt", "adam", "--batch-size", "16", "--threads", "1", "--epochs", "15"]
NEVER = ["--threshold", "1"]


def said(*words: str, pause_s: float = 1.5, seed: int = 1) -> tuple[np.ndarray, list]:
    """A recording in which these words are said, in noise, and when."""
    draw = np.random.default_rng(seed)
    sounds, windows, at = [0.001 * draw.standard_normal(int(pause_s * RATE_HZ))], [], pause_s
    for word in words:
        tone = 0.3 * np.sin(2 * np.pi * TONES_HZ[word] * np.arange(RATE_HZ) / RATE_HZ)
        pause = 0.001 * draw.standard_normal(int(pause_s * RATE_HZ))
        sounds += [tone + 0.1 * draw.standard_normal(RATE_HZ), pause]
        if word in ("yes", "no"):
            windows.append([at, at + 1, word])
        at += 1 + pause_s
    return np.concatenate(sounds), windows


@pytest.fixture(scope="module")
def place(tmp_path_factory, new_place):
    """A folder with a task, its noise, and a registry of one run that has learnt the task."""
    db = new_place()
    folder = tmp_path_factory.mktemp("streaming")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("KWS_CACHE", str(folder / "cache"))
        patched.setenv("KWS_DB", typed(db))
        write_task(folder / "task", {"train": 30, "validation": 10, "test": 10})
        (folder / "task" / NOISE).mkdir()
        for name in ("exercise_bike", "pink_noise", "tap", "dishes"):
            sound = 0.1 * np.random.default_rng(len(name)).standard_normal(20 * RATE_HZ)
            soundfile.write(folder / "task" / NOISE / f"{name}.wav", sound, RATE_HZ, subtype="PCM_16")
        ok_json(*TRAIN, "--data", str(folder / "task"))
        samples, windows = said("yes", "up", "no", "down", "yes", "no")
        soundfile.write(folder / "long.wav", samples, RATE_HZ, subtype="PCM_16")
        about = {"sample_rate": RATE_HZ, "length_sec": len(samples) / RATE_HZ, "detection_windows": windows}
        (folder / "long.json").write_text(json.dumps(about))
    return folder, db


@pytest.fixture(autouse=True)
def here(place, monkeypatch):
    folder, db = place
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KWS_CACHE", str(folder / "cache"))
    monkeypatch.setenv("KWS_DB", typed(db))
    return folder


def program(*arguments: object, given: bytes = b"") -> subprocess.CompletedProcess:
    """kws as a program, with these bytes on stdin."""
    return subprocess.run([*PROGRAM, *map(str, arguments)], input=given, capture_output=True, timeout=120)


def words_of(detections: list[dict]) -> list[str]:
    return [each["word"] for each in detections]


def test_words_are_detected_when_they_are_said(here):
    found = ok_json("stream", "last", "long.wav", "--threshold", 0.6)
    assert words_of(found["detections"]) == ["yes", "no", "yes", "no"]
    windows = json.loads((here / "long.json").read_text())["detection_windows"]
    for each, (start, stop, _) in zip(found["detections"], windows, strict=True):
        assert start < each["seconds"] <= stop + 1
    lines = ok("stream", "last", "long.wav", "--threshold", 0.6).splitlines()
    assert [line.split()[2] for line in lines] == ["yes", "no", "yes", "no"]
    drawn = [
        json.loads(line) for line in ok("stream", "last", "long.wav", "--threshold", 0.6, "--json-lines").splitlines()
    ]
    assert drawn == found["detections"]


@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (48_000, 2), (16_000, 2)])
def test_other_rates_and_channels_are_heard_alike(here, tmp_path, rate_hz, channels):
    import soxr

    samples, rate = soundfile.read(here / "long.wav", dtype="float32")
    samples = soxr.resample(samples, rate, rate_hz)
    soundfile.write(tmp_path / "a.wav", np.stack([samples] * channels, axis=1), rate_hz, subtype="FLOAT")
    once = soxr.resample(samples, rate_hz, RATE_HZ, quality="VHQ")
    soundfile.write(tmp_path / "b.wav", once, RATE_HZ, subtype="FLOAT")
    found, expected = (
        ok_json("stream", "last", tmp_path / name, "--threshold", 0.4)["detections"] for name in ("a.wav", "b.wav")
    )
    assert expected and [(e["word"], e["seconds"]) for e in found] == [(e["word"], e["seconds"]) for e in expected]


def test_a_pipe_is_heard_like_the_file_and_may_end_at_any_time(here):
    data = (here / "long.wav").read_bytes()
    whole = json.loads(program("stream", "last", "long.wav", "--json", "--threshold", 0.6).stdout)["detections"]
    piped = json.loads(program("stream", "last", "-", "--json", "--threshold", 0.6, given=data).stdout)["detections"]
    assert [(e["word"], e["seconds"]) for e in piped] == [(e["word"], e["seconds"]) for e in whole]
    raw = program("stream", "last", "-", "--raw", 16000, "--json", "--threshold", 0.6, given=data[44:])
    assert words_of(json.loads(raw.stdout)["detections"]) == words_of(whole)
    cut = program("stream", "last", "-", "--json", "--threshold", 0.6, given=data[: len(data) // 2 + 1])
    assert (cut.returncode, words_of(json.loads(cut.stdout)["detections"])) == (0, words_of(whole)[:2])
    for given, says in [
        (data[:30], "ends within its header"),
        (b"", "ends within its header"),
        (data[:44], "no samples"),
        (data[44:], "is no WAV file"),
    ]:
        ended = program("stream", "last", "-", given=given)
        assert (ended.returncode, ended.stdout) == (1, b"")
        assert says in ended.stderr.decode().splitlines()[-1]


def test_detections_come_while_the_pipe_is_open(here):
    data = (here / "long.wav").read_bytes()
    command = [*PROGRAM, "stream", "last", "-", "--threshold", "0.6"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdin is not None and running.stdout is not None
        running.stdin.write(data[: 44 + 2 * RATE_HZ * 4])
        running.stdin.flush()
        began = time.monotonic()
        line = running.stdout.readline()
        assert line.split()[2] == b"yes" and time.monotonic() - began < 60
        running.stdin.close()


def test_labels_say_what_is_missed_and_falsely_accepted(here, tmp_path):
    found = ok_json(
        "stream", "last", "long.wav", "--labels", "long.json", "--threshold", 0.6, "--plot", tmp_path / "d.svg"
    )
    assert [(p["word"], p["said"], p["misses"]) for p in found["points"]] == [("yes", 2, 0), ("no", 2, 0), (None, 4, 0)]
    assert [each["window"] for each in found["detections"]] == [0, 1, 2, 3]
    every = found["points"][-1]["false_accepts"]
    assert (every["events"], every["hours"]) == (0, found["hours"])
    assert every["per_hour_at_most"] == pytest.approx(-np.log(0.05) / found["hours"])
    assert (tmp_path / "d.svg").read_text().count("<path") > 20
    deaf = ok_json("stream", "last", "long.wav", "--labels", "long.json", *NEVER)
    assert [(p["said"], p["misses"]) for p in deaf["points"]] == [(2, 2), (2, 2), (4, 4)]
    table = ok("stream", "last", "long.wav", "--labels", "long.json")
    assert "all keywords" in table and "Trade-off" in table and "Garwood" in table


def test_the_same_labels_through_a_pipe(here):
    data = (here / "long.wav").read_bytes()
    piped = program("stream", "last", "-", "--labels", "long.json", "--json", given=data)
    assert json.loads(piped.stdout)["points"][-1]["said"] == 4
    cut = program("stream", "last", "-", "--labels", "long.json", given=data[:200_000])
    assert cut.returncode == 1 and b"labels a recording of" in cut.stderr


def test_silence_is_silent(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(90 * RATE_HZ, np.int16), RATE_HZ)
    assert ok_json("stream", "last", tmp_path / "a.wav", "--threshold", 0.9)["detections"] == []


def test_what_cannot_be_heard_is_said_in_one_sentence(here, tmp_path):
    samples = np.zeros(30 * RATE_HZ, np.float32)
    samples[-1] = np.nan
    soundfile.write(tmp_path / "nan.wav", samples, RATE_HZ, subtype="FLOAT")
    ended = kws("stream", "last", tmp_path / "nan.wav", *NEVER)
    assert ended.exit_code == 1 and "nan.wav holds samples that are not finite" in ended.stderr.splitlines()[-1]
    (tmp_path / "empty.wav").write_bytes(b"")
    assert "empty.wav cannot be read as audio" in kws("stream", "last", tmp_path / "empty.wav").stderr
    assert "name a run and a recording" in refused("stream", "last")
    assert "no run" in refused("stream", "nosuchrun", "long.wav").lower()
    for option in ("--split=test", "--no-keywords", "--snr=1,2", "--minutes=3", "--others=all", "--whole-noise"):
        said = refused("stream", "last", "long.wav", option)
        assert f"{option.partition('=')[0]} is for streams that are made; add --make FILE.wav" in said
    for options, says in [
        (("--threshold", "up=0.5"), "none of the keywords yes, no"),
        (("--threshold", "1.5"), "must be a probability from 0 to 1"),
        (("--threshold", "yes=nan"), "must be a probability from 0 to 1"),
        (("--raw", 16000), "stdin"),
        (("--plot", "a.png"), "--labels"),
        (("--json-lines", "--labels", "long.json"), "--json-lines prints detections as they come"),
        (("--validation", "a.wav"), "go together"),
        (("--target-fa", 1, "--threshold", 0.5), "leave --threshold out"),
        (("--target-fa", 0), "must be more than 0"),
        (("--labels", "nosuch.json"), "cannot be read"),
        (("--labels", "long.wav"), "cannot be read"),
    ]:
        assert says in refused("stream", "last", "long.wav", *options), options


def test_labels_of_another_recording_are_refused_before_it_is_heard(here, tmp_path):
    soundfile.write(tmp_path / "b.wav", np.zeros(5 * RATE_HZ), RATE_HZ)
    assert "labels a recording of" in refused("stream", "last", tmp_path / "b.wav", "--labels", "long.json")


def test_a_made_stream_is_the_same_each_time_and_measures_a_run(here):
    make = ("stream", "last", "--split", "test", "--data", here / "task", "--others", "all")
    first = ok_json(*make, "--make", "a.wav")
    ok(*make, "--make", "b.wav")
    assert (here / "a.wav").read_bytes() == (here / "b.wav").read_bytes()
    assert (first["windows"], first["clips"], first["noise_held_out"]) == (20, 40, True)
    found = ok_json("stream", "last", "a.wav", "--labels", "a.json", "--threshold", 0.6)
    assert found["made_from"]["split"] == "test" and found["points"][-1]["said"] == 20
    assert "items" not in found["made_from"]
    made = ok("stream", "--make", "c.wav", "--split", "test", "--data", here / "task", "--others", "all")
    assert "20 of keywords" in made and (here / "c.wav").read_bytes() == (here / "a.wav").read_bytes()
    assert "must end in .wav" in refused("stream", "--make", "c.flac", "--data", here / "task")


def test_a_target_is_chosen_on_validation_alone_and_reported_on_the_test_unchanged(here):
    for split in ("validation", "test"):
        ok("stream", "last", "--make", f"{split}.wav", "--split", split, "--others", "all")
    options = ("--labels", "test.json", "--target-fa", 400)
    found = ok_json("stream", "last", "test.wav", *options, "--validation", "validation.wav",
                    "--validation-labels", "validation.json")  # fmt: skip
    chosen = found["chosen"]
    assert set(found["thresholds"].values()) == {chosen["threshold"]}
    assert chosen["false_accepts"]["per_hour_at_most"] <= 400
    assert "chosen on validation.wav" in found["thresholds_from"]
    again = ok_json("stream", "last", "test.wav", "--labels", "test.json", "--threshold", chosen["threshold"])
    assert again["points"] == found["points"]
    made = ok_json("stream", "last", "test.wav", *options)["chosen"]  # of the same clips and settings
    assert {**made, "stream": ""} == {**chosen, "stream": ""}


def test_what_may_not_be_chosen_on_or_shows_too_little_is_refused(here):
    for split in ("validation", "test"):
        ok("stream", "last", "--make", f"{split}.wav", "--split", split, "--others", "all")
    target = ("--labels", "test.json", "--target-fa")
    on_test = ("--validation", "test.wav", "--validation-labels", "test.json")
    assert "on which nothing may be chosen" in refused("stream", "last", "test.wav", *target, 400, *on_test)
    itself = ("--validation", "validation.wav", "--validation-labels", "validation.json")
    options = ("--labels", "validation.json", "--target-fa", 400, *itself)
    assert "the stream to be tested as well" in refused("stream", "last", "validation.wav", *options)
    little = refused("stream", "last", "test.wav", *target, 0.5, *itself)
    assert "cannot be shown" in little and "h or more" in little


def test_a_stream_of_training_clips_is_for_mining_and_chooses_nothing(here):
    ok("stream", "last", "--make", "train.wav", "--split", "train", "--minutes", 0.5)
    ok("stream", "last", "--make", "test.wav", "--split", "test")
    said = kws("stream", "last", "train.wav", "--labels", "train.json").stderr
    assert "note: these are clips of a training split" in said
    chosen = ("--target-fa", 400, "--validation", "train.wav", "--validation-labels", "train.json")
    assert "of a training split" in refused("stream", "last", "test.wav", "--labels", "test.json", *chosen)


def test_a_run_that_waits_for_its_test_is_not_measured_on_test_clips(here):
    ok("stream", "last", "--make", "test.wav", "--split", "test")
    run = ok_json(*TRAIN, "--data", here / "task", "--no-test", "--seed", 7, "--name", "untested")["run"]
    try:
        assert f"kws test {run}" in refused("stream", run, "test.wav", "--labels", "test.json")
    finally:
        ok("runs", "delete", run)  # so that `last` is the first again


@pytest.mark.parametrize("split", ["validation", "test"])
def test_what_is_not_trained_on_is_not_mined(here, tmp_path, split):
    ok("stream", "last", "--make", "made.wav", "--split", split, "--minutes", 0.5)
    said = refused("mine", "last", "made.wav", "--out", tmp_path / "mined")
    assert f"made of {split} clips" in said and "--split train" in said
    assert not (tmp_path / "mined").exists()


def test_mined_clips_are_the_seconds_before_the_worst_false_accepts(here, tmp_path):
    record = ok_json(
        "mine", "last", "long.wav", "--labels", "long.json", "--out", tmp_path / "mined", "--threshold", 0.001
    )
    listed = json.loads((tmp_path / "mined" / "mined.json").read_text())
    assert listed == record and record["clips"]
    probabilities = [clip["probability"] for clip in record["clips"]]
    assert probabilities == sorted(probabilities, reverse=True)
    samples, _ = soundfile.read(here / "long.wav", dtype="int16")
    windows = json.loads((here / "long.json").read_text())["detection_windows"]
    for clip in record["clips"]:
        there, rate = soundfile.read(tmp_path / "mined" / clip["file"], dtype="int16")
        end = round(clip["seconds"] * RATE_HZ)
        expected = np.concatenate([np.zeros(RATE_HZ, np.int16), samples])[end : end + RATE_HZ]
        np.testing.assert_array_equal(there, expected)
        assert rate == RATE_HZ and clip["file"].startswith("long_at_")
        assert not any(start <= clip["seconds"] <= stop + 1 for start, stop, _ in windows)
    most = ok_json(
        "mine", "last", "long.wav", "--labels", "long.json", "--out", tmp_path / "2", "--threshold", 0.001, "--most", 1
    )
    assert most["clips"] == record["clips"][:1]
    assert "not empty" in refused("mine", "last", "long.wav", "--out", tmp_path / "mined")


def test_nothing_is_mined_from_test_clips(here, tmp_path):
    ok("stream", "last", "--make", "test.wav", "--split", "test")
    for labels in ((), ("--labels", "test.json")):
        assert "what is mined is trained on" in refused("mine", "last", "test.wav", *labels, "--out", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_hours_take_the_memory_of_minutes(here, tmp_path):
    """A child's peak memory, over four minutes and over six times as long."""
    peaks = []
    for minutes in (4, 24):
        with soundfile.SoundFile(tmp_path / "a.flac", "w", RATE_HZ, 1) as file:
            for _ in range(minutes):
                file.write(np.zeros(60 * RATE_HZ, np.int16))
        measured = (
            "import resource, sys\nfrom kws.cli import app\n"
            "try: app(sys.argv[1:])\n"
            "except SystemExit: pass\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        command = [sys.executable, "-c", measured, "stream", "last", str(tmp_path / "a.flac"), *NEVER]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ, check=True)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] < peaks[0] + 20_000 * (
        1 if sys.platform != "darwin" else 1024
    )  # kB; 20 minutes take 77 MB as floats
