"""The `kws` program, also as `python -m kws`.

`kws --help` is a page that never changes between releases, so it is printed as it stands in help.txt, without importing
what parses options; `make readme` writes that file, and a test holds it to what the parser would say.
"""

import gc
import os
import sys
from pathlib import Path

import kws
from kws.terminal import colours, streams

HELP = Path(__file__).parent / "cli" / "help.txt"


def main() -> None:
    """Run the command line, whatever becomes of what it prints (see kws.terminal.streams)."""
    streams.run(_run)


def _run() -> None:
    if sys.argv[1:] in (["--help"], ["-h"]) and "_KWS_COMPLETE" not in os.environ:
        sys.stdout.write(colours.page(HELP.read_text(encoding="utf-8"), sys.stdout))
        return
    gc.set_threshold(kws.ALLOCATIONS)
    try:
        from kws.cli import main as run

        run()
    finally:
        gc.freeze()  # else Python searches all that was imported for cycles as it ends: a sixth of `kws compare`


if __name__ == "__main__":
    main()
