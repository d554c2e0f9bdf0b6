"""Negatives: what is no keyword, from another source than the data."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import soundfile
from recordings import noise, write, write_folder

from kws.errors import DataError, RecipeError
from kws.recipe import Recipe
from kws.recipe.partition import partition_of
from kws.speech import dataset, negatives, spoken
from kws.speech.folder import read_folder

KEYWORDS = ("yes", "no")


@pytest.fixture
def own(tmp_path):
    return write_folder(tmp_path / "own", dict.fromkeys(KEYWORDS, (4, 2, 2)), seconds=0.05)


@pytest.fixture
def others(tmp_path):
    counts = {"up": (5, 3, 2), "go": (5, 3, 2), "Yes": (3, 1, 1), "noes": (2, 0, 0), "yesed": (1, 0, 0)}
    return write_folder(tmp_path / "others", counts, seconds=0.05)


def recipe(own, others, **more):
    return Recipe.of(arch="fc", opt="adam", data=str(own), task="words", words=KEYWORDS, other=str(others), **more)


def test_all_clips_but_those_of_the_keywords_and_their_inflections_are_other(own, others):
    asked = recipe(own, others)
    card = dataset.load(asked.data, asked.task).card
    assert card.classes == (*KEYWORDS, "other")
    assert card.counts == {"train": (4, 4, 10), "validation": (2, 2, 6), "test": (2, 2, 4)}
    paths = [path for path in card.manifests["test"].paths if path.startswith("others/")]
    assert {path.split("/")[1] for path in paths} == {"up", "go"}
    assert card.manifests["test"].speakers is not None


def test_they_are_dealt_as_the_data_is_and_by_no_word(own, others):
    folder = read_folder(own, partition=partition_of("50/25/25", None))
    beside = negatives.beside(folder, str(others), KEYWORDS)
    counts = Counter(clip.split for clip in beside.clips if clip.word not in KEYWORDS)
    assert counts["train"] == 10
    assert counts["validation"] + counts["test"] == 10
    assert min(counts.values()) >= 4  # whole speakers are dealt
    of_speakers = {}
    for clip in beside.clips:
        of_speakers.setdefault(clip.speaker, set()).add(clip.split)
    assert all(len(splits) == 1 for splits in of_speakers.values())


def test_no_more_than_so_many_are_drawn_in_a_split(own, others, monkeypatch):
    from kws.speech.tasks import words

    monkeypatch.setattr(words, "MOST", 3)
    asked = recipe(own, others)
    assert dataset.load(asked.data, asked.task).card.counts["train"] == (4, 4, 3)


def test_speakers_stay_known_where_those_of_the_others_are_not(own, tmp_path):
    for number in range(6):
        write(tmp_path / "rest" / "up" / f"{number}.wav", noise(number, seconds=0.05))
    clips = negatives.beside(read_folder(own), str(tmp_path / "rest"), KEYWORDS).clips
    assert len({clip.speaker for clip in clips if clip.word == "up"}) == 6
    for number in range(6):
        write(tmp_path / "mine" / "yes" / f"{number}.wav", noise(number + 9, seconds=0.05))
    unknown = read_folder(tmp_path / "mine")
    assert not unknown.has_speakers
    assert {clip.speaker for clip in negatives.beside(unknown, str(own), ("yes",)).clips} == {None}


@pytest.mark.parametrize("what", ["itself", "keywords alone", "nothing"])
def test_what_cannot_be(own, others, tmp_path, what):
    if what == "itself":
        place, told = own, "is the data itself"
    elif what == "keywords alone":
        place, told = write_folder(tmp_path / "again", {"yes": (2, 1, 1)}, seconds=0.05), "has no recordings besides"
    else:
        place, told = tmp_path / "nowhere", "does not exist"
    with pytest.raises(DataError, match=told):
        negatives.beside(read_folder(own), str(place), KEYWORDS)
    with pytest.raises(RecipeError, match="`other` is empty"):
        recipe(own, " ")


def test_the_built_in_ones_are_words_and_silence_of_voices_in_all_splits(tmp_path, monkeypatch):
    monkeypatch.setattr(spoken, "WORDS", "apple bank river")
    monkeypatch.setattr(negatives, "VOICES", 4)
    places = [negatives.made(tmp_path / name) for name in ("one", "two")]
    read = [read_folder(place) for place in places]
    assert Counter(clip.word for clip in read[0].clips) == {"_silence_": 168, "apple": 4, "bank": 4, "river": 4}
    assert read[0].has_speakers
    assert {clip.split for clip in read[0].clips if clip.word == "_silence_"} == {"train", "validation", "test"}
    for one, two in zip(read[0].clips, read[1].clips, strict=True):
        assert Path(one.path).read_bytes() == Path(two.path).read_bytes()
    levels = [abs(soundfile.read(clip.path)[0]).max() for clip in read[0].clips if clip.word == "_silence_"]
    assert min(levels) == 0
    assert 0.3 < max(levels) < 1
