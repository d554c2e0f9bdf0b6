"""What the README shows is what the commands print."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_the_readmes_outputs_are_those_of_the_commands():
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "cogapp", "--check", "--diff", "-P", "README.md"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"`make readme` brings the README up to date:\n{done.stdout}{done.stderr}"
