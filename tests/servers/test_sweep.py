"""`kws sweep`: stopped, killed or left alone, it ends with the same runs, and each is what `kws train` makes."""

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from commands import TRAIN, kws, ok, ok_json, refused, sql
from patience import Patience, ended, until
from recordings import noise, write
from swept import DIGESTS, rows, shared_task

SWEEP = ["sweep", "--arch", "cnn", "--maps", "2,1", "--opt", "sgd,adam", "--batch-size", "16"]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A task, a cache, and a registry that a sweep of two optimizers and two seeds has filled."""
    with shared_task(tmp_path_factory, "sweep") as made:
        made.db = made.folder / "done.db"
        made.swept = kws(*SWEEP, "--seeds", 2, "--epochs", 3, "--data", made.task, "--db", made.db)
    return made


@pytest.fixture
def task(place, monkeypatch):
    monkeypatch.setenv("KWS_CACHE", str(place.cache))
    return place.task


def works(pid: int) -> bool:
    """Whether a process is there, and not only waits for its parent to hear of its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_it_shows_the_plan_an_estimate_and_each_run_as_it_ends(place):
    assert place.swept.exit_code == 0, place.swept.stderr
    used, speakers, *lines = place.swept.stderr.splitlines()
    assert used == "task: used 60 of 80 files: 20 not drawn for 'other'"
    assert speakers == "task: speakers: 12 in training, 4 in validation, 4 in test, none in two splits"
    assert lines[0].startswith("plan: 4 runs (4 new), ")
    assert [line.strip() for line in lines[1:5]] == [
        f"cnn, {opt}, seed {seed}: new" for opt in ("sgd", "adam") for seed in range(2)
    ]
    assert lines[5].startswith("estimated time: ")
    assert [line.split()[0] for line in lines[6:]] == ["1/4", "2/4", "3/4", "4/4"]
    assert all("finished, test accuracy " in line for line in lines[6:])


def test_its_runs_are_those_that_train_makes(place, task, tmp_path):
    (_, _, digest), *_ = [row for row in sql(place.db, DIGESTS) if row[:2] == ("adam", 1)]
    ok(*TRAIN, "--data", task, "--epochs", 3, "--seed", 1)
    assert sql(tmp_path / "experiments.db", DIGESTS) == [("adam", 1, digest)]


def test_a_second_time_there_is_nothing_left_to_do(place, task):
    made = ok_json(*SWEEP, "--seeds", 2, "--epochs", 3, "--data", task, "--db", place.db)
    assert {run["status"] for run in made["runs"]} == {"finished"}
    assert len({run["run"] for run in made["runs"]}) == len(sql(place.db, "SELECT id FROM runs")) == 4


def test_the_data_may_lie_elsewhere_and_have_another_name(place, task, tmp_path):
    (tmp_path / "moved").symlink_to(task)
    made = ok_json(*SWEEP, "--seeds", 2, "--epochs", 3, "--data", "moved", "--db", place.db)
    assert {run["status"] for run in made["runs"]} == {"finished"}


def test_a_dry_run_says_what_is_there_and_how_long_the_rest_takes(place, task):
    result = kws(*SWEEP, "--seeds", 3, "--epochs", 3, "--data", task, "--db", place.db, "--dry-run")
    assert "plan: 6 runs (4 finished, 2 new)" in result.stderr
    assert "estimated time: " in result.stderr
    assert "unknown" not in result.stderr


def test_one_that_fails_is_named_and_the_others_are_trained(task, tmp_path):
    """A learning rate at which SGD diverges, beside one at which it does not."""
    command = [*SWEEP, "--opt", "sgd", "--epochs", 2, "--data", task, "--learning-rate", "1e30,0.01", "--jobs", 1]
    result = kws(*command)
    assert result.exit_code == 1
    assert "(2 new), 1 at once" in result.stderr
    failed, advice = result.stderr.splitlines()[-2:]
    assert failed.startswith("failed: run ")
    assert "(cnn, sgd, learning rate 1e+30, seed 0): " in failed
    assert "loss became" in failed
    assert advice == "the same command with --retry trains what failed again"
    statuses = "SELECT learning_rate, status FROM runs ORDER BY learning_rate"
    there = [(0.01, "finished"), (1e30, "failed")]
    assert sql(tmp_path / "experiments.db", statuses) == there
    again = kws(*command)
    assert again.exit_code == 1
    assert "left alone; --retry" in again.stderr
    assert sql(tmp_path / "experiments.db", "SELECT count(*) FROM sessions") == [(2,)]
    assert kws(*command, "--retry").exit_code == 1
    assert sql(tmp_path / "experiments.db", "SELECT count(*) FROM sessions") == [(3,)]
    assert sql(tmp_path / "experiments.db", statuses) == there


def test_fail_fast_stops_at_the_first(task, tmp_path):
    rates = "1e30,0.01,0.02,0.03"
    result = kws(
        *SWEEP, "--opt", "sgd", "--epochs", 400, "--data", task, "--learning-rate", rates, "--jobs", 1, "--fail-fast"
    )
    assert result.exit_code == 1
    assert ("finished",) not in sql(tmp_path / "experiments.db", "SELECT status FROM runs")


def test_data_that_cannot_be_used_is_one_sentence(tmp_path):
    assert "nothing does not exist" in refused(*SWEEP, "--data", tmp_path / "nothing")


def test_a_place_that_cannot_be_written_is_told_before_the_work(task, tmp_path):
    assert "does not exist" in refused(*SWEEP, "--data", task, "--db", tmp_path / "no" / "a.db")


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for a process's children; run this test there")
def test_killed_and_interrupted_it_goes_on_to_the_same_bits(task, tmp_path):
    """Its first process is killed before it looks, one while it trains, then the sweep; it is interrupted; it ends."""
    db = tmp_path / "killed.db"
    epochs = 150
    command = [*SWEEP, "--opt", "adam", "--seeds", 3, "--epochs", epochs, "--data", task, "--jobs", 2, "--db", db]

    def begin():
        return subprocess.Popen(
            [sys.executable, "-m", "kws", *map(str, command)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def trains(sessions):
        return lambda: rows(
            db, f"SELECT 1 FROM runs JOIN sessions ON run_key = key WHERE status = 'running' "
            f"AND epochs_done > 3 GROUP BY key HAVING count(*) >= {sessions}"
        )  # fmt: skip

    with begin() as first:
        until(lambda: children(first.pid), first, PATIENCE)
        os.kill(children(first.pid)[0], signal.SIGKILL)
        until(trains(1), first, PATIENCE)
        pid = rows(db, "SELECT pid FROM sessions ORDER BY started_at")[0][0]
        os.kill(pid, signal.SIGKILL)
        until(trains(2), first, PATIENCE)
        workers = children(first.pid)
        assert len(workers) == 2
        first.kill()
    until(lambda: not any(map(works, workers)))  # they see that the sweep is gone
    assert not rows(db, "SELECT 1 FROM runs WHERE status = 'running'")
    with begin() as second:
        until(lambda: rows(db, "SELECT 1 FROM runs WHERE status = 'running'"), second, PATIENCE)
        patience = Patience(10)
        second.send_signal(signal.SIGINT)
        _, said = ended(second, PATIENCE)
        assert second.returncode == 130
        assert patience.is_left()
        assert said.splitlines()[-1] == "the sweep was interrupted; the same command goes on with it"
    assert not rows(db, "SELECT 1 FROM runs WHERE status = 'running'")
    made = ok_json(*command)
    assert [run["status"] for run in made["runs"]] == ["finished"] * 3
    assert rows(db, "SELECT seed, epochs_done, (SELECT count(*) FROM epochs WHERE run_key = key) FROM runs") == [
        (seed, epochs, epochs) for (seed,) in rows(db, "SELECT seed FROM runs")
    ]
    assert sorted(rows(db, "SELECT seed FROM runs")) == [(0,), (1,), (2,)]
    broken = max(rows(db, "SELECT count(*), seed FROM runs JOIN sessions ON run_key = key GROUP BY key"))[1]
    ok(*TRAIN, "--data", task, "--epochs", epochs, "--seed", broken)
    (unbroken,) = sql(tmp_path / "experiments.db", DIGESTS)
    assert unbroken in sql(db, DIGESTS)


def test_two_sweeps_at_once_share_the_work(task, tmp_path):
    db = tmp_path / "shared.db"
    # A thread each: two sweeps that both take all cores for one run are in each other's way.
    command = [*SWEEP, "--seeds", 3, "--epochs", 40, "--data", task, "--jobs", 1, "--threads", 1, "--db", db]
    both = [
        subprocess.Popen([sys.executable, "-m", "kws", *map(str, command)], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [ended(each, PATIENCE)[1] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    assert sorted(rows(db, "SELECT opt, seed FROM runs")) == [(o, s) for o in ("adam", "sgd") for s in range(3)]
    assert rows(db, "SELECT DISTINCT status FROM runs") == [("finished",)]
    assert rows(db, "SELECT count(*) FROM sessions") == [(6,)]
    assert len(rows(db, "SELECT DISTINCT pid FROM sessions")) == 2


@pytest.mark.parametrize("command", ["sweep", "tune"])
@pytest.mark.parametrize("ignoring", [False, True])
def test_a_terminal_that_is_closed_interrupts_it_unless_sighup_is_ignored(task, tmp_path, command, ignoring):
    db, epochs = tmp_path / "closed.db", 60
    asked = [*SWEEP, "--seeds", 2] if command == "sweep" else ["tune", "--arch", "cnn", "--maps", "2,1", "--trials", 3]
    asked += ["--epochs", epochs, "--data", task, "--jobs", 2, "--db", db]
    leader, follower = pty.openpty()
    name = os.ttyname(follower)

    def on_the_terminal():  # of a session of its own, as an ssh login has it
        signal.signal(signal.SIGHUP, signal.SIG_IGN if ignoring else signal.SIG_DFL)
        os.setsid()
        for stream in range(3):
            os.dup2(os.open(name, os.O_RDWR), stream)

    program = [sys.executable, "-m", "kws", *map(str, asked)]
    with subprocess.Popen(program, preexec_fn=on_the_terminal, env={**os.environ, "TERM": "xterm"}) as process:
        os.close(follower)
        try:
            while not rows(db, "SELECT 1 FROM runs WHERE epochs_done > 0"):
                assert os.read(leader, 65536)
            os.close(leader)
            ended(process, PATIENCE)
            assert process.returncode == (0 if ignoring else 129)
        finally:
            process.kill()
    statuses = {status for (status,) in rows(db, "SELECT status FROM runs")}
    if not ignoring:
        assert "interrupted" in statuses
    if command == "sweep" and ignoring:
        assert statuses == {"finished"}
    assert statuses <= {"finished", "interrupted"}  # as trials that are given up are, too


def test_speakers_are_part_of_the_recipes_and_decide_the_splits(tmp_path):
    for speaker in range(24):
        for word in ("yes", "no"):
            write(
                tmp_path / "takes" / word / f"s{speaker}_{word}.wav", noise(ord(word[0]) * 100 + speaker, seconds=0.1)
            )
    options = [*SWEEP, "--seeds", 1, "--epochs", 1, "--data", "takes", "--words", "yes,no"]
    plain, told = kws(*options), kws(*options, "--speakers", "{speaker}_{word}")
    assert plain.exit_code == told.exit_code == 0, plain.stderr + told.stderr
    assert plain.stderr.startswith("takes: speakers unknown: ") and told.stderr.startswith("takes: speakers: ")
    assert "none in two splits" in told.stderr.splitlines()[0]
    rows = sql(tmp_path / "experiments.db", "SELECT speakers, count(*) FROM runs GROUP BY speakers ORDER BY speakers")
    assert rows == [(None, 2), ("{speaker}_{word}", 2)]
    assert len(sql(tmp_path / "experiments.db", "SELECT fingerprint FROM data")) == 2
    again = ok_json(*options, "--speakers", "{speaker}_{word}")
    assert {run["status"] for run in again["runs"]} == {"finished"}
    assert sql(tmp_path / "experiments.db", "SELECT count(*) FROM runs") == [(4,)]
