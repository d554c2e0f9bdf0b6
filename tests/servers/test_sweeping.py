"""Sweeps and searches into a registry on a server: the same runs, and the password stays where it belongs."""

import pytest
from commands import kws, ok_json, sql
from sounds import write_task
from swept import DIGESTS

NETWORK = ["--arch", "cnn", "--maps", "2,1", "--epochs", 3]
SWEEP = ["sweep", *NETWORK, "--opt", "sgd,adam", "--batch-size", "16", "--seeds", "2", "--jobs", "2"]


@pytest.fixture
def task(tmp_path):
    return write_task(tmp_path / "task")


def test_a_sweep_makes_the_same_runs_there_and_does_none_twice(task, url, tmp_path):
    ok_json(*SWEEP, "--data", task, "--db", tmp_path / "file.db")
    result = kws(*SWEEP, "--data", task, "--db", url.in_full())
    assert result.exit_code == 0, result.stderr
    assert sql(url, DIGESTS) == sql(tmp_path / "file.db", DIGESTS)
    again = kws(*SWEEP, "--data", task, "--db", url.in_full())
    assert "(4 finished)" in again.stderr
    assert len(sql(url, "SELECT id FROM runs")) == 4
    commands = " ".join(row[0] for row in sql(url, "SELECT command FROM runs"))
    for secret in url.secrets():
        assert secret not in commands + result.stderr + result.stdout + again.stderr


def test_a_search_goes_on_there(task, url):
    command = ["tune", *NETWORK, "--batch-size", "16,32", "--data", task, "--jobs", "1", "--db", url.in_full()]
    first = ok_json(*command, "--trials", 2)
    made = ok_json(*command, "--trials", 4)
    assert [trial["run"] for trial in made["trials"]][:2] == [trial["run"] for trial in first["trials"]]
    assert len(sql(url, "SELECT id FROM runs")) == 4
