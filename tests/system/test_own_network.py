"""A network of the user's own: a file whose source is part of the recipe, and which runs only where it was asked to."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import short
import torch
from commands import dump, kws, ok, ok_json, refused, sql
from ledger import make_recipe
from own_files import (  # noqa: F401 - fixtures
    MARK,
    NET,
    PLAIN,
    TRAIN,
    a_cache,
    a_net,
    a_run,
    a_task,
    nothing_is_trusted,
    sha256,
    times_run,
    write,
)

from kws import architectures
from kws.errors import RecipeError, UntrustedError
from kws.events import EpochEnd
from kws.recipe import NETWORK, Recipe, own
from kws.recipe.presets import preset
from kws.registry.reader import RegistryReader
from kws.reports import labels
from kws.training import checkpoints, loop
from kws.training.loop import Training

VALUES = {"width": 5, "drop": 0.5, "bias": False, "mode": "a, b", "steps": (3, 4, 5), "shares": (1.0, 0.25)}


# A recipe has the network's source


def test_a_run_keeps_the_source_its_digest_and_its_options(run):
    assert run["arch"] == f"Bands@{run['sha256'][:8]}"
    shown = ok_json("runs", "show", run["run"])
    assert (shown["source_sha256"], shown["recipe"]["width"], shown["recipe"]["steps"]) == (run["sha256"], 5, [1, 2])
    (text,) = sql(Path("experiments.db"), "SELECT recipe_json FROM trainings")[0]
    network = json.loads(text)["network"]
    assert (network["name"], network["sha256"]) == (run["arch"], run["sha256"])
    assert "net.py" not in text
    (row,) = sql(Path("experiments.db"), "SELECT sha256, source FROM sources")
    assert (row[0], sha256(row[1])) == (run["sha256"], run["sha256"])
    assert sha256(ok("runs", "show", run["run"], "--source")) == run["sha256"]
    assert ok_json("runs", "show", run["run"], "--source")["source"] == row[1]


@pytest.mark.parametrize("name", VALUES)
def test_a_value_of_each_type_comes_back_from_json_with_the_same_digest_whether_or_not_the_source_may_run(name):
    part = own.taken(NET.format(about=f"for the type of {name}"), "typed.py")
    recipe = Recipe.of(arch=part.name, opt="adam", **{name: VALUES[name]})
    trusted = Recipe.from_text(recipe.text)
    own.forget()
    read = Recipe.from_text(recipe.text)
    assert read.values == trusted.values == recipe.values
    assert (read.values[name], type(read.values[name])) == (VALUES[name], type(VALUES[name]))
    assert len({each.digest for each in (recipe, trusted, read)}) == len({each.cell for each in (recipe, read)}) == 1
    assert len({each.text for each in (recipe, trusted, read)}) == 1
    assert recipe.digest != Recipe.from_text(recipe.text.replace(part.digest, "0" * 64)).digest


def test_whole_numbers_are_numbers_wherever_a_config_says_so():
    part = own.taken(NET.format(about="with whole numbers"), "whole.py")
    whole = part.config(drop=1, shares=(1, 0))
    assert repr((whole.drop, whole.shares)) == "(1.0, (1.0, 0.0))"


def test_options_by_set_are_those_of_the_file_with_their_types(net):
    values = ok_json(*TRAIN, net, *(word for each in VALUES for word in ("--set", f"{each}={plain(each)}")))
    assert (
        ok_json("runs", "show", values["run"])["recipe"] | {"steps": [3, 4, 5], "shares": [1.0, 0.25]}
        == (ok_json("runs", "show", values["run"])["recipe"])
    )
    assert "`width` (='much') must be a whole number" in refused(*TRAIN, net, "--set", "width=much")
    assert "there is no option `wdith`" in refused(*TRAIN, net, "--set", "wdith=3")
    assert "`bias`" in refused(*TRAIN, "cnn", "--set", "bias=no")


def plain(name: str) -> str:
    value = VALUES[name]
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value).lower()


def test_the_command_that_trains_it_again_names_its_file(task):
    part = own.read(write("some where/net.py", NET.format(about="to be trained again")))
    recipe = Recipe.of(arch=part.name, opt="adam", width=7, bias=False)
    words = recipe.arguments()
    assert words[words.index("--arch") + 1] == "some where/net.py"
    assert {"width=7", "bias=no", "steps=1,2"} <= set(words)
    assert "--width" not in words
    own.forget()
    assert part.name in labels.command(Recipe.from_text(recipe.text))


def test_constants_work_as_for_the_networks_of_kws():
    plain_one = own.taken(PLAIN, "plain.py")
    sliced = own.taken(PLAIN + '\nMICRO_BATCH = {"fp32": 8}\n', "sliced.py")
    whole = own.taken(PLAIN + '\nMICRO_BATCH = {"fp32": 8}\nBATCH_STATISTICS = True\n', "whole.py")
    sizes = [
        Recipe.of(arch=part.name, opt="adam", batch_size=64).micro_batch_size for part in (plain_one, sliced, whole)
    ]
    assert sizes == [64, 8, 64]


# Nothing of it runs unasked


@pytest.mark.parametrize("command", [["eval", "--split", "train"], ["rerun"]], ids=lambda command: command[0])
def test_what_builds_the_network_refuses_with_its_digest_until_it_is_trusted(run, command):
    name, *options = command
    before = dump(Path("experiments.db"))
    told = refused(name, run["run"], *options)
    assert run["sha256"] in told
    assert f"kws runs show {run['run']} --source" in told
    assert f"--trust-code {run['sha256'][:16]}" in told
    for wrong, why in (("0" * 64, "is not the code of run"), (run["sha256"][:7], "is too short")):
        assert why in refused(name, run["run"], *options, "--trust-code", wrong)
    assert (dump(Path("experiments.db")), times_run()) == (before, 0)
    ok(name, run["run"], *options, "--trust-code", run["sha256"][:8].upper())
    assert times_run() == 1
    refused(name, run["run"], "--split" if name == "eval" else "--data", "all" if name == "eval" else "x")
    assert times_run() == 1  # nothing is remembered


def test_all_is_trusted_where_all_is_said(run):
    assert ok_json("eval", run["run"], "--split", "train", "--trust-code", "all")["accuracy"] >= 0
    assert times_run() == 1


def test_a_beginning_that_several_sources_have_is_refused(run):
    sql(Path("experiments.db"), f"INSERT INTO sources VALUES ('{run['sha256'][:12]}{'0' * 52}', 'another')")
    eval_ = ["eval", run["run"], "--split", "train", "--trust-code"]
    assert "begins several sources" in refused(*eval_, run["sha256"][:12])
    assert times_run() == 0
    ok(*eval_, run["sha256"][:16])


def test_a_source_that_was_changed_is_refused_whatever_is_trusted(run):
    sql(Path("experiments.db"), f"UPDATE sources SET source = source || '{MARK.format(mark='x').replace(chr(39), '')}'")
    before = dump(Path("experiments.db"))
    for command in (
        ["eval", run["run"], "--split", "train", "--trust-code", "all"],
        ["rerun", run["run"], "--trust-code", run["sha256"]],
        ["runs", "show", run["run"], "--source"],
        ["runs", "import", "experiments.db", "--db", "other.db"],
    ):
        assert f"the source {run['sha256'][:12]} of a network was changed" in refused(*command)
    assert "has a network that cannot be built" in kws("db", "doctor").stdout
    assert (dump(Path("experiments.db")), times_run()) == (before, 0)


def test_a_network_cannot_be_built_by_whoever_only_read_its_recipe():
    part = own.taken(NET.format(about="never trusted"), "net.py")
    text = Recipe.of(arch=part.name, opt="adam").text
    own.forget()
    with pytest.raises(UntrustedError, match="does not run unasked"):
        architectures.build(Recipe.from_text(text), 3)
    with pytest.raises(RecipeError, match="must be one of"):
        NETWORK.part(part.name)


@pytest.mark.parametrize(
    "network",
    [
        {"name": "fc", "sha256": "short"},
        {"name": "x", "sha256": "g" * 64},
        {"name": "x", "sha256": "0" * 64, "NAME": "fc"},
        {"name": "x", "sha256": "0" * 64, "SHA256": "1" * 64},
        {"name": "x", "sha256": "0" * 64, "values": 3},
    ],
    ids=str,
)
def test_json_that_pretends_to_be_another_network_is_refused_or_is_that_of_kws(network):
    values = json.loads(make_recipe("fc").text) | {"network": network}
    if network["name"] == "fc":
        assert Recipe.from_text(json.dumps(values)).source is None
        return
    with pytest.raises(RecipeError):
        Recipe.from_text(json.dumps(values))


def test_a_name_in_json_is_made_harmless():
    values = json.loads(make_recipe("fc").text)
    values["network"] = {"name": "../x.py',\n\x1b[31m", "sha256": "1234" * 16, "width": 3}
    assert Recipe.from_text(json.dumps(values)).arch == ".. x.py 31m@12341234"


# Resumed


def events_of(state: Training, recipe: Recipe, train, validation) -> list:
    found = [each for each in loop.fit(state, train, validation, recipe) if isinstance(each, EpochEnd)]
    return [(each.epoch, each.train_loss, each.validation_loss, each.iterations) for each in found]


def test_a_resumed_run_has_the_bits_of_an_unbroken_one():
    part = own.taken(NET.format(about="to be resumed"), "net.py")
    recipe = Recipe.of(arch=part.name, opt="adam", epochs=4, batch_size=16, threads=1, drop=0.5)
    train, validation = short.split_of(50, 1), short.split_of(20, 2)
    unbroken = Training.begin(recipe, 3)
    whole = events_of(unbroken, recipe, train, validation)
    kept = checkpoints.to_bytes(short.up_to(2, recipe, train, validation))
    resumed = Training.begin(Recipe.from_text(recipe.text), 3)
    checkpoints.restore(resumed, kept)
    assert events_of(resumed, recipe, train, validation) == whole[2:]
    assert all(torch.equal(one, resumed.model.state_dict()[name]) for name, one in unbroken.model.state_dict().items())


def test_trying_a_network_changes_neither_its_weights_nor_the_runs_random_numbers():
    norm = "self.norm = nn.BatchNorm1d(40)\n        self.drop ="
    source = NET.format(about="with batch statistics").replace("self.drop =", norm)
    source = source.replace("features.mean(1)", "self.norm(features.mean(1))")
    part = own.taken(source, "net.py")
    recipe = Recipe.of(arch=part.name, opt="adam")
    torch.manual_seed(3)
    plain_one = part.load().Network(3, part.config())
    after = torch.rand(3)
    torch.manual_seed(3)
    tried = architectures.build(recipe, 3)
    assert torch.equal(torch.rand(3), after)
    assert tried.training
    for name, tensor in plain_one.state_dict().items():
        assert torch.equal(tried.state_dict()[name], tensor), name
    assert all(parameter.grad is None for parameter in tried.parameters())


# What a file may be


HEAD = "from dataclasses import dataclass\n\nfrom torch import nn\n"
CONFIG = HEAD + "\n\n@dataclass(frozen=True)\nclass Config:\n    {field}\n\n\n" + PLAIN.partition("\n\n\n")[2]
FORWARD = PLAIN + "\n    def forward(self, features):\n        {body}\n"
FAULTS = {
    "no Python": ("class Network(:\n", "net.py, line 1: "),
    "nothing": ("", "net.py has no class Network"),
    "a function": ("def Network(classes):\n    return None\n", "net.py, line 1: Network must be a class"),
    "a sibling": ("import math\nimport helpers\n" + PLAIN, "net.py, line 2: `helpers` cannot be imported"),
    "a sibling in a function": (PLAIN + "\n\ndef f():\n    from helpers import x\n", "line 10: `helpers` cannot"),
    "a relative import": ("from . import helpers\n" + PLAIN, "line 1: `.` cannot be imported"),
    "numpy": ("import numpy as np\n" + PLAIN, "`numpy` cannot be imported; a network's file may import torch"),
    "kws": ("from kws.recipe import Recipe\n" + PLAIN, "net.py, line 1: `kws.recipe` cannot be imported"),
    "kws as it is": ("import kws.recipe\n" + PLAIN, "net.py, line 1: `kws.recipe` cannot be imported"),
    "a sibling by importlib": (
        "import importlib\n\nimportlib.import_module('helpers')\n" + PLAIN,
        "net.py, line 3: ImportError: `helpers` cannot be imported",
    ),
    "a sibling by __import__": ("__import__('helpers')\n" + PLAIN, "net.py, line 1: ImportError: `helpers` cannot"),
    "an error": (PLAIN + "\n1 / 0\n", "net.py, line 8: ZeroDivisionError: division by zero"),
    "an exit": (PLAIN + "\nraise SystemExit(3)\n", "net.py, line 8: SystemExit: 3"),
    "no default": (CONFIG.format(field="width: int"), "the option `width` needs a default"),
    "a mutable default": (CONFIG.format(field="sizes: list = []"), "net.py, line 6: ValueError: mutable default"),
    "a list": (CONFIG.format(field="sizes: list[int] = None"), "the option sizes has the type list[int]"),
    "a bare tuple": (CONFIG.format(field="sizes: tuple = ()"), "an option has a type that none can have"),
    "a taken name": (CONFIG.format(field="learning_rate: float = 1.0"), "has an option `learning_rate` already"),
    "an old name": (CONFIG.format(field="slice_size: int = 1"), "has an option `slice_size` already"),
    "a name of ours": (CONFIG.format(field="sha256: str = ''"), "no option can be called `sha256`"),
    "not frozen": (CONFIG.format(field="width: int = 1").replace("(frozen=True)", ""), "must be a frozen dataclass"),
    "sizes": (PLAIN + "\nMICRO_BATCH = 8\n", "net.py, line 8: MICRO_BATCH must be as in"),
    "no module": (PLAIN.replace("nn.Sequential", "list").replace("nn.Flatten(), nn.Linear(4040, classes)", ""),
        "net.py, line 4: Network must be a child of torch.nn.Module"),
    "the wrong arguments": (PLAIN.replace("(self, classes)", "(self)"), "line 4: TypeError: Network.__init__()"),
    "a constructor": (PLAIN.replace("4040, classes", "4040, classes / 0"), "line 6: ZeroDivisionError: division"),
    "the wrong shape": (PLAIN.replace("4040", "40"), "net.py, line 4: RuntimeError: mat1 and mat2 shapes"),
    "the wrong classes": (PLAIN.replace("4040, classes", "4040, 7"), "returns float32 of the shape (2, 7) for 2 clips"),
    "a pair": (FORWARD.format(body="return features, 1"), "net.py, line 4: it returns a tuple"),
    "whole numbers": (FORWARD.format(body="return features[:, 0, :3].long()"), "returns int64 of the shape (2, 3)"),
    "a forward": (FORWARD.format(body="raise ValueError('a\\nb')"), "net.py, line 9: ValueError: a b"),
    "nothing to train": (PLAIN.replace("nn.Flatten(), nn.Linear(4040, classes)", "") + "\n    def forward(self, x):\n"
        "        return x[:, 0, :3]\n", "it has no parameters to train"),
    "no gradient": (FORWARD.format(body="return super().forward(features).detach()"), "RuntimeError: element 0 of"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_sentence_with_the_file_and_line_before_a_run_is_recorded(task, fault):
    source, sentence = FAULTS[fault]
    write("helpers.py", "x = 3\n")
    sys.path.insert(0, "")  # as `python -m kws` has it
    try:
        told = refused(*TRAIN, write("net.py", source))
    finally:
        sys.path.remove("")
    assert sentence in told
    assert "helpers" not in sys.modules
    assert not Path("experiments.db").exists()


def test_a_file_that_cannot_be_read_is_refused(task):
    assert "nowhere/net.py cannot be read (No such file or directory)" in refused(*TRAIN, "nowhere/net.py")
    Path("latin.py").write_bytes("# n\xe4her\n".encode("latin-1"))
    assert "latin.py is not UTF-8 (byte 4)" in refused(*TRAIN, "latin.py")
    assert "'net' is not one of 'fc', 'cnn'" in refused(*TRAIN, "net", code=2)
    assert "`kws runs show RUN --source > net.py` writes its file" in refused(*TRAIN, "net@0123abcd", code=2)


def test_a_fault_in_the_middle_of_training_is_a_sentence_too_and_the_run_failed(task):
    body = "self.n = getattr(self, 'n', 0) + 1\n        if self.n > 4:\n            raise ValueError('late')\n"
    net = write("net.py", FORWARD.format(body=f"{body}        return super().forward(features)"))
    told = kws(*TRAIN, net)
    assert (told.exit_code, "Traceback" in told.stderr) == (1, False)
    assert told.stderr.endswith("net.py, line 11: ValueError: late\n")
    (run,) = ok_json("runs", "list")["runs"]
    assert run["status"] == "failed"


def test_a_config_may_check_its_values_and_use_options_of_kws(task):
    source = (
        "from dataclasses import dataclass\n\nfrom torch import nn\n\nfrom kws.recipe import count, option\n\n\n"
        "@dataclass(frozen=True)\nclass Config:\n    width: int = option(3, 'Units.', check=count)\n"
        "    even: int = 2\n\n    def __post_init__(self):\n        if self.even % 2:\n"
        "            raise ValueError(f'{self.even} is odd')\n\n    @property\n    def both(self):\n"
        "        return self.width * self.even\n\n\nclass Network(nn.Sequential):\n"
        "    def __init__(self, classes, config):\n        width = config.both\n"
        "        super().__init__(nn.Flatten(), nn.Linear(4040, width), nn.Linear(width, classes))\n"
    )
    net = write("net.py", source)
    assert "`width` (=0) must be at least 1" in refused(*TRAIN, net, "--set", "width=0")
    assert "net.py, line 15: ValueError: 3 is odd" in refused(*TRAIN, net, "--set", "even=3")
    assert ok_json("summary", "--arch", net, "--set", "even=4")["parameters"] == 4041 * 12 + 13 * 3


# Other commands


def test_a_summary_shows_it_layer_by_layer_by_its_options(net):
    shown = ok_json("summary", "--arch", net, "--set", "width=6")
    assert [layer["kind"] for layer in shown["layers"]] == ["linear", "Dropout", "linear"]
    assert (shown["parameters"], shown["multiply_accumulates"]) == (41 * 6 + 7 * 3, 40 * 6 + 6 * 3)


def test_a_plan_has_every_value_of_the_files_option_beside_the_networks_of_kws(net):
    plain_one = write("plain one.py", PLAIN)
    archs = ["--arch", f"{net},cnn,{plain_one}", "--opt", "sgd,adam"]
    plan = ok_json("sweep", *archs, "--set", "width=3,4", "--seeds", 2, "--dry-run")["runs"]
    count = {arch: sum(run["arch"].startswith(arch) for run in plan) for arch in ("Bands@", "cnn", "plain one@")}
    assert count == {"Bands@": 8, "cnn": 4, "plain one@": 4}
    assert "`width` (=3) is not for cnn" in refused(
        "sweep", "--arch", "cnn", "--opt", "adam", "--set", "width=3", "--dry-run"
    )
    assert ",rnn') must be one or several of fc" in refused("sweep", "--arch", f"{net},rnn", "--opt", "adam")


def test_a_preset_lends_its_recipe_to_the_file_but_not_its_networks_options(net):
    best, arch = preset("best").recipe, ok_json("summary", "--arch", net)["arch"]
    chosen = ok_json("train", "--preset", "best", "--arch", net, "--show")["recipe"]
    assert (chosen["arch"], chosen["width"]) == (arch, 3)
    assert (chosen["opt"], chosen["mask_bands"]) == (best.opt, best.mask_bands)
    assert "preset best" not in ok("train", "--preset", "best", "--arch", net, "--show").partition("width ")[2][:30]
    (planned,) = ok_json("sweep", "--preset", "best", "--noise", "none", "--arch", net, "--dry-run")["runs"]
    assert (planned["arch"], planned["learning_rate"]) == (arch, best.learning_rate)


def test_the_options_are_columns_of_the_view_after_the_process_that_knew_them_has_ended(run):
    assert sql(Path("experiments.db"), 'SELECT width, bias, mode, steps, "drop" FROM runs') == [
        (5, 1, "mean", "[1, 2]", 0.25)
    ]
    with RegistryReader(Path("experiments.db")) as registry:
        assert [each.recipe.values["width"] for each in registry.runs()] == [5]
    assert ok_json("runs", "list", "--where", "width > 5")["runs"] == []
    assert len(ok_json("runs", "list", "--where", 'width = 5 and not "drop" > 0.5')["runs"]) == 1
