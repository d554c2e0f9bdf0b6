"""`check` finds what is not in order in a folder, and only that."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from recordings import noise, tone, write, write_folder, write_lists

from kws.errors import DataError
from kws.speech.checks import Report, check
from kws.speech.sources import Source

COUNTS = {"yes": (3, 2, 1), "no": (2, 1, 1), "up": (2, 0, 1)}
TROUBLES = ("short", "silent", "clipped", "duplicated", "unreadable", "shared_speakers", "missing")


@pytest.fixture(scope="session")
def original(tmp_path_factory) -> Path:
    """A folder in which all is in order; nobody changes it."""
    return write_folder(tmp_path_factory.mktemp("checks") / "words", COUNTS, seconds=1.0)


@pytest.fixture
def folder(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "words"))


def checked(folder: Path) -> Report:
    return check(Source("words", folder))


def troubles(report: Report) -> dict[str, object]:
    """What is not in order, without the kinds that found nothing."""
    return {name: getattr(report, name) for name in TROUBLES if getattr(report, name)}


def test_a_folder_in_order_has_no_troubles(original):
    report = checked(original)
    assert troubles(report) == {}
    assert not report.unusable
    assert (report.source, report.folder) == ("words", str(original))


def test_clips_are_counted_by_word_and_split(original):
    assert checked(original).counts == {
        word: dict(zip(("train", "validation", "test"), counts, strict=True)) for word, counts in COUNTS.items()
    }


def test_speakers_are_counted_once_a_split(tmp_path):
    for clip in ("yes/a_nohash_0", "yes/a_nohash_1", "no/a_nohash_0", "no/b_nohash_0", "no/c_nohash_0"):
        write(tmp_path / f"{clip}.wav", noise())
    write_lists(tmp_path, {"validation": [], "test": ["no/c_nohash_0.wav"]})
    report = checked(tmp_path)
    assert {split: count for split, count in report.speakers.items() if count} == {"train": 2, "test": 1}


def test_the_shortest_the_mean_and_the_longest_are_told_in_seconds_at_any_rate(tmp_path):
    write(tmp_path / "yes" / "a.wav", noise(seconds=0.25))
    write(tmp_path / "yes" / "b.flac", noise(seconds=1.5, rate_hz=48_000), 48_000)
    write(tmp_path / "no" / "c.wav", noise(seconds=1.25, rate_hz=8_000).repeat(2).reshape(-1, 2), 8_000)
    assert checked(tmp_path).seconds == pytest.approx((0.25, 1.0, 1.5))


@pytest.mark.parametrize(("samples", "is_short"), [(15_999, True), (16_000, False), (16_001, False)])
def test_a_clip_below_a_second_is_short(folder, samples, is_short):
    write(folder / "yes" / "train0_nohash_0.wav", noise(99, seconds=samples / 16_000))
    assert troubles(checked(folder)) == ({"short": ["yes/train0_nohash_0"]} if is_short else {})


@pytest.mark.parametrize(("level", "is_silent"), [(0.0, True), (0.9e-3, True), (1.1e-3, False)])
def test_a_clip_that_never_reaches_minus_60_decibels_is_silent(folder, level, is_silent):
    write(folder / "no" / "test0_nohash_0.wav", tone(1000, level=level), subtype="FLOAT")
    assert troubles(checked(folder)) == ({"silent": ["no/test0_nohash_0"]} if is_silent else {})


@pytest.mark.parametrize(("at_full_scale", "is_clipped"), [(16, False), (17, True)])
@pytest.mark.parametrize("value", [1.0, -1.0])
def test_a_clip_with_over_a_thousandth_at_full_scale_is_clipped(folder, at_full_scale, value, is_clipped):
    samples = noise(99)
    samples[:at_full_scale] = value
    write(folder / "up" / "train1_nohash_0.wav", samples)
    assert troubles(checked(folder)) == ({"clipped": ["up/train1_nohash_0"]} if is_clipped else {})


def test_an_overdriven_tone_is_clipped_in_every_format(tmp_path):
    for subtype in ("PCM_U8", "PCM_16", "PCM_24", "FLOAT"):
        write(tmp_path / "yes" / f"{subtype}.wav", np.clip(tone(440, level=1.5), -1, 1), subtype=subtype)
    assert len(checked(tmp_path).clipped) == 4


def test_clips_with_the_same_samples_are_duplicated_whatever_their_names_words_and_formats(folder):
    samples = (noise(99) * 2**15).astype(np.int16)
    for name in ("yes/train0_nohash_0.wav", "no/train1_nohash_0.wav", "no/new_nohash_0.flac"):
        write(folder / name, samples)
    write(folder / "up" / "train0_nohash_0.wav", noise(98))
    write(folder / "up" / "train1_nohash_0.wav", noise(98))
    assert troubles(checked(folder)) == {
        "duplicated": [
            ["no/new_nohash_0", "no/train1_nohash_0", "yes/train0_nohash_0"],
            ["up/train0_nohash_0", "up/train1_nohash_0"],
        ]
    }
    assert not checked(folder).unusable


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"not audio", "Format not recognised"), (b"", "Format not recognised"), (None, "no samples")],
    ids=["text", "empty", "no samples"],
)
def test_a_clip_that_cannot_be_read_is_named_with_the_reason(folder, content, why):
    path = folder / "yes" / "train0_nohash_0.wav"
    if content is None:
        write(path, np.zeros(0))
    else:
        path.write_bytes(content)
    report = checked(folder)
    assert troubles(report) == {"unreadable": {"yes/train0_nohash_0": why}}
    assert report.unusable
    assert report.counts["yes"]["train"] == COUNTS["yes"][0], "it is there all the same"


def test_a_clip_that_is_a_folder_or_not_finite_cannot_be_read(folder):
    (folder / "yes" / "folder.wav").mkdir()
    write(folder / "no" / "nan_nohash_0.wav", np.full(16_000, np.nan), subtype="FLOAT")
    report = checked(folder)
    assert report.unreadable.keys() == {"yes/folder", "no/nan_nohash_0"} and all(report.unreadable.values())
    assert report.unusable


def test_a_clip_may_have_a_name_that_is_not_unicode(folder):
    path = Path(os.fsdecode(os.fsencode(folder / "yes") + b"/caf\xe9_nohash_0.wav"))
    try:
        write(folder / "new.wav", noise(99)).rename(path)
    except OSError:
        pytest.skip("this file system takes only names in Unicode")
    assert troubles(checked(folder)) == {}


def test_a_clip_on_a_list_that_is_not_there_is_missing(folder):
    (folder / "no" / "test0_nohash_0.wav").unlink()
    (folder / "yes" / "validation1_nohash_0.wav").unlink()
    report = checked(folder)
    assert troubles(report) == {"missing": ["no/test0_nohash_0", "yes/validation1_nohash_0"]}
    assert not report.unusable


def test_a_clip_kept_in_another_format_is_not_missing(folder):
    (folder / "no" / "test0_nohash_0.wav").unlink()
    write(folder / "no" / "test0_nohash_0.flac", noise(99))
    assert troubles(checked(folder)) == {}


def test_a_speaker_in_two_splits_makes_a_folder_unusable(folder):
    write(folder / "up" / "validation1_nohash_7.wav", noise(99))  # in no list, so training
    report = checked(folder)
    assert troubles(report) == {"shared_speakers": ["validation1"]}
    assert report.unusable


def test_without_lists_the_rule_keeps_speakers_apart(folder):
    (folder / "validation_list.txt").unlink()
    (folder / "testing_list.txt").unlink()
    assert troubles(checked(folder)) == {}


def test_a_folder_where_no_clip_can_be_read_is_reported_all_the_same(tmp_path):
    (tmp_path / "yes").mkdir()
    (tmp_path / "yes" / "a.wav").write_text("not audio")
    report = checked(tmp_path)
    assert report.seconds == (0, 0, 0)
    assert report.unusable


def test_every_clip_is_told_to_the_progress_bar(original):
    seen = []

    def track(items, /, *, total, what, unit="clips"):
        for item in items:
            seen.append((total, unit))
            yield item

    check(Source("words", original), track=track)
    assert seen == [(13, "clips")] * 13


def test_a_report_is_json(folder):
    (folder / "yes" / "train0_nohash_0.wav").write_bytes(b"")
    record = json.loads(json.dumps(checked(folder).record()))
    assert record["schema"] == 1 and record["unusable"] is True
    assert record["counts"]["up"] == {"train": 2, "validation": 0, "test": 1}
    assert record["unreadable"] == {"yes/train0_nohash_0": "Format not recognised"}


def test_arrays_are_refused(tmp_path):
    (tmp_path / "X_train.p").touch()
    with pytest.raises(DataError, match="holds arrays, not recordings"):
        checked(tmp_path)


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(DataError, match="has no recordings"):
        checked(tmp_path)
