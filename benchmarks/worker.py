"""One measurement in a process of its own: `python -m benchmarks.worker ANSWER module:function '{"argument": ...}'`.

The answer goes to a file as JSON, since what is measured may print as it likes.
"""

import importlib
import json
import sys
from pathlib import Path


def main() -> None:
    """Call the function and write what it returns."""
    answer, function, arguments = sys.argv[1:]
    module, _, name = function.partition(":")
    result = getattr(importlib.import_module(f"benchmarks.{module}"), name)(**json.loads(arguments))
    Path(answer).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main()
