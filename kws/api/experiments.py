"""Experiments: a registry for notebooks and programs, as pandas DataFrames, SQLModel rows and detectors.

It only reads. A DataFrame is made anew by each call, so that it shows what runs have recorded meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from kws.errors import RegistryError
from kws.events import TEST
from kws.inference.detector import Detector
from kws.registry.location import Location, ServerUrl, in_full, locate
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run
from kws.registry.selection import Selection

if TYPE_CHECKING:
    from pandas import DataFrame
    from sqlmodel import Session

_OF_RUNS = (
    *("id", "status", "error", "name", "note", "rerun_of", "started_at", "ended_at", "data_source"),
    *("data_fingerprint", "parameters", "multiply_accumulates", "epochs_done", "seconds"),
    *("validation_accuracy", "test_accuracy"),
)


class Experiments:
    """A registry that is open for reading; `with kws.open(...) as experiments` closes it at the end.

    Runs go by their id, an unambiguous beginning of it, or "last". Every method raises RegistryError where the registry
    does not have what is asked for.
    """

    def __init__(self, registry: Location) -> None:
        """Open the registry at a file's path or a server's URL. Raises RegistryError if there is none."""
        self._location = registry
        self._registry = RegistryReader(registry)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Experiments in {self._location}>"

    def close(self) -> None:
        """Close the registry."""
        self._registry.__exit__()

    def runs(self, where: str | None = None) -> DataFrame:
        """A row a run, the oldest first: its figures, its data, and every option of its recipe.

        `where` is a condition in SQL, as for `kws runs list --where`. Accuracies are fractions; `status` says of a run
        whose process has died that it is lost.
        """
        from pandas import DataFrame

        found = self._registry.runs(Selection(where=where))
        return DataFrame([self._row(run) for run in found], columns=None if found else [*_OF_RUNS])

    def _row(self, run: Run) -> dict[str, Any]:
        own = {name: getattr(run, name) for name in _OF_RUNS}
        return own | {name: value for name, value in run.recipe.values.items() if name not in own}

    def epochs(self, run: str = "last") -> DataFrame:
        """A row an epoch of a run: losses (nats a clip), accuracies, seconds and processor seconds."""
        from pandas import DataFrame

        found = self._registry.epochs(self._registry.run(run).id)
        columns = (
            *("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy"),
            *("seconds", "processor_seconds"),
        )
        return DataFrame([{name: getattr(epoch, name) for name in columns} for epoch in found], columns=list(columns))

    def table(self, **options: Any) -> DataFrame:
        """Table 1, one row per cell: what `kws compare --format csv` prints.

        Options are `rows`, `columns`, `metric`, `target` and `where`, as of that command.
        """
        import io

        import pandas

        from kws.reports import formats, metrics, scope
        from kws.reports.table1 import tables

        where, target = options.pop("where", None), options.pop("target", None)
        metric = metrics.metric(options.pop("metric", "test-accuracy"), target=target)
        runs = self._registry.runs(Selection(where=where))
        of = scope.Scope(runs=tuple(runs))
        if where is None and not options:
            of = scope.of_the_report(self._registry, runs)
        found = tables(self._registry, of.runs, apart=of.apart, metric=metric, test=True, **options)
        return pandas.read_csv(io.StringIO(formats.comma_separated(found)))

    def predictions(self, run: str = "last", split: str = TEST) -> DataFrame:
        """A row a clip of one split: its path and speaker, the word, the word predicted, and each word's probability.

        Paths and speakers are None where the registry does not know them. Raises RegistryError where the run's answers
        on the split are not recorded.
        """
        from pandas import DataFrame

        from kws.inference.calibration import logits_of, softmax

        found = self._registry.run(run)
        evaluation = self._registry.evaluation(found.id, found.data_fingerprint, split)
        if evaluation is None:
            raise RegistryError(
                f"run {found.id} has no answers on the {split} split; `kws eval {found.id} --split {split}` makes them"
            )
        card = self._registry.card(found.data_fingerprint)
        manifest = self._registry.manifest(found.data_fingerprint, split)
        table: dict[str, Any] = {
            "path": manifest.paths if manifest else [None] * evaluation.clips,
            "speaker": manifest.speakers if manifest and manifest.speakers else [None] * evaluation.clips,
            "word": [card.classes[label] for label in evaluation.labels],
            "predicted": [card.classes[label] for label in evaluation.predictions],
        }
        if evaluation.logits:
            columns = softmax(logits_of(evaluation, card.classes)).T
            table |= {f"p({word})": column for word, column in zip(card.classes, columns, strict=True)}
        return DataFrame(table)

    def detector(self, run: str = "last", trust_code: str | None = None) -> Detector:
        """A run's detector. `trust_code` is asked for by a network of the user's own, as by `kws eval`."""
        from kws.api.loading import network_model

        return Detector(network_model(self._registry, self._registry.run(run), trust_code))

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A session of SQLModel that only reads, for queries over the rows in kws.registry.tables.

        For example: `session.exec(select(RunRow).where(RunRow.arch == "cnn")).all()`.
        """
        from sqlalchemy.pool import NullPool
        from sqlmodel import Session, create_engine

        if isinstance(self._location, ServerUrl):
            engine = create_engine(
                in_full(self._location), poolclass=NullPool, execution_options={"postgresql_readonly": True}
            )
        else:
            engine = create_engine("sqlite://", creator=self._connection, poolclass=NullPool)
        with Session(engine) as session:
            yield session

    def _connection(self) -> Any:
        """A connection to the file that only reads, with the view of today's options."""
        import sqlite3

        from kws.registry import view

        assert isinstance(self._location, Path)
        connection = sqlite3.connect(f"{self._location.absolute().as_uri()}?mode=ro", uri=True)
        connection.execute("PRAGMA trusted_schema = OFF")  # the file may come from anywhere
        connection.row_factory = sqlite3.Row
        view.for_queries(connection)
        connection.row_factory = None
        return connection


def open(registry: str | Path = "experiments.db") -> Experiments:  # noqa: A001 - read as kws.open
    """The experiments in a registry: a file, or a server's URL. Raises RegistryError if there is none."""
    return Experiments(locate(registry))


def load(registry: str | Path, run: str = "last", *, trust_code: str | None = None) -> Detector:
    """The detector of a run, or of a file that `kws export` wrote, whose name ends in .onnx.

    Raises RegistryError where there is no such run, or its weights are missing.
    """
    if str(registry).endswith(".onnx"):
        from kws.inference.onnx_model import OnnxModel

        return Detector(OnnxModel(Path(registry)))
    with open(registry) as experiments:
        return experiments.detector(run, trust_code)
