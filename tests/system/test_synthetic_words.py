"""Words of one's own by synthetic speakers: in any language, the same bytes each time, what does not fit counted."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import soundfile
from commands import kws, ok, ok_json, refused

from kws.errors import DataError, KwsError
from kws.speech import better_voices, languages, synthetic, synthetic_words, word_folders
from kws.speech.better_voices import BetterVoice
from kws.speech.folder import read_folder
from kws.speech.splits import official_split

ENGLISH = languages.Language("en", "English (Great Britain)")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("words") / "made"
    synthetic_words.write(folder, ["lamp", "heater"], ENGLISH, 4, takes=2)
    return folder


def hum(name: str, seconds: float) -> BetterVoice:
    """A better voice that hums for so long at its own pace."""

    def say(text, pace, seed):
        return np.sin(np.arange(int(24_000 * seconds / pace)) * (0.1 + len(text) / 100)).astype(np.float32), 24_000

    return BetterVoice(name, "en-us", lambda: say)


def test_the_same_command_writes_the_same_bytes(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        ok("data", "synth", "--words", "lamp,heater", "--voices", 4, "--out", name)
    assert content(tmp_path / "one") == content(tmp_path / "two") == content(small)


def test_kws_reads_the_folder_with_its_speakers(small):
    folder = read_folder(small)
    assert folder.found == "found: one folder per word, 16 clips"
    assert {clip.word for clip in folder.clips} == {"lamp", "heater"}
    assert len({clip.speaker for clip in folder.clips}) == 4
    assert folder.lists == ()
    assert folder.unused == {"not audio": ["README.txt"]}
    for clip in folder.clips:
        about = soundfile.info(clip.path)
        assert (about.frames, about.samplerate, about.channels, about.subtype) == (16_000, 16_000, 1, "PCM_16")


def test_a_throat_is_one_speaker_in_all_accents_and_in_one_split(tmp_path, monkeypatch):
    monkeypatch.setattr(synthetic, "VARIANTS", ("f2", "m3"))
    synthetic_words.write(tmp_path / "made", ["lamp"], ENGLISH, 6, takes=1)
    clips = read_folder(tmp_path / "made").clips
    assert len(clips) == 6
    assert {(clip.speaker, clip.split) for clip in clips} == {
        (name, official_split(name)) for name in map(synthetic_words._speaker, ("f2", "m3"))
    }
    assert len({Path(clip.path).read_bytes() for clip in clips}) == 6


def test_no_voice_is_there_twice_and_the_first_ones_differ_in_their_throats():
    for language in (ENGLISH, languages.language("pt"), languages.language("de")):
        most = len(languages.accents(language)) * len(synthetic.VARIANTS)
        every = synthetic_words.voices(language, most)
        assert len({(voice.accent, voice.variant) for voice in every}) == most
        assert len({voice.variant for voice in every[: len(synthetic.VARIANTS)]}) == len(synthetic.VARIANTS)
        with pytest.raises(DataError, match=f"than the {most} that"):
            synthetic_words.voices(language, most + 1)
    assert len(synthetic_words.voices(languages.language("de"))) == len(synthetic.VARIANTS) < 100


def test_every_language_that_is_listed_speaks():
    with synthetic.espeak() as (_version, say):
        for each in languages.every_language():
            assert len(say(synthetic.Clip(each.code, "f2", "lamp", 0), 240, 50, 50))


def test_a_language_is_found_by_code_or_name_and_else_the_nearest_are_named(monkeypatch, tmp_path):
    codes = {"de": "de", "pt_BR": "pt-br", "PT-br": "pt-br", "zh": "cmn", "german": "de", "no": "nb"}
    assert {wanted: languages.language(wanted).code for wanted in codes} == codes
    assert languages.accents(languages.language("pt")) == ("pt", "pt-br")
    assert languages.accents(languages.language("pt-br")) == ("pt-br",)
    assert languages.accents(languages.language("fa")) == ("fa",)  # not fa-latn, which reads another script
    monkeypatch.chdir(tmp_path)
    said = refused("data", "synth", "--words", "lamp", "--language", "porsche")
    assert "no language 'porsche'" in said
    assert "--language list" in said
    assert "de (German)" in refused("data", "synth", "--words", "lamp", "--language", "germen")
    assert "pt-br             Portuguese (Brazil)\n" in ok("data", "synth", "--language", "list")
    assert {"code": "de", "name": "German"} in ok_json("data", "synth", "--language", "list")["languages"]
    assert list(tmp_path.iterdir()) == []


def test_words_of_any_script_are_folders(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    said = ok_json("data", "synth", "--words", "лампа,свет", "--language", "ru", "--voices", 2, "--takes", 1)
    assert said["clips"] == {"лампа": 2, "свет": 2}
    assert said["folder"] == "synthetic-ru"
    text = (tmp_path / "synthetic-ru" / "README.txt").read_text(encoding="utf-8")
    assert text.startswith("This speech is synthetic: no human spoke it.")
    assert "Russian (ru)" in text
    assert "лампа, свет" in text
    assert f"eSpeak NG {said['espeak_ng']}" in text


def test_what_takes_longer_than_a_clip_is_said_faster_or_counted_and_left_out(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    long = "supercalifragilisticexpialidocious"
    done = kws("data", "synth", "--words", f"heater,{long}", "--voices", 2, "--out", "made")
    assert done.exit_code == 0
    assert f"note: {long} takes longer than a clip of 1 s in 4 of 4, which are left out: it has no clips" in done.stderr
    assert f"{long}: 4 clips that took longer" in (tmp_path / "made" / "README.txt").read_text()
    assert len(list((tmp_path / "made").rglob("*.wav"))) == 4
    done = kws("data", "synth", "--words", long, "--voices", 2, "--out", "none")
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith(f"kws: no voice says {long!r} within")
    assert not (tmp_path / "none").exists()


def test_better_voices_are_one_speaker_each_speak_more_often_and_are_named(monkeypatch, tmp_path):
    made = synthetic_words.write(
        tmp_path / "made", ["lamp"], ENGLISH, 1, takes=1, better=[hum("Hum", 0.4), hum("Drone", 3.0)]
    )
    assert made.better == ["Hum", "Drone"]
    assert made.clips["lamp"] == 1 + synthetic_words.BETTER_TAKES
    assert made.too_long["lamp"] == synthetic_words.BETTER_TAKES
    assert "Spoken as well by Hum and Drone, 10 times each." in (tmp_path / "made" / "README.txt").read_text()
    clips = read_folder(tmp_path / "made").clips
    assert len({clip.speaker for clip in clips}) == 2
    assert len({Path(clip.path).read_bytes() for clip in clips}) == 11


def test_a_better_voice_without_a_sound_is_an_error(tmp_path):
    with pytest.raises(DataError, match="Hum says nothing for 'lamp'"):
        synthetic_words.write(tmp_path / "made", ["lamp"], ENGLISH, 1, takes=1, better=[hum("Hum", 0)])
    assert list(tmp_path.iterdir()) == []


def test_installed_voices_are_found_by_what_their_packages_say_and_by_language(monkeypatch, tmp_path):
    (tmp_path / "anna_us_piper_voice").mkdir()
    (tmp_path / "broken_piper_voice").mkdir()
    (tmp_path / "piper").mkdir()
    (tmp_path / "anna.json").write_text(json.dumps({"espeak": {"voice": "en-us"}}))
    (tmp_path / "anna_us_piper_voice" / "__init__.py").write_text(
        f"def model_path(): return 'anna.onnx'\ndef config_path(): return {str(tmp_path / 'anna.json')!r}\n"
    )
    (tmp_path / "broken_piper_voice" / "__init__.py").write_text("")
    (tmp_path / "piper" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    hibari, voices = types.ModuleType("hibari"), types.ModuleType("hibari.voices")
    hibari.__spec__ = types.SimpleNamespace()
    voices.VOICES = {"emma": {"british": True}, "heart": {"british": False}, "kore": {"british": False}}

    def voice_path(name, download_missing):
        assert not download_missing
        if name == "kore":
            raise FileNotFoundError(name)

    voices.voice_path, hibari.voices = voice_path, voices
    monkeypatch.setitem(sys.modules, "hibari", hibari)
    monkeypatch.setitem(sys.modules, "hibari.voices", voices)
    found = [each.name for each in better_voices.installed(synthetic.ACCENTS)]
    assert found == ["Hibari emma", "Hibari heart", "Piper anna_us"]
    assert [each.name for each in better_voices.installed(("en-us",))] == ["Hibari heart", "Piper anna_us"]
    assert better_voices.installed(("de",)) == []


def test_what_would_help_is_one_line_and_only_where_it_would(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(better_voices, "installed", lambda _: [])
    notes = [
        [line for line in kws("data", "synth", "--words", "a", "--voices", 1, "--language", each).stderr.splitlines()
         if line.startswith("note:")]
        for each in ("en-us", "de")
    ]  # fmt: skip
    assert [len(lines) for lines in notes] == [1, 0]
    assert "pip install piper-tts" in notes[0][0]


def test_a_folder_that_is_there_is_left_as_it_is(small, tmp_path):
    before = content(small)
    assert "is already there" in refused("data", "synth", "--words", "lamp", "--voices", 1, "--out", small)
    assert content(small) == before
    (tmp_path / "file").touch()
    assert "cannot be made" in refused("data", "synth", "--words", "lamp", "--out", tmp_path / "file" / "x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("lamp,Lamp", "one word twice"),
        ("lamp,lamp", "names a word twice"),
        ("lamp,,heater", "with a comma between"),
        ("other", "may not hold 'other'"),
        ("_noise", "begins with '_'"),
        ("../lamp", "begins with '.'"),
        ("a/b", "cannot be a folder's name"),
        ("a\\b", "cannot be a folder's name"),
        ("a\nb", "cannot be a folder's name"),
        ("lamp.", "cannot be a folder's name"),
        ("é" * 101, "a word of 101 letters"),
    ],
)
def test_words_that_can_be_no_folder_are_refused(text, said):
    with pytest.raises(KwsError, match=said):
        word_folders.read(text)


def test_words_may_have_spaces_and_are_composed():
    assert word_folders.read("turn on, café") == ("turn on", "café")
