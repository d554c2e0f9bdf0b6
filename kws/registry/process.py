"""Process: who trains a run, so that any reader can tell whether it still does.

Standard library only. Where machine, boot and process numbers are the same, a process is looked at: it is known by its
number and when it was started, for its number alone is used again. Anywhere else it cannot be seen: two machines made
from one image are alike but for their boot, and a clock elsewhere is not ours. Such a process is taken to be gone only
after a silence that whoever asks has watched (see Watch), by a clock of its own that nothing sets. A machine is named
by a hash, for a registry is there to be passed on; containers that do not share process numbers are different machines.
"""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

HEARTBEAT_SECONDS = 20.0
SILENT_SECONDS = 90.0  # four heartbeats: one may wait for a lock for 30 s


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

    def is_alive(self) -> bool | None:
        """Whether this process runs; None where it cannot be seen from here."""
        if (self.host, self.boot) != (_host(), _boot()):
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # another user's
        started = _started(self.pid)
        return None if None in (started, self.started) else started == self.started


@dataclass
class Watch:
    """How long processes that cannot be seen have been silent while this watched them, by what they are told by."""

    _since: dict[object, tuple[object, float]] = field(default_factory=dict)

    def seconds(self, who: object, sign: object) -> float:
        """Take the last sign of life of a process; seconds since that was first seen here, 0 for a new one."""
        now = time.monotonic()
        known, since = self._since.get(who, (None, now))
        if known != sign:
            since = now
        self._since[who] = (sign, since)
        return now - since

    def forget(self, who: object) -> None:
        """The process is no longer asked for."""
        self._since.pop(who, None)


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
