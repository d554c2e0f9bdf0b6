"""What a command prints on a terminal of a width: every screen is held to the same rules by the same function."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest
from commands import PROGRAM, kws, typed
from rich.cells import cell_len

WIDTHS = (80, 120, 200)
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_WORD = re.compile(r"[^\s|]*\d[^\s|]*")
_IN_PATHS = re.compile(r"(?<=[A-Za-z])/|/(?=[A-Za-z])")
_HOME = re.compile(r"\x1b\[(?:[0-9;]*H|\?1049[hl])")
_BAR_OR_CHART = re.compile("[\u2501\u2524]|^[\\s\\d.]+$")  # which a pipe does not get
_COLOUR = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[1-8]|9\d)[0-9;]*m")
_WHITE_OR_BLACK = re.compile(r"\x1b\[(?:[0-9;]*;)?(?:3[07]|9[037]|10[0-7]|4[0-7])m")


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


@contextmanager
def terminal(width: int, **environment: str) -> Iterator[Terminal]:
    """A terminal of that width, on which stdout and stderr are shown."""
    screen = Terminal()
    with pytest.MonkeyPatch.context() as patched:
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            patched.delenv(name, raising=False)
        settings = {"COLUMNS": str(width), "LINES": "40", "TERM": "xterm-256color", **environment}
        for name, value in settings.items():
            patched.setenv(name, value)
        with redirect_stdout(screen), redirect_stderr(screen):
            yield screen


def rendered(width: int, *arguments: object, **environment: str) -> str:
    """What a command prints on a terminal, stderr with it; it must succeed."""
    with terminal(width, **environment) as screen:
        try:
            PROGRAM.main([typed(argument) for argument in arguments], prog_name="kws")
        except SystemExit as end:
            assert end.code == 0, screen.getvalue()
    return screen.getvalue()


def lines_of(screen: str) -> list[str]:
    """The lines as they are seen, without colours and movements of the cursor."""
    return [line.rstrip() for line in re.split(r"[\r\n]", _ESCAPE.sub("", _HOME.sub("\n", screen)))]


def numbers_of(text: str) -> set[str]:
    """The words of a text that have digits, without the signs around them; of a path each folder is a word."""
    return {word.strip("().,;:*/\"'`") for word in _WORD.findall(_IN_PATHS.sub(" ", _ESCAPE.sub("", text)))} - {""}


def assert_readable(width: int, *arguments: object, also: str = "") -> str:
    """A command's screen, which fits, cuts no number or id, has a colour for any background, and none in a pipe.

    What it prints into a pipe tells what is a whole number; `also` has words that only a terminal shows.
    """
    screen = rendered(width, *arguments)
    piped = kws(*arguments)
    assert piped.exit_code == 0, piped.stderr
    whole = piped.stdout + piped.stderr
    assert "\x1b" not in whole
    assert "**" not in whole
    assert_fits(width, screen)
    still = "\n".join(line for line in lines_of(screen) if not _BAR_OR_CHART.search(line))
    cut = numbers_of(still) - numbers_of(whole) - numbers_of(also)
    assert not cut, cut
    assert not _WHITE_OR_BLACK.search(screen)
    if width == WIDTHS[0]:
        assert not _COLOUR.search(rendered(width, *arguments, NO_COLOR="1"))
    return screen


def assert_fits(width: int, screen: str) -> None:
    """No line is wider than the terminal."""
    for line in lines_of(screen):
        assert cell_len(line) <= width, line
