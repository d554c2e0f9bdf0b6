"""Takes of a word: what will do, why the rest will not, when a voice begins, and where files are written."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from voices import RATE, room, said, spoken

from kws.errors import DataError
from kws.inference import takes
from kws.inference.takes import Ear, Room, judged
from kws.speech.takes_folder import TakesFolder

QUIET = Room.of(room(4))


def test_levels_are_in_db_of_full_scale_a_frame_each_10_ms():
    sine = 0.1 * np.sqrt(2) * np.sin(np.arange(RATE) * 2 * np.pi * 400 / RATE)
    found = takes.levels_db(sine.astype(np.float32))
    assert len(found) == 99
    assert found == pytest.approx(-20, abs=0.05)
    assert takes.levels_db(np.zeros(10, np.float32)) == pytest.approx([-120])


@pytest.mark.parametrize("word", ["lamp", "heater", "yes", "stop", "six"])
@pytest.mark.parametrize("variant", ["f2", "m3", "whisper"])
@pytest.mark.parametrize("peak", [0.05, 0.3, 0.9])
def test_a_word_that_is_said_well_is_in_the_middle_of_its_second(word, variant, peak):
    take = judged(said(word, variant=variant, peak=peak), QUIET)
    assert take.why == ""
    assert take.clip.shape == (16_000,)
    loud = np.flatnonzero(np.abs(take.clip) > max(peak / 20, 0.006))  # beyond the room
    assert abs((loud[0] + loud[-1]) / 2 - 8_000) < 1_600
    assert 1 < loud[0] < loud[-1] < 15_990
    # nothing of the word is lost
    assert np.square(take.clip).sum() == pytest.approx(np.square(peak * spoken(word, variant)).sum(), rel=0.2)


@pytest.mark.parametrize(
    ("samples", "why"),
    [
        (room(2.2, seed=1), takes.NOTHING),
        (np.zeros(35_000, np.float32), takes.NOTHING),
        (said("lamp", peak=0.003), takes.NOTHING),
        (said("lamp", peak=0.02), takes.TOO_QUIET),
        (said("lamp", peak=3), takes.CLIPPED),
        (said("supercalifragilistic", rate=100), takes.TOO_LONG),
        (np.concatenate([said("lamp", after=0.6), said("lamp")]), takes.TOO_LONG),
        (said("lamp", before=0.0), takes.CUT_OFF.format("beginning")),
        (said("lamp")[: round(0.7 * RATE) + len(spoken("lamp")) // 2], takes.CUT_OFF.format("end")),
    ],
)
def test_a_bad_take_is_rejected_for_what_is_wrong_with_it(samples, why):
    assert judged(samples, QUIET).why == why


def test_a_click_is_no_word_and_does_not_move_one():
    click = room(2)
    click[RATE // 2] = 0.9
    assert judged(click, QUIET).why == takes.NOTHING
    clicked = said("lamp")
    clicked[1_000] = 0.9
    assert judged(clicked, QUIET).why == ""


def test_the_room_decides_what_is_too_quiet():
    loud = Room.of(room(4, level_db=-35))
    take = said("lamp", peak=0.1) + np.resize(room(3, level_db=-35, seed=2), len(said("lamp", peak=0.1)))
    assert judged(said("lamp", peak=0.1), QUIET).why == ""
    assert judged(take.astype(np.float32), loud).why in (takes.TOO_QUIET, takes.NOTHING)


def test_a_room_in_which_something_is_heard_or_nothing_at_all_is_no_room():
    assert QUIET.why == ""
    assert QUIET.median_db == pytest.approx(-60, abs=0.5)
    assert Room.of(np.zeros(RATE, np.float32)).why == takes.MUTED
    assert Room.of(np.concatenate([room(2), said("lamp")])).why == takes.NOT_QUIET


def pushed(ear, samples, size=320):
    for at in range(0, len(samples), size):
        found = ear.push(samples[at : at + size])
        if found is not None:
            return found
    return None


@pytest.mark.parametrize("size", [160, 320, 1_000])
def test_the_ear_hears_when_a_voice_begins_and_has_the_word_whole(size):
    found = pushed(Ear(QUIET), said("heater", before=1.5, after=3), size)
    assert len(found) / RATE == pytest.approx(2.2, abs=0.15)
    assert judged(found, QUIET).why == ""


def test_the_ear_hears_nothing_in_a_room_and_knows_how_long():
    ear = Ear(QUIET)
    assert pushed(ear, room(5, seed=3)) is None
    assert not ear.hears
    assert ear.waited_s == pytest.approx(4.75, abs=0.05)  # after a quarter of a second of quiet


def test_a_voice_that_goes_on_is_not_taken_for_the_next_word():
    ear = Ear(QUIET)
    assert pushed(ear, said("supercalifragilistic", before=0, after=0, rate=90)) is None
    assert ear.is_waiting_for_quiet
    assert judged(pushed(ear, said("lamp", after=3)), QUIET).why == ""


def test_words_come_mixed_and_as_often_as_is_asked_for(tmp_path):
    to = TakesFolder.of(tmp_path, "anna")
    order = to.missing(("lamp", "heater", "off"), 5)
    assert sorted(order) == sorted(["lamp", "heater", "off"] * 5)
    assert order[:3] != order[3:6] or order[3:6] != order[6:9]
    assert all(one != next_ for one, next_ in pairwise(order))
    assert TakesFolder.of(tmp_path, "bruno").missing(("lamp", "heater", "off"), 5) != order
    assert to.missing(("lamp",), 2) == ["lamp", "lamp"]


def test_a_session_goes_on_behind_the_highest_number_and_others_are_not_its_own(tmp_path):
    to = TakesFolder.of(tmp_path, "anna")
    for number in (0, 4):
        (path := tmp_path / "lamp" / "anna" / f"anna_nohash_{number}.wav").parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "lamp" / "anna" / "anna_nohash_9.txt.part").touch()
    assert to.takes_of("lamp") == [0, 4]
    assert to.next_take("lamp").name == "anna_nohash_5.wav"
    assert sorted(to.missing(("lamp", "off"), 3)) == ["lamp", "off", "off", "off"]
    assert TakesFolder.of(tmp_path, "bruno").takes_of("lamp") == []
    assert to.next_room() == tmp_path / "_background_noise_" / "anna_0.wav"
    to.next_room().touch()
    assert to.next_room().name == "anna_1.wav"


def test_a_session_without_a_name_is_a_new_one(tmp_path):
    assert TakesFolder.of(tmp_path / "none", None).session == "session1"
    (tmp_path / "lamp" / "session1").mkdir(parents=True)
    TakesFolder.of(tmp_path, "session2").next_room().touch()
    assert TakesFolder.of(tmp_path, None).session == "session3"


@pytest.mark.parametrize("name", ["", "_a", ".a", "a/b", "../a", "a b", "a_nohash_b", "x" * 99])
def test_a_session_that_can_be_no_name_is_refused(tmp_path, name):
    with pytest.raises(DataError, match="`session`"):
        TakesFolder.of(tmp_path, name)
