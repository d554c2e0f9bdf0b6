"""Help: in sections, on -h, in colours on a terminal alone; and -q, which leaves errors and results."""

from __future__ import annotations

import io
import re
import sys

import pytest
from commands import PROGRAM, kws, ok, refused
from places import ROOT
from typer import Context

from kws.cli import sections
from kws.cli.commands import by_section
from kws.terminal import colours, quiet

SHORT = 57  # letters, beside the name of a command
COMMANDS = {
    " ".join(name.split()): each
    for first, command in PROGRAM.commands.items()
    for name, each in [(first, command), *((f"{first} {n}", c) for n, c in getattr(command, "commands", {}).items())]
}
SINGLE = {name: each for name, each in COMMANDS.items() if not hasattr(each, "commands")}
REGISTRY = ROOT / "experiments.db"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_stands_in_one_section(name):
    command = COMMANDS[name]
    context = Context(command, info_name=name)
    rows = [row for _, found in by_section(command, context) for row in found]
    assert sorted(rows) == sorted(filter(None, (each.get_help_record(context) for each in command.get_params(context))))
    headings = [heading for heading, _ in by_section(command, context) if heading != "Arguments"]
    assert headings == [each for each in sections.EVERY if each in headings]


def test_the_page_of_train_can_be_skimmed():
    page = ok("train", "--help")
    headings = re.findall(r"^(\S.*):$", page, re.M)
    assert headings == [
        *("Recipe", "Of one network only", "Of one optimizer, schedule or average only", "Augmentation"),
        *("Training", "Data", "Registry", "Output"),
    ]
    recipe = page.split("\nRecipe:")[1].split("\n\n")[0]
    assert "--opt" in recipe and "--epochs" in recipe and "--momentum" not in recipe and "--tau" not in recipe


def test_a_page_of_few_options_has_one_section():
    assert re.findall(r"^(\S.*):$", ok("runs", "show", "-h"), re.M) == ["Arguments", "Options"]


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_does_fits_its_line(name):
    short = COMMANDS[name].get_short_help_str(limit=1000)
    assert 0 < len(short) <= SHORT


def test_h_is_help_and_o_is_out_and_q_is_quiet_and_no_letter_means_two_things():
    for name, command in SINGLE.items():
        params = command.get_params(Context(command, info_name=name))
        letters = [flag for each in params for flag in each.opts if re.fullmatch("-[a-z]", flag)]
        assert len(letters) == len(set(letters)), name
        assert ("-o" in letters) == any("--out" in each.opts for each in params), name
        assert "-h" in letters, name
        assert ("-q" in letters) == (name != "record"), name  # which leads by what it says
    assert ok("runs", "list", "-h") == ok("runs", "list", "--help")
    assert ok("-h") == ok("--help")


def test_the_list_of_commands_names_those_of_groups():
    page = " ".join(ok("--help").split())
    assert "First steps: start " in page
    for group in ("runs", "db", "data"):
        assert f": {', '.join(PROGRAM.commands[group].commands)}." in page
    assert all(f" {name} " in page for name in PROGRAM.commands)


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TTY_COMPATIBLE": "0"}])
def test_help_is_in_colours_on_a_terminal_that_has_them(monkeypatch, environment):
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    plain = ok("train", "--help")
    assert "\x1b" not in plain
    coloured = colours.page(plain, Terminal())
    assert "\x1b[1mRecipe:\x1b[0m" in coloured
    assert "  \x1b[36m--seed <int>\x1b[0m  " in coloured
    assert re.sub(r"\x1b\[\d+m", "", coloured) == plain
    assert colours.page(plain, io.StringIO()) == plain
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert colours.page(plain, Terminal()) == plain


def test_quiet_drops_notes_and_keeps_results_and_errors():
    query = ("db", "query", "SELECT id FROM runs", "--limit", 1, "--db", REGISTRY)
    said, unsaid = kws(*query), kws(*query, "-q")
    assert "there are more than 1 rows" in said.stderr
    assert unsaid.stderr == ""
    assert unsaid.stdout == said.stdout != ""
    assert "--limit" in kws(*query).stderr  # the next command says all again
    assert "there is no run 'zzzz'" in refused("runs", "show", "zzzz", "-q", "--db", REGISTRY)


def test_what_is_insisted_on_is_said_quietly_too(capsys):
    with quiet.quietly(True):
        sys.stderr.write("a note")
        quiet.insist("an error")
    with quiet.quietly(False):
        quiet.insist("another")
    assert capsys.readouterr().err == "an error\nanother\n"


def test_quiet_before_the_command_says_where_it_belongs():
    assert "write it after the command" in refused("-q", "train", code=2)
