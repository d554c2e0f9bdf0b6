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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recordings import noise, tone, write

from kws.errors import ClipError
from kws.speech import decode
from kws.speech.decode import OTHER_AUDIO, SAMPLES, SUFFIXES, energies, read_recording, read_waveform
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


# The endings in use of every format that libsndfile writes; headerless ones and those of no recordings are left out.
FORMATS = {
    "AIFF": (".aiff", ".aif", ".aifc"), "AU": (".au", ".snd"), "AVR": (".avr",), "CAF": (".caf",), "FLAC": (".flac",),
    "HTK": (".htk",), "SVX": (".svx", ".8svx", ".iff"), "MP3": (".mp3", ".mp2", ".mp1"), "PAF": (".paf",),
    "OGG": (".ogg", ".oga", ".opus"), "PVF": (".pvf",), "RF64": (".rf64",), "SDS": (".sds",), "VOC": (".voc",),
    "IRCAM": (".sf", ".ircam"), "W64": (".w64",), "WAV": (".wav", ".wave"), "NIST": (".nist", ".sph"), "WVE": (".wve",),
}  # fmt: skip
NOT_LOOKED_FOR = {"MAT4", "MAT5", "MPC2K", "RAW", "SD2", "WAVEX", "XI"}


@pytest.mark.parametrize("name", FORMATS)
def test_every_ending_that_is_looked_for_can_be_read(tmp_path, name):
    rate_hz = 8_000 if name == "WVE" else 16_000
    for ending in FORMATS[name]:
        path = tmp_path / f"a{ending}"
        soundfile.write(path, tone(440, rate_hz=rate_hz), rate_hz, format=name)
        assert np.corrcoef(read_waveform(path), tone(440))[0, 1] > 0.9


def test_the_endings_that_are_looked_for_are_those_of_all_formats():
    assert sorted(SUFFIXES) == sorted(ending for endings in FORMATS.values() for ending in endings)
    assert FORMATS.keys() | NOT_LOOKED_FOR == soundfile.available_formats().keys()
    assert SUFFIXES[0] == ".wav" and not set(SUFFIXES) & set(OTHER_AUDIO)


@pytest.mark.parametrize("subtype", ["OPUS", "VORBIS"])
def test_opus_and_vorbis_are_read_whatever_their_ending(tmp_path, subtype):
    for ending in (".ogg", ".oga", ".opus"):
        soundfile.write(tmp_path / f"a{ending}", tone(1000), 16_000, format="OGG", subtype=subtype)
        assert np.corrcoef(read_waveform(tmp_path / f"a{ending}"), tone(1000))[0, 1] > 0.95


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_mp3_of_every_rate_is_read(tmp_path, rate_hz, mode):
    for seconds in (0.05, 1.5):
        sound = tone(440, rate_hz=rate_hz, seconds=seconds)
        soundfile.write(tmp_path / "a.mp3", sound, rate_hz, bitrate_mode=mode, compression_level=0.3)
        waveform = read_waveform(tmp_path / "a.mp3")[: int(seconds * 16_000)]
        assert np.corrcoef(waveform, tone(440, seconds=min(seconds, 1)))[0, 1] > 0.9
        tagged = b"ID3\x04\0\0\0\0\x02\x01" + bytes(257) + (tmp_path / "a.mp3").read_bytes()
        (tmp_path / "b.mp3").write_bytes(tagged)
        assert np.array_equal(read_waveform(tmp_path / "b.mp3")[: len(waveform)], waveform)


@pytest.mark.parametrize(
    "content", [b"", b"ID3", b"ID3" + bytes(500), bytes(100), b"\xff\xfb\x90\x64", b"\xff" * 5000, b"yes " * 40]
)
def test_what_is_no_mp3_is_refused_in_silence(tmp_path, capfd, content):
    (tmp_path / "a.mp3").write_bytes(content)
    assert "a.mp3 cannot be read as audio (it has no frames of MPEG audio)" in refusal(tmp_path / "a.mp3")
    assert capfd.readouterr() == ("", ""), "libsndfile's decoder of MP3 writes to stderr by itself"


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


@pytest.mark.parametrize("channels", [1, 2, 6, 17, 200])
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


def test_of_many_channels_the_mean_is_taken_piece_by_piece_to_the_same_bits(tmp_path):
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, (20_000, 20), dtype=np.int16)
    whole = samples.astype(np.float32) / 2**15
    assert np.array_equal(read_waveform(write(tmp_path / "a.wav", samples)), whole[:SAMPLES].mean(axis=1))


def test_a_second_of_very_many_channels_is_never_held_at_once(tmp_path):
    path = write(tmp_path / "a.wav", np.zeros((10, 1_000)), 24_000)
    size = 24_000 * 2_000
    with path.open("r+b") as file:  # the samples are a hole
        header = len(path.read_bytes()) - 20_000
        file.truncate(header + size)
        file.seek(4)
        file.write(struct.pack("<I", header + size - 8))
        file.seek(header - 4)
        file.write(struct.pack("<I", size))
    tracemalloc.start()
    recording = read_recording(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (recording.seconds, recording.rate_hz) == (1, 24_000)
    assert peak < 30_000_000, "a second as floats is 96 MB"


def test_what_a_recording_was_made_of_is_told(tmp_path):
    samples = np.stack([noise(1, seconds=2.5, rate_hz=8_000), noise(2, seconds=2.5, rate_hz=8_000)], axis=1)
    recording = read_recording(write(tmp_path / "a.wav", samples, 8_000))
    assert (recording.rate_hz, recording.seconds) == (8_000, 2.5)
    assert 8_000 <= len(recording.samples) < 8_300
    np.testing.assert_allclose(recording.samples[:8_000], samples[:8_000], atol=2**-15)


def test_the_energy_of_each_second_is_told_as_it_is_heard(tmp_path):
    left = np.concatenate([tone(440), 0 * tone(440), tone(440, level=0.1), tone(440, seconds=0.5)])
    path = write(tmp_path / "a.wav", np.stack([left, left], axis=1), subtype="FLOAT")
    assert energies(path, 9) == pytest.approx([0.125, 0, 0.005, 0.0625], rel=1e-3)
    assert energies(path, 2) == pytest.approx([0.125, 0], rel=1e-3)


# Two ways to read one kind of file


def test_the_two_ways_to_read_a_plain_wav_give_the_same_bits(tmp_path):
    random = np.random.default_rng(0)
    lengths = {1: (1, 2, 15_999, 16_000, 16_001, 16_320, 16_321, 16_322, 32_745), 2: (1, 8_000, 16_000, 16_372)}
    for channels, counts in lengths.items():
        for count in counts:
            layout = struct.pack("<HHIIHH", 1, channels, 16_000, 32_000 * channels, 2 * channels, 16)
            samples = random.integers(-(2**15), 2**15, (count, channels), dtype=np.int16).tobytes()
            (tmp_path / "a.wav").write_bytes(riff((b"fmt ", layout), (b"data", samples)))
            ours, theirs = decode._read_pcm16(tmp_path / "a.wav"), decode._read_with_soundfile(tmp_path / "a.wav")
            assert ours is not None
            assert ours[0] == theirs[0] and ours[2] == theirs[2] and np.array_equal(ours[1], theirs[1])
            assert ours[1].dtype == theirs[1].dtype and ours[1].shape == theirs[1].shape


NAMES = (b"LIST", b"bext", b"JUNK", b"fact", b"PEAK", b"cue ", b"smpl", b"id3 ", b"PAD ", b"data", b"fmt ", b"\0\0\0\0")


@st.composite
def wav_files(draw) -> bytes:
    """A WAV file as recorders, editors and broken tools write them: chunks in any order and number, sizes that lie."""
    channels, rate = draw(st.sampled_from((1, 1, 2, 3))), draw(st.sampled_from((8_000, 16_000, 16_000, 44_100)))
    align = draw(st.sampled_from((2 * channels, 2 * channels, 2 * channels, 4, 0)))
    bits, tag = draw(st.sampled_from((16, 16, 16, 16, 12, 8, 24))), draw(st.sampled_from((1, 1, 1, 1, 3, 0xFFFE)))
    layout = struct.pack("<HHIIHH", tag, channels, rate, rate * 2 * channels, align, bits)
    layout += draw(st.sampled_from((b"", b"", b"\0\0")))
    samples = draw(st.binary(min_size=0, max_size=24)) * draw(st.sampled_from((1, 100, 2_000, 3_000)))
    chunks = [(b"fmt ", layout), (b"data", samples)]
    for _ in range(draw(st.sampled_from((0, 0, 1, 2)))):
        extra = draw(st.sampled_from(NAMES)), draw(st.binary(max_size=30))
        chunks.insert(draw(st.integers(0, len(chunks))), extra)
    content = bytearray(riff(*chunks))
    for at in (4, len(content) - len(samples) - 4):
        if draw(st.sampled_from((False, False, False, True))):
            size = draw(st.sampled_from((0, 0xFFFFFFFF, 0x7FFFF000, len(samples) + 2, max(len(samples) - 2, 0))))
            content[at : at + 4] = struct.pack("<I", size)
    if draw(st.sampled_from((False, False, False, True))):
        content += draw(st.binary(min_size=1, max_size=8))
    return bytes(content[: draw(st.sampled_from((None, None, None, -1, -3, 100)))])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(content=wav_files())
def test_no_wav_is_read_in_another_way_than_libsndfile_reads_it(tmp_path, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    ours = decode._read_pcm16(path)
    if ours is not None:
        theirs = decode._read_with_soundfile(path)
        assert ours[0] == theirs[0] and ours[2] == theirs[2] and np.array_equal(ours[1], theirs[1])


@pytest.mark.parametrize(
    "chunks",
    [
        [(b"fmt ", LAYOUT), (b"data", b"\1\0" * 50), (b"data", b"\2\0" * 90)],
        [(b"data", b"\1\0" * 50), (b"fmt ", LAYOUT), (b"data", b"\2\0" * 90)],
        [(b"fmt ", LAYOUT), (b"data", b"\1\0" * 50 + b"\1")],
        [(b"fmt ", LAYOUT), (b"data", b"\1\0" * 50), (b"LIST", b"odd")],
        [(b"fmt ", LAYOUT[:12] + b"\4\0\x10\0"), (b"data", b"\1\0" * 50)],
    ],
    ids=["two data chunks", "data before fmt", "half a sample", "a list behind", "another alignment"],
)
def test_what_is_more_than_a_plain_wav_is_left_to_libsndfile(tmp_path, chunks):
    (tmp_path / "a.wav").write_bytes(riff(*chunks))
    assert decode._read_pcm16(tmp_path / "a.wav") is None


def test_an_ordinary_clip_is_read_without_libsndfile(tmp_path, monkeypatch):
    monkeypatch.setattr(decode, "_read_with_soundfile", None)
    assert read_waveform(write(tmp_path / "a.wav", noise())).any()
