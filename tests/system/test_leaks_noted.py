"""A table says how many clips of its data are in two splits, and says nothing where none is."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest
from commands import kws, ok
from ledger import make_card, make_recipe, train, with_manifests

from kws.events import TEST, TRAIN, VALIDATION
from kws.registry.reader import RegistryReader
from kws.registry.store import Registry
from kws.reports import leaks

NOTE = (
    "splits share sounds, so accuracies look better than they are: 2 test clips have the sound of a training clip, "
    "1 validation clip has the sound of a training clip"
)
CARD = with_manifests(make_card(clips=12))
SILENCE = hashlib.sha256(bytes(64_000)).digest()


def sharing(*shared: tuple[str, int, str, int]):
    """The card in which clips have other clips' sounds: split and place of each, and of the clip whose sound it has."""
    manifests = {**CARD.manifests}
    for split, place, other, there in shared:
        digests = manifests[split].each_digest()
        digests[place] = SILENCE if there < 0 else manifests[other].digest(there)
        manifests[split] = dataclasses.replace(manifests[split], digests=b"".join(digests))
    return dataclasses.replace(CARD, manifests=manifests)


LEAKING = sharing((TEST, 0, TRAIN, 3), (TEST, 5, TRAIN, 3), (VALIDATION, 1, TRAIN, 4))
SILENT = sharing((TEST, 0, TRAIN, -1), (TRAIN, 0, TRAIN, -1), (VALIDATION, 0, TRAIN, -1))


@pytest.fixture
def db(tmp_path, monkeypatch):
    monkeypatch.setenv("KWS_DB", str(tmp_path / "experiments.db"))
    return tmp_path / "experiments.db"


def trained(db, card, **changed):
    with Registry(db, create=True) as registry:
        for arch in ("fc", "cnn"):
            train(registry, make_recipe(arch, "adam", **changed), card, wrong=3)


def test_a_leak_is_noted_in_every_format_and_its_note_is_checked(db, tmp_path):
    trained(db, LEAKING)
    assert f"Note: {NOTE}." in ok("compare")
    assert f"Note: {NOTE}." in ok("compare", "--leaderboard")
    assert json.loads(ok("compare", "--format", "json"))["tables"][0]["notes"][0] == NOTE
    for form, ending in (("markdown", "md"), ("latex", "tex")):
        text = ok("compare", "--format", form)
        assert NOTE in text.replace("\n", " ")
        file = tmp_path / f"table.{ending}"
        file.write_text(text)
        assert "could not be checked" not in ok("compare", "--check", file)
        file.write_text(text.replace("2 test clips", "3 test clips"))
        assert kws("compare", "--check", file).exit_code == 1


@pytest.mark.parametrize("card", [CARD, SILENT, make_card(clips=12)], ids=["apart", "silence", "without manifests"])
def test_nothing_is_noted_where_no_sound_is_in_two_splits_or_that_is_not_known(db, card):
    trained(db, card)
    assert "share sounds" not in ok("compare")
    with RegistryReader(db) as registry:
        assert leaks.shared(registry, card.fingerprint) == {}


def test_leaks_of_several_folds_are_added_up(db):
    other = dataclasses.replace(LEAKING, split_fingerprints={**LEAKING.split_fingerprints, TEST: "0" * 64})
    trained(db, LEAKING)
    trained(db, other)
    with RegistryReader(db) as registry:
        (note,) = leaks.notes(registry, [LEAKING.fingerprint, other.fingerprint, LEAKING.fingerprint])
    assert "4 test clips have" in note and "2 validation clips have" in note
