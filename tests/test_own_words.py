"""How well words of one's own are heard, and what would help most."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from kws.errors import RegistryError
from kws.events import TEST, VALIDATION
from kws.reports import own_words
from kws.reports.own_words import Heard, OwnWords
from kws.reports.page.own_words import page

CLASSES = ("lamp", "heater", "other")


class Registry:
    """Answers of two folds: the class that each clip is heard as, surely; a hundred answers on validation."""

    def __init__(self, folds, speakers=True, logits=True):
        self._folds, self._speakers, self._logits = folds, speakers, logits

    def card(self, _):
        return SimpleNamespace(classes=CLASSES)

    def evaluation(self, run_id, _, split):
        labels = (
            [k for k in range(3) for _ in range(30)] if split == VALIDATION else [c[0] for c in self._folds[run_id]]
        )
        heard = labels if split == VALIDATION else [c[1] for c in self._folds[run_id]]
        logits = (8 * np.eye(3))[heard].astype("<f2")
        return SimpleNamespace(
            labels=bytes(labels),
            predictions=bytes(heard),
            logits=logits.tobytes() if self._logits else b"",
            clips=len(labels),
        )

    def manifest(self, run_id, split):
        assert split == TEST
        paths = tuple(c[2] for c in self._folds[run_id])
        speakers = tuple(f"{run_id}{place}" for place in range(len(paths))) if self._speakers else None
        return SimpleNamespace(paths=paths, speakers=speakers)


def run(name):
    return SimpleNamespace(id=name, data_fingerprint=name)


FOLDS = {
    "a": [(0, 0, "lamp/1.wav"), (0, 1, "lamp/2.wav"), (1, 1, "heater/1.wav"), (2, 2, "others/bank/1.wav")],
    "b": [(0, 0, "lamp/3.wav"), (1, 2, "heater/2.wav"), (2, 0, "others/lamb/1.wav"), (2, 2, "others/_silence_/1.wav")],
}


def test_each_clip_of_all_folds_counts_once_and_what_it_is_taken_for_is_told():
    found = own_words.of_folds(Registry(FOLDS), [run("a"), run("b")])
    lamp, heater = found.words
    assert (lamp.clips, lamp.heard, dict(lamp.taken_for)) == (3, 2, {"heater": 1})
    assert (heater.clips, heater.heard, dict(heater.taken_for)) == (2, 1, {})
    assert (found.others.clips, found.others.heard) == (3, 1)
    assert dict(found.accepted) == {"lamb": (1, 1)}
    assert (found.folds, found.speakers) == (2, 5)
    assert own_words.of_folds(Registry(FOLDS, speakers=False), [run("a")]).speakers is None
    assert found.record()["words"][0]["interval"] == pytest.approx([0.2077, 0.9385], abs=1e-3)
    with pytest.raises(RegistryError, match="no answers on its validation or test split"):
        own_words.of_folds(Registry(FOLDS, logits=False), [run("a")])


def figures(heard=10, clips=10, accepted=0, others=1000, speakers=12, taken_for=None):
    words = tuple(Heard(name=name, clips=clips, heard=heard, taken_for=taken_for or {}) for name in CLASSES[:2])
    return OwnWords(
        folds=5,
        words=words,
        others=Heard(name="other words and noise", clips=others, heard=accepted, taken_for={}),
        accepted={"lamb": (accepted, 40)} if accepted else {},
        speakers=speakers,
    )


@pytest.mark.parametrize(
    ("given", "builtin", "told"),
    [
        (figures(speakers=None), False, "Say who speaks"),
        (figures(speakers=1), False, "Record 9 more people: one person speaks"),
        (figures(speakers=4), False, "Record 6 more people: 4 people speak"),
        (figures(accepted=30), False, "Add clips of what is taken for a keyword (lamb (30 of 40))"),
        (figures(), True, "Give --other a folder of recordings of people who say other words"),
        (figures(heard=6), False, "Record more of 'lamp': 6 of 10 clips were heard"),
        (figures(heard=6, taken_for={"heater": 3}), False, "3 of 10 clips of 'lamp' were taken for 'heater'"),
        (figures(), False, "with 10, the share that is heard is known only to within 28 points"),
    ],
)
def test_what_would_help_most_comes_first(given, builtin, told):
    assert told in own_words.advice(given, builtin=builtin)[0]


def test_with_all_there_is_nothing_to_say():
    assert own_words.advice(figures(heard=200, clips=200), builtin=False) == []


def test_the_page_has_all_figures_and_escapes_what_is_written_elsewhere(tmp_path):
    run = SimpleNamespace(
        id="abcdefgh",
        parameters=65_515,
        data_source="<b>mine</b>",
        recipe=SimpleNamespace(pretrained="/x/y.db:fdjfpbcd@0"),
    )
    found = figures(heard=9, accepted=30, taken_for={"heater": 1})
    text = page(run, tmp_path / "<i>.onnx", found, own_words.advice(found, builtin=True), ["kws train --data '<a>'"])
    assert "<b>mine" not in text
    assert "<i>.onnx" not in text
    assert "&lt;a&gt;" in text
    for each in ("90.0 %", "59.6 to 98.2 %", "lamb</bdi>: 30 of 40", "65,515 parameters", "y.db:fdjfpbcd@0"):
        assert each in text
