"""The layout's promises: imports point downwards, and what is slow to import stays out of what must be quick."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

KWS = Path(__file__).resolve().parent.parent / "kws"
VOCABULARY = {"errors", "recipe", "events", "data_card", "environment", "location", "process", "stopping"}
LEARNING = {
    "speech", "architectures", "optimizers", "updates", "training", "checkpoints", "weights", "layers", "memory",
    "speed",
}  # fmt: skip
LEDGER = {"registry", "reports"}
EDGE = {
    "streams", "display", "session", "sweeps", "screens", "screens_evaluation", "dashboard", "live", "braille",
    "serving", "cli", "__init__", "__main__",
}  # fmt: skip
MAY_IMPORT = {
    "vocabulary": set(),
    "learning": LEARNING,
    "ledger": LEDGER,
    "edge": LEARNING | LEDGER | EDGE,
}
# Names, titles and defaults of networks and optimizers are read by reports; neither imports torch for them.
LISTS = {"architectures", "optimizers"}


def wing_of(part: str) -> str:
    for wing, parts in (("vocabulary", VOCABULARY), ("learning", LEARNING), ("ledger", LEDGER), ("edge", EDGE)):
        if part in parts:
            return wing
    raise AssertionError(f"kws/{part} is in no wing; say in tests/test_house.py where it belongs")


def imports_of(file: Path) -> set[str]:
    """The parts of kws that a file imports at any place: the first name after `kws.`."""
    parts = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "kws":
                parts |= {alias.name for alias in node.names}
            elif node.module.startswith("kws."):
                parts.add(node.module.split(".")[1])
    return {part for part in parts if not part.startswith("__")}


@pytest.mark.parametrize("file", sorted(KWS.rglob("*.py")), ids=lambda file: str(file.relative_to(KWS)))
def test_imports_point_downwards_only(file):
    relative = file.relative_to(KWS)
    part = relative.parts[0].removesuffix(".py")
    wing = wing_of(part)
    allowed = VOCABULARY | MAY_IMPORT[wing] | (LISTS if wing == "ledger" else set())
    wrong = imports_of(file) - allowed - {part}
    assert not wrong, f"kws/{relative} ({wing}) imports {', '.join(sorted(wrong))}, which is not below it"


@pytest.mark.parametrize("file", sorted(KWS.rglob("*.py")), ids=lambda file: str(file.relative_to(KWS)))
def test_files_can_be_read_at_one_sitting(file):
    assert len(file.read_text().splitlines()) <= 400, f"{file.relative_to(KWS)} has a seam somewhere"


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
    registry = KWS.parent / "experiments.db"
    done = subprocess.run(
        [sys.executable, "-c", program, *COMMANDS],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={
            "PATH": "",
            "PYTHONPATH": str(KWS.parent),
            "KWS_DB": str(registry),
            "KWS_CACHE": str(tmp_path),
            "MPLCONFIGDIR": str(tmp_path),
        },
    )
    assert done.stdout.splitlines() == [f"{command} 0 False" for command in COMMANDS], done.stderr


def test_help_imports_nothing_heavy():
    """Every command's, one after the other in one process."""
    heavy = ("torch", "pandas", "matplotlib", "sqlmodel", "numpy", "rich")
    program = f"""
import contextlib, io, sys, typer
from kws.cli import app

def pages(command, words):
    yield words
    for name, each in getattr(command, "commands", {{}}).items():
        yield from pages(each, [*words, name])

for words in pages(typer.main.get_command(app), []):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()) as page:
        app([*words, "--help"])
    print(" ".join(words), "Usage:" in page.getvalue(), [name for name in {heavy} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) > 25
    assert [line for line in lines if not line.endswith("True []")] == []
