"""Patience: for how long a process waits for a registry that cannot be used now, and what it says meanwhile.

A server is restarted, a network fails, another program holds a lock: the registry is then away, and comes back. Whoever
asks something of it waits for seconds; a run that has trained for hours waits for as long as its user has set.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from kws.errors import UnavailableError

T = TypeVar("T")
SECONDS = 900.0  # of a run that trains
STOP_SECONDS = 5.0  # of what is left to record once somebody has stopped the run
SHORT_SECONDS = 30.0  # of other commands: about as long as a server takes to restart
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0


@dataclass
class Patience:
    """Tries again for `seconds` what a registry that is away refused; for several threads.

    `why` is why it waits now, "" if it does not, and `since` from when on (time.monotonic()).
    """

    seconds: float = SHORT_SECONDS
    why: str = ""
    since: float = 0.0
    sleep: Callable[[float], object] = field(default=time.sleep, repr=False)
    _until: float = field(default=math.inf, init=False, repr=False)  # time.monotonic(), after which nothing is waited
    _is_over: bool = field(default=False, init=False, repr=False)  # the registry was away for too long, and is not back

    def through(self, attempt: Callable[[], T]) -> T:
        """What `attempt` returns. Raises UnavailableError once the registry has been away for `seconds`.

        After a connection was lost it is not known whether the attempt was kept: it must be one that may be made twice.
        """
        began, pause = time.monotonic(), _FIRST_PAUSE
        while True:
            try:
                made = attempt()
            except UnavailableError as error:
                left = min(began + self.seconds, self._until) - time.monotonic()
                if self._is_over or left <= 0:
                    self._is_over = True  # what is asked next, such as that the run failed, is asked once
                    raise
                self.why, self.since = error.what, began
                self.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                self.why, self._is_over = "", False
                return made

    def end_in(self, seconds: float) -> None:
        """Give up so many seconds from now, whatever is asked then."""
        self._until = min(self._until, time.monotonic() + seconds)

    def left(self) -> float:
        """In how many seconds it gives up, where it waits."""
        return max(min(self.since + self.seconds, self._until) - time.monotonic(), 0.0)


class _Patient(Protocol):
    patience: Patience


P = ParamSpec("P")
R = TypeVar("R", bound=_Patient)


def patiently(method: Callable[Concatenate[R, P], T]) -> Callable[Concatenate[R, P], T]:
    """The same transaction, made again for as long as the registry's patience lasts if the registry is away.

    Only for transactions that may be made twice: after a lost COMMIT the outcome is unknown.
    """

    @wraps(method)
    def whole(self: R, /, *arguments: P.args, **more: P.kwargs) -> T:
        return self.patience.through(lambda: method(self, *arguments, **more))

    return whole
