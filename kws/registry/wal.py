"""Decides whether the write-ahead log beside a registry's file belongs to that file.

SQLite accepts any log with the right name and cannot check that it belongs to the file. After `git checkout` of the
file, a killed run's log would put its rows back, or mix pages of two files. The guarantee here: a log that contains
commits is used only if the process that has it open also has this very file open. If no process has it open, the file
must not have been written or moved into place after the log's last commit, unless by a checkpoint of this log. If one
has, the index of the log (-shm) tells what checkpoints wrote, and the file must have just that; if none wrote anything
since the last commit, the file must be in the state that this tells of (the table log_base).

Inspecting a file opens and closes it, and closing it releases every lock that the process has on it (POSIX). So a file
that this process already has open is not inspected; kws.registry.files ensures that.
"""

from __future__ import annotations

import errno
import os
import re
import struct
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

try:
    import fcntl
except ImportError:  # pragma: no cover - Windows, where SQLite's locks cannot be queried
    fcntl = None  # type: ignore[assignment]

_HEADER, _FRAME, _NUMBER = struct.Struct(">8I"), struct.Struct(">6I"), struct.Struct("=I")
_MAGIC = (0x377F0682, 0x377F0683)
_COUNTER, _PAGE_SIZE = 24, 16  # offsets of the change counter and of the page size in the file's header
_LOG_SALTS, _INDEX_SALTS = 16, 32  # offsets of what differs each time the log is begun anew, in it and in the -shm
_INDEX_PAGES = 16  # offset in the -shm: of how many pages the log has
_INDEX_CHECKPOINTED, _INDEX_BEGUN = 96, 128  # offsets in the -shm: of the log's pages, how many a checkpoint has
# written into the file, and how many it has begun to
SHARED = (0x40000002, 510)  # (start, length): locked in the file by every process that has it open in WAL mode
_ALIVE = (128, 1)  # (start, length): locked in the -shm by every process that uses the log
_CHECKPOINTS = (121, 1)  # (start, length): locked in the -shm by the process that makes a checkpoint
_LOOKS, _LOOKS_MOST = 3, 20
_PROOF = 3  # pages
_LONG = 1_000  # pages
_STATE = re.compile(rb"kws log on (\d+) (\d+);")
_PAUSE_SECONDS, _SHORT_SECONDS = 0.05, 0.001
_TOGETHER_NS = 2 * 10**9  # a file and its log that are moved or copied together arrive within this time
_AT_ONCE_NS = 10**7
# struct flock: type, whence, start, length, process; 64 bits
_FLOCK = {"linux": ("hh4xqqi4x", (0, 1, 2, 3, 4)), "darwin": ("qqihh", (3, 4, 0, 1, 2))}


@dataclass
class _Log:
    """The commits in a log, oldest first, each as {page number: offset of the page's image}; and the page size.

    `least` is the fewest pages that the database had after one of them: a checkpoint writes none above what it has.
    """

    page_size: int
    commits: list[dict[int, int]] = field(default_factory=list)
    least: int = sys.maxsize


def foreign_log(file: Path) -> str | None:
    """A sentence that says why the log beside `file` is not its own and what to do; None if it is, or there is no log.

    `file` must be the real path, not a link to it: SQLite names the log after the real path.
    """
    log = Path(f"{file}-wal")
    try:
        user, has_this = _user(file)
        if user and not has_this:
            return in_use(file, user)
        if not (log.stat().st_size and file.stat().st_size):
            return None  # the log is empty, or SQLite removes it because the file is new
        for _ in range(_LOOKS_MOST):
            before = _states(file, log)
            with _opened(file) as of_file, _opened_if_there(Path(f"{file}-shm")) as of_index, no_checkpoint(of_index):
                if not is_foreign(of_file, log, of_index, in_use=bool(user)):
                    return None
            time.sleep(_PAUSE_SECONDS)
            if _states(file, log) == before and not (user and is_being_written(file)):
                break  # else the two were not read at the same moment
        user = user or _user(file)[0]  # who has opened it meanwhile
    except OSError:  # gone meanwhile, or unreadable: opening it reports that
        return None
    if user:
        return in_use(file, user)
    return (
        f"{log} is not of this {file.name} but of one that was there before; move it away (mv {log} {log}.old), "
        "or `touch` it where you know that it does belong to it, and try again"
    )


def _states(*paths: Path) -> list[tuple[int, int, int]]:
    """What changes when files are written or replaced."""
    return [(about.st_ino, about.st_size, about.st_mtime_ns) for about in map(os.stat, paths)]


def state_of(modified_ns: int, size: int) -> str:
    """How a log tells of a file in this state: last written then, and of so many bytes."""
    return f"kws log on {modified_ns} {size};"


def _states_told(page: bytes) -> Iterator[tuple[int, int]]:
    return ((int(modified_ns), int(size)) for modified_ns, size in _STATE.findall(page))


def is_long(index: int) -> bool:
    """Whether a log has 1,000 pages since it was last begun anew, after which SQLite, too, would checkpoint it.

    `index` is a descriptor of its -shm. The log's size does not tell: SQLite begins a log anew in place.
    """
    pages = _read(index, _NUMBER.size, _INDEX_PAGES)
    return len(pages) == _NUMBER.size and _NUMBER.unpack(pages)[0] >= _LONG


def in_use(file: Path, user: str) -> str:
    """The error sentence for a file whose predecessor at the same path somebody still has open."""
    return f"{user} still has the registry open that was at {file} before; wait until it has ended, and try again"


def _user(file: Path) -> tuple[str, bool]:
    """Who has the log open, and whether with this file; ("", False) for nobody, or if the system cannot tell."""
    if fcntl is None or sys.platform not in _FLOCK:
        return "", False
    who = ""
    for _ in range(_LOOKS):  # so that a process that closes both between two checks does not count as having one
        alive = _locked_by(Path(f"{file}-shm"), *_ALIVE)
        if alive is None:
            return "", False
        who = f"process {alive}" if alive > 0 else "another process"
        if _locked_by(file, *SHARED) is not None:
            return who, True
        if _locked_by(Path(f"{file}-shm"), *_ALIVE) is None:
            return "", False  # it has closed both meanwhile
        time.sleep(_PAUSE_SECONDS)
    return who, False


def _locked_by(path: Path, start: int, length: int) -> int | None:
    """The pid of another process that has locked one of these bytes; None if there is none."""
    layout, order = _FLOCK[sys.platform]
    wanted = [0] * 5
    for place, value in zip(order, (fcntl.F_WRLCK, os.SEEK_SET, start, length, 0), strict=True):
        wanted[place] = value
    try:
        with _opened(path) as file:
            told = struct.unpack(layout, fcntl.fcntl(file, fcntl.F_GETLK, struct.pack(layout, *wanted)))
    except OSError:  # the file is missing, or its file system has no locks
        return None
    return None if told[order[0]] == fcntl.F_UNLCK else told[order[4]]


@contextmanager
def no_checkpoint(index: int | None, seconds: float = _LOOKS_MOST * _PAUSE_SECONDS) -> Iterator[None]:
    """Wait until nobody makes a checkpoint, and let no other process begin one: the file stays as it is meanwhile.

    `index` is a descriptor of the -shm, if there is one. Whoever waits for so many seconds goes on.
    """
    start, length = _CHECKPOINTS
    until = time.monotonic() + seconds
    try:
        while index is not None and fcntl is not None:
            try:
                fcntl.lockf(index, fcntl.LOCK_SH | fcntl.LOCK_NB, length, start)
                break
            except OSError as error:  # else its file system has no locks
                if error.errno not in (errno.EACCES, errno.EAGAIN) or time.monotonic() > until:
                    break
                time.sleep(_SHORT_SECONDS)
        yield
    finally:  # whether or not we have it, for a signal may have come between the two
        if index is not None and fcntl is not None:
            with suppress(OSError):
                fcntl.lockf(index, fcntl.LOCK_UN, length, start)


def is_foreign(file: int, log: Path, index: int | None, *, in_use: bool) -> bool:
    """Whether a log belongs to another file, or to an earlier version of this one.

    `file` and `index` are descriptors of the file and of the log's -shm, if there is one: who has locks on them must
    not close them. The index of a log that is `in_use` is up to date; after a power failure it may tell of fewer
    checkpoints than there were. Raises OSError.
    """
    with _opened(log) as of_log:
        return _is_foreign(file, of_log, index, in_use=in_use)


def _is_foreign(file: int, log: int, index: int | None, *, in_use: bool) -> bool:
    found = _read_log(log)
    if not found.commits:
        return False
    header = _read(file, 100, 0)
    size = int.from_bytes(header[_PAGE_SIZE : _PAGE_SIZE + 2], "big")
    if (65_536 if size == 1 else size) != found.page_size:
        return True

    @cache
    def is_in_file(page: int, place: int) -> bool:
        return _read(log, found.page_size, place) == _read(file, found.page_size, (page - 1) * found.page_size)

    latest = {page: place for commit in found.commits for page, place in commit.items()}
    if all(is_in_file(*each) for each in latest.items()):
        return False  # a checkpoint has written all of the log
    checkpointed, begun = _checkpoints(index, log)
    end = _HEADER.size + (checkpointed or 0) * (_FRAME.size + found.page_size)
    if written := [each for each in latest.items() if each[1] < end and each[0] <= found.least]:
        # A reader kept the checkpoint from the rest, and from all pages that are in it once more.
        if all(is_in_file(*each) for each in written):
            return False
        if in_use:
            return True
    about = os.fstat(file)
    states = {state for place in latest.values() for state in _states_told(_read(log, found.page_size, place))}
    is_told = (about.st_mtime_ns, about.st_size) in states
    if in_use and checkpointed is not None and states:  # no checkpoint has come after the last commit
        was_begun = bool(begun) and _has_begun(found, is_in_file)  # by a process that was killed, or just now
        return not (is_told or was_begun)
    if counters := [_number(log, commit[1] + _COUNTER) for commit in found.commits if 1 in commit]:
        # Each commit that changes the first page either increments its change counter or leaves it.
        here = int.from_bytes(header[_COUNTER : _COUNTER + 4], "big")
        if not min(counters) - 1 <= here <= max(counters):
            return True
    is_newer = _is_newer(about, os.fstat(log))
    if is_newer is None:  # it may have been copied together with its log, which keeps its size
        is_copy = about.st_ctime_ns <= about.st_mtime_ns + _AT_ONCE_NS and about.st_size in {size for _, size in states}
        is_newer = bool(states) and not (is_told or is_copy)
    return is_newer and not _has_begun(found, is_in_file)


def _checkpoints(index: int | None, log: int) -> tuple[int, int] | tuple[None, None]:
    """How many of the log's pages SQLite has gone through in checkpoints, and how many it has begun to.

    They are what its index of the log says; None if it is of another log or missing. A checkpoint writes of each page
    the last image alone: one that follows later in the log is left for the next checkpoint.
    """
    if index is None or _read(index, 8, _INDEX_SALTS) != _read(log, 8, _LOG_SALTS):
        return None, None
    try:
        done, begun = (_NUMBER.unpack(_read(index, 4, at))[0] for at in (_INDEX_CHECKPOINTED, _INDEX_BEGUN))
    except struct.error:  # just being made
        return None, None
    return done, begun


def is_being_written(file: Path) -> bool:
    """Whether a checkpoint has begun that has not ended, or was killed."""
    with _opened(Path(f"{file}-wal")) as log, _opened_if_there(Path(f"{file}-shm")) as index:
        done, begun = _checkpoints(index, log)
    return done is not None and begun is not None and done < begun


def _has_begun(log: _Log, is_in_file: Callable[[int, int], bool]) -> bool:
    """Whether a checkpoint, even an interrupted one, has written part of this log into the file.

    A checkpoint writes pages in order, each as of the last commit that no reader is still behind. The first page alone
    proves nothing: two registries with a similar history may have the same one.
    """
    state: dict[int, int] = {}
    for commit in log.commits:
        state |= commit
        if all(is_in_file(page, state[page]) for page in sorted(state)[:_PROOF]):
            return True
    return False


def _is_newer(file: os.stat_result, log: os.stat_result) -> bool | None:
    """Whether the file was written after the log, or later moved into place with an older modification time.

    None if that was at the same moment, as far as the clock of the file system tells: Linux's ticks every 4 ms.
    """
    moved = file.st_ctime_ns > file.st_mtime_ns
    together = _TOGETHER_NS if log.st_ctime_ns > log.st_mtime_ns + _AT_ONCE_NS else 0  # the log was moved as well
    if file.st_mtime_ns > log.st_mtime_ns or (moved and file.st_ctime_ns > log.st_ctime_ns + together):
        return True
    is_at_once = file.st_mtime_ns == log.st_mtime_ns or (moved and file.st_ctime_ns == log.st_ctime_ns)
    return None if is_at_once else False


def _read_log(log: int) -> _Log:
    """The commits that SQLite finds in a log; checksums are not verified."""
    header = _read(log, _HEADER.size, 0)
    if len(header) < _HEADER.size:
        return _Log(0)
    magic, _, page_size, _, *salts = _HEADER.unpack(header)[:6]
    if magic not in _MAGIC or not 512 <= page_size <= 65_536:
        return _Log(0)
    found, begun = _Log(page_size), list[tuple[int, int]]()
    place, end = _HEADER.size, os.fstat(log).st_size
    while place + _FRAME.size + page_size <= end:
        frame = _read(log, _FRAME.size, place)
        if len(frame) < _FRAME.size:  # the log was cut off meanwhile
            break
        page, commits, *of = _FRAME.unpack(frame)[:4]
        if of != salts:  # left over from before the log was restarted
            break
        begun.append((page, place + _FRAME.size))
        if commits:
            found.commits.append(dict(begun))
            found.least = min(found.least, commits)
            begun.clear()
        place += _FRAME.size + page_size
    return found


def _read(file: int, size: int, place: int) -> bytes:
    if sys.platform != "win32":
        return os.pread(file, size, place)
    os.lseek(file, place, os.SEEK_SET)
    return os.read(file, size)


def _number(log: int, place: int) -> int:
    return int.from_bytes(_read(log, 4, place), "big")


def open_bare(path: Path, mode: int = os.O_RDONLY) -> int:
    """A descriptor of a file. Raises OSError. Who closes it drops all locks that its process has on the file."""
    return os.open(path, mode | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = open_bare(path)
    try:
        yield file
    finally:
        os.close(file)


@contextmanager
def _opened_if_there(path: Path) -> Iterator[int | None]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(_opened(path))
        except OSError:
            file = None
        yield file
