"""Opening a registry, be it in a file or on a server."""

from __future__ import annotations

from kws.registry.location import Location, ServerUrl
from kws.registry.protocols import Backend


def open_database(location: Location, *, create: bool) -> Backend:
    """The registry at a location, opened; with `create` it is made where there is none.

    Raises RegistryError where it is missing, is no registry, or cannot be reached.
    """
    if isinstance(location, ServerUrl):
        from kws.registry.postgresql import ServerDatabase

        return ServerDatabase(location, create=create)
    from kws.registry.sqlite import Database

    return Database(location, create=create)


def is_new(location: Location) -> bool:
    """Whether there is no registry at a location yet.

    Raises RegistryError where none could be made there either, or a server cannot be reached.
    """
    if isinstance(location, ServerUrl):
        from kws.registry.postgresql import is_new_on_server

        return is_new_on_server(location)
    from kws.registry.sqlite import is_new_file

    return is_new_file(location)
