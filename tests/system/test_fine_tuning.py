"""Networks that start from another run's: --from and --head-epochs."""

from __future__ import annotations

import pytest
import torch
from commands import kws, ok, ok_json, refused, sql
from short import split_of
from swept import shared_task

from kws.errors import RecipeError, RegistryError
from kws.events import EpochEnd
from kws.recipe import NETWORK, OPTIMIZER, Recipe
from kws.registry.store import Registry
from kws.training import checkpoints, fine_tuning, loop, weights
from kws.training.loop import Training

ABOUT = {"batch_size": 16, "threads": 1, "pretrained": "run@0123456789ab"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A task, and a run on it."""
    with shared_task(tmp_path_factory, "fine-tuning") as made:
        made.db = made.folder / "runs.db"
        about = ["--arch", "tc_resnet", "--width", "0.2", "--opt", "muon", "--schedule", "cosine", "--batch-size", "16"]
        made.run = ok_json("train", *about, "--epochs", "2", "--threads", "1", "--data", made.task, "--db", made.db)[
            "run"
        ]
    return made


@pytest.fixture(autouse=True)
def cache(trained, monkeypatch):
    monkeypatch.setenv("KWS_CACHE", str(trained.cache))


def parameters(model):
    return {name: each.detach().clone() for name, each in model.state_dict().items()}


def begun(recipe, start=None):
    training = Training.begin(recipe, 3)
    training.head = fine_tuning.head_of(recipe, 3)
    if start is not None:
        fine_tuning.start_from(training.model, start, training.head, whole=False)
    return training


@pytest.mark.parametrize(
    ("arch", "opt"),
    [*((arch, "sgd") for arch in sorted(NETWORK.shipped)), *(("tc_resnet", opt) for opt in sorted(OPTIMIZER.parts))],
)
def test_the_last_layer_alone_is_trained_first_and_then_all(arch, opt):
    recipe = Recipe.of(arch=arch, opt=opt, epochs=3, head_epochs=1, **ABOUT)
    training, clips = begun(recipe), split_of(32)
    assert training.head and training.head < {name for name, _ in training.model.named_parameters()}
    before = parameters(training.model)
    changed = []
    for event in loop.fit(training, clips, clips, recipe):
        if isinstance(event, EpochEnd):
            after = parameters(training.model)
            changed.append({name for name in after if not torch.equal(after[name], before[name])})
            before = after
    trainable = {name for name, _ in training.model.named_parameters()}
    assert changed[0] and changed[0] <= training.head
    assert changed[1] & trainable - training.head


@pytest.mark.parametrize("opt", ["muon", "adamw"])
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_fine_tuning_that_was_cut_off_goes_on_to_the_same_bits(opt, epoch):
    recipe, clips = Recipe.of(arch="tc_resnet", opt=opt, epochs=4, head_epochs=2, **ABOUT), split_of(32)

    def trained_until(last, training):
        for event in loop.fit(training, clips, clips, recipe):
            if isinstance(event, EpochEnd) and event.epoch == last:
                break
        return training

    whole = trained_until(4, begun(recipe))
    kept, again = checkpoints.to_bytes(trained_until(epoch, begun(recipe))), begun(recipe)
    checkpoints.restore(again, kept)
    again = trained_until(4, again)
    assert all(torch.equal(one, parameters(again.model)[name]) for name, one in parameters(whole.model).items())
    with pytest.raises(RegistryError, match="does not fit the recipe"):
        training = Training.begin(recipe, 3)  # whose every parameter must have been trained
        checkpoints.restore(training, checkpoints.to_bytes(trained_until(1, begun(recipe))))


def test_a_network_starts_from_anothers_weights_but_for_its_last_layer():
    recipe = Recipe.of(arch="cnn", opt="adam", epochs=1, **ABOUT)
    theirs = Training.begin(recipe.changed(seed=5), 4).model
    new = Training.begin(recipe, 3).model
    training = begun(recipe, weights.to_bytes(theirs))
    for name, one in parameters(training.model).items():
        assert torch.equal(one, (new if name in training.head else theirs).state_dict()[name])
    other = Training.begin(recipe.changed(arch="fc"), 3).model
    with pytest.raises(RecipeError, match="run x has another network than this recipe"):
        fine_tuning.require_fit(recipe, weights.to_bytes(other), "run x")


def test_a_run_starts_from_another_with_all_of_its_recipe_but_the_data(trained):
    made = ok_json("train", "--from", trained.run[:4], "--words", "up,down", "--data", trained.task, "--threads", "1",
                   "--db", trained.db, "--head-epochs", "1")  # fmt: skip
    with Registry(trained.db) as registry:
        start, run = registry.run(trained.run), registry.run(made["run"])
        assert run.recipe.pretrained == f"{trained.run}@{registry.weights_digest(trained.run)[:12]}"
        own = {"pretrained", "head_epochs", "words", "data"}
        same = {name: value for name, value in run.recipe.values.items() if name not in own}
        assert same == {name: value for name, value in start.recipe.values.items() if name not in own}
    ok("rerun", made["run"], "--db", trained.db)  # ends with 1 where a bit differs


def test_the_last_layer_is_kept_where_the_classes_are_the_same(trained):
    from kws.registry import pretrained
    from kws.training import runner

    with Registry(trained.db) as registry:
        start = pretrained.of(trained.run, trained.db)
        recipe = registry.run(trained.run).recipe.changed(pretrained=f"{trained.run}@{start.digest}")
    training, _ = runner.begin(recipe, runner.load(recipe, skip_unreadable=False), start)
    assert weights.to_bytes(training.model) == start.weights


def test_a_sweep_names_the_weights_that_it_starts_from(trained, tmp_path):
    db = tmp_path / "sweep.db"
    about = ["--arch", "tc_resnet", "--width", "0.2", "--opt", "muon", "--epochs", "1", "--seeds", "2", "--jobs", "1"]
    ok("sweep", "--from", f"{trained.db}:{trained.run}", *about, "--data", trained.task, "--threads", "1", "--db", db)
    with Registry(db) as registry:
        named = {run.recipe.pretrained for run in registry.runs()}
        assert len(registry.runs()) == 2 and len(named) == 1
        assert named.pop().startswith(f"{trained.db}:{trained.run}@")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--from", "nosuch"], "there is no run 'nosuch'"),
        (["--from", "nosuch.db:x"], "nosuch.db"),
        (["--from", "postgresql://u@h/db:x"], "names a run in a registry file, or one of --db"),
        (["--from", "RUN@0123456789ab"], "names other weights than run RUN has"),
        (["--from", "RUN", "--arch", "fc"], "run RUN has another network than this recipe"),
        (
            ["--arch", "fc", "--opt", "adam", "--head-epochs", "2"],
            "is for a network that was trained before: --from RUN",
        ),
    ],
)
def test_what_cannot_be_started_from_is_refused(trained, arguments, message):
    arguments = [each.replace("RUN", trained.run) for each in arguments]
    said = refused("train", *arguments, "--data", trained.task, "--db", trained.db)
    assert message.replace("run RUN", f"run {trained.run}") in said


def test_a_run_without_weights_cannot_be_started_from(trained, tmp_path):
    ok("runs", "export", trained.run, tmp_path / "bare.db", "--db", trained.db)
    sql(tmp_path / "bare.db", "DELETE FROM weights")
    assert "its weights were not kept" in refused(
        "train", "--from", f"{tmp_path / 'bare.db'}:{trained.run}", "--db", tmp_path / "x.db"
    )


def test_looking_at_another_network_draws_none_of_the_runs_random_numbers(trained):
    from kws.registry import pretrained

    start = pretrained.of(trained.run, trained.db)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    fine_tuning.require_fit(start.run.recipe, start.weights, "run x")
    fine_tuning.head_of(start.run.recipe, 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_weights_are_read_once_and_recordings_that_are_not_taken_over_are_said(trained, tmp_path, monkeypatch):
    from test_noise import add_noise

    from kws.registry.reader import RegistryReader

    db, noise = tmp_path / "noisy.db", add_noise(tmp_path / "noise", "tap")
    about = ["--threads", "1", "--data", trained.task, "--db", db, "--epochs", "1"]
    ok("runs", "export", trained.run, db, "--db", trained.db)
    first = kws("train", "--from", trained.run, "--noise", noise, *about)
    assert first.exit_code == 0 and "not taken over" not in first.stderr
    read = []
    weights_of = RegistryReader.weights
    monkeypatch.setattr(RegistryReader, "weights", lambda self, run: read.append(run) or weights_of(self, run))
    again = kws("train", "--from", "last", *about)
    assert again.exit_code == 0 and len(read) == 1
    told = f"with --noise {noise}, which is not taken over, for it is of other data; add --noise to do so here"
    assert told in again.stderr
    with Registry(db) as registry:
        run = registry.run("last")
        assert run.recipe.pretrained.startswith(f"{read[0]}@") and run.recipe.noise == "none"
