"""A run's detector, from the registry: its network and weights, how its features were normalised, its thresholds."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from kws.errors import DataError
from kws.events import TRAIN, VALIDATION
from kws.inference.card import ModelCard

if TYPE_CHECKING:
    from kws.inference.network import NetworkModel
    from kws.registry.reader import RegistryReader
    from kws.registry.runs import Run


def network_model(registry: RegistryReader, run: Run, trust_code: str | None = None) -> NetworkModel:
    """A run's network with its front end.

    `trust_code` as for `kws eval`. Raises RegistryError where its weights are missing or its code is not to be run, and
    DataError for a run that was trained on arrays, whose front end is not known.
    """
    from kws import architectures
    from kws.inference.network import NetworkModel
    from kws.registry.trust import admit
    from kws.speech.front_end import FRONT_END
    from kws.training import weights

    data = registry.card(run.data_fingerprint)
    if not data.front_end:
        raise DataError(
            f"run {run.id} was trained on arrays of features; how they were made of sound is not known, "
            "so that it cannot hear recordings; train one on a folder of recordings for that"
        )
    if dict(data.front_end) != FRONT_END.describe():
        raise DataError(
            f"the features of run {run.id} were made in another way than this kws makes them; use the kws that "
            "made it, or train its recipe anew"
        )
    blob = registry.weights(run.id)
    admit(registry, run, trust_code)
    recipe = run.recipe.changed(device="cpu") if run.recipe.device != "cpu" else run.recipe
    network = architectures.build(recipe, len(data.classes))
    weights.load(network, blob)
    return NetworkModel(model_card(registry, run), network, data.mean, data.std)


def model_card(registry: RegistryReader, run: Run) -> ModelCard:
    """What a run's detector is: its words, and thresholds and temperature from its answers on the validation split.

    Without those answers the temperature is 1 and every threshold 0.5.
    """
    from kws.inference.calibration import Calibration
    from kws.speech import licences

    data = registry.card(run.data_fingerprint)
    manifest = registry.manifest(data.fingerprint, TRAIN)
    licence = licences.of(data.source, manifest.paths if manifest else ())
    if licence and any(getattr(each, "also", "none") != "none" for each in run.recipe.augmentation):
        licence = licence.with_unknown_clips()
    card = ModelCard(
        words=data.classes,
        run=run.id,
        commit=run.environment.git_commit,
        data=data.source,
        fingerprint=data.fingerprint,
        licence=licence.name if licence else None,
        attribution=licence.attribution if licence else None,
        align=run.recipe.align,
    )
    found = registry.evaluation(run.id, data.fingerprint, VALIDATION)
    if found is None or not found.logits:
        return card
    chosen = Calibration.of(found, data.classes)
    return replace(card, temperature=chosen.temperature, thresholds=chosen.thresholds)
