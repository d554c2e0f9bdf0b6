"""Streams that are made of a split's clips: the same each time, words where labels say, nothing of other splits."""

import shutil

import numpy as np
import pytest
import soundfile
from recordings import report
from sounds import TONES_HZ, write_task

from kws.errors import DataError, RecipeError
from kws.events import NOISE, TEST, VALIDATION
from kws.speech.made_streams import MadeStream, Mixture, loud_extent

WORDS = report("yes", "no")
RATE_HZ = 16_000
NOISE_HZ = {"exercise_bike": 5000, "pink_noise": 5500, "tap": 6500, "dishes": 7000}  # by which each is known


@pytest.fixture
def task(tmp_path, monkeypatch):
    """A small task whose words are tones, with four recordings of noise that are higher tones."""
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "cache"))
    folder = write_task(tmp_path / "task")
    (folder / NOISE).mkdir()
    for name, hz in NOISE_HZ.items():
        sound = 0.2 * np.sin(2 * np.pi * hz * np.arange(20 * RATE_HZ) / RATE_HZ)
        soundfile.write(folder / NOISE / f"{name}.wav", sound, RATE_HZ, subtype="PCM_16")
    return folder


def made(folder, task=WORDS, **settings):
    """A stream's samples and labels."""
    stream = MadeStream(str(folder), task, Mixture(**{"split": TEST} | settings))
    samples = np.concatenate(list(stream.pieces()))
    assert len(samples) == stream.samples
    return samples, stream.labels("a.wav")


def share_at(samples: np.ndarray, hz: float) -> float:
    """The share of the power that lies within 60 Hz of a frequency."""
    power = np.abs(np.fft.rfft(samples)) ** 2
    near = np.abs(np.fft.rfftfreq(len(samples), 1 / RATE_HZ) - hz) < 60
    return float(power[near].sum() / power.sum())


def test_the_same_call_gives_the_same_stream_and_anything_else_another(task):
    first, labels = made(task)
    again, same = made(task)
    np.testing.assert_array_equal(first, again)
    assert labels == same
    print_of = labels["made_from"]["fingerprint"]
    for other in ({"split": VALIDATION}, {"noisy": 0.4}, {"snr_db": (0.0, 3.0)}, {"others": "all"}, {"speech": 0.4}):
        assert made(task, **other)[1]["made_from"]["fingerprint"] != print_of
    clip = next((task / "yes").glob("test*"))
    soundfile.write(clip, 0.1 * np.random.default_rng(1).standard_normal(RATE_HZ), RATE_HZ)
    assert made(task)[1]["made_from"]["fingerprint"] != print_of


def test_a_stream_does_not_depend_on_where_its_data_lies(task, tmp_path):
    shutil.copytree(task, tmp_path / "elsewhere" / "task")
    assert (
        made(task)[1]["made_from"]["fingerprint"]
        == made(tmp_path / "elsewhere" / "task")[1]["made_from"]["fingerprint"]
    )


def test_keywords_are_said_where_the_labels_say_and_nowhere_else(task):
    samples, labels = made(task, noisy=0.0)
    windows = labels["detection_windows"]
    assert sorted(word for _, _, word in windows) == ["no"] * 4 + ["yes"] * 4
    rest = samples.copy()
    for start, stop, word in windows:
        inside = samples[round(start * RATE_HZ) : round(stop * RATE_HZ)]
        assert share_at(inside, TONES_HZ[word]) > 0.6
        rest[round(start * RATE_HZ) : round(stop * RATE_HZ)] = 0
    assert max(share_at(rest, TONES_HZ[word]) for word in ("yes", "no")) < 0.02
    assert labels["length_sec"] == len(samples) / RATE_HZ


def test_every_clip_of_the_split_is_in_it_once_and_none_of_another(task):
    for split in (TEST, VALIDATION):
        for others, count in (("drawn", 4), ("all", 8)):
            clips = [item["clip"] for item in made(task, split=split, others=others)[1]["made_from"]["items"]]
            assert len(clips) == len(set(clips)) == 8 + count
            assert all(clip.split("/")[1].startswith(split) for clip in clips)


def test_noise_is_that_of_the_split_alone(task):
    for split, own in ((TEST, ("exercise_bike", "pink_noise")), (VALIDATION, ("tap", "dishes"))):
        samples, labels = made(task, split=split, noisy=1.0, snr_db=(-10.0, -10.0))
        assert labels["made_from"]["noise_held_out"] == (split == TEST)
        assert {name.removesuffix(".wav") for name in labels["made_from"]["noise"]} == set(own)
        for name, hz in NOISE_HZ.items():
            assert (share_at(samples, hz) > 0.05) == (name in own), name


def test_noise_is_as_strong_as_its_ratio_says(task):
    samples, labels = made(task, split=TEST, noisy=1.0, snr_db=(6.0, 6.0), minutes=0.01)
    clean, _ = made(task, split=TEST, noisy=0.0, snr_db=(6.0, 6.0), minutes=0.01)
    assert len(labels["made_from"]["items"]) == 1
    (item,) = labels["made_from"]["items"]
    clip, _ = soundfile.read(task / f"{item['clip']}.wav")
    before = samples[: round(item["second"] * RATE_HZ)]  # noise alone
    assert 10 * np.log10(np.square(clip).mean() / np.square(before).mean()) == pytest.approx(6, abs=0.1)
    assert clean.any()


def test_whole_noise_follows_as_it_was_recorded(task):
    samples, labels = made(task, noisy=0.0, whole_noise=True, speech=1.0, keywords=False)
    assert labels["detection_windows"] == []
    assert len(samples) == (4 + 2 + 40) * RATE_HZ
    for number, name in enumerate(("exercise_bike", "pink_noise")):
        there, _ = soundfile.read(task / NOISE / f"{name}.wav", dtype="float32")
        begin = (6 + 20 * number) * RATE_HZ
        np.testing.assert_array_equal(samples[begin : begin + len(there)], there)


def test_clips_take_the_share_of_time_that_is_asked_for(task):
    for speech in (0.2, 0.8):
        _, labels = made(task, speech=speech, others="all")
        taken = 16 / (labels["length_sec"] - 2)  # the tail is beside it
        assert taken == pytest.approx(speech, rel=0.2)


def test_a_stream_without_recordings_of_noise_is_refused_unless_none_is_wanted(task):
    shutil.rmtree(task / NOISE)
    with pytest.raises(DataError, match=r"no recordings of noise .* for its test split; .*--noisy 0"):
        made(task)
    assert made(task, noisy=0.0)[1]["made_from"]["noise"] == []


@pytest.mark.parametrize(
    "settings",
    [{"split": "all"}, {"speech": 0.0}, {"speech": 1.1}, {"noisy": -0.1}, {"noisy": float("nan")},
     {"snr_db": (5.0, 1.0)}, {"snr_db": (float("nan"), 1.0)}, {"minutes": 0.0}],
)  # fmt: skip
def test_what_no_stream_can_be_is_refused(task, settings):
    name = next(iter(settings)).removesuffix("_db")
    with pytest.raises(RecipeError, match=f"`{name}`"):
        made(task, **settings)


def test_speech_is_where_a_clip_is_loud():
    clip = 0.001 * np.random.default_rng(0).standard_normal(RATE_HZ).astype(np.float32)
    clip[4000:9000] += 0.3 * np.sin(np.arange(5000) / 5).astype(np.float32)
    first, last = loud_extent(clip)
    assert abs(first - 4000) <= 320 and abs(last - 9000) <= 320
    assert loud_extent(np.zeros(RATE_HZ, np.float32)) == (0, RATE_HZ)
