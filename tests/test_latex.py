"""Tables as LaTeX: exact, set by a real LaTeX within the page, and whole whatever things are called."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from ledger import make_card, make_run
from test_formats import NASTY, any_name, named, small, tabulated

from kws.reports.latex import latex

FINGERPRINT = make_card().fingerprint


def test_it_is_a_booktabs_table_with_the_best_in_bold_and_intervals_on_lines_of_their_own():
    assert latex(small()) == (
        "\\begin{table}[htbp]\n"
        "\\centering\n"
        "\\small\n"
        "\\caption{Test accuracy after 50 epochs in minibatches of 1,024, on 6 test clips of clips "
        f"(yes, no, other; fingerprint {FINGERPRINT[:12]}). Intervals are 95 \\%, "
        "over seeds and test clips (speakers unknown), for a single seed over those alone; clips of one speaker are "
        "alike, so these are too narrow. The test split is small: its 6 clips alone leave a 95 \\% interval of "
        "29.6 points to either side, whatever the seeds. "
        "Note: cells have from 1 to 3 seeds.}\n"
        "\\label{tab:kws-1}\n"
        "\\begin{tabular}{p{0.271\\linewidth}p{0.253\\linewidth}p{0.371\\linewidth}}\n"
        "\\toprule\n"
        " & SGD & Adam \\\\\n"
        "\\midrule\n"
        "\\raggedright Fully-connected\\newline (567,171~params) & "
        "\\raggedright 85.27\\,\\%\\newline (35.16~to~98.41) & - \\\\\n"
        "\\raggedright Convolutional\\newline (346,067~params) & "
        "\\raggedright 89.59\\,\\%\\newline (38.52~to~99.16) & "
        "\\textbf{91.78\\,\\% $\\pm$ 1.00\\newline (40.32~to~99.46,~n~=~3)} \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
        "\\end{table}\n"
    )


def test_a_table_that_fits_is_as_wide_as_it_needs_to_be():
    (table,) = tabulated([make_run(arch="a", opt="b", test_accuracy=0.5)])
    written = latex([table])
    assert "\\begin{tabular}{lr}\n" in written
    assert "\\small" not in written and "\\raggedright" not in written


def compiled(folder, text: str) -> str:
    """The log of a real LaTeX, which must succeed."""
    if not shutil.which("pdflatex"):
        pytest.skip("pdflatex is not there: apt-get install texlive-latex-base texlive-latex-recommended")
    document = "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n" + text + "\\end{document}\n"
    (folder / "paper.tex").write_text(document, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"],
        cwd=folder, capture_output=True, text=True, errors="replace", timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    assert (folder / "paper.pdf").stat().st_size > 1000
    return done.stdout


def test_a_real_latex_sets_it_within_the_page_whatever_the_names(tmp_path):
    report = tabulated(
        [
            make_run(f"{a}{o}{seed}", arch=a, opt=o, seed=seed, softmax=softmax, test_accuracy=0.9 + seed / 100)
            for a, softmax in (("fc", False), ("fc", True), ("cnn", False))
            for o in ("sgd", "adam")
            for seed in range(3)
        ]
    )
    log = compiled(tmp_path, latex(report, with_runs=True))
    too_wide = [float(points) for points in re.findall(r"Overfull .hbox \(([\d.]+)pt", log)]
    assert max(too_wide, default=0.0) < 10, "points; 3 mm of a line of 121 mm"
    assert compiled(tmp_path, latex([named(NASTY)]))


LATEX = {r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^"}


def without_latex(text: str) -> str:
    """What LaTeX sets for a text; fails where a character means something else to it."""
    plain = []
    text = text.replace(r"$\pm$", "\u00b1").replace(r"\,\%", r" \%")
    for part in re.split(r"(\\text[a-z]+\{\}|\\[&%$#_{}])", text):
        if part in LATEX or re.fullmatch(r"\\[&%$#_{}]", part):
            plain.append(LATEX.get(part, part[1:]))
        else:
            assert not set(part) & set("\\&%$#_{}~^\n\r"), (part, text)
            plain.append(part)
    return "".join(plain)


@any_name
def test_latex_has_no_special_character_that_is_not_escaped_whatever_the_names(name):
    table = named(name)
    text = latex([table])
    caption, body = re.fullmatch(
        r"\\begin\{table\}\[htbp\]\n\\centering\n(?:\\small\n)?\\caption\{(.*)\}\n\\label\{tab:kws-1\}\n"
        r"\\begin\{tabular\}\{[^\n]*\}\n\\toprule\n(.*) \\\\\n\\bottomrule\n\\end\{tabular\}\n\\end\{table\}\n",
        text,
        re.DOTALL,
    ).groups()
    assert without_latex(caption).split() == table.caption.split()
    body = body.replace(r"\raggedright ", "").replace(r"\newline", "").replace("~", " ")
    head, *rows = body.replace("\\midrule\n", "").split(" \\\\\n")
    assert [without_latex(part).split() for part in re.split(r"(?<!\\)& ?", head)[1:]] == [
        column.split() for column in table.columns
    ]
    assert [without_latex(re.split(r"(?<!\\)&", row)[0]).split() for row in rows] == [row.split() for row in table.rows]
    assert all(len(re.split(r"(?<!\\)&", row)) == 1 + len(table.columns) for row in rows)
