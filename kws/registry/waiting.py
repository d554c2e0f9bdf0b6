"""Waiting for a run that was cut off where its process cannot be seen from here: until it is silent for long enough."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kws.errors import RegistryError
from kws.registry.process import SILENT_SECONDS, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from kws.registry.store import Registry

_TELL_SECONDS = 30.0  # between two messages while waiting


def wait_for_silence(registry: Registry, run_id: str, say: Callable[[str], object]) -> str | None:
    """The last sign of life of a run whose process cannot be seen from here, after SILENT_SECONDS without a new one.

    Says what it waits for. None for a run that can be seen, or that ends meanwhile. Raises RegistryError if a new
    sign of life comes.
    """
    seen, watch = registry.sighting(run_id), Watch()
    if not seen.unseen:
        return None
    say(
        f"run {run_id} runs on another machine, or did before this one was started anew; it was last seen at "
        f"{seen.last_seen}; waiting {SILENT_SECONDS:.0f} s for a sign of life"
    )
    told = 0.0
    while (silent := watch.seconds(run_id, seen.sign)) < SILENT_SECONDS:
        if silent - told > _TELL_SECONDS:
            told = silent
            say(f"no sign of run {run_id} for {silent:.0f} s; waiting {SILENT_SECONDS - silent:.0f} s more")
        time.sleep(min(1.0, SILENT_SECONDS / 10))
        now = registry.sighting(run_id)
        if not now.unseen:
            return None
        if now.sign != seen.sign:
            raise RegistryError(
                f"run {run_id} is still running, where it cannot be seen from here: it gave a sign of life at "
                f"{now.last_seen}; wait for it, or stop it and try again"
            )
    return seen.sign
