"""`kws compare --check`: the cells of a paper's table against the registry's, in the forms that papers have."""

from __future__ import annotations

import json

import pytest
from commands import kws, ok, refused
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ledger import make_card, make_recipe, make_run, train
from test_formats import small, tabulated

from kws.errors import RegistryError
from kws.registry.store import Registry
from kws.reports import checking, formats, table_files

FORMS = {"markdown": ".md", "latex": ".tex", "csv": ".csv"}


def check(folder, text: str, ending: str, tables=None) -> checking.Check:
    path = folder / f"paper{ending}"
    path.write_text(text, encoding="utf-8")
    return checking.check(small() if tables is None else tables, table_files.read(path))


def checked(*arguments) -> tuple[checking.Compared, ...]:
    return check(*arguments).compared


def differing(*arguments) -> list[tuple[str, str, str]]:
    return [(each.what, each.file, each.registry) for each in check(*arguments).differing]


def unchecked(*arguments) -> list[tuple[str, str]]:
    return [(each.what, each.file) for each in check(*arguments).unchecked]


@pytest.mark.parametrize("form", FORMS)
def test_what_compare_writes_agrees_with_it(tmp_path, form):
    found = checked(tmp_path, formats.FORMATS[form](small()), FORMS[form])
    assert all(each.agrees for each in found)
    assert unchecked(tmp_path, formats.FORMATS[form](small()), FORMS[form]) == []
    assert [each.what for each in found].count("mean") == 3
    assert {"mean", "deviation", "low", "high", "n"} <= {each.what for each in found}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("was", "now", "what"),
    [("91.78", "91.79", "mean"), ("1.00", "0.99", "deviation"), ("99.46", "99.47", "high"), ("n = 3", "n = 5", "n")],
)
def test_any_number_that_is_changed_is_found(tmp_path, form, was, now, what):
    text = formats.FORMATS[form](small())
    if form == "csv":
        (last,) = [cell for cell in small()[0].cells if cell.n == 3]
        values = {"mean": last.mean, "deviation": last.std, "high": last.high}
        was = ",346067,3," if what == "n" else f",{values[what]!r},"
        now = ",346067,5," if what == "n" else was[:5] + str((int(was[5]) + 1) % 10) + was[6:]
    if form == "latex":
        was, now = was.replace(" ", "~"), now.replace(" ", "~")
    ((found, _, _),) = differing(tmp_path, text.replace(was, now, 1), FORMS[form])
    assert found == what


PAPER = r"""
We find the following. % \\begin{tabular}{l} a & b \\ c & 1 \\ \\end{tabular}
\\begin{table}
  \\begin{tabular*}{\\linewidth}[t]{@{}l|c@{\\,}c@{}}
    \\hline
    Model & \\multicolumn{1}{c}{\\textbf{SGD}} & Adam \\\\[2pt] \\hline
    Fully connected (567171 params) & $85.3$\\% & --- \\\\ \\cline{1-3}
    \\emph{Convolutional} & 89.59\\,\\% & {\\bfseries 91.8\\%} \\\\
    \\hline
  \\end{tabular*}
\\end{table}
""".replace("\\\\", "\\")


def test_a_table_as_people_write_them_is_read_at_the_precision_that_it_has(tmp_path):
    found = checked(tmp_path, PAPER, ".tex")
    assert [(each.what, each.file) for each in found] == [
        ("parameters", "567171"),
        ("mean", "85.3"),
        ("mean", "89.59"),
        ("mean", "91.8"),
        ("bold", "bold"),
    ]
    assert all(each.agrees for each in found)
    assert differing(tmp_path, PAPER.replace("85.3", "85.2"), ".tex") == [("mean", "85.2", "85.3")]
    wrong = PAPER.replace("567171", "567172")
    assert differing(tmp_path, wrong, ".tex") == [("parameters", "567172", "567171")]


def test_bold_is_for_the_best_alone(tmp_path):
    text = "| | SGD | Adam |\n|---|---|---|\n| Convolutional | **89.59 %** | 91.78 % |\n"
    assert differing(tmp_path, text, ".md") == [("bold", "bold", "not bold"), ("bold", "not bold", "bold")]
    assert differing(tmp_path, text.replace("*", ""), ".md") == []


@pytest.mark.parametrize("cell", ["0.9178", "0.918", "91.78 %", "91.78", "92 %", "91.780 %"])
def test_accuracies_may_be_fractions_or_percent(tmp_path, cell):
    assert differing(tmp_path, f"| | Adam |\n|---|---|\n| Convolutional | {cell} |\n", ".md") == []


@pytest.mark.parametrize("cell", ["0.9179", "91.7 %", "91.78.1x", "9178", "-91.78 %", "92.00 %", "n/a", "nan", "-"])
def test_other_numbers_and_none_are_found(tmp_path, cell):
    found = differing(tmp_path, f"| | Adam |\n|---|---|\n| Convolutional | {cell} |\n", ".md")
    assert len(found) == 1


def test_rows_and_columns_that_the_registry_does_not_have_are_found(tmp_path):
    text = "| | SGD | RMSprop |\n|---|---|---|\n| Convolutional | 89.59 % | 90 % |\n| Transformer | 99 % | 99 % |\n"
    assert differing(tmp_path, text, ".md") == [("column", "RMSprop", ""), ("row", "Transformer", "")]


def test_a_number_where_nothing_was_run_and_nothing_where_something_was_are_found(tmp_path):
    text = "| | SGD | Adam |\n|---|---|---|\n| Fully-connected | - | 87.96 % |\n"
    assert differing(tmp_path, text, ".md") == [("mean", "-", "85.27 %"), ("mean", "87.96 %", "")]


def test_other_tables_of_the_file_do_not_count(tmp_path):
    other = "| | a | b |\n|---|---|---|\n| x | 1 | 2 |\n\ntext\n\n"
    found = checked(tmp_path, other + formats.markdown(small()), ".md")
    assert found and all(each.agrees for each in found)


def make_run_of(epochs: int, accuracy: float):
    return make_run(f"run{epochs}", epochs=epochs, test_accuracy=accuracy)


def test_of_several_tables_the_one_that_the_caption_names_is_meant(tmp_path):
    tables = tabulated([make_run_of(5, 0.5), make_run_of(50, 0.9)])
    for table in tables:
        found = checked(tmp_path, formats.markdown([table]), ".md", tables)
        assert found and all(each.agrees for each in found)
    with pytest.raises(RegistryError, match="choose one with --data or --where"):
        checked(tmp_path, "| | Adam |\n|---|---|\n| Convolutional | 50 % |\n", ".md", tables)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("paper.pdf", b"%PDF-", "must end in .tex, .md or .csv"),
        ("paper.tex", None, "cannot be read"),
        ("paper.tex", b"no table here", "has no table"),
        ("paper.md", b"| | a |\n|---|---|\n| x | 1 |\n", "no table with rows and columns of the registry's"),
        ("paper.csv", b"", "has no table"),
        ("paper.md", b"\xff\xfe", "is not text in UTF-8"),
        ("paper.md", b"x" * 4_000_001, "larger than"),
    ],
)
def test_what_cannot_be_checked_is_told_in_one_sentence(tmp_path, name, content, why):
    with Registry(tmp_path / "experiments.db", create=True) as registry:
        train(registry, make_recipe("fc", "sgd"))
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert why in refused("compare", "--check", name)


def test_the_command_says_what_differs_and_its_exit_code_is_one(tmp_path):
    with Registry(tmp_path / "experiments.db", create=True) as registry:
        train(registry, make_recipe("fc", "sgd"), make_card())
    paper = tmp_path / "paper.md"
    paper.write_text(ok("compare", "--format", "markdown"), encoding="utf-8")
    assert ok("compare", "--check", "paper.md").endswith("figures in paper.md are the registry's\n")
    paper.write_text(paper.read_text(encoding="utf-8").replace("83.33", "84.33"), encoding="utf-8")
    result = kws("compare", "--check", "paper.md")
    assert result.exit_code == 1
    assert "Fully-connected (567,171 params), SGD: mean is 84.33 in paper.md, 83.33 in the registry" in result.stdout
    result = kws("compare", "--check", "paper.md", "--format", "json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert set(said) == {"schema", "file", "compared", "differ", "unchecked"}
    assert said["differ"] == 1 == sum(not each["agrees"] for each in said["compared"])
    assert said["unchecked"] == []


@given(st.text(max_size=300) | st.text("|-&\\\\{}%\n 0.9a", max_size=300), st.sampled_from(sorted(FORMS.values())))
@example("|\r-\r", ".md")  # a table without rows
@settings(max_examples=30, deadline=None)
def test_any_file_is_read_or_refused(tmp_path_factory, text, ending):
    folder = tmp_path_factory.mktemp("any")
    try:
        for each in checked(folder, text + formats.markdown(small()), ending):
            assert each.what
    except RegistryError as error:
        assert "\n" not in str(error) or str(folder) in str(error)
