"""The screens that need clips or a trained network, at 80, 120 and 200 columns; see test_screens.py."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import soundfile
from commands import TRAIN, ok_json, typed
from sounds import write_task
from terminals import WIDTHS, assert_fits, assert_readable, lines_of, rendered

_RATE_HZ = 16_000
SCREENS = (
    ("eval", "last"),
    ("predict", "last", "task/yes"),
    ("stream", "last", "long.wav", "--labels", "long.json", "--threshold", "0.6"),
    ("data", "list"),
    ("data", "check", "task"),
    ("data", "cut", "long.wav", "--word", "yes", "--list"),
    ("summary", "--arch", "cnn"),
    ("summary", "--arch", "gru"),
    ("train", "--preset", "best", "--show"),
    ("sweep", "--preset", "table1", "--dry-run"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with clips, a registry of one run, and a recording of several words with labels."""
    folder = tmp_path_factory.mktemp("screens")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("KWS_CACHE", str(folder / "cache"))
        patched.setenv("KWS_DB", typed(folder / "r.db"))
        write_task(folder / "task")
        ok_json(*TRAIN, "--data", "task", "--epochs", 1)
        random = np.random.default_rng(0)
        time_s, sounds, windows = np.arange(_RATE_HZ) / _RATE_HZ, [], []
        for place, (word, tone_hz) in enumerate((("yes", 400), ("no", 1200)) * 6):
            loud = 0.3 * (abs(time_s - 0.5) < 0.25) * np.sin(2 * np.pi * tone_hz * time_s)
            sounds += [0.001 * random.standard_normal(_RATE_HZ), loud + 0.001 * random.standard_normal(_RATE_HZ)]
            windows.append([2 * place + 1, 2 * place + 2, word])
        soundfile.write(folder / "long.wav", np.concatenate(sounds), _RATE_HZ, subtype="PCM_16")
        about = {"sample_rate": _RATE_HZ, "length_sec": 2 * len(windows), "detection_windows": windows}
        (folder / "long.json").write_text(json.dumps(about))
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KWS_CACHE", str(folder / "cache"))
    monkeypatch.setenv("KWS_DB", typed(folder / "r.db"))


@pytest.mark.parametrize("command", SCREENS, ids=" ".join)
def test_a_screen_fits_and_cuts_no_number(command):
    for width in WIDTHS:
        assert_readable(width, *command)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_training_fits_from_its_title_to_its_end(width, tmp_path):
    screen = rendered(width, *TRAIN, "--data", "task", "--epochs", 2, "--db", tmp_path / "own.db")
    assert_fits(width, screen)
    text = " ".join(lines_of(screen))
    assert re.search(r"epoch 2/2  train/val loss \d\.\d{3}/\d\.\d{3}  accuracy [\d.]+/[\d.]+ %", text)
    assert re.search(r" finished: test accuracy \d+\.\d\d % on 12 clips", text)
    seen = rendered(width, "watch", "last", "--db", tmp_path / "own.db")
    assert_fits(width, seen)
    assert "2/2" in seen


@pytest.mark.parametrize("width", WIDTHS)
def test_many_trainings_fit_from_the_plan_to_the_end(width, tmp_path):
    common = ("--data", "task", "--epochs", 1, "--db", tmp_path / "own.db", "--jobs", 1)
    screen = rendered(width, "sweep", "--arch", "fc", "--opt", "sgd,adam", "--seeds", 1, *common)
    assert_fits(width, screen)
    assert "2 of 2" in screen or "2/2" in screen
