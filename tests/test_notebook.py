"""docs/notebook.ipynb and the examples of docs/notebook.md run, and say what they promise."""

import ast
import json
import re
import shutil

import numpy as np
import pytest
from ledger import make_recipe, train
from places import ROOT

import kws
from kws.registry.store import Registry

DOCS = ROOT / "docs"


def cells():
    notebook = json.loads((DOCS / "notebook.ipynb").read_text())
    return ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]


def shown(source, names):
    """What a notebook shows below a cell: the value of its last line, if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None


@pytest.mark.parametrize("trained", [False, True], ids=["as it came", "with a run on other clips"])
def test_the_notebook_runs_on_the_registry_that_ships(tmp_path, monkeypatch, trained):
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "experiments.db", tmp_path)
    if trained:  # as by `make train`
        with Registry(tmp_path / "experiments.db") as registry:
            train(registry, make_recipe("cnn", "adam"))
    monkeypatch.chdir(tmp_path / "docs")
    names = {}
    outputs = [shown(source, names) for source in cells()]
    _, latest, means, table, wrong, silent, *_ = outputs if outputs[0] is None else [None, *outputs]
    assert len(latest) == 5
    cnn = means.loc[("cnn", "adam")]
    listed = table[table.row.str.startswith("Convolutional") & (table.column == "Adam")]
    assert cnn["mean"] == pytest.approx(listed["mean"].iloc[0], abs=1e-9)
    assert 0 < len(wrong) < 30
    assert silent.word == "other"


def test_the_examples_of_the_page_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    first, second = re.findall(r"```python\n(.*?)```", (DOCS / "notebook.md").read_text(), re.DOTALL)
    samples = np.zeros(48_000, np.float32)
    names = {"samples": samples, "pieces": [samples]}
    exec(first.replace('"last")  #', '"dpghnmcw")  #'), names)
    assert isinstance(names["detector"], kws.Detector)
    exec(second, names)
    assert {row.arch for row in names["rows"]} == {"cnn"}
