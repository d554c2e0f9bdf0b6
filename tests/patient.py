"""The program, but that a run keeps a checkpoint after its second epoch and waits after the third, to be sent a signal.

    python patient.py FOLDER NAME,NAME,... ARGUMENT...

trains a run for each name, at once. Its registry and what it says on stderr lie in the folder under that name; stdout
says `waiting NAME PID RUN` and, at the end, `ended NAME CODE`.
"""

import os
import signal
import sys
import time
from pathlib import Path

import kws.speech.dataset
import kws.training.checkpoints  # noqa: F401 - what takes long to import is imported once, for all runs
from kws.cli import main
from kws.registry.recorder import Recorder
from kws.training import runner

record = Recorder.add


def say(*words: object) -> None:
    os.write(1, f"{' '.join(map(str, words))}\n".encode())  # at once, and in one piece


def train(folder: Path, name: str, arguments: list[str]) -> None:
    """Become the run of that name."""

    def record_and_wait(self, epoch, checkpoint=None):
        assert checkpoint
        record(self, epoch, checkpoint if epoch.epoch == 2 else None)
        if epoch.epoch == 3:
            self.flush()
            say("waiting", name, os.getpid(), self._run_id)
            time.sleep(60)

    os.dup2(os.open(folder / f"{name}.txt", os.O_WRONLY | os.O_CREAT), 2)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
    runner.CHECKPOINT_SECONDS = runner._SHARE = 0
    Recorder.add = record_and_wait
    sys.argv[1:] = [*arguments, "--db", str(folder / f"{name}.db")]
    main()


if __name__ == "__main__":
    children = {}
    for each in sys.argv[2].split(","):
        children[each] = os.fork()
        if not children[each]:
            train(Path(sys.argv[1]), each, sys.argv[3:])  # ends with SystemExit
    for each, pid in children.items():
        say("ended", each, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
