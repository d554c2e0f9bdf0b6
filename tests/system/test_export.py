"""Exported files: the front end against float64, every network, what the check refuses, and int8."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from exported import CARD, MEAN, STD, network_model, tones
from ledger import make_recipe
from recordings import noise, tone
from torch import nn

onnx = pytest.importorskip("onnx", reason='onnx is not installed; pip install "kws[onnx]" brings it')
ort = pytest.importorskip("onnxruntime", reason='onnxruntime is not installed; pip install "kws[onnx]" brings it')

from kws.errors import ClipError, DataError, ModelError  # noqa: E402
from kws.inference.export import checking, conversion, exporting, forms, front_end, quantization  # noqa: E402
from kws.inference.export import clips as clip_source  # noqa: E402
from kws.inference.export.checking import Agreement  # noqa: E402
from kws.inference.export.forms import Form  # noqa: E402
from kws.inference.export.graph import OPSET, Graph, to_bytes  # noqa: E402
from kws.inference.network import NetworkModel  # noqa: E402
from kws.inference.onnx_model import OnnxModel  # noqa: E402
from kws.speech.features import log_mel, mel_filters  # noqa: E402

NETWORKS = {
    "fc": {},
    "cnn": {"channels": (2, 2)},
    "gru": {},
    "tc_resnet": {"width": 0.25},
    "ds_cnn": {"filters": 4},
    "bc_resnet": {"tau": 0.25},
}


def sounds():
    """Clips (B, S): noise, quiet and loud, tones, half a second of silence, and nothing at all."""
    waves = [noise(1), noise(2, level=1e-3), tone(440), tone(3001.7, level=0.9), np.zeros(16_000)]
    waves.append(np.concatenate([np.zeros(8000), noise(3, seconds=0.5)]))
    return np.stack(waves).astype(np.float32)


def exact_log_mel(waveforms):
    """By NumPy in float64."""
    padded = np.pad(waveforms.astype(np.float64), ((0, 0), (200, 200)), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, 400, axis=1)[:, ::160]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = np.abs(np.fft.rfft(frames * window, n=512)) ** 2
    return np.log(power @ mel_filters().double().numpy() + 1e-6)


def front_end_alone():
    graph = Graph()
    audio = graph.input("audio", ["batch", 16_000])
    graph.within("front_end")
    features = front_end.features_of_frames(graph, front_end.frames_of_clips(graph, audio), 101)
    graph.output(features, ["batch", 101, 40])
    return to_bytes(graph.model())


def run(content, **inputs):
    return ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, inputs)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return tones(tmp_path_factory.mktemp("export") / "tones")


@pytest.fixture(scope="module")
def model():
    return network_model(width=0.25)


@pytest.fixture(scope="module")
def export(model, clips):
    return exporting.Export(model, clips)


def changed(path, name, change):
    """The file with one initializer changed."""
    proto = onnx.load_model(path)
    for each in proto.graph.initializer:
        if each.name == name:
            each.CopyFrom(onnx.numpy_helper.from_array(change(onnx.numpy_helper.to_array(each).copy()), name))
            break
    else:
        raise AssertionError(name)
    path.write_bytes(to_bytes(proto))


def test_log_mel_is_no_farther_from_float64_than_twice_pytorchs():
    waveforms = sounds()
    exact = exact_log_mel(waveforms)
    found = run(front_end_alone(), audio=waveforms)[0].astype(np.float64) + np.log(1e-6)
    by_torch = log_mel(torch.from_numpy(waveforms)).numpy()
    for clip in range(len(waveforms)):
        ours, theirs = (np.abs(each[clip] - exact[clip]) for each in (found, by_torch))
        assert ours.max() <= max(2 * theirs.max(), 1e-5)  # of silence, both are right but for the last bit
        assert ours.mean() <= max(2 * theirs.mean(), 2e-6)


def test_the_front_end_takes_a_fortieth_of_the_matrix_of_a_fourier_transform():
    assert len(front_end_alone()) < 400 * 514 * 4 / 40


@pytest.mark.parametrize("arch", NETWORKS)
def test_each_network_answers_as_in_pytorch_clip_by_clip_and_hop_by_hop(arch, tmp_path):
    model = network_model(arch, **NETWORKS[arch])
    network = conversion.converted(model.network, "bcdfghjk")
    waveforms = sounds()
    path = tmp_path / "model.onnx"
    path.write_bytes(forms.written(network, CARD, MEAN, STD, Form()))
    file = OnnxModel(path)
    for batch in (waveforms[:1], waveforms):
        assert np.abs(file.probabilities(batch) - model.probabilities(batch)).max() < 1e-4
    path.write_bytes(forms.written(network, CARD, MEAN, STD, Form(streaming=True)))
    long = waveforms[:3].reshape(-1)
    expected, stream = model.stream().push(long), OnnxModel(path).stream()
    found = np.concatenate([stream.push(piece) for piece in np.split(long, [1, 319, 5000, 5001])])
    assert found.shape == (150, 3)
    assert np.abs(found - expected).max() < 1e-4


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("int8", [False, True])
def test_a_file_has_plain_operators_of_one_opset_and_nothing_about_where_it_was_made(export, tmp_path, int8, streaming):
    out = tmp_path / "model.onnx"
    export.write(Form(int8=int8, streaming=streaming), out)
    proto = onnx.load_model(out)
    assert [(each.domain, each.version) for each in proto.opset_import] == [("", OPSET)]
    assert {node.domain for node in proto.graph.node} == {""}
    assert not any(each.doc_string or each.metadata_props for each in (*proto.graph.node, proto.graph))
    content = out.read_bytes()
    for private in (b"site-packages", b"/root", b"/tmp", b"/home", b".py"):
        assert private not in content
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_file_says_its_words_and_origin(export, tmp_path):
    export.write(Form(), tmp_path / "model.onnx")
    said = {each.key: each.value for each in onnx.load_model(tmp_path / "model.onnx").metadata_props}
    assert OnnxModel(tmp_path / "model.onnx").card == CARD
    assert said["words"] == "yes,no,other"
    assert said["sample_rate_hz"] == "16000"
    assert said["thresholds"] == '{"no": 0.25, "yes": 0.75}'
    assert said["temperature"] == "0.8"
    assert (said["run"], said["commit"], said["data_fingerprint"]) == ("bcdfghjk", "0123456", "f00d")
    assert (said["licence"], said["attribution"]) == ("unknown", "unknown")


def test_states_are_pairs_of_inputs_and_outputs_that_begin_as_zeros(export, tmp_path, model):
    export.write(Form(streaming=True), tmp_path / "model.onnx")
    session = ort.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    inputs = {each.name: each.shape for each in session.get_inputs()}
    outputs = {each.name: each.shape for each in session.get_outputs()}
    assert inputs.pop("audio") == [1, 320]
    assert outputs.pop("probabilities") == [1, 3]
    assert {f"{name}_out": shape for name, shape in inputs.items()} == outputs
    states = {name: np.zeros(shape, np.float32) for name, shape in inputs.items()}
    samples = noise(5, seconds=2).astype(np.float32)
    found = []
    for hop in samples.reshape(-1, 320):
        probabilities, *new = session.run(["probabilities", *outputs], {"audio": hop[None], **states})
        states = dict(zip(inputs, new, strict=True))
        found.append(probabilities[0])
    assert np.abs(np.stack(found) - model.stream().push(samples)).max() < 1e-4


def test_fewer_than_1000_clips_are_filled_up_with_windows_of_their_stream(export, tmp_path, clips):
    agreement = export.write(Form(), tmp_path / "model.onnx")
    assert (agreement.clips, agreement.compared) == (len(clips.test), 1000)
    windows = np.concatenate(list(clips.windows()))
    assert len(windows) == 1000 - len(clips.test)
    assert len({window.tobytes() for window in windows}) > 950


def test_a_streaming_file_is_compared_at_each_hop_of_a_minute_and_at_the_end_of_each_clip(export, tmp_path, clips):
    agreement = export.write(Form(streaming=True), tmp_path / "model.onnx")
    assert agreement.compared == 60 * 50 + len(clips.test)
    assert agreement.largest_difference < 1e-4
    assert agreement.network_accuracy == agreement.file_accuracy


@pytest.mark.parametrize("streaming", [False, True])
def test_a_network_that_does_not_answer_as_the_file_leaves_no_file_and_what_was_there_stays(clips, tmp_path, streaming):
    export = exporting.Export(network_model(width=0.25), clips)
    next(export._model.network.parameters()).data.flatten()[3] += 0.5  # after it was converted
    out = tmp_path / "model.onnx"
    out.write_text("of before")
    with pytest.raises(ModelError, match="is not written"):
        export.write(Form(streaming=streaming), out)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert out.read_text() == "of before"


@pytest.mark.parametrize("form", exporting.FORMS, ids=lambda form: form.name)
def test_a_weight_that_was_changed_by_hand_is_found(export, tmp_path, form):
    out = tmp_path / "model.onnx"
    export.write(form, out)
    export.check(OnnxModel(out))
    name = "network/blocks.0.conv1.Conv.weight" + ("_quantized" if form.int8 else "")

    def change(array):
        array.reshape(-1)[0] += 5 if form.int8 else np.float32(0.01)
        return array

    changed(out, name, change)
    with pytest.raises(ModelError, match="export its run again"):
        export.check(OnnxModel(out))


def test_a_file_of_another_run_or_with_another_card_is_found(export, tmp_path, clips):
    out = tmp_path / "model.onnx"
    export.write(Form(), out)
    other = NetworkModel(CARD, network_model(width=0.5).network, MEAN, STD)
    with pytest.raises(ModelError, match=r"decides otherwise|away from"):
        exporting.Export(other, clips).check(OnnxModel(out))
    proto = onnx.load_model(out)
    for each in proto.metadata_props:
        each.value = each.value.replace("0.75", "0.5")
    out.write_bytes(to_bytes(proto))
    with pytest.raises(ModelError, match="thresholds"):
        export.check(OnnxModel(out))


def test_decisions_within_a_ten_thousandth_of_a_tie_may_differ_and_are_listed():
    agreement = Agreement(clips=2)
    labels = np.array([0, 1])
    agreement.add(
        np.array([[0.50002, 0.49998], [0.1, 0.9]]), np.array([[0.49999, 0.50001], [0.1, 0.9]]), ["a", "b"], labels
    )
    assert (agreement.ties, agreement.differing, agreement.problem(int8=False)) == (["a"], [], None)
    assert (agreement.network_accuracy, agreement.file_accuracy) == (1.0, 0.5)
    agreement.add(np.array([[0.6, 0.4]]), np.array([[0.4, 0.6]]), ["c"])
    assert "on c" in agreement.problem(int8=False)


def test_probabilities_that_are_not_numbers_or_far_off_are_no_agreement():
    for wrong in (np.nan, 0.6002):
        agreement = Agreement(clips=1)
        agreement.add(np.array([[0.6, 0.4]]), np.array([[wrong, 0.4]]), ["a"], np.array([0]))
        assert agreement.problem(int8=False)


def test_int8_may_lose_three_thousandths_and_no_more():
    for lost, allowed in ((3, True), (4, False)):
        agreement = Agreement(clips=1000, network_right=900, file_right=900 - lost)
        assert (agreement.problem(int8=True) is None) == allowed


def test_int8_has_weights_of_a_byte_with_a_scale_for_each_channel_and_the_front_end_in_fp32(export, tmp_path):
    out = tmp_path / "model.onnx"
    export.write(Form(int8=True), out)
    found = {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load_model(out).graph.initializer}
    network = {name: each for name, each in found.items() if name.startswith("network/")}
    assert not [name for name, each in network.items() if each.dtype == np.float32 and each.ndim > 1]
    weights = {name: each for name, each in network.items() if each.dtype == np.int8 and each.ndim > 1}
    assert len(weights) >= 10
    for name, weight in weights.items():
        scales = network[name.replace("quantized", "scale")]
        assert scales.shape in ((weight.shape[0],), (weight.shape[-1],), (weight.shape[1],))
        assert np.abs(weight).max() <= 64  # 7 bits
    assert {each.dtype for name, each in found.items() if name.startswith("front_end/over")} == {np.dtype("float32")}
    assert export.left_in_fp32 == []


def test_int8_is_the_same_each_time(model, clips):
    made = [
        to_bytes(quantization.quantized(conversion.converted(model.network, "b"), model, clips.calibration()))
        for _ in "ab"
    ]
    assert made[0] == made[1]


def test_a_gru_stays_in_fp32_and_that_is_said(clips):
    left = exporting.Export(network_model("gru"), clips).left_in_fp32
    assert len(left) == 2
    assert all("GRU" in each and "weights" in each for each in left)


class Choosing(nn.Module):
    """Decides by the number of clips."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4040, 3)

    def forward(self, features):
        x = self.fc(features.flatten(1))
        return x if len(features) == 2 else -x


class Drawing(nn.Module):
    """Answers at random, by an operator that ONNX does not have."""

    def forward(self, features):
        return torch.linalg.svdvals(features)[:, :3]


@pytest.mark.parametrize("network", [Choosing(), Drawing()])
def test_a_network_that_cannot_be_exported_is_told_in_a_sentence(network):
    with pytest.raises(ModelError, match=r"^the network of run bcdfghjk cannot be exported to ONNX: [^\n]+$"):
        conversion.converted(network, "bcdfghjk")


def test_a_file_that_takes_clips_hears_a_stream_by_windows(export, tmp_path, model):
    export.write(Form(), tmp_path / "model.onnx")
    stream = OnnxModel(tmp_path / "model.onnx").stream()
    samples = noise(7, seconds=1.5).astype(np.float32)
    found = np.concatenate([stream.push(piece) for piece in np.split(samples, [100, 9000])])
    assert found.shape == (75, 3)
    heard = np.concatenate([np.zeros(16_000, np.float32), samples])
    for hop in (0, 30, 74):
        window = heard[hop * 320 : hop * 320 + 16_000]
        assert np.abs(found[hop] - model.probabilities(window[None])[0]).max() < 1e-4


def test_a_streaming_file_does_not_take_clips(export, tmp_path):
    export.write(Form(streaming=True), tmp_path / "model.onnx")
    with pytest.raises(ModelError, match="streaming"):
        OnnxModel(tmp_path / "model.onnx").probabilities(np.zeros((1, 16_000), np.float32))


def test_files_that_are_no_exports_are_told_in_a_sentence(export, tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(ModelError, match="is not a file"):
        OnnxModel(path)
    export.write(Form(), path)
    whole = path.read_bytes()
    for content in (b"", b"no model", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"^[^\n]+$"):
            OnnxModel(path)
    path.write_bytes(front_end_alone())
    with pytest.raises(ModelError, match="does not say its words"):
        OnnxModel(path)
    proto = onnx.load_model(io.BytesIO(whole))
    for card in ("{}", "[1]", "no JSON"):
        next(each for each in proto.metadata_props if each.key == "kws").value = card
        path.write_bytes(to_bytes(proto))
        with pytest.raises(ModelError, match="cannot be read"):
            OnnxModel(path)


def test_sizes_and_times_of_all_forms_are_measured(export):
    measured = {each.form.name: each for each in export.measure()}
    assert list(measured) == ["fp32", "fp32 streaming", "int8", "int8 streaming"]
    for each in measured.values():
        assert 0 < each.network_size < each.size
        assert each.milliseconds > 0
    assert checking.NEAR == 1e-4


def test_clips_that_cannot_be_read_are_told_or_left_out(tmp_path):
    made = tones(tmp_path / "tones")
    (tmp_path / "tones" / "yes" / "test0001_nohash_0.wav").write_bytes(b"no sound")
    recipe = make_recipe(data=str(tmp_path / "tones"))
    with pytest.raises(ClipError, match="test0001"):
        list(clip_source.of(recipe, CARD.words, CARD.run).batches())
    left = clip_source.of(recipe, CARD.words, CARD.run, skip_unreadable=True)
    assert len(left.test) == len(made.test) - 1
    assert len(left.labels()) == sum(map(len, left.batches()))


def test_other_data_than_a_runs_is_told_by_its_test_clips(tmp_path):
    made = [
        tones(tmp_path / name, **more).test_fingerprint() for name, more in (("a", {}), ("b", {}), ("c", {"test": 3}))
    ]
    assert made[0] == made[1] != made[2]
    recipe = make_recipe(data=str(tmp_path / "a"))
    with pytest.raises(DataError, match="tells apart"):
        clip_source.of(recipe, ("yes", "no"), CARD.run)
    with pytest.raises(DataError, match="--data"):
        clip_source.of(make_recipe(data=str(tmp_path / "nowhere")), CARD.words, CARD.run)
