"""Listed: a part of the page's list of runs, and what its caption says of it."""

from __future__ import annotations

from dataclasses import dataclass

from kws.registry.runs import Run


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A part of the list of runs: those from `start` on, of `count` with these words, of `total` in the registry."""

    runs: tuple[Run, ...]
    words: str
    start: int
    count: int
    total: int

    @property
    def end(self) -> int:
        """How many runs there are until the end of this part."""
        return self.start + len(self.runs)

    @property
    def caption(self) -> str:
        """Which runs these are."""
        if len(self.runs) == self.total:
            return "The newest first."
        whole = len(self.runs) == self.count
        of = f"{self.total if whole else self.count:,}{' runs' if whole or not self.start else ''}"
        with_words = " with these words" if self.words.strip() and not whole else ""
        some = f"Runs {self.start + 1:,} to {self.end:,}" if self.start and self.runs else f"{len(self.runs):,}"
        return f"{some} of {of}{with_words}, the newest first."
