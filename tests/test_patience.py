"""Waiting for a registry that is away: until it is back, or patience ends."""

from __future__ import annotations

import time

import pytest

from kws.errors import LostConnectionError, RegistryError, UnavailableError
from kws.registry import patience as patiences
from kws.registry.patience import Patience
from kws.sweeps.local_executor import LocalExecutor


def refused(times: int, error: Exception):
    """What fails so many times, then returns how often it was asked."""
    asked = [0]

    def attempt() -> int:
        asked[0] += 1
        if asked[0] <= times:
            raise error
        return asked[0]

    return attempt


def test_what_succeeds_is_asked_once_and_nobody_waits():
    patience = Patience(10.0, sleep=pytest.fail)
    assert patience.through(refused(0, UnavailableError("away"))) == 1
    assert patience.why == ""


@pytest.mark.parametrize("error", [UnavailableError("x.db was locked"), LostConnectionError("the connection was lost")])
def test_it_asks_again_with_longer_pauses_and_says_why_meanwhile(error):
    pauses, told = [], []
    patience = Patience(900.0)
    patience.sleep = lambda seconds: (pauses.append(seconds), told.append((patience.why, patience.left())))
    assert patience.through(refused(9, error)) == 10
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-1]) == (0.05, 5.0)
    assert {why for why, _ in told} == {error.what}
    assert all(890 < left <= 900 for _, left in told)
    assert patience.why == ""


def test_it_gives_up_after_its_seconds_and_then_asks_once():
    patience = Patience(0.2)
    start = time.monotonic()
    with pytest.raises(UnavailableError, match="away; try again when it is there"):
        patience.through(refused(10**6, UnavailableError("away")))
    assert 0.2 <= time.monotonic() - start < 5
    with pytest.raises(UnavailableError):
        patience.through(refused(1, UnavailableError("away")))


def test_whoever_stops_it_waits_no_longer():
    patience = Patience(900.0)
    patience.sleep = lambda _: patience.end_in(0.0)
    with pytest.raises(UnavailableError):
        patience.through(refused(10**6, UnavailableError("away")))


def test_nor_for_what_it_asks_next():
    """As where Ctrl-C comes while it waits, and the end of the run is to be recorded."""
    patience = Patience(900.0)

    def stops(_):
        raise KeyboardInterrupt

    patience.sleep = stops
    with pytest.raises(KeyboardInterrupt):
        patience.through(refused(10**6, UnavailableError("away")))
    patience.end_in(0.2)
    patience.sleep = time.sleep
    start = time.monotonic()
    with pytest.raises(UnavailableError):
        patience.through(refused(10**6, UnavailableError("away")))
    assert time.monotonic() - start < 5


def test_what_cannot_be_mended_by_waiting_is_raised_at_once():
    with pytest.raises(RegistryError, match="damaged"):
        Patience(900.0, sleep=pytest.fail).through(refused(1, RegistryError("damaged")))


def test_who_has_given_up_once_waits_again_when_the_registry_has_been_back():
    """A process of a sweep trains many runs: one that failed must not leave the next ones without patience."""
    patience = Patience(0.05)
    with pytest.raises(UnavailableError):
        patience.through(refused(10**6, UnavailableError("away")))
    assert patience.through(refused(0, UnavailableError("away"))) == 1
    assert patience.through(refused(1, UnavailableError("away"))) == 2


def test_it_says_why_it_waits_for_how_long_and_when_it_is_over(monkeypatch):
    monkeypatch.setattr(patiences, "_TOLD_SECONDS", 0.0)
    said = []
    patience = Patience(90.0, sleep=lambda _: None, say=said.append)
    patience.through(refused(9, UnavailableError("x.db was locked")))
    assert said == ["note: x.db was locked; kws tries again for 90 s", "note: the registry is back"]
    patience.through(refused(0, UnavailableError("x.db was locked")))
    assert len(said) == 2


def test_it_says_nothing_of_what_is_over_at_once():
    patience = Patience(90.0, sleep=lambda _: None, say=pytest.fail)
    assert patience.through(refused(3, UnavailableError("x.db was locked"))) == 4


def test_what_the_workers_of_a_sweep_say_of_an_outage_is_told_once(monkeypatch):
    monkeypatch.setattr(patiences, "_TOLD_SECONDS", 0.0)
    executor = LocalExecutor.__new__(LocalExecutor)
    executor._news, executor._told = [], {}
    for ahead, what in enumerate(("the connection was lost", "the server cannot be reached")):
        patience = Patience(900.0, sleep=lambda _: None, say=executor._note)
        patience.meanwhile = lambda ahead=ahead: f"the training goes on, {ahead} epochs ahead, and "
        patience.tell()
        patience._asked = patience.since = time.monotonic() - 9
        patience.why = what
        patience.tell()
    away = executor.news()
    assert away == [
        "note: the connection was lost; the training goes on, 0 epochs ahead, and kws tries again for 15 min"
    ]
    for _ in range(2):
        executor._note("note: the registry is back")
    assert executor.news() == ["note: the registry is back"]
    patience = Patience(900.0, say=executor._note)
    patience._asked = time.monotonic() - 9
    patience.tell()
    patience._asked = None
    patience.tell()
    assert executor.news() == [
        "note: the registry has not answered for 9 s; kws waits for it",
        "note: the registry is back",
    ]
