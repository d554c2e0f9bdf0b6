"""What was meant by an option or a command that does not exist: by its meaning elsewhere, else by its letters."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

_OPTIONS = {
    "--learning-rate": ("--lr", "--rate", "--learningrate", "--step-size"),
    "--batch-size": ("--bs", "--batch", "--batchsize", "--minibatch", "--minibatch-size", "--mb"),
    "--epochs": ("--epoch", "--num-epochs", "--n-epochs", "--max-epochs", "--ep", "--iterations"),
    "--arch": ("--architecture", "--model", "--network", "--net"),
    "--opt": ("--optimizer", "--optimiser", "--optim"),
    "--data": ("--dataset", "--data-dir", "--data-folder", "--data-path", "--folder", "--input", "--clips"),
    "--words": ("--keywords", "--labels", "--classes", "--targets", "--wake-words"),
    "--weight-decay": ("--wd", "--decay", "--l2"),
    "--out": ("--output", "-o", "--save", "--save-as", "--outfile", "--output-file", "--destination"),
    "--device": ("--gpu", "--cuda", "--accelerator"),
    "--jobs": ("--workers", "--num-workers", "--parallel", "--processes"),
    "--threads": ("--num-threads", "--cores", "--cpus"),
    "--seed": ("--random-seed", "--random-state"),
    "--seeds": ("--num-seeds", "--repeats", "--runs"),
    "--folds": ("--cv", "--cross-validation", "--k-fold", "--n-folds"),
    "--from": ("--pretrained", "--checkpoint", "--weights", "--finetune", "--fine-tune", "--init"),
    "--resume": ("--continue", "--restart"),
    "--db": ("--database", "--registry", "--sqlite"),
    "--json": ("--as-json", "--format-json"),
    "--where": ("--filter", "--query"),
    "--int8": ("--quantize", "--quantise", "--quantized"),
    "--threshold": ("--thresholds", "--cutoff"),
    "--html": ("--page", "--report"),
}
_COMMANDS = {
    "runs list": ("ls", "list", "history", "experiments"),
    "runs show": ("show", "info", "describe"),
    "eval": ("evaluate", "score", "validate"),
    "predict": ("infer", "inference", "classify", "run"),
    "compare": ("table", "table1", "leaderboard"),
    "export or runs export": ("onnx", "convert", "save"),
    "listen": ("mic", "microphone", "detect"),
    "data check": ("check", "doctor", "validate-data"),
    "data download": ("download", "fetch"),
    "data synth": ("synth", "synthesize", "synthesise", "tts"),
    "data cut": ("cut", "segment"),
    "sweep": ("grid", "search"),
    "tune": ("optimize", "optimise", "hyperparameters"),
    "start": ("init", "new", "quickstart"),
    "ui": ("dashboard", "serve", "web"),
}


def option(name: str, there: Iterable[str]) -> str | None:
    """The option of a command that an unknown one stands for; None where none is near."""
    known = [*there]
    meant = [each for each, others in _OPTIONS.items() if name in others and each in known]
    return meant[0] if meant else next(iter(get_close_matches(name, known, 1, 0.6)), None)


def command(name: str, there: Iterable[str]) -> str | None:
    """The command that an unknown one stands for; None where none is near."""
    meant = [each for each, others in _COMMANDS.items() if name in others]
    return meant[0] if meant else next(iter(get_close_matches(name, [*there], 1, 0.6)), None)


def sentence(error: Any) -> str | None:
    """What to say of an option or a command that does not exist; None of any other mistake."""
    context = getattr(error, "ctx", None)
    if context is None:
        return None
    if (name := getattr(error, "option_name", None)) and hasattr(error, "possibilities"):
        flags = [flag for each in context.command.params for flag in (*each.opts, *each.secondary_opts)]
        found = option(name, [flag for flag in flags if flag.startswith("-")])
        of = f"{context.command_path} has no option {name}"
        return f"{of}. Did you mean {found}?" if found else f"{of}; see `{context.command_path} --help`"
    return None
