"""`check` finds what is not in order in a folder, and only that."""

import json
import os
import shutil
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from recordings import noise, tone, write, write_folder, write_lists

from kws.errors import ClipError, DataError
from kws.speech.checks import Report, check
from kws.speech.decode import read_waveform
from kws.speech.sources import Source

COUNTS = {"yes": (3, 2, 1), "no": (2, 1, 1), "up": (2, 0, 1)}
TROUBLES = (
    *("short", "silent", "clipped", "beyond_full_scale", "channels_cancel", "late", "duplicated", "in_two_splits"),
    *("in_two_words", "unreadable", "shared_speakers", "missing", "unused", "one_word", "elsewhere", "longer"),
)


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
    found = checked(tmp_path).durations
    assert (found.least, found.mean, found.most) == pytest.approx((0.25, 1.0, 1.5))


@pytest.mark.parametrize(("samples", "is_short"), [(15_999, True), (16_000, False), (16_001, False)])
def test_a_clip_below_a_second_is_short(folder, samples, is_short):
    write(folder / "yes" / "train0_nohash_0.wav", noise(99, seconds=samples / 16_000))
    found = troubles(checked(folder))
    assert found.pop("longer", 0) == (samples > 16_000)
    assert found == ({"short": ["yes/train0_nohash_0"]} if is_short else {})


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
        ],
        "in_two_words": [["no/new_nohash_0", "no/train1_nohash_0", "yes/train0_nohash_0"]],
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


def test_a_clip_that_is_a_broken_link_or_not_finite_cannot_be_read(folder):
    (folder / "yes" / "link_nohash_0.wav").symlink_to("nowhere.wav")
    write(folder / "no" / "nan_nohash_0.wav", np.full(16_000, np.nan), subtype="FLOAT")
    report = checked(folder)
    assert report.unreadable == {
        "yes/link_nohash_0": "not a file",
        "no/nan_nohash_0": "samples that are not finite, or far beyond full scale",
    }
    assert report.unusable


def test_a_folder_that_is_called_like_a_clip_is_a_folder(folder):
    (folder / "yes" / "folder.wav").mkdir()
    assert troubles(checked(folder)) == {"unused": {"empty folders": ["yes/folder.wav"]}}


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
    assert report.unusable, "training refuses it"


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
    assert report.durations is None and report.level_dbfs is None
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
    assert record["schema"] == 3 and record["unusable"] is True
    assert record["counts"]["up"] == {"train": 2, "validation": 0, "test": 1}
    assert record["unreadable"] == {"yes/train0_nohash_0": "Format not recognised"}


def test_arrays_are_refused(tmp_path):
    (tmp_path / "X_train.p").touch()
    with pytest.raises(DataError, match="holds arrays, not recordings"):
        checked(tmp_path)


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(DataError, match="has no recordings"):
        checked(tmp_path)


# What the network hears


def level_of(path: Path) -> float:
    """The peak of what the network hears."""
    return float(np.abs(read_waveform(path)).max())


def heard(folder: Path, samples: np.ndarray, rate_hz: int = 16_000, subtype: str = "PCM_16") -> dict[str, object]:
    """What is not in order in a folder where one clip is this."""
    write(folder / "yes" / "train0_nohash_0.wav", samples, rate_hz, subtype=subtype)
    found = troubles(checked(folder))
    assert {clip for names in found.values() if isinstance(names, list) for clip in names} <= {"yes/train0_nohash_0"}
    return {name: 1 if isinstance(names, list) else names for name, names in found.items()}


def test_stereo_whose_phase_is_turned_is_silence_and_said_to_be(folder):
    samples = np.stack([tone(440), -tone(440)], axis=1)
    assert heard(folder, samples) == {"silent": 1, "channels_cancel": 1}
    assert level_of(folder / "yes" / "train0_nohash_0.wav") < 1e-4
    assert heard(folder, samples * [1, 0.9]) == {"channels_cancel": 1}
    assert heard(folder, samples * [1, -1]) == {} == heard(folder, samples * [1, 0])


@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (44_100, 2), (8_000, 1)])
@pytest.mark.parametrize("before", [0.0, 0.02])
def test_a_word_after_the_second_that_is_heard_is_late(folder, before, rate_hz, channels):
    samples = noise(5, seconds=3, rate_hz=rate_hz, level=before)
    samples[2 * rate_hz :] += tone(600, rate_hz=rate_hz)
    late = np.repeat(samples[:, None], channels, axis=1)
    silent = {} if before else {"silent": 1}
    assert heard(folder, late, rate_hz) == {"late": 1, "longer": 1, **silent}
    assert heard(folder, late[::-1], rate_hz) == {"longer": 1}, "what comes first is heard"


def test_a_short_click_after_the_second_does_not_make_a_clip_late(folder):
    samples = np.concatenate([tone(600, level=0.2), np.full(20, 0.9)])
    assert heard(folder, samples) == {"longer": 1}


def test_only_a_quarter_of_a_minute_is_read_of_an_hour_and_little_of_it_is_held(folder):
    path = folder / "yes" / "train0_nohash_0.wav"
    samples = 3600 * 44_100 * 4
    layout = struct.pack("<IHHIIHH", 16, 1, 2, 44_100, 176_400, 4, 16)
    with path.open("wb") as file:  # the samples are a hole, which takes no place
        file.write(b"RIFF" + struct.pack("<I", 36 + samples) + b"WAVEfmt " + layout + b"data")
        file.write(struct.pack("<I", samples))
        file.truncate(44 + samples)
    tracemalloc.start()
    report = checked(folder)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert report.durations.most == pytest.approx(3600) and report.longer == 1
    assert report.silent == ["yes/train0_nohash_0"]
    assert peak < 20_000_000, "an hour as floats is 1.3 GB"


@pytest.mark.parametrize(
    ("level", "kind"), [(1.9, "clipped"), (2.1, "beyond_full_scale"), (9830.0, "beyond_full_scale")]
)
def test_floats_in_the_range_of_integers_are_far_beyond_full_scale(folder, level, kind):
    assert heard(folder, tone(440, level=level), subtype="FLOAT") == {kind: 1}


def test_what_training_refuses_is_unreadable(folder):
    assert heard(folder, tone(440, level=2**31), subtype="FLOAT").keys() == {"unreadable"}
    with pytest.raises(ClipError):
        read_waveform(folder / "yes" / "train0_nohash_0.wav")


def test_long_clips_that_begin_alike_sound_the_same_to_the_network(folder):
    start = noise(9)
    for place, name in enumerate(("yes/train0_nohash_0", "yes/train1_nohash_0")):
        write(folder / f"{name}.wav", np.concatenate([start, noise(20 + place)]))
    assert troubles(checked(folder)) == {"duplicated": [["yes/train0_nohash_0", "yes/train1_nohash_0"]], "longer": 2}


def test_the_same_sound_in_two_splits_is_said_with_them(folder):
    shutil.copy(folder / "yes" / "train0_nohash_0.wav", folder / "yes" / "test0_nohash_0.wav")
    report = checked(folder)
    assert troubles(report) == {
        "duplicated": [["yes/test0_nohash_0", "yes/train0_nohash_0"]],
        "in_two_splits": [["yes/test0_nohash_0 (test)", "yes/train0_nohash_0 (train)"]],
    }
    assert report.unusable, "what is tested was trained on"


def test_rates_are_counted(folder):
    write(folder / "yes" / "train0_nohash_0.wav", noise(3, rate_hz=8_000), 8_000)
    assert checked(folder).rates_hz == {16_000: 12, 8_000: 1}


# Speakers


def test_speakers_are_unknown_where_one_name_does_not_tell(folder):
    write(folder / "yes" / "mine.wav", noise(99))
    report = checked(folder)
    assert report.speakers is None and report.shared_speakers is None and not report.unusable
    record = json.loads(json.dumps(report.record()))
    assert record["speakers"] is None and record["shared_speakers"] is None


def test_speakers_who_are_told_are_counted_and_found_in_two_splits(tmp_path):
    for name in ("yes/ann_1", "yes/bob_1", "no/ann_2", "no/bob_2", "no/eve_1"):
        write(tmp_path / f"{name}.wav", noise(len(name) + ord(name[-1])))
    write_lists(tmp_path, {"validation": ["no/eve_1.wav"], "test": ["yes/ann_1.wav"]})
    report = check(Source("words", tmp_path), "{speaker}_{n}")
    assert report.speakers == {"train": 2, "validation": 1, "test": 1}
    assert report.shared_speakers == ["ann"] and report.unusable


# What is used


def test_every_file_is_used_or_named_with_the_reason(folder):
    for name in (
        "yes/session2/more_nohash_0.wav",
        "Yes/more_nohash_1.wav",
        "yes/train0_nohash_0.mp3",
        "up/word.m4a",
        "up/notes.txt",
        "up/.DS_Store",
        "no/_rejected/bad.wav",
        "_background_noise_/hum.wav",
        "loose.wav",
        "LICENSE",
        ".git/config",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    shutil.copy(folder / "yes" / "train0_nohash_0.wav", folder / "yes" / "session2" / "more_nohash_0.wav")
    shutil.copy(folder / "yes" / "train0_nohash_0.wav", folder / "Yes" / "more_nohash_1.wav")
    (folder / "empty").mkdir()
    (folder / "gone").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    (folder / "test_list.txt").write_text("yes/train0_nohash_0.wav\n")
    report = checked(folder)
    assert report.counts["yes"]["train"] == COUNTS["yes"][0] + 2 and "Yes" not in report.counts
    assert report.one_word == [["Yes", "yes"]]
    assert report.unused == {
        "hidden": [".git", "up/.DS_Store"],
        "not audio": ["LICENSE", "up/notes.txt"],
        "in _background_noise_": ["_background_noise_/hum.wav"],
        "in no/_rejected": ["no/_rejected/bad.wav"],
        "empty folders": ["empty"],
        "behind links that lead nowhere": ["gone", "loop"],
        "outside the words' folders": ["loose.wav"],
        "of a kind that is not read (.m4a)": ["up/word.m4a"],
        "named like another clip": ["yes/train0_nohash_0.mp3"],
        "not read as lists of clips (only validation_list.txt and testing_list.txt are)": ["test_list.txt"],
    }
    assert report.used == sum(sum(counts.values()) for counts in report.counts.values())
    assert report.files == report.used + 12


def test_lists_of_all_words_over_some_of_them_are_counted(folder):
    shutil.rmtree(folder / "no")
    assert troubles(checked(folder)) == {"elsewhere": 2}


def test_a_file_that_tells_speakers_is_used(folder):
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*.wav"))]
    (folder / "who.csv").write_text("path,speaker\n" + "".join(f"{name},{i % 5}\n" for i, name in enumerate(names)))
    assert check(Source("words", folder), "who.csv").unused == {}
    assert list(checked(folder).unused.values()) == [["who.csv"]]
