"""What was meant by an option, command or value that there is not: by its meaning elsewhere, else by its letters."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from kws.recipe.wording import suggestion

GROUPS = ("runs", "db", "data")
_OPTIONS = {
    "--learning-rate": ("--lr", "--rate", "--learningrate", "--step-size"),
    "--batch-size": ("--bs", "--batch", "--batchsize", "--minibatch", "--minibatch-size", "--mb"),
    "--epochs": ("--epoch", "--num-epochs", "--n-epochs", "--max-epochs", "--ep", "--iterations"),
    "--arch": ("--architecture", "--model", "--network", "--net"),
    "--opt": ("--optimizer", "--optimiser", "--optim"),
    "--data": ("--dataset", "--data-dir", "--data-folder", "--data-path", "--folder", "--input", "--clips"),
    "--words": ("--keywords", "--labels", "--classes", "--targets", "--wake-words"),
    "--weight-decay": ("--wd", "--decay", "--l2"),
    "--out": ("--output", "--save", "--save-as", "--outfile", "--output-file", "--destination"),
    "--device": ("--gpu", "--cuda", "--accelerator"),
    "--jobs": ("--workers", "--num-workers", "--parallel", "--processes"),
    "--threads": ("--num-threads", "--cores", "--cpus"),
    "--seed": ("--random-seed", "--random-state", "--seeds"),
    "--seeds": ("--num-seeds", "--repeats", "--runs", "--seed"),
    "--folds": ("--cv", "--cross-validation", "--k-fold", "--n-folds"),
    "--from": ("--pretrained", "--checkpoint", "--weights", "--finetune", "--fine-tune", "--init"),
    "--resume": ("--continue", "--restart"),
    "--patience": ("--early-stopping", "--early-stop"),
    "--db": ("--database", "--registry", "--sqlite"),
    "--json": ("--as-json", "--format-json"),
    "--quiet": ("--silent", "--no-progress"),
    "--where": ("--filter", "--query"),
    "--limit": ("--most", "--head", "--top", "-n"),
    "--sort": ("--order-by", "--sort-by", "--order"),
    "--int8": ("--quantize", "--quantise", "--quantized"),
    "--threshold": ("--thresholds", "--cutoff"),
    "--html": ("--page", "--report"),
    "--dry-run": ("--plan", "--show", "--preview"),
    "--show": ("--dry-run", "--plan", "--preview"),
}
_TOO_MUCH = "Got unexpected extra argument(s)"
_NUMBERS = {
    "int": "a whole number", "int range": "a whole number", "float": "a number", "float range": "a number",
}  # fmt: skip
_AFTER_THE_COMMAND = ("-q", "--quiet", "--json", "--db", "-o", "--out", "--data")
_COMMANDS = {
    "runs list": ("ls", "history", "experiments"),
    "runs show": ("describe", "cat", "get"),
    "runs delete": ("rm", "remove", "del"),
    "runs restore": ("undelete", "undo"),
    "runs purge": ("clean", "gc", "prune", "vacuum"),
    "runs note": ("annotate", "comment", "rename"),
    "runs tag": ("label", "untag"),
    "runs diff": ("difference",),
    "db info": ("status", "stats", "size", "version"),
    "db doctor": ("fsck", "repair", "fix", "verify", "integrity"),
    "db backup": ("dump", "snapshot"),
    "db copy": ("migrate", "push", "sync", "merge"),
    "db query": ("sql", "select", "ask"),
    "eval": ("evaluate", "score", "validate", "accuracy"),
    "predict": ("infer", "inference", "classify", "run"),
    "compare": ("table", "table1", "leaderboard", "results"),
    "export": ("onnx", "convert", "save", "quantize", "deploy"),
    "runs export": ("save", "share"),
    "runs import": ("load",),
    "listen": ("mic", "microphone", "detect"),
    "stream": ("detect",),
    "data check": ("doctor", "verify", "validate", "validate-data"),
    "data download": ("fetch", "get", "pull"),
    "data synth": ("synthesize", "synthesise", "tts", "generate"),
    "data cut": ("segment", "split"),
    "data list": ("datasets", "sources"),
    "train": ("fit", "resume", "run"),
    "sweep": ("grid", "search", "multirun"),
    "tune": ("optimize", "optimise", "hyperparameters", "optuna"),
    "start": ("init", "new", "quickstart"),
    "ui": ("dashboard", "serve", "web", "tensorboard"),
    "plot": ("figure", "graph", "draw", "curves"),
    "watch": ("monitor", "follow", "progress"),
    "summary": ("model", "layers", "params"),
    "bench": ("benchmark", "speed"),
    "rerun": ("reproduce", "repeat"),
}
_WHAT = {  # said where several are named
    "export": "a network, as a file that runs without kws",
    "runs export": "a run, as a registry of its own",
    "compare": "Table 1",
    "runs diff": "two runs",
    "data check": "recordings",
    "db doctor": "the registry",
    "runs list": "runs",
    "data list": "data",
    "runs show": "a run",
    "db info": "the registry",
}


def option(name: str, there: Iterable[str]) -> str | None:
    """The option of a command that an unknown one stands for; None where none is near."""
    known = [*there]
    meant = [each for each, others in _OPTIONS.items() if name in others and each in known]
    return meant[0] if meant else next(iter(get_close_matches(name, known, 1, 0.6)), None)


def command(name: str, root: Any, group: str | None = None) -> str | None:
    """The commands that an unknown one, of a group or of none, stands for, as typed; None where none is near.

    A command of the same group comes first, by its meaning or by its letters; then one of another group.
    """
    name = name.casefold()
    every = [*root.commands, *(f"{each} {inner}" for each in GROUPS for inner in root.commands[each].commands)]
    found = [each for each, others in _COMMANDS.items() if name in others]
    found += [each for each in every if each.split()[-1] == name and each not in found]
    inside = [each for each in found if group in GROUPS and each.startswith(f"{group} ")]
    if not inside:
        inside = _alike(name, [each for each in every if each.startswith(f"{group} ")] if group in GROUPS else [])
    found = inside or found or _alike(name, every)
    told = [f"kws {each} ({_WHAT[each]})" if len(found) > 1 and each in _WHAT else f"kws {each}" for each in found]
    return " or ".join(told) or None


def _alike(name: str, commands: Iterable[str]) -> list[str]:
    """The commands whose last words have nearly the letters of a name."""
    by_word: dict[str, list[str]] = {}
    for each in commands:
        by_word.setdefault(each.split()[-1], []).append(each)
    return by_word[found[0]] if (found := get_close_matches(name, by_word, 1, 0.6)) else []


def sentence(error: Any) -> str | None:
    """What to say of a mistake in the command line in our own words; None where the parser's will do.

    Those are an option or a value that there is not, and what is missing, is too much, or is no number.
    """
    context = getattr(error, "ctx", None)
    if context is None:
        name = getattr(error, "option_name", None)
        return f"{name} needs a value after it" if name and "requires an argument" in str(error.message) else None
    message, param = str(error.message), getattr(error, "param", None)
    if name := getattr(error, "option_name", None):
        return _no_option(name, context) if hasattr(error, "possibilities") else None
    if hasattr(error, "param_type"):  # what is missing
        return _needs(context, param) if param else None
    if message.startswith(_TOO_MUCH):
        return _too_much(message.removeprefix(_TOO_MUCH).strip("() "), context)
    if param is None:
        return None
    said = re.match(r"('(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\") is not (?:a valid ([a-z ]+)\.?$|one of )", message)
    if said is None:
        return None
    given = ast.literal_eval(said[1])
    if said[2] in _NUMBERS and param.opts:
        return f"{param.opts[0]} (={given}) must be {_NUMBERS[said[2]]}; see `{context.command_path} --help`"
    choices = [str(getattr(each, "value", each)) for each in getattr(param.type, "choices", ())]
    near = suggestion(given, choices)
    return f"{error.format_message().removesuffix('.')}{near}" if near else None


def _no_option(name: str, context: Any) -> str:
    of = f"{context.command_path} has no option {name}"
    if context.parent is None and name in _AFTER_THE_COMMAND:
        return f"{of} here; write it after the command, as in kws train ... {name}"
    flags = [flag for each in context.command.params for flag in (*each.opts, *each.secondary_opts)]
    found = option(name, [flag for flag in flags if flag.startswith("-")])
    return f"{of}. Did you mean {found}?" if found else f"{of}; see `{context.command_path} --help`"


def _needs(context: Any, param: Any) -> str:
    """What is missing, with what its help says of it, and the command's example."""
    name = param.human_readable_name if param.param_type_name == "argument" else param.opts[0]
    told = re.split(r"\. |\.$", param.help or "")[0]
    what = told if re.match("[A-Z]{2}", told) else told[:1].lower() + told[1:]
    example = re.search("Example: (.*)", context.command.help or "")
    where = f"; as in `{example[1]}`" if example else ""
    return f"{context.command_path} needs {name}{': ' if what else ''}{what}{where}"


def _too_much(given: str, context: Any) -> str:
    """What to say of an argument that a command does not take, as of a network without --arch before it."""
    from kws.recipe import BY_OPTION
    from kws.recipe.presets import presets

    there = {each.name: each.opts[0] for each in context.command.params}
    values = {name: [*kind.shipped, *kind.dashed] for name, kind in BY_OPTION.items()} | {"preset": [*presets()]}
    for name, names in values.items():
        if given in names and name in there:
            return f"{context.command_path} takes no {given!r} alone. Did you mean {there[name]} {given}?"
    arguments = [each.human_readable_name for each in context.command.params if each.param_type_name == "argument"]
    takes = (
        f"takes {' and '.join(arguments)}, and {given!r} is more" if arguments else f"takes options, and no {given!r}"
    )
    return f"{context.command_path} {takes}; see `{context.command_path} --help`"
