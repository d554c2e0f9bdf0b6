"""Run ids for shell completion; it must be fast, because every key press waits for it."""

from contextlib import closing

from kws.errors import RegistryError
from kws.registry.files import open_file
from kws.registry.location import Location, ServerUrl

_IDS = "SELECT id FROM trainings WHERE substr(id, 1, length(:beginning)) = :beginning ORDER BY key DESC"


def beginning_with(path: Location, beginning: str) -> list[str]:
    """The ids in a registry that start with `beginning`, newest first; none if there is no registry."""
    import sqlite3

    about = {"beginning": beginning}
    try:
        if isinstance(path, ServerUrl):
            from kws.registry.postgresql import ServerDatabase

            with closing(ServerDatabase(path, create=False)) as database, database.reading() as server:
                return [row["id"] for row in server.execute(_IDS, about)]
        if not path.is_file():
            return []
        with closing(open_file(path)) as connection:
            return [row["id"] for row in connection.execute(_IDS, about)]
    except (sqlite3.Error, RegistryError):
        return []
