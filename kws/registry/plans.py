"""What has become of a plan's runs, for one of several sweeps that train the same plan.

Each asks for what it lacks: which runs were begun since it last asked, and how those stand that it waits for. A claim
for each recipe would tell as much, but a hundred sweeps of a plan of 10,000 recipes would make a million of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kws.registry.protocols import among
from kws.registry.reader import RegistryReader
from kws.registry.runs import LOST, Sighting

_BEGUN = """
SELECT key, id, recipe_digest, data_fingerprint FROM trainings WHERE key > :after AND deleted_at IS NULL ORDER BY key
"""
_STANDING = "SELECT key, id, status, error FROM trainings"


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a run stands, as is seen from here; `sign` is its last heartbeat, if it is or was running.

    `last_seen` is the time of that, if its process cannot be observed from here. Of one that can, `sign` tells nothing
    but to processes elsewhere.
    """

    status: str
    error: str | None
    sign: str | None
    last_seen: str | None


class PlanWatcher(RegistryReader):
    """A registry opened to see what other processes do with a plan."""

    def begun(self, after: int) -> tuple[dict[tuple[str, str], str], int]:
        """The ids of runs begun since, by anybody, and what is `after` next.

        They are by their recipes' digests and their data's fingerprints; of equal ones it is the newest.
        """
        with self.reading() as connection:
            rows = connection.execute(_BEGUN, {"after": after}).fetchall()
        found = {(row["recipe_digest"], row["data_fingerprint"]): str(row["id"]) for row in rows}
        return found, rows[-1]["key"] if rows else after

    def standings(self, run_ids: Sequence[str]) -> dict[str, Standing]:
        """How each of these runs stands; deleted ones are not among them."""
        found = {}
        with self.reading() as connection:
            sightings = self._sightings(connection)
            for where, about in among("id", run_ids):
                for row in connection.execute(f"{_STANDING} {where} AND deleted_at IS NULL", about):
                    seen = sightings.get(row["key"], Sighting(status=row["status"]))
                    found[str(row["id"])] = Standing(
                        status=seen.status,
                        error=row["error"],
                        sign=seen.sign if seen.unseen or seen.status == LOST else None,
                        last_seen=seen.last_seen,
                    )
        return found
