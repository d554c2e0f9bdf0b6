"""Reporter: the runner reports a run's progress to it. kws.terminal.progress draws that; SILENT shows nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol, TypeVar

from kws.events import DataCard, EpochEnd, IterationEnd
from kws.recipe import Recipe

if TYPE_CHECKING:
    from kws.registry.runs import Run

T = TypeVar("T")
Show = Callable[[IterationEnd | EpochEnd], None]


class Reporter(Protocol):
    """Receives what a run reports; an exception in one of these methods ends the run like one of its own."""

    def say(self, message: str) -> None:
        """A message, one sentence or several lines."""

    def track(self, items: Iterable[T], /, *, total: int, what: str, unit: str = "clips") -> Iterator[T]:
        """The same items, with their progress reported."""

    def training(
        self, run_id: str, recipe: Recipe, parameters: int, card: DataCard, *, clips: int, done: int
    ) -> AbstractContextManager[Show]:
        """A training with `clips` per epoch and `done` finished epochs; the context's value is called on each event."""

    def trained(self, run: Run, card: DataCard, processor_seconds: float | None) -> None:
        """The run has finished; its epochs took so many processor seconds, None if that is not known."""


class _Silent:
    def say(self, message: str) -> None: ...

    def track(self, items: Iterable[T], /, **_: object) -> Iterator[T]:
        return iter(items)

    def training(self, *_: object, **__: object) -> AbstractContextManager[Show]:
        return nullcontext(lambda _: None)

    def trained(self, run: Run, card: DataCard, processor_seconds: float | None) -> None: ...


class Messages(_Silent):
    """Passes messages on, and shows nothing else."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say

    def say(self, message: str) -> None:
        """A message."""
        self._say(message)


SILENT: Reporter = _Silent()
