"""What the README shows is what the commands print and draw from the registry that came with it."""

import os
import subprocess
import sys
from pathlib import Path

from commands import ok
from matplotlib.image import imread
from places import ROOT


def registry_as_it_came(folder: Path) -> Path:
    """The registry of this checkout without the runs that were added since; the file itself outside a checkout."""
    came = subprocess.run(["git", "-C", ROOT, "show", ":experiments.db"], capture_output=True)
    if came.returncode:
        return ROOT / "experiments.db"
    (folder / "came.db").write_bytes(came.stdout)
    return folder / "came.db"


def test_the_readmes_outputs_are_those_of_the_commands(tmp_path):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "KWS_DB": str(registry_as_it_came(tmp_path))}
    pages = ["README.md", *(str(page.relative_to(ROOT)) for page in sorted((ROOT / "docs").glob("*.md")))]
    command = [sys.executable, "-m", "cogapp", "--check", "--diff", *pages]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"`make readme` brings the README up to date:\n{done.stdout}{done.stderr}"


def test_the_readmes_figure_is_that_of_the_command(tmp_path):
    where = ["--where", "arch in ('fc', 'cnn') and not softmax_before_loss"]
    ok("plot", "--kind", "optimizers", *where, "--out", tmp_path / "now.png", "--db", registry_as_it_came(tmp_path))
    shown, drawn = (imread(path) for path in (ROOT / "docs" / "optimizers.png", tmp_path / "now.png"))
    assert shown.shape == drawn.shape, "`make readme` brings the README's figure up to date"
    assert abs(shown - drawn).mean() < 1e-3, "`make readme` brings the README's figure up to date"
