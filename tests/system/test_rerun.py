"""`kws rerun`: the same bits on the same machine, and where they are not, from which epoch on and what may be why."""

import os

import pytest
from commands import TRAIN, kws, ok_json, refused, sql
from sounds import write_task

from kws.registry.location import Location, locate


@pytest.fixture
def task(tmp_path):
    return write_task(tmp_path / "task")


def trained(task, *options) -> str:
    return ok_json(*TRAIN, "--data", task, *options)["run"]


def db() -> Location:
    return locate(os.environ["KWS_DB"])


@pytest.mark.parametrize("opt", ["sgd", "adam"])
@pytest.mark.parametrize("arch", [["fc"], ["cnn", "--maps", "2,1"]], ids=["fc", "cnn"])
def test_a_run_that_is_trained_again_comes_out_the_same(task, arch, opt):
    shape = ["--threads", 2, "--batch-size", 16, "--data", task, "--epochs", 3]
    first = ok_json("train", "--arch", *arch, "--opt", opt, *shape)["run"]
    result = kws("rerun", "last", "--note", "again")
    assert result.exit_code == 0
    again = ok_json("runs", "list")["runs"][0]
    sentence = f"run {again['run']} is run {first} again, bit for bit: the same epochs, answers and weights"
    assert result.stderr.splitlines()[-1] == sentence
    assert (again["rerun_of"], again["note"], again["status"]) == (first, "again", "finished")


@pytest.mark.parametrize("selection", ["final", "best"])
def test_the_selected_epoch_is_trained_again_too(task, selection):
    trained(task, "--epochs", 4, "--select", selection, "--seed", 3)
    assert kws("rerun", "last").exit_code == 0


def test_the_first_epoch_that_differs_and_what_may_be_why_are_told(task):
    first = trained(task, "--epochs", 3)
    sql(
        db(),
        "UPDATE epochs SET validation_loss = validation_loss + 1e-15 WHERE epoch >= 2",
        "UPDATE trainings SET torch_version = '1.0', cpu = 'An abacus'",
    )
    result = kws("rerun", first)
    assert result.exit_code == 1
    sentence = result.stderr.splitlines()[-1]
    assert f"differs from run {first} from epoch 2 on: torch_version was 1.0 and is" in sentence
    assert "; cpu was An abacus and is" in sentence


def test_answers_and_weights_that_differ_alone_are_told(task):
    first = trained(task, "--epochs", 2)
    sql(db(), "UPDATE evaluations SET objective = 9")
    assert "in its answers on the test split: versions, threads and CPU are the same" in kws("rerun", first).stderr
    second = trained(task, "--epochs", 2, "--seed", 5)
    sql(db(), "UPDATE weights SET sha256 = 'another' WHERE run_key = (SELECT max(key) FROM runs)")
    assert "in its weights alone" in kws("rerun", second).stderr


def test_without_weights_the_rest_is_compared_and_that_is_said(task):
    first = trained(task, "--epochs", 2)
    sql(db(), "DELETE FROM weights")
    result = kws("rerun", first)
    assert result.exit_code == 0
    assert "the same epochs and answers; one of them no longer has its weights" in result.stderr


def test_the_result_as_json_has_these_keys(task):
    trained(task, "--epochs", 1)
    assert set(ok_json("rerun", "last")) == {
        *("schema", "same", "first", "again", "first_epoch", "answers_differ", "weights_differ", "differences"),
    }


def test_clips_that_lie_elsewhere_are_named_by_data(task, tmp_path):
    trained(task, "--epochs", 1)
    task.rename(tmp_path / "moved")
    assert "task does not exist" in refused("rerun", "last")
    assert kws("rerun", "last", "--data", tmp_path / "moved").exit_code == 0


def test_only_a_finished_run_and_only_its_own_clips_can_be_trained_again(task):
    first = trained(task, "--epochs", 1)
    sql(db(), "UPDATE trainings SET status = 'interrupted'")
    assert f"run {first} is interrupted; only a finished run can be trained again" in refused("rerun", first)
    sql(db(), "UPDATE trainings SET status = 'finished'")
    (task / "yes" / "train0001_nohash_0.wav").unlink()
    result = kws("rerun", first)
    assert result.exit_code == 1
    assert "no longer holds the clips" in result.stderr.splitlines()[-1]
    assert len(ok_json("runs", "list")["runs"]) == 1
