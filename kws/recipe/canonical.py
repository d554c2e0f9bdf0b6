"""A recipe as canonical JSON: what of each part is said in it, and what a digest leaves out."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from kws.recipe.config import PLACE, options

canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def identity(config: Any, absent: bool) -> dict[str, Any]:
    """What says which part it is: its name, or for one of the user's own its source, whatever its file is called."""
    source = {"sha256": config.SHA256} if config.SHA256 else {}
    return source if source and not absent else {"name": config.NAME, **source}


@lru_cache(4096)
def told(config: Any, absent: bool) -> dict[str, Any]:
    """A part's values by name; without `absent`, not those of a run that is older than the option, nor places."""
    own: Any = type(config)
    if config.SHA256:  # a source decides its options, so that no run is older than one of them
        return dict(config.values())
    known = {each.name: each for each in options(own)}
    return {
        name: value
        for name, value in config.values().items()
        if absent or name not in known or (value != known[name].absent and known[name].role != PLACE)
    }
