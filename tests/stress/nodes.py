"""A sweep on two nodes of Ray, recorded on a server: its writer is killed, the server stops, and a node is killed.

A plan is swept once in peace by processes of this machine, into a file. Then a cluster of two nodes with a processor
each, both of this machine, sweeps it into a PostgreSQL server. Once runs are under way, the relay that records for the
machine is killed; the server is stopped for five minutes; and a node is killed with what it trains, after which another
one joins. In the end every run must be there as it was in peace, bit for bit.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, redirect_stdout, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.server import Server, missing
from tests.stress.common import REPOSITORY, Figure, Part, environment, say, workspace, write_small_task

RUNS, EPOCHS, QUICK_EPOCHS = 12, 2_000, 150
AWAY_SECONDS, QUICK_AWAY_SECONDS = 300.0, 15.0
_PLAN = ["sweep", "--arch", "cnn", "--maps", "2,1", "--opt", "sgd,adam", "--seeds", "6", "--batch-size", "16"]
_DIGESTS = "SELECT opt, seed, sha256 FROM runs JOIN weights ON run_key = key ORDER BY opt, seed"
_PATIENCE = 1_800.0
_SITE = "from kws.training import runner\n\nrunner.CHECKPOINT_SECONDS = 0.5\n"


def run(quick: bool) -> Part:
    """Sweep on nodes that are struck; returns the figures, or why there are none."""
    part = Part(name="nodes")
    if reason := missing() or ("" if find_spec("ray") else 'Ray is not installed; pip install "kws[ray]" brings it'):
        part.note(f"not possible: {reason}")
        part.figures.append(Figure(what="runs of a sweep on two nodes", value="not possible here"))
        return part
    with ExitStack() as stack:
        folder = stack.enter_context(workspace("nodes"))
        server = Server(durable=True)
        stack.callback(server.close)
        _Torture(part, folder, server, quick).run(stack)
    return part


class _Torture:
    def __init__(self, part: Part, folder: Path, server: Server, quick: bool) -> None:
        self._part, self._folder, self._server, self._quick = part, folder, server, quick
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(_SITE, encoding="utf-8")
        paths = os.pathsep.join((str(folder / "site"), str(REPOSITORY)))
        more = {"KWS_CACHE": str(folder / "cache"), "HOME": str(folder), "TMPDIR": "/tmp", "PYTHONPATH": paths}
        self._about = environment(**more, RAY_USAGE_STATS_ENABLED="0")
        plan = [*_PLAN, "--epochs", str(QUICK_EPOCHS if quick else EPOCHS)]
        self._plan = [*plan, "--data", str(write_small_task(folder / "task"))]

    def run(self, stack: ExitStack) -> None:
        """In peace, and on the cluster."""
        part, schema = self._part, self._server.new_schema()
        peace = self._folder / "peace.db"
        subprocess.run(self._command("--jobs", "2", "--db", peace), env=self._about, check=True, capture_output=True)
        cluster, nodes, address = self._cluster(stack)
        errors = self._folder / "sweep.err"
        with errors.open("wb") as err:
            sweep = subprocess.Popen(
                self._command("--engine", "ray", "--address", address, "--db", self._server.url(schema)),
                env=self._about,
                stdout=subprocess.DEVNULL,
                stderr=err,
            )
        stack.callback(sweep.kill)
        self._until(lambda: self._training(schema) == 2, sweep)
        relays = _relays(self._folder)
        for pid in relays:
            os.kill(pid, signal.SIGKILL)
        say(f"nodes: {len(relays)} relay killed")
        there = self._epochs(schema)
        self._until(lambda: self._epochs(schema) > there, sweep)
        self._server.stop()
        away = QUICK_AWAY_SECONDS if self._quick else AWAY_SECONDS
        say(f"nodes: the server is stopped for {away:.0f} s")
        time.sleep(away)
        before = sweep.poll()
        self._server.start()
        self._until(lambda: self._training(schema) == 2, sweep)
        there = len(cluster.list_all_nodes())
        cluster.remove_node(nodes[0], allow_graceful=False)
        killed = there - len(cluster.list_all_nodes())
        say("nodes: a node is killed")
        cluster.add_node(num_cpus=1)
        try:
            code = sweep.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            code = -1
        text = errors.read_text(errors="replace")
        if code:
            part.note(f"the sweep ended with {code}: {text[-600:]}")
        with closing(sqlite3.connect(peace)) as file:
            wanted = file.execute(_DIGESTS).fetchall()
        statuses = dict(self._rows(schema, "SELECT status, count(*) FROM runs GROUP BY status"))
        part.exactly("runs of a sweep on two nodes of Ray, into PostgreSQL", len(wanted), RUNS)
        part.told("epochs of each", QUICK_EPOCHS if self._quick else EPOCHS)
        part.exactly("writers of a machine that were killed", len(relays), 1)
        part.told("seconds that the server was stopped", away)
        part.exactly("sweeps that ended meanwhile", int(before is not None), 0)
        part.exactly("nodes that were killed", killed, 1)
        part.exactly("runs that are finished", statuses.get("finished", 0), RUNS)
        part.exactly("of these the same bits", len(set(wanted) & set(self._rows(schema, _DIGESTS))), RUNS)
        lacking = "SELECT count(*) FROM runs WHERE epochs_done != epochs"
        part.exactly("runs that lack an epoch", self._rows(schema, lacking)[0][0], 0)
        moved = "SELECT count(DISTINCT run_key) FROM sessions WHERE session > 1"
        part.at_least("runs that another process went on with", self._rows(schema, moved)[0][0], 1)
        part.at_least(
            "times that the user was told that the registry is away", text.count("are recorded when it is back"), 1
        )
        part.exactly("tracebacks", text.count("Traceback"), 0)

    def _command(self, *more: object) -> list[str]:
        return [sys.executable, "-m", "kws", *map(str, (*self._plan, *more))]

    def _cluster(self, stack: ExitStack) -> tuple[Any, list[Any], str]:
        """Two nodes beside a head that trains nothing, with the environment of the sweep."""
        with _environment(self._about), redirect_stdout(sys.stderr):
            from ray.cluster_utils import Cluster

            made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
            stack.callback(made.shutdown)
            nodes = [made.add_node(num_cpus=1) for _ in range(2)]
            made.wait_for_nodes()
        return made, nodes, made.address

    def _rows(self, schema: str, query: str) -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(self._server.conninfo(), options=f"-c search_path={schema}") as connection:
            return connection.execute(query).fetchall()  # type: ignore[arg-type]

    def _training(self, schema: str) -> int:
        """How many runs are being trained and have more than three epochs."""
        import psycopg

        with suppress(psycopg.Error):
            return self._rows(schema, "SELECT count(*) FROM runs WHERE status = 'running' AND epochs_done > 3")[0][0]
        return 0

    def _epochs(self, schema: str) -> int:
        return self._rows(schema, "SELECT count(*) FROM epochs")[0][0]

    def _until(self, condition: Callable[[], bool], sweep: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + _PATIENCE
        while not condition():
            if sweep.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self._folder / "sweep.err").read_text(errors="replace")[-2_000:])
            time.sleep(0.1)


@contextmanager
def _environment(about: dict[str, str]) -> Iterator[None]:
    """Let what is started have this environment."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(about)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _relays(folder: Path) -> list[int]:
    """The relays that processes with this home have started."""
    found = []
    for each in Path("/proc").iterdir():
        with suppress(OSError):
            command, about = ((each / name).read_bytes().split(b"\0") for name in ("cmdline", "environ"))
            if b"kws.registry.relay" in command and f"HOME={folder}".encode() in about:
                found.append(int(each.name))
    return found
