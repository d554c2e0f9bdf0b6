"""Licences: Speech Commands is known by its name and by its clips' names; of other data nothing is guessed."""

from pathlib import Path

from ledger import make_card, make_recipe, train
from places import ROOT

from kws.api.loading import model_card
from kws.registry.store import Registry
from kws.speech import licences

CLIPS = ("yes/0a7c2a8d_nohash_0.wav", "no/ffd2ba2f_nohash_3.wav")


def test_speech_commands_is_known_by_what_kws_fetched_and_by_its_clips():
    for source, paths in (("speech-commands", ()), ("mini-speech-commands", ()), ("any folder", CLIPS)):
        assert licences.of(source, paths) == licences.SPEECH_COMMANDS
    cut = "_background_noise_/running_tap.wav@1.5"
    assert licences.of("any folder", (*CLIPS, cut)) == licences.SPEECH_COMMANDS


def test_of_other_data_nothing_is_guessed():
    for more in ("yes/me.wav", "ja/0a7c2a8d_nohash_0.wav", "yes/0a7c2a8d_nohash_0.mp3"):
        assert licences.of("speech_commands", (*CLIPS, more)) is None
    assert licences.of("speech_commands", ()) is None


def test_the_built_in_speech_needs_none():
    assert licences.of("synthetic speech", ()) == licences.BUILT_IN


def test_clips_of_a_further_folder_are_named_as_unknown_beside_what_is_known():
    with Registry(Path("experiments.db"), create=True) as registry:
        recipes = make_recipe(), make_recipe(also="mined")
        runs = [registry.run(train(registry, recipe, make_card("speech-commands"))) for recipe in recipes]
        names = [model_card(registry, run).licence for run in runs]
        assert names == ["CC BY 4.0", "CC BY 4.0, and unknown"]
        assert "Pete Warden" in model_card(registry, runs[1]).attribution


def test_the_notice_names_whom_an_exported_file_names():
    notice = (ROOT / "NOTICE").read_text()
    for part in ("Pete Warden", "arXiv:1804.03209", licences.SPEECH_COMMANDS.name):
        assert part in notice
    for part in ("Pete Warden", "arXiv:1804.03209", "CC BY 4.0"):
        assert part in licences.SPEECH_COMMANDS.attribution
