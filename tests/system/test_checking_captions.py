"""`kws compare --check`: what stands around a table's cells, in the registry's words or in its author's."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from commands import kws, ok
from ledger import make_card, make_recipe, make_run, train
from test_checking import FORMS, check, differing, unchecked
from test_formats import tabulated

from kws.registry.store import Registry
from kws.reports import formats
from kws.reports.markdown_tables import markdown
from kws.reports.table import Table

FINGERPRINT = make_card("speech_commands", clips=1_200).fingerprint


def report(**recipe) -> list[Table]:
    """A table of two networks and two optimizers at three seeds each, of which one cell is the best and one a tie."""
    card = make_card("speech_commands", clips=1_200)
    runs = [
        make_run(
            f"{arch}{opt}{seed}", card=card, arch=arch, opt=opt, seed=seed, test_accuracy=at + seed / 100, **recipe
        )
        for arch, opt, at in (("fc", "sgd", 0.85), ("fc", "adam", 0.87), ("cnn", "sgd", 0.90), ("cnn", "adam", 0.91))
        for seed in range(3)
    ]
    (table,) = tabulated(runs, card)
    cells = (replace(cell, tie=(cell.arch, cell.opt) == ("cnn", "sgd")) for cell in table.cells)
    return [replace(table, cells=tuple(cells), tested=True)]


def judged() -> list[Table]:
    """The same where speakers are known, by a split that has judged some recipes."""
    (table,) = report()
    cells = (replace(cell, interval_over="seeds and speakers") for cell in table.cells)
    return [replace(table, cells=tuple(cells), test_speakers=226, recipes_judged=12, optimism=0.0031)]


ROWS = """
| | SGD | Adam |
|---|---|---|
| Fully-connected | 86.0 | 88.0 |
| Convolutional | 91.0 | **92.0** |
"""


def under(caption: str) -> str:
    return f"{caption}\n{ROWS}"


def test_a_false_caption_over_a_true_table_is_found(tmp_path):
    text = formats.markdown(report())
    for was, now in (
        ("50 epochs", "10 epochs"),
        ("minibatches of 1,024", "minibatches of 64"),
        ("1,200 test", "99,999 test"),
        (FINGERPRINT[:12], "0123456789ab"),
        (" (85.5", " = (85.5"),
    ):
        assert was in text
        assert len(differing(tmp_path, formats.markdown(report()).replace(was, now, 1), ".md", report())) == 1
        text = text.replace(was, now, 1)
    found = differing(tmp_path, text, ".md", report())
    assert [(what, file) for what, file, _ in found] == [
        ("tie", "="),
        ("epochs", "10"),
        ("minibatch", "64"),
        ("clips", "99999"),
        ("fingerprint", "0123456789ab"),
    ]


TRUE = [
    "We train for 50 epochs with a batch size of 1024 and report means over three seeds.",
    "Accuracy on the 1,200 test clips of Speech Commands (n = 3); 50 epochs, mini-batches of size 1024.",
    "Test accuracy after fifty epochs, 1,024 clips per batch, over 3 random seeds; 95 % confidence intervals.",
    f"Test set of 1200 clips, fingerprint: `{FINGERPRINT[:8]}`. The networks have 567,171 and 346,067 parameters.",
    "**Table 1.** Test accuracy at the last epoch in fp32, epochs = 50, batch size = 1024, seeds = 3.",
    "*Table 1. Accuracy on 1200 clips after 50 epochs, batches of 1,024.*",
    "Test accuracy after 50 epochs in batches of 1,024, on the 1,200 test utterances.",
    "Our networks &amp; optimizers: 50-epoch trainings, batches of 1024; see Section 4, Figure 2, Smith et al. (2019).",
]


@pytest.mark.parametrize("caption", TRUE)
def test_an_authors_own_words_are_understood(tmp_path, caption):
    found = check(tmp_path, under(caption), ".md", report())
    assert found.differing == () == found.unchecked
    assert len(found.compared) > 5


@pytest.mark.parametrize(
    ("caption", "what", "says"),
    [
        ("We train for 51 epochs with a batch size of 1024.", "epochs", "51"),
        ("We train for ten epochs.", "epochs", "ten"),
        ("We train for 50 epochs with a batch size of 1023.", "minibatch", "1023"),
        ("1,023 clips per batch.", "minibatch", "1023"),
        ("On 1,201 test utterances.", "clips", "1201"),
        ("The test set has 1201 clips.", "clips", "1201"),
        ("Means over four seeds.", "n", "four"),
        ("Means of n = 4 trainings.", "n", "4"),
        ("Data of fingerprint deadbeef.", "fingerprint", "deadbeef"),
        ("Trained in bf16.", "precision", "bf16"),
        ("The best epoch on the validation split is tested.", "selection", "best"),
        ("Networks of 567,172 parameters.", "parameters", "567172"),
        ("With 99 % confidence intervals.", "confidence", "99"),
    ],
)
@pytest.mark.parametrize("place", ["above", "below"])
def test_an_authors_false_words_are_found(tmp_path, caption, what, says, place):
    text = under(caption) if place == "above" else f"{ROWS}\n{caption}\n"
    assert [(each[0], each[1]) for each in differing(tmp_path, text, ".md", report())] == [(what, says)]


@pytest.mark.parametrize(
    ("caption", "left"),
    [
        ("The margin is 12.3 points.", [("number", "12.3")]),
        ("Trained on 9,843 clips, 50 epochs.", [("number", "9843")]),
        ("Learned by v2.1.0 of our code.", [("number", "v2.1.0")]),
        ("Note: the colours are ours.", [("note", "the colours are ours.")]),
    ],
)
def test_what_nothing_explains_is_unchecked(tmp_path, caption, left):
    found = check(tmp_path, under(caption), ".md", report())
    assert not found.differing
    assert [(each.what, each.file) for each in found.unchecked] == left
    assert found.sentence("paper.md").endswith("figures in paper.md are the registry's; 1 more could not be checked")


@pytest.mark.parametrize(
    ("was", "now", "what"),
    [
        ("Test accuracy after", "Validation accuracy after", "metric"),
        ("Test accuracy after", "Test loss after", "metric"),
        ("of speech\\_commands (", "of mini\\_speech\\_commands (", "data"),
        ("of speech\\_commands (", "of yes\\_no (", "data"),
        ("of speech\\_commands (", "of commands (", "data"),
        ("after 50 epochs", "at the best on the validation split of 50 epochs", "selection"),
        ("minibatches of 1,024", "minibatches of 1,024 in bf16", "precision"),
        ("what cannot be told", "what can be told", "words"),
        ("over seeds and 226 test speakers", "over 226 test clips", "words"),
        ("over seeds", "over clips", "words"),
        ("226 test speakers", "226 test clips", "words"),
        ("226 test speakers", "227 test speakers", "number"),
        ("Bonferroni's", "Holm's", "words"),
        ("(5 %,", "(1 %,", "number"),
        ("all pairs of", "no pairs of", "words"),
        ("judged 12 recipes", "judged 13 recipes", "number"),
        ("look 0.31 points", "look 0.13 points", "number"),
        ("better than it is", "worse than it is", "words"),
        ("has judged", "has not judged", "words"),
        ("Intervals are 95 %", "Intervals are 99 %", "confidence"),
    ],
)
def test_a_fact_of_the_registrys_caption_that_is_changed_is_found(tmp_path, was, now, what):
    text = formats.markdown(judged())
    assert was in text
    assert what in [each[0] for each in differing(tmp_path, text.replace(was, now, 1), ".md", judged())]


def test_a_word_that_is_other_in_a_sentence_of_the_registrys_is_unchecked(tmp_path):
    text = formats.markdown(judged())
    for was, now in (
        ("226 test speakers", "1,200 test clips (speakers unknown)"),
        ("226 test speakers", "226 validation and test speakers"),
        ("over all pairs", "under all pairs"),
        ("points better", "percent better"),
        ("than it is.", "than others."),
    ):
        assert was in text
        left = unchecked(tmp_path, text.replace(was, now), ".md", judged())
        assert [what for what, _ in left] == ["words"], (now, left)


def test_a_caption_of_other_words_that_says_a_number_as_the_registry_does_is_compared(tmp_path):
    table = replace(report()[0], notes=("this split has judged 12 recipes", "runs differ in devices: cpu, cuda"))
    text = formats.markdown([table])
    assert unchecked(tmp_path, text, ".md", [table]) == []
    for was, now in (("12 recipes", "13 recipes"), ("cpu, cuda", "cpu, mps"), ("cpu, cuda", "not cpu, cuda")):
        assert len(differing(tmp_path, text.replace(was, now), ".md", [table])) == 1
    assert differing(tmp_path, text.replace("Note: runs differ in devices: cpu, cuda.\n", ""), ".md", [table]) == []


def test_ties_are_all_marked_once_one_is_or_the_caption_explains_the_mark(tmp_path):
    bare = formats.markdown(report()).replace(") =", ")")
    assert [each[0] for each in differing(tmp_path, bare, ".md", report())] == ["tie"]
    assert differing(tmp_path, ROWS, ".md", report()) == []
    marked = ROWS.replace("88.0", "88.0 =")
    assert [each[0] for each in differing(tmp_path, marked, ".md", report())] == ["tie", "tie"]


@pytest.mark.parametrize(
    ("cell", "found", "left"),
    [
        ("91.0 ± 1.0 (n = 3)", [], []),
        ("91.0 (1.0)", [], []),
        ("91.0 (3)", [], []),
        ("91.0 (1.1)", [], ["1.1"]),
        ("0.91 ± 0.01", [], []),
        ("91.0 %†", [], ["†"]),
        ("91.0 nats", ["words"], []),
        ("91.0 (88.7\u201392.9)", [], []),
        ("91.0 [88.7, 92.8]", ["high"], []),
        ("91.0, p = 0.5", ["p"], []),
        ("91.0 %, 7 of 9 dogs", [], ["7", "9", "dogs"]),
    ],
)
def test_every_part_of_a_cell_is_compared_or_unchecked(tmp_path, cell, found, left):
    text = ROWS.replace("| 91.0 |", f"| {cell} |")
    assert [each[0] for each in differing(tmp_path, text, ".md", report())] == found
    assert [each[1] for each in unchecked(tmp_path, text, ".md", report())] == left


def test_a_p_value_is_the_registrys_or_bounds_it(tmp_path):
    (table,) = report()
    with_p = [replace(table, cells=tuple(replace(cell, p=0.03) for cell in table.cells))]
    for cell, wrong in (("p = 0.03", 0), ("p = 0.04", 1), ("p < 0.05", 0), ("p < 0.01", 1), ("p > 0.01", 0)):
        text = ROWS.replace("86.0", f"86.0 ({cell})")
        assert len(differing(tmp_path, text, ".md", with_p)) == wrong


def test_rows_columns_and_cells_that_are_left_out_or_added_are_told(tmp_path):
    left_out = ROWS.replace("| Fully-connected | 86.0 | 88.0 |\n", "")
    assert [each.registry for each in check(tmp_path, left_out, ".md", report()).unchecked] == [
        "Fully-connected (567,171 params)"
    ]
    sentence = check(tmp_path, left_out, ".md", report()).sentence("it")
    assert sentence.endswith("; 1 of the registry's rows and columns are not in it")
    short = ROWS.replace("| 86.0 | 88.0 |", "| 86.0 |")
    assert differing(tmp_path, short, ".md", report()) == [("mean", "nothing", "88.00 %")]
    twice = ROWS + "| Convolutional | 91.0 | **92.0** |\n"
    assert differing(tmp_path, twice, ".md", report()) == [("row", "Convolutional again", "")]
    more = ROWS.replace("88.0 |", "88.0 | 89.0 |")
    assert differing(tmp_path, more, ".md", report()) == [("cell", "89.0", "")]


@pytest.mark.parametrize(
    ("parameters", "wrong"), [("567,171", 0), ("567k", 0), ("0.57M", 0), ("568k", 1), ("0.56M", 1), ("567,172", 1)]
)
def test_parameters_are_compared_in_a_row_and_in_a_column_of_their_own(tmp_path, parameters, wrong):
    text = ROWS.replace("Fully-connected", f"Fully-connected ({parameters} params)")
    assert len(differing(tmp_path, text, ".md", report())) == wrong
    text = f"| Model | Params | SGD | Adam |\n|---|---|---|---|\n| Fully connected | {parameters} | 86.0 | 88.0 |\n"
    assert len(differing(tmp_path, text, ".md", report())) == wrong


def test_text_further_away_in_the_section_is_unchecked_where_it_says_otherwise(tmp_path):
    results = f"Elsewhere 5 epochs were enough.\n\nAfter 50 epochs.\n{ROWS}"
    text = f"# Other\n\n7 epochs.\n\n# Results\n\n{results}\n\n# Next\n\n8 epochs."
    found = check(tmp_path, text, ".md", report())
    assert found.differing == ()
    assert [(each.what, each.file) for each in found.unchecked] == [("epochs", "5")]


FLOAT = r"""
We trained 7 networks for 3 epochs. % 4 epochs
\newcommand{\best}[1]{\textbf{#1}}
\begin{table*}[t]
  \caption[After 50 epochs]{Test accuracy [\%], mean and 95\,\% confidence interval over $n=3$ seeds, trained for
  50~epochs with mini-batches of size~1\,024~\cite{kingma2015}; 1{,}200 test clips.}
  \label{tab:main1}
  \centering\small\setlength{\tabcolsep}{4pt}\renewcommand{\arraystretch}{1.2}
  \resizebox{0.9\linewidth}{!}{%
  \begin{tabular}{@{}lcc@{}}
    \toprule
    & SGD & Adam \\ \cmidrule(lr){2-3}
    Fully-connected & $86.00_{\pm 1.00}$ & 88.00 $\pm$ 1.00 [85.55, 90.08] \\[2pt]
    Convolutional & \num{91.0} & \best{92.0} (89.69--93.83) \\
    \bottomrule
  \end{tabular}}
  \begin{tablenotes}\item Three seeds each.\end{tablenotes}
\end{table*}
"""


def test_a_float_as_people_write_it_is_read_whole(tmp_path):
    found = check(tmp_path, FLOAT, ".tex", report())
    assert found.differing == () == found.unchecked
    for was, now in (
        ("After 50", "After 49"),
        (r"95\,\%", r"90\,\%"),
        ("n=3", "n=4"),
        ("50~epochs", "51~epochs"),
        (r"1\,024", r"1\,023"),
        ("1{,}200", "1{,}201"),
        ("pm 1.00", "pm 1.01"),
        ("90.08", "90.09"),
        ("--93.83", "--93.82"),
        (r"& \num", r"& \bf\num"),
        ("Three seeds", "Four seeds"),
    ):
        assert was in FLOAT
        assert len(differing(tmp_path, FLOAT.replace(was, now, 1), ".tex", report())) == 1, was


def test_a_heading_over_the_table_and_names_below_a_line_of_others_are_read(tmp_path):
    assert differing(tmp_path, f"## 3.1 After 49 epochs\n{ROWS}", ".md", report()) == [("epochs", "49", "50")]
    names = "& \\multicolumn{2}{c}{Optimizer} \\\\ Network & SGD & Adam \\\\"
    table = f"\\begin{{tabular}}{{lcc}} {names} Convolutional & 91.0 & 92.1 \\\\"
    found = check(tmp_path, table + "\\end{tabular}", ".tex", report())
    assert [(each.what, each.file) for each in found.differing] == [("mean", "92.1")]


def test_the_caption_of_a_longtable_is_read(tmp_path):
    text = (
        "\\begin{longtable}{lc}\n\\caption{Test accuracy after 40 epochs\\label{x}}\\\\\n"
        "\\toprule & SGD \\\\ \\endhead\nConvolutional & 91.0 \\\\\n\\end{longtable}\n"
    )
    assert differing(tmp_path, text, ".tex", report()) == [("epochs", "40", "50")]


@pytest.mark.parametrize("form", FORMS)
def test_of_tables_with_other_conditions_each_is_held_to_its_own_caption(tmp_path, form):
    tables = report(epochs=5) + report(epochs=50)
    text = formats.FORMATS[form](tables)
    found = check(tmp_path, text, FORMS[form], tables)
    assert found.differing == () == found.unchecked
    if form != "csv":
        for was, now in (("after 5 epochs", "after 50 epochs"), ("after 50 epochs", "after 5 epochs")):
            swapped = text.replace(was, now, 1)
            again = check(tmp_path, swapped, FORMS[form], tables)
            assert again.differing == (), "the cells are the same, so each may have this caption"
        assert differing(tmp_path, text.replace("after 5 epochs", "after 6 epochs"), FORMS[form], tables)


def test_strict_makes_what_cannot_be_checked_count(tmp_path):
    with Registry(tmp_path / "experiments.db", create=True) as registry:
        train(registry, make_recipe("fc", "sgd"), make_card())
    paper = tmp_path / "paper.md"
    paper.write_text("12.3 points more.\n\n" + ok("compare", "--format", "markdown"), encoding="utf-8")
    assert ok("compare", "--check", "paper.md", "--strict").endswith("are the registry's\n"), "it is not the caption"
    paper.write_text("12.3 points more. " + ok("compare", "--format", "markdown"), encoding="utf-8")
    said = ok("compare", "--check", "paper.md")
    assert 'unchecked: 12.3 in caption ("12.3 points more.' in said
    assert said.endswith("figures in paper.md are the registry's; 1 more could not be checked\n")
    result = kws("compare", "--check", "paper.md", "--strict")
    assert (result.exit_code, result.stdout) == (1, said)
    paper.write_text(ok("compare", "--format", "markdown").replace(" | SGD", " | Nothing"), encoding="utf-8")
    result = kws("compare", "--check", "paper.md")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (
        1,
        "caption: columns is Nothing in paper.md, SGD in the registry",
    )


def test_a_table_whose_caption_is_the_registrys_but_none_of_whose_rows_is_differs(tmp_path):
    text = formats.markdown(judged()).partition("\n\nTest accuracy in the report")[0]
    other = text.replace("| Fully-connected", "| Fully-connected 88.57").replace(
        "| Convolutional", "| Convolutional 90.68"
    )
    assert other != text
    assert ("columns", "SGD, Adam over other rows", "SGD, Adam") in differing(tmp_path, other, ".md", judged())


@pytest.mark.parametrize("form", ["markdown", "latex"])
def test_what_tables_of_before_said_is_still_accepted(tmp_path, form):
    (table,) = judged()
    table = replace(table, cells=tuple(replace(cell, tie=False) for cell in table.cells))
    now = formats.FORMATS[form]([table])
    assert "marks what cannot" not in now
    percent = "\\%" if form == "latex" else "%"
    legend = (
        f"= marks what cannot be told from the best (5 {percent}, Bonferroni's correction over all pairs of cells)."
    )
    before = re.sub(
        r"(\d{3}),(\d{3})(.params)", r"\1\2\3", now.replace("This test split", f"{legend} This test split", 1)
    )
    assert before.count("567171") == 1 == before.count("Bonferroni")
    ending = ".tex" if form == "latex" else ".md"
    assert differing(tmp_path, before, ending, [table]) == [] == unchecked(tmp_path, before, ending, [table])
    assert differing(tmp_path, before.replace("567171", "567172"), ending, [table])


def test_a_mark_behind_a_cell_that_was_drawn_is_read_as_bold():
    lines = ("row  SGD          Adam", "\u2500" * 30, "one  90.00 %      91.00 % *", "two  **92.00 %**  93.00 %")
    drawn = "".join(f"  {line}\n" for line in lines)
    (table,) = markdown(drawn)
    assert [[(said.text, said.bold) for said in row[1:]] for row in table.rows] == [
        [("90.00 %", False), ("91.00 %", True)],
        [("92.00 %", True), ("93.00 %", False)],
    ]
