"""`kws listen` on a virtual microphone: PulseAudio's null sink, into which recordings are played."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from commands import kws
from places import ROOT
from recordings import noise, write

RUN = "dpghnmcw"  # of preset `best`, in the registry that ships
DB = ROOT / "experiments.db"
_PROGRAMS = ("pulseaudio", "pactl", "paplay")


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """The environment in which the system's microphone is what is played into a null sink."""
    try:
        import sounddevice  # noqa: F401
    except (ModuleNotFoundError, OSError) as error:
        pytest.skip(f'no sound: {error}; pip install -e ".[listen]"; apt-get install libportaudio2')
    if missing := [name for name in _PROGRAMS if shutil.which(name) is None]:
        pytest.skip(
            f"no {' and '.join(missing)}: apt-get install pulseaudio pulseaudio-utils libasound2-plugins libportaudio2"
        )
    home = tmp_path_factory.mktemp("pulse")
    (home / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
    (home / "run").mkdir(mode=0o700)
    about = {**os.environ, "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "run")}
    modules = ("module-native-protocol-unix", "module-null-sink sink_name=kws rate=16000 channels=1")
    daemon = subprocess.Popen(
        ["pulseaudio", "-n", "--exit-idle-time=-1", *(part for module in modules for part in ("-L", module))],
        env=about,
        stderr=subprocess.DEVNULL,
    )
    for _ in range(100):
        if (
            subprocess.run(["pactl", "set-default-source", "kws.monitor"], env=about, capture_output=True).returncode
            == 0
        ):
            break
        time.sleep(0.1)
    else:
        pytest.fail("pulseaudio does not answer")
    yield about
    daemon.terminate()
    daemon.wait(timeout=10)


def listening(about, *options):
    command = [sys.executable, "-m", "kws", "listen", RUN, "--db", str(DB), *options]
    process = subprocess.Popen(command, env=about, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = process.stderr.readline()
    assert first.startswith("listening to "), first + process.stderr.read()
    return process


def play(about, path):
    subprocess.run(["paplay", "--device=kws", str(path)], env=about, check=True)


def test_a_word_that_is_said_is_heard_and_noise_is_not(sound, real_clips, tmp_path):
    yes = sorted((real_clips / "yes").glob("*.wav"))[0]
    process = listening(sound, "--seconds", "12", "--json")
    play(sound, write(tmp_path / "noise.wav", noise(seconds=2, level=0.05)))
    play(sound, yes)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    found = [json.loads(line) for line in out.splitlines()]
    assert [each["word"] for each in found] == ["yes"]
    assert 2 < found[0]["seconds"] < 12


def test_ctrl_c_is_how_it_ends_and_sigterm_is_a_termination(sound):
    for number, code in ((signal.SIGINT, 0), (signal.SIGTERM, 143)):
        process = listening(sound)
        time.sleep(1)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out) == (code, ""), err
        assert "Traceback" not in err


def test_a_microphone_that_is_not_there_is_a_sentence_that_names_those_that_are(sound):
    command = [sys.executable, "-m", "kws", "listen", RUN, "--db", str(DB), "--device", "nowhere"]
    done = subprocess.run(command, env=sound, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no one microphone 'nowhere'" in done.stderr
    assert "pulse" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_sounddevice_the_sentence_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    done = kws("listen", RUN, "--db", DB)
    assert done.exit_code == 1
    assert "python -m pip install sounddevice" in done.stderr


def test_levels_are_in_db_of_full_scale():
    from kws.inference.microphone import level_db
    from kws.terminal.listening import line

    assert level_db(np.ones(100, np.float32)) == pytest.approx(0)
    assert level_db(np.full(100, 0.1, np.float32)) == pytest.approx(-20, abs=1e-3)
    assert level_db(np.zeros(100, np.float32)) == -120
    assert "|##########          |" in line(-30.0, "yes", 0.5)
    assert len(line(-120.0, "a very long word", 1.0, lost=1000)) <= 80
