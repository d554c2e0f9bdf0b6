"""The layout's promises: imports point downwards, and what is slow to import stays out of what must be quick."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

KWS = Path(__file__).resolve().parent.parent / "kws"
VOCABULARY = {"errors", "recipe", "events"}
# A room may import those that stand before it in its own wing, the vocabulary, and what is named here beside it.
LEARNING = ("speech", "architectures", "training", "inference")
LEDGER = ("registry", "reports")
EDGE = ("sweeps", "terminal", "api", "cli")
# Of numpy alone, and less: both wings must mean the same by a threshold.
CALIBRATION = {"kws.inference.calibration", "kws.inference.card"}
RUNNER = {"kws.training.runner", "kws.training.reporter"}  # alone in the learning wing, they know the registry


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(KWS.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in sorted(KWS.rglob("*.py"))}


def imports_of(file: Path) -> set[str]:
    """The modules of kws that a file imports, at any place in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kws":
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name for name in names if name in MODULES} | ({node.module} if names - MODULES.keys() else set())
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
    return found - {module_of(file)}


def rooms_below(room: str) -> set[str]:
    for wing in (LEARNING, LEDGER):
        if room in wing:
            return {*VOCABULARY, *wing[: wing.index(room) + 1]}
    if room in VOCABULARY:
        return VOCABULARY
    assert room in EDGE, f"kws/{room} is no room and no wing knows it; say in tests/test_house.py where it belongs"
    return {*VOCABULARY, *LEARNING, *LEDGER, *EDGE}


@pytest.mark.parametrize("module", [name for name in MODULES if name.count(".") > 1])
def test_imports_point_downwards_only(module):
    room = module.split(".")[1]
    allowed = rooms_below(room)
    for name in imports_of(MODULES[module]) - {"kws"}:
        beside = module in RUNNER and name.startswith("kws.registry.")
        beside = beside or (room == "reports" and name in CALIBRATION)
        assert beside or name.split(".")[1] in allowed, f"{module} imports {name}, which is not below it"


def test_beside_the_rooms_there_is_the_vocabulary_alone_which_imports_nothing_else_of_kws():
    loose = {file.stem for file in KWS.glob("*.py")} - {"__init__", "__main__"}
    assert loose == VOCABULARY - {"recipe"}  # which is a folder
    for name in loose:
        assert {each.split(".")[1] for each in imports_of(KWS / f"{name}.py")} <= VOCABULARY


def test_no_imports_go_in_a_circle():
    """But for the package itself, whose `kws.open` and the like are imported when they are asked for."""
    graphlib.TopologicalSorter({name: imports_of(file) - {"kws"} for name, file in MODULES.items()}).prepare()


@pytest.mark.parametrize("file", sorted(KWS.rglob("*.py")), ids=lambda file: str(file.relative_to(KWS)))
def test_files_can_be_read_at_one_sitting(file):
    assert len(file.read_text().splitlines()) <= 400, f"{file.relative_to(KWS)} has a seam somewhere"


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
