"""A terminal shows that PyTorch is being loaded; a pipe does not."""

import io
import sys
import time

from kws.terminal import loading


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, stream, seconds, patience=0.05):
    monkeypatch.setattr(loading, "_PATIENCE", patience)
    monkeypatch.setattr(sys, "stderr", stream)
    with loading.waiting("loading PyTorch"):
        until = time.monotonic() + 60
        time.sleep(seconds)
        while isinstance(stream, Terminal) and seconds and not stream.getvalue() and time.monotonic() < until:
            time.sleep(0.01)
    return stream.getvalue()


def test_a_terminal_shows_what_it_waits_for_and_erases_it(monkeypatch):
    text = shown(monkeypatch, Terminal(), 0.2)
    assert "loading PyTorch ... 0 s" in text
    assert text.endswith("\r\x1b[2K"), "nothing of it stays"


def test_what_is_soon_over_is_not_shown(monkeypatch):
    assert shown(monkeypatch, Terminal(), 0, patience=5) == ""


def test_a_pipe_gets_nothing(monkeypatch):
    assert shown(monkeypatch, io.StringIO(), 0.2) == ""


def test_what_goes_wrong_goes_through(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    try:
        with loading.waiting("loading PyTorch"):
            raise ImportError("no torch")
    except ImportError as error:
        assert str(error) == "no torch"
    else:
        raise AssertionError("the error was swallowed")
