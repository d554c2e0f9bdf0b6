"""Splits by shares and folds: which clip is in which part, and what is promised of that."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import noise, report, write, write_folder

from kws.errors import DataError, RecipeError
from kws.events import SPLITS, TEST, TRAIN, VALIDATION
from kws.recipe import Recipe
from kws.recipe.partition import Partition, folds, partition_of
from kws.speech.dataset import load, require_all_classes
from kws.speech.dealing import deal, split_by_shares
from kws.speech.folder import read_folder
from kws.speech.sentences import about
from kws.speech.splits import split_by_name

PERCENTAGES = st.tuples(st.integers(1, 98), st.integers(1, 98)).filter(lambda p: sum(p) < 100)
SPEAKERS = st.lists(st.tuples(st.integers(0, 30), st.sampled_from("abcd")), min_size=1, max_size=120)


def split_text(test_and_validation):
    return "/".join(map(str, (100 - sum(test_and_validation), *test_and_validation)))


@given(SPEAKERS, PERCENTAGES)
def test_all_clips_of_a_speaker_are_in_one_split(clips, percentages):
    names = [f"{word}/{place}" for place, (_, word) in enumerate(clips)]
    speakers = [str(speaker) for speaker, _ in clips]
    found = split_by_shares(names, speakers, partition_of(split_text(percentages), None))
    assert len({*zip(speakers, found.of, strict=True)}) == len({*speakers})
    assert {*found.of} <= {*SPLITS}


@given(SPEAKERS, st.randoms(use_true_random=False), st.integers(3, 6))
def test_the_order_of_clips_does_not_matter(clips, random, count):
    speakers, words = [str(speaker) for speaker, _ in clips], [word for _, word in clips]
    places = list(range(len(clips)))
    random.shuffle(places)
    mixed = deal([speakers[place] for place in places], [words[place] for place in places], (1,) * count)
    assert mixed == [deal(speakers, words, (1,) * count)[place] for place in places]


@given(SPEAKERS, st.integers(3, 7))
def test_every_clip_is_tested_in_one_fold_and_validates_another(clips, count):
    names = [f"{word}/{place}" for place, (_, word) in enumerate(clips)]
    speakers = [str(speaker) for speaker, _ in clips]
    found = [split_by_shares(names, speakers, partition_of(None, fold)).of for fold in folds(count)]
    for splits in zip(*found, strict=True):
        assert Counter(splits) == {TEST: 1, VALIDATION: 1, TRAIN: count - 2}
        assert splits.index(VALIDATION) == (splits.index(TEST) - 1) % count


@given(st.integers(3, 40), st.integers(1, 4), st.sampled_from([(70, 15, 15), (60, 20, 20), (1, 1, 1)]))
def test_speakers_who_say_the_same_are_shared_out_as_wanted_and_no_split_is_empty(count, words, shares):
    clips = [(f"speaker{i}", f"word{word}") for i in range(count) for word in range(words)]
    parts = deal(*map(list, zip(*clips, strict=True)), shares)
    for word in range(words):
        held = Counter(part for part, (_, each) in zip(parts, clips, strict=True) if each == f"word{word}")
        for part, share in enumerate(shares):
            assert held[part] >= 1
            assert abs(held[part] - count * share / sum(shares)) <= 1.5


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 40), min_size=1), st.integers(3, 6))
def test_clips_of_unknown_speakers_are_shared_out_word_by_word(counts, parts):
    names = [f"{word}/{word}{i}" for word, count in counts.items() for i in range(count)]
    found = deal([name.partition("/")[2] for name in names], [name[0] for name in names], (1,) * parts)
    for word, count in counts.items():
        mine = Counter(part for part, name in zip(found, names, strict=True) if name[0] == word)
        held = [mine[part] for part in range(parts)]
        assert max(held) - min(held) <= 1
        assert sum(held) == count


@given(st.lists(st.integers(1, 60), min_size=5, max_size=60), st.integers(3, 5))
def test_folds_differ_by_no_more_than_the_speaker_with_most_clips(sizes, count):
    speakers = [str(i) for i, size in enumerate(sizes) for _ in range(size)]
    held = Counter(deal(speakers, ["yes"] * len(speakers), (1,) * count))
    assert max(held.values()) - min(held.values()) <= max(sizes)


def test_names_that_differ_in_unicode_composition_are_one_speaker():
    assert len({*deal(["Zo\u00eb", "Zoe\u0308", "Ann", "Bo"], ["yes"] * 4, (1, 1, 1))[:2]}) == 1


@pytest.mark.parametrize("text", ["70/15", "70/15/20", "100/0/0", "70/15/15/0", "a/b/c", "070/15/15", "70/-5/35", ""])
def test_percentages_that_do_not_make_100_are_refused(text):
    with pytest.raises(RecipeError, match=r"must be the percentages .* as in 70/15/15"):
        Recipe.of(arch="fc", opt="adam", split_shares=text)


@pytest.mark.parametrize("text", ["0/5", "6/5", "2", "1/2", "1/101", "2/5/6", "x/5", "02/5"])
def test_folds_that_cannot_be_are_refused(text):
    with pytest.raises(RecipeError, match=r"as in 2/5|from 3 to 100"):
        Recipe.of(arch="fc", opt="adam", fold=text)


def test_a_split_and_a_fold_are_two_ways_to_make_splits():
    with pytest.raises(RecipeError, match="leave one of both out"):
        Recipe.of(arch="fc", opt="adam", split_shares="70/15/15", fold="1/5")


def test_folds_have_no_test_data_of_their_own():
    Recipe.of(arch="fc", opt="adam", task="v2_12", split_shares="70/15/15", test_data="archive")
    with pytest.raises(RecipeError, match=r"`test_data` \(=archive\) others; leave one of both out"):
        Recipe.of(arch="fc", opt="adam", task="v2_12", fold="1/5", test_data="archive")


def test_a_recipe_without_them_has_the_digest_that_it_always_had_and_with_them_is_another_cell():
    usual = Recipe.of(arch="cnn", opt="adam")
    assert usual.partition is None
    made = [
        usual,
        *(Recipe.of(arch="cnn", opt="adam", **{k: v}) for k, v in (("split_shares", "70/15/15"), ("fold", "1/3"))),
    ]
    assert len({each.cell for each in made}) == len({each.data_key for each in made}) == 3
    assert "--fold 1/3" in " ".join(made[2].arguments())
    assert made[2].partition == Partition((1, 1, 1), (TEST, VALIDATION, TRAIN))


# A folder


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "clips", dict.fromkeys(("yes", "no", "go"), (4, 3, 3)), seconds=0.05)


def test_every_clip_of_a_folder_is_in_one_folds_test_and_the_fingerprints_differ(folder):
    tested, prints = Counter(), set()
    for fold in (None, *folds(5)):
        loaded = load(str(folder), report("yes", "no"), partition=partition_of(None, fold))
        prints.add(loaded.card.fingerprint)
        if fold:
            tested += Counter(loaded.card.manifests[TEST].paths)
            told = about(loaded, "clips", partition_of(None, fold))
            assert f"fold {fold.replace('/', ' of ')} by speaker: " in " ".join(told)
    assert len(prints) == 6
    assert {*tested.values()} == {1}
    assert sum(path.startswith(("yes", "no")) for path in tested) == 20


def test_lists_are_for_the_datas_own_splits_alone(folder):
    (folder / "testing_list.txt").write_text("yes/nobody_nohash_0.wav\n")
    assert read_folder(folder).splits.missing
    made = read_folder(folder, partition=partition_of("60/20/20", None))
    assert not made.splits.missing and made.lists == ()
    assert Counter(clip.split for clip in made.clips if clip.word == "yes") == {TRAIN: 6, VALIDATION: 2, TEST: 2}


def test_where_speakers_are_unknown_clips_are_divided_by_name_and_that_is_said(tmp_path):
    for word in ("yes", "no"):
        for i in range(5):
            write(tmp_path / word / f"{word} {i}.wav", noise(i, seconds=0.05))
    part = partition_of("60/20/20", None)
    loaded = load(str(tmp_path), report("yes", "no"), partition=part)
    assert loaded.card.counts == {TRAIN: (3, 3), VALIDATION: (1, 1), TEST: (1, 1)}
    told = " ".join(about(loaded, "clips", part))
    assert "split 60/20/20 by the clips' names, for speakers are unknown: 6 clips for training, 2 clips for" in told


# Too few clips


def refusal(folder, part=None):
    with pytest.raises(DataError, match="has no clips of") as found:
        require_all_classes(load(str(folder), report("yes", "no"), partition=part), partition=part)
    return str(found.value)


def with_clips(folder, yes, no, *, speakers):
    """Clips whose hashes are all in the training split."""
    for word, count in (("yes", yes), ("no", no)):
        ending = "_nohash_0" if speakers else ""
        mine = [f"s{i}" for i in range(200) if split_by_name(f"{word}/s{i}{ending}") == TRAIN][:count]
        for i, name in enumerate(mine):
            write(folder / word / f"{name}{ending}.wav", noise(i, seconds=0.05))
    return folder


def test_few_clips_are_refused_with_the_splits_that_would_do(tmp_path):
    told = refusal(with_clips(tmp_path / "a", 5, 5, speakers=True))
    assert "it has 5 clips of 5 speakers, enough for all three splits: add `--split 60/20/20`" in told
    assert "`kws sweep --folds 5`" in told
    part = partition_of("60/20/20", None)
    require_all_classes(load(str(tmp_path / "a"), report("yes", "no"), partition=part), partition=part)


def test_fewer_clips_than_splits_are_refused_with_how_many_more(tmp_path):
    told = refusal(with_clips(tmp_path / "a", 2, 1, speakers=False))
    assert "has no clips of 'yes' in its validation split; it has 2 clips, and three splits need clips of 3" in told
    assert "record 1 more, then `--split 60/20/20` gives each split some" in told
    told = refusal(with_clips(tmp_path / "b", 1, 1, speakers=True), partition_of("60/20/20", None))
    assert told.endswith("it has 1 clip of 1 speaker, and three splits need clips of 3 speakers: "
                         "record some of 2 other speakers")  # fmt: skip


def test_more_folds_than_speakers_are_refused_with_how_many_would_do(tmp_path):
    told = refusal(with_clips(tmp_path / "a", 4, 4, speakers=True), partition_of(None, "5/5"))
    assert "4 clips of 4 speakers, and 5 folds need clips of 5 speakers: take --folds 4, or record more" in told
