"""The program on streams that fail, once for each kind of them, after torch was imported once for all.

    python shown.py FOLDER ARGUMENT...

runs the command with a registry in the folder under the name of the kind, and says on stdout, as JSON, with which code
each ended. A terminal or a pipe loses its other end after the second epoch; what its reader got until then is kept in a
file. The last kind is a process of a sweep, whose sweep is gone when it tells how the run has ended.
"""

import json
import os
import pty
import signal
import sys
from pathlib import Path

from ledger import make_recipe

import kws.cli.train
import kws.speech.dataset
import kws.terminal.progress
import kws.terminal.screens
import kws.training.checkpoints
import kws.training.layers
import kws.training.loop
import kws.training.runner
import kws.training.weights  # noqa: F401 - what takes long to import is imported once, for all
from kws.cli import main
from kws.registry.recorder import Recorder
from kws.sweeps import worker
from kws.sweeps.trainer import WorkerConfig, as_task
from kws.terminal import streams

KINDS = ("closed", "full", "pipe", "terminal-ignored", "terminal", "sweep")
record = Recorder.add


def point(kind: str) -> int | None:
    """Let this process's streams be of that kind; the other end of what has one."""
    if kind == "closed":
        os.closerange(0, 3)
        return None
    if kind == "full":
        other, device = None, os.open("/dev/full", os.O_WRONLY)
    elif kind == "pipe":
        other, device = os.pipe()
    else:  # a terminal of a session of its own; its end is SIGHUP, unless that is ignored, as under nohup or disown
        signal.signal(signal.SIGHUP, signal.SIG_IGN if kind == "terminal-ignored" else signal.SIG_DFL)
        os.setsid()
        other, name = pty.openpty()
        device = os.open(os.ttyname(name), os.O_RDWR)  # which makes it this session's
        os.close(name)
        os.dup2(device, 0)
    os.dup2(device, 1)
    os.dup2(device, 2)
    os.close(device)
    return other


def work(db: Path, task: str) -> None:
    """Become a process of a sweep that is asked to train, and has nobody to tell of the result."""
    recipe = make_recipe("cnn", "adam", data=task, maps=(2, 1), epochs=4, threads=1, batch_size=16, micro_batch_size=16)
    asked = [vars(WorkerConfig.here(db, skip_unreadable=False)), as_task(recipe, do="train")]
    (tasks, ask), (unread, results) = os.pipe(), os.pipe()
    os.write(ask, b"".join(json.dumps(each).encode() + b"\n" for each in asked))
    os.dup2(tasks, 0)
    os.dup2(results, 1)
    os.close(unread)
    os.close(results)
    worker.main()


def run(kind: str, folder: Path, arguments: list[str]) -> None:
    """Become the program on such streams."""
    if kind == "sweep":
        sys.exit(work(folder / "sweep.db", arguments[arguments.index("--data") + 1]))
    other = point(kind)

    def record_and_lose(self, epoch, checkpoint=None):
        record(self, epoch, checkpoint)
        self.flush()
        if epoch.epoch == 2 and other is not None:
            (folder / f"{kind}.txt").write_bytes(os.read(other, 65536))
            os.close(other)

    Recorder.add = record_and_lose
    sys.argv[1:] = [*arguments, "--db", str(folder / f"{kind}.db")]
    streams.run(main)


if __name__ == "__main__":
    codes = {}
    for each in KINDS:  # one after the other, for the first computes the features
        pid = os.fork()
        if not pid:
            run(each, Path(sys.argv[1]), sys.argv[2:])
        codes[each] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    sys.stdout.write(json.dumps(codes))
