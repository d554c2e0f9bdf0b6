"""`kws predict`: files, folders and pipes of any format; what cannot be read is named, and the rest is predicted."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from commands import kws
from ledger import make_card, train
from recordings import RATE_HZ, noise, tone, write

from kws.api.loading import model_card, network_model
from kws.inference.detector import Detector
from kws.registry.reader import RegistryReader
from kws.registry.store import Registry


@pytest.fixture(scope="module")
def db(tmp_path_factory):
    """A registry with a run that has learnt a little of synthetic speech."""
    place = tmp_path_factory.mktemp("predict") / "runs.db"
    kws("train", "--arch", "tc-resnet", "--width", "0.3", "--opt", "adam", "--epochs", "1", "--db", place)
    return place


@pytest.fixture
def clips(tmp_path):
    write(tmp_path / "clips" / "a.wav", tone(300))
    write(tmp_path / "clips" / "b" / "c.flac", noise(seconds=0.5))
    write(tmp_path / "clips" / ".hidden.wav", noise())
    return tmp_path / "clips"


def detector(db):
    with RegistryReader(db) as registry:
        return Detector(network_model(registry, registry.run("last")))


def predictions(*arguments):
    done = kws("predict", *arguments, "--json")
    return json.loads(done.stdout)["predictions"]


def test_a_line_a_recording_with_word_and_probability(db, clips):
    done = kws("predict", "last", clips, "--db", db)
    assert done.exit_code == 0
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[-1] for line in lines] == [str(clips / "a.wav"), str(clips / "b" / "c.flac")]
    for line, samples in zip(lines, (tone(300), noise(seconds=0.5)), strict=True):
        expected = detector(db).predict(np.round(samples * 32768) / 32768)
        assert line[0] == expected.word
        assert float(line[1]) == pytest.approx(100 * expected.probability, abs=0.05)


def test_a_run_keeps_its_answers_on_validation_for_its_thresholds(db):
    with RegistryReader(db) as registry:
        run = registry.run("last")
        card = model_card(registry, run)
        answers = registry.evaluation(run.id, run.data_fingerprint, "validation")
    assert answers.accuracy == pytest.approx(run.validation_accuracy)
    assert set(card.thresholds) == {"yes", "no"}
    assert card.temperature != 1


def test_rates_channels_and_lengths_are_as_in_training(db, tmp_path):
    same = tone(440)
    write(tmp_path / "stereo.wav", np.stack([same, same], axis=1))
    write(tmp_path / "48.flac", tone(440, rate_hz=48_000), 48_000)
    write(tmp_path / "8.wav", tone(440, rate_hz=8_000), 8_000)
    write(tmp_path / "long.wav", np.concatenate([same, noise(seconds=3)]))
    write(tmp_path / "one.wav", same)
    answers = predictions("last", tmp_path, "--db", db)
    assert len(answers) == 5
    (one,) = (each["probabilities"] for each in answers if each["file"].endswith("one.wav"))
    for each in answers:
        assert each["probabilities"] == pytest.approx(one, abs=0.05), each["file"]


def test_by_windows_all_of_a_recording_is_searched(db, tmp_path):
    (clip,) = predictions("last", write(tmp_path / "a.wav", tone(440)), "--db", db)
    long = np.concatenate([noise(1, seconds=2), tone(440), noise(2, seconds=2)])
    (found,) = predictions("last", write(tmp_path / "b.wav", long), "--windows", "--db", db)
    scores = np.concatenate(list(detector(db).scores([np.append(long, np.zeros(8000)).astype(np.float32)])))
    assert max(found["probabilities"][word] for word in ("yes", "no")) == pytest.approx(scores[:, :2].max(), abs=1e-3)
    assert found["seconds"] == pytest.approx((scores[:, :2].max(axis=1).argmax() + 1) / 50)
    assert set(clip) == {"file", "word", "probability", "probabilities"}


def test_one_recording_on_stdin(db, tmp_path):
    path = write(tmp_path / "a.flac", tone(440))
    command = [sys.executable, "-m", "kws", "predict", "last", "-", "--json", "--db", str(db)]
    done = subprocess.run(command, input=path.read_bytes(), capture_output=True, check=True)
    (piped,) = json.loads(done.stdout)["predictions"]
    (read,) = predictions("last", path, "--db", db)
    assert piped == read | {"file": "stdin"}
    done = subprocess.run(command, input=path.read_bytes()[:20], capture_output=True)
    assert done.returncode == 1
    assert done.stderr.startswith(b"kws: stdin cannot be read as audio")


def test_what_cannot_be_read_is_named_and_the_rest_predicted(db, clips):
    (clips / "bad.wav").write_bytes(b"not audio")
    soundfile.write(clips / "empty.wav", np.empty(0), RATE_HZ)
    soundfile.write(clips / "nan.wav", np.full(100, np.nan), RATE_HZ, subtype="FLOAT")
    done = kws("predict", "last", clips, "--db", db)
    assert done.exit_code == 1
    assert len(done.stdout.splitlines()) == 2
    said = done.stderr.splitlines()
    assert len(said) == 3
    assert all(line.startswith(f"kws: {clips}/") for line in said)
    assert "not finite" in next(line for line in said if "nan.wav" in line)
    errors = [each for each in predictions("last", clips, "--db", db) if "error" in each]
    assert len(errors) == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere.wav"], "there is no file nowhere.wav"),
        (["-", "x.wav"], "- is one recording on stdin, alone"),
    ],
)
def test_mistakes_are_sentences(db, arguments, says):
    done = kws("predict", "last", *arguments, "--db", db)
    assert done.exit_code == 1
    assert says in done.stderr


def test_a_folder_without_recordings_is_a_mistake(db, tmp_path):
    (tmp_path / "notes.txt").write_text("no")
    assert "holds no recordings" in kws("predict", "last", tmp_path, "--db", db).stderr


def test_a_run_on_arrays_hears_nothing(tmp_path, clips):
    db = tmp_path / "arrays.db"
    with Registry(db, create=True) as registry:
        card = dataclasses.replace(make_card(), front_end={})
        run = train(registry, card=card)
    assert "trained on arrays of features" in kws("predict", run, clips, "--db", db).stderr
