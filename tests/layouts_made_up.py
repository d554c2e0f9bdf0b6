"""Folders, manifests and lists that hypothesis makes up: near to a layout, and wrong somewhere."""

import json
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

WORDS = (
    "yes",
    "Yes",
    "no",
    "größe",
    "gro\u0308ße",
    "turn on",
    "turn  on",
    "はい",
    "да",
    "_unknown_",
    "_background_noise_",
    ".git",
    "train",
    "audio",
    "test",
    "val",
    "-x",
    "a'b",
    "x\ny",
)
FILES = (
    "1.wav",
    "2.WAV",
    "1.flac",
    "3.mp3",
    "4.opus",
    "5.m4a",
    "notes.txt",
    ".hidden.wav",
    "ann_nohash_0.wav",
    ".wav",
    "yes_anna_1.wav",
    "no_bob_2.wav",
    "README",
    "a,b.wav",
    "x\ty.wav",
    "ñ.wav",
)
TOPS = (
    "",
    "train/",
    "test/",
    "val/",
    "dev/",
    "train/audio/",
    "test/audio/",
    "audio/",
    "data/",
    "clips/",
    "all/deep/er/",
)
LISTS = (
    "validation_list.txt",
    "testing_list.txt",
    "metadata.csv",
    "metadata.jsonl",
    "clips.csv",
    "train.tsv",
    "test.tsv",
    "train_manifest.json",
    "test_manifest.json",
    "wav.scp",
    "text",
    "utt2spk",
    "segments",
    "train/metadata.csv",
    "train/wav.scp",
    "train/text",
    "train/validation_list.txt",
)
VALUES = (
    "yes",
    "no",
    "",
    "train",
    "test",
    "0",
    "0.5",
    "-1",
    "nan",
    "1e400",
    "9" * 400,
    "u1",
    "u2",
    "\0",
    "\ufeff",
    "null",
    "touch canary |",
    "../x.wav",
    "/etc/passwd",
    "/dev/zero",
    "x" * 300,
    "..",
    ".",
    "C:\\x.wav",
    "\ud800",
)
KEYS = (
    "file_name",
    "path",
    "audio_filepath",
    "label",
    "text",
    "command",
    "split",
    "speaker",
    "start",
    "end",
    "offset",
    "duration",
    "x",
)
PATTERNS = ("{label}_{speaker}_{n}", "{label}/{n}", "{label}", "{split}/{label}/{n}")


class Case(NamedTuple):
    """A folder to make: what lies where (None: a folder; another path: a link), and what --pattern says."""

    files: dict[str, bytes | str | None]
    pattern: str | None


@st.composite
def paths(draw: st.DrawFn) -> str:
    top = draw(st.sampled_from(TOPS))
    word = draw(st.one_of(st.just(""), st.sampled_from(WORDS), st.sampled_from(WORDS[:4])))
    session = draw(st.sampled_from(("", "", "anna/", "s1/s2/", "_x/", ".y/")))
    return f"{top}{word}{'/' if word else ''}{session}{draw(st.sampled_from(FILES))}"


@st.composite
def proper_paths(draw: st.DrawFn, top: str) -> str:
    """A recording in a word's folder below one that is given, or beside others in it."""
    word = draw(st.sampled_from(("yes/", "no/", "größe/", "turn on/") if top != "clips/" else ("",)))
    return f"{top}{word}{draw(st.sampled_from(FILES[:6]))}"


@st.composite
def lists(draw: st.DrawFn, name: str, there: list[str]) -> bytes:
    """A list's, table's or manifest's text, of files that are there and others; half of them as they should be."""
    if draw(st.booleans()):
        base = name[: name.rfind("/") + 1]
        return _proper(name.removeprefix(base), [each.removeprefix(base) for each in there], draw).encode()
    names = st.one_of(st.sampled_from(there or ["x.wav"]), st.sampled_from(VALUES))
    cells = st.one_of(names, st.sampled_from(VALUES), st.sampled_from(WORDS), st.text(max_size=5))
    columns = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=6, unique=True))
    rows = draw(st.lists(st.tuples(names, *[cells] * (len(columns) - 1)), max_size=6))
    match draw(st.integers(0, 4)):
        case 0:
            text = "\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in rows)
        case 1:
            mark = draw(st.sampled_from(",\t;|"))
            text = "\n".join(mark.join(row) for row in [tuple(columns), *rows])
        case 2:
            text = "\n".join(f"u{i} {' '.join(row)}" for i, row in enumerate(rows))
        case 3:
            text = "\n".join(row[0] for row in rows)
        case _:
            text = draw(
                st.sampled_from(("", "[", "{", "[{}]", '[{"path": "1.wav", "label": "yes"}, 3]', "\n" * 99, '"'))
            )
    data = text.encode(draw(st.sampled_from(("utf-8", "utf-8", "utf-16", "utf-8-sig"))), "surrogatepass")
    return data + draw(st.sampled_from((b"", b"", b"", b"\xff\xfe", b"\0", b"\x80")))


def _proper(name: str, there: list[str], draw: st.DrawFn) -> str:
    """The text of a list that names what is there, with labels."""
    labels = [draw(st.sampled_from(WORDS[:8])) for _ in there]
    if name in ("wav.scp", "text", "utt2spk", "segments"):
        values = {"wav.scp": there, "text": labels, "segments": [f"u{i} 0.25 0.75" for i in range(len(there))]}
        return "\n".join(f"u{i} {value}" for i, value in enumerate(values.get(name, ["anna"] * len(there))))
    if name.endswith((".json", ".jsonl")):
        path, label = draw(st.sampled_from((("file_name", "label"), ("audio_filepath", "command"))))
        rows = [{path: each, label: word, "duration": 0.5} for each, word in zip(there, labels, strict=True)]
        return "\n".join(map(json.dumps, rows))
    if name.endswith((".csv", ".tsv")):
        mark = "\t" if name.endswith(".tsv") else ","
        return "\n".join(mark.join(row) for row in [("file_name", "label"), *zip(there, labels, strict=True)])
    return "\n".join(there[::3])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A folder near to some layout."""
    near = draw(st.sampled_from((*TOPS, None)))  # half of all folders lie as they should
    places = paths() if near is None or draw(st.booleans()) else proper_paths(near)
    there = draw(st.lists(places, max_size=10, unique=True))
    files: dict[str, bytes | str | None] = {name: draw(st.binary(max_size=2)) for name in there}
    kaldi = st.sampled_from((["wav.scp", "text", "utt2spk"], ["wav.scp", "text", "segments"]))
    for name in draw(st.one_of(st.lists(st.sampled_from(LISTS), max_size=4, unique=True), kaldi, st.just([]))):
        files[name] = draw(lists(name, there))
    if draw(st.integers(0, 4)) == 0:
        files[draw(paths())] = None
        files[draw(st.sampled_from(("link", "train/link", "yes/link.wav", "yes/link", "metadata.csv")))] = draw(
            st.sampled_from((".", "..", "yes", "link", "nowhere", "train", "1.wav"))
        )
    return Case(files, draw(st.one_of(st.none(), st.none(), st.sampled_from(PATTERNS))))


def make(case: Case, place: Path) -> None:
    """Make a case's folder; what cannot be made beside the rest is left out."""
    place.mkdir(parents=True)
    for name, content in case.files.items():
        path = place / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir()
            elif isinstance(content, str):
                path.symlink_to(content)
            else:
                path.write_bytes(content)
        except (OSError, ValueError):
            continue
