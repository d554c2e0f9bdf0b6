"""What is slow to import stays out of the commands that only read."""

import subprocess
import sys

from places import ROOT

COMMANDS = [
    "compare",
    "compare --format latex",
    "runs list",
    "runs show last",
    "plot last",
    "watch last",
    "plot --kind optimizers --style paper",
    "plot --kind convergence --style paper",
    "plot --kind size --style paper",
    "plot last --kind confusion --style paper",
    "report report.html",
    "data list",
    "sweep --preset table1 --dry-run",
    "--version",
]


def test_what_only_reads_never_imports_torch(tmp_path):
    """One command after the other in one process; the first that imports torch is named."""
    program = """
import contextlib, io, sys
from kws.cli import app

for command in sys.argv[1:]:
    code = None
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            app(command.split())
        except SystemExit as end:
            code = end.code
    print(command, code, "torch" in sys.modules)
"""
    registry = ROOT / "experiments.db"
    done = subprocess.run(
        [sys.executable, "-c", program, *COMMANDS],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={
            "PATH": "",
            "PYTHONPATH": str(ROOT),
            "KWS_DB": str(registry),
            "KWS_CACHE": str(tmp_path),
            "MPLCONFIGDIR": str(tmp_path),
        },
    )
    assert done.stdout.splitlines() == [f"{command} 0 False" for command in COMMANDS], done.stderr
