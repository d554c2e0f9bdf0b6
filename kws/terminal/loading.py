"""What a terminal shows while PyTorch is imported: seconds pass, so that nobody takes kws for stuck.

The import takes two seconds, and eight when the disk has not been read before. Without rich, which takes time itself.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PATIENCE = 0.8  # seconds before anything is shown
_ERASED = "\r\x1b[2K"


def pytorch() -> None:
    """Import PyTorch; where that takes long, a terminal shows for how long."""
    if "torch" in sys.modules:
        return
    with waiting("loading PyTorch"):
        import torch  # noqa: F401 - for those who import it next


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show on a terminal (stderr) what is waited for, and for how long; in a pipe, and once it is over, nothing."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_tick, args=(what, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _tick(what: str, over: threading.Event) -> None:
    start = time.monotonic()
    if over.wait(_PATIENCE):
        return
    while True:
        sys.stderr.write(f"{_ERASED}{what} ... {time.monotonic() - start:.0f} s")
        sys.stderr.flush()
        if over.wait(0.5):
            break
    sys.stderr.write(_ERASED)
    sys.stderr.flush()
