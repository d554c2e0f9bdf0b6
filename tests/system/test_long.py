"""Long recordings come in pieces without seams, from a file or from a pipe that may end anywhere."""

import io
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recordings import noise, tone, write

from kws.errors import ClipError
from kws.speech import long
from kws.speech.decode import SAMPLE_RATE_HZ

HEADER = 44  # bytes of a plain WAV file's


def whole(recording: long.LongRecording) -> np.ndarray:
    return np.concatenate(list(recording.pieces))


def wav(samples: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ, subtype: str = "PCM_16", form: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate_hz, subtype=subtype, format=form)
    return file.getvalue()


class Dripping(io.RawIOBase):
    """A pipe that gives a few bytes at a time, as many as it likes."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data, self._sizes, self._at = data, sizes, 0

    def read1(self, most: int) -> bytes:
        self._sizes.append(self._sizes.pop(0))
        found = self._data[self._at : self._at + min(most, self._sizes[-1])]
        self._at += len(found)
        return found

    read = read1  # as a raw pipe's, which may give less than it is asked for


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
def test_pieces_of_a_file_are_what_the_whole_of_it_gives_at_once(tmp_path, rate_hz):
    samples = noise(seconds=23.4, rate_hz=rate_hz).astype(np.float32)
    path = write(tmp_path / "a.wav", samples, rate_hz, subtype="FLOAT")
    expected = samples if rate_hz == SAMPLE_RATE_HZ else soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ, quality="VHQ")
    pieces = list(long.from_file(path).pieces)
    assert len(pieces) > 2
    np.testing.assert_allclose(np.concatenate(pieces), expected, atol=1e-6)


def test_channels_are_averaged(tmp_path):
    left, right = noise(1, seconds=2), noise(2, seconds=2)
    path = write(tmp_path / "a.wav", np.stack([left, right], axis=1), subtype="FLOAT")
    np.testing.assert_allclose(whole(long.from_file(path)), (left + right) / 2, atol=1e-7)


def test_a_part_of_a_file_is_that_part(tmp_path):
    samples = noise(seconds=5).astype(np.float32)
    found = long.from_file(write(tmp_path / "a.wav", samples, subtype="FLOAT"), 1.5, 2.25)
    np.testing.assert_array_equal(whole(found), samples[24_000 : 24_000 + 36_000])
    assert found.seconds == 2.25


def test_an_hour_takes_the_memory_of_seconds(tmp_path):
    path = tmp_path / "a.flac"  # of silence, which FLAC writes in no space
    with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1) as file:
        for _ in range(60):
            file.write(np.zeros(60 * SAMPLE_RATE_HZ, np.int16))
    tracemalloc.start()
    samples = sum(map(len, long.from_file(path).pieces))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert samples == 3600 * SAMPLE_RATE_HZ
    assert most < 8e6


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e9])
def test_what_no_microphone_gives_is_refused_where_it_comes(tmp_path, bad):
    samples = noise(seconds=25).astype(np.float32)
    samples[-5] = bad
    pieces = long.from_file(write(tmp_path / "a.wav", samples, subtype="FLOAT")).pieces
    assert len(next(pieces)) == 10 * SAMPLE_RATE_HZ
    with pytest.raises(ClipError, match=r"a\.wav holds samples that are not finite"):
        list(pieces)


def test_a_file_without_samples_or_that_is_no_audio_is_refused_by_name(tmp_path):
    with pytest.raises(ClipError, match=r"a\.wav holds no samples"):
        whole(long.from_file(write(tmp_path / "a.wav", np.empty(0))))
    (tmp_path / "b.wav").write_bytes(b"")
    with pytest.raises(ClipError, match=r"b\.wav cannot be read as audio"):
        long.from_file(tmp_path / "b.wav")
    with pytest.raises(ClipError, match=r"c\.wav is not a file"):
        long.from_file(tmp_path / "c.wav")


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("form", ["WAV", "WAVEX", "RF64"])
def test_a_pipe_is_read_as_libsndfile_reads_the_file(subtype, form):
    data = wav(np.stack([tone(300), tone(500)], axis=1), 16_000, subtype, form)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32")
    np.testing.assert_allclose(whole(long.from_pipe(io.BytesIO(data))), expected.mean(axis=1), atol=1e-6)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=6), st.sampled_from([8_000, 16_000, 48_000]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_it_does_not_matter_in_which_portions_a_pipe_comes(sizes, rate_hz):
    data = wav(noise(seconds=0.3, rate_hz=rate_hz), rate_hz)
    once = whole(long.from_pipe(io.BytesIO(data)))
    np.testing.assert_allclose(whole(long.from_pipe(Dripping(data, sizes))), once, atol=1e-6)


def test_a_pipe_may_end_at_any_byte():
    samples = np.arange(1, 9, dtype=np.int16)
    data = wav(samples)
    assert len(data) == HEADER + 16
    for length in range(len(data) + 1):
        pipe = io.BytesIO(data[:length])
        if length < HEADER:
            with pytest.raises(ClipError, match="ends within its header"):
                long.from_pipe(pipe)
        elif length < HEADER + 2:
            with pytest.raises(ClipError, match="holds no samples"):
                whole(long.from_pipe(pipe))
        else:  # the samples that came whole
            expected = samples[: (length - HEADER) // 2] / 32_768
            np.testing.assert_array_equal(whole(long.from_pipe(pipe)), expected.astype(np.float32))


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_size_that_the_writer_did_not_know_is_none(size):
    samples = noise(seconds=0.1)
    data = wav(samples)
    unknown = data[: HEADER - 4] + struct.pack("<I", size) + data[HEADER:]
    found = long.from_pipe(io.BytesIO(unknown))
    assert found.seconds is None
    np.testing.assert_allclose(whole(found), samples, atol=2**-15)


def test_what_stands_around_the_samples_is_no_sound():
    samples = np.array([5, 6, 7], np.int16)
    data = wav(samples)
    more = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    odd = data[:12] + more + data[12:] + more
    np.testing.assert_array_equal(whole(long.from_pipe(io.BytesIO(odd))) * 32_768, samples)


def test_raw_samples_need_their_rate_and_anything_else_is_refused():
    data = (1000 * noise(seconds=0.5, level=1)).astype("<i2").tobytes()
    with pytest.raises(ClipError, match=r"no WAV file.*--raw 16000"):
        long.from_pipe(io.BytesIO(data))
    found = whole(long.from_pipe(io.BytesIO(data + b"\1"), 16_000))
    np.testing.assert_array_equal(found * 32_768, np.frombuffer(data, "<i2"))
    with pytest.raises(ClipError, match="holds no samples"):
        whole(long.from_pipe(io.BytesIO(b""), 16_000))


def test_a_compressed_wav_and_one_without_a_description_are_refused():
    with pytest.raises(ClipError, match="format 7 with 8 bits"):
        long.from_pipe(io.BytesIO(wav(tone(300), subtype="ULAW")))
    with pytest.raises(ClipError, match="no description of its samples"):
        long.from_pipe(io.BytesIO(b"RIFF\0\0\0\0WAVEdata\4\0\0\0abcd"))


@given(st.lists(st.integers(-32_768, 32_767), min_size=1, max_size=300))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_16_bits_are_written_and_read_back_unchanged(tmp_path, values):
    samples = (np.array(values) / 32_768).astype(np.float32)
    np.testing.assert_array_equal(long.in_16_bits(samples), samples)
    assert long.write(tmp_path / "a.wav", [samples[:7], samples[7:]]) == len(samples)
    np.testing.assert_array_equal(whole(long.from_file(tmp_path / "a.wav")), samples)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_a_stream_that_fails_leaves_no_file(tmp_path):
    def pieces():
        yield np.zeros(10, np.float32)
        raise ClipError("unreadable")

    with pytest.raises(ClipError, match="unreadable"):
        long.write(tmp_path / "a.wav", pieces())
    assert not list(tmp_path.iterdir())
    with pytest.raises(ClipError, match="cannot be written"):
        long.write(Path("/nowhere/a.wav"), [np.zeros(10, np.float32)])
