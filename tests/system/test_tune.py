"""`kws tune`: its trials are runs, it goes on where it stopped, and the test split plays no part."""

import shlex

import pytest
from commands import kws, ok_json, refused, sql
from swept import shared_task

from kws.errors import KwsError

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
        assert sql(place.db, f"SELECT count(*) FROM {table} WHERE split = 'test'") == [(0,)]
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
    cut = "UPDATE trainings SET status = 'interrupted', test_accuracy = NULL WHERE key = 1"
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
        (("--arch", "fc"), "`channels` (=2,1) is not for fc"),
        (("--maps", "2"), "`channels` (=2) must be 2 numbers"),
        (("--maps", "0,1"), "`channels` (=0) must be at least 1"),
        (("--maps", f"{2**70},1"), "must be below 2^31"),
        (("--learning-rate", "nan:1"), "`learning_rate` (=nan) must be a number above 0"),
        (("--learning-rate", "0.001:inf"), "`learning_rate` (=inf) must be a number above 0"),
        (("--learning-rate", "-1:0.1"), "`learning_rate` (=-1.0) must be a number above 0"),
        (("--learning-rate", "0:0.1"), "`learning_rate` (=0.0) must be a number above 0"),
        (("--learning-rate", "0.1:0.001"), "must be a range from low to high, as in 0.001:0.1"),
        (("--learning-rate", "much"), "must be a range as in 0.001:0.1, or values"),
        (("--batch-size", "16:1e3"), "must be a range as in 16:256, or values"),
        (("--batch-size", "0:64"), "`batch_size` (=0) must be at least 1"),
        (("--opt", "adam", "--momentum", "0.8:0.9"), "`momentum` (=0.8:0.9) is not for adam"),
        (("--opt", "adam", "--momentum", "0.9"), "`momentum` (=0.9) is not for adam"),
        (("--opt", "adam", "--momentum", "nan"), "`momentum` (=nan) must be at least 0 and below 1"),
        (("--epochs", "0"), "`epochs` (=0) must be at least 1"),
        (("--epochs", 2**31), "must be below 2^31"),
        (("--seed", "-1"), "`seed` (=-1) must be from 0"),
        (("--threads", "0"), "`threads` (=0) must be at least 1"),
        (("--threads", "100000"), "`threads` (=100000) must be at most 4,096"),
        (("--jobs", "0"), "`jobs` (=0) must be at least 1"),
        (("--name", " "), "--name is empty"),
        (("--data", ""), "--data is empty"),
        (("--words", "yes,yes"), "names a word twice"),
    ],
)
def test_a_wrong_option_is_one_sentence_before_any_process_begins(options, named, monkeypatch, tmp_path):
    monkeypatch.setattr("kws.sweeps.local_executor.LocalExecutor.__init__", lambda *_: pytest.fail("a process began"))
    assert named in refused(*TUNE, *options)
    assert list(tmp_path.iterdir()) == []


def test_a_range_from_zero_is_said_to_be_drawn_evenly(monkeypatch):
    def begin(*_):
        raise KwsError("it began")

    monkeypatch.setattr("kws.sweeps.local_executor.LocalExecutor.__init__", begin)
    note, end = kws(*TUNE, "--weight-decay", "0:0.01").stderr.splitlines()
    assert note == "note: weight decay is drawn evenly, and not by powers of ten, for it begins at 0"
    assert end == "kws: it began"


def test_as_many_trials_as_there_are_values_try_each(task, tmp_path):
    few = ["tune", "--arch", "cnn", "--maps", "2,1", "--epochs", 1, "--opt", "adam", "--weight-decay", "0", "--jobs", 1]
    made = kws(*few, "--batch-size", "16", "--data", task, "--learning-rate", "0.1,0.01,0.001,0.0001", "--trials", 5)
    assert made.exit_code == 0
    assert "these ranges and values hold 4 recipes; no more can be tried than that" in made.stderr
    assert "best of 4 trials (4 finished): run " in made.stderr
    rates = sql(tmp_path / "experiments.db", "SELECT learning_rate FROM runs ORDER BY learning_rate")
    assert rates == [(0.0001,), (0.001,), (0.01,), (0.1,)]


def test_what_became_of_all_trials_is_said_and_adds_up(place):
    states = dict(sql(place.db, "SELECT status, count(*) FROM runs GROUP BY status"))
    line = place.result.stderr.splitlines()[-2]
    said = dict(reversed(part.split(" ", 1)) for part in line.partition("(")[2].partition(")")[0].split(", "))
    assert sum(map(int, said.values())) == 9
    assert int(said.get("failed", 0)) == states.get("failed", 0)
    assert int(said.get("pruned", 0)) == states.get("interrupted", 0)
