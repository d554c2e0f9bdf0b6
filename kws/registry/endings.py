"""Endings: how the early end of a run is recorded, and where a run is kept whose registry is no longer at its path."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from kws.errors import NotOursError, RegistryError, UnavailableError
from kws.registry.binding import ReplacedError
from kws.registry.runs import INTERRUPTED, Run

if TYPE_CHECKING:
    from kws.events import DataCard
    from kws.registry.relayed import RelayedRegistry
    from kws.registry.rescue import Outcome
    from kws.registry.store import Registry


def record(
    registry: Registry | RelayedRegistry,
    run_id: str,
    card: DataCard,
    status: str,
    reason: str | None,
    say: Callable[[str], object],
    *,
    seconds: float = math.inf,
) -> bool:
    """Record that a run ended early, and why, in so many seconds; returns whether it has that status now.

    One that could not be recorded will count as lost, unless another process has it now; one that had finished before
    has finished.
    """
    try:
        end = partial(registry.end, run_id, status, reason)
        return (end() if seconds == math.inf else _in_time(registry, end, seconds)).status == status
    except ReplacedError as error:
        say(f"note: {keep_elsewhere(registry, run_id, card, str(error), status=status, reason=reason)}")
    except RegistryError as error:
        lost = "" if isinstance(error, NotOursError) else "; it will count as lost"
        say(f"note: that run {run_id} is {status} could not be recorded ({error}){lost}")
    return False


def _in_time(registry: Registry | RelayedRegistry, end: Callable[[], Run], seconds: float) -> Run:
    """What `end` returns or raises. Raises UnavailableError after so many seconds; the registry is not asked again.

    It is asked in a thread of its own: a wait for a locked file cannot be interrupted.
    """
    from concurrent.futures import Future

    ended: Future[Run] = Future()

    def work() -> None:
        try:
            ended.set_result(end())
        except BaseException as error:
            ended.set_exception(error)

    try:
        threading.Thread(target=work, daemon=True).start()
        return ended.result(seconds)
    except TimeoutError:
        why = registry.patience.why or "the registry does not answer"
        registry.patience.give_up()
        raise UnavailableError(why) from None
    except KeyboardInterrupt:  # a second one
        registry.patience.give_up()
        raise


def keep_elsewhere(
    registry: Registry | RelayedRegistry,
    run_id: str,
    card: DataCard,
    why: str,
    *,
    status: str = INTERRUPTED,
    reason: str | None = None,
    checkpoint: tuple[int, bytes] | None = None,
    outcome: Outcome | None = None,
) -> str:
    """Save a run beside its registry, whose path now leads to another file; returns a sentence that says where.

    Without a `checkpoint`, saves the last one recorded.
    """
    from kws.registry.rescue import rescue
    from kws.registry.store import Registry

    assert isinstance(registry, Registry)
    assert isinstance(registry.path, Path)  # of a server nothing is replaced
    kept = registry.kept(run_id)
    checkpoint = checkpoint or kept.checkpoint
    file = rescue(registry.path, kept, card, status=status, error=reason or why, checkpoint=checkpoint, outcome=outcome)
    registry.abandon()
    if file is None:
        return f"{why}, and what was trained could be kept nowhere"
    if file.suffix == ".safetensors":
        return f"{why}; what was trained is kept in {file}, for no registry could be made beside it"
    if not outcome:
        return f"{why}; what was trained is kept in {file}; to resume it: kws train --resume {run_id} --db {file}"
    with suppress(RegistryError):
        registry.by_id(run_id)  # the file there now may have an earlier state of the run
        return f"{why}; it ended, and is kept in {file}; to see it: kws runs show {run_id} --db {file}"
    return f"{why}; it ended, and is kept in {file}; to take it in: kws runs import {file}"
