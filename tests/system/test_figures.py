"""Every kind of figure: the right points in it, legible, the same bytes each time, or a sentence why it cannot be."""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
import sys
import types
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from commands import kws, ok, refused, sql
from ledger import WEIGHTS, make_card, make_epochs, make_evaluation, make_recipe, make_registry, start, train
from matplotlib.text import Text

from kws.errors import RegistryError
from kws.recipe import OPTIMIZER
from kws.recipe.presets import preset
from kws.registry.reader import RegistryReader
from kws.registry.runs import FAILED
from kws.registry.store import Registry
from kws.reports import drawing as drawings
from kws.reports import figures
from kws.reports.drawing import SCREEN, STYLES
from kws.reports.table1 import tables

KINDS = tuple(figures.KINDS)
MANY = tuple(kind for kind in KINDS if figures.about_many(kind))
WHOLE = ("size", "time")  # draw all recipes on the same data
CARD = make_card(clips=24)
FC, CNN = "Fully-connected (567,171 params)", "Convolutional (346,067 params)"
PARAMETERS = {"fc": 567_171, "cnn": 346_067}
SEEDS = (0, 1, 2)
CELLS = [(arch, opt) for arch in ("fc", "cnn") for opt in ("sgd", "adam")]
_DRAW = np.random.default_rng(5)
ACCURACIES = {  # after each of four epochs
    (arch, opt, seed): [round(float(a), 4) for a in np.sort(_DRAW.uniform(0.3, 0.95, 4))[[0, 2, 1, 3]]]
    for arch, opt in CELLS
    for seed in SEEDS
}
WRONG = {key: 1 + place % 5 for place, key in enumerate(ACCURACIES)}


def record(registry, recipe, accuracies, *, wrong=1, card=CARD, logits=True) -> str:
    """A finished run with these validation accuracies and so many wrong answers; its id."""
    run_id = start(registry, recipe, card, parameters=PARAMETERS.get(recipe.arch, 1_000))
    for epoch, accuracy in zip(make_epochs(len(accuracies)), accuracies, strict=True):
        registry.record(run_id, dataclasses.replace(epoch, validation_accuracy=accuracy))
    outputs = _DRAW.normal(size=(len(card.labels["test"]), len(card.classes)))
    outputs += np.eye(len(card.classes))[list(card.labels["test"])]
    evaluation = dataclasses.replace(make_evaluation(card, wrong=wrong), logits=outputs.astype("<f2").tobytes())
    registry.finish(run_id, evaluation, card, WEIGHTS)
    if not logits:
        sql(registry.path, "DELETE FROM logits WHERE run_key = (SELECT key FROM runs WHERE id = ?)", values=(run_id,))
    return run_id


@pytest.fixture(scope="module")
def ledger(tmp_path_factory) -> tuple[Path, dict]:
    """A registry with four cells of three seeds, and one run for other epochs; its path, and its runs' ids."""
    path = tmp_path_factory.mktemp("figures") / "runs.db"
    with Registry(path, create=True) as registry:
        ids = {
            key: record(registry, make_recipe(key[0], key[1], seed=key[2], epochs=4), accuracies, wrong=WRONG[key])
            for key, accuracies in ACCURACIES.items()
        }
        record(registry, make_recipe("cnn", "adam", epochs=2), [0.1, 0.2], logits=False)
    return path, ids


class Scores:
    """Stands in for kws.reports.scores: rates at every threshold, by counting."""

    def __init__(self, logits, labels, classes) -> None:
        self.classes, self.labels = classes, np.frombuffer(labels, np.uint8)
        self.logits = np.frombuffer(logits, "<f2").reshape(len(labels), len(classes)).astype(float)

    @classmethod
    def of(cls, evaluation, classes) -> Scores:
        return cls(evaluation.logits, evaluation.labels, classes)

    def detection(self, k):
        scores, own = self.logits[:, k], self.labels == k
        thresholds = np.append(np.inf, np.unique(scores)[::-1])
        misses = np.array([np.mean(scores[own] < t) for t in thresholds])
        accepts = np.array([np.mean(scores[~own] >= t) for t in thresholds])
        near = np.argmin(abs(misses - accepts))
        return types.SimpleNamespace(
            name=self.classes[k],
            thresholds=thresholds,
            false_accept_rates=accepts,
            miss_rates=misses,
            equal_error_rate=float(misses[near] + accepts[near]) / 2,
            area=0.5,
        )


@pytest.fixture(autouse=True)
def scores(monkeypatch):
    module = types.ModuleType("kws.reports.scores")
    module.Scores = Scores
    monkeypatch.setitem(sys.modules, "kws.reports.scores", module)


def draw(kind, path, *references, style=SCREEN):
    """A kind's figure of the runs that are named, or of all."""
    with RegistryReader(path) as registry:
        runs = [registry.run(reference) for reference in references] or registry.runs()
        return figures.draw(kind, registry, runs, style)


def usual(kind, ledger, *, style=SCREEN):
    """A kind's figure of what it is mostly asked for."""
    path, ids = ledger
    return draw(kind, path, *(() if kind in MANY else (ids["cnn", "adam", 0],)), style=style)


def texts(drawn) -> list[Text]:
    return [text for text in drawn.findobj(Text) if text.get_text().strip() and text.get_visible()]


def words(drawn) -> str:
    return " ".join(" ".join(text.get_text().split()) for text in texts(drawn))


def test_the_list_names_every_file_of_a_kind_and_no_other():
    files = {file.stem for file in Path(figures.__file__).parent.glob("*.py")} - {"__init__"}
    assert files == set(KINDS)
    assert KINDS[0] == "curves"


def test_help_has_a_line_a_kind():
    lines = [" ".join(line.split()) for line in ok("plot", "--help").splitlines()]
    for kind, about in figures.KINDS.items():
        assert f"{kind} {about}" in lines


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_text_is_legible_and_inside_the_figure(ledger, kind, style):
    drawn = usual(kind, ledger, style=style)
    with style.applied():
        drawn.draw_without_rendering()
        box = drawn.get_tightbbox()
    assert 0 <= box.x0 < box.x1 <= drawn.get_figwidth()
    assert 0 <= box.y0 < box.y1 <= drawn.get_figheight()
    assert min(text.get_fontsize() for text in texts(drawn)) >= 6
    about = drawings.caption(drawn)
    assert "clips" in about  # the data
    assert "Adam" in f"{words(drawn)} {about}"
    if style is SCREEN:
        assert " ".join(drawn.get_suptitle().split()) == about
    else:
        assert drawn.get_figwidth() == 3.3
        assert drawn.get_suptitle() == "" and "clips" not in words(drawn).replace("other clips", "").replace(
            "'s clips", ""
        )
        assert max(text.get_fontsize() for text in texts(drawn)) == 8


@pytest.mark.parametrize("kind", KINDS)
def test_axes_say_their_units(ledger, kind):
    units = {
        "curves": ("training iteration", "accuracy (%)"),
        "optimizers": ("epoch", "validation accuracy (%)"),
        "convergence": ("epochs to reach it", "validation accuracy (%)"),
        "size": ("parameters", "test accuracy (%)"),
        "time": ("training seconds", "validation accuracy (%)"),
        "confusion": ("predicted class", "true class"),
        "det": ("false accepts (% of the other clips)", "misses (% of the keyword's clips)"),
    }
    axes = usual(kind, ledger).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == units[kind]


def test_what_a_user_has_set_for_matplotlib_does_not_count(ledger):
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 30, "text.usetex": True, "lines.linewidth": 9}):
        drawn = usual("optimizers", ledger)
    assert {text.get_fontsize() for text in texts(drawn)} == {11, 12}
    assert not any(text.get_usetex() for text in texts(drawn))


def test_optimizers_has_a_panel_a_network_with_the_mean_over_seeds_and_a_band(ledger):
    drawn = usual("optimizers", ledger)
    titles = ["Fully-connected\n567,171 parameters", "Convolutional\n346,067 parameters"]
    assert [axes.get_title() for axes in drawn.axes] == titles
    for axes, arch in zip(drawn.axes, ("fc", "cnn"), strict=True):
        assert len({line.get_color() for line in axes.lines}) == len({line.get_linestyle() for line in axes.lines}) == 2
        for line, band, opt in zip(axes.lines, axes.collections, ("sgd", "adam"), strict=True):
            by_epoch = list(zip(*(ACCURACIES[arch, opt, seed] for seed in SEEDS), strict=True))
            assert list(line.get_xdata()) == [1, 2, 3, 4]
            assert list(line.get_ydata()) == pytest.approx([100 * statistics.mean(epoch) for epoch in by_epoch])
            corners = {(x, round(y, 6)) for x, y in band.get_paths()[0].vertices}
            for epoch, values in enumerate(by_epoch, start=1):
                assert {(epoch, round(100 * min(values), 6)), (epoch, round(100 * max(values), 6))} <= corners
        assert {text.get_text() for text in axes.texts} - {""} == {"SGD", "Adam"}
    assert not drawn.legends


def test_the_title_says_what_was_taken_and_how_many_runs_were_not(ledger):
    title = " ".join(usual("optimizers", ledger).get_suptitle().split())
    about = "4 epochs in minibatches of 1,024, 3 seeds each, 12 of 13 runs"
    on = f"clips (yes, no, other; {CARD.fingerprint[:8]})"
    assert title == f"Optimizers on {on}, {about}: mean, and from the lowest to the highest seed"


def test_convergence_has_the_median_epoch_at_which_each_accuracy_was_reached(ledger):
    drawn = usual("convergence", ledger)
    (axes,) = drawn.axes
    for line, band, (arch, opt) in zip(axes.lines, axes.collections, CELLS, strict=True):
        curves = [ACCURACIES[arch, opt, seed] for seed in SEEDS]
        x, y = line.get_data()
        end = min(map(max, curves))
        assert y[-1] <= 100 * end < y[-1] + 0.1
        assert np.diff(y) == pytest.approx(0.1)
        assert y[0] == pytest.approx(math.floor(1000 * min(each[0] for each in ACCURACIES.values())) / 10)
        spans = set()
        for accuracy, median in zip(y, x, strict=True):
            epochs = [next(e for e, value in enumerate(c, 1) if value >= accuracy / 100 - 1e-12) for c in curves]
            assert median == statistics.median(epochs)
            spans |= {min(epochs), max(epochs)}
        assert {round(corner, 6) for corner in band.get_paths()[0].vertices[:, 0]} == spans
    assert {" ".join(text.get_text().split()) for text in axes.texts} - {""} == {
        f"{network}, {column}" for network in ("Fully-connected", "Convolutional") for column in ("SGD", "Adam")
    }
    assert not drawn.legends


def test_a_line_of_convergence_ends_where_one_seed_does_not_follow(tmp_path):
    with Registry(tmp_path / "runs.db", create=True) as registry:
        record(registry, make_recipe(seed=0, epochs=2), [0.5, 0.9])
        record(registry, make_recipe(seed=1, epochs=2), [0.5, 0.7])
    (line,) = draw("convergence", tmp_path / "runs.db").axes[0].lines
    assert line.get_ydata()[-1] == pytest.approx(70)
    assert set(line.get_xdata()) == {1, 2}


def test_size_has_a_point_a_cell_with_its_interval(ledger):
    (axes,) = draw("size", ledger[0], *ledger[1].values()).axes  # of one table
    with RegistryReader(ledger[0]) as registry:
        table = max(tables(registry, registry.runs()), key=lambda table: len(table.runs))
    cells = {(cell.arch, cell.opt): cell for cell in table.cells}
    assert axes.get_xscale() == "log"
    bars = {bar.get_label(): bar for bar in axes.containers}
    names = {arch: ("Fully-connected", "Convolutional")[arch == "cnn"] for arch in PARAMETERS}
    assert set(bars) == {f"{name}, {column}" for name in names.values() for column in ("SGD", "Adam")}
    for arch, opt in CELLS:
        bar = bars[f"{names[arch]}, {OPTIMIZER.title(opt)}"]
        values = [1 - WRONG[arch, opt, seed] / 24 for seed in SEEDS]
        mean, cell = statistics.mean(values), cells[arch, opt]
        assert bar.lines[0].get_xydata().tolist() == [[PARAMETERS[arch], pytest.approx(100 * mean)]]
        ends = bar.lines[2][0].get_segments()[0][:, 1]
        assert ends == pytest.approx([100 * cell.low, 100 * cell.high])
    looks = {name: (bar.lines[0].get_color(), bar.lines[0].get_marker()) for name, bar in bars.items()}
    (fc_sgd, fc_adam), (cnn_sgd, cnn_adam) = (
        [looks[f"{name}, {opt}"] for opt in ("SGD", "Adam")] for name in names.values()
    )
    assert fc_sgd[0] == cnn_sgd[0] != cnn_adam[0] and fc_sgd[1] == fc_adam[1] != cnn_adam[1]
    assert {" ".join(text.get_text().split()) for text in axes.texts} - {""} == set(bars)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["346,067", "567,171"]


def test_size_shows_the_recipes_of_a_leaderboard_each_with_its_name_beside_its_point(tmp_path):
    sizes = {"fast": 64_739, "small": 7_880, "best": 64_739, "large": 143_619, "gru-report": 70_531}
    with Registry(tmp_path / "runs.db", create=True) as registry:
        for number, (name, size) in enumerate(sizes.items()):
            made = preset(name).recipe
            for seed in SEEDS:
                run_id = start(registry, dataclasses.replace(made, seed=seed), CARD, parameters=size)
                registry.finish(run_id, make_evaluation(CARD, wrong=number + seed % 2), CARD, WEIGHTS)
        for arch, opt in CELLS:
            for seed in SEEDS:
                record(registry, make_recipe(arch, opt, seed=seed, epochs=2), [0.4, 0.6], wrong=6)
    drawn = draw("size", tmp_path / "runs.db")
    (axes,) = drawn.axes
    points = {bar.lines[0].get_xydata()[0][0] for bar in axes.containers}
    assert len(axes.containers) == len(sizes) + len(CELLS) and points == {*sizes.values(), *PARAMETERS.values()}
    drawn.draw_without_rendering()
    names = {text.get_text(): text.get_window_extent() for text in axes.texts if text.get_text()}
    assert {*sizes} <= {*names}
    assert not [1 for one, other in itertools.combinations(names.values(), 2) if one.overlaps(other)]
    assert all(axes.get_window_extent().containsx(x) for box in names.values() for x in (box.x0, box.x1))
    legend = {handle.get_label() for handle in drawn.legends[0].legend_handles}
    assert {"SGD", "Adam", "Muon", "Fully-connected", "Convolutional", "GRU", "TC-ResNet"} <= legend


SECONDS = np.cumsum([0.125, 0.25, 0.375, 0.5])  # until each epoch of ledger's runs


def test_time_has_a_line_a_recipe_of_its_mean_accuracy(ledger):
    (axes,) = usual("time", ledger).axes
    assert axes.get_xscale() == "log" and not axes.collections
    lines = {tuple(np.round(line.get_ydata(), 6)): line for line in axes.lines}
    for arch, opt in CELLS:
        curves = np.array([ACCURACIES[arch, opt, seed] for seed in SEEDS])
        line = lines.pop(tuple(np.round(100 * curves.mean(axis=0), 6)))
        assert line.get_xdata() == pytest.approx(SECONDS)
    ((alone, _),) = lines.items()
    assert alone == (10.0, 20.0)
    assert {text.get_text().replace("\n", " ") for text in axes.texts} - {""} == {
        *("report with epochs 2", "report with epochs 4", "Convolutional, SGD, epochs 4"),
        *("Fully-connected, SGD, epochs 4", "Fully-connected, Adam, epochs 4"),
    }  # named as in the leaderboard


def test_time_has_a_band_over_the_runs_of_a_recipe_where_few_are_shown(ledger):
    path, ids = ledger
    drawn = draw("time", path, *(ids["fc", "sgd", seed] for seed in SEEDS))
    (band,) = drawn.axes[0].collections
    curves = 100 * np.array([ACCURACIES["fc", "sgd", seed] for seed in SEEDS])
    corners = {(round(x, 6), round(y, 6)) for x, y in band.get_paths()[0].vertices}
    for second, low, high in zip(SECONDS, curves.min(axis=0), curves.max(axis=0), strict=True):
        assert {(round(second, 6), round(low, 6)), (round(second, 6), round(high, 6))} <= corners


def test_time_says_how_many_reached_the_target_and_marks_the_median_where_more_than_half_did(tmp_path):
    reached = {"sgd": [[0.2, 0.9], [0.8, 0.9], [0.1, 0.2]], "adam": [[0.2, 0.9], [0.3, 0.4], [0.1, 0.2]]}
    with Registry(tmp_path / "runs.db", create=True) as registry:
        for opt, curves in reached.items():
            for seed, curve in enumerate(curves):
                record(registry, make_recipe("fc", opt, seed=seed, epochs=2), curve)
        (axes,) = figures.draw("time", registry, registry.runs(), SCREEN, target=0.8).axes
    assert {text.get_text().replace("\n", " ") for text in axes.texts} - {""} == {
        "Fully-connected, SGD, epochs 2: 0.4 s (2 of 3 reached)",
        "Fully-connected, Adam, epochs 2: 1 of 3 reached",
    }
    assert drawings.caption(axes.figure).endswith("markers at the median time to 80 %")
    (marked,) = [line for line in axes.lines if line.get_linestyle() == "None"]
    assert marked.get_xydata().tolist() == [[pytest.approx(0.375), 80.0]]
    assert [80.0, 80.0] in [list(line.get_ydata()) for line in axes.lines]


def test_times_of_different_machines_are_told_in_the_figure(tmp_path):
    with Registry(tmp_path / "runs.db", create=True) as registry:
        for seed, threads in enumerate((1, 1, 2)):
            record(registry, make_recipe(seed=seed, epochs=2, threads=threads), [0.5, 0.6])
        title = " ".join(figures.draw("time", registry, registry.runs(), SCREEN).get_suptitle().split())
    assert title.endswith(
        "Note: times come from different machines and cannot be compared: 2 runs on A processor with 1 thread, "
        "1 run on A processor with 2 threads"
    )


def test_a_target_is_for_the_kind_that_draws_it(ledger):
    assert refused("plot", "--kind", "size", "--target", 0.9, "--db", ledger[0]).endswith(
        "leave it out for --kind size"
    )


def test_seeds_that_a_rule_ended_earlier_leave_the_mean_and_the_others_go_on_as_thin_lines(tmp_path):
    curves = [[0.5, 0.7, 0.6, 0.6], [0.4, 0.5, 0.6, 0.7, 0.6, 0.65]]
    with Registry(tmp_path / "runs.db", create=True) as registry:
        for seed, curve in enumerate(curves):
            record(registry, make_recipe(seed=seed, epochs=9, patience=2), curve)
    (axes,) = draw("optimizers", tmp_path / "runs.db").axes
    mean, longer = axes.lines
    assert mean.get_ydata() == pytest.approx([45.0, 60.0, 60.0, 65.0])
    assert longer.get_xydata().tolist() == [
        [4, pytest.approx(70.0)],
        [5, pytest.approx(60.0)],
        [6, pytest.approx(65.0)],
    ]
    (line,) = draw("convergence", tmp_path / "runs.db").axes[0].lines
    assert line.get_ydata()[-1] == pytest.approx(70.0)


def counted(*wrong: int) -> np.ndarray:
    """The sum of the matrices of answers of which the first so many are one class too far."""
    counts = np.zeros((3, 3), int)
    for mistakes in wrong:
        for i, label in enumerate(CARD.labels["test"]):
            counts[label, (label + 1) % 3 if i < mistakes else label] += 1
    return counts


@pytest.mark.parametrize("seeds", [(0,), SEEDS])
def test_confusion_sums_the_answers_of_the_seeds_and_gives_percent_of_the_rows(ledger, seeds):
    path, ids = ledger
    drawn = draw("confusion", path, *(ids["cnn", "sgd", seed] for seed in seeds))
    (axes,) = drawn.axes
    counts = counted(*(WRONG["cnn", "sgd", seed] for seed in seeds))
    percent = 100 * counts / counts.sum(axis=1, keepdims=True)
    assert np.array(axes.images[0].get_array()) == pytest.approx(percent)
    assert [text.get_text() for text in axes.texts] == [
        f"{counts[i, j]}\n{percent[i, j]:.1f} %" for i in range(3) for j in range(3)
    ]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["yes", "no", "other"]
    title = " ".join(drawn.get_suptitle().split())
    which = "seed 0" if len(seeds) == 1 else "sum over 3 seeds (0, 1, 2)"
    assert f"{which}, {24 * len(seeds)} answers, {100 * counts.trace() / counts.sum():.2f} % right" in title


def test_det_has_normal_deviates_of_the_rates_and_marks_where_they_are_equal(ledger):
    path, ids = ledger
    run_id = ids["cnn", "adam", 1]
    (axes,) = draw("det", path, run_id).axes
    with RegistryReader(path) as registry:
        found = Scores.of(registry.evaluation(run_id, CARD.fingerprint, "test"), CARD.classes)
    quantile = statistics.NormalDist().inv_cdf
    for k, word in enumerate(("yes", "no")):
        detection = found.detection(k)
        expected = [
            (quantile(accept), quantile(miss))
            for accept, miss in zip(detection.false_accept_rates, detection.miss_rates, strict=True)
            if 0 < accept < 1 and 0 < miss < 1
        ]
        curve, equal = axes.lines[2 * k : 2 * k + 2]
        assert curve.get_xydata() == pytest.approx(np.array(expected))
        at = quantile(detection.equal_error_rate)
        assert equal.get_xydata().tolist() == [pytest.approx([at, at])]
        names = {" ".join(text.get_text().split()) for text in axes.texts}
        assert f"{word}, EER {100 * detection.equal_error_rate:.2f} %" in names
    ticks = {tick.get_text(): place for tick, place in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)}
    assert ticks["20"] == pytest.approx(quantile(0.2))


def test_det_of_several_runs_has_a_panel_a_keyword_and_a_line_a_run(ledger):
    path, ids = ledger
    drawn = draw("det", path, ids["cnn", "adam", 1], ids["fc", "adam", 1])
    assert [axes.get_title() for axes in drawn.axes] == ["yes", "no"]
    names = [" ".join(text.get_text().split()) for text in drawn.legends[0].get_texts()]
    assert [name.split(", EER: yes ")[0] for name in names] == ["Convolutional, Adam", "Fully-connected, Adam"]


def test_det_is_drawn_from_the_scores_of_a_run(ledger, monkeypatch):
    monkeypatch.delitem(sys.modules, "kws.reports.scores")
    pytest.importorskip("kws.reports.scores", reason="there are no scores yet")
    path, ids = ledger
    (axes,) = draw("det", path, ids["cnn", "adam", 1]).axes
    assert axes.lines
    assert all(len(line.get_xdata()) for line in axes.lines)


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("keywords", [1, 2])
def test_det_of_a_run_without_a_mistake_is_drawn(tmp_path, keywords, style):
    """No rate is between 0 and 1, so there is no curve, and axes all the same."""
    card = make_card(clips=12, classes=(*("yes", "no")[:keywords], "other"))
    outputs = np.eye(len(card.classes))[list(card.labels["test"])]
    with Registry(tmp_path / "runs.db", create=True) as registry:
        run_id = start(registry, make_recipe(epochs=1), card)
        registry.record(run_id, make_epochs(1)[0])
        evaluation = dataclasses.replace(make_evaluation(card, wrong=0), logits=outputs.astype("<f2").tobytes())
        registry.finish(run_id, evaluation, card, WEIGHTS)
    (axes,) = draw("det", tmp_path / "runs.db", run_id, style=style).axes
    shown = [tick.get_text() for tick in axes.get_xticklabels() if tick.get_text()]
    assert shown[0] == "10" and shown[-1] == "40"


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
@pytest.mark.parametrize("kind", ["optimizers", "convergence", "size", "det"])
def test_figures_of_many_recipes_keep_their_size_and_their_looks_apart(tmp_path, kind, style):
    rates = [0.00012345678901234567 * (1 + i / 7) for i in range(30)]
    with Registry(tmp_path / "runs.db", create=True) as registry:
        ids = [record(registry, make_recipe("cnn", "sgd", learning_rate=rate, epochs=2), [0.4, 0.6]) for rate in rates]
    drawn = draw(kind, tmp_path / "runs.db", *(ids if kind == "det" else ()), style=style)
    with style.applied():
        drawn.draw_without_rendering()
        whole, legend = drawn.get_tightbbox(), drawn.legends[0].get_window_extent()
    assert 0 <= whole.x0 < whole.x1 <= drawn.get_figwidth()
    assert 0 <= whole.y0 < whole.y1 <= drawn.get_figheight()
    for axes in drawn.axes:
        assert axes.get_window_extent().height / drawn.dpi > (2.5 if style is SCREEN else 0.9)
        assert legend.y1 <= axes.get_window_extent().y0
    handles = drawn.legends[0].legend_handles[: len(rates)]
    looks = {
        (h.get_color(), h.get_linestyle(), h.get_marker(), h.get_fillstyle(), h.get_markerfacecolor()) for h in handles
    }
    assert len(looks) == len(rates)
    assert not any("0.00012345678901234567" in text.get_text() for text in texts(drawn))


HOSTILE = ["$ab$", r"$\frac{$", "<b>&amp;", "\x1b[31m\x07", "a\nb語", "\udcff", "x" * 400]


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_any_kind_are_drawn_letter_by_letter(tmp_path, kind):
    hostile = HOSTILE[KINDS.index(kind) % len(HOSTILE)]
    card = make_card("".join(HOSTILE[:5]), clips=12, classes=(hostile.replace("\udcff", "?"), "$no$", "other"))
    recipes = [make_recipe(f"$arch_{{{opt}", opt, epochs=2) for opt in ("$opt$", "$\\opt{")]
    with Registry(tmp_path / "runs.db", create=True) as registry:
        ids = [record(registry, recipe, [0.4, 0.6], card=card) for recipe in recipes]
    drawn = draw(kind, tmp_path / "runs.db", *(() if kind in MANY else ids[:1]))
    assert not any(text.get_parse_math() for text in texts(drawn))
    assert all(line.isprintable() for text in texts(drawn) for line in text.get_text().splitlines())
    if kind == "confusion":
        drawings.save(drawn, tmp_path / "a.svg")
        ElementTree.parse(tmp_path / "a.svg")


def test_what_cannot_be_printed_is_shown_as_its_escape_and_what_never_ends_is_cut():
    assert drawings.plain("a\nb\x1b[1m\udcff\u202e") == "a b\\x1b[1m\\udcff\\u202e"
    assert drawings.wrapped("12345678 12.3 %", SCREEN, 1.5).splitlines() == ["12345678", "12.3 %"]
    lines = drawings.wrapped("x" * 100_000, SCREEN, 5).splitlines()
    assert len(lines) == 8
    assert lines[-1] == "..."


@pytest.mark.parametrize("kind", KINDS)
def test_one_run_of_one_epoch_is_drawn(tmp_path, kind):
    with Registry(tmp_path / "runs.db", create=True) as registry:
        record(registry, make_recipe("lstm", "adam", epochs=1), [0.5])
    drawn = draw(kind, tmp_path / "runs.db", "last")
    assert "seed" in words(drawn)
    assert "lstm" in words(drawn)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "det"])
def test_one_class_is_drawn(tmp_path, kind):
    with Registry(tmp_path / "runs.db", create=True) as registry:
        record(registry, make_recipe(epochs=1), [1.0], card=make_card(clips=3, classes=("yes",)), wrong=0)
    assert draw(kind, tmp_path / "runs.db", "last").axes


def test_a_row_without_clips_has_no_percent(tmp_path):
    card = make_card(clips=2)  # of which none is "yes", for the test split begins with "other"
    with Registry(tmp_path / "runs.db", create=True) as registry:
        record(registry, make_recipe(epochs=1), [0.5], card=card)
    empty = [k for k in range(3) if not card.counts["test"][k]]
    (axes,) = draw("confusion", tmp_path / "runs.db", "last").axes
    for k in empty:
        assert [text.get_text() for text in axes.texts][3 * k : 3 * k + 3] == ["0", "0", "0"]


def test_very_many_classes_are_told_by_their_shade(tmp_path):
    card = make_card(clips=72, classes=tuple(f"word {i}" for i in range(36)))
    with Registry(tmp_path / "runs.db", create=True) as registry:
        record(registry, make_recipe(epochs=1), [0.5], card=card)
    for style in STYLES.values():
        matrix, bar = draw("confusion", tmp_path / "runs.db", "last", style=style).axes
        assert not matrix.texts
        assert bar.get_ylabel() == "of the row (%)"


def one_sentence(kind, path, *references) -> str:
    with pytest.raises(RegistryError) as told:
        draw(kind, path, *references)
    assert "\n" not in str(told.value)
    assert "`kws " in str(told.value) or "--where" in str(told.value)
    return str(told.value)


@pytest.mark.parametrize("kind", MANY)
def test_without_finished_runs_the_next_command_is_named(tmp_path, kind):
    make_registry(tmp_path / "runs.db")
    assert "has no finished runs for this figure" in one_sentence(kind, tmp_path / "runs.db")


@pytest.mark.parametrize("kind", [kind for kind in MANY if kind not in WHOLE])
def test_of_two_groups_as_large_none_is_guessed(tmp_path, kind):
    with Registry(tmp_path / "runs.db", create=True) as registry:
        for epochs in (1, 2):
            record(registry, make_recipe(epochs=epochs), [0.5] * epochs)
    said = one_sentence(kind, tmp_path / "runs.db")
    assert "--data or --where" in said
    assert "1 epoch in minibatches" in said
    assert "2 epochs in minibatches" in said


def test_of_two_data_sets_with_as_many_runs_none_is_guessed_for_a_figure_of_sizes(tmp_path):
    with Registry(tmp_path / "runs.db", create=True) as registry:
        for source in ("here", "there"):
            for epochs in (1, 2):
                record(registry, make_recipe(epochs=epochs), [0.5] * epochs, card=make_card(source, clips=24))
    said = one_sentence("size", tmp_path / "runs.db")
    assert "--data or --where" in said and "here (" in said and "there (" in said


@pytest.mark.parametrize("kind", ["optimizers", "convergence"])
def test_a_run_that_lacks_epochs_and_an_accuracy_that_is_none_are_told(tmp_path, kind):
    path = tmp_path / "runs.db"
    with Registry(path, create=True) as registry:
        first, second = (record(registry, make_recipe(seed=seed, epochs=2), [0.4, 0.5]) for seed in (0, 1))
    of_run = "run_key = (SELECT key FROM runs WHERE id = ?)"
    sql(path, f"DELETE FROM epochs WHERE epoch = 2 AND {of_run}", values=(second,))
    assert f"run {second} has 1 epochs in {path} where it should have 2" in one_sentence(kind, path)
    sql(path, f"UPDATE epochs SET validation_accuracy = 9e999 WHERE {of_run}", values=(first,))
    assert f"run {first} has an accuracy of inf" in one_sentence(kind, path)


def test_different_recipes_are_never_added_up(ledger):
    path, ids = ledger
    said = one_sentence("confusion", path, ids["cnn", "sgd", 0], ids["cnn", "adam", 0])
    assert "runs of different recipes are never added up" in said
    assert f"{CNN}, SGD" in said


def test_a_run_without_answers_is_told(tmp_path):
    path = tmp_path / "runs.db"
    with Registry(path, create=True) as registry:
        failed = start(registry)
        registry.end(failed, FAILED)
        silent = train(registry)
    sql(path, "PRAGMA foreign_keys = OFF", "DELETE FROM logits", "DELETE FROM evaluations")
    for kind in ("confusion", "det"):
        assert f"run {failed} (failed) has no answers" in one_sentence(kind, path, failed)
    assert f"`kws eval {silent}` adds them" in one_sentence("confusion", path, silent)


def test_det_without_outputs_names_the_command_that_adds_them(ledger):
    path, ids = ledger
    with RegistryReader(path) as registry:
        (without,) = [run.id for run in registry.runs() if run.id not in ids.values()]
    assert f"`kws eval {without}` adds them" in one_sentence("det", path, without)


def test_det_is_of_one_data_set_and_needs_clips_of_a_keyword_and_others(tmp_path):
    with Registry(tmp_path / "runs.db", create=True) as registry:
        alone = record(registry, make_recipe(), [0.5], card=make_card(classes=("yes",)), wrong=0)
        others = record(registry, make_recipe(), [0.5])
    assert "no keyword's clips beside others" in one_sentence("det", tmp_path / "runs.db", alone)
    assert "were tested on different clips" in one_sentence("det", tmp_path / "runs.db", alone, others)


@pytest.fixture
def db(ledger, monkeypatch) -> dict:
    monkeypatch.setenv("KWS_DB", str(ledger[0]))
    return ledger[1]


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_prints_the_path_and_the_same_runs_give_the_same_bytes(db, kind):
    run_id = db["fc", "sgd", 0]
    asked = ["plot", *([] if kind in MANY else [run_id[:5]]), "--kind", kind, "--style", "paper"]
    ending, magic = [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF-")][KINDS.index(kind) % 3]
    names = [f"a{ending}", f"b{ending}"]
    if ending == ".png":
        names = [f"{kind}.png" if kind in MANY else f"{kind}-{run_id}.png", "b.png"]
    assert ok(*asked, *(["--out", names[0]] if ending != ".png" else [])) == f"{names[0]}\n"
    assert ok(*asked, "--out", names[1]) == f"{names[1]}\n"
    first, second = (Path(name).read_bytes() for name in names)
    assert first == second
    assert first.startswith(magic)


def test_runs_that_are_named_or_chosen_are_drawn(db):
    run_id = db["fc", "sgd", 0]
    assert ok("plot", run_id, "--kind", "size").strip() == f"size-{run_id}.png"
    chosen = ["plot", "--kind", "convergence", "--style", "paper", "--where"]
    assert ok(*chosen, "arch = 'fc' and epochs = 4", "--out", "fc.svg").strip() == "fc.svg"
    assert "Convolutional" not in Path("fc.svg").read_text()
    assert "Fully-connected" in Path("fc.svg").read_text()
    assert "no finished runs" in refused("plot", "--kind", "size", "--data", "elsewhere")


def test_a_missing_run_and_a_run_too_many_are_told(db):
    assert "try `kws plot last --kind curves`" in refused("plot")
    assert "try `kws plot last --kind det`" in refused("plot", "--kind", "det", "--where", "1")
    assert "is named; leave out one of them" in refused("plot", "last", "--kind", "size", "--tag", "a")
    assert "'pie'" in kws("plot", "last", "--kind", "pie").stderr


def test_the_file_of_many_runs_has_a_name_that_fits_and_is_theirs_alone(tmp_path, ledger):
    from kws.cli.plot import _name

    path, ids = ledger
    named = [ids["cnn", opt, seed] for opt in ("sgd", "adam") for seed in SEEDS]
    written = ok("plot", *named, "--db", path).strip()
    assert written == f"{_name('curves', named)}.png" and written.startswith("curves-6-runs-")
    assert (tmp_path / written).is_file()
    sixty = [f"{i:08}" for i in range(60)]
    assert len(_name("curves", sixty)) < 50
    assert len({_name("curves", ids) for ids in (sixty, sixty[::-1], sixty[:-1], named)}) == 4
    assert _name("det", sixty[:4]) == f"det-{'-'.join(sixty[:4])}"
    assert _name("size", []) == "size"


def test_a_name_that_is_too_long_is_one_sentence(ledger):
    path, ids = ledger
    said = refused("plot", ids["cnn", "adam", 0], "--db", path, "--out", f"{'x' * 300}.png")
    assert "cannot be written (File name too long)" in said


def test_a_figure_of_a_paper_has_its_caption_on_stderr_and_one_with_a_title_has_none(db):
    said = kws("plot", "--kind", "convergence", "--style", "paper", "--out", "a.svg")
    assert said.stdout == "a.svg\n" and said.stderr.startswith("caption: Epochs to reach an accuracy on clips (")
    assert kws("plot", "--kind", "convergence", "--out", "a.svg").stderr == ""
