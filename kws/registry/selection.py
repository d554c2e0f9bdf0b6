"""Selection: which runs a table or a list shows.

Its `where` expression is the database's own SQL over the columns of `runs`.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from kws.errors import RegistryError
from kws.registry.protocols import Connection
from kws.registry.runs import Run

_AGO = re.compile(r"(\d+)\s*(min|h|d|w)")
_SECONDS = 10.0  # time limit for an expression
_UNITS = {"min": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The runs that meet every given condition: only deleted runs if `deleted`, otherwise only the others."""

    where: str | None = None
    tags: tuple[str, ...] = ()
    data: str | None = None
    status: str | None = None
    since: str | None = None  # ISO 8601 in UTC
    deleted: bool = False

    def takes(self, run: Run) -> bool:
        """Whether a run meets every condition except `where`."""
        return (
            (run.deleted_at is not None) == self.deleted
            and (not self.tags or set(self.tags) <= set(run.tags))
            and (self.data is None or self.data in (run.data_source, run.recipe.data))
            and (self.status is None or self.status == run.status)
            and (self.since is None or run.started_at >= self.since)
        )

    def keys(self, connection: Connection, statuses: dict[int, str]) -> set[int] | None:
        """The keys of the runs for which `where` is true; None if there is no `where`.

        Raises RegistryError if the expression is not valid SQL, or takes too long.
        """
        if self.where is None:
            return None
        from kws.registry import view
        from kws.registry.queries import is_of_the_place, only_reading, reason, refusals, was_stopped

        told = ", ".join(f"({key}, '{status}')" for key, status in statuses.items()) or "(-1, '')"
        columns = dict(view.select(connection))
        own = ", ".join(f'{sql} AS "{name}"' for name, sql in columns.items())
        kept = ", ".join(f'"{name}"' for name in columns if name != "status")
        query = (
            f"WITH told(k, s) AS (VALUES {told}), "  # noqa: S608 - our keys and statuses; only_reading() restricts the rest
            f"runs AS (SELECT {own} FROM trainings), "  # an expression may query `runs` itself
            f"seen AS (SELECT {kept}, coalesce((SELECT s FROM told WHERE k = key), status) AS status, "
            "(SELECT source FROM data WHERE fingerprint = data_fingerprint) AS source FROM runs) "
            f"SELECT key FROM seen WHERE ({self.where}\n)"
        )
        until = time.monotonic() + _SECONDS
        try:
            with only_reading(connection, seconds=_SECONDS):
                return {row["key"] for row in connection.execute(query)}
        except refusals() as error:
            if was_stopped(error, until):
                raise RegistryError(
                    f"--where {self.where!r} took more than {_SECONDS:g} s and was stopped; ask for less"
                ) from None
            if is_of_the_place(error):
                raise  # whoever opened the registry reports it
            raise RegistryError(
                f"--where {self.where!r} is not understood ({reason(error)}); "
                "it is SQL over the columns of runs, as in \"arch = 'cnn' and test_accuracy > 0.9\""
            ) from None


ALL_RUNS = Selection()


def parse_since(text: str, now: datetime | None = None) -> str:
    """A time that a user typed, as ISO 8601 in UTC.

    Accepts a date, a date with a local time, or an age such as 30min, 12h or 7d. Raises RegistryError otherwise.
    """
    if ago := _AGO.fullmatch(text.strip()):
        try:
            moment = (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        except (OverflowError, ValueError):
            moment = datetime.min.replace(tzinfo=UTC)
    else:
        try:
            moment = datetime.fromisoformat(text.strip()).astimezone(UTC)
        except (ValueError, OverflowError):
            raise RegistryError(
                f"--since {text!r} is no time; give a date such as 2026-03-01, or an age such as 12h or 7d"
            ) from None
    return moment.isoformat(timespec="milliseconds")
