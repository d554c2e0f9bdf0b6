"""Command lines: every command with options and values drawn from the good, the odd and the absurd.

Commands and options are those that the program has. Left out are `kws bench`, which is slow on purpose, what would
fetch archives, and what would change a shell's files.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
from functools import cache
from pathlib import Path
from typing import Any

from kws.errors import KwsError
from tests.stress.cases import Place, RefusedError, UnwantedError

_WATCHED_SECONDS, _OF_SWEEPS_SECONDS = 3.0, 28.0
_LEFT_OUT = {("bench",), ("data", "download")}
_MARKUP = (
    "[bold]x[/bold]",
    "%s%n%d",
    "{}",
    "{0.__class__}",
    "$(touch canary)",
    "`touch canary`",
    "; touch canary",
    "\\",
)
TEXTS = (
    "", " ", "-", "--", "---", "-1", "--help", "--json", "nan", "inf", "-inf", "1e999", "-1e999", "0", "00", "1.5",
    "1e3", "9" * 30, "9" * 5000, "0x10", "1_000", "\uff11\uff12", "\u0663", "\u2212" + "1", "+1", "1,2", ",", ",,,",
    "a,b", "None", "null", "true", "🎙️", "é", "é", "\u202e", "\ufeff", "\u2028", "\x1b[31m", "\x07", "\x7f", "\t",
    "\n", "a\nb", "\r", "\udcff", "A" * 5000, ".", "..", "../..", "./x", "x/y", "x/", "~", "~nobody/x", "con",
    "file:x?mode=ro", "x.db?mode=memory", ":memory:", "last", "LAST", "b", "yes,no", "'; DROP TABLE trainings; --", '"',
    "'", *_MARKUP,
)  # fmt: skip
NUMBERS = (
    "0", "1", "2", "3", "-1", "7", "0.5", "1e-3", "1e-30", "1e-320", "1e30", "1e999", "-0.0", "nan", "inf", "1_0",
    " 1 ", "\u0967", "1e1", "65536", "1000000", "2147483647", "2147483648", "4294967296", "9223372036854775807",
    "9223372036854775808", "-2147483649", "18446744073709551616", "9" * 40, "0b1", "1.0", "",
)  # fmt: skip
SQL = (
    "1", "1=1", "0", "NULL", "arch = 'cnn'", 'arch = "cnn"', "test_accuracy > 0.5", "status = 'finished'",
    "nonsense", "(", ")", "1) OR (1", "1; DROP TABLE trainings", "1 UNION SELECT 1", "1 -- ", "1 /*", "'",
    "key IN (SELECT run_key FROM epochs)", "ATTACH DATABASE 'canary' AS c", "VACUUM INTO 'canary'",
    "SELECT writefile('canary', 'x')", "SELECT load_extension('x')", "PRAGMA journal_mode = DELETE",
    "PRAGMA user_version = 9", "DELETE FROM trainings",
    "UPDATE trainings SET name = 'x'", "SELECT 1; SELECT 2", "SELECT",
    "SELECT * FROM runs", "SELECT * FROM epochs, epochs", "SELECT * FROM weights", "SELECT zeroblob(1000000000)",
    "SELECT randomblob(99999999999)", "SELECT printf('%999999999d', 1)", "SELECT hex(zeroblob(20000000))",
    "SELECT 9e999, -9e999", "SELECT CAST(x'ff' AS TEXT)", "SELECT x'00ff'", "SELECT 1 AS [a\nb]",
    "SELECT 1 AS a, 2 AS a", "SELECT ''", "SELECT NULL", "SELECT char(27) || '[31m'", "SELECT json('{')",
    "SELECT json_each.value FROM runs, json_each(words)", "VALUES (1), (2)", "SELECT abs(-9223372036854775808)",
    "SELECT ?", "SELECT :a", "SELECT $a", "EXPLAIN SELECT 1", "BEGIN", "COMMIT", "ROLLBACK", "CREATE TABLE x (y)",
    "SELECT * FROM sqlite_master", "SELECT * FROM pragma_table_info('runs')", "\udcff", "🎙️", " ", "",
    "(" * 2000 + "1" + ")" * 2000, "SELECT " + "1," * 3000 + "1",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c", "SELECT load(1)",
    "SELECT 'x' GLOB 'x'", "SELECT '" + "x" * 50000 + "'",
)  # fmt: skip
_MANY = ",".join(f"word{number}" for number in range(300))
_RUNS = ("last", "bcdfghjk", "bcdf", "b", "cdfghjkm", "dfghjkmn", "fghjkmnp", "ghjkmnpq", "hjkmnpqr")
_GOOD: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("run", "runs", "first", "second", "resume"), _RUNS),
    **dict.fromkeys(("data", "source"), ("task",)),
    **dict.fromkeys(("epochs", "threads"), ("1",)),
    "jobs": ("1", "2"),
    "arch": ("cnn", "cnn", "cnn", "fc"),
    "opt": ("adam", "sgd"),
    "precision": ("fp32", "fp32", "bf16"),
    "device": ("auto", "cpu"),
    "selection": ("final", "best"),
    "format": ("table", "markdown", "latex", "csv", "json"),
    "split": ("train", "validation", "test", "all"),
    "status": ("running", "finished", "failed", "interrupted", "lost"),
    "maps": ("2,1", "1,1"),
    "words": ("yes,no", "yes", "no,up", "yes,no,up"),
    "batch_size": ("16", "64", "1024"),
    "seed": ("0", "7"),
    "learning_rate": ("0.001", "1e-2"),
    "momentum": ("0.9", "0"),
    "weight_decay": ("0", "1e-5"),
    "limit": ("10", "1"),
    "seconds": ("0.5", "0.05"),
    "since": ("2026-01-01", "12h", "7d", "30min"),
    "where": ("1=1", "arch = 'cnn' and test_accuracy >= 0", "status = 'finished'"),
    "sql": ("SELECT * FROM runs", "SELECT arch, count(*) FROM runs GROUP BY arch"),
    "out": ("x.png", "x.svg", "x.pdf"),
    "file": ("x.db",),
    "db": ("experiments.db", "experiments.db", "missing.db"),
}
_ALWAYS = ("epochs", "arch", "opt", "batch_size", "threads")  # so that a case is small, and measures nothing
_ODD: dict[str, tuple[str, ...]] = {
    "epochs": ("0", "-1", "1.5", "2147483648", "nan", "9" * 30, ""),  # and none that would take a day
    "maps": (
        "2", "2,1,3", "0,0", "-1,2", "2.0,1", "1e3,2", "\uff12,\uff11", "1_0,2", "99999999999,1", "100000,100000",
        "2147483648,1", "9223372036854775808,1", " 2 , 1 ", "2,", "True,1", "1000000,1", "1,1000000",
    ),
    "learning_rate": ("1e-320", "5e-324", "1e-300", "1e-8", "0", "-1", "1e30", "1e999", "nan"),
    "momentum": ("1e-320", "1", "0.999999999999999999", "-0.0", "nan"),
    "weight_decay": ("1e-320", "1e300", "-0.0", "-1", "nan"),
    "words": ("yes,yes", "other", "yes,other", " yes , no ", "yes,,no", _MANY),
    "since": (
        "2026-13-01", "0d", "999999999999w", "9" * 30 + "d", "-1d", "yesterday", "0001-01-01", "24:00", "12 h",
        "9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+14:00", "2026-01-01T00:00", "\uff11\uff12h",
    ),
    "where": tuple(text for text in SQL if not text.startswith("WITH RECURSIVE")),  # that takes its ten seconds
    "sql": SQL,
    "seconds": ("0", "-1", "nan", "1e999", "0.001"),
    "jobs": ("0", "-1", "nan", "2", "1.5"),  # as many as there are trials would each import PyTorch
    "out": ("x", "x.exe", "..", "missing/x.png", ".png", "x.PNG", "a\nb.png"),
    "file": ("experiments.db", ".", "..", "", "missing/x.db", "x", "-", "a\nb.db", "é🎙️.db"),
    "db": ("missing/x.db", ".", "text.db", "./experiments.db"),
    "data": ("", "nowhere", "task/yes", "task/testing_list.txt", "/dev/null", "."),
}  # fmt: skip


def attempt(draw: random.Random, place: Place) -> None:
    """Run a command line where there is a registry, or none."""
    os.environ["KWS_CACHE"] = str(place.materials / "cache")
    registry = place.folder / "experiments.db"
    if draw.random() < 0.8:
        shutil.copyfile(place.materials / "registry.db", registry)
    (place.folder / "text.db").write_text("text")
    (place.folder / "task").symlink_to(place.materials / "task")
    line = _line(draw)
    stop = threading.Timer(_WATCHED_SECONDS, os.kill, (os.getpid(), signal.SIGINT))
    if line[:1] in (["ui"], ["watch"]):  # they go on until they are stopped
        stop.start()
    if line[:1] in (["sweep"], ["tune"]):  # they start processes, each of which imports PyTorch
        signal.setitimer(signal.ITIMER_REAL, _OF_SWEEPS_SECONDS, _OF_SWEEPS_SECONDS)
    try:
        invoke(*line)
    finally:
        stop.cancel()
        if registry.is_file() and registry.stat().st_size:
            _look(registry)


def _look(registry: Path) -> None:
    """Whether a registry is still in order after whatever was asked of it."""
    from kws.registry import doctor

    try:
        found = doctor.examine(registry)
    except KwsError as error:
        raise UnwantedError(f"the registry is no longer one: {error}") from None
    if found:
        raise UnwantedError(f"the registry is no longer in order: {found[0].run} {found[0].problem}")


def invoke(*arguments: str) -> None:
    """Run `kws` in this process.

    Raises what it raised, UnwantedError for other exit codes than 0, 1 and 2, and RefusedError for 1 and 2.
    """
    from typer.testing import CliRunner

    from kws.cli import app

    result = CliRunner().invoke(app, list(arguments))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    if result.exit_code not in (0, 1, 2) and arguments[:1] not in (("ui",), ("watch",)):
        raise UnwantedError(f"exit code {result.exit_code}: {result.stderr[-300:]}")
    if "Traceback (most recent" in result.output:
        raise UnwantedError(f"a traceback was printed: {result.output[-500:]}")
    if result.exit_code:
        raise RefusedError(f"exit code {result.exit_code}: {result.stderr[-300:]}")


@cache
def _commands() -> list[tuple[tuple[str, ...], list[Any]]]:
    import typer

    from kws.cli import app

    found: list[tuple[tuple[str, ...], list[Any]]] = []

    def walk(command: Any, path: tuple[str, ...]) -> None:
        for name, each in getattr(command, "commands", {}).items():
            walk(each, (*path, name))
        if not getattr(command, "commands", {}) and path not in _LEFT_OUT:
            found.append((path, command.params))

    walk(typer.main.get_command(app), ())
    return found


def _line(draw: random.Random) -> list[str]:
    """Mostly a command with one or two values that are odd, sometimes with many, sometimes words alone."""
    if draw.random() < 0.03:
        return draw.choices((*TEXTS, "runs", "db", "list", "--version", "compare"), k=draw.randrange(4))
    train = [entry for entry in _commands() if entry[0] == ("train",)]
    path, parameters = draw.choice(_commands() + 5 * train)
    odd_share = draw.choice((0.0, 0.1, 0.1, 0.2, 0.5))
    arguments, options = [], []
    for parameter in parameters:
        if parameter.param_type_name == "argument":
            count = draw.choice((0, 1, 2, 5)) if parameter.nargs < 0 else draw.random() < 0.97
            arguments += [_value(draw, parameter.name, odd_share) for _ in range(count)]
        elif parameter.name in _ALWAYS or draw.random() < (0.03 if parameter.name == "resume" else 0.2):
            option = draw.choice(parameter.opts)
            values = () if parameter.is_flag else (_value(draw, parameter.name, odd_share),)
            options.append([f"{option}={values[0]}"] if values and draw.random() < 0.2 else [option, *values])
            if draw.random() < odd_share / 10:
                options.append(draw.choice(([option], [f"--no-{option[2:]}"], [option, *values], [f"{option}x", "1"])))
    given = {word for option in options for word in option}
    if path == ("train",) and not {"fc", "--arch=fc"} & given and not any(word.startswith("--maps") for word in given):
        options.append(["--maps", "2,1"])  # a small network
    draw.shuffle(options)
    words = [word for option in options for word in option]
    return [*path, *arguments, *words] if draw.random() < 0.8 else [*path, *words, *arguments]


def _value(draw: random.Random, name: str, odd_share: float) -> str:
    if draw.random() >= odd_share:
        return draw.choice(_GOOD.get(name, TEXTS))
    if name in ("epochs", "jobs") or (name in _ODD and draw.random() < 0.7):
        return draw.choice(_ODD[name])
    return draw.choice(NUMBERS if draw.random() < 0.6 else TEXTS)
