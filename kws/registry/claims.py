"""Claims: which runs of a plan are there, and taking one so that nobody else trains it too.

Runs are equal if their recipes' digests are, on data of one fingerprint: where the data lies does not count, nor what
decides bits alone, such as threads.
Deleted runs do not either. Of several equal runs the one that is furthest counts: finished, else running, else cut off.
A claim is one transaction that has the write lock before it looks: of two that ask at once, one finds the other's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from kws.events import DataCard
from kws.recipe import Recipe
from kws.registry import serialization
from kws.registry.environment import Environment
from kws.registry.reader import RegistryReader
from kws.registry.runs import FAILED, FINISHED, INTERRUPTED, LOST, RUNNING, Sighting
from kws.registry.store import Registry

_ORDER = (FINISHED, RUNNING, INTERRUPTED, LOST, FAILED)
_KNOWN = """
SELECT key, id, status, error, milliseconds, data_fingerprint, recipe_json, recipe_digest FROM trainings
WHERE deleted_at IS NULL
"""
_ALIKE = f"{_KNOWN} AND data_fingerprint = :fingerprint AND recipe_digest = :recipe_digest"


@dataclass(frozen=True, kw_only=True)
class Known:
    """A run of the registry, as far as a plan needs it."""

    id: str
    status: str
    error: str | None
    seconds: float
    fingerprint: str
    digest: str
    arch: str
    data: str
    threads: int
    epochs: int
    last_seen: str | None = None


class PlanReader(RegistryReader):
    """A registry file, opened to see what of a plan is there."""

    def known(self) -> dict[str, list[Known]]:
        """All runs by their recipes' digests, those that are furthest first; the registry is read once."""
        found: dict[str, list[Known]] = {}
        with self.reading() as connection:
            sightings = self._sightings(connection)
            for row in connection.execute(_KNOWN):
                run = _known(row, sightings)
                found.setdefault(run.digest, []).append(run)
        for runs in found.values():
            runs.sort(key=lambda run: _ORDER.index(run.status))
        return found


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a claim came to: the run that counts, how it was before (None: it is new), and whether it is ours now.

    `sign` is the last sign of life of a run that another process trains, and `last_seen` when that was, both only where
    that process cannot be seen from here.
    """

    run: str
    before: str | None
    mine: bool
    error: str | None = None
    sign: str | None = None
    last_seen: str | None = None


class Claimer(Registry):
    """A registry file, opened to take on runs that other processes may want, too."""

    def claim(
        self,
        recipe: Recipe,
        card: DataCard,
        *,
        retry: bool,
        parameters: int,
        multiply_accumulates: int | None,
        environment: Environment,
        tags: Iterable[str] = (),
        silent: str | None = None,
    ) -> Claim:
        """Take a recipe on: it is this process's if there was no equal run, or one that was cut off.

        With `retry` also if it had failed; and if its process cannot be seen from here and its last sign of life is
        still `silent`, for whoever asks has watched it for long enough. A process that was taken for dead is told so at
        its next epoch.
        """
        with self._database.writing() as connection:
            sightings = self._sightings(connection)
            about = {"recipe_digest": recipe.digest, "fingerprint": card.fingerprint}
            equal = [_known(row, sightings) for row in connection.execute(_ALIKE, about).fetchall()]
            if equal:
                known = min(equal, key=lambda run: _ORDER.index(run.status))
                self._tag(connection, known.id, tags)
                seen = self._sighting(connection, self._key(connection, known.id))
                mine = (
                    known.status in (INTERRUPTED, LOST)
                    or (retry and known.status == FAILED)
                    or (seen.unseen and seen.sign == silent)
                )
                told = {"before": known.status, "error": known.error, "last_seen": seen.last_seen}
                claim = Claim(run=known.id, mine=mine, sign=seen.sign if seen.unseen else None, **told)
                if mine:
                    self._take_over(connection, known.id, epochs=recipe.epochs, environment=environment)
            else:
                size = {"parameters": parameters, "multiply_accumulates": multiply_accumulates}
                new = self._start(connection, recipe, card, environment, **size)
                self._tag(connection, new, tags)
                claim = Claim(run=new, before=None, mine=True)
        if claim.mine:
            self._hold(claim.run)
        return claim


def _known(row: serialization.Row, sightings: dict[int, Sighting]) -> Known:
    seen = sightings.get(row["key"], Sighting(status=row["status"]))
    recipe = json.loads(row["recipe_json"])  # as it is: a plan may look at ten thousand
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
        epochs=recipe["epochs"],
        last_seen=seen.last_seen,
    )
