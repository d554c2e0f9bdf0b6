"""Each task makes the same classes of a folder for every run, and no split hears what another was made of."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from commands import kws, ok, ok_json, refused
from hypothesis import given
from hypothesis import strategies as st
from recordings import SPLITS, noise, report, write, write_folder

from kws.errors import ClipError, DataError, RecipeError
from kws.recipe import KINDS, TASK, Recipe
from kws.speech import silence
from kws.speech.dataset import Dataset, load
from kws.speech.published import ARCHIVES

TEN = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS = ("bed", "cat", "wow")
COUNTS = (7, 3, 2)  # of a word, in training, validation and test
RECORDINGS_S = {"exercise_bike": 4, "pink_noise": 3, "running_tap": 5, "white_noise": 7}


@pytest.fixture(scope="session")
def original(tmp_path_factory) -> Path:
    """Speech Commands in small: ten words and others, both lists, and noise; nobody changes it."""
    folder = write_folder(
        tmp_path_factory.mktemp("tasks") / "clips", dict.fromkeys((*TEN, *OTHERS), COUNTS), seconds=0.05
    )
    for number, (name, seconds) in enumerate(RECORDINGS_S.items()):
        write(folder / "_background_noise_" / f"{name}.wav", noise(1000 + number, seconds=seconds))
    (folder / "_background_noise_" / "README.md").write_text("about the noise")
    return folder


@pytest.fixture(scope="session")
def official(original, tmp_path_factory) -> Path:
    """The official test archive in small, with a folder a class."""
    folder = tmp_path_factory.mktemp("official") / "test_set"
    for word in TEN:
        (folder / word).mkdir(parents=True)
        shutil.copy(original / word / "test0_nohash_0.wav", folder / word)
    for number in range(3):
        write(folder / "_unknown_" / f"test{number}_nohash_0.wav", noise(2000 + number, seconds=0.05))
        write(folder / "_silence_" / f"{number}.wav", noise(3000 + number))
    (folder / "LICENSE").write_text("of the archive")
    return folder


@pytest.fixture
def folder(original, tmp_path) -> Path:
    """A folder of the test's own."""
    return Path(shutil.copytree(original, tmp_path / "clips"))


@pytest.fixture
def arrays(tmp_path) -> Path:
    """A folder of the course's arrays, by their names alone."""
    for name in ("X_train", "Y_train", "X_valid", "Y_valid", "X_test", "Y_test"):
        (tmp_path / "arrays").mkdir(exist_ok=True)
        (tmp_path / "arrays" / f"{name}.p").touch()
    return tmp_path / "arrays"


def task(name: str, **options: object) -> object:
    return TASK.part(name).config(**options)


def of_class(loaded: Dataset, name: str, split: str) -> list[str]:
    """The paths of a class's clips in a split."""
    label = loaded.card.classes.index(name)
    paths = zip(loaded.card.manifests[split].paths, loaded.card.labels[split], strict=True)
    return [path for path, each in paths if each == label]


# v2-12


def test_v2_12_has_ten_words_with_unknown_and_silence_each_a_tenth_of_them_in_every_split(original):
    card = load(str(original), task("v2-12")).card
    assert card.classes == (*TEN, "unknown", "silence")
    for split, count in zip(SPLITS, COUNTS, strict=True):
        assert card.counts[split] == (count,) * 12


def test_unknown_is_drawn_by_names_alone_and_the_same_wherever_the_folder_lies(original, folder):
    for path in sorted(folder.rglob("*.wav"), reverse=True):
        path.touch()
    loaded = load(str(original), task("v2-12"))
    for split, count in zip(SPLITS, COUNTS, strict=True):
        there = sorted(
            (f"{word}/{split}{number}_nohash_0" for word in OTHERS for number in range(count)),
            key=lambda name: hashlib.sha256(name.encode()).digest(),
        )
        assert sorted(of_class(loaded, "unknown", split)) == sorted(f"{name}.wav" for name in there[:count])
    assert load(str(folder), task("v2-12")).card == loaded.card


def test_silence_is_what_stands_in_the_recording_at_the_place_that_the_manifest_names(original):
    loaded = load(str(original), task("v2-12"))
    for split in SPLITS:
        manifest = loaded.card.manifests[split]
        for path in of_class(loaded, "silence", split):
            file, _, second = path.rpartition("@")
            begin = round(float(second) * 16_000)
            samples, _ = soundfile.read(original / file, start=begin, stop=begin + 16_000, dtype="float32")
            place = manifest.paths.index(path)
            assert len(samples) == 16_000
            assert manifest.digest(place) == hashlib.sha256(samples.tobytes()).digest()
            assert (manifest.seconds[place], manifest.speakers[place]) == (1.0, f"{file} ({split})")
    features = loaded.split("train").features[loaded.split("train").labels == 11]
    assert len({each.numpy().tobytes() for each in features}) == COUNTS[0], "cuts at several places"


def test_a_second_of_a_recording_of_another_rate_is_whole_as_well(folder):
    shutil.rmtree(folder / "_background_noise_")
    time_s = np.arange(8_000 * 12) / 8_000
    write(folder / "_background_noise_" / "hum.wav", 0.3 * np.sin(2 * np.pi * 440 * time_s), 8_000)
    loaded = load(str(folder), task("v2-12"))
    levels = loaded.split("train").features[loaded.split("train").labels == 11].mean(dim=2)[:, 3:-3]
    assert float((levels - levels.median()).abs().max()) < 0.2, "as loud to the end"


@given(
    st.dictionaries(
        st.sampled_from(["exercise_bike.wav", "pink_noise.wav", "a.wav", "b.flac", "c.wav"]),
        st.integers(0, 90_000),
        min_size=1,
    ),
    st.integers(0, 300),
)
def test_cuts_lie_within_their_recordings_and_no_two_splits_share_a_moment(durations, wanted):
    parts = silence.parts_of(durations)
    heard: dict[str, dict[str, tuple[int, int]]] = {}
    for split in SPLITS:
        mine = [part for part in parts if part.split == split]
        cuts = [(part.file, at) for part, at in silence.positions(mine, wanted)]
        room = sum(max(part.end_ms - part.begin_ms - 999, 0) for part in mine)
        assert len(cuts) == len(set(cuts)) == min(wanted, room)
        for file, at in cuts:
            assert 0 <= at <= durations[file] - 1000
            first, last = heard.setdefault(file, {}).get(split, (at, at))
            heard[file][split] = min(first, at), max(last, at)
        if any(file.startswith(silence.HELD_OUT) for file in durations) and split != "test":
            assert not any(file.startswith(silence.HELD_OUT) for file, _ in cuts), "held out of training"
    for of in heard.values():
        spans = sorted(of.values())
        assert all(last + 1000 <= first for (_, last), (first, _) in itertools.pairwise(spans))


def test_recordings_that_are_held_out_are_for_the_test_split_alone(original):
    loaded = load(str(original), task("v2-12"))
    for split in SPLITS:
        files = {path.rpartition("@")[0] for path in of_class(loaded, "silence", split)}
        held_out = split == "test"
        assert files
        assert files <= {
            f"_background_noise_/{name}.wav" for name in RECORDINGS_S if (name in silence.HELD_OUT) == held_out
        }


def test_recordings_that_silence_is_cut_from_are_used_and_what_lies_beside_them_is_not(original):
    assert load(str(original), task("v2-12")).card.unused == {
        "in _background_noise_": 1,
        "not drawn for 'unknown'": (len(OTHERS) - 1) * sum(COUNTS),
    }
    assert load(str(original), report("yes", "no")).card.unused["in _background_noise_"] == 5


def test_without_noise_there_is_no_silence_and_the_sentence_says_what_to_do(folder):
    shutil.rmtree(folder / "_background_noise_")
    with pytest.raises(DataError, match=r"no recordings in _background_noise_ .*; --data speech-commands"):
        load(str(folder), task("v2-12"))


def test_noise_that_cannot_be_read_is_named(folder):
    (folder / "_background_noise_" / "white_noise.wav").write_text("not audio")
    with pytest.raises(ClipError, match=r"white_noise\.wav cannot be read .*repair or delete it"):
        load(str(folder), task("v2-12"))


def test_silence_follows_its_recording(folder):
    before = load(str(folder), task("v2-12")).card
    write(folder / "_background_noise_" / "white_noise.wav", noise(7, seconds=7))
    assert load(str(folder), task("v2-12")).card.fingerprint != before.fingerprint


# The official test archive


def test_the_official_archive_is_the_test_split_whole_and_nothing_of_it_is_trained_on(original, official):
    own, loaded = (load(str(original), task("v2-12", test_data=each)) for each in (None, str(official)))
    test = loaded.card.manifests["test"]
    archive = sorted(str(path.relative_to(official.parent)) for path in official.rglob("*.wav"))
    assert sorted(test.paths) == archive
    assert loaded.card.counts["test"] == (1,) * 10 + (3, 3)
    assert not set(test.each_digest()) & {
        digest for split in ("train", "validation") for digest in loaded.card.manifests[split].each_digest()
    }
    for split in ("train", "validation"):
        assert loaded.card.split_fingerprints[split] == own.card.split_fingerprints[split]
    assert loaded.card.fingerprint != own.card.fingerprint
    assert loaded.card.source == "clips + test_set"
    assert loaded.card.unused["of its own test split, which --test-data replaces"] == 11 * COUNTS[2]
    assert {test.speakers[test.paths.index(path)] for path in test.paths if "_silence_" in path} == {
        f"_silence_/{number}.wav" for number in range(3)
    }


def test_where_the_archive_lies_is_not_part_of_what_was_learnt(original, official, tmp_path):
    moved = Path(shutil.copytree(official, tmp_path / "elsewhere"))
    one, other = (load(str(original), task("v2-12", test_data=str(each))).card for each in (official, moved))
    assert one.fingerprint == other.fingerprint
    recipes = [Recipe.of(arch="fc", opt="sgd", task="v2-12", test_data=str(each)) for each in (official, moved)]
    assert recipes[0].digest == recipes[1].digest
    assert recipes[0].data_key != recipes[1].data_key
    assert "--test-data" in recipes[0].arguments()


def test_the_archive_alone_is_evaluated_whole(official):
    card = load(str(official), task("v2-12")).card
    labels = card.labels_of("all")
    assert Counter(card.classes[label] for label in labels) == dict.fromkeys(TEN, 1) | {"unknown": 3, "silence": 3}


def test_what_is_no_test_archive_is_refused_with_what_it_lacks(original, official, arrays, tmp_path):
    lacking = Path(shutil.copytree(official, tmp_path / "lacking"))
    shutil.rmtree(lacking / "_silence_")
    for place, why in (
        (lacking, "has no folder _silence_; the official test archive has one for each class"),
        (original, "is the folder that is trained on"),
        (arrays, "holds arrays"),
        (tmp_path / "nowhere", "does not exist"),
    ):
        with pytest.raises(DataError, match=why):
            load(str(original), task("v2-12", test_data=str(place)))
    with pytest.raises(RecipeError, match="`test_data` is empty"):
        task("v2-12", test_data=" ")


# The other tasks


def test_v2_35_and_mini_8_have_the_words_of_their_editions_and_leave_out_all_else(original):
    folders = {"v2_35": ARCHIVES["speech-commands"].words, "mini_8": ARCHIVES["mini-speech-commands"].words}
    assert [len(words) for words in folders.values()] == [35, 8]
    for name, words in folders.items():
        assert TASK.part(name).load().classes(task(name)) == words
    loaded = load(str(original), task("mini-8"))
    assert loaded.card.classes == ("down", "go", "left", "no", "right", "stop", "up", "yes")
    assert loaded.card.counts == {split: (count,) * 8 for split, count in zip(SPLITS, COUNTS, strict=True)}
    assert loaded.card.unused["of words that the task leaves out"] == 5 * sum(COUNTS)


def test_v2_35_takes_every_clip_of_its_words(tmp_path):
    words = ARCHIVES["speech-commands"].words
    folder = write_folder(tmp_path / "clips", dict.fromkeys(words, (1, 1, 1)), seconds=0.01)
    card = load(str(folder), task("v2-35")).card
    assert card.classes == words
    assert card.counts == dict.fromkeys(SPLITS, (1,) * 35)


def test_words_has_the_classes_that_were_asked_for_and_no_others(original):
    def counts(**options: object) -> dict[str, int]:
        card = load(str(original), task("words", words=("left", "on"), **options)).card
        return dict(zip(card.classes, card.counts["train"], strict=True))

    two = {"left": 7, "on": 7}
    assert counts() == two
    assert counts(other_words="other") == two | {"other": 7}
    assert counts(other_words="unknown", silence=True) == two | {"unknown": 7, "silence": 7}
    assert counts(silence=True) == two | {"silence": 7}
    for name in ("other", "unknown", "silence"):
        with pytest.raises(RecipeError, match=f"may not hold '{name}'"):
            task("words", words=("left", name))


def test_words_with_other_has_the_reports_clips_in_the_reports_order(original):
    of_report = load(str(original), report("yes", "no")).card
    assert load(str(original), task("words", other_words="other")).card.fingerprint == of_report.fingerprint


@pytest.mark.parametrize("name", ["v2-12", "v2-35", "mini-8"])
def test_missing_words_are_all_named_with_data_that_has_them(name, folder):
    shutil.rmtree(folder / "up")
    shutil.rmtree(folder / "stop")
    with pytest.raises(
        DataError, match=r"no recordings of .*'(stop|up)'.* '(stop|up)'.*; --data .*speech-commands has all"
    ) as caught:
        load(str(folder), task(name))
    assert "\n" not in str(caught.value)
    if name != "v2-35":
        assert "'left'" not in str(caught.value)


@pytest.mark.parametrize("part", [part.name for part in TASK.parts.values() if part.name != "report"])
def test_arrays_are_for_the_reports_task_alone(part, arrays):
    with pytest.raises(DataError, match=r"needs recordings in folders named after their words, .*--task report takes"):
        load(str(arrays), task(part))


@pytest.mark.parametrize("part", [part for part in TASK.parts.values() if part.name != "report"], ids=lambda p: p.name)
def test_a_task_says_whose_protocol_it_follows_and_classes_of_at_most_a_byte(part):
    about = part.load().__doc__
    assert "arXiv:" in about or "TensorFlow's tutorial" in about or "follows no publication" in about
    assert 2 <= len(part.load().classes(task(part.name))) <= 256


def test_a_parts_name_may_have_dashes_for_its_underscores():
    for kind in (kind for kind in KINDS if not kind.several):
        assert [kind.part(name).name for name in kind.dashed] == list(kind.parts)
        assert all("_" not in name for name in kind.dashed)
    names = (("tc-resnet", "v2-35"), ("tc_resnet", "v2_35"))
    one, other = (Recipe.of(arch=arch, opt="sgd", task=of) for arch, of in names)
    assert one == other


# From end to end


def test_v2_12_runs_from_end_to_end_and_never_shares_a_table_with_another_task(
    original, official, tmp_path, monkeypatch
):
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KWS_DB", str(tmp_path / "runs.db"))
    train = ["train", "--arch", "tc-resnet", "--width", 0.2, "--opt", "adam", "--batch-size", 32, "--epochs", 1]
    train += ["--threads", 1, "--data", original]
    trained = kws(*train, "--task", "v2-12", "--test-data", official, "--json")
    few = f"12 classes such as {TEN[0]}, {TEN[1]} and {TEN[2]}"
    assert f"on clips + test_set (v2-12: {few}; 84 / 36 / 16 clips)" in trained.stderr
    run = json.loads(trained.stdout)["run"]
    own = ok_json(*train, "--task", "v2_12")["run"]
    mini = ok_json(*train, "--task", "mini-8")["run"]
    evaluated = ok_json("eval", run, "--data", original)
    assert list(evaluated["classes"]) == [*TEN, "unknown", "silence"]
    assert (evaluated["clips"], evaluated["data"]) == (16, "clips + test_set")
    assert ok_json("eval", run, "--data", official, "--split", "all")["clips"] == 16
    assert "Confusion matrix" in ok("eval", own)
    tables = json.loads(ok("compare", "--format", "json"))["tables"]
    assert sorted(each["runs"] for table in tables for each in table["cells"]) == sorted([[run], [own], [mini]])
    assert len(tables) == 3
    captions = " ".join(ok("compare").split())
    eight = "down, go, left, no, right, stop, up, yes"
    for about in (f"clips + test_set (v2-12: {few};", f"clips (v2-12: {few};", f"clips (mini-8: {eight};"):
        assert about in captions
    listed = ok("runs", "list")
    for data in ("clips + test_set (v2-12)", "clips (v2-12)", "clips (mini-8)"):
        assert data in listed
    checked = ok_json("data", "check", original, "--task", "v2-12", "--test-data", official)
    assert checked["task"]["counts"]["silence"] == dict(zip(SPLITS, (7, 3, 3), strict=True))
    assert "is not one of 'report', 'v2-12'" in refused(*train, "--task", "v2-13", code=2)
    assert "`test_data`" in refused(*train, "--task", "mini-8", "--test-data", official)
