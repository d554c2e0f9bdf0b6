"""The report's figure: the right points in it, the same bytes each time, and any name in its title."""

from __future__ import annotations

import dataclasses
import warnings
from xml.etree import ElementTree

import pytest
from ledger import make_card, make_epochs, make_recipe, make_run, read_back, train

from kws.errors import RegistryError
from kws.registry.store import Registry
from kws.reports import drawing as drawings
from kws.reports import figures
from kws.reports.drawing import PAPER, SCREEN

RUN, EPOCHS = make_run(), read_back(make_epochs(3, iterations=4))


class Epochs:
    """As much of a registry's reader as this figure asks for."""

    def __init__(self, runs) -> None:
        self._epochs = {run.id: epochs for run, epochs in runs}

    def epochs(self, run_id: str):
        return self._epochs[run_id]


def figure(runs, style=SCREEN):
    """The figure of runs and their epochs, without a registry."""
    return figures.draw("curves", Epochs(runs), [run for run, _ in runs], style)


def legend(drawn) -> list[str]:
    """What the legend below the panels says."""
    (key,) = drawn.legends
    return [" ".join(text.get_text().split()) for text in key.get_texts()]


@pytest.fixture(scope="module")
def drawing():
    return figure([(RUN, EPOCHS)])


def test_accuracy_and_loss_stand_side_by_side_over_the_training_iteration(drawing):
    accuracy, loss = drawing.axes
    assert (accuracy.get_ylabel(), loss.get_ylabel()) == ("accuracy (%)", "cross-entropy (nats)")
    assert accuracy.get_xlabel() == loss.get_xlabel() == "training iteration"
    assert accuracy.get_position().x1 <= loss.get_position().x0
    assert legend(drawing) == ["training, per iteration", "validation, per epoch"]


def test_training_has_a_point_an_iteration_and_accuracies_are_in_percent(drawing):
    for axes, values, percent in zip(drawing.axes, ("iteration_accuracies", "iteration_losses"), (100, 1), strict=True):
        x, y = axes.lines[0].get_data()
        assert list(x) == list(range(1, 13))
        assert list(y) == pytest.approx([value * percent for epoch in EPOCHS for value in getattr(epoch, values)])


def test_validation_has_a_point_an_epoch_at_its_last_iteration(drawing):
    for axes, value, percent in zip(drawing.axes, ("validation_accuracy", "validation_loss"), (100, 1), strict=True):
        x, y = axes.lines[1].get_data()
        assert list(x) == [4, 8, 12]
        assert list(y) == pytest.approx([getattr(epoch, value) * percent for epoch in EPOCHS])


def test_one_run_has_two_lines_of_two_colours_in_each_half(drawing):
    for axes in drawing.axes:
        assert len(axes.lines) == 2
        assert len({line.get_color() for line in axes.lines}) == 2


def test_epochs_of_unequal_length_have_their_validation_at_their_own_ends():
    first, second = make_epochs(1, iterations=3)[0], make_epochs(1, iterations=2, first=2)[0]
    (accuracy, _) = figure([(RUN, read_back([first, second]))]).axes
    assert list(accuracy.lines[0].get_xdata()) == [1, 2, 3, 4, 5]
    assert list(accuracy.lines[1].get_xdata()) == [3, 5]


def test_one_epoch_of_one_iteration_is_drawn():
    (accuracy, loss) = figure([(RUN, read_back(make_epochs(1, iterations=1)))]).axes
    assert [list(line.get_xdata()) for axes in (accuracy, loss) for line in axes.lines] == [[1]] * 4


def test_several_runs_are_laid_over_each_other_each_in_its_colour_and_name():
    runs = [
        (make_run("bbbbbbbb", arch="fc", opt="sgd"), read_back(make_epochs(2, iterations=3))),
        (make_run("cccccccc", arch="cnn", opt="adam"), read_back(make_epochs(3, iterations=2))),
    ]
    drawn = figure(runs)
    for axes in drawn.axes:
        training_1, validation_1, training_2, validation_2 = axes.lines
        assert [len(line.get_xdata()) for line in axes.lines] == [6, 2, 6, 3]
        assert list(validation_2.get_xdata()) == [2, 4, 6]
        assert training_1.get_color() == validation_1.get_color() != training_2.get_color() == validation_2.get_color()
        assert validation_1.get_linestyle() != validation_2.get_linestyle()
    assert legend(drawn) == ["Fully-connected, SGD", "Convolutional, Adam"]
    assert drawn.get_suptitle().startswith("2 runs on clips")


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        ({"seed": 0}, {"seed": 1}, ["seed 0", "seed 1"]),
        ({"learning_rate": 0.1}, {"learning_rate": 0.2}, ["learning rate 0.1", "learning rate 0.2"]),
        ({"softmax": True}, {}, ["softmax before cross-entropy", None]),
        ({"maps": (8, 4)}, {}, ["channels 8,4", "channels 32,16"]),
        ({}, {}, None),
    ],
)
def test_the_legend_says_what_tells_runs_apart(one, other, names):
    runs = [(make_run("bbbbbbbb", **one), EPOCHS), (make_run("cccccccc", **other), EPOCHS)]
    head = "Convolutional, Adam"
    expected = [f"{head} [bbbbbbbb]", f"{head} [cccccccc]"]
    if names:
        expected = [f"{head}, {name}" if name else head for name in names]
    assert legend(figure(runs)) == expected


def test_more_runs_than_colours_are_drawn():
    runs = [(make_run(f"bbbbbbb{i}", seed=i), EPOCHS) for i in range(9)]
    assert len(figure(runs).axes[0].lines) == 18


def many(count, **recipe):
    """Runs that differ in their learning rates, of as many digits as a search draws."""
    return [
        (make_run(f"run{i:05}", learning_rate=0.00012345678901234567 * (1 + i / 7), **recipe), EPOCHS)
        for i in range(count)
    ]


@pytest.mark.parametrize("style", [SCREEN, PAPER], ids=["screen", "paper"])
@pytest.mark.parametrize("count", [1, 2, 5, 16, 26, 60])
def test_a_legend_hides_no_curve_and_leaves_the_panels_their_size(count, style):
    drawn = figure(many(count), style)
    direct = style is SCREEN and count == 5
    with style.applied():
        drawn.draw_without_rendering()
        boxes = [legend.get_window_extent() for legend in drawn.legends]
        whole = drawn.get_tightbbox()
    assert 0 <= whole.x0 < whole.x1 <= drawn.get_figwidth()
    assert 0 <= whole.y0 < whole.y1 <= drawn.get_figheight()
    for axes in drawn.axes:
        panel = axes.get_window_extent()
        assert panel.height / drawn.dpi > (2.4 if style is SCREEN else 1.2)
        assert panel.width / drawn.dpi > (3.0 if style is SCREEN else 2.2)
        assert all(box.y1 <= panel.y0 for box in boxes)
        names = [" ".join(text.get_text().split()) for text in axes.texts if text.get_text()]
        assert len(set(names)) == len(names) == (5 if direct else 0)
    assert direct or len(set(legend(drawn))) == len(legend(drawn)) == max(count, 2)


def test_no_two_of_many_runs_look_the_same():
    drawn = figure(many(130))
    for axes in drawn.axes:
        looks = [
            (line.get_color(), line.get_linestyle(), line.get_marker(), line.get_markevery()) for line in axes.lines
        ]
        assert len(set(looks[1::2])) == 130
    (key,) = drawn.legends
    assert [handle.get_color() for handle in key.legend_handles] == [
        line.get_color() for line in drawn.axes[0].lines[1::2]
    ]
    assert all("0.00012345678901234567" not in text.get_text() for text in key.get_texts())


def test_of_many_runs_the_seeds_of_a_recipe_share_a_look_and_a_line_of_the_legend():
    runs = [
        (make_run(f"{arch}{opt}{seed}", arch=arch, opt=opt, seed=seed), EPOCHS)
        for arch in ("fc", "cnn")
        for opt in ("sgd", "adam")
        for seed in range(4)
    ]
    drawn = figure(runs)
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == [
        "Fully-connected, SGD", "Fully-connected, Adam", "Convolutional, SGD", "Convolutional, Adam"
    ]  # fmt: skip
    validation = drawn.axes[0].lines[1::2]
    assert len({line.get_color() for line in validation}) == 4
    assert {len({line.get_color() for line in validation[i : i + 4]}) for i in range(0, 16, 4)} == {1}
    title = " ".join(drawn.get_suptitle().split())
    assert title.startswith("16 runs of 4 recipes on clips: ") and title.endswith("the seeds of a recipe alike")
    assert len(figure(runs[:12]).legends[0].get_texts()) == 12


def test_more_runs_than_can_be_told_apart_are_refused_in_a_sentence():
    with pytest.raises(RegistryError, match=r"225 curves cannot be told apart in one figure, 224 can; name fewer runs"):
        figure(many(225))


@pytest.mark.parametrize("style", [SCREEN, PAPER], ids=["screen", "paper"])
def test_runs_on_different_data_have_panels_of_their_own(style):
    cards = make_card("clips"), make_card("other clips"), make_card("clips", clips=9)
    runs = [
        (make_run(f"run{seed}{i}", card=card, seed=seed), EPOCHS) for i, card in enumerate(cards) for seed in (0, 1)
    ]
    drawn = figure(runs, style)
    shown = [axes for axes in drawn.axes if axes.axison]
    titles = [" ".join(axes.get_title().split()) for axes in shown]
    called = [f"clips ({cards[0].fingerprint[:8]})", "other clips", f"clips ({cards[2].fingerprint[:8]})"]
    assert titles == [f"{quantity} on {data}" for data in called for quantity in ("Accuracy", "Loss")]
    assert [len(axes.lines) for axes in shown] == [4] * 6
    assert [text.get_text() for text in drawn.legends[0].get_texts()] == [
        "Convolutional, Adam, seed 0", "Convolutional, Adam, seed 1"
    ]  # fmt: skip
    assert "alike" not in drawn.get_suptitle()


def test_runs_on_more_data_sets_than_there_is_room_for_are_refused_in_a_sentence():
    runs = [(make_run(f"run{i}", card=make_card(f"clips {i}")), EPOCHS) for i in range(9)]
    with pytest.raises(RegistryError, match=r"these 9 runs are on 9 data sets, and a figure has room for 8; name runs"):
        figure(runs)


@pytest.mark.parametrize("style", [SCREEN, PAPER], ids=["screen", "paper"])
def test_a_loss_after_a_softmax_is_never_in_one_panel_with_one_without(style):
    runs = [(make_run(f"run{softmax}", softmax=softmax), EPOCHS) for softmax in (False, True)]
    accuracy, plain, after = [axes for axes in figure(runs, style).axes if axes.axison]
    assert [len(axes.lines) for axes in (accuracy, plain, after)] == [4, 2, 2]
    units = [" ".join(axes.get_ylabel().split()) for axes in (accuracy, plain, after)]
    assert units == ["accuracy (%)", "cross-entropy (nats)", "cross-entropy after a softmax (nats)"]
    assert [" ".join(axes.get_title().split()) for axes in (plain, after)] == ["Loss", "Loss after a softmax"]
    assert plain.lines[1].get_color() == accuracy.lines[1].get_color()
    assert after.lines[1].get_color() == accuracy.lines[3].get_color()


def test_the_axis_of_a_single_run_says_that_its_loss_is_after_a_softmax():
    _, loss = figure([(make_run(softmax=True), EPOCHS)]).axes
    assert " ".join(loss.get_ylabel().split()) == "cross-entropy after a softmax (nats)"


@pytest.mark.parametrize(
    ("one", "other", "names"),
    [
        ({"opt": "sgd", "momentum": 0.8}, {"opt": "sgd", "momentum": 0.9}, ["momentum 0.8", "momentum 0.9"]),
        ({"weight_decay": 0.1}, {"weight_decay": 0.0}, ["weight decay 0.1", "weight decay 0"]),
        ({"epochs": 3}, {"epochs": 4}, ["epochs 3", "epochs 4"]),
        ({"precision": "bf16"}, {}, ["precision bf16", "precision fp32"]),
        ({"selection": "best"}, {}, ["selection best", "selection final"]),
        ({"batch_size": 64}, {}, ["batch size 64", "batch size 1024"]),
    ],
)
def test_the_legend_says_whatever_differs(one, other, names):
    runs = [(make_run("bbbbbbbb", **one), EPOCHS), (make_run("cccccccc", **other), EPOCHS)]
    assert [name.split(", ", 2)[2] for name in legend(figure(runs))] == names


def test_the_title_names_network_optimizer_seed_data_accuracy_and_run(drawing):
    title = drawing.get_suptitle()
    assert title == "Convolutional, Adam, seed 0, on clips, test accuracy 90.00 % [run bcdfghjk]"
    unfinished = figure([(dataclasses.replace(RUN, test_accuracy=None), EPOCHS)])
    assert "test accuracy" not in unfinished.get_suptitle()


def test_in_a_paper_loss_stands_below_accuracy_and_there_is_no_title():
    drawn = figure([(RUN, EPOCHS)], PAPER)
    accuracy, loss = drawn.axes
    drawn.draw_without_rendering()
    assert accuracy.get_position().y0 >= loss.get_position().y1
    assert drawn.get_suptitle() == ""
    assert drawings.caption(drawn).startswith("Convolutional, Adam, seed 0, on clips")
    assert drawn.legends[0].get_title().get_text() == ""
    assert legend(drawn) == ["training, per iteration", "validation, per epoch"]


def test_a_run_without_epochs_is_refused():
    with pytest.raises(RegistryError, match=r"run bcdfghjk \(finished\) has no epochs to plot; `kws runs list` "):
        figure([(RUN, [])])


def test_it_is_drawn_from_a_registry(tmp_path):
    with Registry(tmp_path / "runs.db", create=True) as registry:
        run = registry.run(train(registry, make_recipe("fc", "sgd"), epochs=2))
        drawn = figures.draw("curves", registry, [run], SCREEN)
    assert [len(line.get_xdata()) for line in drawn.axes[0].lines] == [6, 2]


@pytest.mark.parametrize(
    ("name", "magic"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n"),
        ("a.SVG", b"<?xml version"),
        ("a.b.pdf", b"%PDF-"),
    ],
)
def test_the_files_ending_decides_its_format_and_the_same_runs_give_the_same_bytes(tmp_path, name, magic):
    path = tmp_path / name
    written = []
    for _ in range(2):
        drawings.save(figure([(RUN, EPOCHS)]), path)
        written.append(path.read_bytes())
    assert written[0].startswith(magic)
    assert written[0] == written[1]


@pytest.mark.parametrize("name", ["curves", "curves.jpg", "curves.png.gz", ".png", "curves.", "png"])
def test_another_ending_is_refused_and_nothing_is_written(drawing, tmp_path, name):
    with pytest.raises(RegistryError) as refused:
        drawings.save(drawing, tmp_path / name)
    assert repr(str(tmp_path / name)) in str(refused.value)
    assert str(refused.value).endswith("must end in .png, .svg or .pdf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", drawings.ENDINGS)
def test_a_place_that_cannot_be_written_is_told_in_one_sentence(drawing, tmp_path, ending):
    path = tmp_path / {".png": "missing/a.png", ".svg": "a.svg", ".pdf": "file/a.pdf"}[ending]
    (tmp_path / "a.svg").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(RegistryError) as refused:
        drawings.save(drawing, path)
    assert str(refused.value).startswith(f"{path} cannot be written (")
    assert "\n" not in str(refused.value)


def glyphs(path, source: str) -> int:
    """How many glyphs the figure of a run on that data source has."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        short = dataclasses.replace(make_run(card=make_card(source)), test_accuracy=None)  # its title is one line
        drawings.save(figure([(short, EPOCHS[:1])]), path)
    return sum(element.tag.endswith("}use") for element in ElementTree.parse(path).iter())


@pytest.fixture(scope="module")
def glyphs_beside_the_source(tmp_path_factory) -> int:
    return glyphs(tmp_path_factory.mktemp("curves") / "a.svg", "a") - 1


@pytest.mark.parametrize("source", ["$", "$ab$", "$x^{$", r"\$a_b$", r"$\frac$", "<b>&amp;</b>'c'%#", "a\nb語"])
def test_a_data_source_of_any_name_is_drawn_letter_by_letter(tmp_path, glyphs_beside_the_source, source):
    # Taken for mathematics, dollars and backslashes would not be drawn.
    drawn = glyphs(tmp_path / "a.svg", source) - glyphs_beside_the_source
    assert drawn == len(source)


def test_a_network_or_an_optimizer_of_any_name_is_drawn_in_the_legend(tmp_path):
    runs = [(make_run(f"bbbbbbb{name}", arch=f"$x^{{${name}", opt="$y_$"), EPOCHS[:1]) for name in "cd"]
    drawings.save(figure(runs), tmp_path / "a.svg")
    ElementTree.parse(tmp_path / "a.svg")
