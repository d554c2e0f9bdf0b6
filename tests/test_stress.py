"""The table of figures under stress: `make torture` makes them, and `make torture-quick` tries all of it."""

import sys

from places import ROOT

sys.path[:0] = [] if str(ROOT) in sys.path else [str(ROOT)]

from tests.stress.common import Part  # noqa: E402 - the repository's root is not where tests are looked for
from tests.stress.report import markdown, record  # noqa: E402


def test_figures_become_a_table():
    part = Part(name="kills")
    part.exactly("epochs lost", 1, 0)
    part.told("kills", 1_000)
    part.notes.append("a | b")
    machine = {
        "cpu": "A processor",
        "cores": 2,
        "system": "Linux",
        "python": "3",
        "sqlite": "3",
        "packages": {"kws": "1"},
    }
    results = {"machine": {**machine, "commit": "0" * 40, "changes": None}, "parts": [record(part, 1.25)]}
    text = markdown(results, quick=False)
    assert "| kills: epochs lost | 1 | 0 | **no** |" in text
    assert "| kills: kills | 1,000 |  |  |" in text
    assert "- kills: a \\| b" in text
    assert not part.holds
