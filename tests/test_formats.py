"""Table 1 as Markdown, LaTeX, CSV and JSON: exact, stable, and whole whatever a data source is called."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ledger import ENVIRONMENT, Cards, make_card, make_run

from kws.reports.cells import Cell
from kws.reports.formats import FORMATS, as_json, comma_separated, latex, markdown
from kws.reports.metrics import METRICS
from kws.reports.table import Table
from kws.reports.table1 import tables
from kws.reports.text_tables import cell_text

FINGERPRINT = make_card().fingerprint
COMMIT = ENVIRONMENT.git_commit


def tabulated(runs, *cards) -> list[Table]:
    return tables(Cards(*(cards or [make_card()])), runs, test=False)


def small() -> list[Table]:
    """The report's numbers; its best cell over three seeds, and one place where nothing was run."""
    return tabulated(
        [
            make_run("bbbbbbbb", arch="fc", opt="sgd", test_accuracy=0.8527),
            make_run("cccccccc", arch="cnn", opt="sgd", test_accuracy=0.8959),
            make_run("dddddddd", arch="cnn", opt="adam", seed=0, test_accuracy=0.9178),
            make_run("ffffffff", arch="cnn", opt="adam", seed=1, test_accuracy=0.9078),
            make_run("gggggggg", arch="cnn", opt="adam", seed=2, test_accuracy=0.9278),
        ]
    )


def cell(**changes) -> Cell:
    values = {"row": "R", "column": "C", "arch": "cnn", "opt": "adam", "parameters": 1, "n": 1, "mean": 0.5}
    values |= {"std": None, "low": None, "high": None, "interval_over": None, "best": False, "tie": False, "p": None}
    values |= {"standard_error": None, "freedom": None, "reached": None}
    return Cell(**values | {"seeds": (0,), "runs": ("bcdfghjk",), "values": (0.5,), "commits": ()} | changes)


@pytest.mark.parametrize(
    ("metric", "given", "text"),
    [
        ("test-accuracy", cell(mean=0.9178), "91.78 %"),
        ("test-accuracy", cell(mean=0.9178, low=0.9, high=0.93), "91.78 % (90.00 to 93.00)"),
        (
            "test-accuracy",
            cell(mean=0.9178, n=3, std=0.01, low=0.9, high=0.93),
            "91.78 % ± 1.00 (90.00 to 93.00, n = 3)",
        ),
        ("test-accuracy", cell(mean=0.9, n=2, std=0.0, tie=True), "90.00 % ± 0.00 (n = 2) ="),
        ("test-accuracy", cell(mean=0.0), "0.00 %"),
        ("test-accuracy", cell(mean=1.0), "100.00 %"),
        ("parameters", cell(mean=346067.0), "346,067"),
        ("seconds", cell(mean=12.345, n=2, std=0.25), "12.3 s ± 0.2 (n = 2)"),
        ("seconds", cell(mean=663.9, n=5, std=20.3, low=638.7, high=689.1), "664 s ± 20 (639 to 689, n = 5)"),
        ("seconds", cell(mean=1234.5, n=2, std=0.0), "1,234.5 s ± 0.0 (n = 2)"),
        ("seconds", cell(mean=663.9), "663.9 s"),
        ("test-loss", cell(mean=0.12345, n=2, std=0.0567), "0.123 nats ± 0.057 (n = 2)"),
        ("test-loss", cell(mean=0.12345), "0.1235 nats"),
        ("test-accuracy", None, "-"),
    ],
)
def test_a_cell_is_its_mean_deviation_interval_and_number_of_seeds(metric, given, text):
    assert cell_text(METRICS[metric], given) == text


def test_markdown_is_a_pipe_table_under_its_caption_with_the_best_in_bold():
    assert markdown(small()) == (
        "Test accuracy after 50 epochs in minibatches of 1,024, on 6 test clips of clips "
        f"(yes, no, other; fingerprint {FINGERPRINT[:12]}). Intervals are 95 %, "
        "over seeds and test clips (speakers unknown), for a single seed over those alone; clips of one speaker "
        "are alike, so these are too narrow. The test split is small: its 6 clips alone leave a 95 % interval "
        "of 29.6 points to either side, whatever the seeds.\n"
        "\n"
        "| | SGD | Adam |\n"
        "| --- | --- | --- |\n"
        "| Fully-connected (567,171 params) | 85.27 % (35.16 to 98.41) | - |\n"
        "| Convolutional (346,067 params) | 89.59 % (38.52 to 99.16) | **91.78 % ± 1.00 (40.32 to 99.46, n = 3)** |\n"
        "\n"
        "Note: cells have from 1 to 3 seeds.\n"
    )


HEAD = (
    "metric,data,data_fingerprint,epochs,batch_size,precision,selection,row,column,arch,opt,parameters,n,mean,std,low,"
    "high,interval_over,standard_error,freedom,reached,best,tie,p,seeds,runs,values,commits\n"
)


def test_csv_has_a_line_a_cell_and_fractions():
    table = small()
    first, _, last = table[0].cells
    about = f"test-accuracy,clips,{FINGERPRINT},50,1024,fp32,final"
    head, one, _, three = comma_separated(table).splitlines(keepends=True)
    assert head == HEAD
    assert one == (
        f'{about},"Fully-connected (567,171 params)",SGD,fc,sgd,567171,1,0.8527,,{first.low!r},{first.high!r},clips,'
        f"{first.standard_error!r},{first.freedom!r},,False,False,,0,bbbbbbbb,0.8527,{COMMIT}\n"
    )
    assert three == (
        f'{about},"Convolutional (346,067 params)",Adam,cnn,adam,346067,3,{last.mean!r},{last.std!r},{last.low!r},'
        f"{last.high!r},seeds and clips,{last.standard_error!r},{last.freedom!r},,True,False,,"
        f"0 1 2,dddddddd ffffffff gggggggg,0.9178 0.9078 0.9278,{COMMIT}\n"
    )


def test_json_has_exactly_these_keys_and_values():
    table = small()[0]
    written = json.loads(as_json([table]))
    assert set(written) == {"schema", "tables"}
    assert written["schema"] == 2
    first, _, best = table.cells
    (record,) = written["tables"]
    assert set(record) == {
        *("metric", "data", "data_fingerprint", "test_clips", "epochs", "batch_size", "precision", "selection"),
        *("caption", "notes", "tested", "cells", "classes", "test_speakers", "recipes_judged", "optimism"),
        "clips_alone",
    }
    assert (record["data"], record["data_fingerprint"], record["test_clips"]) == ("clips", FINGERPRINT, 6)
    assert (record["epochs"], record["batch_size"], record["caption"]) == (50, 1024, table.caption)
    assert (record["notes"], record["tested"]) == (["cells have from 1 to 3 seeds"], False)
    assert record["cells"][0] == {
        "row": "Fully-connected (567,171 params)",
        "column": "SGD",
        "arch": "fc",
        "opt": "sgd",
        "parameters": 567_171,
        "n": 1,
        "mean": 0.8527,
        "std": None,
        "low": first.low,
        "high": first.high,
        "interval_over": "clips",
        "standard_error": first.standard_error,
        "freedom": 5,
        "reached": None,
        "best": False,
        "tie": False,
        "p": None,
        "seeds": [0],
        "runs": ["bbbbbbbb"],
        "values": [0.8527],
        "commits": [COMMIT],
    }
    last = record["cells"][-1]
    assert (last["n"], last["best"], last["runs"]) == (3, True, ["dddddddd", "ffffffff", "gggggggg"])
    assert (last["mean"], last["std"]) == (pytest.approx(0.9178), pytest.approx(0.01))
    assert (last["low"], last["high"], last["interval_over"]) == (best.low, best.high, "seeds and clips")


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_runs_give_the_same_bytes(name):
    assert FORMATS[name](small()) == FORMATS[name](small())


def test_without_runs_only_the_frame_is_left():
    assert {name: write([]) for name, write in FORMATS.items() if name != "json"} == {
        "markdown": "",
        "latex": "",
        "csv": HEAD,
    }
    assert json.loads(as_json([])) == {"schema": 2, "tables": []}


def test_each_of_several_tables_stands_for_itself():
    elsewhere = make_card("other clips")
    runs = [make_run(card=card, epochs=epochs) for card in (make_card(), elsewhere) for epochs in (5, 50)]
    found = tabulated(runs, make_card(), elsewhere)
    assert len(found) == 4
    assert markdown(found).count("Test accuracy after") == markdown(found).count("| --- |") == 4
    assert re.findall(r"\\label\{(.*?)\}", latex(found)) == ["tab:kws-1", "tab:kws-2", "tab:kws-3", "tab:kws-4"]
    assert len(list(csv.reader(io.StringIO(comma_separated(found))))) == 5
    assert len(json.loads(as_json(found))["tables"]) == 4


# Whatever a source, a network or an optimizer is called

NASTY = "a|b\\c$d%e_f&g#h{i}j~k^l<m>n*o`p[q]\"r',s"
names = st.text(max_size=20) | st.text("|\\$%_&#{}~^<>*`[]\"', \n\r\tab", max_size=12)


def any_name(test):
    """The test on any name, and on those that have gone wrong elsewhere."""
    for name in (NASTY, "a\nb", "a\n\nb", "a\rb", "a\r\nb", "\\", "a\\|b", "-", "=1+1", "\u2028", "é語🎤", ""):
        test = example(name)(test)
    return settings(max_examples=30, deadline=None)(given(names)(test))


def named(name: str) -> Table:
    """A table of two cells whose data source, network and optimizer have that name."""
    card = make_card(name)
    runs = [make_run("bbbbbbbb", card=card), make_run("cccccccc", card=card, arch=name or "x", opt=name or "x")]
    (table,) = tabulated(runs, card)
    return table


@any_name
def test_csv_gives_any_name_back(name):
    rows = list(csv.DictReader(io.StringIO(comma_separated([named(name)]), newline="")))
    assert [row["data"] for row in rows] == [name] * 2
    assert [row["row"] for row in rows] == [cell.row for cell in named(name).cells]
    assert {row["runs"] for row in rows} == {"bbbbbbbb", "cccccccc"}


@any_name
def test_json_gives_any_name_back(name):
    (record,) = json.loads(as_json([named(name)]))["tables"]
    assert record["data"] == name
    assert [cell["row"] for cell in record["cells"]] == [cell.row for cell in named(name).cells]


@any_name
def test_markdown_has_a_cell_a_column_in_every_row_whatever_the_names(name):
    table = named(name)
    lines = markdown([table]).removesuffix("\n").split("\n")
    assert len(lines) == 4 + len(table.rows)
    assert lines[1] == ""
    for line in lines[2:]:
        plain = re.sub(r"\\[\\|*_`<>\[\]]", "", line)  # what is escaped is text
        assert plain.count("|") == len(table.columns) + 2
        assert not set(plain) & set("\\_`<>[]")
    caption = re.sub(r"\\([\\|*_`<>\[\]])", r"\1", lines[0])
    assert caption == " ".join(table.caption.split())
