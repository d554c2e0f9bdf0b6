"""The real clips of Speech Commands, where they are there: the report's counts, and figures worth the name."""

import json

import pytest
from typer.testing import CliRunner

from kws.cli import app

pytestmark = pytest.mark.xdist_group("real clips")  # one worker unpacks and trains

COUNTS = {
    "train": {"yes": 3228, "no": 3130, "other": 3131},
    "validation": {"yes": 397, "no": 406, "other": 395},
    "test": {"yes": 419, "no": 405, "other": 405},
}


@pytest.fixture(scope="module")
def run(real_clips, tmp_path_factory):
    place = tmp_path_factory.mktemp("real")
    environment = {"KWS_CACHE": str(place / "cache"), "KWS_DB": str(place / "experiments.db")}
    command = ["train", "--arch", "fc", "--opt", "adam", "--epochs", "4", "--data", str(real_clips), "--json"]
    trained = CliRunner().invoke(app, command, env=environment)
    assert trained.exit_code == 0, trained.stderr
    shown = CliRunner().invoke(app, ["runs", "show", "last", "--json"], env=environment)
    return json.loads(shown.stdout)


def test_the_clips_are_as_many_as_the_reports(run):
    classes = run["data"]["classes"]
    splits = run["data"]["splits"]
    assert {name: dict(zip(classes, split["counts"], strict=True)) for name, split in splits.items()} == COUNTS


def test_the_clips_are_those_of_the_committed_runs(run):
    from conftest import ROOT

    command = ["runs", "list", "--json", "--db", str(ROOT / "experiments.db")]
    committed = json.loads(CliRunner().invoke(app, command).stdout)["runs"]
    assert run["data_fingerprint"] in {each["data_fingerprint"] for each in committed}


def test_four_epochs_of_the_fully_connected_network_are_well_above_chance(run):
    assert run["test_accuracy"] > 0.75
