"""Standard streams that never abort the work: a program continues if its output cannot be written, and says so at exit.

A terminal can be closed during training, a pipe's reader can exit, a disk can be full, an encoding can lack a
character, and a daemon's child may have no stdout at all. Decisions:

- Output that cannot be written is dropped, below everything that prints (print, rich, Typer, csv, warnings), so that no
  caller has to handle it. stderr is tried again each time. stdout is not, since nobody would notice the gap.
- A result that could not be printed is not a success: run() exits with code 1 and one sentence on stderr. If the reader
  has exited, as in `kws runs list | head -1`, there is no sentence.
- A character that the encoding of stdout lacks is written as an escape, and a note at exit says so.
- If the reader of stderr takes nothing for PATIENCE_SECONDS, such as a pager or a terminal after Ctrl-S, kws stops
  waiting for it. stdout waits for its reader, as in every program.
- Descriptors 0 to 2 are never free for another file: a closed one is opened as /dev/null at the start.

Standard library only, since this module runs before every command.
"""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys

TYPE_CHECKING = False  # importing typing takes a tenth of the time of `kws --help`
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from _typeshed import ReadableBuffer

PATIENCE_SECONDS = 5.0
_ESCAPING = "kws.escaping"  # the error handler of stdout


class Stream(io.RawIOBase):
    """A file descriptor to which every write appears to succeed; `failure` is the error of the first that did not.

    With `patience`, output that the reader does not take within so many seconds is dropped.
    """

    def __init__(self, descriptor: int, *, closed: bool = False, patience: float | None = None) -> None:
        self._descriptor, self._patience = descriptor, patience
        self._is_closed, self._stalled = closed, False
        self._written = b""  # already on the descriptor, but not yet returned by write()
        self.failure: OSError | None = None

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal that is still open."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: ReadableBuffer, /) -> int:
        """Write as much as fits at once; returns its length, or the full length if the data is dropped."""
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
            view = view[: select.PIPE_BUF]  # a pipe with any room takes this much without blocking
            _, free, _ = select.select([], [self._descriptor], [], 0 if self._stalled else self._patience)
            self._stalled = not free
            if self._stalled:
                return len(view)
        lengths: list[int] = []
        while True:
            try:
                # A signal handler may raise as soon as a call has returned. Even then the written length is known,
                # since no Python code runs between os.write() and the list. So nothing is written twice.
                lengths.extend(map(os.write, (self._descriptor,), (view,)))
                return lengths[0]
            except BlockingIOError:  # another process that shares the descriptor made it non-blocking
                select.select([], [self._descriptor], [])
            except OSError:
                raise
            except BaseException:
                self._written = bytes(view[: sum(lengths)])
                raise


class _Escaping:
    """stdout's error handler: writes undecodable bytes of file names unchanged, other missing characters as escapes."""

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
    """Replace stdout and stderr by streams that never raise; further calls do nothing.

    A stream that is not a file descriptor, such as a test's, is left unchanged.
    """
    if _guarded:
        return
    closed = {descriptor for descriptor in range(3) if not _is_open(descriptor)}
    for _ in closed:  # open() takes the lowest free descriptor
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
    """Whether a write to stdout has failed; everything after it is dropped."""
    return 1 in _guarded and _guarded[1].failure is not None


def stdout_has_no_reader() -> bool:
    """Whether the reader of stdout has exited, such as `head -1` in a pipe."""
    return stdout_is_gone() and getattr(_guarded[1].failure, "errno", None) == errno.EPIPE


def run(command: Callable[[], None]) -> None:
    """Run a program with guarded streams and exit with its exit code, or with 1 if its result was not printed."""
    guard()
    code: object = 0
    try:
        command()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:  # before the command's own handler was in place
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
