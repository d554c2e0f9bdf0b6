"""RayExecutor: Ray places tasks on a cluster's nodes, and moves them when a node or process dies.

Decisions:
- Each task is one Ray task. Ray reuses a process for the next task, and with it what a Trainer holds: torch, the data
  and the registry connection.
- Ray retries a task elsewhere if its process or node died. The retry finds its run in the registry and resumes from the
  last checkpoint. So all nodes must see the same registry. If it is a file, the sweep creates a marker file beside it,
  and a node must see that marker.
- A cluster that it starts itself gets a token of its own. Ray would write one into ~/.ray, and from then on `ray start`
  would make clusters that only nodes with that same token can join.
- Ray prints node events on stdout, takes over SIGTERM, and turns every signal into Ctrl-C. Here stdout is for results
  only, and each signal ends the sweep in its own way, so the executor undoes all three.
"""

from __future__ import annotations

import logging
import os
import platform
import secrets
import signal
import socket
import sys
import time
import uuid
import warnings
from collections.abc import Callable
from contextlib import ExitStack, redirect_stdout, suppress
from functools import cache
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Self

from kws.errors import KwsError, needs
from kws.registry.runs import FAILED
from kws.sweeps.trainer import DIED, REFUSED, Result, Task, Trainer, WorkerConfig, carry_out
from kws.terminal import console, streams
from kws.training.stopping import Stopped, stoppable

if TYPE_CHECKING:
    from ray import ObjectRef

RETRIES = 10  # of a task if its process or node died
STOP_SECONDS = 10.0
_ANSWER_SECONDS = 5.0
_LOOK_SECONDS = 5.0  # between two queries of the cluster's size
_AHEAD = 2  # tasks per slot, so that no slot waits for this process


class RayExecutor:
    """The cluster at `address`, or a new one on this machine with room for `jobs` runs, which ends with the executor.

    With an existing cluster, `jobs` is the most runs at once; None means as many as the cluster has room for. Raises
    KwsError if Ray is not installed or the cluster cannot be reached.
    """

    workers_tell = False

    def __init__(
        self, config: WorkerConfig, *, address: str | None, jobs: int | None, threads: int, cuda: bool
    ) -> None:
        if not address:
            _have_token()
        try:
            import ray
        except ImportError:
            raise KwsError(needs("--engine ray", "ray")) from None
        self._ray, self._config, self._address = ray, config, address
        self._most, self._threads, self._cuda = jobs, threads, cuda
        self._tasks: dict[ObjectRef, Task] = {}
        self._places: list[int] = []  # slots of each node that has any
        self._looked = float("-inf")
        self._alive: set[str] = set()  # nodes
        self._news: list[str] = []
        self._mark: str | None = None
        self._stop: KeyboardInterrupt | None = None  # what a signal handler raised
        self._left = ExitStack()  # clean-up for the end

    def __enter__(self) -> Self:
        if self._address:
            _require_answer(self._address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        warnings.filterwarnings("ignore", module="ray")
        local = {"num_cpus": (self._most or 1) * self._threads, "include_dashboard": False}
        handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        for number, handler in handlers.items():
            self._left.callback(signal.signal, number, handler)
        self._left.enter_context(redirect_stdout(self._left.enter_context(Path(os.devnull).open("w"))))
        try:
            self._ray.init(**quiet, **({"address": self._address} if self._address else {"address": "local", **local}))
            for number, handler in handlers.items():
                signal.signal(number, self._noting(handler) if callable(handler) else handler)
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            self._left.close()
            where = f"the Ray cluster at {self._address}" if self._address else "a Ray cluster on this machine"
            raise KwsError(f"{where} cannot be used ({_sentence(error)}); `ray status` says what is there") from None
        hosts = {node["NodeManagerHostname"] for node in self._ray.nodes() if node["Alive"]}
        if len(hosts) > 1 and "://" not in self._config.db:
            console.say(
                f"note: {self._config.db} is a file, and the cluster has {len(hosts)} machines; "
                "SQLite is not safe on a shared folder, a PostgreSQL registry is (--db postgresql+psycopg://...)"
            )
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self) -> None:
        """Create the marker file beside the registry, and check that some node has room for a run."""
        if "://" not in self._config.db:
            db = Path(self._config.db)
            mark = db.with_name(f".{db.name}.sweep-{uuid.uuid4().hex[:8]}")
            self._left.callback(mark.unlink, missing_ok=True)
            mark.touch()
            self._mark = str(mark)
        if not self._room_of_nodes():
            needed = f"{self._threads} processor{'' if self._threads == 1 else 's'}{' and a GPU' if self._cuda else ''}"
            if not self._address:
                raise KwsError(f"a run needs {needed}, which Ray does not find on this machine; try --device cpu")
            console.say(f"note: no node of the cluster has {needed} for a run; waiting until one joins")

    def __exit__(self, *_: object) -> None:
        for reference in reversed(self._tasks):  # cancel waiting tasks first, or they would start
            with suppress(Exception):
                self._ray.cancel(reference)
        if self._tasks:
            self._ray.wait([*self._tasks], num_returns=len(self._tasks), timeout=STOP_SECONDS)
        self._ray.shutdown()
        self._left.close()

    @property
    def jobs(self) -> int:
        """How many tasks the cluster can run at once; 1 while it has no room for any."""
        places = max(sum(self._room_of_nodes()), 1)
        return min(self._most or places, places)

    @property
    def where(self) -> str:
        """The number of nodes that can train, as " on 2 nodes of Ray"."""
        nodes = len(self._room_of_nodes())
        return f" on {nodes} node{'' if nodes == 1 else 's'} of Ray"

    def _noting(self, handler: Callable[[int, FrameType | None], Any]) -> Callable[[int, FrameType | None], None]:
        """The same signal handler, except that the executor remembers what it raises."""

        def noting(number: int, frame: FrameType | None) -> None:
            try:
                handler(number, frame)
            except KeyboardInterrupt as stop:
                self._stop = stop
                raise

        return noting

    def _room_of_nodes(self) -> list[int]:
        """How many tasks fit on each node that has room for any; refreshed every few seconds, since nodes may join."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            nodes = self._ray.nodes()
            self._note_lost(nodes)
            alive = [node["Resources"] for node in nodes if node["Alive"]]
            places = [int(has.get("CPU", 0) // self._threads) for has in alive]
            if self._cuda:
                places = [min(each, int(has.get("GPU", 0))) for each, has in zip(places, alive, strict=True)]
            self._places, self._looked = [each for each in places if each], time.monotonic()
        return self._places

    def _note_lost(self, nodes: list[dict[str, Any]]) -> None:
        """Remember which nodes are gone that were there."""
        for node in nodes:
            name = node["NodeID"]
            if node["Alive"]:
                self._alive.add(name)
            elif name in self._alive:
                self._alive.discard(name)
                where = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
                self._news.append(f"note: node {where} was lost; its runs go on elsewhere from their last checkpoints")

    def news(self) -> list[str]:
        """Which nodes were lost since this was asked last."""
        self._room_of_nodes()
        told, self._news = self._news, []
        return told

    def room(self) -> int:
        """How many more tasks can be submitted now."""
        most = self._most or max(_AHEAD * self.jobs, 1)
        return most - len(self._tasks)

    def submit(self, task: Task) -> None:
        """Submit the task to Ray."""
        recipe = task["recipe"]
        if task["do"] == "probe":
            console.say(f"a node of the cluster reads {recipe['data']} ...")
        work = self._ray.remote(
            num_cpus=recipe["threads"], num_gpus=recipe["device"] == "cuda", max_retries=RETRIES, retry_exceptions=False
        )(_work)
        self._tasks[work.remote(self._config, task, self._mark)] = task

    def results(self, seconds: float) -> list[tuple[Task, Result]]:
        """The results that arrive within `seconds`."""
        if not self._tasks:
            time.sleep(seconds)
            return []
        try:
            ended, _ = self._ray.wait([*self._tasks], num_returns=1, timeout=seconds, fetch_local=True)
        except KeyboardInterrupt as stop:  # Ray raises it for any signal
            raise (self._stop or stop) from None
        found = []
        for reference in ended:
            try:
                told = self._ray.get(reference)
            except self._ray.exceptions.RayTaskError as error:  # not a training error: those are results
                told = {"status": REFUSED, "error": _cannot_work(str(error))}
            except self._ray.exceptions.RayError as error:  # after Ray's own retries
                told = {"status": FAILED, "run": None, "error": _sentence(error)}
            found.append((self._tasks.pop(reference), told))
        return found


def _have_token() -> None:
    """Put a token into the environment, unless the user has said how Ray is to authenticate; Ray reads it once."""
    if "ray" not in sys.modules and not os.environ.keys() & {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}:
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _require_answer(address: str) -> None:
    """Raise KwsError if nothing listens at HOST:PORT; Ray itself would keep trying for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise KwsError(
                f"nobody answers at {address} ({error}); `ray start --head` starts a cluster and says its address"
            ) from None


@cache
def _trainer(config: WorkerConfig) -> Trainer:
    """This process's Trainer, kept between tasks."""
    return Trainer(config)


def _work(config: WorkerConfig, task: Task, mark: str | None) -> Result:
    """Carry out a task in a process of some node; the status is DIED if a signal stops it because its node ends."""
    streams.guard()  # Ray redirects prints to its own files, whose disk may be full
    if not callable(signal.getsignal(signal.SIGINT)):  # ignored under nohup; Ray cancels tasks with it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with stoppable():
            if mark and not Path(mark).exists():
                raise KwsError(
                    f"{config.db} is not the sweep's registry; give --db in a folder that all machines share, "
                    "or a PostgreSQL registry"
                )
            made = carry_out(_trainer(config), task)
    except KwsError as error:
        made = {"status": REFUSED, "error": str(error)}
    except (Stopped, KeyboardInterrupt):
        _trainer.cache_clear()  # it asks its registry for nothing more
        return {"status": DIED}
    if made.get("status") == REFUSED:
        made["error"] = f"on {platform.node()}: {made['error']}"
    return made


def _cannot_work(error: str) -> str:
    """One sentence for an error of a task itself, for which Ray gives the whole traceback."""
    why = error.strip().splitlines()[-1].strip()
    # Ray keeps the class of an import error only as the first word of the traceback's last line.
    about = "; install the same kws there, with all it needs" if why.startswith("ModuleNotFoundError:") else ""
    return f"a node of the cluster cannot work for the sweep ({why}){about}"


def _sentence(error: BaseException) -> str:
    """The first line of an error's message, without its final period."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip().rstrip(".")
