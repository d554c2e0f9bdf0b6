"""Patience: for how long a process waits for a registry that cannot be used now, and what it says meanwhile.

A server is restarted, a network fails, another program holds a lock: the registry is then away, and comes back. Whoever
asks something of it waits for seconds; a run that has trained for hours waits for as long as its user has set.
"""

from __future__ import annotations

import math
import threading
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
BACK = "note: the registry is back"
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 5.0
_TOLD_SECONDS = 5.0  # for how long the registry may be away before that is said
_AGAIN_SECONDS = 60.0
_MINUTES = 120.0  # from so many seconds on, minutes are said


@dataclass
class Patience:
    """Tries again for `seconds` what a registry that is away refused; for several threads.

    `why` is why it waits now, "" if it does not, and `since` from when on (time.monotonic()). `say` gets a sentence
    once that has lasted for some seconds, then every minute, and once the registry is back; with what `meanwhile`
    returns. Only the main thread says it, which may print: while another one asks, it calls tell().
    """

    seconds: float = SHORT_SECONDS
    why: str = ""
    since: float = 0.0
    sleep: Callable[[float], object] = field(default=time.sleep, repr=False)
    say: Callable[[str], object] = field(default=lambda _: None, repr=False)
    meanwhile: Callable[[], str] = field(default=lambda: "", repr=False)
    _until: float = field(default=math.inf, init=False, repr=False)  # time.monotonic(), after which nothing is waited
    _is_over: bool = field(default=False, init=False, repr=False)  # the registry was away for too long, and is not back
    _asked: float | None = field(default=None, init=False, repr=False)  # since when an answer is waited for
    _answered: bool = field(default=True, init=False, repr=False)  # whether what was asked last succeeded
    _told: float | None = field(default=None, init=False, repr=False)  # when it was last said that it is away

    def through(self, attempt: Callable[[], T]) -> T:
        """What `attempt` returns. Raises UnavailableError once the registry has been away for `seconds`.

        After a connection was lost it is not known whether the attempt was kept: it must be one that may be made twice.
        """
        if self.has_given_up:
            raise UnavailableError(self.why or "the registry does not answer")
        began, pause = time.monotonic(), _FIRST_PAUSE
        self._asked, self._answered = began, False
        try:
            while True:
                try:
                    made = attempt()
                except UnavailableError as error:
                    left = min(began + self.seconds, self._until) - time.monotonic()
                    if self._is_over or left <= 0:
                        self._is_over = True  # what is asked next, such as that the run failed, is asked once
                        raise
                    self.since, self.why = began, error.what
                    if threading.current_thread() is threading.main_thread():
                        self.tell()
                    self.sleep(min(pause, left))
                    pause = min(2 * pause, _LONGEST_PAUSE)
                else:
                    self.why, self._is_over, self._answered = "", False, True
                    return made
        finally:
            self._asked = None
            if threading.current_thread() is threading.main_thread():
                self.tell()

    def tell(self) -> None:
        """Say that the registry is away, or does not answer, if it is time to; or that it is back."""
        now, asked, why = time.monotonic(), self._asked, self.why
        if asked is None:
            if self._told is not None and self._answered:
                self._told = None
                self.say(BACK)
        elif now - asked > _TOLD_SECONDS and (self._told is None or now - self._told > _AGAIN_SECONDS):
            self._told = now
            what = why or f"the registry has not answered for {now - asked:.0f} s"
            again = f"tries again for {_duration(self.left())}" if why else "waits for it"
            self.say(f"note: {what}; {self.meanwhile()}kws {again}")

    def end_in(self, seconds: float) -> None:
        """Give up so many seconds from now, whatever is asked then."""
        self._until = min(self._until, time.monotonic() + seconds)

    def give_up(self) -> None:
        """Ask nothing any more: what another thread has asked has not been answered in time, and may never be."""
        self._until = -math.inf

    @property
    def has_given_up(self) -> bool:
        """Whether give_up() was called; the registry's connection may still be in use then."""
        return self._until == -math.inf

    def left(self) -> float:
        """In how many seconds it gives up, where it waits."""
        return max(min(self.since + self.seconds, self._until) - time.monotonic(), 0.0)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= _MINUTES else f"{seconds:.0f} s"


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
