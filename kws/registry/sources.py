"""Sources: the source text of a network that is the user's own, kept by its SHA-256.

A recipe's JSON names its network's source by this digest. Nothing here executes a source: it is text that is stored,
copied and shown. A text that does not have its digest was changed by hand, and is refused wherever it is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from kws.errors import RegistryError
from kws.recipe.own import digest_of
from kws.registry import entries
from kws.registry.protocols import Connection

_SOURCE = "SELECT * FROM sources WHERE sha256 = :sha256"


def named_in(recipe_json: Any) -> str | None:
    """The digest of the source that a recipe's JSON names; None if it names none, or is no recipe."""
    try:
        digest = json.loads(recipe_json)["network"].get("sha256")
    except (ValueError, TypeError, LookupError, AttributeError):
        return None
    return digest if isinstance(digest, str) else None


def options_in(recipe_json: Any) -> dict[str, Any]:
    """The values of the options of the network of the user's own that a recipe's JSON names; empty if it names none."""
    if named_in(recipe_json) is None:
        return {}
    network = json.loads(recipe_json)["network"]
    return {name: value for name, value in network.items() if name not in _IDENTITY and _IS_NAME.fullmatch(name)}


_IDENTITY = ("name", "sha256")
_IS_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]{0,59}")  # elsewhere, a registry may have anything


def keep(connection: Connection, source: str) -> str:
    """Store a source, in place of one that was changed under its digest; returns its digest."""
    digest = digest_of(source)
    entries.insert(connection, "sources", {"sha256": digest, "source": source}, anew="sha256")
    return digest


def rows_of(connection: Connection, recipe_json: Any) -> list[dict[str, Any]]:
    """The row of the source that a recipe names, as a list; empty if it names none.

    Raises RegistryError if the source is missing or does not have its digest.
    """
    digest = named_in(recipe_json)
    if digest is None:
        return []
    row = connection.execute(_SOURCE, {"sha256": digest}).fetchone()
    if row is None:
        raise RegistryError(f"the source {digest[:12]} of a network is not in it")
    return [{"sha256": digest, "source": sound(digest, row["source"])}]


def sound(digest: str, source: Any) -> str:
    """The source, if it has that digest. Raises RegistryError if it has not."""
    if not isinstance(source, str) or digest_of(source) != digest:
        raise RegistryError(f"the source {digest[:12]} of a network was changed: its text does not have that SHA-256")
    return source


def drop_unneeded(connection: Connection) -> None:
    """Delete the sources that no run's recipe names."""
    stored = {row["sha256"] for row in connection.execute("SELECT sha256 FROM sources")}
    if stored:
        for digest in stored - _named(row["recipe_json"] for row in connection.execute(_RECIPES)):
            connection.execute("DELETE FROM sources WHERE sha256 = :sha256", {"sha256": digest})


_RECIPES = "SELECT DISTINCT recipe_json FROM trainings"


def _named(recipes: Iterable[Any]) -> set[str | None]:
    return {named_in(recipe) for recipe in recipes}
