"""`kws tune`: its trials are runs, it goes on where it stopped, and the test split plays no part."""

import shlex

import pytest
from commands import kws, ok_json, refused, sql
from swept import shared_task

pytest.importorskip("optuna", reason='Optuna is not installed: pip install "kws[tune]"')

TUNE = ["tune", "--arch", "cnn", "--maps", "2,1", "--epochs", 4, "--batch-size", "16,32", "--jobs", 1]
TUNE += ["--opt", "sgd,adam", "--learning-rate", "1e-4:1e2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A search of nine trials on a task, with a learning rate at which some diverge."""
    with shared_task(tmp_path_factory, "tune") as made:
        made.db = made.folder / "unbroken.db"
        made.result = kws(*TUNE, "--trials", 9, "--data", made.task, "--db", made.db)
    return made


@pytest.fixture
def task(place, monkeypatch):
    monkeypatch.setenv("KWS_CACHE", str(place.cache))
    return place.task


def test_every_trial_is_a_run_with_the_searchs_tag(place):
    assert place.result.exit_code == 0, place.result.stderr
    assert sql(place.db, "SELECT count(*) FROM runs") == [(9,)]
    assert sql(place.db, "SELECT count(*), count(DISTINCT tag) FROM tags WHERE tag LIKE 'tune-%'") == [(9, 1)]
    assert sql(place.db, "SELECT DISTINCT seed, epochs, arch FROM runs") == [(0, 4, "cnn")]


def test_the_best_is_the_best_in_validation_and_no_test_accuracy_is_said(place):
    said = place.result.stderr
    (best,) = sql(
        place.db,
        "SELECT id FROM runs WHERE status = 'finished' ORDER BY validation_accuracy DESC, key LIMIT 1",
    )[0]
    assert f"): run {best}, validation accuracy " in said.splitlines()[-2]
    assert "test accuracy" not in said


def test_no_trial_is_tested(place):
    finished = sql(place.db, "SELECT count(*), count(test_accuracy) FROM runs WHERE status = 'finished'")
    assert finished[0][0] > 0
    assert finished[0][1] == 0
    for table in ("tests", "evaluations"):
        assert sql(place.db, f"SELECT count(*) FROM {table}") == [(0,)]
    trials = [line for line in place.result.stderr.splitlines() if " finished, validation accuracy " in line]
    assert len(trials) == finished[0][0]


def test_it_ends_with_a_command_that_trains_the_best_with_other_seeds(place, task):
    word, *command = shlex.split(place.result.stderr.splitlines()[-1])
    assert word == "next:"
    program, *arguments = command
    assert program == "kws"
    made = ok_json(*arguments, "--dry-run", "--db", place.db)
    assert [run["seed"] for run in made["runs"]] == [1, 2, 3, 4, 5]
    same = ok_json(*arguments, "--seeds", "0,1", "--dry-run", "--db", place.db)
    assert [run["status"] for run in same["runs"]] == ["finished", "new"]


def test_stopped_and_started_again_it_has_the_same_trials(place, task, tmp_path):
    recipes = "SELECT opt, learning_rate, weight_decay, momentum, batch_size, status, epochs_done FROM runs"
    ok_json(*TUNE, "--trials", 4, "--data", task)
    cut = "UPDATE runs SET status = 'interrupted', test_accuracy = NULL WHERE key = 1"
    gone = [f"DELETE FROM {table} WHERE run_key = 1" for table in ("evaluations", "logits", "weights")]
    sql(tmp_path / "experiments.db", cut, *gone)
    made = ok_json(*TUNE, "--trials", 9, "--data", task)
    assert sorted(sql(tmp_path / "experiments.db", recipes)) == sorted(sql(place.db, recipes))
    assert len(made["trials"]) == 9
    assert made["best"] in {trial["run"] for trial in made["trials"]}
    assert made.keys() == {"schema", "tag", "best", "trials"}
    assert {"run", "status", "validation_accuracy", "epochs", "learning_rate", "opt"} <= made["trials"][0].keys()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (("--trials", "0"), "`trials` (=0) must be at least 1"),
        (("--opt", "rmsprop"), "`opt` (='rmsprop') must be one or several of sgd, adam"),
        (("--learning-rate", "1:"), "`learning_rate` (='1:') must be a range"),
        (("--arch", "fc"), "`maps` is not for fc"),
    ],
)
def test_a_wrong_option_is_one_sentence(options, named):
    assert named in refused(*TUNE, *options)
