"""A folder that has some of a run's words alone: what is there is evaluated, and what is not is named."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from commands import TRAIN, kws, ok, ok_json, refused, sql, typed
from sounds import write_task

from kws.events import SPLITS
from kws.inference.export import clips as clip_source
from kws.recipe import TASK
from kws.registry.store import Registry
from kws.speech import classes, partly
from kws.speech.folder import read_folder
from kws.speech.listing import assigned


@pytest.fixture(scope="module")
def trained(tmp_path_factory, new_place):
    """A folder with a task of yes, no and other, and the place of a registry with a run on it."""
    db, folder = new_place(), tmp_path_factory.mktemp("partly")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("KWS_CACHE", str(folder / "cache"))
        patched.setenv("KWS_DB", typed(db))
        write_task(folder / "task")
        ok_json(*TRAIN, "--data", "task", "--epochs", 1)
    return folder, db


@pytest.fixture
def task(trained, monkeypatch):
    folder, db = trained
    monkeypatch.setenv("KWS_CACHE", str(folder / "cache"))
    monkeypatch.setenv("KWS_DB", typed(db))
    return folder / "task"


def some(task, to, *words):
    """A folder with these words of the task, in the same splits."""
    for word in words:
        shutil.copytree(task / word, to / word)
    for name in ("validation_list.txt", "testing_list.txt"):
        shutil.copy(task / name, to / name)
    return to


def test_one_word_is_evaluated_as_it_is_among_all_of_them(task, tmp_path):
    alone, whole = ok_json("eval", "last", "--data", some(task, tmp_path / "one", "yes")), ok_json("eval", "last")
    row = whole["confusion_matrix"][0]
    assert alone["confusion_matrix"] == [row, [0, 0, 0], [0, 0, 0]]
    assert alone["accuracy"] == row[0] / sum(row) == alone["classes"]["yes"]["recall"]
    assert alone["not_tested"] == ["no", "other"]
    for name in ("no", "other"):
        assert {value for key, value in alone["classes"][name].items() if key != "clips"} == {None}
    assert all(each["equal_error_rate"] is None for each in alone["detection"].values())


def test_the_words_that_are_not_there_are_named_and_have_no_row(task, tmp_path):
    shown = ok("eval", "last", "--data", some(task, tmp_path / "two", "yes", "up"))
    lines = [line.strip() for line in shown.splitlines()]
    assert "8 clips of 2 of 3 classes: accuracy" in lines[0]
    assert "not tested, for there are no clips of them here: no" in lines
    matrix = lines[lines.index("Confusion matrix") + 4 : lines.index("Each class") - 1]
    assert [line.split()[0] for line in matrix] == ["yes", "other"]
    assert any(line.split() == ["no", "-", "-", "-", "0"] for line in lines)
    assert "not tested" not in ok("eval", "last")


def test_it_is_recorded_as_data_of_its_own_and_no_table_has_it(trained, task, tmp_path):
    before = ok("compare", "--format", "json")
    ok("eval", "last", "--data", some(task, tmp_path / "other", "down", "yes"))
    assert ok("compare", "--format", "json") == before
    assert "test split of other: accuracy" in ok("runs", "show", "last")
    assert "8 clips of 2 of 3 classes" in ok("runs", "show", "last")
    with Registry(trained[1]) as registry:
        run = registry.run("last")
        (card, found) = next(each for each in registry.evaluations(run.id) if each[0].source == "other")
        assert card.classes == registry.card(run.data_fingerprint).classes
        assert card.counts["test"] == (4, 0, 4) and found.clips == 8
        assert run.test_accuracy == registry.evaluation(run.id, run.data_fingerprint, "test").accuracy
    assert sql(trained[1], "SELECT count(DISTINCT fingerprint) FROM data")[0][0] > 1


def test_all_of_the_words_are_the_clips_that_training_took(task):
    recipe_task = TASK.part("report").config()
    folder = read_folder(task)
    whole = assigned(folder, recipe_task)
    assert assigned(folder, recipe_task, some_of=whole.classes) == whole
    assert partly.assigned_partly(folder, recipe_task, whole.classes) == whole


def test_words_that_the_run_does_not_know_are_other_where_it_has_that_class_and_else_counted(task, tmp_path):
    folder = read_folder(some(task, tmp_path / "up", "yes", "up", "down"))
    report = TASK.part("report").config()
    found = assigned(folder, report, some_of=("yes", "no", "other"))
    of_yes, of_other = ([clip for clip in found.clips if clip.label == label] for label in (0, 2))
    assert len(of_yes) == len(of_other) == 20, "as many as of a word that is there, in each split"
    assert found.not_used == {classes.NOT_DRAWN: 20}
    without = assigned(folder, report, some_of=("yes", "no"))
    assert {clip.word for clip in without.clips} == {"yes"}
    assert without.not_used == {classes.LEFT_OUT: 40}
    none = assigned(read_folder(some(task, tmp_path / "unknown", "up")), report, some_of=("yes", "no", "other"))
    assert [clip.label for clip in none.clips] == [2] * 20


def test_classes_of_every_task_are_found_as_far_as_they_are_there(task, tmp_path):
    folder = some(task, tmp_path / "some", "yes", "down", "up")
    shutil.copytree(task / "no", folder / "lamp")
    noise = folder / "_background_noise_"
    noise.mkdir()
    for name, count in {"v2-12": 5, "v2-35": 3, "mini-8": 3, "words": 2}.items():
        part = TASK.part(name.replace("-", "_"))
        known = part.load().classes(part.config())
        found = assigned(read_folder(folder), part.config(), some_of=known)
        names = {known[clip.label] for clip in found.clips}
        wanted = {"yes", "down", "up"} & {*known} | ({"unknown"} & {*known})
        assert names == wanted and len(names) <= count
    write_noise(noise / "hum.wav")
    twelve = TASK.part("v2_12")
    known = twelve.load().classes(twelve.config())
    found = assigned(read_folder(folder), twelve.config(), some_of=known)
    assert {split: sum(known[c.label] == "silence" for c in found.clips if c.split == split) for split in SPLITS} == {
        "train": 12, "validation": 4, "test": 4
    }  # fmt: skip


def write_noise(path):
    import soundfile

    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 60 * 16_000), 16_000)


def test_a_folder_without_any_of_the_classes_says_what_it_has(task, tmp_path):
    db = tmp_path / "words.db"
    ok_json(*TRAIN, "--task", "words", "--data", task, "--epochs", 1, "--db", db)
    said = refused("eval", "last", "--db", db, "--data", some(task, tmp_path / "up", "up", "down"))
    assert said.endswith("has no recordings of yes, no; it has down, up, which the run does not tell apart; name other "
                         "data")  # fmt: skip
    deeper = tmp_path / "deeper"
    shutil.copytree(tmp_path / "up", deeper / "mine" / "yes")
    shutil.copytree(task / "yes", deeper / "mine" / "no")
    assert "folders of such a name lie in mine" in refused("eval", "last", "--data", deeper)


def test_a_test_split_alone_is_evaluated_and_no_other_is_said_to_be_taken_from_it(task, tmp_path):
    shutil.copytree(task / "yes", tmp_path / "alone" / "test" / "yes")
    result = kws("eval", "last", "--data", tmp_path / "alone", "--split", "all")
    assert result.exit_code == 0 and "20 clips of 1 of 3 classes" in result.stdout
    assert "taken from training" not in result.stderr


def test_an_export_is_checked_on_the_words_that_are_there_but_int8_is_scaled_by_all(task, tmp_path):
    from ledger import make_recipe

    from kws.errors import DataError

    recipe = make_recipe(data=str(some(task, tmp_path / "two", "yes", "no")))
    words = ("yes", "no", "other")
    with pytest.raises(DataError, match="tells apart"):
        clip_source.of(recipe, words, "abc")
    found = clip_source.of(recipe, words, "abc", partly=True)
    assert found.labels().tolist() == [0] * 4 + [1] * 4
    assert found.not_tested == ("other",)
    with pytest.raises(DataError, match="no clips of other in its train split, by which int8 is scaled; export fp32"):
        found.calibration()


def test_a_stream_of_other_data_says_the_words_that_are_there(task, tmp_path):
    folder = some(task, tmp_path / "two", "yes", "up")
    said = kws("stream", "last", "--make", tmp_path / "s.wav", "--data", folder, "--noisy", 0, "--split", "test")
    assert said.exit_code == 0, said.stderr
    assert "note: two has no clips of no in its test split, so the stream does not say them" in said.stderr
    assert "8 clips of the test split of two, 4 of keywords" in said.stdout
