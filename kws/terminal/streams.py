"""Standard streams that never end the work: a program whose output cannot be shown goes on, and says so at its end.

A terminal can be closed during a training, a pipe's reader can end, a disk can be full, an encoding can lack a letter,
and a daemon's child may have no stdout at all. Decisions:

- What cannot be written is dropped, below everything that prints (print, rich, Typer, csv, warnings), so that no
  caller has to expect it. stderr is tried anew each time; stdout, whose holes nobody would see, is not.
- A result that could not be printed is no success: run() then ends with exit code 1, and with one sentence on stderr,
  but for a reader that has ended, as in `kws runs list | head -1`, which is quiet.
- A letter that the encoding of stdout lacks is written as its escape, and a sentence says so at the end.
- A reader of stderr that takes nothing for PATIENCE_SECONDS, such as a pager or a terminal after Ctrl-S, is not waited
  for any longer. stdout waits for its reader, as everywhere.
- Descriptors 0 to 2 are never free for another file: a closed one is /dev/null from the start.

Standard library only, since it stands before every command.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys

TYPE_CHECKING = False  # typing is a tenth of the time of `kws --help`
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from _typeshed import ReadableBuffer

PATIENCE_SECONDS = 5.0
_ESCAPING = "kws.escaping"  # the error handler of stdout


class Stream(io.RawIOBase):
    """A file descriptor to which every write succeeds; `failure` is why the first that did not has not.

    With `patience`, what its reader does not take within so many seconds is dropped.
    """

    def __init__(self, descriptor: int, *, closed: bool = False, patience: float | None = None) -> None:
        self._descriptor, self._patience = descriptor, patience
        self._is_closed, self._stalled = closed, False
        self._written = b""  # of what is yet to be told as written
        self.failure: OSError | None = None

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal that is still there."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write what can be written at once; returns its length, or that of all where it cannot be written."""
        view = memoryview(data).cast("B")
        if self._patience is None and self.failure:
            return len(view)
        if self._written and view[: len(self._written)] == self._written:
            skipped, self._written = len(self._written), b""
            return skipped
        try:
            if self._is_closed:
                raise OSError(errno.EBADF, "it is closed")
            return self._write(view)
        except OSError as error:
            self.failure = self.failure or error
            return len(view)

    def _write(self, view: memoryview) -> int:
        if self._patience is not None:
            view = view[: select.PIPE_BUF]  # as much as a pipe takes without waiting where it has any room
            _, free, _ = select.select([], [self._descriptor], [], 0 if self._stalled else self._patience)
            self._stalled = not free
            if self._stalled:
                return len(view)
        lengths: list[int] = []
        while True:
            try:
                # A signal's handler may raise as soon as a call has returned. What was written is known even then, for
                # no Python code runs between that and its being in the list, and is not written again afterwards.
                lengths.extend(map(os.write, (self._descriptor,), (view,)))
                return lengths[0]
            except BlockingIOError:  # whoever opened it made it so, and shares it with us
                select.select([], [self._descriptor], [])
            except OSError:
                raise
            except BaseException:
                self._written = bytes(view[: sum(lengths)])
                raise


class _Escaping:
    """How stdout writes what its encoding lacks: undecodable bytes of file names as they are, all else as escapes."""

    def __init__(self) -> None:
        self.escaped = False

    def __call__(self, error: UnicodeError) -> tuple[str | bytes, int]:
        if isinstance(error, UnicodeEncodeError):
            lacking = error.object[error.start : error.end]
            try:
                return lacking.encode("ascii", "surrogateescape"), error.end
            except UnicodeError:
                self.escaped = True
        return codecs.backslashreplace_errors(error)


_escaping = _Escaping()
_guarded: dict[int, Stream] = {}


def guard() -> None:
    """Let nothing that is printed from now on raise an error; once is enough.

    A stream that is no file descriptor, such as a test's, stays as it is.
    """
    if _guarded:
        return
    closed = {descriptor for descriptor in range(3) if not _is_open(descriptor)}
    for _ in closed:  # the lowest that is free is what open() takes
        os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - it stays open to the end
    codecs.register_error(_ESCAPING, _escaping)
    sys.stdout = _stream(sys.stdout, 1, closed=1 in closed)
    sys.stderr = _stream(sys.stderr, 2, closed=2 in closed, patience=PATIENCE_SECONDS)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _stream(stream: TextIO | None, descriptor: int, *, closed: bool, patience: float | None = None) -> TextIO:
    """The same stream, guarded."""
    if stream is not None:
        try:
            if stream.fileno() != descriptor:
                return stream
        except (OSError, ValueError):  # in memory, or closed
            return stream
    encoding = getattr(stream, "encoding", None) or "utf-8"
    errors = getattr(stream, "errors", None) or "strict"
    at_once = getattr(stream, "line_buffering", descriptor == 2)
    through = getattr(stream, "write_through", False)
    if descriptor == 1 and errors in ("strict", "surrogateescape"):
        errors = _ESCAPING
    elif descriptor == 2:
        errors = "backslashreplace"
    raw = _guarded[descriptor] = Stream(descriptor, closed=closed, patience=patience)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding=encoding, errors=errors, line_buffering=at_once, write_through=through
    )


def stdout_is_gone() -> bool:
    """Whether something could not be written to stdout, so that nothing will be any more."""
    return 1 in _guarded and _guarded[1].failure is not None


def stdout_has_no_reader() -> bool:
    """Whether the reader of stdout, as `head -1` in a pipe, has ended."""
    return stdout_is_gone() and getattr(_guarded[1].failure, "errno", None) == errno.EPIPE


def run(command: Callable[[], None]) -> None:
    """Run a program with guarded streams, and end it with its exit code, or with 1 where its result was not printed."""
    guard()
    code: object = 0
    try:
        command()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:  # before there was anybody to say it
        code = 130
    sys.exit(_end(code if isinstance(code, int) else int(code is not None)))


def _end(code: int) -> int:
    sys.stdout.flush()
    if _escaping.escaped:
        encoding = codecs.lookup(sys.stdout.encoding).name
        sys.stderr.write(
            f"note: {encoding}, the encoding of stdout, lacks letters of this output, which are written as escapes; "
            "set PYTHONIOENCODING=utf-8 to write them\n"
        )
    if stdout_is_gone():
        if not stdout_has_no_reader():
            why = getattr(_guarded[1].failure, "strerror", None)
            sys.stderr.write(f"kws: the result could not be printed on stdout ({why})\n")
        code = code or 1
    sys.stderr.flush()
    return code
