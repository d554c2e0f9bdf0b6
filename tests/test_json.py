"""Every JSON on stdout: its schema number, and the keys that scripts count on. A key that goes makes a new schema."""

import json

import pytest
from commands import TRAIN, kws, ok_json, sql
from sounds import write_task

RUN = {
    *("schema", "run", "status", "last_seen", "error", "name", "note", "tags", "rerun_of", "deleted_at", "arch"),
    *("opt", "seed"),
    *("softmax_before_loss", "epochs", "epochs_planned", "ended_by", "parameters", "multiply_accumulates"),
    *("selection", "data"),
    *("data_fingerprint", "validation_accuracy", "test_accuracy", "seconds", "started_at", "ended_at"),
}
BASICS = {
    *("schema", "run", "split", "data", "data_fingerprint", "clips", "accuracy", "accuracy_interval", "loss"),
    *("objective", "classes", "confusion_matrix"),
}
EVALUATION = BASICS | {
    *("detection", "calibration", "most_confident_errors", "trained_on"),
    *("clips_offered", "left_out", "left_out_is_known"),
    *("stored", "recipes_judged", "front_end_doubt", "unheard", "not_tested"),
}
KEYS = {
    ("train", "--resume", "cut"): RUN,
    ("rerun", "last"): {
        *("schema", "same", "first", "again", "first_epoch", "answers_differ", "weights_differ", "differences"),
    },
    ("test", "last"): BASICS | {"tested_at", "tested_now", "recipes_judged"},
    ("eval", "last"): EVALUATION,
    ("compare", "--format", "json"): {"schema", "tables"},
    ("runs", "list"): {"schema", "runs"},
    ("runs", "show", "last"): RUN
    | {"recipe", "environment", "source_sha256", "evaluations", "recipes_judged", "processor_seconds"},
    ("runs", "diff", "last", "last"): {"schema", "runs", "differ", "same"},
    ("db", "info"): {
        *("schema", "path", "registry_schema", "bytes", "bytes_free", "runs", "deleted_runs", "rows", "judged"),
    },
    ("db", "doctor"): {"schema", "found", "left", "copy"},
    ("db", "query", "SELECT id FROM runs"): {"schema", "columns", "rows", "cut"},
    ("sweep", "--preset", "table1", "--dry-run"): {"schema", "dry_run", "runs"},
    ("data", "list"): {"schema", "sources"},
    ("data", "check", "task"): {
        *("schema", "source", "folder", "counts", "speakers", "durations", "short", "silent", "clipped", "duplicated"),
        *("missing", "unreadable", "shared_speakers", "unusable", "files", "used", "unused", "lists", "elsewhere"),
        *("one_word", "rates_hz", "longer", "beyond_full_scale", "channels_cancel", "late", "in_two_splits"),
        *("in_two_words", "task", "found", "said", "split_by", "word_speakers", "level_dbfs", "peak_dbfs", "quietest"),
        *("loudest", "cut_off", "near_duplicates", "overlaps", "confounds", "labels", "first"),
    },
    ("summary", "--arch", "cnn"): {
        *("schema", "arch", "title", "input_size", "layers", "parameters", "multiply_accumulates"),
    },
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a task, and a registry with a finished run and one that was cut off after its first epoch."""
    folder = tmp_path_factory.mktemp("json")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("KWS_CACHE", str(folder / "cache"))
        write_task(folder / "task")
        cut = ok_json(*TRAIN, "--data", "task", "--epochs", 2, "--db", "runs.db")["run"]
        sql(
            folder / "runs.db",
            "UPDATE trainings SET status = 'interrupted', test_accuracy = NULL",
            *(f"DELETE FROM {table}" for table in ("evaluations", "weights")),
        )
        ok_json(*TRAIN, "--data", "task", "--epochs", 2, "--db", "runs.db")
    return folder, cut


@pytest.mark.parametrize("command", KEYS, ids=" ".join)
def test_a_command_that_prints_json_prints_these_keys(place, monkeypatch, command):
    folder, cut = place
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KWS_CACHE", str(folder / "cache"))
    monkeypatch.setenv("KWS_DB", str(folder / "runs.db"))
    arguments = [cut if argument == "cut" else argument for argument in command]
    result = kws(*arguments, *([] if "--format" in command else ["--json"]))
    printed = json.loads(result.stdout)
    is_first = command[0] in ("summary", "db") or command[:2] == ("data", "list")  # others have changed since 0.1.0
    assert printed["schema"] == (3 if command[:2] == ("data", "check") else 1 if is_first else 2)
    assert set(printed) == KEYS[command]
