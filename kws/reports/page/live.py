"""Live: the pages of a registry as it is now, and what their script asks for. Safe for any number of threads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kws.errors import PageError, UnknownRunError
from kws.registry.location import Location
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.reports.page import html
from kws.reports.page.current import Current
from kws.reports.page.data import Overview, choices, curves, detail
from kws.reports.page.matrices import confusion, pooled


class Live:
    """A registry's pages; every method raises RegistryError if the registry cannot be read."""

    def __init__(self, path: Location) -> None:
        self.path = path
        self.current = Current(path)
        self.now = self.current.now
        self._page = ("", "")
        self._pooled: dict[tuple[str, ...], dict[str, Any] | None] = {}

    def page(self, words: str = "", start: int = 0) -> str:
        """The overview's HTML, with a list of the runs that contain these words, from `start` on."""
        if words.strip() or start:
            state, of = self.now(whole=True)
            return html.live_overview(of, state, words, start)
        state, of = self.now()
        if self._page[0] != state:
            self._page = (state, html.live_overview(of, state))
        return self._page[1]

    def run_page(self, run_id: str) -> str:
        """A run's HTML.

        Raises UnknownRunError if no run has exactly this id.
        """
        state, of = self.now(whole=True)
        for run in _runs(of, [run_id]):
            with RegistryReader(self.path) as registry:
                return html.live_run(detail(registry, run, of), state)
        raise UnknownRunError(f"there is no run {run_id!r} in {self.path}; the list of all runs is at /")

    def curves(self, ids: Iterable[str]) -> dict[str, Any]:
        """The curves of those of these runs that exist, by id."""
        _, of = self.now()
        runs = _runs(of, ids)
        with RegistryReader(self.path) as registry:
            return {run.id: curves(registry, run, of.called(run)) for run in runs}

    def confusions(self, ids: Iterable[str]) -> dict[str, Any]:
        """The confusion matrices of those of these runs that exist, by id; None for a run that was not tested."""
        runs = _runs(self.now()[1], ids)
        with RegistryReader(self.path) as registry:
            return {run.id: confusion(registry, run) for run in runs}

    def pooled(self, group: str, label: str) -> dict[str, Any] | None:
        """The confusion matrix of all runs of a cell, by its table and label; None if none of them was tested.

        Raises PageError if there is no such cell.
        """
        _, of = self.now(whole=True)
        cells = {(cell["group"], cell["label"]): cell["runs"] for cell in choices(of)["cells"]}
        ids = cells.get((group, label))
        if not ids:
            raise PageError(f"there is no cell {label!r} in {group!r} now; reload the page")
        known, of_runs = self._pooled, tuple(ids)
        if of_runs not in known:
            with RegistryReader(self.path) as registry:
                known[of_runs] = pooled(registry, _runs(of, ids))
            while len(known) > html.LISTED:
                known.pop(next(iter(known)), None)
        return known[of_runs]


def _runs(of: Overview, ids: Iterable[str]) -> list[Run]:
    return [of.by_id[run_id] for run_id in dict.fromkeys(ids) if run_id in of.by_id]
