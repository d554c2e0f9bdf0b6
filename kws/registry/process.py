"""Process: identifies the process that trains a run, so that any reader can check whether it is still alive.

Standard library only. On the same machine, boot and pid namespace a process is checked directly, by its pid and start
time, since pids are reused. From anywhere else it cannot be observed: two machines made from one image differ only in
their boot, and another machine's clock cannot be compared with ours. Such a process counts as dead only after a silence
that the observer itself has watched (see Watch), measured by its own monotonic clock. A machine's name is stored as a
hash, since registries are meant to be shared. Containers that do not share pids count as different machines.
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
    """A process on some machine; `boot` and `started` are the system's own texts for them, None if it has none."""

    host: str
    boot: str | None
    pid: int
    started: str | None

    @classmethod
    def here(cls) -> Process:
        """This process."""
        return cls(host=_host(), boot=_boot(), pid=os.getpid(), started=_started(os.getpid()))

    def is_alive(self) -> bool | None:
        """Whether this process is running; None if it cannot be observed from here."""
        if (self.host, self.boot) != (_host(), _boot()):
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # it runs as another user
        started = _started(self.pid)
        return None if None in (started, self.started) else started == self.started


@dataclass
class Watch:
    """How long processes that cannot be observed have been silent while watched, by an id that the caller chooses.

    Where two looks are further apart than was meant, HEARTBEAT_SECONDS more count and no others: while the registry is
    away, nobody can look, nor give a sign of life.
    """

    _seen: dict[object, tuple[object, float, float]] = field(default_factory=dict)  # the sign, when, the silence then

    def seconds(self, who: object, sign: object, *, every: float = 0.0) -> float:
        """Seconds of silence since `sign`, the latest heartbeat of process `who`, was first passed here; 0 at first.

        The caller meant to look after `every` seconds.
        """
        now = time.monotonic()
        known, looked, silent = self._seen.get(who, (None, now, 0.0))
        silent = silent + min(now - looked, every + HEARTBEAT_SECONDS) if known == sign else 0.0
        self._seen[who] = (sign, now, silent)
        return silent

    def forget(self, who: object) -> None:
        """Stop watching a process."""
        self._seen.pop(who, None)


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
    """When a process was started; "ended" for a zombie, None if the system does not report it."""
    try:
        # The name in parentheses may contain anything; after it come the state (field 3) and the start time (field 22).
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
