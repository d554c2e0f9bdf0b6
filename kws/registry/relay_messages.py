"""What a relay (kws.registry.relay) and its clients (kws.registry.relayed) send each other."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass, field
from typing import Any

from kws.errors import KwsError
from kws.registry.claims import Wanted
from kws.registry.process import Process
from kws.registry.records import Batch


@dataclass(frozen=True, kw_only=True)
class Client:
    """Who uses the relay: the process that trains, its sessions by run, and the networks of the user's own."""

    process: Process
    sessions: dict[str, int]
    tests: bool
    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A method of the Claimer, by name, and its arguments; or a batch to record, or what to claim.

    The answer to a batch with an ending is the run.
    """

    method: str = ""
    arguments: tuple[Any, ...] = ()
    more: dict[str, Any] = field(default_factory=dict)
    batch: Batch | None = None
    claim: Wanted | None = None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a request returned or raised, and the client's sessions after it.

    `checkpoint_seconds` is what one checkpoint from each client takes to record, as last measured; 0 before.
    """

    value: Any = None
    checkpoint_seconds: float = 0.0
    error: KwsError | None = None
    sessions: dict[str, int] = field(default_factory=dict)


def limit(made: socket.socket, seconds: float) -> None:
    """Let no part of a message be waited for longer than this: whoever sends or reads it may have been stopped.

    Reading or writing then raises BlockingIOError, after which the connection is of no further use.
    """
    interval = struct.pack("ll", int(seconds), int(1e6 * (seconds % 1)))  # C's struct timeval
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        made.setsockopt(socket.SOL_SOCKET, option, interval)
