"""Which code a figure was measured with: the commit, and what differed from it."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Sequence

from benchmarks.measure import REPOSITORY


def git(*arguments: str) -> str | None:
    """What git says of this repository; None where it cannot."""
    try:
        done = subprocess.run(["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def changes(sources: Sequence[str]) -> str | None:
    """Twelve digits that stand for what differs from the commit in these paths; None where nothing does."""
    status = git("status", "--porcelain", "--", *sources)
    if not status:
        return None
    return hashlib.sha256(f"{status}{git('diff', 'HEAD', '--', *sources)}".encode()).hexdigest()[:12]
