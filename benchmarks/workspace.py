"""The temporary folder of one run of the benchmarks: what groups share is made on first use and deleted at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.measure import REPOSITORY, call, say


@dataclass
class Workspace:
    """A folder, the sizes to measure with, and the machine."""

    quick: bool
    machine: dict[str, Any]
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="kws-bench-")))

    @property
    def rounds(self) -> int:
        """Turns of every cell."""
        return 2 if self.quick else 5

    @cached_property
    def clips(self) -> Path:
        """A folder of recordings, in the page cache."""
        folder = self.folder / "clips"
        say("making recordings")
        call("clips:write", folder=str(folder), quick=self.quick)
        call("clips:read_all", folder=str(folder))
        return folder

    @cached_property
    def cache(self) -> Path:
        """A cache folder in which those recordings' features are finished."""
        folder = self.folder / "cache"
        say("computing their features")
        call("preparation:prepare", env={"KWS_CACHE": str(folder)}, folder=str(self.clips))
        return folder

    @cached_property
    def real_clips(self) -> Path | None:
        """The real clips, or None; looked for where the tests do: KWS_REAL_CLIPS, data/ and ../shared/."""
        folder = Path(os.environ.get("KWS_REAL_CLIPS", REPOSITORY / "data" / "speech_commands")).absolute()
        if (folder / "testing_list.txt").exists():
            return folder
        unpack = REPOSITORY.parent / "shared" / "speech_commands" / "unpack"
        if not unpack.exists():
            return None
        say("unpacking the real clips")
        folder = self.folder / "speech_commands"
        subprocess.run([sys.executable, str(unpack), str(folder)], check=True, capture_output=True)
        return folder

    @cached_property
    def task(self) -> tuple[Path, str]:
        """What sweeps are measured on, its features finished, and what it is: the real clips where there are such."""
        real = None if self.quick else self.real_clips
        if real is None:
            return (
                self.clips,
                "recordings made for this, as many as the real clips" if not self.quick else "few recordings",
            )
        call("preparation:prepare", env={"KWS_CACHE": str(self.cache)}, folder=str(real))
        return real, "the real clips"

    def registry(self, runs: int) -> Path:
        """A registry with so many runs of 50 epochs."""
        path = self.folder / f"runs-{runs}.db"
        if not path.exists():
            say(f"recording {runs:,} runs")
            base = 100 if self.quick else 1_000
            if runs <= base:
                call("ledger:build", path=str(path), runs=runs)
            else:
                shutil.copyfile(self.registry(base), path)
                call("ledger:multiply", path=str(path), times=runs // base)
        return path

    def delete(self) -> None:
        """Remove the folder and all in it."""
        shutil.rmtree(self.folder, ignore_errors=True)
