"""Any recording becomes one second at 16 kHz, or is refused by name."""

import os
import shutil
import struct
import tracemalloc
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from recordings import noise, tone, write

from kws.errors import ClipError
from kws.speech.decode import SAMPLES, SUFFIXES, read_waveform
from kws.speech.features import log_mel

# What a format may change, in full scale: one step of its resolution.
LOSSLESS = {
    ("wav", "PCM_U8"): 2**-7,
    ("wav", "PCM_16"): 2**-15,
    ("wav", "PCM_24"): 2**-23,
    ("wav", "PCM_32"): 2**-23,  # float32 holds no more
    ("wav", "FLOAT"): 0.0,
    ("wav", "DOUBLE"): 2**-23,
    ("flac", "PCM_S8"): 2**-7,
    ("flac", "PCM_16"): 2**-15,
    ("flac", "PCM_24"): 2**-23,
}


def refusal(path: Path) -> str:
    with pytest.raises(ClipError) as caught:
        read_waveform(path)
    return str(caught.value)


@pytest.mark.parametrize(("ending", "subtype"), LOSSLESS)
def test_every_lossless_format_is_read_to_its_last_bit(tmp_path, ending, subtype):
    samples = noise(level=0.9).astype(np.float32)
    waveform = read_waveform(write(tmp_path / f"a.{ending}", samples, subtype=subtype))
    assert waveform.dtype == np.float32 and waveform.shape == (SAMPLES,)
    np.testing.assert_allclose(waveform, samples, rtol=0, atol=LOSSLESS[ending, subtype])


def test_ogg_is_read_as_well_as_it_can_be(tmp_path):
    waveform = read_waveform(write(tmp_path / "a.ogg", tone(1000), subtype="VORBIS"))
    assert waveform.shape == (SAMPLES,)
    assert np.corrcoef(waveform, tone(1000))[0, 1] > 0.99


def test_the_endings_that_are_looked_for_are_those_that_can_be_read():
    assert SUFFIXES == (".wav", ".flac", ".ogg")


def test_samples_of_16_bits_at_16_khz_are_exact(tmp_path):
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, SAMPLES, dtype=np.int16)
    samples[:3] = -(2**15), 2**15 - 1, 0
    waveform = read_waveform(write(tmp_path / "a.wav", samples))
    assert np.array_equal(waveform * 2**15, samples)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_flac_and_wav_of_the_same_samples_are_the_same_waveform(tmp_path, ending):
    write(tmp_path / "a.wav", noise())
    samples, rate = soundfile.read(tmp_path / "a.wav", dtype="int16")
    write(tmp_path / f"b.{ending}", samples, rate)
    assert np.array_equal(read_waveform(tmp_path / "a.wav"), read_waveform(tmp_path / f"b.{ending}"))


def test_channels_are_averaged(tmp_path):
    left, right = noise(1), noise(2)
    both = read_waveform(write(tmp_path / "both.wav", np.stack([left, right], axis=1), subtype="FLOAT"))
    np.testing.assert_allclose(both, (left + right) / 2, rtol=0, atol=1e-6)
    opposite = write(tmp_path / "opposite.wav", np.stack([left, -left], axis=1), subtype="FLOAT")
    assert not read_waveform(opposite).any()


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_the_same_sound_on_all_channels_is_that_sound(tmp_path, channels):
    samples = np.repeat(tone(440)[:, None], channels, axis=1)
    waveform = read_waveform(write(tmp_path / "a.wav", samples, subtype="FLOAT"))
    np.testing.assert_allclose(waveform, tone(440), rtol=0, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_a_tone_keeps_its_frequency_and_level_at_every_rate(tmp_path, rate_hz, channels):
    samples = np.repeat(tone(1000, rate_hz=rate_hz, seconds=1.5)[:, None], channels, axis=1)
    waveform = read_waveform(write(tmp_path / "a.wav", samples, rate_hz, subtype="FLOAT"))
    spectrum = 2 * np.abs(np.fft.rfft(waveform)) / SAMPLES  # a bin a hertz
    assert waveform.dtype == np.float32 and waveform.shape == (SAMPLES,)
    assert spectrum.argmax() == 1000
    assert spectrum[1000] == pytest.approx(0.5, rel=1e-3)
    # The resampler's edge at the beginning is the recording's own; the one at the end must not be heard.
    np.testing.assert_allclose(waveform[400:], tone(1000)[400:], rtol=0, atol=2e-3)


def test_what_16_khz_cannot_hold_is_removed_not_folded_back(tmp_path):
    waveform = read_waveform(write(tmp_path / "a.wav", tone(10_000, rate_hz=48_000, seconds=1.5), 48_000))
    assert np.abs(waveform[400:]).max() < 1e-3


@pytest.mark.parametrize("samples", [1, 2, 4800, SAMPLES - 1])
def test_a_short_clip_is_followed_by_zeros(tmp_path, samples):
    sound = noise(level=1.0).astype(np.float32)[:samples]
    waveform = read_waveform(write(tmp_path / "a.wav", sound, subtype="FLOAT"))
    assert np.array_equal(waveform[:samples], sound)
    assert waveform.shape == (SAMPLES,) and not waveform[samples:].any()


@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
def test_a_short_clip_at_another_rate_keeps_its_length(tmp_path, rate_hz):
    path = write(tmp_path / "a.wav", tone(1000, rate_hz=rate_hz, seconds=0.5), rate_hz, subtype="FLOAT")
    waveform = read_waveform(path)
    np.testing.assert_allclose(waveform[400:7600], tone(1000)[400:7600], rtol=0, atol=2e-3)
    assert not waveform[8001:].any()


@pytest.mark.parametrize("rate_hz", [1, 1000, 48_000, 1_000_003])
def test_a_single_sample_at_a_strange_rate_is_a_waveform(tmp_path, rate_hz):
    waveform = read_waveform(write(tmp_path / "a.wav", np.zeros(1), rate_hz))
    assert waveform.shape == (SAMPLES,) and np.isfinite(waveform).all()


@pytest.mark.parametrize("samples", [SAMPLES, SAMPLES + 1, 3 * SAMPLES])
def test_a_long_clip_keeps_its_first_second(tmp_path, samples):
    sound = noise(seconds=3, level=1.0).astype(np.float32)[:samples]
    assert np.array_equal(read_waveform(write(tmp_path / "a.wav", sound, subtype="FLOAT")), sound[:SAMPLES])


def test_of_ten_minutes_only_the_first_second_is_read(tmp_path):
    path = write(tmp_path / "a.wav", tone(1000, seconds=2), subtype="FLOAT")
    header = len(path.read_bytes()) - 2 * SAMPLES * 4
    length = header + 600 * SAMPLES * 4
    with path.open("r+b") as file:  # the rest is a hole, which takes no place
        file.truncate(length)
        file.seek(4)
        file.write((length - 8).to_bytes(4, "little"))
        file.seek(header - 4)
        file.write((length - header).to_bytes(4, "little"))
    assert soundfile.info(path).duration == 600
    tracemalloc.start()
    waveform = read_waveform(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_allclose(waveform, tone(1000), rtol=0, atol=1e-6)
    assert peak < 1_000_000, "ten minutes are 38 MB"


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"yes, said the speaker\n" * 40], ids=["empty", "zeros", "text"])
def test_what_is_not_audio_is_refused_by_name(tmp_path, ending, content):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(content)
    message = refusal(path)
    assert message.startswith(f"{path} cannot be read as audio (")
    assert message.count(str(path)) == 1 and "\n" not in message


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
@pytest.mark.parametrize("length", [3, 4, 12, 20, 36, 40])
def test_a_header_cut_short_is_refused_by_name(tmp_path, ending, length):
    path = write(tmp_path / f"a.{ending}", noise(), subtype=None)
    path.write_bytes(path.read_bytes()[:length])
    assert str(path) in refusal(path)


def test_a_damaged_flac_is_refused_by_name(tmp_path):
    path = write(tmp_path / "a.flac", noise())
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(2000) + content[middle + 2000 :])
    assert str(path) in refusal(path)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_file_without_samples_is_refused_by_name(tmp_path, ending):
    assert str(path := write(tmp_path / f"a.{ending}", np.zeros(0))) in refusal(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (16_000, 2), (44_100, 1)])
def test_a_sample_that_is_not_finite_is_refused_by_name(tmp_path, value, rate_hz, channels):
    samples = noise(seconds=channels).reshape(-1, channels)
    samples[100, -1] = value
    path = write(tmp_path / "a.wav", samples, rate_hz, subtype="FLOAT")
    assert str(path) in refusal(path) and "not finite" in refusal(path)


def test_a_sample_so_large_that_features_would_not_be_finite_is_refused_by_name(tmp_path):
    # One such clip would make the mean, and with it every feature of the data set, not finite.
    path = write(tmp_path / "a.wav", np.full(SAMPLES, 1e25), subtype="FLOAT")
    assert not log_mel(torch.full((1, SAMPLES), 1e25)).isfinite().all()
    assert str(path) in refusal(path)


def test_a_folder_a_missing_file_and_a_dangling_link_are_refused_by_name(tmp_path):
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "link.wav").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    for name in ("folder.wav", "missing.wav", "link.wav", "loop.wav"):
        assert str(tmp_path / name) in refusal(tmp_path / name)


def test_a_pipe_is_refused_instead_of_waited_for(tmp_path):
    path = tmp_path / "pipe.wav"
    os.mkfifo(path)
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(refusal, path)
        _, waiting = wait([reading], timeout=1)
        if waiting:
            os.close(os.open(path, os.O_WRONLY))  # lets the reader go, so that this test ends
        assert not waiting, "reading a pipe waits for its other end, for ever"
    assert str(path) in reading.result()


@pytest.mark.parametrize(
    "name",
    ["two words.wav", 'it\'s "so".wav', "-rf.wav", "ñ 言葉 🎤.wav", "new\nline.wav", "a.b.c.wav", "%s {0}.wav"],
)
def test_any_file_name_will_do(tmp_path, name):
    plain = write(tmp_path / "plain.wav", noise())
    shutil.copy(plain, tmp_path / name)
    assert np.array_equal(read_waveform(tmp_path / name), read_waveform(plain))


def test_a_name_that_begins_with_a_dash_will_do_without_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "-.wav", noise())
    assert read_waveform(Path("-.wav")).any()


def test_a_file_name_that_is_not_unicode_will_do(tmp_path):
    plain = write(tmp_path / "plain.wav", noise())
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))  # Latin-1, as old archives have them
    try:
        shutil.copy(plain, odd)
    except OSError:
        pytest.skip("this file system takes only names in Unicode")
    assert np.array_equal(read_waveform(odd), read_waveform(plain))


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"".join(name + len(data).to_bytes(4, "little") + data + b"\0" * (len(data) % 2) for name, data in chunks)
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"WAVE" + body


LAYOUT = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
SAMPLES_16 = np.arange(-50, 50, dtype="<i2")


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"fmt ", LAYOUT), (b"data", SAMPLES_16.tobytes())],
        [(b"LIST", b"odd"), (b"fmt ", LAYOUT), (b"fact", b"1234"), (b"data", SAMPLES_16.tobytes()), (b"LIST", b"end")],
        [(b"fmt ", LAYOUT + b"\0\0"), (b"junk", b"x" * 100_000), (b"data", SAMPLES_16.tobytes())],
    ],
    ids=["plain", "other chunks", "beyond what is read at once"],
)
def test_chunks_around_the_samples_are_passed_over(tmp_path, chunks):
    (tmp_path / "a.wav").write_bytes(riff(*chunks))
    waveform = read_waveform(tmp_path / "a.wav")
    np.testing.assert_array_equal(waveform[:100], SAMPLES_16 / np.float32(32768))
    assert not waveform[100:].any()


def test_a_rate_of_nothing_is_refused_by_name(tmp_path):
    layout = struct.pack("<HHIIHH", 1, 1, 0, 0, 2, 16)
    (tmp_path / "a.wav").write_bytes(riff((b"fmt ", layout), (b"data", SAMPLES_16.tobytes())))
    assert str(tmp_path / "a.wav") in refusal(tmp_path / "a.wav")


@pytest.mark.parametrize("kept", [100, 101])
def test_of_a_clip_cut_short_what_is_there_is_read(tmp_path, kept):
    (tmp_path / "a.wav").write_bytes(riff((b"fmt ", LAYOUT), (b"data", SAMPLES_16.tobytes()))[: 44 + kept])
    np.testing.assert_array_equal(read_waveform(tmp_path / "a.wav")[:50], SAMPLES_16[:50] / np.float32(32768))
