"""Clips trained on besides those of the data: --also, --spoken, --crossed-share and --truncated-share."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from recordings import noise as hiss
from recordings import tone, write, write_folder
from short import split_of, up_to

from kws.errors import DataError, RecipeError
from kws.events import SPLITS, TRAIN
from kws.recipe import TASK, Recipe
from kws.speech import also, dataset, pinning, spoken
from kws.speech.decode import read_waveform
from kws.speech.features import log_mel
from kws.training import augmenting, loop
from kws.training.augmentations import also as exchanging
from kws.training.augmentations import crossed as crossing
from kws.training.augmentations import spoken as speaking
from kws.training.augmentations import truncated as truncating
from kws.training.exchanging import Pool
from kws.training.frames import word_ends

ABOUT = {"arch": "fc", "opt": "adam", "batch_size": 8, "epochs": 1, "threads": 1}


@pytest.fixture
def folder(tmp_path):
    return write_folder(tmp_path / "clips", dict.fromkeys(("yes", "no", "go", "up"), (4, 2, 2)), seconds=0.05)


@pytest.fixture
def mined(tmp_path):
    write(tmp_path / "mined" / "a.wav", tone(300))
    write(tmp_path / "mined" / "deeper" / "b.flac", tone(900), subtype=None)
    return tmp_path / "mined"


def pinned(**more):
    (recipe,) = pinning.of_recipes([Recipe.of(**ABOUT, **more)])
    return recipe


def test_a_recipe_names_further_clips_by_their_content(mined):
    recipe = pinned(also=str(mined))
    place, digest = recipe.also.rsplit("@", 1)
    assert place == str(mined) and len(digest) == 12
    assert pinned(also=recipe.also) == recipe
    (mined / "a.wav").rename(mined / "c.wav")
    assert pinned(also=str(mined)) == recipe  # names count for nothing
    write(mined / "d.wav", hiss(3))
    assert pinned(also=str(mined)).digest != recipe.digest


def test_further_clips_have_the_features_of_their_sound_on_the_datas_scale(folder, mined):
    loaded = dataset.load(str(folder), TASK.part("report").config())
    found = also.features(pinned(also=str(mined)).also, loaded, ())
    expected = {
        tuple(log_mel(torch.from_numpy(read_waveform(path))[None])[0, 5].tolist())
        for path in (mined / "a.wav", mined / "deeper" / "b.flac")
    }
    raw = found * loaded.card.std + loaded.card.mean
    assert all(any(np.allclose(clip[5], each, atol=1e-4) for each in expected) for clip in raw)
    assert len(found) == 2


def test_other_clips_than_a_recipe_names_are_refused(folder, mined):
    loaded, recipe = dataset.load(str(folder), TASK.part("report").config()), pinned(also=str(mined))
    write(mined / "d.wav", hiss(3))
    with pytest.raises(DataError, match=r"names other clips than those that are there now .*as a new run: --also"):
        also.features(recipe.also, loaded, ())


@pytest.mark.parametrize("split", SPLITS)
def test_a_clip_that_is_tested_or_validated_on_is_never_trained_on(folder, mined, split):
    loaded = dataset.load(str(folder), TASK.part("report").config(leave_out=("go",)))
    path = loaded.card.manifests[split].paths[0]
    (mined / "copy.wav").write_bytes((folder / path).read_bytes())
    if split == TRAIN:
        assert len(also.features(str(mined), loaded, ("go",))) == 3
        return
    with pytest.raises(DataError, match=rf"is the same sound as {path}, which is never trained on"):
        also.features(str(mined), loaded, ("go",))


def test_a_word_that_is_left_out_comes_in_by_no_other_way(folder, mined):
    loaded = dataset.load(str(folder), TASK.part("report").config(leave_out=("go",)))
    (mined / "copy.wav").write_bytes((folder / "go" / "train0_nohash_0.wav").read_bytes())
    with pytest.raises(DataError, match="is the same sound as go/train0"):
        also.features(str(mined), loaded, ("go",))
    (mined / "copy.wav").unlink()
    write(mined / "going" / "a.wav", hiss(4))
    with pytest.raises(DataError, match="has clips of 'going', which is left out"):
        also.features(str(mined), loaded, ("go",))


def test_a_folder_that_is_missing_or_empty_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"there is no folder .*nowhere; name a folder of clips"):
        pinned(also=str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no recordings that may be trained on .*--also none"):
        pinned(also=str(tmp_path / "empty"))


@pytest.mark.parametrize(
    ("module", "off", "on"),
    [
        (exchanging, exchanging.Config(), exchanging.Config(also="x", also_share=0.3)),
        (speaking, speaking.Config(), speaking.Config(spoken="synthetic", spoken_share=0.3)),
    ],
)
def test_a_share_of_a_minibatch_is_exchanged_features_with_their_labels(module, off, on):
    torch.manual_seed(0)
    features, labels = torch.zeros(4000, 3, 2), torch.zeros(4000, dtype=torch.int64)
    further = torch.arange(1.0, 6).view(5, 1, 1).expand(5, 3, 2)
    of_further = torch.full((5,), 2) if module is exchanging else torch.tensor([2, 1, 0, 2, 1])
    prepared = Pool(further, of_further)
    assert module.exchange(features, labels, off) == (features, labels)
    new, their_labels = module.exchange(features, labels, on, prepared)
    exchanged = new[:, 0, 0] > 0
    assert exchanged.float().mean() == pytest.approx(0.3, abs=0.03)
    assert (their_labels[~exchanged] == 0).all()
    assert (their_labels[exchanged] == of_further[new[exchanged][:, 0, 0].long() - 1]).all()
    assert set(new[exchanged][:, 0, 0].tolist()) == {1.0, 2.0, 3.0, 4.0, 5.0}
    assert not features.any() and not labels.any()  # those of the data set stay as they are


def test_a_network_learns_from_further_clips_what_its_data_does_not_say(folder, mined):
    loaded = dataset.load(str(folder), TASK.part("report").config())
    recipe = dataclasses.replace(pinned(also=str(mined), also_share=0.5), epochs=40)
    training = loop.Training.begin(recipe, 3)
    training.prepared = augmenting.prepared(recipe, loaded)
    for _ in loop.fit(training, loaded.splits["train"], loaded.splits["validation"], recipe):
        pass
    heard = training.model.eval()(also.features(recipe.also, loaded, ())).argmax(1)
    assert heard.tolist() == [2, 2]


def test_a_run_without_further_clips_has_the_bits_that_it_had():
    train, validation = split_of(24), split_of(12, 1)
    recipe = Recipe.of(**ABOUT)
    state = up_to(1, recipe, train, validation)
    again = dataclasses.replace(recipe, augmentation=())
    other = up_to(1, again, train, validation)
    for one, another in zip(state.model.parameters(), other.model.parameters(), strict=True):
        assert torch.equal(one, another)


def test_arrays_and_data_without_other_words_have_no_place_for_further_clips(folder, mined):
    recipe = pinned(also=str(mined), task="words", words=("yes", "no"))
    loaded = dataset.load(str(folder), recipe.task)
    with pytest.raises(DataError, match="needs a class of other words, and clips has yes, no"):
        augmenting.prepared(recipe, loaded)


def test_near_misses_differ_in_one_sound():
    found = spoken.near_misses(("n", "'oU"))
    assert ("g", "'oU") in found and ("n", "'aU") in found and ("'oU",) in found and ("n", "'oU", "t") in found
    assert ("n", "'oU") not in found and ("n", "'oU", "h") not in found
    for each in spoken.near_misses(("j", "'E", "s")):
        assert 2 <= len(each) <= 3 and sum(sound not in each for sound in ("j", "'E", "s")) == 1


def test_nothing_is_said_that_is_left_out_or_sounds_like_it():
    said = spoken.utterances(("yes", "no"), ("go", "four"))
    texts = {each.clip.word for each in said if each.keyword is None}
    assert not {"go", "going", "no", "yes", "know", "four", "for", "[[g'oU]]", "[[g'oUz]]"} & texts
    assert {"[[t'oU]]", "garden", "[[j'Et]]"} <= texts
    assert {each.keyword for each in said} == {"yes", "no", None}
    assert "[[g'oU]]" in {each.clip.word for each in spoken.utterances(("yes", "no"), ("up",))}
    assert {each.clip.split for each in said} == {"training"}
    assert said == spoken.utterances(("yes", "no"), ("go", "four"))


def test_what_is_said_is_made_once_and_pinned_to_its_sound(monkeypatch, tmp_path):
    few = spoken.utterances(("yes", "no"), ("go",))[::400]
    monkeypatch.setattr(spoken, "utterances", lambda *_: few)
    recipe = pinned(spoken="synthetic", leave_out=("go",))
    assert recipe.spoken.startswith("synthetic@")
    features, keywords = spoken.features(recipe.spoken, recipe.task)
    assert features.shape == (len(few), 101, 40) and keywords == [each.keyword for each in few]
    spoken._made.cache_clear()
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "another"))
    assert pinned(spoken="synthetic", leave_out=("go",)) == recipe  # made anew, to the same bytes
    with pytest.raises(DataError, match="names other speech than eSpeak NG makes here"):
        spoken.features("synthetic@0123456789ab", recipe.task)


def test_what_is_neither_none_nor_synthetic_cannot_be_spoken():
    with pytest.raises(RecipeError, match=r"`spoken` \(=french\) must be none or synthetic"):
        Recipe.of(**ABOUT, spoken="french")


def worded(begins, ends, level, clips=1):
    """Quiet clips (B, T, M) with a word of that level from one frame to another."""
    features = torch.full((clips, 101, 40), -2.0)
    features[:, begins:ends] = level
    return features


def test_a_word_lies_where_its_clip_is_loud():
    begin, end = word_ends(worded(20, 60, 1.5))
    assert abs(begin.item() - 20) <= 2 and abs(end.item() - 60) <= 2
    begin, end = word_ends(torch.zeros(1, 101, 40))
    assert (begin.item(), end.item()) == (0, 101)


def test_clips_are_joined_where_the_same_share_of_either_word_is_over():
    clips = torch.cat([worded(20, 60, 1.0), worded(40, 80, 3.0)])
    (both,) = crossing.joined(clips, torch.tensor([0]), torch.tensor([1]), torch.tensor([0.5]))
    level = both.mean(1)
    assert torch.allclose(level[25:38], torch.tensor(1.0)) and torch.allclose(level[43:58], torch.tensor(3.0))
    assert torch.allclose(level[:15], torch.tensor(-2.0)) and torch.allclose(level[65:], torch.tensor(-2.0))
    same = crossing.joined(clips, torch.tensor([1]), torch.tensor([1]), torch.tensor([0.4]))
    assert torch.allclose(same[0], clips[1])


def test_joined_clips_are_other_but_where_both_are_of_one_class():
    torch.manual_seed(0)
    features = torch.cat([worded(20, 60, float(label + 1), 1000) for label in range(3)])
    labels = torch.arange(3).repeat_interleave(1000)
    config = crossing.Config(crossed_share=0.5)
    assert crossing.exchange(features, labels, crossing.Config(), None) == (features, labels)
    new, of_new = crossing.exchange(features, labels, config, 2)
    start, rest = (new[:, at].mean(1).round().long() - 1 for at in (26, 54))
    assert torch.equal(of_new, start.where(start == rest, 2))
    is_joined = start != rest
    assert is_joined.float().mean() == pytest.approx(0.5 * 2 / 3, abs=0.03)


@pytest.mark.parametrize("is_beginning", [True, False])
def test_a_truncated_word_lacks_its_beginning_or_its_end_and_quiet_takes_the_place(is_beginning):
    clips = worded(20, 60, 1.0, clips=3)
    rest, is_truncated = truncating.without(clips, torch.full((3,), is_beginning), torch.tensor([0.0, 0.5, 1.0]))
    assert is_truncated.all()
    loud = (rest.mean(2) > 0).sum(1)
    least, most = (0.15, 0.45) if is_beginning else (0.5, 0.8)
    for left, lacking in zip(loud.tolist(), (least, (least + most) / 2, most), strict=True):
        assert left == pytest.approx(40 * (1 - lacking), abs=3)
    kept = slice(50, 58) if is_beginning else slice(22, 26)
    assert torch.equal(rest[:, kept], clips[:, kept])


def test_a_clip_without_quiet_beside_its_word_is_not_truncated():
    _, is_truncated = truncating.without(torch.zeros(1, 101, 40), torch.tensor([True]), torch.tensor([0.5]))
    assert not is_truncated.any()


def test_only_keywords_are_truncated_and_are_other_then():
    torch.manual_seed(0)
    features, labels = worded(20, 60, 1.0, clips=300), torch.arange(3).repeat_interleave(100)
    assert truncating.exchange(features, labels, truncating.Config()) == (features, labels)
    config, known = truncating.Config(truncated_share=0.2), truncating.Labels(keywords=(0, 1), other=2)
    new, of_new = truncating.exchange(features, labels, config, known)
    changed = (new != features).flatten(1).any(1)
    assert changed.sum() == 60 and not changed[200:].any()
    assert torch.equal(of_new, labels.masked_fill(changed, 2))


def test_words_cannot_be_truncated_where_there_is_no_other_class(folder):
    config = truncating.Config(truncated_share=0.2)
    loaded = dataset.load(str(folder), TASK.part("words").config(words=("yes", "no")))
    with pytest.raises(DataError, match="truncated_share"):
        truncating.prepare(config, Recipe.of(**ABOUT), loaded)
