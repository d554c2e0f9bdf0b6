"""Relay: the one process of a machine through which the processes of sweeps use a registry on a server.

Sixty-four processes that train on a machine would hold sixty-four connections, and each would wait for the server's
disk at every epoch. They ask the relay instead, by a Unix socket that their user alone may open. It holds one
connection, and records what all of them have finished since it last asked the server, epochs and runs, in one
transaction; the runs that they claim are claimed in another.

- The first process that finds no relay starts it (kws.registry.relayed); a lock on a file beside the socket lets only
  one live. It ends a while after its last client has left. Its state is its clients': each says who it is and which
  sessions it has when it connects, so that a relay that was killed is replaced by the next request.
- An answer is sent once the server has committed; only checkpoints wait here, the newest of each run, until nobody asks
  for anything else: they are nearly all of the bytes, and a run that lost one is trained again from the one before. A
  request whose answer was lost is made again, and changes nothing where it was kept.
- If the server is away, requests are refused at once, and their processes ask again for as long as their patience
  lasts. The server is asked again after a pause, for an attempt to connect may take ten seconds.

`python -m kws.registry.relay SOCKET` reads the registry's location from stdin, for it may hold a password.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, TypeVar, cast

from kws.errors import KwsError, RegistryError, UnavailableError
from kws.recipe import own
from kws.registry import entries, records
from kws.registry.claims import Claimer, Wanted
from kws.registry.location import Location, locate
from kws.registry.protocols import Backend
from kws.registry.records import Batch
from kws.registry.relay_messages import Answer, Client, Request, limit
from kws.registry.runs import Run

T = TypeVar("T")
IDLE_SECONDS = 10.0
_MESSAGE_SECONDS = 20.0  # for each part of a message
_PAUSE_SECONDS = 1.0  # after the server was found to be away
_MOST_BYTES, _MOST_ROWS = 64_000_000, 20_000  # of checkpoints that wait, of states and epochs in one transaction
_OF_CHECKPOINTS = ("checkpoint_row", "end")  # what is asked of a run by its id, and is about its checkpoint


class Relay:
    """Serves the clients that come to a listening socket, until none has been there for IDLE_SECONDS."""

    def __init__(self, location: Location, listener: socket.socket) -> None:
        self._location, self._listener = location, listener
        self._database: Backend | None = None
        self._clients: dict[Connection, Claimer | None] = {}
        self._some: Claimer | None = None  # of any client, which may have left
        self._away: UnavailableError | None = None
        self._away_until = 0.0
        self._checkpoints: dict[str, Batch] = {}  # that wait, by run
        self._checkpointed, self._checkpoint_seconds = 0.0, 0.0  # when, and what one from each client takes

    def serve(self) -> None:
        """Serve, then return."""
        left = time.monotonic()
        while self._clients or time.monotonic() - left < IDLE_SECONDS:
            waiting: list[tuple[Connection, Batch]] = []
            claims: list[tuple[Connection, Wanted]] = []
            asked = wait([self._listener, *self._clients], timeout=0.0 if self._has_time() else 1.0)
            for ready in asked:
                if ready is self._listener:
                    self._accept()
                    continue
                assert isinstance(ready, Connection)
                try:
                    request = ready.recv()
                except (EOFError, OSError):
                    self._leave(ready)
                    left = time.monotonic()
                    continue
                except Exception as error:
                    self._answer(ready, Answer(error=RegistryError(f"a request was not understood ({error})")))
                    continue
                if isinstance(request, Request) and not self._clients[ready]:
                    self._answer(ready, Answer(error=RegistryError("who asks has not said who it is")))
                elif isinstance(request, Request) and request.batch is not None:
                    waiting.append((ready, request.batch))
                elif isinstance(request, Request) and request.claim is not None:
                    claims.append((ready, request.claim))
                else:
                    self._answer(ready, self._made(ready, request))
            while waiting:
                self._together([waiting.pop(0) for _ in range(_many(waiting))], self._recorded)
            if claims:
                self._together(claims, self._claimed)
            if self._has_time() and (not asked or time.monotonic() - self._checkpointed > _PAUSE_SECONDS):
                self._write_checkpoint(next(iter(self._checkpoints)))

    def _has_time(self) -> bool:
        """Whether a checkpoint waits, and the server was not away a moment ago."""
        return bool(self._checkpoints) and not (self._away and time.monotonic() < self._away_until)

    def _write_checkpoint(self, run: str) -> None:
        """Record the checkpoint of a run that waits, if one does; it waits on if the server is away."""
        if not (batch := self._checkpoints.get(run)):
            return
        start = time.monotonic()
        try:
            self._asked(lambda: self._committed([batch]))
        except UnavailableError:
            return
        except Exception as error:  # the run has been deleted, say
            sys.stderr.write(f"a checkpoint of run {run} was not recorded: {error}\n")
        del self._checkpoints[run]
        self._checkpointed = time.monotonic()
        self._checkpoint_seconds = len(self._clients) * (self._checkpointed - start)

    def _accept(self) -> None:
        with suppress(OSError):
            made, _ = self._listener.accept()
            made.setblocking(True)
            limit(made, _MESSAGE_SECONDS)
            self._clients[Connection(made.detach())] = None

    def _answer(self, client: Connection, answer: Answer) -> None:
        try:
            client.send(answer)
        except OSError:  # it is gone, or was stopped in the midst of it; if it goes on, it asks anew
            self._leave(client)

    def _leave(self, client: Connection) -> None:
        self._clients.pop(client, None)
        client.close()

    def _made(self, client: Connection, request: Client | Request) -> Answer:
        try:
            if isinstance(request, Client):
                self._clients[client] = self._of(request)
                return Answer()
            claimer = self._clients[client]
            assert claimer is not None
            if request.method in _OF_CHECKPOINTS:
                self._write_checkpoint(request.arguments[0])
            value = self._asked(lambda: getattr(claimer, request.method)(*request.arguments, **request.more))
            return Answer(value=value, sessions=claimer.sessions)
        except Exception as error:
            return self._refused(error)

    def _refused(self, error: Exception) -> Answer:
        if isinstance(error, KwsError):
            return Answer(error=error)
        traceback.print_exception(error)
        return Answer(error=RegistryError(f"the relay to {self._location} failed ({error})"))

    def _of(self, client: Client) -> Claimer:
        for source, file in client.sources:
            own.taken(source, file)
        made = Claimer(self._location, tests=client.tests, patience=0.0, database=self._asked(self._opened))
        self._some = made
        made.process = client.process
        made.sessions.update(client.sessions)
        return made

    def _opened(self) -> Backend:
        if self._database is None:
            self._database = Claimer(self._location, create=True).database
            self._database.again_seconds = 0.0  # its clients wait, and others among them meanwhile
        return self._database

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """What the server is asked. Raises UnavailableError at once if it was away a moment ago."""
        if self._away and time.monotonic() < self._away_until:
            raise self._away
        try:
            made = ask()
        except UnavailableError as error:
            self._away, self._away_until = error, time.monotonic() + _PAUSE_SECONDS
            raise
        self._away = None
        return made

    def _together(self, asked: list[tuple[Connection, T]], make: Callable[[list[tuple[Connection, T]]], Any]) -> None:
        """Answer clients with what one transaction makes for all; each alone if together it cannot be made."""
        try:
            answers = self._asked(lambda: make(asked))
        except Exception as error:
            if len(asked) > 1 and not isinstance(error, UnavailableError):
                for each in asked:
                    self._together([each], make)
                return
            answers = [self._refused(error)] * len(asked)
        for (client, _), answer in zip(asked, answers, strict=True):
            self._answer(client, answer)

    def _recorded(self, waiting: list[tuple[Connection, Batch]]) -> list[Answer]:
        """Record batches, but for checkpoints that may wait."""
        room = _MOST_BYTES - sum(each.checkpoint_bytes for each in self._checkpoints.values())
        batches = []
        for _, batch in waiting:
            before = self._checkpoints.get(batch.run)
            more = batch.checkpoint_bytes - (before.checkpoint_bytes if before else 0)
            may_wait = batch.checkpoint_bytes > 0 and more <= room
            room -= more if may_wait else 0
            batches.append(replace(batch, checkpoint=None) if may_wait else batch)
        refused, ended = self._committed(batches)
        for (_, batch), recorded, why in zip(waiting, batches, refused, strict=True):
            if batch.run in ended or (why is None and recorded.checkpoint):  # one that waits is older
                self._checkpoints.pop(batch.run, None)
            elif why is None and recorded is not batch:
                self._checkpoints[batch.run] = replace(batch, rows=())
        seconds = self._checkpoint_seconds
        return [
            Answer(value=ended.get(batch.run), error=why, checkpoint_seconds=seconds)
            for batch, why in zip(batches, refused, strict=True)
        ]

    def _committed(self, batches: list[Batch]) -> tuple[list[RegistryError | None], dict[str, Run]]:
        """What each batch was refused for, and the runs that have ended."""
        now = entries.now()
        assert self._some is not None
        some = self._some
        with some.database.writing(*(batch.run for batch in batches)) as connection:
            keys = [some.key(connection, batch.run) for batch in batches]
            refused = records.record(connection, keys, batches, now)
            at_end = [key for key, batch, why in zip(keys, batches, refused, strict=True) if batch.ending and not why]
            ended = {run.id: run for run in some.ended(connection, at_end)}
        return refused, ended

    def _claimed(self, claims: list[tuple[Connection, Wanted]]) -> list[Answer]:
        """Claim runs, in a transaction that holds the write lock."""
        asked = [(cast(Claimer, self._clients[client]), wanted) for client, wanted in claims]
        (some, _), *_ = asked
        with some.database.writing() as connection:
            made = some.claim_all(connection, asked)
        for (claimer, _), claim in zip(asked, made, strict=True):
            if claim.before is None:
                claimer.has_begun()
        return [Answer(value=claim, sessions=claimer.sessions) for (claimer, _), claim in zip(asked, made, strict=True)]


def _many(waiting: list[tuple[Connection, Batch]]) -> int:
    """How many of these batches are recorded at once, so that no client waits long for the others' epochs."""
    size = rows = 0
    for many, (_, batch) in enumerate(waiting, 1):
        size += batch.bytes
        rows += len(batch.rows)
        if size >= _MOST_BYTES or rows >= _MOST_ROWS:
            return many
    return len(waiting)


def main() -> None:
    """Be the relay of this socket, unless there is one."""
    place, location = Path(sys.argv[1]), sys.stdin.read()
    if os.fork():  # whoever started it need not wait for its end
        return
    os.setsid()
    lock = place.with_suffix(".lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another one serves, or is about to
        return
    place.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        place.chmod(0o600)
        listener.listen(1024)
        try:
            Relay(locate(location), listener).serve()
        finally:
            place.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
