"""`kws data check --run`: a trained run, or its exported file, names the labels that it contradicts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from commands import kws, ok, ok_json, refused
from sounds import write_task

TRAIN = ["train", "--arch", "fc", "--opt", "adam", "--batch-size", "16", "--threads", "1"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with a task, a registry with one tested run on it and one that is not, and a copy with a wrong label."""
    folder = tmp_path_factory.mktemp("check")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KWS_CACHE", str(folder / "cache"))
        patched.setenv("KWS_DB", str(folder / "experiments.db"))
        write_task(folder / "task")
        ok_json(*TRAIN, "--data", folder / "task", "--epochs", 20, "--name", "tested")
        ok_json(*TRAIN, "--data", folder / "task", "--epochs", 1, "--seed", 1, "--no-test")
    shutil.copytree(folder / "task", folder / "other")
    (folder / "other" / "yes" / "train0003_nohash_0.wav").rename(folder / "other" / "no" / "new_nohash_0.wav")
    return folder


@pytest.fixture
def runs(trained, monkeypatch) -> list[str]:
    monkeypatch.setenv("KWS_CACHE", str(trained / "cache"))
    monkeypatch.setenv("KWS_DB", str(trained / "experiments.db"))
    return [run["run"] for run in ok_json("runs", "list", "--sort=-started")["runs"]]


def judged(folder: Path, run: str) -> dict:
    return json.loads(kws("data", "check", folder, "--run", run, "--json").stdout)["labels"]


def test_a_wrong_label_is_named_and_said_to_have_been_heard_in_training(trained, runs):
    tested = runs[0]
    found = judged(trained / "other", tested)
    (wrong,) = found["wrong"]
    assert (wrong["clip"], wrong["label"], wrong["hears"]) == ("no/new_nohash_0", "no", "yes")
    assert wrong["probability"] >= 10 * wrong["of_label"] and wrong["trained_on"] is True
    assert (found["clips"], found["withheld"]) == (40, 0)
    told = kws("data", "check", trained / "other", "--run", tested).stdout
    assert (
        f"run {tested} hears another word in 1 of 40 clips of its words; it is ten times as likely as the label in 1:"
        in told
    )
    assert "- no/new_nohash_0 *: labelled no, heard as yes (" in told
    assert "note: it was trained on 24 of these clips (*)" in told
    assert f"Listen to 1 clip whose labels run {tested} contradicts (--html plays them)." in told


def test_test_clips_of_a_run_that_is_not_tested_are_not_looked_at(trained, runs):
    untested = runs[1]
    found = judged(trained / "task", untested)
    assert (found["clips"], found["withheld"]) == (32, 8)
    told = kws("data", "check", trained / "task", "--run", untested).stdout
    assert f"note: 8 clips of its test split were not judged, since it is not tested yet; `kws test {untested}`" in told


def test_an_exported_file_does_as_well(trained, runs, tmp_path):
    pytest.importorskip("onnxruntime")
    ok("export", runs[0], "--out", tmp_path / "words.onnx")
    found = judged(trained / "other", str(tmp_path / "words.onnx"))
    assert [each["clip"] for each in found["wrong"]] == ["no/new_nohash_0"]
    assert found["trained_on"] == 0, "a file does not know"


def test_a_run_that_is_not_there_is_refused_before_clips_are_read(trained, runs):
    assert "there is no run 'nowhere'" in refused("data", "check", trained / "task", "--run", "nowhere")
