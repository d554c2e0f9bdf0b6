"""The registry's tables. Columns have the same names as recipe fields, options and the README.

    data          a data set by its fingerprint: source, classes, front end, mean and standard deviation
    splits        one split of a data set: its number of clips, clips per class, and labels
    manifests     every clip of a split: path, digest, speaker, time of modification, duration
    sources       the source text of a network that is the user's own, by its SHA-256; a recipe names it
    trainings     one training: its recipe, data, environment, status and times
    runs          not a table: a view of trainings with the recipe's values as columns
    sessions      one process that worked on a run: the first, and each that resumed it
    tags          a run's tags
    epochs        one epoch of a run: losses and accuracies, and those of its iterations
    evaluations   a run's predictions on one split of a data set, one per clip
    logits        the network's outputs behind these predictions, K per clip
    weights       a run's final weights, a safetensors file, or its URL
    checkpoints   the state to resume an unfinished run from: weights, optimizer and random states after an epoch
    log_base      in files: the state of the file that the write-ahead log builds on
    tests         the ledger of evaluations: which recipe was judged on which split, and when; outlives its runs

Accuracies are fractions, losses nats per clip, times ISO 8601 in UTC, durations milliseconds. Blobs: iterations are
little-endian float32; predictions and labels one byte per clip and logits little-endian float16 (N, K), all three
compressed by zlib; digests 32 bytes per clip; a manifest's other columns are JSON lists compressed by zlib. Epochs and
weights refer to a run by its integer key, not its id, to keep the many small rows short. A recipe is canonical JSON
(kws.recipe).
"""

from typing import Any, ClassVar

from pydantic import create_model
from sqlalchemy import JSON, Column, Index, Integer, LargeBinary, String, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlmodel import Field, SQLModel

from kws.recipe import bases, every_option, names

METADATA = SQLModel.metadata
_RUNNING = text("status = 'running'")


class DataRow(SQLModel, table=True):
    """A data set, as described by its card."""

    __tablename__ = "data"

    fingerprint: str = Field(primary_key=True)
    source: str
    classes: list[str] = Field(sa_column=Column(JSON, nullable=False))
    front_end: dict[str, float] = Field(sa_column=Column(JSON, nullable=False))
    mean: float
    std: float
    draw: str
    content: str | None = None
    band_means: list[float] | None = Field(sa_column=Column(JSON(none_as_null=True)))
    unused: dict[str, int] | None = Field(sa_column=Column(JSON(none_as_null=True)))


class SplitRow(SQLModel, table=True):
    """One split of a data set."""

    __tablename__ = "splits"
    __table_args__ = {"sqlite_with_rowid": False}

    data_fingerprint: str = Field(primary_key=True, foreign_key="data.fingerprint")
    split: str = Field(primary_key=True)
    fingerprint: str
    clips: int
    counts: list[int] = Field(sa_column=Column(JSON, nullable=False))
    labels: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class ManifestRow(SQLModel, table=True):
    """Every clip of one split of a data set, in the order of its labels; speakers are NULL if they are not known."""

    __tablename__ = "manifests"

    data_fingerprint: str = Field(primary_key=True, foreign_key="data.fingerprint")
    split: str = Field(primary_key=True)
    paths: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    digests: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    speakers: bytes | None = Field(sa_column=Column(LargeBinary))
    modified_ns: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    seconds: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class SourceRow(SQLModel, table=True):
    """The source text that a recipe's own network is made of; the recipe's JSON has its SHA-256."""

    __tablename__ = "sources"
    __table_args__ = {"sqlite_with_rowid": False}

    sha256: str = Field(primary_key=True)
    source: str


class _Training(SQLModel):
    """One training: its status and progress, its Recipe with the digests to find runs by, and its Environment.

    `validation_accuracy` is that of the last epoch; it and `test_accuracy` are duplicated here for queries.
    """

    key: int | None = Field(default=None, primary_key=True)
    id: str = Field(unique=True)
    status: str
    error: str | None = None
    name: str | None = None
    note: str | None = None
    started_at: str
    ended_at: str | None = None
    parameters: int
    multiply_accumulates: int | None = None
    data_fingerprint: str = Field(foreign_key="data.fingerprint")
    rerun_of: str | None = None
    deleted_at: str | None = None

    epochs_done: int
    milliseconds: int
    validation_accuracy: float | None = None
    test_accuracy: float | None = None

    recipe_json: str
    recipe_digest: str = Field(index=True)
    cell_digest: str = Field(index=True)

    kws_version: str
    python_version: str
    torch_version: str
    platform: str
    cpu: str
    instruction_set: str | None
    git_commit: str | None
    git_dirty: bool | None
    command: str


class TrainingRow(_Training, table=True):
    """A row of the table `trainings`."""

    __tablename__ = "trainings"
    __table_args__ = (Index("ix_trainings_running", "key", sqlite_where=_RUNNING, postgresql_where=_RUNNING),)


def _recipe_fields() -> dict[str, Any]:
    """The view's columns for a recipe's values, by name; a tuple is a text, a JSON array."""
    types = {name: str if (widest := bases(name)[-1]) is tuple else widest for name in every_option()}
    old = {each.old: types[each.name] for each in every_option().values() if each.old}
    return {name: (each | None, None) for name, each in {**dict.fromkeys(names(), str), **types, **old}.items()}


_VIEW: Any = {"__tablename__": (ClassVar[str], "runs"), **_recipe_fields()}
RunRow: Any = create_model("RunRow", __base__=_Training, __cls_kwargs__={"table": True}, __module__=__name__, **_VIEW)
RunRow.__doc__ = "A row of the view `runs`."
RunRow.__table__.info["is_view"] = True


class SessionRow(SQLModel, table=True):
    """One process that worked on a run; `environment` is None for the first one, because the run's row has it."""

    __tablename__ = "sessions"
    __table_args__ = {"sqlite_with_rowid": False}

    run_key: int = Field(primary_key=True, foreign_key="trainings.key")
    session: int = Field(primary_key=True)
    first_epoch: int
    started_at: str
    heartbeat_at: str
    host: str
    boot: str | None
    pid: int
    process_started: str | None
    environment: dict[str, str] | None = Field(sa_column=Column(JSON(none_as_null=True)))


class TagRow(SQLModel, table=True):
    """A run's tag."""

    __tablename__ = "tags"
    __table_args__ = {"sqlite_with_rowid": False}

    run_key: int = Field(primary_key=True, foreign_key="trainings.key")
    tag: str = Field(primary_key=True)


class EpochRow(SQLModel, table=True):
    """One epoch of a run; `processor_seconds` are those of all threads of its process, NULL before schema 6."""

    __tablename__ = "epochs"
    __table_args__ = {"sqlite_with_rowid": False}

    run_key: int = Field(primary_key=True, foreign_key="trainings.key")
    epoch: int = Field(primary_key=True)
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    milliseconds: int
    processor_seconds: float | None = None
    iteration_losses: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    iteration_accuracies: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class EvaluationRow(SQLModel, table=True):
    """A run's predictions on one split of a data set; if it is evaluated again, the first ones stay.

    `loss` is the cross-entropy of the network's probabilities, the same quantity for every recipe; NULL if an older
    registry has no logits to compute it from. `objective` is the mean of what training minimised.
    """

    __tablename__ = "evaluations"
    __table_args__ = {"sqlite_with_rowid": False}

    run_key: int = Field(primary_key=True, foreign_key="trainings.key")
    data_fingerprint: str = Field(primary_key=True, foreign_key="data.fingerprint")
    split: str = Field(primary_key=True)
    evaluated_at: str
    clips: int
    loss: float | None
    objective: float
    accuracy: float
    predictions: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class LogitsRow(SQLModel, table=True):
    """A network's outputs on the clips of an evaluation; stored separately, since tables need only predictions."""

    __tablename__ = "logits"
    __table_args__ = {"sqlite_with_rowid": False}

    run_key: int = Field(primary_key=True, foreign_key="trainings.key")
    data_fingerprint: str = Field(primary_key=True, foreign_key="data.fingerprint")
    split: str = Field(primary_key=True)
    logits: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class WeightsRow(SQLModel, table=True):
    """A run's final weights: here, or, where `safetensors` is empty, in a file at `url` (kws.registry.state_files)."""

    __tablename__ = "weights"

    run_key: int = Field(primary_key=True, foreign_key="trainings.key")
    sha256: str
    safetensors: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    url: str | None = None


class CheckpointRow(SQLModel, table=True):
    """The last state of an unfinished run; `epoch` is the last epoch that it includes.

    Its bytes are here, or in a file at `url` (kws.registry.state_files).
    """

    __tablename__ = "checkpoints"

    run_key: int = Field(primary_key=True, foreign_key="trainings.key")
    epoch: int
    sha256: str
    safetensors: bytes | None = Field(sa_column=Column(LargeBinary))
    url: str | None = None


class TestRow(SQLModel, table=True):
    """One evaluation on a split: which run was evaluated, and the digest of its recipe without the seed.

    `run_id` is not a foreign key, because the entry must survive the purge of its run.
    """

    __tablename__ = "tests"
    __table_args__ = {"sqlite_with_rowid": False}

    split_fingerprint: str = Field(primary_key=True)
    run_id: str = Field(primary_key=True)
    tested_at: str = Field(primary_key=True)
    split: str
    recipe: str


class LogBaseRow(SQLModel, table=True):
    """The state of the file that the commits in the write-ahead log build on; one row, in files only.

    Who opens the file while another process uses the log reads it there (kws.registry.wal).
    """

    __tablename__ = "log_base"
    __table_args__ = {"info": {"dialect": "sqlite"}}

    key: int = Field(primary_key=True)
    state: str


# On PostgreSQL, text compares byte by byte and integers have 64 bits, as in SQLite. JSON is stored as text there, too,
# so that it is returned unchanged and can be compared. Times are text and sort correctly in any server locale.
@compiles(String, "postgresql")
@compiles(JSON, "postgresql")
def _text(*_: Any, **__: Any) -> str:
    return 'TEXT COLLATE "C"'


@compiles(Integer, "postgresql")
def _integer(*_: Any, **__: Any) -> str:
    return "BIGINT"


def schema(dialect: str = "sqlite") -> str:
    """The SQL that creates the tables; kws.registry reads it from one generated file per dialect."""
    spoken = {"sqlite": sqlite, "postgresql": postgresql}[dialect].dialect()
    tables = [
        table
        for table in METADATA.sorted_tables
        if not table.info.get("is_view") and table.info.get("dialect", dialect) == dialect
    ]
    indexes = [each for table in tables for each in sorted(table.indexes, key=lambda each: str(each.name))]
    made: list[Any] = [*map(CreateTable, tables), *map(CreateIndex, indexes)]
    stored = stored_as_they_are() if dialect == "postgresql" else []
    text = (
        ";\n\n".join([*(str(each.compile(dialect=spoken)).strip() for each in made), *stored])
        .replace("\t", "    ")
        .replace("SERIAL", "BIGINT GENERATED BY DEFAULT AS IDENTITY")
    )
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def stored_as_they_are() -> list[str]:
    """The SQL by which PostgreSQL does not try to compress blobs.

    It would take 17 ms for a megabyte of weights, and gain 7 % of it; the other blobs are compressed already.
    """
    blobs = {
        table.name: [column.name for column in table.columns if isinstance(column.type, LargeBinary)]
        for table in METADATA.sorted_tables
        if not table.info.get("is_view")
    }
    return [
        f"ALTER TABLE {table} {', '.join(f'ALTER COLUMN {column} SET STORAGE EXTERNAL' for column in columns)}"
        for table, columns in blobs.items()
        if columns
    ]
