"""Compared: one item of a file, beside what the registry has in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One item of a file beside the registry's; `registry` is "" if the registry has none.

    An item is unchecked if it could not be compared: the registry has no figure in its place.
    """

    row: str = ""
    column: str = ""
    what: str  # mean, deviation, low, high, n, p, bold, tie, row, column, epochs, fingerprint, number, words ...
    file: str
    registry: str
    about: str = ""  # the words around it in the file
    unchecked: bool = False

    @property
    def agrees(self) -> bool:
        """Whether both are the same."""
        return self.file == self.registry and not self.unchecked

    @property
    def differs(self) -> bool:
        """Whether the file differs from the registry."""
        return self.file != self.registry and not self.unchecked

    @property
    def where(self) -> str:
        """Its place in the file."""
        place = ", ".join(part for part in (self.row, self.column) if part) or "caption"
        return f'{place} ("{self.about}")' if self.about else place

    def record(self) -> dict[str, Any]:
        """The item as a JSON record."""
        record = {name: getattr(self, name) for name in ("row", "column", "what", "file", "registry")}
        return record | ({"about": self.about} if self.unchecked else {"agrees": self.agrees})
