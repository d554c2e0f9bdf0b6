"""What cases start from, made once: `python -m tests.stress.cases.materials FOLDER`. The same bytes every time.

task/         a small folder of recordings     cache/   its features
audio/        good recordings of each kind     arrays/  the course's six files, small
registry.db   runs that are finished, failed, interrupted (with a checkpoint) and deleted
"""

from __future__ import annotations

import os
import pickle
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from unittest import mock

import numpy as np

from tests.stress.cases import sounds

_IDS = ("bcdfghjk", "cdfghjkm", "dfghjkmn", "fghjkmnp", "ghjkmnpq", "hjkmnpqr")
_RECIPE = (
    "train",
    "--arch",
    "cnn",
    "--maps",
    "1,1",
    "--opt",
    "adam",
    "--batch-size",
    "4",
    "--threads",
    "1",
    "--data",
    "task",
)
_SAME_EVERY_TIME = """
UPDATE trainings SET started_at = '2026-01-01T00:00:00.000+00:00', milliseconds = 100 * epochs_done,
    cpu = 'A processor', git_commit = NULL, git_dirty = NULL, command = 'kws train', platform = 'Linux x86_64';
UPDATE trainings SET ended_at = '2026-01-01T00:01:00.000+00:00' WHERE ended_at IS NOT NULL;
UPDATE trainings SET deleted_at = '2026-01-01T00:02:00.000+00:00' WHERE deleted_at IS NOT NULL;
UPDATE epochs SET milliseconds = 100, processor_seconds = 0.1;
UPDATE evaluations SET evaluated_at = '2026-01-01T00:01:00.000+00:00';
UPDATE sessions SET started_at = '2026-01-01T00:00:00.000+00:00', heartbeat_at = '2026-01-01T00:00:00.000+00:00',
    host = 'another', boot = 'boot', pid = 1, process_started = '1';
"""


def main() -> None:
    """Make everything in the folder named."""
    folder = Path(sys.argv[1])
    os.environ["KWS_CACHE"] = str(folder / "cache")
    os.chdir(folder)
    _write_task(folder)
    _write_audio(folder / "audio")
    _write_arrays(folder / "arrays")
    _write_registry(folder)


def _write_task(folder: Path) -> None:
    from tests.sounds import write_task

    write_task(folder / "task", {"train": 2, "validation": 1, "test": 1}, ("yes", "no", "up"))
    for path in (folder / "task").rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))


def _write_audio(folder: Path) -> None:
    folder.mkdir()
    random = np.random.default_rng(0)
    time = np.arange(8_000) / 16_000
    mono = 0.3 * np.sin(2_764.6 * time) + 0.05 * random.standard_normal(8_000)
    stereo = np.stack([mono, -mono], axis=1)
    for name, samples, rate, subtype in (
        ("good.wav", mono, 16_000, "PCM_16"),
        ("low.wav", mono[:2_000], 8_000, "PCM_16"),
        ("stereo.wav", stereo[:3_000], 44_100, "PCM_24"),
        ("float.wav", mono[:3_000], 16_000, "FLOAT"),
        ("law.wav", mono[:3_000], 8_000, "ULAW"),
        ("adpcm.wav", mono[:3_000], 16_000, "IMA_ADPCM"),
        ("good.flac", mono, 16_000, "PCM_16"),
        ("stereo.flac", stereo, 48_000, "PCM_24"),
        ("good.ogg", mono, 16_000, "VORBIS"),
        ("opus.ogg", mono, 16_000, "OPUS"),
    ):
        if not sounds.write(folder / name, samples, rate, subtype=subtype):
            raise RuntimeError(f"{name} could not be written")


def _write_arrays(folder: Path) -> None:
    folder.mkdir()
    random = np.random.default_rng(0)
    for split in ("train", "valid", "test"):
        features = random.standard_normal((3, 101, 40)).astype(np.float32)
        (folder / f"X_{split}.p").write_bytes(pickle.dumps(features, 4))
        (folder / f"Y_{split}.p").write_bytes(pickle.dumps(np.arange(3), 4))


def _write_registry(folder: Path) -> None:
    """Six runs by the program itself, then all that differs from time to time made the same."""
    from kws.registry.store import Registry
    from kws.training import runner

    raw = folder / "raw.db"
    os.environ["KWS_DB"] = str(raw)
    runner.CHECKPOINT_SECONDS = 0.0
    for number in range(4):
        _kws(*_RECIPE, "--epochs", "1", "--seed", str(number), "--name", f"run {number}")
    with mock.patch.object(Registry, "finish", side_effect=KeyboardInterrupt):
        _kws(*_RECIPE, "--epochs", "2", wanted=130)
    with mock.patch.object(Registry, "finish", side_effect=OSError("no reason")):
        _kws(*_RECIPE, "--epochs", "1", wanted=1)
    with closing(sqlite3.connect(raw)) as connection:
        found = [row[0] for row in connection.execute("SELECT id FROM runs ORDER BY key")]
        for old, new in zip(found, _IDS, strict=True):
            connection.execute("UPDATE trainings SET id = ? WHERE id = ?", (new, old))
        connection.executescript(_SAME_EVERY_TIME)
        connection.commit()
    _kws("runs", "tag", _IDS[1], "paper")
    _kws("runs", "note", _IDS[2], "a note")
    _kws("runs", "delete", _IDS[5])
    with closing(sqlite3.connect(raw)) as connection:
        connection.executescript(_SAME_EVERY_TIME)
        connection.execute("VACUUM INTO ?", (str(folder / "registry.db"),))
    raw.unlink()
    del os.environ["KWS_DB"]


def _kws(*arguments: str, wanted: int = 0) -> None:
    """Run a command in this process. Raises RuntimeError for another exit code than is wanted."""
    from typer.testing import CliRunner

    from kws.cli import app

    result = CliRunner().invoke(app, list(arguments))
    if result.exit_code != wanted:
        raise RuntimeError(f"`kws {' '.join(arguments)}` ended with {result.exit_code}: {result.output}")


if __name__ == "__main__":
    main()
