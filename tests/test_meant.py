"""What is said of an option or a command that does not exist, or is missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from commands import refused
from places import ROOT

from kws.cli import export
from kws.errors import needs


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "--lr", "0.1"], "kws train has no option --lr. Did you mean --learning-rate?"),
        (["train", "--optimizer", "adam"], "Did you mean --opt?"),
        (["train", "--epoch", "3"], "Did you mean --epochs?"),
        (["sweep", "--workers", "3"], "Did you mean --jobs?"),
        (["eval", "last", "--dataset", "x"], "Did you mean --data?"),
        (["export", "last", "--output", "x"], "Did you mean --out?"),
        (["compare", "--metrik", "x"], "Did you mean --metric?"),
        (["runs", "list", "--filter", "x"], "kws runs list has no option --filter. Did you mean --where?"),
        (["ls"], "kws has no command 'ls'. Did you mean kws runs list?"),
        (["evaluate", "last"], "Did you mean kws eval?"),
        (["onnx"], "Did you mean kws export?"),
        (["trian"], "Did you mean kws train?"),
        (["Compare"], "Did you mean kws compare?"),
        (["save"], "Did you mean kws export (a network, as a file that runs without kws) or kws runs export (a run, "),
        (["doctor"], "Did you mean kws data check (recordings) or kws db doctor (the registry)?"),
        (["show"], "Did you mean kws runs show?"),
        (["runs", "ls"], "kws runs has no command 'ls'. Did you mean kws runs list?"),
        (["runs", "rm", "last"], "Did you mean kws runs delete?"),
        (["runs", "exprot"], "Did you mean kws runs export?"),
        (["runs", "predict"], "Did you mean kws predict?"),
        (["db", "vacuum"], "Did you mean kws runs purge?"),
        (["db", "list"], "Did you mean kws runs list (runs) or kws data list (data)?"),
        (["data", "verify"], "Did you mean kws data check?"),
        (["train", "--opt", "AdamW"], "'AdamW' is not one of 'sgd', 'adam', 'adamw', 'muon'; did you mean adamw?"),
        (["train", "--arch", "resnet"], "did you mean tc-resnet or bc-resnet?"),
        (["train", "--arch", "CNN"], "did you mean cnn?"),
        (["train", "--task", "V2_35"], "did you mean v2-35?"),
        (["train", "--preset", "bset"], "did you mean best?"),
        (["compare", "--metric", "accuracy"], "did you mean test-accuracy or validation-accuracy?"),
        (["compare", "--format", "LaTeX"], "did you mean latex?"),
        (["train", "--opt", "adam"], "train needs --arch: fc, cnn, "),
        (["train", "--arch", "cnn"], "train needs --opt: sgd, adam, "),
        (["tune", "--opt", "adam"], "tune needs --arch: fc, cnn, "),
    ],
)
def test_what_was_meant_is_said(arguments, told):
    assert told in refused(*arguments, code=2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["predict"], "kws predict needs RUN: a run's id, any unambiguous beginning of it, or `last`; or a file"),
        (["predict", "last"], "kws predict needs FILE...: recordings, folders of them, or - for one on stdin; as in "),
        (["start"], "kws start needs --words: the keywords, by the names of their recordings; as in `kws start --wo"),
        (["mine", "last", "x.wav"], "kws mine needs --out: where the clips are written; new or empty; as in `kws mine"),
        (["train", "cnn"], "kws train takes no 'cnn' alone. Did you mean --arch cnn?"),
        (["train", "best"], "Did you mean --preset best?"),
        (["compare", "last"], "kws compare takes options, and no 'last'; see `kws compare --help`"),
        (["report", "x.html", "y"], "kws report takes OUT.html, and 'y' is more; see `kws report --help`"),
        (["train", "--arch", "cnn", "--epochs"], "kws: --epochs needs a value after it"),
        (["train", "--epochs", "1.5"], "kws: --epochs (=1.5) must be a whole number; see `kws train --help`"),
        (["train", "--label-smoothing", "many"], "kws: --label-smoothing (=many) must be a number; see"),
        (["ui", "--port", "x"], "kws: --port (=x) must be a whole number; see"),
        (["export", "last"], "kws: kws export needs --out FILE, to write a file, or --check FILE, to compare one"),
    ],
)
def test_what_is_missing_or_too_much_or_no_number_is_said(arguments, told):
    assert told in refused(*arguments, code=2)


def test_what_was_given_in_the_wrong_place_is_said():
    Path("clip.wav").write_bytes(b"")
    assert refused("predict", "clip.wav", "last").endswith("RUN comes first, as in `kws predict last clip.wav`")
    assert refused("train", "--preset", "best", "--set", "lr=1").endswith("`lr`; did you mean learning_rate?")
    rows = refused("compare", "--rows", "archi", "--db", ROOT / "experiments.db", code=2)
    assert rows.endswith("there is no option `archi`; did you mean arch?")
    assert "sweep needs --arch: fc, cnn, " in refused("sweep", "--opt", "adam")
    to = refused("export", "dpghnmcw", "--out", "best.db", "--db", ROOT / "experiments.db")
    assert to.endswith("or copy the run by `kws runs export dpghnmcw best.db`")


def test_ctrl_c_is_said_by_every_command(monkeypatch):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "require_packages", stop)
    assert refused("export", "last", "--out", "x.onnx", code=130) == "kws: stopped"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["sweep", "--arch", "cnn,xyz", "--opt", "adam"], "with a comma between them"),
        (["sweep", "--arch", "cnn,resnet", "--opt", "adam"], "; did you mean tc-resnet or bc-resnet?"),
        (["sweep", "--arch", "Fc,cnn", "--opt", "adam"], "with a comma between them; did you mean fc?"),
        (["sweep", "--preset", "bst"], "; did you mean best?"),
        (["train", "--preset", "best", "--set", "opt=AdamW"], "; did you mean adamw?"),
        (["train", "--preset", "best", "--set", "selection=Best"], "; did you mean best?"),
    ],
)
def test_what_was_meant_by_a_value_of_a_recipe_is_said(arguments, told):
    assert refused(*arguments, "--db", "none.db").endswith(told)


def test_a_command_that_is_near_none_leads_to_the_help():
    assert refused("xyzzy", code=2).endswith("kws has no command 'xyzzy'; see `kws --help`")


def test_an_option_that_is_near_none_leads_to_the_help():
    assert refused("compare", "--qqq", code=2).endswith("kws compare has no option --qqq; see `kws compare --help`")


def test_packages_that_are_missing_are_named_as_pip_takes_them():
    assert (
        needs("kws ui", "starlette")
        == "kws ui needs starlette, which is not installed: python -m pip install starlette"
    )
    assert needs("x", "a", "b").endswith("a and b, which are not installed: python -m pip install a b")
