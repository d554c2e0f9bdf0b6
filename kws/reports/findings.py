"""Compared: one thing that a file says, beside what the registry says in its place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One thing that a file says beside the registry's: `registry` is "" where that has none.

    What could not be compared is unchecked: the registry has no figure in its place.
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
        """Whether the file says something else than the registry."""
        return self.file != self.registry and not self.unchecked

    @property
    def where(self) -> str:
        """Its place in the file."""
        place = ", ".join(part for part in (self.row, self.column) if part) or "caption"
        return f'{place} ("{self.about}")' if self.about else place

    def record(self) -> dict[str, Any]:
        """As JSON."""
        record = {name: getattr(self, name) for name in ("row", "column", "what", "file", "registry")}
        return record | ({"about": self.about} if self.unchecked else {"agrees": self.agrees})
