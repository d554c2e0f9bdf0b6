"""`kws tune` typed twice at once: one search, whose trials two commands share."""

import json
import subprocess
import sys

import pytest
from commands import sql
from patience import ended
from swept import shared_task

pytest.importorskip("optuna", reason='Optuna is not installed: pip install "kws[tune]"')

TUNE = ["tune", "--arch", "cnn", "--maps", "2,1", "--epochs", "20", "--batch-size", "8,16", "--jobs", "1"]
TUNE += ["--threads", "1"]
TRIALS = 10


def test_two_searches_at_once_are_one_search(tmp_path, tmp_path_factory):
    with shared_task(tmp_path_factory, "searching") as made:
        db = tmp_path / "tune.db"
        command = [sys.executable, "-m", "kws", *TUNE, "--trials", str(TRIALS), "--data", str(made.task)]
        both = [
            subprocess.Popen(
                [*command, "--db", str(db), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        ends = [ended(search) for search in both]
    assert [search.returncode for search in both] == [0, 0], ends
    (one, other) = (json.loads(out) for out, _ in ends)
    assert one["tag"] == other["tag"]
    assert one == other
    assert len(one["trials"]) == len({trial["learning_rate"] for trial in one["trials"]}) == TRIALS
    assert sql(db, "SELECT count(*) FROM runs") == [(TRIALS,)]
    assert sql(db, "SELECT count(*) FROM sessions") == [(TRIALS,)], "none was trained by both"
    assert all("Traceback" not in err for _, err in ends)
    assert "elsewhere" in "".join(err for _, err in ends)
