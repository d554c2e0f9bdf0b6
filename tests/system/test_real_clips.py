"""The real clips of Speech Commands, where they are there: the report's counts, and figures worth the name."""

import json

from places import ROOT
from typer.testing import CliRunner

from kws.cli import app

COUNTS = {
    "train": {"yes": 3228, "no": 3130, "other": 3131},
    "validation": {"yes": 397, "no": 406, "other": 395},
    "test": {"yes": 419, "no": 405, "other": 405},
}


def kws(*arguments: str) -> dict:
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_the_real_clips_are_the_reports_counts_the_committed_runs_and_can_be_learnt(real_clips):
    kws("train", "--arch", "fc", "--opt", "adam", "--epochs", "3", "--data", str(real_clips))
    run = kws("runs", "show", "last")
    classes, splits = run["data"]["classes"], run["data"]["splits"]
    assert {name: dict(zip(classes, split["counts"], strict=True)) for name, split in splits.items()} == COUNTS
    committed = kws("runs", "list", "--db", str(ROOT / "experiments.db"))["runs"]
    assert run["data_fingerprint"] in {each["data_fingerprint"] for each in committed}
    assert run["test_accuracy"] > 0.75, "three epochs are well above the chance of a third"
