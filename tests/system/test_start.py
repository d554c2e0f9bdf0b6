"""`kws start`, from a folder to a detector file; the network is a small one, trained for moments."""

from __future__ import annotations

import json

import pytest
from commands import kws, ok_json, refused
from recordings import noise, write, write_folder

from kws.cli import starting
from kws.inference.onnx_model import OnnxModel
from kws.registry.reader import RegistryReader

WORDS = ("lamp", "heater")


@pytest.fixture
def own(tmp_path):
    for k, word in enumerate(WORDS):
        for number in range(5):
            write(tmp_path / "own" / word / f"{number}.wav", noise(10 * k + number, seconds=0.3, level=0.1 + 0.4 * k))
    return tmp_path / "own"


@pytest.fixture
def others(tmp_path):
    return write_folder(tmp_path / "others", {"up": (12, 6, 6)}, seconds=0.1)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(
        starting, "RECIPE", {"sampling": "balanced", "batch_size": 16, "spoken": "none", "noise": "none"}
    )
    monkeypatch.setattr(starting, "STEPS", 8)


def test_from_five_clips_a_word_to_a_file_and_a_page(own, others, quick, tmp_path, db):
    out = tmp_path / "model.onnx"
    done = kws(
        "start", "--words", "lamp,heater", "--data", own, "--other", others, "--out", out, "--folds", 3, "--json"
    )
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert "there is no run to start from" in done.stderr
    assert OnnxModel(out).card.run == told["run"]
    assert OnnxModel(out).card.words == (*WORDS, "other")
    figures = told["figures"]
    assert figures["folds"] == 3
    assert [word["clips"] for word in figures["words"]] == [5, 5]
    assert figures["false_accepts"]["clips"] == 24
    assert any("Say who speaks" in line for line in told["advice"])
    page = (tmp_path / "model.html").read_text()
    for command in told["commands"]:
        assert command.split(" ")[1] in ("train", "export", "sweep")
        assert command.replace("&", "&amp;") in page
    with RegistryReader(db) as registry:
        runs = registry.runs()
        assert len(runs) == 4
        trained = registry.by_id(told["run"])
    # What was shown makes the same: the registry has all of it, so that nothing is left to train.
    sweep = told["commands"][-1].split(" ")[1:]
    again = ok_json(*sweep, "--threads", 1, "--jobs", 1, "--dry-run")["runs"]
    assert [each["status"] for each in again] == ["finished"] * 3
    assert trained.recipe.split_shares == "80/10/10"


def test_the_commands_that_are_shown_name_the_registry_and_what_is_skipped(own, others, quick, tmp_path):
    elsewhere = tmp_path / "elsewhere.db"
    told = ok_json("start", "--words", "lamp,heater", "--data", own, "--other", others, "--out", tmp_path / "m.onnx",
                   "--folds", 0, "--db", elsewhere, "--skip-unreadable")  # fmt: skip
    assert all(command.endswith(f"--skip-unreadable --db {elsewhere}") for command in told["commands"])
    export = told["commands"][1].split(" ")[1:]
    assert ok_json(*export)["run"] == told["run"]


def test_it_starts_from_the_run_that_tells_the_most_words_apart(own, others, quick, tmp_path, db):
    data = write_folder(tmp_path / "many", dict.fromkeys(("yes", "no", "up", "go"), (3, 2, 2)), seconds=0.1)
    common = ("--arch", "ds_cnn", "--filters", 4, "--opt", "adam", "--epochs", 1, "--task", "words", "--data", data)
    ok_json("train", *common, "--words", "yes,no")
    best = ok_json("train", *common, "--words", "yes,no,up,go")["run"]
    told = ok_json("start", "--words", "lamp,heater", "--data", own, "--other", others, "--out", tmp_path / "m.onnx",
                   "--folds", 0)  # fmt: skip
    with RegistryReader(db) as registry:
        assert registry.by_id(told["run"]).recipe.pretrained.startswith(best)
    assert told["figures"] is None
    assert told["page"] is None
    other = write(tmp_path / "new" / "lamp" / "0.wav", noise(99, seconds=0.3)).parents[1]
    evaluated = ok_json("eval", told["run"], "--data", other, "--split", "all")
    assert (evaluated["clips"], evaluated["not_tested"]) == (1, ["heater", "other"])


def test_what_cannot_be(own, tmp_path):
    out = tmp_path / "m.onnx"

    def said(words, *more):
        done = kws("start", "--words", words, "--data", own, "--out", out, *more)
        assert done.exit_code != 0
        return done.stderr

    assert "'bell' has 0 clips" in said("heater,bell")
    for number in (2, 3, 4):
        (own / "lamp" / f"{number}.wav").unlink()
    few = said("lamp,heater")
    assert "'lamp' has 2 clips" in few
    assert "record 1 more" in few
    assert "must be 0, or 3 and more" in said("lamp", "--folds", 2)
    assert "there is no folder" in said("lamp,heater", "--html", tmp_path / "none" / "page.html")
    assert "must end in .html" in said("lamp,heater", "--html", tmp_path / "page.txt")
    assert "is the detector file" in said("lamp,heater", "--out", tmp_path / "m.html")
    assert "does not exist" in refused("start", "--words", "lamp,heater", "--data", tmp_path / "none", "--other", own)
    assert not out.exists()
