"""How a run is made again: its recipe as the command line that trains it.

The command says what decides the run's bits: network, optimizer, its hyperparameters, epochs, minibatch, seed, data,
threads and device, whether or not these are defaults today; the rest only where it is not the default. The size of
slices has no option, since `kws train` finds it from the network.
"""

from __future__ import annotations

import shlex

from kws.recipe import Recipe

_ALWAYS = ("arch", "opt", "learning_rate", "momentum", "weight_decay", "epochs", "batch_size", "seed")
_LAST = ("data", "threads", "device")
_WHERE_UNUSUAL = ("maps", "words", "speakers", "precision", "selection")
_OPTIONS = {"selection": "select"}


def command(recipe: Recipe) -> str:
    """The `kws train` command of this recipe, quoted for a shell."""
    words = ["kws", "train", *options(recipe)]
    if recipe.softmax:
        words.append("--softmax")
    return shlex.join(words)


def options(recipe: Recipe, *, without: tuple[str, ...] = ()) -> list[str]:
    """The options of the command that trains this recipe, but for --softmax and those of the fields `without`."""
    words = []
    unusual = tuple(name for name in _WHERE_UNUSUAL if getattr(recipe, name) != getattr(Recipe, name))
    for name in (*_ALWAYS, *unusual, *_LAST):
        value = getattr(recipe, name)
        if value is not None and name not in without:
            words += [f"--{_OPTIONS.get(name, name).replace('_', '-')}", plain(value)]
    return words


def plain(value: object) -> str:
    """A recipe's value as an option takes it."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
