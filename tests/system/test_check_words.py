"""`check` tells levels, cut-off words, words told by their recording, contradicted labels, and what to do first."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from recordings import noise, tone, write, write_folder
from scipy import stats
from sounds import TONES_HZ, write_task
from speechlike import spoken

from kws.recipe.partition import partition_of
from kws.speech import folder as folders
from kws.speech.checks import Report, check, confounds
from kws.speech.checks.labels import Judge
from kws.speech.decode import read_waveform
from kws.speech.sources import Source


def checked(folder: Path, **options: object) -> Report:
    return check(Source("words", folder), **options)


# Levels, and words that are cut off


def test_levels_are_in_decibels_of_full_scale_without_padding(tmp_path):
    write(tmp_path / "yes" / "a.wav", tone(1000, level=0.5))
    write(tmp_path / "yes" / "b.wav", tone(1000, level=0.05, seconds=0.5))
    write(tmp_path / "yes" / "c.wav", np.zeros(16_000))
    found = checked(tmp_path)
    assert (found.level_dbfs.most, found.level_dbfs.least) == pytest.approx((-9.03, -29.03), abs=0.02)
    assert (found.peak_dbfs.most, found.peak_dbfs.least) == pytest.approx((-6.02, -26.02), abs=0.02)
    assert found.loudest == ["yes/a", "yes/b"] and found.quietest == ["yes/b", "yes/a"], "silence has no level"


@pytest.mark.parametrize(
    ("cut", "ends"),
    [((0, 16_000), []), ((6_000, 16_000), ["beginning"]), ((0, 6_000), ["end"]), ((6_000, 7_500), [])],
    ids=["whole", "without its beginning", "without its end", "nothing but the word"],
)
def test_a_word_that_runs_into_the_border_is_cut_off(tmp_path, cut, ends):
    """Where nothing but the word is heard there is no floor that it stands out from."""
    write(tmp_path / "yes" / "a.wav", spoken(0, 0)[slice(*cut)])
    assert checked(tmp_path).cut_off == ({"yes/a": ends} if ends else {})


def test_a_word_that_goes_on_after_the_second_is_cut_off_and_so_is_one_in_a_piece(tmp_path):
    write(tmp_path / "long.wav", np.concatenate([np.random.default_rng(0).normal(0, 1e-3, 12_000), spoken(0, 0)]))
    (tmp_path / "clips.csv").write_text("path,label,start\nlong.wav,yes,0.3\nlong.wav,yes,0.75\nlong.wav,yes,1.1\n")
    assert checked(tmp_path).cut_off == {"long.wav@0.3": ["end"], "long.wav@1.1": ["beginning"]}


def test_noise_that_comes_and_goes_is_no_word_that_is_cut_off(tmp_path):
    swell = (1 + np.cos(2 * np.pi * 4 * np.arange(16_000) / 16_000)) / 2
    write(tmp_path / "yes" / "a.wav", spoken(0, 0, at=0.25) + swell * noise(1))
    assert checked(tmp_path).cut_off == {}


# Words that are told by how they were recorded


def clips_of(folder: Path, word: str, rate_hz: int = 16_000, level: float = 0.3, seconds: float = 1.0) -> None:
    for number in range(8):
        name = f"{word}/{number}.wav"
        write(
            folder / name,
            noise(hash_of(name), rate_hz=rate_hz, level=level * (1 + number / 8), seconds=seconds),
            rate_hz,
        )


def hash_of(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)


@pytest.mark.parametrize(
    ("changed", "what", "here", "others"),
    [
        ({"rate_hz": 44_100}, "sample rate", "44,100 Hz", "16,000 Hz"),
        ({"level": 0.03}, "level", "-32 dBFS", "-12 dBFS"),
        ({"seconds": 0.5}, "duration", "0.50 s", "1.00 s"),
    ],
)
def test_a_word_that_was_recorded_otherwise_is_named(tmp_path, changed, what, here, others):
    for word in ("down", "no", "up"):
        clips_of(tmp_path, word)
    assert checked(tmp_path).confounds == []
    clips_of(tmp_path, "yes", **changed)
    found = [each for each in checked(tmp_path).confounds if each.what == what]
    assert [(each.word, each.here, each.others, each.told_by_it) for each in found] == [("yes", here, others, 1)]
    assert "confounds" in {step.what for step in checked(tmp_path).first}


def test_a_word_with_few_clips_says_nothing(tmp_path):
    clips_of(tmp_path, "no")
    for number in range(4):
        write(tmp_path / "yes" / f"{number}.wav", noise(number, rate_hz=44_100), 44_100)
    assert checked(tmp_path).confounds == []


def test_how_well_a_number_tells_a_word_is_the_statistic_of_mann_and_whitney():
    random = np.random.default_rng(0)
    mine, rest = (random.integers(0, 20, count).astype(float) for count in (30, 50))
    expected = stats.mannwhitneyu(mine, rest).statistic / (30 * 50)
    assert confounds._area(mine, rest) == pytest.approx(expected)


# Labels


def by_tone(waveforms: np.ndarray) -> np.ndarray:
    """What hears the words of write_task() by their tones."""
    power = np.abs(np.fft.rfft(waveforms)) ** 2
    bins = np.stack([power[:, hz - 2 : hz + 3].sum(1) for hz in TONES_HZ.values()], axis=1)
    bins = np.concatenate([bins[:, :2], bins[:, 2:].sum(1, keepdims=True)], axis=1)
    return bins / bins.sum(1, keepdims=True)


WORDS = ("yes", "no", "other")


@pytest.fixture
def task(tmp_path) -> Path:
    """A folder in which one clip of "no" is a "yes", and one a "down"."""
    folder = write_task(tmp_path / "task", {"train": 4, "validation": 2, "test": 2})
    (folder / "yes" / "train0000_nohash_0.wav").rename(folder / "no" / "train0009_nohash_1.wav")
    (folder / "down" / "test0000_nohash_0.wav").rename(folder / "no" / "train000a_nohash_1.wav")
    lists = folder / "testing_list.txt"
    lists.write_text(lists.read_text().replace("down/test0000_nohash_0.wav\n", ""))
    return folder


def test_labels_that_a_network_contradicts_are_named_the_surest_first(task):
    judged = checked(task, judge=Judge(run="abc", words=WORDS, probabilities=by_tone)).labels
    assert {(each.clip, each.label, each.hears) for each in judged.wrong} == {
        ("no/train0009_nohash_1", "no", "yes"),
        ("no/train000a_nohash_1", "no", "other"),
    }
    sure = [each.probability for each in judged.wrong]
    assert sure == sorted(sure, reverse=True) and len({*sure}) == 2
    assert (judged.clips, judged.contradicted) == (17, 2), "clips of words that it does not know are not judged"


def test_a_network_that_is_not_sure_contradicts_no_label(task):
    """Which word is likelier is counted all the same."""
    unsure = Judge(run="abc", words=WORDS, probabilities=lambda waveforms: (by_tone(waveforms) + 0.2) / 1.6)
    judged = checked(task, judge=unsure).labels
    assert (judged.wrong, judged.contradicted) == ([], 2)


def test_clips_that_it_was_trained_on_are_marked_and_those_withheld_are_not_judged(task):
    seen, kept = (
        hashlib.sha256(read_waveform(task / name).data).digest()
        for name in ("no/train0009_nohash_1.wav", "no/train000a_nohash_1.wav")
    )
    judge = Judge(
        run="abc", words=WORDS, probabilities=by_tone, trained_on=frozenset([seen]), withheld=frozenset([kept])
    )
    judged = checked(task, judge=judge).labels
    (wrong,) = judged.wrong
    assert wrong.trained_on and wrong.clip == "no/train0009_nohash_1"
    assert (judged.clips, judged.trained_on, judged.withheld) == (16, 1, 1)


# Splits, and what to do first


@pytest.mark.parametrize("partition", [partition_of("60/20/20", None), partition_of(None, "2/3")])
def test_splits_are_those_that_training_makes(task, partition):
    found = checked(task, partition=partition)
    clips = folders.read_folder(task, partition=partition).clips
    for word, of in found.counts.items():
        for split, count in of.items():
            assert count == sum((clip.word, clip.split) == (word, split) for clip in clips)
    assert partition.told.removeprefix("split ") in found.split_by and found.shared_speakers == []


def test_what_to_do_first_is_five_steps_by_importance(tmp_path):
    folder = write_folder(tmp_path / "words", {"yes": (6, 1, 1), "no": (6, 1, 1)}, seconds=1.0)
    (folder / "yes" / "train0_nohash_0.wav").write_text("no audio")
    write(folder / "yes" / "train1_nohash_0.wav", np.zeros(16_000))
    write(folder / "yes" / "train2_nohash_0.wav", np.clip(5 * noise(77), -1, 1))
    write(folder / "no" / "test0_nohash_0.wav", noise(101))
    write(folder / "no" / "train2_nohash_0.wav", noise(101))
    write(folder / "no" / "validation0_nohash_9.wav", noise(105))  # in no list, so training
    steps = checked(folder)
    whats = [step.what for step in steps.first]
    assert whats == ["unreadable", "shared_speakers", "split_leaks", "silent", "clipped"]
    assert steps.first[0].step == "Repair or delete 1 clip that cannot be read; kws train --skip-unreadable goes on."


def test_of_good_data_nothing_is_to_do_first_but_more_clips(tmp_path):
    for word, count in (("yes", 12), ("no", 160)):
        for number in range(count):
            write(tmp_path / word / f"{number}.wav", noise(number + 1000 * count))
    steps = checked(tmp_path).first
    assert [(step.what, step.count) for step in steps] == [("few_clips", 1)]
    assert steps[0].step == "Record more clips of yes (12 of 50 clips wanted)."
