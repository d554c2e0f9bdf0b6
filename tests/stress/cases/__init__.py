"""Generated cases: one module a kind, each with `attempt(draw, place)`, which raises what must not happen.

A case is decided by its number alone. What a KwsError says is allowed in every kind; so are exit codes 0 to 2.
"""

from __future__ import annotations

import importlib
import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws.errors import KwsError
from kws.recipe import TASK

# Which kind a case is, by its number.
TURNS = (
    "audio", "commands", "arrays", "archives", "registries", "audio", "lists", "commands", "arrays", "archives",
    "registries", "audio", "lists", "commands", "arrays", "archives", "registries", "audio", "audio", "audio",
)  # fmt: skip
REPORT = TASK.part("report").config(words=("yes", "no"))


class UnwantedError(Exception):
    """An end that is not allowed, though nothing was raised."""


class RefusedError(KwsError):
    """A command said no, with an exit code that it may have."""


class EscapedError(Exception):
    """Something was written, or run, where it must not be."""


@dataclass(frozen=True)
class Place:
    """Where a case happens: `materials` is shared and not to be changed, `folder` is new, empty and the current one."""

    materials: Path
    folder: Path

    @property
    def canary(self) -> Path:
        """A file that no case may make."""
        return self.folder / "canary"

    def task(self) -> Path:
        """The small task, copied so that it may be changed."""
        return shutil.copytree(self.materials / "task", self.folder / "task")


def kind_of(number: int) -> str:
    """The kind of a case."""
    return TURNS[number % len(TURNS)]


def attempt(number: int, place: Place) -> None:
    """Do a case. Raises what it raises, UnwantedError or EscapedError."""
    kind = kind_of(number)
    module: Any = importlib.import_module(f"tests.stress.cases.{kind}")
    module.attempt(random.Random(f"{kind} {number}"), place)
    if place.canary.exists():
        raise EscapedError("the canary was made")


def damaged(draw: random.Random, data: bytes) -> bytes:
    """Bytes cut off, flipped, doubled, overwritten or moved."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 5, 30))):
        if not changed:
            break
        # Half of all changes hit the beginning, where headers are.
        at = draw.randrange(len(changed) if draw.random() < 0.5 else min(len(changed), 200))
        match draw.randrange(7):
            case 0:
                del changed[at:]
            case 1:
                changed[at] = draw.choice((0, 1, 127, 128, 255, draw.randrange(256)))
            case 2:
                changed[at] ^= 1 << draw.randrange(8)
            case 3:
                changed[at : at + 4] = draw.choice(
                    (b"\xff\xff\xff\xff", bytes(4), b"\xff\xff\xff\x7f", draw.randbytes(4))
                )
            case 4:
                del changed[at : at + draw.randrange(1, 64)]
            case 5:
                changed[at:at] = draw.randbytes(draw.randrange(1, 64))
            case _:
                changed[at : at + draw.randrange(1, 400)] = draw.randbytes(draw.randrange(1, 400))
    return bytes(changed)


def nonsense(draw: random.Random) -> bytes:
    """Bytes that are nothing."""
    match draw.randrange(5):
        case 0:
            return b""
        case 1:
            return draw.randbytes(draw.choice((1, 3, 44, 1_000, 50_000)))
        case 2:
            return bytes(draw.choice((1, 12, 4_096)))
        case 3:
            return b"\xff" * draw.choice((1, 12, 4_096))
        case _:
            return (
                "This is text, naïvely called something else.\n".encode(draw.choice(("utf-8", "utf-16", "latin1"))) * 20
            )
