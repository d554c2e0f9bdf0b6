"""Registries that are read while they are made, by processes `python -m tests.stress.making FOLDER COUNT`.

Whoever looks at a registry finds none, or one: never a file that is said to be something else. The window is a few
milliseconds wide, so many registries are made, one after the other, each while processes try to read it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from kws.errors import RegistryError
from kws.registry.reader import RegistryReader
from tests.stress.common import REPOSITORY, environment

_NONE_YET = "there is no registry at"
_SECONDS = 30.0  # for one registry to appear
_PAUSE_SECONDS = 0.02  # between two, so that readers wait for each before it is made


def make(folder: Path, count: int, readers: int) -> list[str]:
    """Make so many registries while so many processes read them; returns what they were told and should not be."""
    from kws.registry.store import Registry

    command = [sys.executable, "-m", "tests.stress.making", str(folder), str(count)]
    processes = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment())
        for _ in range(readers)
    ]
    errors: list[str] = []
    try:
        for process in processes:
            assert process.stdout
            process.stdout.readline()
        for number in range(count):
            time.sleep(_PAUSE_SECONDS)
            with Registry(_path(folder, number), create=True):
                pass
        for process in processes:
            output, _ = process.communicate(timeout=_SECONDS)
            errors += json.loads(output)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    return errors


def _path(folder: Path, number: int) -> Path:
    return folder / f"new{number}.db"


def _read(path: Path) -> list[str]:
    """Read until there is a registry; returns what was said of it before."""
    errors: list[str] = []
    until = time.monotonic() + _SECONDS
    while time.monotonic() < until:
        try:
            with RegistryReader(path) as registry:
                registry.runs()
                return errors
        except RegistryError as error:
            if _NONE_YET not in str(error):
                errors.append(str(error))
    return [*errors, f"{path} never appeared"]


def main() -> None:
    """Read one registry after the other."""
    folder, count = Path(sys.argv[1]), int(sys.argv[2])
    print("ready", flush=True)
    print(json.dumps([error for number in range(count) for error in _read(_path(folder, number))[:1]]))


if __name__ == "__main__":
    main()
