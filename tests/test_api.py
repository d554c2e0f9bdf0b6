"""What Python programs use: DataFrames equal to what the registry and the command line say, and rows that only read."""

import io
import json

import pandas
import pytest
from commands import kws as command
from ledger import make_card, make_recipe, make_registry, train, with_manifests
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlmodel import select

import kws
from kws.errors import RegistryError, UnknownRunError
from kws.registry.store import Registry
from kws.registry.tables import EpochRow, RunRow


@pytest.fixture
def db(tmp_path):
    make_registry(tmp_path / "runs.db", [make_recipe("cnn", seed=0), make_recipe("cnn", seed=1), make_recipe("fc")])
    return tmp_path / "runs.db"


def test_kws_offers_these_names_and_no_heavy_import_comes_with_it():
    assert {"open", "load", "Experiments", "Detector"} <= set(dir(kws))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        kws.nothing  # noqa: B018


def test_runs_are_rows_with_their_figures_and_every_option(db):
    with kws.open(db) as experiments:
        runs = experiments.runs()
        assert list(runs.arch) == ["cnn", "cnn", "fc"]
        assert list(runs.seed) == [0, 1, 0]
        assert len(experiments.runs("arch = 'fc'")) == 1
        assert len(experiments.runs("arch = 'gru'")) == 0
    listed = json.loads(command("runs", "list", "--sort", "-started", "--json", "--db", db).stdout)["runs"]
    for name, key in (("id", "run"), ("status", "status"), ("test_accuracy", "test_accuracy"), ("seconds", "seconds")):
        assert list(runs[name]) == [run[key] for run in listed]


def test_epochs_are_those_of_the_registry(db):
    with kws.open(str(db)) as experiments:
        epochs = experiments.epochs("last")
    shown = json.loads(command("runs", "show", "last", "--json", "--db", db).stdout)["epochs"]
    assert list(epochs.validation_accuracy) == [epoch["validation_accuracy"] for epoch in shown]
    assert list(epochs.epoch) == list(range(1, len(shown) + 1))


def test_the_table_is_that_of_compare(db):
    printed = pandas.read_csv(io.StringIO(command("compare", "--format", "csv", "--db", db).stdout))
    with kws.open(db) as experiments:
        pandas.testing.assert_frame_equal(experiments.table(), printed)
        assert len(experiments.table(rows="seed", where="arch = 'cnn'")) == 2


def test_predictions_have_the_clips_names_and_speakers(tmp_path):
    with Registry(tmp_path / "runs.db", create=True) as registry:
        card = with_manifests(make_card())
        run = train(registry, card=card)
    with kws.open(tmp_path / "runs.db") as experiments:
        found = experiments.predictions(run)
        assert list(found.path) == list(card.manifests["test"].paths)
        assert list(found.speaker) == list(card.manifests["test"].speakers)
        assert list(found.word) == [card.classes[label] for label in card.labels["test"]]
        accuracy = experiments.runs().test_accuracy[0]
        assert (found.word == found.predicted).mean() == pytest.approx(accuracy)
        with pytest.raises(RegistryError, match="no answers on the train split"):
            experiments.predictions(run, "train")


def test_probabilities_add_up_to_one_and_are_largest_for_the_word_predicted(db):
    with kws.open(db) as experiments:
        found = experiments.predictions()
    columns = ["p(yes)", "p(no)", "p(other)"]
    probabilities = found[columns].to_numpy()
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert [columns[k] for k in probabilities.argmax(axis=1)] == [f"p({word})" for word in found.predicted]


def test_rows_are_queried_with_sqlmodel_and_cannot_be_changed(db):
    with kws.open(db) as experiments:
        with experiments.session() as session:
            rows = session.exec(select(RunRow).where(RunRow.arch == "cnn")).all()
            assert [row.seed for row in rows] == [0, 1]
            assert session.exec(select(EpochRow)).first() is not None
        with experiments.session() as session, pytest.raises(OperationalError, match="readonly"):
            session.execute(text("DELETE FROM epochs"))


def test_what_is_not_there_is_a_sentence(db, tmp_path):
    with pytest.raises(RegistryError, match=r"nothing\.db"):
        kws.open(tmp_path / "nothing.db")
    with kws.open(db) as experiments, pytest.raises(UnknownRunError, match="there is no run 'zzz'"):
        experiments.epochs("zzz")
