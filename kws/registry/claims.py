"""Claims: which runs of a plan exist, and how to claim one so that no other process trains it too.

Two runs are equal if their recipes have the same digest and their data the same fingerprint. The path of the data does
not matter, nor do fields that decide bits alone, such as threads. Deleted runs are ignored. Of several equal runs the
most advanced one counts: finished, else running, else cut off. A claim is one transaction that takes the write lock
before it reads: of two simultaneous claims, the second finds the run of the first. So a claim can also keep to a limit:
however many processes claim at once, no more runs get a tag than the search of that tag wants.
"""

from __future__ import annotations

import json
import time
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field

from kws.events import DataCard
from kws.recipe import Recipe
from kws.registry.beginning import Beginning, new_id
from kws.registry.entries import now
from kws.registry.environment import Environment
from kws.registry.patience import patiently
from kws.registry.process import HEARTBEAT_SECONDS
from kws.registry.protocols import Connection, Row, Writing, among
from kws.registry.reader import RegistryReader
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, RUNNING, Sighting
from kws.registry.store import Registry

NOT_BEGUN = "not begun"  # what a claim says of a run that would have been one too many
_ORDER = (FINISHED, RUNNING, INTERRUPTED, LOST, FAILED)
_KNOWN = """
SELECT key, id, status, error, epochs_done, milliseconds, data_fingerprint, recipe_json, recipe_digest FROM trainings
"""
_SAME = "SELECT recipe_digest, data_fingerprint FROM trainings"
_ALIKE = f"""
{_KNOWN} WHERE deleted_at IS NULL AND data_fingerprint = :fingerprint AND recipe_digest = :recipe_digest
"""
_TAGGED = "SELECT id FROM trainings JOIN tags ON run_key = key WHERE deleted_at IS NULL AND tag = :tag"


@dataclass(frozen=True, kw_only=True)
class Known:
    """The part of a run that a plan needs."""

    id: str
    status: str
    error: str | None
    seconds: float
    fingerprint: str
    digest: str
    arch: str
    data: str
    threads: int
    epochs_done: int
    last_seen: str | None = None


class PlanReader(RegistryReader):
    """A registry opened to see which runs of a plan exist."""

    def known(self) -> dict[str, list[Known]]:
        """All runs by recipe digest, the most advanced first; the registry is read once."""
        found: dict[str, list[Known]] = {}
        with self.reading() as connection:
            sightings = self._sightings(connection)
            for row in connection.execute(f"{_KNOWN} WHERE deleted_at IS NULL"):
                run = _known(row, sightings)
                found.setdefault(run.digest, []).append(run)
        for runs in found.values():
            runs.sort(key=lambda run: _ORDER.index(run.status))
        return found


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The result of a claim: the run that counts, its previous status (None: it is new), and whether it is ours now.

    `sign` is the last heartbeat of a run that another process trains, and `last_seen` its time; both are set only if
    that process cannot be observed from here. If the claim was refused because a tag has as many runs as it may have,
    `before` is NOT_BEGUN and `run` is empty.
    """

    run: str
    before: str | None
    mine: bool
    error: str | None = None
    sign: str | None = None
    last_seen: str | None = None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a process wants to claim, and as which new run if there is no equal one.

    With `retry`, also a run that failed. Also a run whose process cannot be observed from here and whose last heartbeat
    is still `silent`: the one that the caller has watched for long enough, unless that was HEARTBEAT_SECONDS ago, for
    then the registry was away, and that process could give no sign of life either. The run gets the tags of the `new`
    one. If it lacks one of them that `most` runs have already, nothing is claimed.
    """

    recipe: Recipe
    card: DataCard
    environment: Environment
    new: Beginning
    retry: bool
    most: int | None
    silent: str | None
    asked: float = field(default_factory=time.monotonic)  # by the clock that all processes of a machine share

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        card: DataCard,
        *,
        retry: bool,
        parameters: int,
        multiply_accumulates: int | None,
        environment: Environment,
        tags: Iterable[str] = (),
        most: int | None = None,
        silent: str | None = None,
        source: str | None = None,
    ) -> Wanted:
        """A claim of a recipe on data; `source` is that of a network of the user's own."""
        size = {"parameters": parameters, "multiply_accumulates": multiply_accumulates}
        new = Beginning.of(new_id(), now(), recipe, card, environment, tags=tags, source=source, **size)
        return cls(recipe=recipe, card=card, environment=environment, new=new, retry=retry, most=most, silent=silent)

    @property
    def same(self) -> tuple[str, str]:
        """What equal runs have in common."""
        return self.recipe.digest, self.card.fingerprint


class Claimer(Registry):
    """A registry opened to claim runs that other processes may want, too."""

    def claim(self, wanted: Wanted) -> Claim:
        """Claim a recipe: it becomes this process's run if no equal run exists, or the equal run was cut off.

        A process wrongly taken for dead gets a RegistryError at its next epoch.
        """
        claim = self._claim(wanted)
        if claim.mine:
            self._hold(claim.run)
        return claim

    @patiently
    def _claim(self, wanted: Wanted) -> Claim:
        with self.database.writing() as connection:
            (made,) = self.claim_all(connection, [(self, wanted)])
        if made.before is None:
            self.has_begun()
        return made

    def claim_all(self, connection: Writing, asked: Sequence[tuple[Claimer, Wanted]]) -> list[Claim]:
        """Claim for several processes, in a transaction that holds the write lock, and that may be made again.

        All of their registries share this one's database. Of those that want the same, one gets it.
        """
        equal = {
            (row["recipe_digest"], row["data_fingerprint"])
            for where, about in among("recipe_digest", [wanted.recipe.digest for _, wanted in asked])
            for row in connection.execute(f"{_SAME} {where} AND deleted_at IS NULL", about)
        }
        new: dict[tuple[str, str], tuple[Claimer, Wanted]] = {}
        for claimer, wanted in asked:
            if wanted.same not in equal and wanted.most is None:
                new.setdefault(wanted.same, (claimer, wanted))
        self._begin(connection, [(claimer, wanted.new) for claimer, wanted in new.values()])
        begun = {wanted.new.run for _, wanted in new.values()}
        return [
            Claim(run=wanted.new.run, before=None, mine=True)
            if wanted.new.run in begun
            else claimer._claim_in(connection, wanted, begun)
            for claimer, wanted in asked
        ]

    def _claim_in(self, connection: Writing, wanted: Wanted, begun: Container[str]) -> Claim:
        """Claim what may be there already, or only so many times; the runs that were `begun` now are others'."""
        new = wanted.new
        about = dict(zip(("recipe_digest", "fingerprint"), wanted.same, strict=True))
        equal = [
            _known(row, self._sightings(connection, row["key"])) for row in connection.execute(_ALIKE, about).fetchall()
        ]
        known = min(equal, key=lambda run: _ORDER.index(run.status)) if equal else None
        if _is_too_many(connection, known, new.tags, wanted.most):
            return Claim(run="", before=NOT_BEGUN, mine=False)
        if known is None:
            self._begin(connection, [(self, new)])
            return Claim(run=new.run, before=None, mine=True)
        if known.id not in begun and self._has_begun(connection, known.id, new.begun, new=known.id == new.run):
            return Claim(run=known.id, before=None if known.id == new.run else INTERRUPTED, mine=True)
        self._tag(connection, known.id, new.tags)
        seen = self._sighting(connection, self.key(connection, known.id))
        mine = (
            known.status in (INTERRUPTED, LOST)
            or (wanted.retry and known.status == FAILED)
            or (seen.unseen and seen.sign == wanted.silent and time.monotonic() - wanted.asked < HEARTBEAT_SECONDS)
        )
        if mine:
            epochs, environment = wanted.recipe.epochs, wanted.environment
            self._take_over(connection, known.id, new.begun, epochs=epochs, environment=environment)
        told = {"error": known.error, "last_seen": seen.last_seen}
        return Claim(run=known.id, before=known.status, mine=mine, sign=seen.sign if seen.unseen else None, **told)


def _is_too_many(connection: Connection, known: Known | None, tags: Iterable[str], most: int | None) -> bool:
    """Whether `most` runs have one of the tags, and this one, if there is one, is none of them."""
    if most is None:
        return False
    tagged = [{row["id"] for row in connection.execute(_TAGGED, {"tag": tag})} for tag in tags]
    return any(len(ids) >= most and (known is None or known.id not in ids) for ids in tagged)


def _known(row: Row, sightings: dict[int, Sighting]) -> Known:
    seen = sightings.get(row["key"], Sighting(status=row["status"]))
    recipe = json.loads(row["recipe_json"])  # not parsed into a Recipe: a plan may read ten thousand
    return Known(
        id=row["id"],
        status=seen.status,
        error=row["error"],
        seconds=row["milliseconds"] / 1000,
        fingerprint=row["data_fingerprint"],
        digest=row["recipe_digest"],
        arch=recipe["network"]["name"],
        data=recipe["data"],
        threads=recipe["threads"],
        epochs_done=row["epochs_done"],
        last_seen=seen.last_seen,
    )
