"""Location: parses --db and KWS_DB: a file, or the URL of a database on a PostgreSQL server.

Standard library only. A URL may contain a password. It is sent to the server and nowhere else: str() and repr() omit
it, no error message repeats a URL that cannot be parsed, and mask() removes it from a command before that is recorded.
Without a password in the URL, libpq looks in its usual places: PGPASSWORD, ~/.pgpass, a service file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from kws.errors import RegistryError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9.+-]*)://(.*)", re.DOTALL)
_SCHEMES = ("postgresql", "postgresql+psycopg", "postgres")
_IN_TEXT = re.compile(r"\b(?:postgres|postgresql)(?:\+\w+)?://\S*", re.IGNORECASE)
_SECRETS = {"password", "sslpassword"}
_SEARCH_PATH = re.compile(r"(?:^|(?<=\s))(?:-c\s*|--)search[_-]path=((?:\\.|[^\s\\])*)")  # in libpq's options
_FORM = "postgresql+psycopg://user@host:5432/database"


@dataclass(frozen=True, repr=False)
class ServerUrl:
    """A database on a PostgreSQL server; `shown` is its URL without the password."""

    shown: str
    _full: str = field(repr=False)
    _options: tuple[tuple[str, str], ...] = field(repr=False)

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"ServerUrl({self.shown!r})"

    @property
    def name(self) -> str:
        """The database's name, the counterpart of a file's name."""
        return dict(self._options).get("dbname", "postgresql")

    def options(self) -> dict[str, str]:
        """The connection options for libpq, including the password; only for kws.registry.postgresql.

        Without a search path: poolers refuse to be told one when a connection begins.
        """
        found = dict(self._options)
        if "options" in found:
            found["options"] = _SEARCH_PATH.sub("", found["options"]).strip()
        return {key: value for key, value in found.items() if value}

    @property
    def search_path(self) -> str | None:
        """The schemas to look in, as in PostgreSQL's setting of that name; None for the server's own."""
        found = _SEARCH_PATH.search(dict(self._options).get("options", ""))
        return re.sub(r"\\(.)", r"\1", found[1]) if found else None

    def secrets(self) -> tuple[str, ...]:
        """The values that must never be shown, such as the password."""
        return tuple(value for key, value in self._options if key in _SECRETS and value)

    def in_full(self) -> str:
        """The URL with its password; only to be piped to another process of ours, never to be stored."""
        return self._full


Location = Path | ServerUrl


def locate(text: str | Path | ServerUrl) -> Location:
    """The file or the server that a text names. Raises RegistryError for a URL that cannot name a registry."""
    if isinstance(text, Path | ServerUrl):
        return text
    url = _URL.fullmatch(text)
    return _server(url[1], url[2]) if url else Path(text)


def in_full(location: Location) -> str:
    """A text that locate() parses to this location in any other process; it includes the password."""
    return location.in_full() if isinstance(location, ServerUrl) else str(location.absolute())


def mask(text: str) -> str:
    """The text with passwords removed from its URLs; a URL that cannot be parsed is removed whole."""
    return _IN_TEXT.sub(_masked, text)


def _masked(found: re.Match[str]) -> str:
    try:
        return str(locate(found[0]))
    except RegistryError:
        return f"{found[0].partition('://')[0]}://..."


def _server(scheme: str, rest: str) -> ServerUrl:
    if scheme.lower() not in _SCHEMES:
        raise RegistryError(f"a registry is a file or a PostgreSQL database, not {scheme}; --db takes {_FORM}")
    authority, slash, tail = rest.partition("/")
    if not slash and "?" in authority:
        authority, _, tail = authority.partition("?")
        tail = f"?{tail}"
    userinfo, _, hosts = authority.rpartition("@")
    database, _, query = tail.partition("?")
    if "@" in tail or "/" in database or re.search(r"\s", rest):
        raise RegistryError(
            f"the URL after --db is not understood; it is {_FORM}, and special characters in a password are written "
            "as %40 for @, %2F for / and so on"
        )
    user, _, password = userinfo.partition(":")
    options = {
        "user": unquote(user),
        "password": unquote(password),
        **_split(hosts),
        "dbname": unquote(database),
        **dict(parse_qsl(query.replace("+", "%2B"), keep_blank_values=True)),
    }
    if not all(port.isascii() and (port.isdigit() or not port) for port in options.get("port", "").split(",")):
        raise RegistryError(f"the port in the URL after --db is no number; it is {_FORM}")
    kept = "&".join(part for part in query.split("&") if part and unquote(part.partition("=")[0]) not in _SECRETS)
    shown = f"{scheme}://{user}{'@' if user else ''}{hosts}{slash}{database}{'?' if kept else ''}{kept}"
    return ServerUrl(shown, f"{scheme}://{rest}", tuple((key, value) for key, value in options.items() if value))


def _split(hosts: str) -> dict[str, str]:
    """Hosts and ports of "host:port,host:port" in libpq's format."""
    found = [re.fullmatch(r"(\[.*\]|[^:]*)(?::(.*))?", each) for each in hosts.split(",")]
    if not all(found):
        raise RegistryError(f"the host in the URL after --db is not understood; it is {_FORM}")
    names = [unquote(each[1].strip("[]")) for each in found if each]
    ports = [each[2] or "" for each in found if each]
    return {"host": ",".join(names), "port": ",".join(ports) if any(ports) else ""}
