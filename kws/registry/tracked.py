"""A registry that git tracks: the first run in it shows up in `git status`, which should not surprise."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from kws.registry.location import Location


def note(registry: Location) -> str | None:
    """What to say before a run is recorded in a file that git tracks and that has no changes yet; None elsewhere."""
    if not isinstance(registry, Path) or not registry.exists():
        return None
    path = registry.resolve()
    if not any((folder / ".git").exists() for folder in path.parents):
        return None
    if not _git(path, "ls-files", "--error-unmatch") or not _git(path, "diff", "--quiet"):
        return None
    name = shlex.quote(str(registry))
    return (
        f"note: git tracks {registry}, and `git status` will show that it has changed, for runs are recorded in it; "
        f"--db FILE or $KWS_DB keeps yours in another file, and `git restore {name}` drops them from this one"
    )


def _git(path: Path, *command: str) -> bool:
    """Whether a command of git about a file succeeds, in the file's own repository."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(path.parent), *command, "--", path.name], capture_output=True, timeout=10, env=settings
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
