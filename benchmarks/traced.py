"""A whole `kws` command with a watch on its training steps: `python -m benchmarks.traced REPORT train --arch cnn ...`.

It is the command itself, in its own process, whose training.step() is wrapped by two looks at the clock. The report
says when each step began and ended, how long PyTorch took to import, and the most memory that the process held. Times
are of the monotonic clock, which all processes of a system share.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Run the command, then write the report."""
    report, *sys.argv[1:] = sys.argv[1:]
    start = time.monotonic()
    import torch  # noqa: F401

    torch_import = time.monotonic() - start
    from benchmarks.measure import peak_megabytes
    from kws.__main__ import main as kws
    from kws.training import loop

    steps: list[tuple[float, float]] = []
    untraced = loop.step

    def step(*arguments: Any) -> Any:
        begin = time.monotonic()
        result = untraced(*arguments)
        steps.append((begin, time.monotonic()))
        return result

    loop.step = step
    code: Any = 0
    try:
        kws()
    except SystemExit as end:
        code = end.code
    about = {"torch_import": torch_import, "steps": steps, "peak_megabytes": peak_megabytes()}
    Path(report).write_text(json.dumps(about), encoding="utf-8")
    sys.exit(code)


if __name__ == "__main__":
    main()
