"""What shows may fail, and the work goes on: terminals and readers that go away, streams that are closed or full."""

from __future__ import annotations

import codecs
import fcntl
import io
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commands import TRAIN, kws, ok, ok_json, sql
from ledger import make_epochs, make_recipe, make_registry, start
from sounds import write_task

from kws.registry.store import Registry
from kws.terminal import streams
from kws.training.stopping import HungUp, Terminated, exit_code, stoppable

SHOWN = Path(__file__).parent.parent / "shown.py"
KWS = f"{shlex.quote(sys.executable)} -m kws"
FULL = b"kws: the result could not be printed on stdout (No space left on device)\n"
LETTERS = "größer? 😀 →"


def shell(command: str, **environment: str) -> subprocess.CompletedProcess:
    """A command line with `kws` in it, as a shell runs it."""
    command = command.replace("kws", KWS, 1)
    given = {**os.environ, **environment}
    return subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, env=given, timeout=60)


@pytest.fixture
def ledger(db) -> Path:
    """A registry of two runs, one with a note that not every encoding has."""
    ids = make_registry(db, [make_recipe("fc", "adam"), make_recipe("cnn", "adam")])
    ok("runs", "note", ids[-1], LETTERS)
    return db


# A training


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """How a training ended on each kind of stream: the exit code, and the run in its registry."""
    folder = tmp_path_factory.mktemp("shown")
    command = [sys.executable, SHOWN, folder, *TRAIN, "--epochs", "4", "--data", write_task(folder / "task")]
    environment = {**os.environ, "KWS_CACHE": str(folder / "cache"), "TERM": "xterm"}
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, env=environment, timeout=100)
    assert done.stderr == ""
    ended = {}
    for kind, code in json.loads(done.stdout).items():
        (run,) = sql(folder / f"{kind}.db", "SELECT status, error, epochs_done FROM runs")
        ended[kind] = code, *run
    return ended, folder


@pytest.mark.parametrize("kind", ["closed", "full", "pipe", "terminal-ignored"])
def test_a_training_is_recorded_to_its_end_though_nothing_can_be_shown(trained, kind):
    assert trained[0][kind] == (0, "finished", None, 4)


def test_a_training_was_shown_while_that_could_be(trained):
    ended, folder = trained
    assert ended["pipe"][0] == 0
    said = (folder / "pipe.txt").read_text().splitlines()
    (title,) = (place for place, line in enumerate(said) if line.startswith("run "))
    first = said[title + 1]
    assert first.startswith("epoch 1/4")
    assert b"\x1b[" in (folder / "terminal-ignored.txt").read_bytes()


def test_a_terminal_that_is_closed_interrupts_a_training(trained):
    assert trained[0]["terminal"] == (129, "interrupted", None, 2)


def test_a_run_is_recorded_though_its_sweep_is_gone_when_it_ends(trained):
    assert trained[0]["sweep"] == (0, "finished", None, 4)


# Commands that print


@pytest.mark.parametrize(
    ("command", "target", "why"),
    [
        ("runs list", ">&-", "it is closed"),
        ("compare", ">&-", "it is closed"),
        ("db query 'SELECT note FROM runs' --csv", ">&-", "it is closed"),
        ("--version", ">/dev/full", "No space left on device"),
        ("--help", ">/dev/full", "No space left on device"),
        ("compare --format csv", ">/dev/full", "No space left on device"),
        ("runs show last", ">/dev/full", "No space left on device"),
    ],
)
def test_a_result_that_could_not_be_printed_is_no_success(ledger, command, target, why):
    done = shell(f"kws {command} {target}")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.decode() == f"kws: the result could not be printed on stdout ({why})\n"


@pytest.mark.parametrize("target", ["2>&-", "2>/dev/full", "<&-", "<&- 2>&-"])
def test_a_result_that_was_printed_is_one_whatever_becomes_of_messages(ledger, target):
    done = shell(f"kws runs list --where \"arch = 'rnn'\" {target}")  # of which there are none, as is said on stderr
    assert (done.returncode, done.stderr != b"") == (0, target == "<&-")
    assert done.stdout.startswith(b"run  started")


def test_nothing_is_left_to_say_where_all_is_closed(ledger):
    assert shell("kws compare >&- 2>&- <&-").returncode == 1


def test_no_file_is_opened_in_the_place_of_a_closed_stream(tmp_path):
    """What a library or a child writes to stdout or stderr must not come into the registry or a plot."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, subprocess\nfrom kws.terminal import streams\nstreams.guard()\n"
        "with open('opened', 'w') as file:\n"
        "    os.write(1, b'a library')\n"
        "    subprocess.run(['sh', '-c', 'echo a child; echo a child >&2; cat'], check=True)\n"
        "    print(file.fileno() > 2, file=file)\n"
    )
    done = subprocess.run(["bash", "-c", f"{shlex.quote(sys.executable)} {program} 0<&- 1>&- 2>&-"], timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "opened").read_text() == "True\n"


def test_a_reader_that_ends_early_is_quiet_and_no_success(ledger):
    rows = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 9000) SELECT i, hex(zeroblob(20)) FROM n"
    )
    done = shell(f"kws db query '{rows}' --csv | head -1")
    assert (done.returncode, done.stdout, done.stderr) == (1, b"i,hex(zeroblob(20))\n", b"")


def test_watching_ends_with_its_reader_and_waits_for_runs_though_nobody_sees_them(db):
    def watch(stdout, *runs):
        command = [sys.executable, "-m", "kws", "watch", *runs, "--db", str(db)]
        return subprocess.Popen(command, stdout=stdout, stderr=subprocess.PIPE)

    epochs = make_epochs(3)
    with Registry(db, create=True) as registry, Path("/dev/full").open("w") as full:
        run_id = start(registry)
        registry.record(run_id, epochs[0])
        with watch(subprocess.PIPE) as read, watch(full, run_id) as unseen, watch(full) as endless:
            try:
                assert b"epoch 1/" in read.stdout.readline()
                read.stdout.close()
                registry.record(run_id, epochs[1])
                assert (read.wait(timeout=30), read.stderr.read()) == (1, b"")
                assert (endless.wait(timeout=30), endless.stderr.read()) == (1, FULL)
                assert unseen.poll() is None
                registry.end(run_id, "interrupted")
                assert (unseen.wait(timeout=30), unseen.stderr.read()) == (1, FULL)
            finally:
                for process in (read, unseen, endless):
                    process.kill()


def test_a_terminal_that_is_closed_ends_watching(db):
    Registry(db, create=True).__exit__()
    command = [sys.executable, "-m", "kws", "watch", "--db", str(db)]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL)
    ) as process:
        assert process.stderr.readline().startswith(b"no run is running")
        process.send_signal(signal.SIGHUP)
        assert (process.wait(timeout=30), process.stderr.read()) == (129, b"")


# Encodings


def test_letters_that_an_encoding_lacks_are_escapes_and_a_sentence_says_so(ledger):
    done = shell("kws runs show last", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert rb"gr\xf6\xdfer? \U0001f600 \u2192" in done.stdout
    assert done.stderr.decode().startswith("note: ascii, the encoding of stdout, lacks letters of this output")
    assert len(done.stderr.splitlines()) == 1
    latin = shell("kws db query 'SELECT max(note) FROM runs' --csv", PYTHONIOENCODING="latin-1")
    assert LETTERS[:6].encode("latin-1") in latin.stdout
    assert rb"\U0001f600" in latin.stdout


def test_json_is_the_same_json_in_any_encoding(ledger):
    expected = ok_json("runs", "show", "last")
    for encoding in ("ascii", "latin-1"):
        done = shell("kws runs show last --json", PYTHONIOENCODING=encoding)
        assert (done.returncode, done.stderr) == (0, b"")
        assert json.loads(done.stdout.decode(encoding)) == expected
    assert expected["note"] == LETTERS


def test_the_bytes_of_a_file_name_are_printed_as_they_are(ledger, tmp_path):
    name = os.fsdecode(b"p\xe9.html")
    done = shell(f"kws report {shlex.quote(name)}")
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, b"p\xe9.html", b"")
    assert (tmp_path / name).exists()


# Colours


def test_force_color_is_colours_in_a_pipe_and_no_redrawing(tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_INTERACTIVE", "1")
    done = kws(*TRAIN, "--epochs", 3, "--data", write_task(tmp_path / "task"))
    assert done.exit_code == 0
    assert [line[:9] for line in done.stderr.splitlines() if "epoch" in line][:3] == [f"epoch {i}/3" for i in (1, 2, 3)]
    assert "\x1b" not in done.stderr
    assert "\x1b" not in ok("watch", "last")
    table = ok("compare")
    assert "\x1b[1;32m" in table
    assert "*" not in table
    assert set("".join(table.split("\x1b[")[1:])) & set("ABCDHJKl") <= set(table.replace("\x1b", ""))
    monkeypatch.setenv("FORCE_COLOR", "")
    monkeypatch.delenv("TTY_INTERACTIVE")
    plain = ok("compare")
    assert "\x1b" not in plain
    assert "**" not in plain
    assert plain.count(" *\n") == 1 == plain.count(" * marks the best.")


# Signals


@pytest.fixture
def hangup():
    """SIGHUP as a program has it that was started from a terminal."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_what_follows_a_signal_at_once_does_not_cut_off_the_ending(hangup):
    ended = []
    with pytest.raises(HungUp) as stop, stoppable():
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            signal.raise_signal(signal.SIGHUP)
            signal.raise_signal(signal.SIGTERM)
            ended.append(True)
    assert ended
    assert exit_code(stop.value) == 129
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_DFL


def test_a_signal_that_was_lost_can_be_sent_again(hangup, monkeypatch):
    monkeypatch.setattr("kws.training.stopping._AGAIN_SECONDS", 0.0)
    with pytest.raises(Terminated), stoppable():
        with pytest.raises(HungUp):
            signal.raise_signal(signal.SIGHUP)
        time.sleep(0.001)
        signal.raise_signal(signal.SIGTERM)


def test_a_second_ctrl_c_does_not_wait():
    with pytest.raises(KeyboardInterrupt), stoppable():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


def test_sighup_that_is_ignored_stays_so(hangup):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with stoppable():
        signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


# The streams themselves


def test_what_a_reader_does_not_take_is_dropped_after_a_while(monkeypatch):
    read, write = os.pipe()
    stream = streams.Stream(write, patience=0.05)
    start = time.monotonic()
    line = b"x" * 4000
    for _ in range(100):
        assert stream.write(line) == len(line)
    assert time.monotonic() - start < 2
    taken = 0
    while len(chunk := os.read(read, 65536)) == 65536:
        taken += len(chunk)
    stream.write(b"again")
    assert os.read(read, 65536).endswith(b"again")
    assert stream.failure is None
    os.close(read)
    stream.write(b"nobody")
    assert isinstance(stream.failure, BrokenPipeError)
    os.close(write)


def test_what_was_written_before_a_signal_is_not_written_again():
    """The kernel sends the signal while it takes what is written."""
    read, write = os.pipe()
    before = signal.signal(signal.SIGIO, signal.default_int_handler)
    fcntl.fcntl(read, fcntl.F_SETOWN, os.getpid())
    flags = fcntl.fcntl(read, fcntl.F_GETFL)
    file = io.TextIOWrapper(io.BufferedWriter(streams.Stream(write)), line_buffering=True)
    fcntl.fcntl(read, fcntl.F_SETFL, flags | os.O_ASYNC)
    with pytest.raises(KeyboardInterrupt):
        file.write("first\n")
    fcntl.fcntl(read, fcntl.F_SETFL, flags)
    file.write("second\n")
    signal.signal(signal.SIGIO, before)
    assert os.read(read, 100) == b"first\nsecond\n"
    file.close()
    os.close(read)
    os.close(write)


def test_a_stream_that_does_not_block_is_waited_for():
    read, write = os.pipe()
    os.set_blocking(write, False)
    program = f"import os, time; time.sleep(0.2); print(len(os.read({read}, 10**6)))"
    with subprocess.Popen([sys.executable, "-c", program], pass_fds=[read], stdout=subprocess.PIPE):
        stream = streams.Stream(write)
        total = sum(stream.write(b"x" * 4096) for _ in range(20))
    assert (total, stream.failure) == (20 * 4096, None)
    os.close(read)
    os.close(write)


def test_a_stream_that_somebody_else_has_wrapped_is_guarded_and_one_in_memory_is_not(monkeypatch):
    class Unbuffered:  # as Ray has it
        encoding = "latin-1"

        def fileno(self):
            return 2

    monkeypatch.setattr(streams, "_guarded", {})
    made = streams._stream(Unbuffered(), 2, closed=False)
    assert (made.encoding, made.errors, made.line_buffering) == ("latin-1", "backslashreplace", True)
    assert list(streams._guarded) == [2]
    for other in (io.StringIO(), io.TextIOWrapper(io.BytesIO())):
        assert streams._stream(other, 1, closed=False) is other
    assert list(streams._guarded) == [2]


def test_escapes_are_for_encoding_alone():
    escape = streams._Escaping()
    codecs.register_error("test.escaping", escape)
    assert "a\udcffb".encode("utf-8", "test.escaping") == b"a\xffb"
    assert not escape.escaped
    assert "ö\udcff\ud800".encode("ascii", "test.escaping") == rb"\xf6\udcff\ud800"
    assert escape.escaped
