"""A registry that git tracks: the first run in it shows up in `git status`, which should not surprise."""

from __future__ import annotations

import shlex
from pathlib import Path

from kws.registry.environment import output
from kws.registry.location import Location


def note(registry: Location) -> str | None:
    """What to say before a run is recorded in a file that git tracks and that has no changes yet; None elsewhere."""
    if not isinstance(registry, Path) or not registry.exists():
        return None
    path = registry.resolve()
    if not any((folder / ".git").exists() for folder in path.parents):
        return None
    for question in (("ls-files", "--error-unmatch"), ("diff", "--quiet")):  # git fails where the answer is no
        if output("git", "-C", str(path.parent), *question, "--", path.name) is None:
            return None
    name = shlex.quote(str(registry))
    return (
        f"note: git tracks {registry}, and `git status` will show that it has changed, for runs are recorded in it; "
        f"--db FILE or $KWS_DB keeps yours in another file, and `git restore {name}` drops them from this one"
    )
