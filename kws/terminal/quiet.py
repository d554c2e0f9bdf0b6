"""--quiet: no progress and no notes on stderr; errors and results are printed all the same. Standard library only."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

_before: list[TextIO | None] = []  # what stderr was, while a command is quiet


@contextlib.contextmanager
def quietly(wanted: bool) -> Iterator[None]:
    """If `wanted`, drop what the body writes on stderr, whoever writes it, but for what insist() prints."""
    if not wanted:
        yield
        return
    _before.append(sys.stderr)
    try:
        with Path(os.devnull).open("w", encoding="utf-8", errors="replace") as nothing:
            sys.stderr = nothing
            yield
    finally:
        sys.stderr = _before.pop()


def insist(message: str) -> None:
    """Print a line on stderr, even for --quiet: an error that does not end the command, or a result."""
    stream = _before[0] if _before else sys.stderr
    print(message, file=stream)  # without rich, which is slow to import
