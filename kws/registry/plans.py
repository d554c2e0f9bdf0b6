"""What has become of a plan's runs, for one of several processes that train the same plan.

Each asks for what it lacks: the runs that others have begun since it last asked, and how those stand that it waits for.
A claim for each recipe would tell as much, but a hundred processes with a plan of 10,000 would make a million of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kws.registry.protocols import among
from kws.registry.reader import RegistryReader
from kws.registry.runs import Sighting

_BEGUN = """
SELECT key, id, recipe_digest, data_fingerprint FROM trainings WHERE key > :after AND deleted_at IS NULL ORDER BY key
"""
_STANDING = "SELECT key, id, status, error FROM trainings"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a run stands. `sign` is its last heartbeat, and `last_seen` its time, if its process cannot be observed."""

    status: str
    error: str | None
    sign: str | None
    last_seen: str | None


class PlanWatcher(RegistryReader):
    """A registry opened to see what other processes do with a plan."""

    def begun(self, after: int) -> tuple[dict[tuple[str, str], str], int]:
        """The ids of runs begun since, by their recipes' digests and data's fingerprints; and what is `after` next."""
        with self.reading() as connection:
            rows = connection.execute(_BEGUN, {"after": after}).fetchall()
        found = {(row["recipe_digest"], row["data_fingerprint"]): str(row["id"]) for row in rows}
        return found, rows[-1]["key"] if rows else after

    def standings(self, run_ids: Sequence[str]) -> dict[str, Standing]:
        """How each of these runs stands; one that was deleted for good is not among them."""
        found = {}
        with self.reading() as connection:
            sightings = self._sightings(connection)
            for where, about in among("id", run_ids):
                for row in connection.execute(f"{_STANDING} {where} AND deleted_at IS NULL", about):
                    seen = sightings.get(row["key"], Sighting(status=row["status"]))
                    found[str(row["id"])] = Standing(
                        status=seen.status,
                        error=row["error"],
                        sign=seen.sign if seen.unseen else None,
                        last_seen=seen.last_seen,
                    )
        return found
