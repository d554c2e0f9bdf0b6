"""What is said of an option or a command that does not exist, or is missing."""

from __future__ import annotations

import pytest
from commands import refused

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
        (["onnx"], "Did you mean kws export or runs export?"),
        (["trian"], "Did you mean kws train?"),
        (["train", "--opt", "adam"], "train needs --arch: fc, cnn, "),
        (["train", "--arch", "cnn"], "train needs --opt: sgd, adam, "),
        (["tune", "--opt", "adam"], "tune needs --arch: fc, cnn, "),
    ],
)
def test_what_was_meant_is_said(arguments, told):
    assert told in refused(*arguments, code=2)


def test_an_option_that_is_near_none_leads_to_the_help():
    assert refused("compare", "--qqq", code=2).endswith("kws compare has no option --qqq; see `kws compare --help`")


def test_packages_that_are_missing_are_named_as_pip_takes_them():
    assert (
        needs("kws ui", "starlette")
        == "kws ui needs starlette, which is not installed: python -m pip install starlette"
    )
    assert needs("x", "a", "b").endswith("a and b, which are not installed: python -m pip install a b")
