"""Cluster: an engine on Ray, which places the work on a cluster's nodes, and moves it when a node or process dies.

A question is a task. Ray keeps a process for the next task, and with it what a Trainer holds: torch, the data, the
registry's connection. A task whose process or node died is tried again elsewhere, by Ray; it then finds its run in the
registry and goes on from its last checkpoint. So the registry must be one that all nodes see.
"""

from __future__ import annotations

import logging
import os
import platform
import socket
import time
import warnings
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from kws import display
from kws.errors import KwsError
from kws.registry.runs import FAILED, INTERRUPTED
from kws.session import Stopped, stoppable
from kws.sweeps.trainer import REFUSED, About, Answer, Question, Trainer, answer

if TYPE_CHECKING:
    from ray import ObjectRef

RETRIES = 10  # of a task whose process or node died
STOP_SECONDS = 10.0
_ANSWER_SECONDS = 5.0
_LOOK_SECONDS = 5.0  # between two looks at how large the cluster is
_AHEAD = 2  # tasks for each place, so that none waits for this process


class Cluster:
    """The cluster at an address, or one on this machine with room for so many `jobs`, which ends with this.

    With an existing cluster, `jobs` is the most at once, and None as many as it has room for. Raises KwsError where Ray
    is not installed, or the cluster cannot be reached.
    """

    def __init__(self, about: About, *, address: str | None, jobs: int | None, threads: int) -> None:
        try:
            import ray
        except ImportError:
            raise KwsError('--engine ray needs Ray, which is not installed: pip install "kws[ray]"') from None
        self._ray, self._about, self._address = ray, about, address
        self._most, self._threads = jobs, threads
        self._questions: dict[ObjectRef, Question] = {}
        self._places, self._looked = 0, float("-inf")

    def __enter__(self) -> Self:
        if self._address:
            _require_answer(self._address)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        warnings.filterwarnings("ignore", module="ray")
        local = {"num_cpus": (self._most or 1) * self._threads, "include_dashboard": False}
        try:
            self._ray.init(**quiet, **({"address": self._address} if self._address else {"address": "local", **local}))
        except (ConnectionError, ValueError, RuntimeError, OSError) as error:
            where = f"the Ray cluster at {self._address}" if self._address else "a Ray cluster on this machine"
            raise KwsError(f"{where} cannot be used ({_sentence(error)}); `ray status` says what is there") from None
        hosts = {node["NodeManagerHostname"] for node in self._ray.nodes() if node["Alive"]}
        if len(hosts) > 1 and "://" not in self._about.db:
            display.say(
                f"note: {self._about.db} is a file, and the cluster has {len(hosts)} machines; "
                "SQLite is not safe on a shared folder, a PostgreSQL registry is (--db postgresql+psycopg://...)"
            )
        return self

    def __exit__(self, *_: object) -> None:
        for reference in self._questions:
            with suppress(Exception):
                self._ray.cancel(reference)
        if self._questions:
            self._ray.wait([*self._questions], num_returns=len(self._questions), timeout=STOP_SECONDS)
        self._ray.shutdown()

    @property
    def jobs(self) -> int:
        """How many tasks the cluster works on at once."""
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            processors = self._ray.cluster_resources().get("CPU", 0)
            self._places, self._looked = int(processors // self._threads), time.monotonic()
        return min(self._most or self._places, self._places)

    @property
    def where(self) -> str:
        """How many nodes it has."""
        nodes = sum(node["Alive"] for node in self._ray.nodes())
        return f" on {nodes} node{'' if nodes == 1 else 's'} of Ray"

    def room(self) -> int:
        """How many questions more can be taken now."""
        most = self._most or max(_AHEAD * self.jobs, 1)
        return most - len(self._questions)

    def ask(self, question: Question) -> None:
        """Make a task of a question."""
        recipe = question["recipe"]
        if question["ask"] == "look":
            display.say(f"a node of the cluster reads {recipe['data']} ...")
        task = self._ray.remote(
            num_cpus=recipe["threads"], num_gpus=recipe["device"] == "cuda", max_retries=RETRIES, retry_exceptions=False
        )(_work)
        self._questions[task.remote(self._about, question)] = question

    def answers(self, seconds: float) -> list[tuple[Question, Answer]]:
        """The questions answered within so many seconds."""
        if not self._questions:
            time.sleep(seconds)
            return []
        ended, _ = self._ray.wait([*self._questions], num_returns=1, timeout=seconds, fetch_local=True)
        found = []
        for reference in ended:
            try:
                told = self._ray.get(reference)
            except self._ray.exceptions.RayError as error:  # after its own retries
                told = {"status": FAILED, "run": None, "error": _sentence(error)}
            found.append((self._questions.pop(reference), told))
        return found


def _require_answer(address: str) -> None:
    """Raise KwsError where nobody listens at HOST:PORT, which Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
        except (OSError, OverflowError) as error:
            raise KwsError(
                f"nobody answers at {address} ({error}); `ray start --head` starts a cluster and says its address"
            ) from None


@cache
def _trainer(about: About) -> Trainer:
    """This process's, kept from one task to the next."""
    return Trainer(about)


def _work(about: About, question: Question) -> Answer:
    """What a task does, in a process of some node."""
    try:
        with stoppable():
            made = answer(_trainer(about), question)
    except KwsError as error:
        made = {"status": REFUSED, "error": str(error)}
    except (Stopped, KeyboardInterrupt):
        return {"status": INTERRUPTED, "run": None, "error": None}
    if made.get("status") == REFUSED:
        made["error"] = f"on {platform.node()}: {made['error']}"
    return made


def _sentence(error: BaseException) -> str:
    """The first sentence of an error that may have many lines."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip().rstrip(".")
