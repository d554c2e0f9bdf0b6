"""Runs that are given away name no speaker and no clip unless that is asked for, and are the same runs all the same."""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from commands import TRAIN, dump, kws, ok, ok_json, sql
from ledger import ENVIRONMENT, make_card, make_recipe, start, train
from recordings import noise, write

from kws.events import LEFT_OUT, NOISE, NOT_DRAWN, SPLITS, TEST, Manifest
from kws.registry import pseudonyms
from kws.registry.location import Location
from kws.registry.reader import RegistryReader
from kws.registry.store import Registry

PEOPLE = ("anna", "bruno", "carla", "dmitri", "emine", "fatou")


def card_of(paths, speakers=None, labels=None, sounds=None, **about):
    """A card whose test split has these clips, each sound another one."""
    card = make_card(**{"clips": len(paths), "classes": ("yes", "no", "other"), **about})
    labels = bytes(labels or [card.classes.index(path.split("/")[0]) for path in paths])
    digests = [hashlib.sha256(str(each).encode()).digest() for each in sounds or range(len(paths))]
    manifest = Manifest(
        paths=tuple(paths),
        digests=b"".join(digests),
        speakers=None if speakers is None else tuple(speakers),
        modified_ns=(0,) * len(paths),
        seconds=(1.0,) * len(paths),
    )
    return replace(card, labels={**card.labels, TEST: labels}, manifests={TEST: manifest})


def named(card, own=None):
    return pseudonyms.of(card, card.manifests, own and (own, own.manifests))[TEST]


def everything(path: Path) -> str:
    """All texts of a registry, with what its compressed columns hold."""
    found = []
    for rows in dump(path).values():
        for value in (value for row in rows for value in row):
            if isinstance(value, bytes):
                try:
                    value = zlib.decompress(value).decode("utf-8", "replace")
                except zlib.error:
                    value = value.decode("utf-8", "replace")
            found.append(str(value))
    return "\n".join(found).lower()


# What a pseudonym is


def test_clips_of_one_speaker_have_one_pseudonym_and_paths_keep_word_and_ending():
    made = named(card_of(["yes/anna_1.wav", "no/anna_2.flac", "yes/s2/bruno 1.WAV"], ["anna", "anna", "bruno"]))
    assert made.speakers[0] == made.speakers[1] != made.speakers[2]
    assert [path.split("/")[0] for path in made.paths] == ["yes", "no", "yes"]
    assert [Path(path).suffix for path in made.paths] == [".wav", ".flac", ".WAV"]
    assert len({*made.paths}) == 3
    assert pseudonyms.are(made.paths)
    assert not [who for who in PEOPLE if who in str(made)]


def test_a_pseudonym_is_made_of_sound_alone_so_that_no_list_of_names_can_be_tried():
    one = named(card_of(["yes/anna_1.wav", "no/bruno_1.wav"], ["anna", "bruno"]))
    other = named(card_of(["yes/x.wav", "no/y.wav"], ["zoe", "yann"]))
    assert (one.paths, one.speakers) == (other.paths, other.speakers)


def test_speakers_and_files_that_say_the_same_are_kept_apart():
    made = named(card_of(["yes/anna.wav", "yes/bruno.wav"], ["anna", "bruno"], sounds=[1, 1]))
    assert len({*made.speakers}) == len({*made.paths}) == 2
    assert pseudonyms.are(made.paths)


@pytest.mark.parametrize(
    ("paths", "labels", "words"),
    [
        (["anna/yes/1.wav", "bruno/no/1.wav", "carla/go/1.wav"], [0, 1, 2], ["yes", "no", "go"]),
        (["train/Yes/anna.wav", "train/no/anna.wav", "test/go/bruno.wav"], [0, 1, 2], ["Yes", "no", "go"]),
        (["clips/anna1.wav", "clips/anna2.wav", "bruno/1.wav"], [0, 1, 2], ["yes", "no", "other"]),
        (["anna.wav", "bruno.wav"], [0, 2], ["yes", "other"]),
    ],
)
def test_a_path_keeps_the_word_wherever_the_layout_has_it_and_else_the_class(paths, labels, words):
    made = named(card_of(paths, labels=labels))
    assert [path.split("/")[0] for path in made.paths] == words
    assert all(path.count("/") == 1 for path in made.paths)


def test_words_that_a_run_left_out_keep_their_folder():
    own = card_of(["yes/anna.wav", "no/anna.wav"])
    unheard = replace(card_of(["go/anna.wav", "stop/bruno.wav"], labels=[2, 2]), draw=LEFT_OUT)
    assert [path.split("/")[0] for path in named(unheard, own).paths] == ["go", "stop"]


def test_silence_is_no_person_and_its_parts_stay_together():
    noises = [f"{NOISE}/annas_kitchen.wav@1.5", f"{NOISE}/annas_kitchen.wav@2.5-3.0"]
    who = ["anna", *[f"{NOISE}/annas_kitchen.wav (test)"] * 2]
    made = named(card_of(["yes/anna.wav", *noises], who, labels=[0, 2, 2]))
    first, second = made.paths[1:]
    assert first.startswith(f"{NOISE}/")
    assert (first.split("@")[0], first.split("@")[1]) == (second.split("@")[0], "1.5")
    assert second.endswith(".wav@2.5-3.0")
    assert made.speakers[1] == made.speakers[2]
    assert made.speakers[1].startswith(f"{NOISE}/")
    assert made.speakers[1].endswith(" (test)")
    assert "anna" not in str(made)


def test_names_of_speech_commands_and_of_arrays_are_none_and_stay():
    official = card_of(["yes/004ae714_nohash_0.wav", "no/004ae714_nohash_1.wav"], ["004ae714"] * 2)
    assert pseudonyms.of(official, official.manifests) is official.manifests
    mixed = card_of(["yes/004ae714_nohash_0.wav", "no/anna.wav"], ["004ae714", "anna"])
    assert "anna" not in str(named(mixed))
    arrays = replace(card_of(["X_test.p[0]"], labels=[0]), draw=NOT_DRAWN)
    assert pseudonyms.of(arrays, arrays.manifests) is arrays.manifests


# Runs that are exported


@pytest.fixture
def home(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home of gudrun"))
    (tmp_path / "home of gudrun").mkdir()
    return tmp_path / "home of gudrun"


@pytest.fixture
def recordings(home) -> Path:
    folder, seed = home / "clips", 0
    for word in ("yes", "no", "go"):
        for who in PEOPLE:
            for take in range(2):
                (folder / word / who).mkdir(parents=True, exist_ok=True)
                write(folder / word / who / f"{who}_{take}.wav", noise(seed := seed + 1, seconds=0.1, level=0.1))
    return folder


def folds_of(path: Location | None = None) -> list:
    return json.loads(ok("compare", "--format", "json", *(["--db", path] if path else [])))["folds"]


def test_folds_that_are_exported_one_by_one_make_the_same_table_elsewhere_and_name_nobody(recordings, home, tmp_path):
    options = ["--data", recordings, "--speakers", "{speaker}/{n}", "--folds", 3, "--jobs", 1, "--epochs", 1]
    runs = [each["run"] for each in ok_json("sweep", *TRAIN[1:], *options)["runs"]]
    for run in runs:
        done = kws("runs", "export", run, f"{run}.db")
        assert done.stderr.startswith("speakers and clips have pseudonyms, --names keeps their names")
        assert not [who for who in (*PEOPLE, "gudrun") if who in everything(tmp_path / f"{run}.db")]
        ok("runs", "import", f"{run}.db", "--db", "elsewhere.db")
        assert ok("db", "doctor", "--db", f"{run}.db").endswith("is in order\n")
    assert folds_of(tmp_path / "elsewhere.db") == folds_of()
    assert folds_of()[0]["recipes"][0]["all"]["speakers"] == len(PEOPLE)
    with RegistryReader(tmp_path / "elsewhere.db") as there:
        assert {run.recipe.data for run in there.runs()} == {"~/clips"}
    assert ok_json("runs", "list", "--db", "elsewhere.db", "--where", "fold = '1/3'")["runs"]
    again = ok_json("rerun", runs[0], "--db", "elsewhere.db")  # "~" is this home
    assert again["same"]
    with RegistryReader(tmp_path / "elsewhere.db") as there:  # whoever has the recordings has their names
        assert {*there.speakers(there.run(runs[0]).data_fingerprint, TEST)} < {*PEOPLE}


def test_the_report_names_nobody_and_no_home(recordings, tmp_path):
    ok(*TRAIN, "--data", recordings, "--speakers", "{speaker}/{n}", "--epochs", 1, "--split", "50/25/25")
    ok("report", "page.html")
    page = (tmp_path / "page.html").read_text().lower()
    assert not [who for who in (*PEOPLE, "gudrun") if who in page]
    assert "~/clips" in page
    ok("report", "page.html", "--names")
    assert "gudrun" in (tmp_path / "page.html").read_text()


def with_names():
    paths = ["yes/anna_1.wav", "no/bruno_1.wav", "go/carla_1.wav"]
    made = card_of(paths, ["anna", "bruno", "carla"], labels=[0, 1, 2], clips=3)
    test = made.manifests[TEST]
    return replace(make_card(clips=3), labels=dict.fromkeys(SPLITS, bytes([0, 1, 2])),
                   counts=dict.fromkeys(SPLITS, (1, 1, 1)), manifests=dict.fromkeys(SPLITS, test))  # fmt: skip


def test_names_are_exported_where_they_are_asked_for(db, tmp_path):
    with Registry(db, create=True) as registry:
        run = train(registry, card=with_names())
    done = kws("runs", "export", run, "named.db", "--names")
    assert (done.stdout, done.stderr) == ("named.db\n", "")
    assert "anna_1" in everything(tmp_path / "named.db")


def test_names_that_are_there_are_not_replaced_by_those_of_an_imported_run(db, tmp_path):
    with Registry(db, create=True) as registry:
        first, second = (train(registry, make_recipe(seed=seed), with_names()) for seed in range(2))
    ok("runs", "export", first, "one.db")
    ok("runs", "delete", first)
    ok("runs", "purge", first)
    before = sql(db, "SELECT paths, speakers FROM manifests ORDER BY split")
    assert ok("runs", "import", "one.db") == f"{first} imported\n"
    assert sql(db, "SELECT paths, speakers FROM manifests ORDER BY split") == before
    assert ok_json("runs", "show", first)["data"] == ok_json("runs", "show", second)["data"]


def test_pseudonyms_make_way_for_names_where_a_run_has_the_clips_themselves(db, tmp_path):
    card = with_names()
    with Registry(tmp_path / "mine.db", create=True) as registry:
        run = train(registry, card=card)
    ok("runs", "export", run, "given.db", "--db", "mine.db")
    ok("runs", "import", "given.db")
    with Registry(db) as registry:
        assert registry.manifest(card.fingerprint, TEST) != card.manifests[TEST]
        train(registry, make_recipe(seed=1), card)
        assert registry.manifest(card.fingerprint, TEST) == card.manifests[TEST]


def test_a_home_in_commands_and_recipes_is_left_out_where_no_digest_changes(db, home, tmp_path):
    recipe = make_recipe(data=str(home / "x"), speakers=str(home / "who.csv"))
    about = replace(ENVIRONMENT, command=f"kws train --data '{home}/x' --db {home}-2/y")
    with Registry(db, create=True) as registry:
        registry.end(run := start(registry, recipe, environment=about), "interrupted")
    ok("runs", "export", run, "given.db")
    with RegistryReader(tmp_path / "given.db") as given:
        found = given.run(run)
    assert found.recipe.data == "~/x"
    assert found.recipe.speakers == recipe.speakers  # part of what the recipe is
    assert (found.recipe.digest, found.recipe.cell) == (recipe.digest, recipe.cell)
    assert found.environment.command == f"kws train --data '~/x' --db {home}-2/y"
