"""A part of a recipe that is made up for a test: one file in a folder that its kind's package looks into as well."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kws.recipe import Kind


@contextmanager
def part(kind: Kind, name: str, text: str, folder: Path) -> Iterator[None]:
    """While this lasts, the kind has a part of that name, whose file has this text; nothing else of kws is touched."""
    place = folder / f"more_{kind.name}"
    place.mkdir()
    (place / f"{name}.py").write_text(text)
    package = importlib.import_module(kind.package)
    package.__path__.append(str(place))
    try:
        yield
    finally:
        package.__path__.remove(str(place))
        sys.modules.pop(f"{kind.package}.{name}", None)
