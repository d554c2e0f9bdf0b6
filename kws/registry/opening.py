"""Opens a registry, in a file or on a server."""

from __future__ import annotations

from kws.registry.location import Location, ServerUrl
from kws.registry.protocols import Backend


def open_database(location: Location, *, create: bool) -> Backend:
    """Open the registry at a location; with `create` it is created if there is none.

    Raises RegistryError if it is missing, is not a registry, or cannot be reached.
    """
    if isinstance(location, ServerUrl):
        from kws.registry.postgresql import ServerDatabase

        return ServerDatabase(location, create=create)
    from kws.registry.sqlite import Database

    return Database(location, create=create)


def is_new(location: Location) -> bool:
    """Whether there is no registry at a location yet.

    Raises RegistryError if none could be created there either, or a server cannot be reached.
    """
    if isinstance(location, ServerUrl):
        from kws.registry.postgresql import is_new_on_server

        return is_new_on_server(location)
    from kws.registry.sqlite import is_new_file

    return is_new_file(location)
