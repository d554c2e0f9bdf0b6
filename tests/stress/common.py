"""What every part shares: figures and what is wanted of them, a temporary folder, a child's environment."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent.parent
_DROPPED = ("KWS_", "_KWS", "OPENBLAS_", "OMP_", "MKL_")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One line of the table; `holds` is None where nothing is wanted."""

    what: str
    value: int | float | str
    wanted: str = ""
    holds: bool | None = None


@dataclass(kw_only=True)
class Part:
    """What a part gave: its figures, sentences about what went wrong, and what a program may want to know."""

    name: str
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether every figure is what it should be."""
        return all(figure.holds is not False for figure in self.figures)

    def told(self, what: str, value: float | str) -> None:
        """A figure of which nothing is wanted."""
        self.figures.append(Figure(what=what, value=value))

    def exactly(self, what: str, value: int, wanted: int) -> None:
        """A figure that must be just so."""
        self.figures.append(Figure(what=what, value=value, wanted=f"{wanted:,}", holds=value == wanted))

    def at_least(self, what: str, value: int, wanted: int) -> None:
        """A figure that must reach something."""
        self.figures.append(Figure(what=what, value=value, wanted=f"at least {wanted:,}", holds=value >= wanted))

    def note(self, sentence: str) -> None:
        """Say what went wrong, now and in the results."""
        self.notes.append(sentence)
        say(f"{self.name}: {sentence}")


def say(message: str) -> None:
    """A line on stderr."""
    print(message.encode("utf-8", "backslashreplace").decode(), file=sys.stderr, flush=True)


def environment(**more: str) -> dict[str, str]:
    """The environment of every child: nothing of the user's kws, and one thread but for what a recipe asks for."""
    kept: Mapping[str, str] = {key: value for key, value in os.environ.items() if not key.startswith(_DROPPED)}
    return {**kept, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **more}


@contextmanager
def workspace(name: str) -> Iterator[Path]:
    """A temporary folder, deleted at the end whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix=f"kws-torture-{name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_small_task(folder: Path) -> Path:
    """The tests' small task (see tests/sounds.py): four words, each a tone of its own in noise."""
    sys.path[:0] = [] if str(REPOSITORY) in sys.path else [str(REPOSITORY)]
    from tests.sounds import write_task

    return write_task(folder)
