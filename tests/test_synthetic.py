"""The built-in synthetic speech: the same bytes every time, well divided, audible, and whole or absent."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kws.errors import DataError
from kws.speech import synthetic

VOICES = ("en-us", "en-gb-scotland"), ("Andrea", "klatt3", "m3", "whisper")


def made(folder: Path, accents=VOICES[0], variants=VOICES[1]) -> Path:
    synthetic._write(folder, synthetic._clips(accents, variants), synthetic.untracked)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def whole() -> list[synthetic.Clip]:
    return synthetic._clips(synthetic.ACCENTS, synthetic.VARIANTS)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return made(tmp_path_factory.mktemp("synthetic") / "small")


def test_a_second_synthesis_in_one_process_gives_the_same_bytes(small, tmp_path):
    assert content(made(tmp_path / "again")) == content(small)


def test_a_clip_is_one_second_of_16_bit_mono_at_16_khz(small):
    for path in small.rglob("*.wav"):
        info = soundfile.info(path)
        assert (info.frames, info.samplerate, info.channels, info.subtype) == (16_000, 16_000, 1, "PCM_16")


def test_every_clip_is_audible_and_none_is_clipped(small):
    peaks = [np.abs(soundfile.read(path)[0]).max() for path in small.rglob("*.wav")]
    assert min(peaks) == pytest.approx(10 ** (-14 / 20), rel=0.3)
    assert max(peaks) <= 10 ** (-2 / 20) + 1 / 32_768


def test_no_two_clips_are_the_same(small):
    clips = [path.read_bytes() for path in small.rglob("*.wav")]
    assert len(set(clips)) == len(clips) == 8 * 9


def test_voices_differ_even_where_the_word_the_settings_and_what_espeak_remembers_are_the_same():
    clips = [synthetic.Clip(accent, variant, "yes", 0) for accent in synthetic.ACCENTS for variant in ("f2", "m3")]
    spoken = set()
    for clip in clips:
        with synthetic.espeak() as (_version, say):
            spoken.add(say(clip, 175, 50, 50).tobytes())
    assert len(spoken) == len(clips)


def test_every_voice_exists(tmp_path):
    with synthetic.espeak() as (_version, say):
        for accent in synthetic.ACCENTS:
            for variant in synthetic.VARIANTS:
                assert len(say(synthetic.Clip(accent, variant, "no", 0), 240, 50, 50)) > 2_000


def test_the_word_lies_near_the_middle_and_noise_100_db_below_it_vanishes(monkeypatch):
    monkeypatch.setattr(synthetic, "SNR_DB", (100.0, 100.0))
    tone = np.sin(np.arange(11_025)).astype(np.float32)  # 0.5 s
    samples = synthetic.waveform(whole()[0], lambda *_: tone).astype(float)
    middle = np.flatnonzero(np.abs(samples) > 100)
    assert middle[-1] - middle[0] == pytest.approx(8_000, abs=40)
    assert abs((middle[0] + middle[-1]) / 2 - 8_000) <= synthetic.SHIFT_S * 16_000 + 40
    assert np.abs(samples[: middle[0] - 200]).max() <= 2


def test_the_lists_name_exactly_the_clips_of_their_splits(small, tmp_path):
    folder = made(tmp_path / "wide", accents=("en",), variants=synthetic.VARIANTS[:10])
    validation, testing = (
        (folder / f"{split}_list.txt").read_text().splitlines() for split in ("validation", "testing")
    )
    exist = {f"{path.parent.name}/{path.name}" for path in folder.rglob("*.wav")}
    assert len(exist) == 90
    assert len(validation) == len(testing) == 9
    assert set(validation) | set(testing) < exist
    assert not set(validation) & set(testing)


def test_no_variant_and_no_speaker_is_in_two_splits():
    for key in (lambda clip: clip.variant, lambda clip: clip.path.split("/")[1].split("_")[0]):
        splits: dict[str, set[str]] = {}
        for clip in whole():
            splits.setdefault(key(clip), set()).add(clip.split)
        assert all(len(found) == 1 for found in splits.values())


def test_speakers_and_paths_are_as_many_as_voices_and_clips():
    clips = whole()
    assert len({clip.path for clip in clips}) == len(clips)
    assert len({clip.path.split("/")[1].split("_")[0] for clip in clips}) == len({clip.voice for clip in clips})


def test_each_split_holds_a_third_class_as_large_as_yes_and_no_and_training_has_3000_clips():
    for split, least in (("training", 1_000), ("validation", 100), ("testing", 100)):
        words = Counter(clip.word for clip in whole() if clip.split == split)
        assert set(words) == set(synthetic.WORDS)
        others = sum(count for word, count in words.items() if word not in ("yes", "no"))
        assert words["yes"] == words["no"] >= least
        assert others >= words["yes"]


def test_the_readme_says_that_it_is_synthetic(small):
    text = (small / "README.txt").read_text()
    assert text.startswith("This speech is synthetic")
    assert "eSpeak NG 1." in text


def test_an_interrupted_synthesis_leaves_nothing(tmp_path):
    def interrupt(items, /, *, total, what, unit="clips"):
        yield from list(items)[:5]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthetic.synthesise(tmp_path / "speech", track=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_another_process_finished_first_stays_as_it_is(tmp_path):
    theirs = tmp_path / "speech"
    theirs.mkdir()
    (theirs / "README.txt").write_text("theirs")
    made(theirs, accents=("en",), variants=("m3",))
    assert content(tmp_path) == {"speech/README.txt": b"theirs"}


def test_the_folder_is_made_once_and_named_by_the_version(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(synthetic, "synthesise", lambda folder, *, track: calls.append(folder) or folder.mkdir())
    assert synthetic.folder(tmp_path) == synthetic.folder(tmp_path) == tmp_path / f"synthetic-v{synthetic.VERSION}"
    assert len(calls) == 1


def without_loader(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)


def without_library(monkeypatch, tmp_path):
    monkeypatch.setattr("espeakng_loader.get_library_path", lambda: str(tmp_path / "missing.so"))


def with_a_broken_library(monkeypatch, tmp_path):
    (tmp_path / "broken.so").write_text("not a library")
    monkeypatch.setattr("espeakng_loader.get_library_path", lambda: str(tmp_path / "broken.so"))


def without_voice_data(monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    monkeypatch.delenv("ESPEAK_DATA_PATH", raising=False)
    monkeypatch.setattr("espeakng_loader.get_data_path", lambda: str(tmp_path / "empty"))


@pytest.mark.parametrize("fault", [without_loader, without_library, with_a_broken_library, without_voice_data])
def test_an_espeak_that_cannot_be_used_is_one_sentence_that_says_what_to_do(fault, monkeypatch, tmp_path):
    fault(monkeypatch, tmp_path)
    with pytest.raises(DataError, match=r"reinstall it with .* or name a folder of recordings with --data$"):
        synthetic.synthesise(tmp_path / "speech")
    assert not (tmp_path / "speech").exists()


def test_a_voice_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(DataError, match="'en\\+nobody'"):
        made(tmp_path / "speech", accents=("en",), variants=("nobody",))


def test_voice_data_on_a_long_path_speaks_all_the_same(monkeypatch, tmp_path):
    import espeakng_loader

    long = tmp_path / ("a" * 120) / ("b" * 120)
    long.mkdir(parents=True)
    (long / "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
    monkeypatch.setattr(espeakng_loader, "get_data_path", lambda: str(long / "espeak-ng-data"))
    assert len(content(made(tmp_path / "speech", accents=("en",), variants=("m3",)))) == 9 + 3
