"""How long work in this wing tells how far it is: an iterator wrapped around an iterator.

The core neither prints nor draws. A function that takes long takes `track`, calls it on what it loops over, and the
edge passes one that draws a bar.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar, runtime_checkable

T = TypeVar("T")


@runtime_checkable
class Track(Protocol):
    """Wraps an iterable; yields the same items and may draw, in units of `unit`, how many of `total` are done."""

    def __call__(self, items: Iterable[T], /, *, total: int, what: str, unit: str = "clips") -> Iterator[T]:
        """The items as they are. Each counts for one, or, where the unit is bytes, for its length."""
        ...


def untracked(items: Iterable[T], /, *, total: int, what: str, unit: str = "clips") -> Iterator[T]:
    """A Track that shows nothing."""
    del total, what, unit
    return iter(items)
