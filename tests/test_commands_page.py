"""docs/commands.md is what the commands say of themselves."""

from __future__ import annotations

import importlib.util
import re

import pytest
from commands import PROGRAM
from places import ROOT

PAGE = ROOT / "docs" / "commands.md"


@pytest.fixture(scope="module")
def made():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    return reference.markdown()


def test_the_page_is_what_the_commands_say(made):
    text = PAGE.read_text(encoding="utf-8")
    block = re.search(r"\]\]\] -->\n(.*)<!-- \[\[\[end\]\]\] -->\n$", text, re.S)[1]
    assert block.strip() == made.strip(), "`make readme` brings it up to date"
    assert len(text.encode()) < 60_000


def test_every_command_and_every_option_is_on_the_page(made):

    def of(path):
        return made.split(f"### {path}\n")[1].split("\n### ")[0]

    top = made.split("\n## ")[0]
    headings = re.findall(r"^### (kws .*)$", made, re.M)
    for first, command in PROGRAM.commands.items():
        for name, each in getattr(command, "commands", {"": command}).items():
            path = f"kws {first} {name}".strip()
            assert headings.count(path) == 1
            told = of(path)
            for option in each.params:
                if option.param_type_name == "option" and not option.hidden:
                    of_train = of("kws train") if "all [options of `kws train`]" in told else ""
                    assert option.opts[0] in told + top + of_train, (path, option.opts)


def test_what_markdown_would_read_is_escaped(made):
    assert r"\_background\_noise\_" in made
    assert "`{speaker}_{n}`" not in made and r"{speaker}\_{n}" in made
