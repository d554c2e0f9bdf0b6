"""Ray on real clusters of this machine: a sweep has the same bits as here, also when a node is lost; a search."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from commands import kws, ok_json, refused, sql
from patience import Patience, ended, until
from swept import DIGESTS, rows, shared_task

from kws.sweeps import ray_executor

pytest.importorskip("ray", reason='Ray is not installed: pip install "kws[ray]"')

SWEEP = ["sweep", "--arch", "cnn", "--maps", "2,1", "--opt", "sgd,adam", "--batch-size", "16", "--seeds", "3"]
RAY = ["--engine", "ray"]
EPOCHS = 250
PATIENCE = 120.0


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A task, a cache for all, and what this machine's own processes make of the sweep."""
    with shared_task(tmp_path_factory, "ray") as made:
        db = made.folder / "local.db"
        ok_json(*SWEEP, "--epochs", EPOCHS, "--data", made.task, "--db", db)
        made.digests = sql(db, DIGESTS)
    return made


@pytest.fixture
def task(here, monkeypatch):
    monkeypatch.setenv("KWS_CACHE", str(here.cache))
    return here.task


@pytest.fixture
def cluster(monkeypatch):
    """Two nodes with a processor each, beside a head without any; the address by which they are reached."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    nodes = [made.add_node(num_cpus=1) for _ in range(2)]
    made.wait_for_nodes()
    yield SimpleNamespace(cluster=made, nodes=nodes, address=made.address)
    made.shutdown()


def begin(*arguments):
    command = [sys.executable, "-m", "kws", *map(str, (*SWEEP, *RAY, "--epochs", EPOCHS, *arguments))]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def running(db: Path) -> int:
    return len(rows(db, "SELECT 1 FROM runs WHERE status = 'running' AND epochs_done > 3"))


def test_a_cluster_of_its_own_makes_the_same_runs_and_says_little(here, task, tmp_path):
    result = kws(*SWEEP, *RAY, "--epochs", EPOCHS, "--data", task, "--jobs", 2, "--db", tmp_path / "own.db")
    assert result.exit_code == 0, result.stderr
    lines = result.stderr.splitlines()
    assert lines[0] == f"a node of the cluster reads {task} ..."
    assert lines[1] == "task: used 60 of 80 files: 20 not drawn for 'other'"
    assert lines[2].startswith("task: speakers: ")
    assert lines[3].endswith("(6 new), 2 at once on 1 node of Ray")
    assert all("finished, test accuracy" in line for line in lines[-6:])
    assert len(lines) == 5 + 6 + 6
    assert sql(tmp_path / "own.db", DIGESTS) == here.digests


def test_a_node_that_is_lost_loses_no_run_and_changes_no_bit(here, task, tmp_path, cluster):
    db = tmp_path / "lost.db"
    with begin("--data", task, "--db", db, "--address", cluster.address) as sweep:
        until(lambda: running(db) == 2, sweep, PATIENCE)
        cluster.cluster.remove_node(cluster.nodes[0], allow_graceful=False)
        said, errors = ended(sweep, PATIENCE)
    assert sweep.returncode == 0, (said, errors)
    assert sql(db, "SELECT status, count(*) FROM runs GROUP BY status") == [("finished", 6)]
    assert sql(db, DIGESTS) == here.digests
    moved = sql(db, "SELECT run_key FROM sessions GROUP BY run_key HAVING count(*) > 1")
    assert moved
    assert sql(db, "SELECT count(*) FROM epochs") == [(6 * EPOCHS,)]
    pids = sql(db, f"SELECT DISTINCT pid FROM sessions WHERE run_key = {moved[0][0]}")
    assert len(pids) == 2


def test_ctrl_c_ends_every_run_and_the_same_command_goes_on(here, task, tmp_path, cluster):
    db = tmp_path / "interrupted.db"
    with begin("--data", task, "--db", db, "--address", cluster.address) as sweep:
        until(lambda: running(db) == 2, sweep, PATIENCE)
        patience = Patience(15)
        sweep.send_signal(signal.SIGINT)
        _, errors = ended(sweep, PATIENCE)
    assert sweep.returncode == 130
    assert patience.is_left()
    assert errors.splitlines()[-1] == "the sweep was interrupted; the same command goes on with it"
    assert rows(db, "SELECT DISTINCT status FROM runs WHERE status != 'finished'") == [("interrupted",)]
    with begin("--data", task, "--db", db, "--address", cluster.address) as sweep:
        _, errors = ended(sweep, PATIENCE)
    assert sweep.returncode == 0, errors
    assert sql(db, DIGESTS) == here.digests


def test_nodes_record_into_a_registry_on_a_server(here, task, cluster, url):
    with begin("--data", task, "--db", url.in_full(), "--address", cluster.address) as sweep:
        _, errors = ended(sweep, PATIENCE)
    assert sweep.returncode == 0, errors
    assert sql(url, DIGESTS) == here.digests
    assert sql(url, "SELECT count(DISTINCT pid) FROM sessions")[0][0] > 1
    (command,) = sql(url, "SELECT DISTINCT command FROM runs")[0]
    assert all(secret not in command + errors for secret in url.secrets())


def test_a_search_goes_on_with_what_was_trained_here_and_prunes_there(task, tmp_path, cluster):
    pytest.importorskip("optuna", reason='Optuna is not installed: pip install "kws[tune]"')
    tune = ["tune", "--arch", "cnn", "--maps", "2,1", "--epochs", 5, "--batch-size", "8,16", "--data", task]
    tune += ["--learning-rate", "1e-6:0.1", "--random", "--db", tmp_path / "search.db"]
    first = ok_json(*tune, "--trials", 5, "--jobs", 2)
    result = kws(*tune, "--trials", 14, *RAY, "--address", cluster.address, "--json")
    assert result.exit_code == 0, result.stderr
    assert f"search {first['tag']}: 14 trials (5 there, 0 to resume), 2 at once on 2 nodes of Ray" in result.stderr
    made = json.loads(result.stdout)
    assert made["tag"] == first["tag"] and made["trials"][:5] == first["trials"]
    assert len({trial["run"] for trial in made["trials"]}) == len(made["trials"]) == 14
    assert "pruned" in {trial["status"] for trial in made["trials"][5:]}
    assert ok_json(*tune, "--trials", 14, "--jobs", 1) == made, "the result is the same for all who look"


def test_other_code_on_a_node_is_one_sentence(task, monkeypatch):
    monkeypatch.setattr("kws.sweeps.trainer.code_digest", lambda: "another")
    said = kws(*SWEEP, *RAY, "--epochs", 1, "--data", task, "--jobs", 1)
    assert said.exit_code == 1
    assert "is not the sweep's; install the same" in said.stderr.splitlines()[-1]
    assert said.stderr.splitlines()[-1].startswith(f"kws: on {os.uname().nodename}: ")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_is_ended_is_replaced_and_stdout_is_json_alone(here, task, tmp_path, number):
    """SIGTERM comes from a node that is drained."""
    db = tmp_path / "ended.db"
    with begin("--data", task, "--db", db, "--jobs", 2, "--json") as sweep:
        until(lambda: running(db) == 2, sweep, PATIENCE)
        os.kill(rows(db, "SELECT max(pid) FROM sessions")[0][0], number)
        said, errors = ended(sweep, PATIENCE)
    assert sweep.returncode == 0, errors
    assert [run["status"] for run in json.loads(said)["runs"]] == ["finished"] * 6
    assert sql(db, DIGESTS) == here.digests
    assert sql(db, "SELECT count(*) FROM sessions") == [(7,)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_a_sweep_as_ctrl_c_does_also_where_that_is_ignored(task, tmp_path, number, code):
    db = tmp_path / "terminated.db"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    hung_up = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored
    try:
        sweep = begin("--data", task, "--db", db, "--jobs", 1)
    finally:
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGHUP, hung_up)
    with sweep:
        until(lambda: running(db) == 1, sweep, PATIENCE)
        sweep.send_signal(number)
        _, errors = ended(sweep, PATIENCE)
    assert (sweep.returncode, rows(db, "SELECT status FROM runs")) == (code, [("interrupted",)])
    assert errors.splitlines()[-1] == "the sweep was interrupted; the same command goes on with it"
    assert not [file for file in tmp_path.iterdir() if "sweep-" in file.name]


def test_a_node_that_sees_another_registry_or_none_of_kws_is_one_sentence(task, tmp_path, monkeypatch):
    from ray.cluster_utils import Cluster

    with monkeypatch.context() as patched:
        patched.setattr("kws.sweeps.ray_executor.Path.touch", lambda mark: None)
        said = kws(*SWEEP, *RAY, "--epochs", 1, "--data", task, "--jobs", 1, "--db", tmp_path / "experiments.db")
    assert said.exit_code == 1
    assert "experiments.db is not the sweep's registry; give --db in a folder" in said.stderr.splitlines()[-1]

    (tmp_path / "without" / "kws").mkdir(parents=True)
    (tmp_path / "without" / "kws" / "__init__.py").write_text("raise ModuleNotFoundError('No module named kws')")
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", str(tmp_path / "without"))
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    with begin("--data", task, "--address", made.address) as sweep:
        _, errors = ended(sweep, PATIENCE)
    made.shutdown()
    assert sweep.returncode == 1
    assert "Traceback" not in errors
    assert "No module named kws); install the same kws there" in errors.splitlines()[-1]


def test_what_no_node_has_is_told(task, cluster):
    assert "a run needs 1 processor and a GPU" in kws(*SWEEP, *RAY, "--device", "cuda", "--data", task).stderr
    with begin("--data", task, "--threads", 2, "--address", cluster.address) as sweep:
        assert "no node of the cluster has 2 processors for a run; waiting" in sweep.stderr.readline()
        sweep.send_signal(signal.SIGINT)
        ended(sweep, PATIENCE)
    assert sweep.returncode == 130


def test_an_address_at_which_nobody_answers_is_told_at_once(task):
    start = time.monotonic()
    said = refused(*SWEEP, *RAY, "--data", task, "--address", "127.0.0.1:9")
    assert "nobody answers at 127.0.0.1:9" in said
    assert time.monotonic() - start < 10


def test_only_a_module_that_is_missing_is_told_to_be_installed():
    from kws.sweeps.ray_executor import _cannot_work

    missing = (
        "Traceback ...\nRuntimeError: The remote function failed to import:\nModuleNotFoundError: No module named x"
    )
    assert _cannot_work(missing).endswith(
        "(ModuleNotFoundError: No module named x); install the same kws there, with all it needs"
    )
    other = "Traceback ...\nModuleNotFoundError: No module named x\nOSError: No space left on device"
    assert _cannot_work(other) == "a node of the cluster cannot work for the sweep (OSError: No space left on device)"


def test_a_cluster_of_its_own_has_a_token_of_its_own_unless_the_user_has_said_how(monkeypatch):
    """Ray would write one into ~/.ray, and ask all clusters of that user for it from then on."""
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    ray_executor._have_token()
    assert "RAY_AUTH_TOKEN" not in os.environ
    monkeypatch.delenv("RAY_AUTH_MODE")
    monkeypatch.setattr(os, "environ", dict(os.environ))
    ray_executor._have_token()
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
