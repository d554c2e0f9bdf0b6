"""Beginner: a reader in which this process begins runs, new ones and those that go on."""

from __future__ import annotations

import dataclasses
import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws.events import DataCard
from kws.recipe import Recipe
from kws.registry import encoding, entries, sources, view
from kws.registry.environment import Environment
from kws.registry.kept import Kept
from kws.registry.location import Location
from kws.registry.patience import SHORT_SECONDS, Patience, patiently
from kws.registry.process import Process
from kws.registry.protocols import Backend, Connection, Writing, columns
from kws.registry.reader import RegistryReader
from kws.registry.runs import RUNNING, UNTESTED, require_cut_off
from kws.registry.state_files import StateFiles

_ID_LETTERS = "bcdfghjkmnpqrstvwxyz"  # no vowels, so that no id is a word, especially not `last`
_ID_LENGTH = 8
_LAST_SESSION = """
SELECT sessions.* FROM sessions JOIN trainings ON run_key = key
WHERE id = :id AND status = 'running' ORDER BY session DESC LIMIT 1
"""
_CARD = "SELECT 1 FROM data WHERE fingerprint = :data"
_SESSIONS = "SELECT count(*) FROM sessions WHERE run_key = :key"
_FIRST_EPOCH = "SELECT epoch + 1 FROM checkpoints WHERE run_key = :key"


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """A new run: its id and row, when it began, its data, its tags, and the source of a network of the user's own."""

    run: str
    begun: str
    card: DataCard
    row: Mapping[str, Any]
    tags: tuple[str, ...] = ()
    source: str | None = None

    @classmethod
    def of(
        cls,
        run: str,
        begun: str,
        recipe: Recipe,
        card: DataCard,
        environment: Environment,
        *,
        tags: Iterable[str] = (),
        source: str | None = None,
        **further: Any,
    ) -> Beginning:
        """The beginning of a run of this recipe, with values of further columns."""
        row = further | {
            "id": run,
            "status": RUNNING,
            "started_at": begun,
            "data_fingerprint": card.fingerprint,
            "epochs_done": 0,
            "milliseconds": 0,
        }
        row |= encoding.of_recipe(recipe) | dataclasses.asdict(environment)
        return cls(run=run, begun=begun, card=card, row=row, tags=tuple(tags), source=source)


class Beginner(RegistryReader):
    """A registry in which this process begins runs; with `create` it is created if there is none.

    With `tests` False, runs started here get the tag `untested`: they are not tested when they end. `patience` is for
    how many seconds writes wait for a registry that is away; `say` gets a sentence meanwhile. Checkpoints and final
    weights are written to `files` and `weight_files`, where there are any.
    """

    def __init__(
        self,
        path: Location,
        *,
        create: bool = False,
        tests: bool = True,
        patience: float = SHORT_SECONDS,
        files: StateFiles | None = None,
        weight_files: StateFiles | None = None,
        say: Callable[[str], object] = lambda _: None,
        database: Backend | None = None,
    ) -> None:
        super().__init__(path, create=create, database=database)
        self.patience = Patience(patience, say=say)
        self.process = Process.here()  # that works on the runs that are begun here
        self._tests = tests
        self._view_of = -1  # the generation of the file whose view has the columns of all options
        self.sessions: dict[str, int] = {}  # session numbers of this process, by run
        self._kept: dict[str, Kept] = {}  # for the runs that this process records in a file
        self._cards = set[tuple[int, str, bool]]()  # that are in the registry, unless they were purged
        self.keep_states_in(files, weight_files)

    def keep_states_in(self, files: StateFiles | None, weight_files: StateFiles | None) -> None:
        """Write checkpoints and final weights to these places from now on; to the registry without one."""
        self.files, self.weight_files = files, weight_files
        if weight_files:
            self.require_urls()

    def __exit__(self, *_: object) -> None:
        if not self.patience.has_given_up:  # else a thread that nobody waits for still uses the connection
            super().__exit__()

    @patiently
    def require_urls(self) -> None:
        """Let weights have URLs in a registry that was made before they could; on a server its owner must do so."""
        with self.reading() as connection:
            if "url" in columns(connection, "weights"):
                return
        with self.database.writing() as connection:
            if "url" not in columns(connection, "weights"):  # another process may have been faster
                text = 'TEXT COLLATE "C"' if view.is_server(connection) else "TEXT"
                connection.execute(f"ALTER TABLE weights ADD COLUMN url {text}")

    def start(
        self,
        recipe: Recipe,
        card: DataCard,
        *,
        parameters: int,
        environment: Environment,
        name: str | None = None,
        note: str | None = None,
        rerun_of: str | None = None,
        multiply_accumulates: int | None = None,
        source: str | None = None,
    ) -> str:
        """Record a run that this process starts now, with the source of a network of the user's own; returns its id."""
        about: dict[str, Any] = {"name": name, "note": note, "rerun_of": rerun_of, "parameters": parameters}
        about |= {"multiply_accumulates": multiply_accumulates}
        new = Beginning.of(new_id(), entries.now(), recipe, card, environment, source=source, **about)
        self._start(new)
        self._hold(new.run)
        return new.run

    @patiently
    def _start(self, new: Beginning) -> None:
        with self.database.writing() as connection:
            if not self._has_begun(connection, new.run, new.begun, new=True):
                self._begin(connection, [(self, new)])
        self.has_begun()

    def has_begun(self) -> None:
        """Note that the transaction in which a new run was begun has been committed."""
        self._view_of = self.database.generation

    def _begin(self, connection: Writing, new: Sequence[tuple[Beginner, Beginning]]) -> None:
        """Record new runs, each as of the process of the registry beside it; all of these share this one's database."""
        generation = self.database.generation
        for card in {(each.card.fingerprint, bool(each.card.manifests)): each.card for _, each in new}.values():
            self._keep_card(connection, card)
        texts = {each.source for _, each in new if each.source is not None}
        for source in texts:
            sources.keep(connection, source)
        if texts or any(registry._view_of != generation for registry, _ in new):
            view.require_columns(connection)
        keys = entries.insert_runs(connection, [each.row for _, each in new])
        for (registry, each), key in zip(new, keys, strict=True):
            registry._keys[generation, each.run] = key
        sessions = [
            registry._session(each.run, key, 1, each.begun, first_epoch=1)
            for (registry, each), key in zip(new, keys, strict=True)
        ]
        entries.insert_each(connection, "sessions", sessions)
        tags = [
            {"run_key": key, "tag": tag}
            for (registry, each), key in zip(new, keys, strict=True)
            for tag in (*each.tags, *(() if registry._tests else (UNTESTED,)))
        ]
        entries.insert_known(connection, "tags", tags)
        for (registry, each), key in zip(new, keys, strict=True):
            registry._keep(connection, each.run, key)

    def _keep_card(self, connection: Connection, card: DataCard) -> None:
        known = self.database.generation, card.fingerprint, bool(card.manifests)
        if known not in self._cards or not connection.execute(_CARD, {"data": card.fingerprint}).fetchone():
            entries.keep_card(connection, card)
            self._cards.add(known)

    def go_on(self, run_id: str, *, epochs: int, environment: Environment, silent: str | None = None) -> None:
        """Record that this process resumes a run, up to `epochs` epochs in all.

        Raises RegistryError if the run is finished, or if another process works on it. A process that cannot be
        observed from here counts as working, unless its last heartbeat is still `silent`: the one that the caller has
        watched for long enough.
        """
        self._go_on_once(run_id, entries.now(), epochs, environment, silent)
        self._hold(run_id)

    @patiently
    def _go_on_once(self, run_id: str, begun: str, epochs: int, environment: Environment, silent: str | None) -> None:
        with self.database.writing() as connection:
            if self._has_begun(connection, run_id, begun, new=False):
                return
            seen = self._sighting(connection, self.key(connection, run_id))
            if not (seen.unseen and seen.sign == silent):
                require_cut_off(run_id, seen.status)
            self._take_over(connection, run_id, begun, epochs=epochs, environment=environment)

    def _has_begun(self, connection: Connection, run_id: str, begun: str, *, new: bool) -> bool:
        """Whether this process's attempt to begin a `new` run or to go on with one was kept, but its answer lost."""
        found = connection.execute(_LAST_SESSION, {"id": run_id}).fetchone()
        mine = encoding.of_process(self.process) | {"started_at": begun}
        if found is None or new != (found["session"] == 1) or any(found[name] != mine[name] for name in mine):
            return False
        self.sessions[run_id] = found["session"]
        return True

    def _take_over(
        self, connection: Connection, run_id: str, begun: str, *, epochs: int, environment: Environment
    ) -> None:
        key = self.key(connection, run_id)
        (first_epoch,) = connection.execute(_FIRST_EPOCH, {"key": key}).fetchone() or (1,)
        recipe = self.by_id(run_id).recipe
        longer = {} if recipe.epochs == epochs else encoding.of_recipe(dataclasses.replace(recipe, epochs=epochs))
        entries.change_run(connection, key, status=RUNNING, ended_at=None, error=None, **longer)
        (before,) = connection.execute(_SESSIONS, {"key": key}).fetchone()
        session = self._session(run_id, key, before + 1, begun, first_epoch=first_epoch, environment=environment)
        entries.insert(connection, "sessions", session)
        self._keep(connection, run_id, key)

    def _session(
        self,
        run_id: str,
        key: int,
        session: int,
        begun: str,
        *,
        first_epoch: int,
        environment: Environment | None = None,
    ) -> dict[str, Any]:
        """Note a session that this process begins; returns its row."""
        self.sessions[run_id] = session
        return encoding.of_process(self.process) | {
            "run_key": key,
            "session": session,
            "first_epoch": first_epoch,
            "started_at": begun,
            "heartbeat_at": entries.now(),
            "environment": json.dumps(dataclasses.asdict(environment)) if environment else None,
        }

    def _keep(self, connection: Connection, run_id: str, key: int) -> None:
        if isinstance(self.path, Path):  # of a server nothing is replaced
            self._kept[run_id] = Kept.of(connection, key)

    def _hold(self, run_id: str) -> None:
        """Bind a run that this process has just begun to the path: its records must end up in the file there."""
        if kept := self._kept.get(run_id):
            self.database.hold(run_id, self.sessions[run_id])
            self.database.confirm(run_id, kept.sessions[-1]["heartbeat_at"])


def new_id() -> str:
    """An id for a new run, drawn at random."""
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
