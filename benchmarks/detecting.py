"""What `kws predict`, `kws stream` and exported files take, as a user waits for it.

- Whole processes: `kws predict RUN FOLDER` on all real clips, `kws predict FILE.onnx ONE.wav`, and
  `kws stream RUN` on a stream that is made of the validation split's clips. Imports are in it, of modules that a first
  use has compiled.
- The runs are those of presets `small` and `best` in the registry that ships.
- A form of an exported file is what `kws export --json` says of it: its size and its network's, its accuracy on all
  test clips by onnxruntime, and the median time of a clip, or of a hop of 20 ms of a streaming file, on one thread.
"""

from __future__ import annotations

import json
import sys
import time
import wave
from pathlib import Path
from typing import Any

from benchmarks.measure import REPOSITORY, Samples, environment, run, say
from benchmarks.report import Row, missing
from benchmarks.workspace import Workspace

GROUP = "inference"
RUNS = {"small": "mvvpqrxy", "best": "dpghnmcw"}
_HOP_MS, _PROCESS_SECONDS, _CLIPS_A_SECOND, _TIMES = 0.5, 0.4, 1000, 100


def measure(workspace: Workspace) -> list[Row]:
    """Rows of both runs."""
    data = None if workspace.quick else workspace.real_clips
    if data is None:
        return [missing("kws predict, kws stream, exported files", GROUP, "", "no real clips")]
    stream = workspace.folder / "stream.wav"
    _kws("stream", "--make", str(stream), "--data", str(data))
    with wave.open(str(stream)) as file:
        seconds = file.getnframes() / file.getframerate()
    return [row for preset in RUNS for row in _rows(preset, workspace, data, stream, seconds)]


def _rows(preset: str, workspace: Workspace, data: Path, stream: Path, seconds: float) -> list[Row]:
    about = RUNS[preset]
    clips = sorted(data.rglob("*.wav"))
    exported = {}
    for options in ((), ("--streaming",), ("--int8",), ("--int8", "--streaming")):
        file = workspace.folder / "-".join((preset, *options, ".onnx"))
        said = json.loads(_kws("export", about, "--out", str(file), "--data", str(data), "--json", *options))
        exported[said["form"]] = said
    one = exported["fp32"]["file"]
    _kws("predict", one, str(clips[0]))
    turns: dict[str, list[float]] = {"predict": [], "one": [], "stream": []}
    for turn in range(workspace.rounds):
        say(f"{GROUP} {preset}: turn {turn + 1}")
        turns["predict"].append(len(clips) / _seconds("predict", about, str(data)))
        turns["one"].append(_seconds("predict", one, str(clips[0])))
        turns["stream"].append(seconds / _seconds("stream", about, str(stream)))
    say(f"{GROUP} {preset}: done")
    return [
        _row(f"`kws predict`, {len(clips):,} clips, {preset}", "clips/s", turns["predict"], least=_CLIPS_A_SECOND),
        _row(f"`kws predict {preset}.onnx` of one clip, whole process", "s", turns["one"], most=_PROCESS_SECONDS),
        _row(
            f"`kws stream`, {seconds / 60:.0f} min at a hop of 20 ms, one thread, {preset}",
            "times real time",
            turns["stream"],
            least=_TIMES,
        ),
        *(_form(preset, said) for said in exported.values()),
    ]


def _form(preset: str, said: dict[str, Any]) -> Row:
    """The row of one form of a file, from what its own export says."""
    form = next(each for each in said["forms"] if each["form"] == said["form"])
    sizes = f"{form['bytes'] / 1000:,.1f} kB, its network {form['network_bytes'] / 1000:,.1f} kB"
    what = f"{preset}, {form['form']}: {sizes}, {100 * said['file_accuracy']:.2f} % of {said['clips']:,} test clips"
    most = _HOP_MS if form["form"] == "fp32 streaming" else None
    return _row(what, f"ms a {form['of']}", [form["milliseconds"]], most=most)


def _row(what: str, unit: str, values: list[float], *, least: float | None = None, most: float | None = None) -> Row:
    found = Samples(tuple(values))
    if least is None and most is None:
        return Row(group=GROUP, what=what, unit=unit, ours=found)
    wanted = f"at least {least:,g} {unit}" if least is not None else f"at most {most:g} {unit}"
    holds = found.median >= least if least is not None else found.median <= (most or 0)
    return Row(group=GROUP, what=what, unit=unit, ours=found, wanted=wanted, holds=holds)


def _seconds(*arguments: str) -> float:
    start = time.perf_counter()
    _kws(*arguments)
    return time.perf_counter() - start


def _kws(*arguments: str) -> str:
    database: dict[str, Any] = {"KWS_DB": str(REPOSITORY / "experiments.db")}
    return run([sys.executable, "-m", "kws", *arguments], env=environment(**database))
