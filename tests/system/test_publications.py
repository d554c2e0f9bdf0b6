"""Figures of other publications: what a file may say, what is refused, and how they stand beside the registry's."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from commands import kws, ok, refused
from ledger import ENVIRONMENT, PARAMETERS, WEIGHTS, make_card, make_epochs, make_recipe, start
from scipy import stats

from kws.errors import RegistryError
from kws.events import Evaluation
from kws.registry.store import Registry
from kws.reports import publications
from kws.reports.publications import key, read

CLIPS = 400
CARD = make_card(clips=CLIPS)
ROW = '[[figures]]\narch = "cnn"\nopt = "adam"\nvalue = "91.78 %"\n'


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def places(count: int, seed: int) -> list[int]:
    """Which clips a seed has wrong: some are hard for every one."""
    return np.random.default_rng(7).permutation(CLIPS)[5 * seed : 5 * seed + count].tolist()


def fill(path: Path, wrong: dict[tuple[str, str], list[int]], **options) -> None:
    """A registry in which each cell's seeds have so many wrong answers, at places of their own."""
    labels = CARD.labels["test"]
    with Registry(path, create=True) as registry:
        for (arch, opt), counts in wrong.items():
            for seed, count in enumerate(counts):
                recipe = make_recipe(arch, opt, seed=seed, **options)
                run = start(registry, recipe, CARD, parameters=PARAMETERS[arch], environment=ENVIRONMENT)
                for epoch in make_epochs(recipe.epochs, iterations=1):
                    registry.record(run, epoch)
                answers = bytes((label + (i in places(count, seed))) % 3 for i, label in enumerate(labels))
                registry.finish(
                    run,
                    Evaluation(
                        split="test", loss=0.3, objective=0.3, accuracy=1 - count / CLIPS, predictions=answers,
                        labels=labels,
                    ),
                    CARD,
                    WEIGHTS,
                )  # fmt: skip


# What a file may say


@pytest.mark.parametrize(
    ("value", "share", "text"),
    [
        ('"91.78 %"', 0.9178, "91.78 %"),
        ('"91.78%"', 0.9178, "91.78 %"),
        ("0.9178", 0.9178, "91.78 %"),
        ('"0.9178"', 0.9178, "91.78 %"),
        ("0.9", 0.9, "90 %"),
        ('"about 77.8 %"', 0.778, "about 77.8 %"),
        ('"~ 78 %"', 0.78, "about 78 %"),
        ('"0.5 %"', 0.005, "0.5 %"),
        ('"100 %"', 1.0, "100 %"),
        ("0", 0.0, "0 %"),
    ],
)
def test_a_value_is_percent_or_a_fraction(tmp_path, value, share, text):
    (figure,) = read(written(tmp_path / "a.toml", ROW.replace('"91.78 %"', value))).figures
    assert (figure.value, figure.text) == (share, text)


@pytest.mark.parametrize(
    "value", ["91.78", '"91.78"', "1", "1.0", '"1"', "-0.5", '"-3 %"', '"101 %"', "nan", "inf", "true", '"high"', "[1]"]
)
def test_a_value_that_may_mean_two_things_or_none_is_refused(tmp_path, value):
    with pytest.raises(RegistryError, match=r"figure 1: `value` \(=.*must (say its unit|be from 0 to 100 %)"):
        read(written(tmp_path / "a.toml", ROW.replace('"91.78 %"', value)))


def test_a_figure_names_a_recipe_as_train_is_told_it(tmp_path):
    told = (
        '[recipe]\nepochs = 20\n[[figures]]\narch = "cnn"\nopt = "sgd"\nmaps = [8, 4]\nmomentum = "0.5"\nvalue = 0.8\n'
    )
    (figure,) = read(written(tmp_path / "a.toml", told)).figures
    assert key(figure.recipe) == key(make_recipe("cnn", "sgd", maps=(8, 4), momentum=0.5, epochs=20))
    (figure,) = read(written(tmp_path / "b.toml", '[[figures]]\npreset = "small"\nvalue = 0.8\n')).figures
    assert figure.recipe.arch == "tc_resnet"


def test_an_error_rate_is_one_minus_the_accuracy(tmp_path):
    made = read(written(tmp_path / "a.toml", f'metric = "error-rate"\n{ROW.replace("91.78 %", "8.22 %")}'))
    assert (made.metric, made.figures[0].value) == ("test-accuracy", 0.9178)
    assert made.figures[0].text == "91.78 % (error 8.22 %)"


def test_a_csv_says_the_same_as_a_toml(tmp_path):
    toml = f'title = "T"\nyear = 2020\nseeds = 3\n{ROW}deviation = "0.5 %"\n{ROW.replace("cnn", "fc")}'
    told = "title,year,arch,opt,value,seeds,deviation\nT,2020,cnn,adam,91.78 %,3,0.5 %\n,,fc,adam,91.78 %,3,\n"
    one, other = read(written(tmp_path / "a.toml", toml)), read(written(tmp_path / "a.csv", told))
    assert one.source == other.source == "T (2020; 3 seeds)"
    for here, there in zip(one.figures, other.figures, strict=True):
        assert (here.recipe, here.value, here.seeds, here.deviation) == (
            there.recipe, there.value, there.seeds, there.deviation,
        )  # fmt: skip


CLAIM = """[[claims]]
statement = "s"
parts = [{better = {arch = "cnn", opt = "adam"}, worse = {arch = "fc", opt = "adam"}}]
"""


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.toml", "= 1", "is no TOML"),
        ("a.toml", "", "has no figures"),
        ("a.toml", "colour = 1\n" + ROW, "the file has `colour`, which is none of title,"),
        ("a.toml", ROW + "colour = 1\n", "figure 1 has `colour`, which is no option of a recipe"),
        ("a.toml", ROW + "seed = 1\n", "figure 1 has `seed`, by which runs of one cell differ"),
        ("a.toml", ROW + "momentum = 0.9\n", "figure 1: `momentum`"),
        ("a.toml", ROW + "maps = {a = 1}\n", "figure 1: `channels` (={'a': 1}) must be a value"),
        ("a.toml", ROW + "maps = [[1], [2]]\n", "figure 1: `channels` (=[[1], [2]]) must be a value"),
        ("a.toml", ROW + 'epochs = "x"\n', "figure 1: `epochs` (='x') must be a whole number"),
        ("a.csv", "arch,opt,value,value\ncnn,adam,0.9,0.8\n", "its first line names `value` twice"),
        ("a.toml", ROW.replace("cnn", "cnnn"), "figure 1: `arch`"),
        ("a.toml", '[[figures]]\nvalue = 0.5\n', "figure 1: `arch` is missing"),
        ("a.toml", ROW.replace("value", "#"), "figure 1 has no `value`"),
        ("a.toml", ROW + ROW, "figure 2 is about the same recipe as figure 1"),
        ("a.toml", ROW + "seeds = 0\n", "`seeds` (=0) must be a whole number of 1 or more"),
        ("a.toml", ROW + "test_clips = 1.5\n", "`test_clips` (=1.5) must be a whole number"),
        ("a.toml", ROW + 'deviation = "1 %"\n', "`deviation` needs `seeds` of 2 or more"),
        ("a.toml", 'metric = "loss"\n' + ROW, "`metric` (='loss') must be one of test-accuracy, error-rate, f1"),
        ("a.toml", 'notes = "a"\n' + ROW, "`notes` must be a list"),
        ("a.toml", 'figures = 3\n', "`figures` must be a list of tables"),
        ("a.toml", 'title = 3\n' + ROW, "`title` (=3) must be text"),
        ("a.toml", ROW + CLAIM + "over = -1\n", "`over` (=-1) must be a number of points"),
        ("a.toml", ROW + CLAIM + 'unit = "hours"\n', "`unit` (='hours') must be points or epochs"),
        ("a.toml", ROW + CLAIM + "size = 1\n", "`size` (=1) must be true or false"),
        ("a.toml", ROW + CLAIM.replace("fc", "cnn"), "claim 1, part 1 compares a recipe with itself"),
        ("a.toml", ROW + CLAIM.replace("worse", "worst"), "claim 1, part 1 has `worst`"),
        ("a.toml", ROW + '[[claims]]\nstatement = "s"\n', "claim 1 needs a `statement`, and `parts`"),
        ("a.csv", "arch,opt\ncnn,adam\n", "its first line must name the columns, `value` among them"),
        ("a.csv", "arch,opt,value\ncnn,adam\n", "line 2 has 2 values for 3 columns"),
        ("a.csv", "title,arch,opt,value\na,cnn,adam,0.9\nb,fc,adam,0.9\n", "`title` is 'a' in one line and 'b'"),
        ("a.csv", 'arch,opt,value\ncnn,adam,"0.9', "is no CSV"),
        ("a.txt", ROW, "must end in .toml or .csv"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_is_one_sentence(tmp_path, name, text, said):
    sentence = refused("compare", "--against", written(tmp_path / name, text))
    assert said in sentence and name in sentence


def test_files_that_cannot_be_read_are_named(tmp_path):
    assert "cannot be read" in refused("compare", "--against", tmp_path / "none.toml")
    assert "cannot be read" in refused("compare", "--against", (tmp_path / "folder.toml").mkdir() or "folder.toml")
    (tmp_path / "bytes.csv").write_bytes(b"value\n\xff\xfe")
    assert "is not text in UTF-8" in refused("compare", "--against", tmp_path / "bytes.csv")
    file = written(tmp_path / "f1.toml", f'metric = "f1"\n{ROW}')
    assert "has figures of f1" in refused("compare", "--against", file, "--metric", "seconds")
    assert "leave out one" in refused("compare", "--against", file, "--paper")
    assert "leave out --against" in refused("compare", "--against", file, "--leaderboard")


# Beside the registry


@pytest.mark.parametrize(
    ("more", "seeds", "deviation", "clips"),
    [("", 1, None, CLIPS), ('seeds = 4\ndeviation = "1.5 %"\ntest_clips = 1600\n', 4, 0.015, 1600)],
)
def test_the_interval_of_a_difference_has_the_error_of_both_sides(tmp_path, more, seeds, deviation, clips):
    """Against the layout of seeds and clips, entry by entry."""
    counts = [30, 44, 36]
    fill(tmp_path / "experiments.db", {("cnn", "adam"): counts})
    file = written(tmp_path / "there.toml", f'title = "There"\n{ROW}{more}')
    (table,) = json.loads(ok("compare", "--against", file, "--format", "json"))["tables"]
    (figure,) = table["paper"]["figures"]
    right = np.ones((3, CLIPS))
    for seed, count in enumerate(counts):
        right[seed, places(count, seed)] = 0
    of_seeds = right.mean(axis=1).var(ddof=1)
    of_clips = right.mean(axis=0).var(ddof=1) / CLIPS
    left = right - right.mean(axis=1, keepdims=True) - right.mean(axis=0) + right.mean()
    both = (left**2).sum() / (3 * 2 * CLIPS**2)
    added = of_seeds / seeds if deviation is None else deviation**2 / seeds
    clip_error = of_clips + (of_clips - both) * CLIPS / clips
    variance = clip_error + max(of_seeds / 3 + added - both, 0)
    freedom = variance**2 / ((of_seeds / 3 + added) ** 2 / 2 + clip_error**2 / (CLIPS - 1))
    half = stats.t.ppf(0.975, freedom) * math.sqrt(variance)
    assert figure["difference"] == pytest.approx(right.mean() - 0.9178)
    assert figure["difference_low"] == pytest.approx(right.mean() - 0.9178 - half)
    assert figure["difference_high"] == pytest.approx(right.mean() - 0.9178 + half)


def test_every_format_has_it_and_a_figure_of_nothing_here_is_a_dash_and_a_note(tmp_path):
    fill(tmp_path / "experiments.db", {("cnn", "adam"): [30, 44], ("fc", "adam"): [80, 82]})
    text = f'title = "There"\n{ROW}{ROW.replace("adam", "sgd").replace("91.78", "90.5")}{CLAIM}'
    file = written(tmp_path / "there.toml", text)
    shown = ok("compare", "--against", file, "--format", "markdown")
    assert "| Convolutional, Adam | 91.78 % | 90.75 % (n = 2) | -1.03 (" in shown
    assert "| Convolutional, SGD | 90.5 % | - | - |" in shown
    assert "Note: nothing here is Convolutional, SGD." in shown
    assert "|  | Convolutional, Adam against Fully-connected, Adam | +11.00 points (" in shown
    for form in ("table", "latex"):
        assert "91.78" in ok("compare", "--against", file, "--format", form)
    lines = ok("compare", "--against", file, "--format", "csv").splitlines()
    assert [line.rsplit(",", 1)[1] for line in lines] == ["reported", "", "0.9178"]
    for form in ("markdown", "latex", "table"):
        made = tmp_path / f"paper{ {'markdown': '.md', 'latex': '.tex', 'table': '.txt'}[form] }"
        made.write_text(ok("compare", "--against", file, "--format", form))
        ok("compare", "--against", file, "--check", made, "--strict")
        made.write_text(made.read_text().replace("91.78", "91.87"))
        assert kws("compare", "--against", file, "--check", made).exit_code == 1


def test_where_no_cell_is_meant_the_nearest_run_and_what_differs_are_named(tmp_path):
    fill(tmp_path / "experiments.db", {("cnn", "adam"): [30, 44]}, epochs=20)
    result = kws("compare", "--against", written(tmp_path / "there.toml", ROW))
    assert result.exit_code == 0 and "Table 1" in result.stdout and "91.78" not in result.stdout
    assert "no cell here is of a recipe in" in result.stderr
    assert "the nearest to Convolutional, Adam is run" in result.stderr
    assert "which differs in epochs (50 there, 20 here)" in result.stderr
    told = written(tmp_path / "there.toml", f"[recipe]\nepochs = 20\n{ROW}")
    assert "91.78 %" in ok("compare", "--against", told)


def test_the_reports_file_gives_what_paper_gives(tmp_path):
    fill(tmp_path / "experiments.db", {(a, o): [30, 44, 36] for a in ("fc", "cnn") for o in ("sgd", "adam")})
    file = Path(publications.__file__).with_name("report.toml")
    for form in ("markdown", "json", "csv", "latex"):
        assert ok("compare", "--against", file, "--format", form) == ok("compare", "--paper", "--format", form)
