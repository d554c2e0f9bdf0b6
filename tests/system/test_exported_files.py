"""`kws export` as a program, the examples that use its files without kws and torch, and a page in a real browser."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from commands import TRAIN, kws, ok, ok_json, refused
from places import ROOT
from sounds import write_task

onnx = pytest.importorskip("onnx", reason='onnx is not installed; pip install "kws[onnx]" brings it')
pytest.importorskip("onnxruntime", reason='onnxruntime is not installed; pip install "kws[onnx]" brings it')

from kws.inference.detector import Detector  # noqa: E402
from kws.inference.onnx_model import OnnxModel  # noqa: E402
from kws.speech.decode import read_waveform  # noqa: E402

EXAMPLES = ROOT / "examples"
PACKAGES = Path(os.environ.get("KWS_NODE_MODULES", EXAMPLES / "web" / "node_modules"))
WITHOUT_KWS = """
import runpy, sys
sys.argv = sys.argv[1:]
class Refusing:
    def find_spec(self, name, path=None, target=None):
        assert name.partition(".")[0] not in ("kws", "torch"), name
sys.meta_path.insert(0, Refusing())
runpy.run_path(sys.argv[0], run_name="__main__")
"""


OWN = """
import torch
from torch import nn

class Network(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.fc = nn.Linear(40, classes)

    def forward(self, features):
        return self.fc(torch.tanh(features).amax(1))
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a task of tones, a registry with a run that has learnt it, and its two files of fp32."""
    folder = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setenv("KWS_CACHE", str(folder / "cache"))
        patched.setenv("KWS_DB", str(folder / "experiments.db"))
        write_task(folder / "task")
        ok_json(*TRAIN, "--data", "task", "--epochs", 5)
        said = ok_json("export", "last", "--out", "model.onnx")
        ok("export", "last", "--streaming", "--out", "stream.onnx")
    return folder, said


@pytest.fixture
def folder(trained, monkeypatch):
    folder, _ = trained
    monkeypatch.chdir(folder)
    monkeypatch.setenv("KWS_CACHE", str(folder / "cache"))
    monkeypatch.setenv("KWS_DB", str(folder / "experiments.db"))
    return folder


def program(*arguments, stdin=None):
    done = subprocess.run([sys.executable, "-c", *map(str, arguments)], input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_it_says_both_accuracies_the_largest_difference_and_what_each_form_takes(trained):
    _, said = trained
    assert said["schema"] == 1
    assert (said["form"], said["clips"], said["compared"]) == ("fp32", 12, 1000)
    assert said["network_accuracy"] == said["file_accuracy"]
    assert said["largest_difference"] < 1e-4
    assert said["decisions_that_differ"] == []
    assert said["own_data"]
    assert [each["form"] for each in said["forms"]] == ["fp32", "fp32 streaming", "int8", "int8 streaming"]
    assert all(each["bytes"] > each["network_bytes"] > 0 < each["milliseconds"] for each in said["forms"])


def test_its_accuracy_is_that_of_the_runs_test(folder, trained):
    assert trained[1]["file_accuracy"] == ok_json("runs", "show", "last")["test_accuracy"]


def test_another_process_writes_the_same_bytes(folder):
    run = "import sys; from kws.cli import app; app(sys.argv[1:])"
    shown = program(run, "export", "last", "--out", "again.onnx")
    assert "test clips" in shown
    assert (folder / "again.onnx").read_bytes() == (folder / "model.onnx").read_bytes()


def test_int8_is_written_where_it_loses_little_and_says_so_where_it_loses_much(folder):
    result = kws("export", "last", "--int8", "--out", "int8.onnx")
    if result.exit_code:
        assert "more than 0.3 points less" in result.stderr
        assert not (folder / "int8.onnx").exists()
    else:
        assert OnnxModel("int8.onnx").form == "int8"


def test_a_file_is_checked_against_its_run(folder):
    assert "agrees" in ok("export", "last", "--check", "stream.onnx")
    model = onnx.load_model("model.onnx")
    weight = next(each for each in model.graph.initializer if each.name == "network/fc3.weight")
    array = onnx.numpy_helper.to_array(weight).copy()
    array[0, 0] += 0.05
    weight.CopyFrom(onnx.numpy_helper.from_array(array, weight.name))
    onnx.save_model(model, "changed.onnx")
    result = kws("export", "last", "--check", "changed.onnx")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("kws: changed.onnx ")


def test_what_cannot_be_exported_is_told_before_any_work(folder):
    assert "--data" in refused("export", "last", "--out", "x.onnx", "--data", "nowhere")
    assert "cannot be written" in refused("export", "last", "--out", "no/such/folder/x.onnx")
    assert "is a folder" in refused("export", "last", "--out", "task")
    assert "is not a file" in refused("export", "last", "--check", "nothing.onnx")
    refused("export", "last", code=2)
    refused("export", "last", "--check", "model.onnx", "--int8", code=2)
    assert not (folder / "x.onnx").exists()


def test_without_its_data_it_asks_for_it(folder):
    (folder / "task").rename(folder / "moved")
    try:
        said = refused("export", "last", "--out", "x.onnx")
        assert "--data" in said and "task" in said
        assert ok_json("export", "last", "--out", "elsewhere.onnx", "--data", "moved")["own_data"]
        assert (folder / "elsewhere.onnx").read_bytes() == (folder / "model.onnx").read_bytes()
    finally:
        (folder / "moved").rename(folder / "task")


def test_without_the_packages_it_says_how_to_install_them(folder, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "python -m pip install onnx" in refused("export", "last", "--out", "x.onnx")


def test_a_file_is_used_without_torch(folder):
    said = program(
        "import sys, numpy as np; from kws.inference.onnx_model import OnnxModel; "
        "from kws.inference.detector import Detector; d = Detector(OnnxModel(sys.argv[1])); "
        "d.predict(np.zeros(16000, np.float32)); list(d.stream([np.zeros(16000, np.float32)])); "
        "print([name for name in ('torch', 'pandas', 'sqlalchemy', 'onnx') if name in sys.modules])",
        "model.onnx",
    )
    assert said.strip() == "[]"


def test_a_network_of_the_users_own_is_exported_if_its_code_is_trusted(folder, monkeypatch):
    monkeypatch.setenv("KWS_DB", str(folder / "own.db"))
    (folder / "own.py").write_text(OWN)
    ok("train", "--arch", "own.py", "--opt", "adam", "--epochs", 1, "--data", "task", "--threads", 1)
    assert "--trust-code" in refused("export", "last", "--out", "own.onnx")
    said = ok_json("export", "last", "--out", "own.onnx", "--trust-code", "all")
    assert said["network_accuracy"] == said["file_accuracy"]
    assert b"import torch" not in (folder / "own.onnx").read_bytes()


def test_an_untested_run_keeps_its_test_for_kws_test(folder, monkeypatch):
    monkeypatch.setenv("KWS_DB", str(folder / "untested.db"))
    ok(*TRAIN, "--data", "task", "--epochs", 1, "--no-test")
    assert "kws test" in refused("export", "last", "--out", "x.onnx")


def test_examples_are_short(folder):
    for file in (*EXAMPLES.glob("*.py"), *EXAMPLES.glob("web/*.html")):
        assert len(file.read_text().splitlines()) < 30, file


def test_the_example_on_a_file_says_what_kws_says(folder):
    model = OnnxModel("model.onnx")
    for path in sorted((folder / "task").glob("*/test*.wav"))[::3]:
        word, probability = program(WITHOUT_KWS, EXAMPLES / "detect_file.py", "model.onnx", path).split()
        expected = Detector(model).predict(read_waveform(path))
        assert word == expected.word
        assert float(probability) == pytest.approx(expected.probability, abs=1e-4)


def test_the_example_on_a_stream_hears_what_kws_hears(folder):
    paths = sorted((folder / "task").glob("*/test*.wav"))
    samples = np.concatenate([read_waveform(path) for path in paths])
    pcm = np.round(samples * 32768).astype("<i2")
    lines = program(WITHOUT_KWS, EXAMPLES / "detect_stream.py", "stream.onnx", stdin=pcm.tobytes()).splitlines()
    expected = list(Detector(OnnxModel("stream.onnx")).stream([samples]))
    assert expected
    assert lines == [f"{each.seconds:.2f} s {each.word} {each.probability:.4f}" for each in expected]


def test_the_page_says_what_kws_says_in_a_browser(folder, tmp_path):
    sync_api = pytest.importorskip(
        "playwright.sync_api",
        reason='Playwright is not installed; `python -m pip install -c constraints.txt -e ".[dev,browser]"` brings it',
    )
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("there is no Chromium here; `apt-get install chromium` brings it")
    if not (PACKAGES / "onnxruntime-web").is_dir():
        pytest.skip("onnxruntime-web is not there; `npm install --prefix examples/web onnxruntime-web` brings it")
    shutil.copy(EXAMPLES / "web" / "index.html", tmp_path)
    shutil.copy("model.onnx", tmp_path)
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with sync_api.sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page()
            said = []
            page.on("pageerror", lambda error: said.append(str(error)))
            page.set_default_timeout(30_000)
            page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
            for path in sorted((folder / "task").glob("*/test0*.wav"))[::5]:
                page.wait_for_selector("input:enabled").set_input_files(path)
                expected = Detector(OnnxModel("model.onnx")).predict(read_waveform(path))
                page.wait_for_function("/^\\w+ [0-9.]+$/.test(document.querySelector('#answer').textContent)")
                word, probability = page.inner_text("#answer").split()
                assert word == expected.word
                assert float(probability) == pytest.approx(expected.probability, abs=2e-4)
                page.evaluate("document.querySelector('#answer').textContent = ''")
            assert said == []
            browser.close()
    finally:
        server.shutdown()
        server.server_close()


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *about):
        pass


def test_metadata_of_a_file_on_unknown_data_is_honest(folder):
    said = {each.key: each.value for each in onnx.load_model("model.onnx").metadata_props}
    assert (said["licence"], said["attribution"]) == ("unknown", "unknown")
    assert json.loads(said["kws"])["run"] == said["run"]
