"""What commands say of the data: what is used of it, whose clips they are, and what is wrong with them."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import TRAIN, kws, ok_json, refused, sql
from recordings import noise, write, write_folder

from kws.recipe import Recipe
from kws.sweeps.trainer import Trainer, WorkerConfig

COUNTS = {"yes": (6, 2, 2), "no": (6, 2, 2), "up": (6, 2, 2)}
UNKNOWN = "speakers unknown: clips of one speaker may be in several splits; --speakers tells them"


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> Path:
    """A folder in order."""
    return write_folder(tmp_path_factory.mktemp("telling") / "words", COUNTS, seconds=0.05)


@pytest.fixture
def folder(original, tmp_path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "words"))


@pytest.fixture
def takes(tmp_path) -> Path:
    """Clips that are not named as those of Speech Commands are: speakers a to p, two takes of each word."""
    names = [f"{word}/{speaker}_{take}" for word in ("yes", "no") for speaker in "abcdefghijklmnop" for take in (0, 1)]
    for number, name in enumerate(names):
        write(tmp_path / "takes" / f"{name}.wav", noise(number, seconds=0.05))
    return tmp_path / "takes"


def train(folder: Path, *more: object) -> list[str]:
    """What `kws train` says of the data."""
    result = kws(*TRAIN, "--data", folder, "--epochs", 1, *more)
    assert result.exit_code == 0, result.stderr
    lines = result.stderr.splitlines()
    run = next(place for place, line in enumerate(lines) if line.startswith("run "))
    return [line for line in lines[:run] if not line.startswith("Computing features")]


def check(folder: Path, *more: object, code: int = 0) -> list[str]:
    result = kws("data", "check", folder, *more)
    assert result.exit_code == code, result.stderr
    return result.stdout.splitlines()


def test_of_data_in_order_train_says_how_many_speakers_there_are(folder):
    assert train(folder) == ["speakers: 6 in training, 2 in validation, 2 in test, none in two splits"]


def test_train_and_check_say_in_one_line_what_is_not_used(folder):
    for name in ("yes/session2/new_nohash_0.wav", "no/notes.txt", "no/.DS_Store", "_background_noise_/hum.wav"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(folder / "yes" / "train0_nohash_0.wav", folder / name)
    write(folder / "yes" / "session2" / "new_nohash_0.wav", noise(99))
    (folder / "empty").mkdir()
    line = "used 31 of 34 files: 1 hidden, 1 in _background_noise_, 1 not audio; empty folders: 1"
    assert train(folder)[0] == f"{line}; `kws data check {folder}` lists them"
    told = check(folder)
    assert line in told
    assert "not used (in _background_noise_): 1: _background_noise_/hum.wav" in told
    unused = ok_json("data", "check", folder)["unused"]
    assert unused["hidden"] == ["no/.DS_Store"] and unused["empty folders"] == ["empty"]
    kept = sql("experiments.db", "SELECT unused FROM data")
    assert json.loads(kept[0][0]) == {"hidden": 1, "in _background_noise_": 1, "not audio": 1, "empty folders": 1}


def test_clips_that_cannot_be_read_or_are_not_drawn_are_counted_too(folder):
    (folder / "no" / "train3_nohash_0.wav").write_text("not audio")
    write(folder / "up" / "train0_nohash_5.wav", noise(98))
    assert train(folder, "--skip-unreadable") == [
        f"used 29 of 31 files: 1 not drawn for 'other', 1 unreadable; `kws data check {folder}` lists them",
        "left out 1 unreadable clips: no/train3_nohash_0.wav",
        "speakers: 6 in training, 2 in validation, 2 in test, none in two splits",
    ]


def test_folders_of_what_is_no_keyword_are_used_and_said_to_be(folder):
    line = "_unknown_ and _silence_: used like the words of 'other'"
    assert line not in check(folder) + train(folder)
    (folder / "up").rename(folder / "_unknown_")
    write(folder / "_silence_" / "train1_nohash_9.wav", noise(9))
    for name in ("validation_list.txt", "testing_list.txt"):
        (folder / name).write_text((folder / name).read_text().replace("up/", "_unknown_/"))
    assert line in check(folder) and line in train(folder)
    assert "_silence_: used like the words of 'other'" in train(folder, "--words", "yes,_unknown_")


def test_lists_of_all_words_over_some_of_them_are_said_to_be(folder):
    shutil.rmtree(folder / "up")
    assert train(folder)[0] == "used 20 of 20 files; the lists also name 4 clips of words that are not there"
    assert "used 20 of 20 files; the lists also name 4 clips of words that are not there" in check(folder)


def test_a_listed_clip_that_is_not_there_is_refused_by_both(folder):
    (folder / "yes" / "test1_nohash_0.wav").unlink()
    said = refused(*TRAIN, "--data", folder)
    assert "name yes/test1_nohash_0.wav, of a word that is there, but no recording of that name can be used" in said
    assert "NAMED BY A LIST BUT NOT THERE: 1: yes/test1_nohash_0" in check(folder, code=1)


# Speakers


def test_speakers_that_are_not_known_are_said_to_be_unknown_and_never_counted(takes):
    assert train(takes) == [UNKNOWN]
    told = check(takes)
    assert UNKNOWN in told and not any("SPEAKERS" in line for line in told)
    assert next(line.split() for line in told if line.startswith("  speakers")) == ["speakers", *3 * ["unknown"]]
    record = ok_json("data", "check", takes)
    assert record["speakers"] is None and record["shared_speakers"] is None


def test_speakers_that_are_told_are_in_one_split_each_and_part_of_the_recipe(takes):
    (line,) = train(takes, "--speakers", "{speaker}_{n}")
    assert line.startswith("speakers: ") and line.endswith(", none in two splits")
    record = ok_json("data", "check", takes, "--speakers", "{speaker}_{n}")
    assert sum(record["speakers"].values()) == 16 and record["shared_speakers"] == []
    assert sql("experiments.db", "SELECT speakers FROM runs") == [("{speaker}_{n}",)]
    assert ok_json("runs", "show", "last")["recipe"]["speakers"] == "{speaker}_{n}"
    assert ok_json("rerun", "last")["same"] is True
    assert ok_json("eval", "last")["clips"] == sum(record["counts"][word]["test"] for word in ("yes", "no"))
    train(takes)
    assert len(sql("experiments.db", "SELECT fingerprint FROM data")) == 2, "by their names they are split otherwise"


def test_a_file_may_tell_them(takes, tmp_path):
    names = [path.relative_to(takes).as_posix() for path in sorted(takes.rglob("*.wav"))]
    (tmp_path / "who.csv").write_text("".join(f"{name},{Path(name).name[0]}\n" for name in names))
    by_pattern, by_file = (train(takes, "--speakers", told) for told in ("{speaker}_{n}", "who.csv"))
    assert by_pattern == by_file
    assert len(sql("experiments.db", "SELECT fingerprint FROM data")) == 1


def test_a_run_goes_on_with_the_speakers_that_it_was_started_with(takes):
    train(takes, "--speakers", "{speaker}_{n}")
    cut = "UPDATE trainings SET status = 'interrupted', test_accuracy = NULL"
    sql("experiments.db", cut, "DELETE FROM evaluations", "DELETE FROM weights")
    assert "`speakers` (={speaker}) is not what run" in refused("train", "--resume", "last", "--speakers", "{speaker}")
    assert kws("train", "--resume", "last", "--speakers", "{speaker}_{n}", "--epochs", 2).exit_code == 0


def test_lists_that_share_a_speaker_are_warned_of_and_make_check_fail(folder):
    write(folder / "up" / "validation1_nohash_7.wav", noise(99))  # in no list, so training
    lines = train(folder)
    assert lines[-2].startswith("speakers: 7 in training, 2 in validation")
    assert lines[-1].startswith("WARNING: 1 speaker has clips in several splits (validation1), so accuracies will")
    assert "SPEAKERS IN TWO SPLITS: 1: validation1" in check(folder, code=1)


def test_the_same_sound_in_two_splits_or_under_two_words_is_warned_of(folder):
    assert not any("WARNING" in line for line in train(folder))
    shutil.copy(folder / "yes" / "train0_nohash_0.wav", folder / "yes" / "test0_nohash_0.wav")
    (warning,) = [line for line in train(folder) if "WARNING" in line]
    pair = "yes/train0_nohash_0.wav = yes/test0_nohash_0.wav"
    assert warning == f"WARNING: the same sound is in two splits ({pair}); `kws data check {folder}` lists them"
    shutil.copy(folder / "yes" / "train0_nohash_0.wav", folder / "no" / "train0_nohash_0.wav")
    (warning,) = [line for line in train(folder) if "WARNING" in line]
    assert "in two splits (" in warning and " and in two classes (" in warning
    told = check(folder, code=1)
    assert any(line.startswith("THE SAME SOUND IN TWO SPLITS: 1: no/train0_nohash_0 (train) = ") for line in told)
    assert any(line.startswith("THE SAME SOUND UNDER TWO WORDS: 1: no/train0_nohash_0 = ") for line in told)


def test_names_from_outside_are_made_visible(folder):
    write(folder / "yes" / "\x1b[31mred\n_nohash_0.wav", noise(99))
    write(folder / "up" / "\x1b[31mred\n_nohash_0.wav", noise(99))
    told = "\n".join(check(folder))
    assert "\x1b" not in told and "\\x1b[31mred _nohash_0" in told


def test_a_sweeps_processes_tell_the_same(takes, db):
    recipe = Recipe.of(arch="fc", opt="sgd", learning_rate=0.01, data=str(takes))
    trainer = Trainer(WorkerConfig.here(db, skip_unreadable=False))
    unknown = trainer.probe(recipe)
    assert unknown["told"] == [f"takes: {UNKNOWN}"]
    told = trainer.probe(Recipe.of(arch="fc", opt="sgd", learning_rate=0.01, data=str(takes), speakers="{speaker}_{n}"))
    assert told["told"][0].endswith("none in two splits") and told["fingerprint"] != unknown["fingerprint"]


def test_speakers_of_arrays_are_unknown(tmp_path):
    random = np.random.default_rng(0)
    for split, clips in (("train", 16), ("valid", 6), ("test", 6)):
        (tmp_path / f"X_{split}.p").write_bytes(pickle.dumps(random.normal(size=(clips, 101, 40))))
        (tmp_path / f"Y_{split}.p").write_bytes(pickle.dumps(np.arange(clips) % 3))
    assert train(tmp_path) == ["speakers unknown: clips of one speaker may be in several splits"]


def test_a_word_typed_composed_is_the_folder_decomposed(folder, tmp_path):
    (folder / "up").rename(folder / "gro\u0308ßer")
    for name in ("validation_list.txt", "testing_list.txt"):
        (folder / name).write_text((folder / name).read_text().replace("up/", "größer/"), encoding="utf-8")
    for typed in ("größer,no", "gro\u0308ßer,no"):
        train(folder, "--words", typed)
    assert len(sql("experiments.db", "SELECT fingerprint FROM data")) == 1
    assert ok_json("runs", "show", "last")["data"]["classes"] == ["größer", "no", "other"]


def test_a_word_that_is_typed_composed_and_decomposed_is_named_twice(folder):
    assert "names a word twice" in refused(*TRAIN, "--data", folder, "--words", "größer,gro\u0308ßer")


def test_listed_clips_in_other_spellings_are_not_trained_on(folder):
    before = train(folder)
    lists = {split: (folder / f"{split}_list.txt").read_text().split() for split in ("validation", "testing")}
    (folder / "validation_list.txt").write_text("".join(f"C:\\x\\{line.upper()}\r\n" for line in lists["validation"]))
    (folder / "testing_list.txt").write_text("\ufeff" + "".join(f"./{line} \n" for line in lists["testing"]))
    assert train(folder) == before
    assert len(sql("experiments.db", "SELECT fingerprint FROM data")) == 1
