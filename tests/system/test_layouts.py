"""Recordings in every layout: the same clips are the same data, and no file is left out without a reason."""

import json
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layouts import LAYOUTS, PATTERN, Made, kaggle, metadata, table, unaccounted, words
from layouts_made_up import cases, make
from recordings import noise, report, write

from kws.errors import DataError
from kws.events import DRAWN_BY_DIGESTS, DRAWN_BY_NAMES, SPLITS
from kws.recipe import Recipe
from kws.recipe.partition import partition_of
from kws.speech.checks import check
from kws.speech.classes import draw_classes
from kws.speech.dataset import load
from kws.speech.decode import read_recording
from kws.speech.folder import Folder, read_folder
from kws.speech.names import folded, joined
from kws.speech.sources import locate

COUNTS = {"yes": 5, "no": 4, "up": 6, "Größe": 5}


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> list[Made]:
    """Some clips of four words in three splits, by speakers with clips in one split each."""
    place, made = tmp_path_factory.mktemp("made"), []
    for split, times in (("train", 2), ("validation", 1), ("test", 1)):
        for word, count in COUNTS.items():
            for i in range(count * times):
                path = write(place / f"{len(made)}.wav", noise(len(made), seconds=0.02))
                made.append(Made(path, word, split, f"{split}{i % 3}"))
    return made


@pytest.fixture(scope="module")
def loaded(clips, tmp_path_factory):
    """Every layout's data set by its name."""
    place, found = tmp_path_factory.mktemp("layouts"), {}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("KWS_CACHE", str(place / "cache"))
        for name, (make_it, _) in LAYOUTS.items():
            make_it(place / name, clips)
            found[name] = load(str(place / name), report("yes", "no"), pattern=PATTERN if name == "flat" else None)
    return found


def touch(path: Path, content: bytes = b"a clip") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def read(place: Path, **options: Any) -> Folder:
    """What is there, once it is clear that nothing is left out in silence."""
    found = read_folder(place, **options)
    if place.is_dir():
        assert unaccounted(place, found) == set()
    return found


def labels(folder: Folder) -> dict[str, str]:
    return {clip.file_name: clip.word for clip in folder.clips}


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_same_clips_are_the_same_data_in_every_layout(loaded, name):
    first, mine = loaded["splits"].card, loaded[name].card
    assert mine.fingerprint == first.fingerprint and mine.content == first.content
    assert mine.draw == DRAWN_BY_DIGESTS
    assert mine.counts == first.counts == {"train": (10, 8, 9), "validation": (5, 4, 4), "test": (5, 4, 4)}
    for split, manifest in mine.manifests.items():
        assert manifest.digests == first.manifests[split].digests, "in one order, too"
        assert manifest.speakers == first.manifests[split].speakers is not None


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["yes", "no", "up", "größe", "turn on", "はい"]),
            st.sampled_from(SPLITS),
            st.sampled_from(["anna", "Bob", "ξ"]),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_whatever_the_clips_are_they_are_the_same_in_every_layout(tmp_path_factory, those):
    place = tmp_path_factory.mktemp("any")
    every = [*those, *((word, split, split) for word in ("yes", "no") for split in SPLITS)]
    made = [
        Made(touch(place / "made" / str(i), f"{i}".encode()), word, split, f"{speaker}{split}")
        for i, (word, split, speaker) in enumerate(every)
    ]
    found = {}
    for name, (make_it, said) in LAYOUTS.items():
        make_it(place / name, made)
        folder = read(place / name, **({"pattern": PATTERN} if name == "flat" else {}))
        assert folder.found.startswith(said.partition(", ")[0])
        _, drawn = draw_classes(folder.clips, ("yes", "no"), place)
        found[name] = [(clip.content, clip.word, clip.split, clip.speaker, clip.label) for clip in drawn]
    assert all(each == found["splits"] for each in found.values())


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_found_is_said_in_one_line(loaded, name):
    assert list(loaded[name].said) == [f"{LAYOUTS[name][1]}, 80 clips"]


def test_a_folder_a_word_goes_by_names_as_ever_and_by_digests_if_a_pattern_says_what_it_is(clips, loaded, tmp_path):
    words(tmp_path / "words", clips)
    mine = load(str(tmp_path / "words"), report("yes", "no")).card
    assert mine.draw == DRAWN_BY_NAMES and mine.counts == loaded["splits"].card.counts
    assert load(str(tmp_path / "words"), report("yes", "no")).said == []
    every = report("yes", "no", "up", "größe")  # nothing is drawn, so that the content is one
    kaggle(tmp_path / "kaggle", clips)
    assert read_folder(tmp_path / "words").found == "found: one folder per word, 80 clips"
    by_names, by_digests = (load(str(tmp_path / at), every).card for at in ("words", "kaggle"))
    assert by_names.content == by_digests.content and by_names.fingerprint != by_digests.fingerprint
    by_pattern = load(str(tmp_path / "words"), every, pattern="{label}/{speaker}_nohash_{n}").card
    assert by_pattern.fingerprint == by_digests.fingerprint


def test_a_pattern_is_no_other_recipe():
    recipe = Recipe.of(arch="cnn", opt="adam", data="there")
    with_pattern = recipe.changed(pattern="{label}_{n}")
    assert with_pattern.pattern == "{label}_{n}" and with_pattern.data_key != recipe.data_key
    assert (with_pattern.cell, with_pattern.digest) == (recipe.cell, recipe.digest)
    assert "--pattern" in with_pattern.arguments() and Recipe.from_text(with_pattern.text) == with_pattern


def test_splits_may_be_called_as_other_tools_call_them(tmp_path):
    for name, split in (("TRAIN", "train"), ("dev", "validation"), ("Eval", "test")):
        touch(tmp_path / "a" / name / "yes" / "session" / "1.wav", split.encode())
    assert {clip.split: clip.file_name for clip in read(tmp_path / "a").clips} == {
        "train": "TRAIN/yes/session/1.wav", "validation": "dev/yes/session/1.wav", "test": "Eval/yes/session/1.wav",
    }  # fmt: skip
    for name in ("train", "test", "eval"):
        touch(tmp_path / "b" / name / "yes" / "1.wav", name.encode())
    assert {clip.split for clip in read(tmp_path / "b").clips} == {"train", "test", "validation"}


def test_words_that_are_called_like_splits_are_words(tmp_path):
    for word in ("train", "test"):
        touch(tmp_path / word / "1.wav")
        touch(tmp_path / word / "2.wav")
        touch(tmp_path / word / "anna" / "3.wav")
    assert read(tmp_path).found == "found: one folder per word, 6 clips"
    touch(tmp_path / "more" / "train" / "yes" / "1.wav")
    assert {clip.word for clip in read(tmp_path / "more").clips} == {"yes"}


def test_a_split_that_is_not_given_comes_out_of_training_by_the_rule(tmp_path):
    for i in range(200):
        touch(tmp_path / "train" / "yes" / f"{i}.wav", bytes([i]))
    for i in range(9):
        touch(tmp_path / "test" / "yes" / f"{i}.wav", bytes([i, i]))
    found = read(tmp_path)
    counts = {split: found.splits.of.count(split) for split in ("train", "validation", "test")}
    assert counts["test"] == 9 and 8 <= counts["validation"] <= 35 and sum(counts.values()) == 209
    assert found.said == ("no validation split is given: taken from training by the official rule",)
    assert all("test/" in clip.file_name for clip in found.clips if clip.split == "test")


def test_without_splits_and_speakers_the_rule_goes_by_what_a_file_holds_and_not_by_its_name(tmp_path):
    for i in range(50):
        touch(tmp_path / "a" / f"yes_{i}.wav", bytes([i]))
        touch(tmp_path / "b" / f"yes-x{99 - i}.wav", bytes([i]))
    one, other = (read(tmp_path / at, pattern=p).clips for at, p in (("a", "{label}_{n}"), ("b", "{label}-{n}")))
    assert {clip.content: clip.split for clip in one} == {clip.content: clip.split for clip in other}
    assert len({clip.split for clip in one}) > 1


def test_kaggles_test_clips_have_no_labels_and_are_counted(tmp_path):
    touch(tmp_path / "train" / "audio" / "yes" / "1.wav")
    touch(tmp_path / "train" / "audio" / "_background_noise_" / "hum.wav")
    touch(tmp_path / "train" / "LICENSE")
    touch(tmp_path / "test" / "audio" / "clip_1.wav")
    assert read(tmp_path).unused == {
        "without labels (test/)": ["test/audio/clip_1.wav"],
        "in _background_noise_": ["train/audio/_background_noise_/hum.wav"],
        "not audio": ["train/LICENSE"],
    }
    assert locate(str(tmp_path)).noise == tmp_path / "train" / "audio" / "_background_noise_"
    assert read(tmp_path / "train").found == "found: Kaggle's train/audio, 1 clip"


def test_in_a_folder_a_word_metadata_that_says_the_same_changes_nothing(tmp_path):
    touch(tmp_path / "yes" / "1.wav")
    touch(tmp_path / "no" / "2.wav")
    touch(tmp_path / "metadata.csv", b"file_name,label\nyes/1.wav,yes\nno/2.wav,No\n")
    found = read(tmp_path)
    assert found.found == "found: one folder per word, 2 clips" and found.draw == DRAWN_BY_NAMES
    touch(tmp_path / "metadata.csv", b"file_name,label,split\nyes/1.wav,yes,train\nno/2.wav,No,test\n")
    assert read(tmp_path).found == "found: Hugging Face audiofolder, 2 splits, 2 clips"
    touch(tmp_path / "metadata.csv", b"file_name,label\nelsewhere/1.wav,yes\n")
    assert read(tmp_path).found == "found: one folder per word, 2 clips"


def test_in_a_folder_a_word_a_table_of_predictions_is_left_aside(tmp_path):
    for name in ("yes/1", "yes/2", "no/3"):
        touch(tmp_path / f"{name}.wav")
    touch(tmp_path / "predictions.csv", b"path,label\nyes/1.wav,yes\nyes/2.wav,no\nno/3.wav,no\n")
    assert labels(read(tmp_path)) == {"1.wav": "yes", "2.wav": "yes", "3.wav": "no"}
    assert labels(read(tmp_path / "predictions.csv"))["yes/2.wav"] == "no", "given by name, it counts"


def test_pieces_of_a_long_recording_are_clips_with_silence_behind_them(tmp_path):
    rate, whole = 16_000, noise(3, seconds=3)
    write(tmp_path / "long.wav", whole)
    (tmp_path / "clips.tsv").write_text("path\tlabel\tstart\tend\nlong.wav\tyes\t0.5\t0.9\nlong.wav\tno\t1.25\t\n")
    (tmp_path / "more.jsonl").write_text(
        json.dumps({"audio_filepath": "long.wav", "label": "yes", "offset": 0.5, "duration": 0.4})
    )
    found = read(tmp_path / "clips.tsv")
    assert found.found == "found: CSV with path and label, 2 clips in 1 file"
    no, yes = found.clips
    assert (yes.name, no.name) == ("long.wav@0.5-0.9", "long.wav@1.25")
    heard = read_recording(*yes.place)
    assert np.abs(heard.waveform[6400:]).max() == 0 and heard.seconds == 0.4
    assert np.allclose(heard.waveform[:6400], whole[8000:14400], atol=1e-4)
    assert np.allclose(read_recording(*no.place).waveform, whole[20_000 : 20_000 + rate], atol=1e-4)
    (piece,) = read(tmp_path / "more.jsonl").clips
    assert piece.content == yes.content


def test_a_duration_is_the_files_own_unless_a_file_is_named_twice(tmp_path):
    rows = [("a", 0, 0.39), ("b", 0, 0.2), ("b", 0.2, 0.1)]
    for name in "ab":
        touch(tmp_path / f"{name}.wav")
    lines = [{"audio_filepath": f"{a}.wav", "label": "yes", "offset": b, "duration": c} for a, b, c in rows]
    (tmp_path / "all.json").write_text("\n".join(map(json.dumps, lines)))
    assert [clip.name for clip in read(tmp_path).clips] == ["a.wav", "b.wav@0.0-0.2", "b.wav@0.2-0.3"]


def test_commands_of_kaldi_are_counted_and_never_run(tmp_path):
    touch(tmp_path / "a.wav")
    (tmp_path / "wav.scp").write_text(f"u1 a.wav\nu2 touch {tmp_path}/canary |\nu3 {tmp_path}/gone.wav\nu4 a.wav\n")
    (tmp_path / "text").write_text("u1 turn on\nu2 yes\nu3 yes\nu4\n")
    (tmp_path / "segments").write_text("")
    found = read(tmp_path)
    assert labels(found) == {"a.wav": "turn on"} and not (tmp_path / "canary").exists()
    assert {why: len(lines) for why, lines in found.unused.items()} == {
        "commands, which are never run": 1, "named files that are missing": 1, "lines without a label": 1,
    }  # fmt: skip
    (tmp_path / "segments").write_text("s1 u1 0.5 1.25\ns2 u1 2 1\ns3 u9 0 1\n")
    (tmp_path / "text").write_text("s1 yes\ns2 yes\ns3 yes\n")
    assert [clip.name for clip in read(tmp_path).clips] == ["a.wav@0.5-1.25"]


def test_files_outside_the_folder_are_used_and_said(tmp_path):
    touch(tmp_path / "elsewhere" / "a.wav")
    touch(tmp_path / "data" / "b.wav")
    touch(tmp_path / "data" / "c.wav")
    table_of = "path,label\n../elsewhere/a.wav,yes\nb.wav,no\n"
    touch(tmp_path / "data" / "clips.csv", table_of.encode())
    found = read(tmp_path / "data")
    assert found.said == (f"outside {tmp_path / 'data'}: {tmp_path / 'elsewhere' / 'a.wav'}",)
    assert found.unused == {"not in clips.csv": ["c.wav"]}


def test_a_manifest_whose_files_are_elsewhere_says_what_its_paths_are_relative_to(tmp_path):
    touch(tmp_path / "clips.csv", b"path,label\n/nowhere/a.wav,yes\nb.wav,no\n")
    with pytest.raises(DataError, match=r"clips\.csv names 2 files, and none of them is .*relative to the folder"):
        read_folder(tmp_path)


@pytest.mark.parametrize(("second", "what"), [("a.wav,no,train", "yes .*no "), ("a.wav,yes,test", "train .*test ")])
def test_a_clip_with_two_words_or_splits_is_refused(tmp_path, second, what):
    touch(tmp_path / "a.wav")
    touch(tmp_path / "clips.csv", f"path,label,split\na.wav,yes,train\na.wav,yes,train\n{second}\n".encode())
    with pytest.raises(DataError, match=rf"a\.wav is {what}?in clips\.csv:4; a clip has one word and one split"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "path,label\na.wav,yes\n", "a.wav,yes\n", "label;x;path\nyes;3;a.wav\n", "\ufeffPath\tLabel\na.wav\tyes",
        '"File Name","Text"\n"a.wav","yes"\n', "path,label\n./a.wav,yes", "path,label\r\n.\\a.wav, yes \r\n",
    ],
)  # fmt: skip
def test_tables_are_read_however_they_are_written(tmp_path, text):
    touch(tmp_path / "a.wav")
    touch(tmp_path / "list.csv", text.encode())
    assert labels(read(tmp_path)) == {"a.wav": "yes"}
    touch(tmp_path / "list.csv", text.encode("utf-16"))
    assert labels(read(tmp_path)) == {"a.wav": "yes"}


@pytest.mark.parametrize(
    "line",
    [
        "\0", "x" * 100_000, "[" * 5_000, "{" * 5_000, "1" * 6_000, "\xff\xfe", "null", '{"path": 1e999, "label": "x"}',
        '{"path": "a.wav", "label": "x", "offset": -1}', '{"path": "a.wav", "label": "x", "offset": "later"}',
        '{"path": "a.wav", "label": "x", "duration": ' + "9" * 5_000 + "}", '{"path": ["a.wav"], "label": "x"}',
    ],
    ids=range(12),
)  # fmt: skip
def test_a_line_that_cannot_be_read_costs_no_other(tmp_path, line):
    touch(tmp_path / "a.wav")
    good = json.dumps({"path": "a.wav", "label": "yes", "duration": 1})
    touch(tmp_path / "list.jsonl", f"{good}\n{line}\n".encode("latin-1"))
    found = read(tmp_path / "list.jsonl")
    assert labels(found) == {"a.wav": "yes"} and found.unused == {"lines that cannot be read": ["list.jsonl:2"]}


@pytest.mark.parametrize(
    ("pattern", "name", "label"),
    [
        ("{label}_{speaker}_{n}", "turn_on_anna_1", "turn on"), ("{speaker}-{label}{n}", "anna-yes1", None),
        ("{n}_{label}", "12_ja_nein", "ja_nein"), ("{speaker}/{label}_{n}", "deep/anna/yes_1", "yes"),
        ("{label}", "yes", "yes"), ("{label}_{n}.wav", "yes_1", "yes"), ("{label}+{n}", "a.b+1", "a.b"),
    ],
)  # fmt: skip
def test_patterns(tmp_path, pattern, name, label):
    touch(tmp_path / f"{name}.wav")
    if label is None:
        with pytest.raises(DataError, match="between two names in braces"):
            read_folder(tmp_path, pattern=pattern)
        return
    (clip,) = read(tmp_path, pattern=pattern).clips
    assert clip.word.replace("_", " ") == label.replace("_", " ")
    assert clip.speaker == ("anna" if "{speaker}" in pattern else None)


@pytest.mark.parametrize("pattern", ["", "{n}", "{label}_{label}", "{label", "{label}}", "no", "{speaker}_{n}"])
def test_a_pattern_that_is_none_or_fits_nothing_is_refused(tmp_path, pattern):
    touch(tmp_path / "yes.wav")
    with pytest.raises(DataError, match="`pattern`"):
        read_folder(tmp_path, pattern=pattern)


def test_words_in_the_file_names_of_speakers_folders_are_a_hint_at_the_pattern(tmp_path):
    for speaker in ("anna", "bob"):
        touch(tmp_path / speaker / "yes_1.wav")
    with pytest.raises(DataError, match=r"as anna/yes_1\.wav does: .*--pattern"):
        draw_classes(read(tmp_path).clips, ("yes",), tmp_path)
    assert {clip.speaker for clip in read(tmp_path, pattern="{speaker}/{label}_{n}").clips} == {"anna", "bob"}


def test_names_that_do_not_fit_the_pattern_are_counted(tmp_path):
    for name in ("yes_1.wav", "loose.wav", "yes_1.flac", "notes.txt"):
        touch(tmp_path / name)
    assert read(tmp_path, pattern="{label}_{n}").unused == {
        "not named as --pattern says": ["loose.wav"],
        "named like another clip": ["yes_1.flac"],
        "not audio": ["notes.txt"],
    }


@pytest.mark.parametrize(
    ("files", "seen", "first"),
    [
        (["1.wav", "2.wav"], "2 .wav files in one folder, no folders", "file names by --pattern"),
        (["a.csv"], "1 .csv file in one folder, no folders, a.csv with the columns x, y", "CSV with path and label"),
        (["metadata.csv", "1.flac"], "metadata.csv with the columns x, y", "Hugging Face audiofolder"),
        (["wav.scp", "1.mp3"], "1 .mp3 file, 1 .scp file in one folder", "Kaldi's wav.scp with text"),
        (["train/1.wave", "test/2.txt", "val/3.txt"], "in 3 folders, 3 folders (test, train, val)", "split folders"),
        ([], "no files, no folders", "one folder per word"),
    ],
)  # fmt: skip
def test_a_folder_in_no_layout_is_told_what_was_seen_and_the_nearest_layouts(tmp_path, files, seen, first):
    given = tmp_path / "given"  # beside which there is nothing
    given.mkdir()
    for name in files:
        touch(given / name, b"x,y\n1,2\n")
    if any("train/" in name for name in files):
        (given / "train" / "1.wave").rename(given / "train" / "1.doc")
    with pytest.raises(DataError) as caught:
        read_folder(given)
    said = str(caught.value)
    assert seen in said and f"the nearest layouts are (1) {first}" in said and "(3) " in said and "(4)" not in said


NFC, NFD = (unicodedata.normalize(form, "größer") for form in ("NFC", "NFD"))


@pytest.mark.parametrize(
    ("names", "words", "said"),
    [
        (["Yes", "yes", "no"], None, ["Yes/ and yes/ are one word: joined as yes"]),
        (["Yes", "yes", "no"], ("YES",), ["Yes/ and yes/ are one word: joined as YES"]),
        (["Up", "up", "no"], ("no",), []),
        (["Weg", "weg"], ("Weg", "weg"), ["Weg/ and weg/ are kept apart, since --words names them so"]),
        ([NFC, NFD], None, [f"{NFD}/ and {NFC}/ (composed in two ways) are one word: joined as {NFC}"]),
        (["turn on", "turn  on"], None, ["'turn  on'/ and turn on/ are one word: joined as turn on"]),
        (["turn_on", "turn on"], ("turn on",), ["turn on/ and turn_on/ look alike and are kept apart, as 2 words"]),
        (["Masse", "Maße"], None, ["Masse/ and Maße/ look alike and are kept apart, as 2 words"]),
        (["はい", "ハイ", "да", "yes"], None, []),
    ],
)
def test_names_that_are_one_word_and_names_that_only_look_so_are_said(names, words, said):
    assert joined(names, words, mark="/") == said


def test_one_word_is_one_word_in_every_layout(tmp_path):
    for i, word in enumerate(("Yes", "yes ", NFC, NFD, "да")):
        touch(tmp_path / "all" / f"{i}.wav", bytes([i]))
        with (tmp_path / "clips.csv").open("a", encoding="utf-8") as file:
            file.write(("" if i else "path,label\n") + f"all/{i}.wav,{word}\n")
    found = read(tmp_path)
    assert sorted({folded(clip.word) for clip in found.clips}) == sorted({"yes", NFC, "да"})
    report_on = check(locate(str(tmp_path)))
    assert report_on.counts.keys() == {"yes", NFC, "да"} and len(report_on.said) == 2


def test_a_manifest_finds_a_file_whose_name_is_composed_in_another_way(tmp_path):
    touch(tmp_path / "all" / f"{NFD}.wav")
    touch(tmp_path / "clips.csv", f"path,label\nall/{NFC}.wav,yes\n".encode())
    assert len(read(tmp_path).clips) == 1


def test_what_is_no_split_is_said(tmp_path):
    for name in "abc":
        touch(tmp_path / f"{name}.wav", name.encode())
    touch(tmp_path / "clips.csv", b"path,label,split\na.wav,yes,fold1\nb.wav,no,fold2\nc.wav,no,fold1\n")
    found = read(tmp_path)
    assert found.said == ("not known as splits, so that the official rule decides: fold1, fold2",)
    assert found.split_by == "the official rule on the clips' digests"


def test_links_that_lead_in_a_circle_are_entered_once(tmp_path):
    touch(tmp_path / "train" / "yes" / "1.wav")
    (tmp_path / "train" / "yes" / "up").symlink_to(tmp_path)
    (tmp_path / "train" / "self").symlink_to("self")
    (tmp_path / "train" / "again").symlink_to("yes")
    assert len(read(tmp_path).clips) == 1


def test_speakers_are_told_by_pattern_or_file_in_every_layout(clips, tmp_path):
    some = [one for one in clips if one.word in ("yes", "no")]
    metadata(tmp_path / "metadata", some)
    assert {c.speaker for c in read(tmp_path / "metadata", speakers="{speaker}/{n}").clips} == {
        "train",
        "validation",
        "test",
    }
    table(tmp_path / "table", some)
    assert {clip.speaker for clip in read(tmp_path / "table", speakers="clips.csv").clips} == {c.speaker for c in some}
    lines = "".join(f"all/{i}.wav,{'ab'[i % 2]}\n" for i in range(len(some)))
    touch(tmp_path / "table" / "who.csv", lines.encode())
    found = read(tmp_path / "table", speakers="who.csv")
    assert {clip.speaker for clip in found.clips} == {"a", "b"} and "who.csv" in found.read


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cases())
def test_no_made_up_folder_or_manifest_leaves_a_file_unaccounted_for(tmp_path_factory, case):
    place = tmp_path_factory.mktemp("made-up")
    make(case, place / "data")
    with suppress(DataError):
        read(place / "data", **({"pattern": case.pattern} if case.pattern else {}))
    assert not (place / "data" / "canary").exists()


@pytest.mark.parametrize("has_speakers", [True, False])
def test_a_partition_divides_the_clips_of_every_layout_alike(tmp_path, has_speakers):
    """By content and speaker, whatever splits the layout gives."""
    made = [
        Made(touch(tmp_path / "made" / str(i), f"{i}".encode()), word, "train", f"s{i % 7}")
        for i, word in enumerate(["yes", "no", "up"] * 7)
    ]
    found = {}
    for name, (make_it, _) in LAYOUTS.items():
        make_it(tmp_path / name, made)
        about = (
            {"pattern": PATTERN if has_speakers else PATTERN.replace("{speaker}", "{anyone}")} if name == "flat" else {}
        )
        folder = read(tmp_path / name, **about, partition=partition_of(None, "2/3"))
        if folder.has_speakers is has_speakers:
            found[name] = sorted((clip.content, clip.split) for clip in folder.clips)
    assert len(found) > (5 if has_speakers else 0)
    first = next(iter(found.values()))
    assert all(each == first for each in found.values()) and {split for _, split in first} == {*SPLITS}
