"""Registries: damaged, foreign, and changed by SQL; through the reader, `kws db doctor` and the commands that read."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from kws.errors import KwsError
from tests.stress.cases import Place, RefusedError, damaged, nonsense
from tests.stress.cases.commands import invoke

_PAGE = 4096
_VALUES: tuple[Any, ...] = (
    None, 0, -1, 1, 2, 3, 2 ** 62, -2 ** 63, 0.5, 1e+308, float('inf'), -0.0, "", "x", "0", "nan", "1e999", "[]",
    "{}", "null", "[1, 2", '["yes"]', '["yes", "no", "up"]', "[2, 1]", '[-1, "a"]', "[[[[]]]]", "[" * 5000,
    '{"yes": 1}', "true", "9" * 400, "running", "finished", "lost", "failed", "cnn", "sgd", "transformer",
    "2026-01-01", "2026-01-01T00:00:00.000+00:00", "not a time", "9999-99-99", "\x1b[2J", "a\nb", "🎙️",
    "[bold]x[/bold]", "%s", "\u202e", "../../x", "/dev/zero", b"", b"\x00", b"\xff" * 7, b"x" * 1000,
    zlib.compress(b""), zlib.compress(b"\x00" * 6), zlib.compress(b"\xff" * 6), zlib.compress(bytes(20000000)),
    zlib.compress(b"\x01" * 3)[:-2],
)  # fmt: skip
_COMMANDS = (
    ("db", "info"), ("db", "info", "--json"), ("db", "doctor"), ("db", "doctor", "--json"),
    ("db", "doctor", "--fix"), ("db", "query", "SELECT * FROM runs"),
    ("db", "query", "SELECT * FROM epochs", "--json"), ("db", "backup", "copy.db"),
    ("db", "query", "SELECT * FROM sessions, weights", "--csv"), ("runs", "list"), ("runs", "list", "--json"),
    ("runs", "list", "--deleted"), ("runs", "list", "--where", "test_accuracy > 0"), ("runs", "show", "last"),
    ("runs", "show", "last", "--json"), ("runs", "show", "b"), ("runs", "diff", "b", "last"),
    ("runs", "export", "b", "one.db"), ("runs", "import", "experiments.db"), ("runs", "tag", "last", "x"),
    ("runs", "note", "last", "x"), ("runs", "delete", "last"), ("runs", "restore", "hjkmnpqr"), ("runs", "purge"),
    ("compare",), ("compare", "--format", "json"), ("compare", "--format", "latex"),
    ("plot", "last", "--out", "x.svg"), ("rerun", "last"), ("train", "--resume", "ghjkmnpq"),
    ("train", "--resume", "last"),
)  # fmt: skip
_BLOBS = (
    ("weights", "safetensors"), ("weights", "safetensors"), ("checkpoints", "safetensors"), ("splits", "labels"),
    ("evaluations", "predictions"), ("epochs", "iteration_losses"), ("epochs", "iteration_accuracies"),
)  # fmt: skip
_LIKE_A_REGISTRY = "PRAGMA application_id = 1803104049"  # kws1


def attempt(draw: random.Random, place: Place) -> None:
    """Change a registry, then read all of it."""
    os.environ["KWS_CACHE"] = str(place.materials / "cache")
    path = place.folder / "experiments.db"
    shutil.copyfile(place.materials / "registry.db", path)
    (place.folder / "task").symlink_to(place.materials / "task")
    draw.choice((_damage, _damage, _change, _change, _change, _change_blobs, _restructure, _replace))(draw, path)
    commands = draw.sample(_COMMANDS, 3)
    if draw.random() < 0.15:
        task = str(place.materials / "task")
        commands.append(draw.choice((("eval", "b", "--data", task), ("rerun", "b", "--data", task))))
    steps: list[Callable[[], object]] = [lambda: _read(path), lambda: _examine(path)]
    steps += [lambda command=command: invoke(*command) for command in commands]  # type: ignore[misc]
    refused: KwsError | None = None
    for step in steps:
        try:
            step()
        except KwsError as error:
            refused = RefusedError(str(error))  # the error itself would keep what it was about open
    if refused:
        raise refused


def _read(path: Path) -> None:
    """Everything that the reader answers."""
    from kws.registry.reader import RegistryReader
    from kws.registry.selection import Selection

    with RegistryReader(path) as registry:
        for run in [*registry.runs(), *registry.runs(Selection(deleted=True))]:
            for read in (
                registry.epochs,
                registry.evaluations,
                registry.weights,
                registry.checkpoint,
                registry.weights_digest,
            ):
                with suppress(KwsError):
                    read(run.id)
            with suppress(KwsError):
                registry.card(run.data_fingerprint)
            with suppress(KwsError):
                registry.run(run.id)


def _examine(path: Path) -> None:
    from kws.registry import doctor, maintenance

    doctor.examine(path)
    maintenance.info(path)


def _damage(draw: random.Random, path: Path) -> None:
    """Bytes changed, in one page or in the header."""
    data = path.read_bytes()
    match draw.randrange(5):
        case 0:
            path.write_bytes(damaged(draw, data))
        case 1:
            path.write_bytes(data[: draw.choice((1, 15, 16, 99, 100, _PAGE, _PAGE + 1, draw.randrange(len(data))))])
        case 2:
            path.write_bytes(data + draw.choice((data, bytes(_PAGE), b"x")))
        case _:
            at = draw.randrange(len(data) // _PAGE) * _PAGE
            page = damaged(draw, data[at : at + _PAGE])
            path.write_bytes(data[:at] + (page + bytes(_PAGE))[:_PAGE] + data[at + _PAGE :])
    if draw.random() < 0.1:
        Path(f"{path}-wal").write_bytes(nonsense(draw))
    if draw.random() < 0.05:
        Path(f"{path}-shm").write_bytes(nonsense(draw))


def _change(draw: random.Random, path: Path) -> None:
    """Values of other types, or that cannot be."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [
            row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        ]
        for _ in range(draw.choice((1, 1, 1, 2, 4))):
            table = draw.choice((*tables, "trainings", "trainings", "data", "epochs"))
            columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            where = draw.choice(("1", "1", "key % 2" if table == "trainings" else "1"))
            value = draw.choice(_VALUES) if draw.random() < 0.95 else "not text"
            place = "CAST(x'ff41' AS TEXT)" if value == "not text" else "?"
            given = () if value == "not text" else (value,)
            with suppress(sqlite3.Error):
                if draw.random() < 0.1:
                    connection.execute(f"DELETE FROM {table} WHERE {where}")
                else:
                    column = draw.choice(columns)
                    connection.execute(f"UPDATE OR IGNORE {table} SET {column} = {place} WHERE {where}", given)
        connection.commit()


def _change_blobs(draw: random.Random, path: Path) -> None:
    """Weights, checkpoints, labels and predictions that are something else, their SHA-256 made to fit or not."""
    table, column = draw.choice(_BLOBS)
    with closing(sqlite3.connect(path)) as connection:
        (blob,) = connection.execute(f"SELECT {column} FROM {table} ORDER BY 1 LIMIT 1").fetchone()
        raw = zlib.decompress(blob) if column in ("labels", "predictions") else blob
        raw = draw.choice(
            (damaged(draw, raw), nonsense(draw), raw[::-1], raw * 2, raw[:-1], b"\xff" * 8 + raw, _safetensors(draw))
        )
        blob = zlib.compress(raw) if column in ("labels", "predictions") and draw.random() < 0.8 else raw
        connection.execute(f"UPDATE {table} SET {column} = ?", (blob,))
        if column == "safetensors" and draw.random() < 0.8:
            connection.execute(f"UPDATE {table} SET sha256 = ?", (hashlib.sha256(blob).hexdigest(),))
        connection.commit()


def _safetensors(draw: random.Random) -> bytes:
    """A header that may promise anything."""
    shape = draw.choice(
        ("[1]", "[0]", "[2,2]", "[-1]", "[9223372036854775807]", "[4294967296,4294967296]", "[]", "null")
    )
    kind = draw.choice(("F32", "F64", "U8", "I64", "BF16", "BOOL", "X1"))
    name = draw.choice(
        ("conv1.weight", "fc3.bias", "x", "__metadata__", "", "model.conv1.weight", "random.default", "progress")
    )
    header = (
        f'{{"{name}":{{"dtype":"{kind}","shape":{shape},"data_offsets":[0,{draw.choice((4, 0, 8, 2**40))}]}}}}'.encode()
    )
    return draw.choice((len(header), 2**62, 0)).to_bytes(8, "little") + header + bytes(draw.choice((4, 0, 8)))


def _restructure(draw: random.Random, path: Path) -> None:
    """Tables that are missing, views, or other; headers that say something else."""
    table = draw.choice(
        ("trainings", "epochs", "data", "splits", "sessions", "tags", "weights", "checkpoints", "evaluations")
    )
    statements = (
        f'DROP TABLE {table}', f'ALTER TABLE {table} RENAME TO other', f'CREATE VIEW v AS SELECT * FROM {table}',
        "DROP TABLE trainings", f'ALTER TABLE {table} RENAME TO other; CREATE VIEW {table} AS SELECT * FROM other',
        "ALTER TABLE trainings DROP COLUMN cpu", "ALTER TABLE trainings RENAME COLUMN recipe_json TO recipe",
        "ALTER TABLE trainings ADD COLUMN extra", "CREATE TABLE alembic_version (x)",
        f'CREATE TRIGGER t AFTER UPDATE ON {table} BEGIN DELETE FROM trainings; END', "PRAGMA application_id = 7",
        "PRAGMA user_version = 0", "PRAGMA user_version = 1", "PRAGMA user_version = -1",
        "PRAGMA user_version = 2147483647", "PRAGMA journal_mode = DELETE",
        f'ALTER TABLE {table} RENAME TO other; CREATE TABLE {table} (x)',
        "PRAGMA writable_schema = 1; DELETE FROM sqlite_master",
        "PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = 'CREATE TABLE runs (x)' WHERE name = 'runs'",
        "PRAGMA writable_schema = 1; UPDATE sqlite_master SET rootpage = 99999", "PRAGMA page_size = 512; VACUUM",
        "PRAGMA journal_mode = DELETE; PRAGMA page_size = 65536; VACUUM", "CREATE TEMP TABLE x (y)",
        "DROP VIEW runs", "CREATE INDEX i ON trainings (cpu)", f'CREATE UNIQUE INDEX u ON {table} (1)',
        "PRAGMA foreign_keys = ON; DELETE FROM data",
    )  # fmt: skip
    with closing(sqlite3.connect(path)) as connection, suppress(sqlite3.Error):
        connection.executescript(draw.choice(statements))
        connection.commit()


def _replace(draw: random.Random, path: Path) -> None:
    """Another file, another database, or no file."""
    path.unlink()
    kind = draw.randrange(8)
    if kind < 2:
        path.write_bytes(nonsense(draw))
    elif kind == 2:
        path.write_bytes(b"SQLite format 3\0" + nonsense(draw))
    elif kind == 3:
        draw.choice(
            (
                path.mkdir,
                lambda: path.symlink_to(path.name),
                lambda: path.symlink_to("/dev/zero"),
                lambda: path.symlink_to("gone/x"),
            )
        )()
    else:
        statements = (
            "CREATE TABLE x (y)", "PRAGMA encoding = 'UTF-16'; CREATE TABLE runs (key, id)",
            "CREATE TABLE runs (key INTEGER PRIMARY KEY)", f'{_LIKE_A_REGISTRY}',
            f'{_LIKE_A_REGISTRY}; PRAGMA user_version = 2', f'{_LIKE_A_REGISTRY}; PRAGMA user_version = 1',
            f'{_LIKE_A_REGISTRY}; PRAGMA user_version = 2; CREATE TABLE runs (x)', "PRAGMA user_version = 2",
        )  # fmt: skip
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(draw.choice(statements))
