"""`last` is the last run that has what a command needs, and which that is is said where it is not the very last."""

from __future__ import annotations

import pytest
from commands import TRAIN, kws, ok_json, refused, sql


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The ids of two runs, and the registry's bytes: the second is to lose what commands need."""
    from pathlib import Path

    from recordings import write_folder

    home = tmp_path_factory.mktemp("last")
    data = write_folder(home / "data", {"yes": (4, 2, 2), "no": (4, 2, 2)}, seconds=0.3)
    about = (*TRAIN, "--data", data, "--epochs", 1, "--db", home / "made.db")
    first, second = (ok_json(*about, "--seed", seed)["run"] for seed in (0, 1))
    clip = next(Path(data).rglob("*.wav"))
    return first, second, (home / "made.db").read_bytes(), clip


@pytest.fixture
def damaged(trained, tmp_path):
    """The ids, the registry and a clip; and what makes a change to the second run."""
    first, second, content, clip = trained
    db = tmp_path / "last.db"
    db.write_bytes(content)
    return first, second, db, clip


def without_weights(db, run):
    sql(db, f"DELETE FROM weights WHERE run_key = (SELECT key FROM trainings WHERE id = '{run}')")


def failed(db, run):
    sql(db, f"UPDATE trainings SET status = 'failed', test_accuracy = NULL WHERE id = '{run}'")


def test_the_very_last_is_taken_without_a_word(damaged):
    _, second, db, clip = damaged
    result = kws("predict", "last", clip, "--db", db)
    assert result.exit_code == 0 and "last: " not in result.stderr
    assert ok_json("eval", "last", "--db", db)["run"] == second


def test_a_run_whose_weights_are_gone_is_passed_over_and_said(damaged):
    first, second, db, clip = damaged
    without_weights(db, second)
    said = kws("predict", "last", clip, "--db", db, "--json")
    assert f'"run": "{first}"' in said.stdout
    assert f"last: run {first} of 20" in said.stderr
    assert said.stderr.rstrip().endswith(f"run {second} after it has no weights")
    assert ok_json("eval", "last", "--db", db)["run"] == second  # whose answers are recorded


def test_a_failed_run_is_passed_over_by_all_that_need_a_finished_one(damaged):
    first, second, db, clip = damaged
    failed(db, second)
    after = f"run {second} after it is failed"
    for command in (["eval", "last"], ["test", "last"], ["plot", "last", "--kind", "confusion"]):
        said = kws(*command, "--db", db)
        assert said.exit_code == 0 and after in said.stderr and f"last: run {first} " in said.stderr, command
    assert after not in kws("plot", "last", "--db", db).stderr  # it has an epoch to draw
    without_weights(db, second)
    why = f"run {second} has no weights in {db}, for it did not finish; 1 run has its own: {first}"
    assert refused("predict", second, clip, "--db", db).endswith(why)


def test_where_none_has_it_the_last_one_says_what_it_lacks(damaged):
    first, second, db, clip = damaged
    without_weights(db, first)
    without_weights(db, second)
    assert f"run {second} is finished, but its weights were not kept" in refused("predict", "last", clip, "--db", db)


def test_resume_goes_on_with_the_last_run_that_was_cut_off(damaged):
    first, second, db, _ = damaged
    assert f"run {second} is finished; `kws rerun {second}`" in refused("train", "--resume", "last", "--db", db)
    sql(db, f"UPDATE trainings SET status = 'interrupted' WHERE id = '{first}'")
    said = kws("train", "--resume", "last", "--db", db)
    assert f"last: run {first} of 20" in said.stderr and f"run {second} after it is finished" in said.stderr
