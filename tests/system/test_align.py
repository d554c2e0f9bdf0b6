"""Of a clip that is longer than a second, the second with the word is used."""

import json

import numpy as np
import pytest
from recordings import RATE_HZ, noise, report, tone, write, write_folder

from kws.inference import recordings
from kws.inference.card import ModelCard
from kws.inference.detector import Detector
from kws.recipe import ENERGY, FIRST, Recipe
from kws.speech import also, levels, listing, longer
from kws.speech.dataset import load
from kws.speech.decode import SAMPLES, SEARCHED_S, read_pieces, read_recording


def spoken(
    *, before: float, after: float, seconds: float = 0.4, level: float = 0.5, floor: float = 0.003
) -> np.ndarray:
    """A tone of 700 Hz in white noise."""
    seconds = 0.4
    whole = noise(1, seconds=before + seconds + after, level=floor)
    begin = round(before * RATE_HZ)
    word = tone(700, seconds=seconds, level=level)
    whole[begin : begin + len(word)] += word
    return whole


def begins(path, *place, align=ENERGY) -> int:
    return read_recording(path, *place, align=align).begin_ms


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 8_000])
def test_the_word_lies_in_the_middle_of_the_second(tmp_path, rate_hz):
    samples = noise(1, seconds=4, rate_hz=rate_hz, level=0.003)
    begin = round(2.5 * rate_hz)
    word = tone(700, seconds=0.4, rate_hz=rate_hz)
    samples[begin : begin + len(word)] += word
    path = write(tmp_path / "a.wav", samples, rate_hz)
    found = read_recording(path, align=ENERGY)
    assert abs(found.begin_ms - 2200) <= 20
    assert found.seconds == 4
    loud = np.flatnonzero(np.abs(found.waveform) > 0.1)
    assert abs(loud[0] + loud[-1] - SAMPLES) < 0.05 * RATE_HZ


def test_the_second_is_the_very_one_that_is_read_from_there_on(tmp_path):
    path = write(tmp_path / "a.flac", np.stack([spoken(before=1.7, after=2)] * 2, axis=1), 22_050)
    found = read_recording(path, align=ENERGY)
    assert found.begin_ms
    same = read_recording(path, found.begin_ms)
    assert np.array_equal(found.waveform, same.waveform)
    assert np.array_equal(found.samples, same.samples)


@pytest.mark.parametrize(("before", "after", "begin_ms"), [(0.1, 3, 0), (3, 0.1, 2500)])
def test_the_second_lies_within_the_recording(tmp_path, before, after, begin_ms):
    assert begins(write(tmp_path / "a.wav", spoken(before=before, after=after))) == begin_ms


def test_a_click_and_a_thud_are_no_word(tmp_path):
    samples = spoken(before=3, after=2, level=0.3)
    samples[RATE_HZ : RATE_HZ + 160] += noise(3, seconds=0.01, level=0.9)
    samples[2 * RATE_HZ :][:3200] += tone(60, seconds=0.2, level=0.9)
    assert abs(begins(write(tmp_path / "a.wav", samples)) - 2700) <= 30


def test_digital_silence_around_a_recording_is_no_background(tmp_path):
    samples = np.concatenate([np.zeros(5 * RATE_HZ), spoken(before=2, after=1, floor=0.02), np.zeros(5 * RATE_HZ)])
    assert abs(begins(write(tmp_path / "a.wav", samples)) - 6700) <= 30


@pytest.mark.parametrize("samples", [np.zeros(3 * RATE_HZ), noise(1, seconds=1), tone(700, seconds=0.3)])
def test_the_first_second_is_used_where_there_is_no_word_or_no_other_second(tmp_path, samples):
    path = write(tmp_path / "a.wav", samples)
    assert np.array_equal(read_recording(path, align=ENERGY).waveform, read_recording(path).waveform)
    assert begins(path) == 0


def test_so_much_of_a_long_recording_is_searched_and_no_more(tmp_path):
    samples = np.concatenate([spoken(before=20, after=SEARCHED_S - 20.4), tone(900, seconds=1, level=0.9)])
    assert abs(begins(write(tmp_path / "a.wav", samples)) - 19_700) <= 20


def test_a_piece_with_an_end_is_searched_within(tmp_path):
    samples = np.concatenate([spoken(before=1, after=2.6, level=0.9), spoken(before=1, after=2.6, level=0.1)])
    path = write(tmp_path / "a.wav", samples)
    assert abs(begins(path) - 700) <= 20
    assert abs(begins(path, 4000, 8000) - 4700) <= 20
    assert read_recording(path, 4000, 8000, ENERGY).seconds == 4
    assert begins(path, None, 1300) == 300
    # from a place on, and a piece of a second or less, as they have always been
    for place in [(4000, None), (4000, 5000), (4000, 4500), (None, 800)]:
        one, other = read_recording(path, *place, ENERGY), read_recording(path, *place)
        assert np.array_equal(one.waveform, other.waveform) and one.seconds == other.seconds


def test_levels_do_not_depend_on_the_pieces():
    samples = noise(1, seconds=3.217).astype(np.float32)
    whole = levels.levels([samples])
    assert len(whole) == 321
    assert np.allclose(whole, levels.levels([samples[:7], samples[7:20_000], samples[20_000:]]), atol=1e-4)


@pytest.mark.parametrize(("hz", "decibels"), [(1000, 20 * np.log10(0.5 / np.sqrt(2))), (50, -100), (7900, -100)])
def test_a_level_is_that_of_the_band_of_speech(hz, decibels):
    found = levels.levels([tone(hz).astype(np.float32)])[5:-5]
    assert found.max() < decibels + (0.5 if decibels > -100 else 60)
    assert found.min() > decibels - 0.5


def test_pieces_of_a_part_are_the_part(tmp_path):
    path = write(tmp_path / "a.wav", noise(1, seconds=4))
    whole = np.concatenate(list(read_pieces(path, 1)))
    assert np.array_equal(np.concatenate(list(read_pieces(path, 1, 500, 2.25))), whole[8_000 : 8_000 + 36_000])


def words(folder, **longer_ones):
    """A small data set, some clips of which are longer."""
    write_folder(folder, {"yes": (3, 2, 2), "no": (3, 2, 2)})
    for name, samples in longer_ones.items():
        write(folder / "yes" / f"{name}_nohash_0.wav", samples)
    return str(folder)


def test_longer_clips_make_other_data_and_it_is_said(tmp_path):
    data = words(tmp_path / "words", train0=spoken(before=2, after=1), train1=noise(9, seconds=31))
    task = report("yes", "no")
    first, placed = (load(data, task, align=align) for align in (FIRST, ENERGY))
    assert first.card.fingerprint != placed.card.fingerprint
    assert [line for line in placed.said if "longer" in line] == [
        "2 clips are longer than a second: the second with the word is used (--align first takes the first)",
        "1 clip is longer than 30 s, which is as far as the word is searched for; `kws data cut` finds every word in "
        "a long recording",
    ]
    assert [line for line in first.said if "longer" in line] == [
        "2 clips are longer than a second: the first second is used (--align energy uses the one with the word)"
    ]
    assert load(data, task, align=ENERGY).card.fingerprint == placed.card.fingerprint
    assert load(data, task).card.fingerprint == first.card.fingerprint


def test_without_longer_clips_the_data_and_its_cached_features_are_the_same(tmp_path):
    data, task = words(tmp_path / "words"), report("yes", "no")
    keys = {align: listing.list_source(data, task, align=align).key for align in (FIRST, ENERGY)}
    assert keys[FIRST] != keys[ENERGY]
    made = load(data, task, align=ENERGY)
    assert not any("longer" in line for line in made.said)
    assert load(data, task, align=FIRST).card.fingerprint == made.card.fingerprint
    assert {listing.list_source(data, task, align=align).key for align in (FIRST, ENERGY)} == {keys[ENERGY]}
    card = listing.features_folder(keys[ENERGY]) / "card.json"
    card.write_text(card.read_text().replace('"longer": 0', '"older": 0'))  # as it was before it was counted
    assert longer.has_none(card.parent)
    card.write_text("{")
    assert not longer.has_none(card.parent)


def test_a_recipe_that_is_older_means_the_first_second_and_is_in_the_same_cell():
    now = Recipe.of(arch="cnn", opt="adam")
    before = Recipe.from_text(now.text.replace('"align":"energy",', ""))
    assert (now.align, before.align) == (ENERGY, FIRST)
    assert (now.cell, now.digest) == (before.cell, before.digest)
    assert now.data_key != before.data_key
    assert "--align first" in " ".join(before.arguments())
    assert not {"align"} & {*now.unusual(), *before.unusual()}


def test_further_clips_are_other_ones_where_another_second_is_used(tmp_path):
    write(tmp_path / "a.wav", noise(1, seconds=1))
    assert also.pinned(str(tmp_path), ENERGY) == also.pinned(str(tmp_path), FIRST)
    write(tmp_path / "b.wav", spoken(before=2, after=1))
    assert also.pinned(str(tmp_path), ENERGY) != also.pinned(str(tmp_path), FIRST)


class Heard:
    """A model that keeps what it is given."""

    def __init__(self, align: str) -> None:
        self.card = ModelCard(words=("yes", "other"), run="abcdefgh", align=align)
        self.clips = np.empty(0)

    def probabilities(self, waveforms):
        self.clips = waveforms
        return np.full((len(waveforms), 2), 0.5, np.float32)


@pytest.mark.parametrize("align", [ENERGY, FIRST])
def test_a_detector_hears_the_second_that_was_in_training(tmp_path, align):
    samples = spoken(before=2.2, after=1)
    path = write(tmp_path / "a.wav", samples, subtype="FLOAT")
    wanted = read_recording(path, align=align).waveform
    for hear in (
        lambda detector: list(recordings.predictions(detector, [path])),
        lambda detector: detector.probabilities(samples.astype(np.float32)),
    ):
        model = Heard(align)
        hear(Detector(model))
        assert np.allclose(model.clips[0], wanted, atol=1e-6)


def test_an_exported_file_that_does_not_say_hears_first_seconds():
    card = Heard(ENERGY).card
    assert ModelCard.from_json(card.to_json()) == card
    about = json.loads(card.to_json())
    del about["align"]
    assert ModelCard.from_json(json.dumps(about)).align == FIRST
