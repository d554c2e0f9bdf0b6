"""Process: who trains a run, so that any reader can tell whether it still does.

Standard library only. On one machine a process is known by its number, when it was started and since which boot; its
number alone is used again. On another machine only its heartbeat tells. A machine is named by a hash, for a registry is
there to be passed on; containers that do not share process numbers are different machines.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

SILENCE = timedelta(minutes=10)  # after which a process of another machine is taken to be gone
HEARTBEAT_SECONDS = 20.0


@dataclass(frozen=True, kw_only=True)
class Process:
    """A process of some machine; `boot` and `started` are whatever the system calls them, None where it does not."""

    host: str
    boot: str | None
    pid: int
    started: str | None

    @classmethod
    def here(cls) -> Process:
        """This process."""
        return cls(host=_host(), boot=_boot(), pid=os.getpid(), started=_started(os.getpid()))

    def is_gone(self, heartbeat: datetime, now: datetime) -> bool:
        """Whether this process no longer runs: seen from its own machine surely, from another by its heartbeat."""
        if self.host != _host():
            return now - heartbeat > SILENCE
        if self.boot != _boot():
            return True
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass  # another user's
        started = _started(self.pid)
        return started != self.started if started else now - heartbeat > SILENCE


@cache
def _host() -> str:
    parts = [platform.node()]
    with suppress(OSError):
        parts.append(Path("/etc/machine-id").read_text(encoding="ascii"))
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()[:16]


@cache
def _boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return _output("sysctl", "-n", "kern.bootsessionuuid")


def _started(pid: int) -> str | None:
    """When a process was started; "ended" for one that only waits to be noticed, None where nothing tells."""
    try:
        # The name in brackets may hold anything; after it come the state (field 3) and, as field 22, the start.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return _output("ps", "-o", "lstart=", "-p", str(pid)) if not Path("/proc/self/stat").exists() else None
    return "ended" if fields[0] in "ZX" else fields[19]


def _output(*command: str) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
