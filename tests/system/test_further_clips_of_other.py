"""`kws train --also`: clips of a folder trained on as "other", kept in the recipe by their content."""

from __future__ import annotations

import pytest
from commands import TRAIN, kws, ok_json, refused
from recordings import noise, tone, write, write_folder

from kws.registry.reader import RegistryReader


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "clips", dict.fromkeys(("yes", "no", "go"), (4, 2, 2)), seconds=0.05)


@pytest.fixture
def mined(tmp_path):
    return write(tmp_path / "mined" / "a.wav", tone(300)).parent


def train(folder, *more):
    return ok_json(*TRAIN, "--epochs", 1, "--data", folder, *more)


def test_further_clips_are_in_the_recipe_and_not_in_the_data(folder, mined, db):
    plain, more = train(folder), train(folder, "--also", mined)
    assert plain["data_fingerprint"] == more["data_fingerprint"]
    with RegistryReader(db) as registry:
        recipe = registry.run(more["run"]).recipe
        assert recipe.also.startswith(f"{mined}@")
        assert recipe.cell != registry.run(plain["run"]).recipe.cell
        assert registry.weights_digest(plain["run"]) != registry.weights_digest(more["run"])


def test_a_rerun_with_the_same_clips_has_the_same_bits_and_with_others_is_refused(folder, mined):
    run = train(folder, "--also", mined)["run"]
    again = kws("rerun", run)
    assert again.exit_code == 0, again.stderr
    assert "again, bit for bit" in again.stderr
    write(mined / "b.wav", noise(5))
    other = kws("rerun", run)
    assert other.exit_code == 1
    assert "names other clips than those that are there now" in other.stderr.splitlines()[-1]


def test_a_folder_that_is_not_there_is_refused_before_anything_is_recorded(folder, tmp_path, db):
    assert "there is no folder" in refused(*TRAIN, "--epochs", 1, "--data", folder, "--also", tmp_path / "nowhere")
    assert not db.exists()
