"""`kws record` at a terminal, with a microphone that is made up: it hears what eSpeak NG says, well and badly."""

from __future__ import annotations

import json
import os
import pty
import signal
import sys
import threading
import time
import types
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import soundfile
from commands import kws, ok_json, refused
from voices import RATE, room, said

from kws.inference import takes
from kws.speech.folder import read_folder
from kws.speech.takes_folder import TakesFolder
from kws.terminal import recording

WORDS = ("--words", "lamp,heater")


class Scene:
    """What the microphone hears, one after the other; then the room for ever. A function is called when it is due."""

    def __init__(self, *parts) -> None:
        self.parts = parts

    def play(self, callback, rate: int, over: threading.Event) -> None:
        waiting = callback.__self__.blocks
        for part in (*self.parts, *(room(1, seed=seed) for seed in range(600))):
            if callable(part):
                while waiting.qsize() and not over.is_set():
                    time.sleep(0.002)
                part(callback.__self__)
                continue
            samples = np.repeat(part, rate // RATE).astype(np.float32)
            size = rate // 50
            for at in range(0, len(samples), size):
                while waiting.qsize() > 5:
                    if over.is_set():
                        return
                    time.sleep(0.0005)
                callback(samples[at : at + size, None], size, None, None)


def microphone(scene: Scene, rate: int = RATE, fails: bool = False) -> types.ModuleType:
    """A module like sounddevice, with one microphone at one rate."""
    made = types.ModuleType("sounddevice")

    class PortAudioError(Exception):
        pass

    def check(device, channels, samplerate):
        if samplerate != rate:
            raise PortAudioError("Invalid sample rate")

    @contextmanager
    def stream(*, samplerate, callback, **_):
        if fails:
            raise PortAudioError("Device unavailable")
        over = threading.Event()
        thread = threading.Thread(target=scene.play, args=(callback, round(samplerate), over), daemon=True)
        thread.start()
        yield
        over.set()
        thread.join()

    made.PortAudioError, made.InputStream, made.check_input_settings = PortAudioError, stream, check
    made.query_devices = lambda *_: {"index": 0, "name": "made up", "default_samplerate": float(rate)}
    return made


@pytest.fixture
def desk(monkeypatch):
    """A terminal with a keyboard, and a function that plays a scene to the microphone; what is typed is pressed."""
    keyboard, screen = pty.openpty()
    stdin = os.fdopen(screen, "r")
    monkeypatch.setattr(sys, "stdin", stdin)
    said_above: list[str] = []

    class Prompt:
        def __init__(self):
            self.shown: list[str] = []

        def show(self, what, level_db):
            self.shown.append(what)

        def say(self, message):
            said_above.append(message)

    shown = Prompt()

    @contextmanager
    def prompt():
        yield shown

    monkeypatch.setattr(recording, "prompt", prompt)
    monkeypatch.setattr(recording, "has_screen", lambda: True)

    def type_(keys: str):
        return lambda _: os.write(keyboard, keys.encode())

    def set_up(*parts, **about):
        shown.shown.clear()
        said_above.clear()
        monkeypatch.setitem(sys.modules, "sounddevice", microphone(Scene(*parts), **about))

    set_up.type, set_up.above, set_up.prompt = type_, said_above, shown
    yield set_up
    os.close(keyboard)
    stdin.close()


def good(seed: int = 1, word: str = "lamp") -> np.ndarray:
    return said(word, before=1, after=2.2, seed=seed)


def wavs(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.wav"))


def test_good_takes_are_kept_bad_ones_are_asked_for_again_and_kws_knows_the_session(desk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = [
        said("lamp", peak=0.02, before=1, after=2.2),
        said("lamp", peak=4, before=1, after=2.2),
        said("supercalifragilistic", rate=100, before=1, after=2.2),
        room(7),
    ]
    desk(room(0.2), desk.type("\n"), room(2), good(1), *bad, good(2, "heater"), good(3), good(4, "heater"))
    done = ok_json("record", *WORDS, "--takes", 2, "--session", "anna", "--room-seconds", 1)
    assert done["kept"] == done["takes"] == {"lamp": 2, "heater": 2}
    assert set(done["rejected"]) == {takes.TOO_QUIET, takes.CLIPPED, takes.TOO_LONG, takes.NOTHING}
    assert wavs(tmp_path / "recordings") == [
        "_background_noise_/anna_0.wav",
        *(f"{word}/anna/anna_nohash_{n}.wav" for word in ("heater", "lamp") for n in range(2)),
    ]
    folder = read_folder(tmp_path / "recordings")
    assert {clip.speaker for clip in folder.clips} == {"anna"}
    assert len({clip.split for clip in folder.clips}) == 1
    for clip in folder.clips:
        samples, rate = soundfile.read(clip.path)
        assert (len(samples), rate) == (16_000, 16_000)
        assert 0.25 < np.abs(samples).max() < 0.4
    heard, _ = soundfile.read(tmp_path / "recordings" / "_background_noise_" / "anna_0.wav")
    assert len(heard) == pytest.approx(RATE, abs=400)
    checked = ok_json("data", "check", "recordings")
    assert checked["speakers"] is not None
    assert sum("once more" in line for line in desk.above) == 4
    assert {"say: lamp  (4 to go)", "say: heater  (4 to go)"} & {*desk.prompt.shown}


def test_a_session_that_was_stopped_goes_on_and_nothing_is_overwritten(desk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    desk(room(0.2), desk.type("\n"), room(2), good(1), room(1), desk.type("q"))
    first = kws("record", *WORDS, "--takes", 2, "--out", "my clips", "--room-seconds", 1)
    assert first.exit_code == 0
    assert "go on with: kws record --words lamp,heater --out 'my clips' --takes 2 --session session1" in first.stderr
    before = {path: path.read_bytes() for path in (tmp_path / "my clips").rglob("*.wav")}
    assert len(before) == 2
    desk(room(0.2), desk.type("\n"), room(2), good(2), good(3), good(4))
    done = ok_json("record", *WORDS, "--takes", 2, "--out", "my clips", "--session", "session1", "--room-seconds", 1)
    assert done["takes"] == {"lamp": 2, "heater": 2}
    assert sum(done["kept"].values()) == 3
    assert {path: path.read_bytes() for path in before} == before
    assert "my clips/_background_noise_/session1_1.wav" in {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")}
    desk()
    again = kws("record", *WORDS, "--takes", 2, "--out", "my clips", "--session", "session1")
    assert (again.exit_code, again.stdout) == (0, "my clips\n")
    assert "0 takes kept" in again.stderr


def test_keys_redo_the_last_take_and_go_on_to_another_word(desk, tmp_path):
    out = tmp_path / "out"
    begins = room(0.2), desk.type("\n"), room(2)
    redo = good(1), room(1), desk.type("r"), room(1), good(5), room(1)
    desk(*begins, *redo, desk.type("\n"), room(1), good(3))
    done = ok_json(
        "record", "--words", "lamp,heater", "--takes", 1, "--out", out, "--session", "a", "--room-seconds", 1
    )
    assert done["takes"] == {"lamp": 1, "heater": 1}
    assert sum("is gone; once more" in line for line in desk.above) == 1
    assert sum("kept" in line for line in desk.above) >= 3


def test_ctrl_c_and_sigterm_lose_no_take_and_end_as_they_do(desk, tmp_path):
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        out = tmp_path / str(number)
        desk(room(0.2), desk.type("\n"), room(2), good(1), room(1), lambda _, each=number: os.kill(os.getpid(), each))
        done = kws("record", *WORDS, "--out", out, "--session", "anna", "--room-seconds", 1)
        assert done.exit_code == code
        assert "1 take kept" in done.stderr
        assert len(TakesFolder.of(out, "anna").missing(("lamp", "heater"), 10)) == 19


def lose(microphone) -> None:
    microphone.lost += 1


def test_a_take_of_which_a_piece_is_lost_and_a_room_that_became_loud_are_no_good(desk, tmp_path):
    half = len(word := good(1)) // 3
    loud = room(12, level_db=-30)
    desk(room(0.2), desk.type("\n"), room(2), word[:half], lose, word[half:], room(1), loud, room(2), good(2))
    options = ("--words", "lamp", "--takes", 1, "--out", tmp_path, "--session", "anna", "--room-seconds", 1)
    done = ok_json("record", *options)
    assert done["kept"] == {"lamp": 1}
    assert done["rejected"] == {takes.LOST: 1, takes.TOO_LONG: 1, takes.LOUDER: 1}


def test_a_room_in_which_somebody_speaks_is_recorded_again(desk, tmp_path):
    desk(room(0.2), desk.type("\n"), said("lamp", before=0.2, after=0.4), room(3), desk.type("q"))
    kws("record", *WORDS, "--out", tmp_path, "--session", "anna", "--room-seconds", 1)
    assert desk.above[0].strip() == f"{takes.NOT_QUIET}; once more, quietly"
    assert wavs(tmp_path) == ["_background_noise_/anna_0.wav"]


def test_a_microphone_that_is_muted_or_busy_or_of_another_rate(desk, tmp_path):
    options = (*WORDS, "--out", tmp_path / "x", "--session", "anna", "--room-seconds", 1)
    desk(room(0.2), desk.type("\n"), np.zeros(5 * RATE, np.float32))
    assert kws("record", *options).stderr.splitlines()[-1].startswith("kws: the microphone gives no sound")
    desk(fails=True)
    assert "cannot be listened to" in kws("record", *options).stderr.splitlines()[-1]
    desk(room(0.2), desk.type("\n"), room(2), good(1), room(1), desk.type("q"), rate=48_000)
    assert sum(ok_json("record", *options)["kept"].values()) == 1


def test_without_a_terminal_or_with_words_that_are_none_it_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: PTH123, SIM115
    assert "needs a terminal" in refused("record", *WORDS)
    assert "begins with '_'" in refused("record", "--words", "_noise")
    assert "`session`" in refused("record", *WORDS, "--session", "a/b")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_recorded(desk, tmp_path):
    (tmp_path / "file").touch()
    desk()
    lines = kws("record", *WORDS, "--out", tmp_path / "file", "--session", "anna").stderr.splitlines()
    assert [line.startswith("kws: `out`") and "cannot be written" in line for line in lines] == [True]


def test_without_sounddevice_the_sentence_says_how_to_install_it(desk, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    assert "python -m pip install sounddevice" in refused("record", *WORDS, "--out", tmp_path)
    assert json.dumps(list(map(str, tmp_path.iterdir()))) == "[]"
