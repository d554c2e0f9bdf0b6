"""Progress of long work in this wing: an iterator wrapped around an iterator.

The core neither prints nor draws. A slow function has a parameter `track` and calls it on what it loops over; the edge
passes a `track` that draws a bar.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

T = TypeVar("T")


@runtime_checkable
class Track(Protocol):
    """Wraps an iterable; yields the same items and may draw, in units of `unit`, how many of `total` are done."""

    def __call__(self, items: Iterable[T], /, *, total: int, what: str, unit: str = "clips") -> Iterator[T]:
        """The same items. Each counts as one, or as its length if the unit is bytes."""
        ...


def untracked(items: Iterable[T], /, *, total: int, what: str, unit: str = "clips") -> Iterator[T]:
    """A Track that shows nothing."""
    del total, what, unit
    return iter(items)
