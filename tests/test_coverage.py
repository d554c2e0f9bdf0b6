"""What an evaluation is of: the clips that the network was trained on, by their sound, and what was left out."""

from __future__ import annotations

import dataclasses
import os
import shutil

import numpy as np
import pytest
import soundfile
from commands import TRAIN, clone, ok, ok_json, sql
from ledger import make_card, with_manifests
from sounds import write_task

from kws.events import ALL, SPLITS, TEST, VALIDATION
from kws.events import TRAIN as TRAINED
from kws.registry.location import locate
from kws.registry.reader import RegistryReader
from kws.reports import coverage
from kws.terminal.screens_evaluation import coverage_lines

FLATTERED = "false accepts look better here than they are"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, new_place):
    """A folder with a task, and a registry with a finished run on it."""
    folder, db = tmp_path_factory.mktemp("coverage"), new_place()
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KWS_CACHE", str(folder / "cache"))
        write_task(folder / "task")
        ok_json(*TRAIN, "--data", folder / "task", "--epochs", 1, "--db", db)
    return folder, db


@pytest.fixture
def task(trained, monkeypatch):
    folder, db = trained
    monkeypatch.setenv("KWS_CACHE", str(folder / "cache"))
    monkeypatch.setenv("KWS_DB", db.in_full() if hasattr(db, "in_full") else str(db))
    return folder / "task"


def said(*arguments):
    """What eval says of the clips, as JSON, and its lines."""
    lines = ok("eval", "last", *arguments).splitlines()
    return ok_json("eval", "last", *arguments), lines[1:3]


def test_no_clip_of_the_test_split_was_trained_on_and_all_of_the_training_split_were(task):
    record, (trained, used) = said()
    assert (record["trained_on"], record["clips"]) == (0, 12)
    assert trained == "0 of these 12 clips were trained on"
    assert used == "used 12 of 80 clips: 48 in its other splits, 20 not drawn for 'other'"
    record, (trained, _) = said("--split", "train")
    assert record["trained_on"] == record["clips"] == 36
    assert trained == "36 of these 36 clips were trained on"
    assert said("--split", "all")[0]["trained_on"] == 36


def test_training_clips_are_known_by_their_sound_under_any_name_label_and_format(task, tmp_path):
    """Half of the clips are new, half were trained on: renamed, as FLAC, those of "no" as "up" as well."""
    other, random = tmp_path / "other", np.random.default_rng(5)
    for word, of in (("yes", "yes"), ("no", "no"), ("up", "no")):
        (other / word).mkdir(parents=True)
        for place, clip in enumerate(sorted((task / of).glob("train*"))[:4]):
            samples, rate = soundfile.read(clip, dtype="int16")
            soundfile.write(other / word / f"{place:x}a_known.flac", samples, rate)
            new = random.uniform(-0.3, 0.3, rate).astype(np.float32)
            soundfile.write(other / word / f"{place:x}b_new.wav", new, rate, subtype="PCM_16")
    record, (trained, _) = said("--data", other, "--split", "all")
    with RegistryReader(locate(os.environ["KWS_DB"])) as registry:
        paths = [path for split in SPLITS for path in registry.manifest(record["data_fingerprint"], split).paths]
    expected = sum("known" in path for path in paths)
    assert expected >= 8
    assert record["clips"] - expected >= 8
    assert record["trained_on"] == expected
    assert trained == f"{expected} of these {record['clips']} clips were trained on"


def test_a_folder_whose_test_clips_are_the_runs_training_clips_is_told_as_such(task, tmp_path):
    other = tmp_path / "other"
    for word in ("yes", "no", "up", "down"):
        (other / word).mkdir(parents=True)
        for clip in (task / word).glob("train*"):
            shutil.copy(clip, other / word)
    names = [f"{clip.parent.name}/{clip.name}" for clip in other.glob("*/*")]
    (other / "testing_list.txt").write_text("\n".join(names))
    (other / "validation_list.txt").write_text("")
    record, _ = said("--data", other)
    assert record["data_fingerprint"] != ok_json("runs", "show", "last")["data_fingerprint"]
    assert record["trained_on"] == record["clips"] == 36


def test_without_a_list_of_the_training_clips_it_is_not_known_and_that_is_said(task, tmp_path):
    db = clone(locate(os.environ["KWS_DB"]), tmp_path / "older.db")
    sql(db, "DELETE FROM manifests")
    lines = ok("eval", "last", "--db", db).splitlines()
    assert lines[1] == "how many of these 12 clips it was trained on is not known"
    assert lines[2].endswith("; what its folder held besides is not recorded")
    assert ok_json("eval", "last", "--db", db)["trained_on"] is None
    assert ok_json("eval", "last", "--db", db, "--split", "train")["trained_on"] == 36
    assert ok_json("eval", "last", "--db", db, "--data", task)["trained_on"] == 0
    assert ok_json("eval", "last", "--db", db)["trained_on"] == 0


# The arithmetic


CARD = with_manifests(make_card(clips=6))


def test_sounds_are_counted_clip_by_clip_and_a_sound_twice_counts_twice():
    train = CARD.manifests[TRAINED]
    digests = train.digest(0) * 2 + train.digest(3) + CARD.manifests[TEST].digests[:96]
    other = make_card("other", clips=6)
    manifests = CARD.manifests | {TEST: dataclasses.replace(CARD.manifests[TEST], digests=digests)}
    assert coverage.trained_on(CARD, other, TEST, train, manifests) == 3
    assert coverage.trained_on(CARD, other, VALIDATION, train, manifests) == 0
    assert coverage.trained_on(CARD, other, ALL, train, manifests) == 9


@pytest.mark.parametrize("known", [{}, {TRAINED: CARD.manifests[TRAINED]}])
def test_it_is_known_only_where_both_sides_are(known):
    other = make_card("other")
    assert coverage.trained_on(CARD, other, TEST, CARD.manifests[TRAINED], known) is None
    assert coverage.trained_on(CARD, other, TEST, None, CARD.manifests) is None


def test_sounds_and_arrays_cannot_be_compared():
    arrays = dataclasses.replace(make_card("arrays"), front_end={})
    assert coverage.trained_on(CARD, arrays, TEST, CARD.manifests[TRAINED], CARD.manifests) is None
    assert coverage.trained_on(arrays, arrays, TEST, CARD.manifests[TRAINED], CARD.manifests) == 0


def of(unused, split=TEST):
    card = dataclasses.replace(CARD, unused=unused)
    return coverage.of(card, split, has_manifests=True, trained_on=0)


def test_all_that_the_data_holds_is_counted_with_the_reason_why_it_was_not_evaluated():
    made = of({"not audio": 2, "not drawn for 'other'": 500, "unreadable": 1, "empty folders": 3})
    assert made.left_out == {"not drawn for 'other'": 500, "in its other splits": 12, "not audio": 2, "unreadable": 1}
    assert (made.clips, made.offered) == (6, 521)
    assert list(made.left_out) == ["not drawn for 'other'", "in its other splits", "not audio", "unreadable"]
    assert of({}, ALL).offered == 18
    assert coverage_lines(of({}, ALL))[1] == "used 18 of 18 clips"


@pytest.mark.parametrize(
    "reason", ["not drawn for 'other'", "in _background_noise_", "in yes/_silence_", "in _unknown_"]
)
def test_silence_and_unknown_words_that_are_left_out_are_said_to_flatter_false_accepts(reason):
    assert coverage_lines(of({reason: 1, "hidden": 1}))[-1].endswith(FLATTERED)


def test_what_else_is_left_out_is_not():
    assert FLATTERED not in " ".join(
        coverage_lines(of({"hidden": 1, "unreadable": 3, "outside the words' folders": 2}))
    )


def test_reasons_are_called_as_whoever_reads_folders_calls_them():
    walk = pytest.importorskip("kws.speech.walk")
    from kws.speech import classes

    assert all(classes.BY_TASK[at].startswith(each) for at, each in enumerate(coverage.OTHER_WORDS))
    assert walk.NO_FILES == coverage.NO_FILES
