"""The sections of a command's help: few, the same for every command, and in this order.

An option is made by the function of its section, as in `sections.data(help="...")`; one that is made by typer.Option is
the command's own and stands in OPTIONS. A page of few options has one section, since headings would be half of it.
"""

from __future__ import annotations

from functools import partial

import typer

OPTIONS = "Options"
RECIPE = "Recipe"
ONE_NETWORK = "Of one network only"
ONE_OPTIMIZER = "Of one optimizer, schedule or average only"
AUGMENTATION = "Augmentation"
TRAINING = "Training"
DATA = "Data"
DETECTION = "Detection"
MADE_STREAMS = "Streams that are made"
REGISTRY = "Registry"
OUTPUT = "Output"

EVERY = (
    OPTIONS, RECIPE, ONE_NETWORK, ONE_OPTIMIZER, AUGMENTATION, TRAINING, DATA, DETECTION, MADE_STREAMS, REGISTRY,
    OUTPUT,
)  # fmt: skip
FEW = 10  # options that one section holds

recipe = partial(typer.Option, rich_help_panel=RECIPE)
training = partial(typer.Option, rich_help_panel=TRAINING)
data = partial(typer.Option, rich_help_panel=DATA)
detection = partial(typer.Option, rich_help_panel=DETECTION)
made_streams = partial(typer.Option, rich_help_panel=MADE_STREAMS)
registry = partial(typer.Option, rich_help_panel=REGISTRY)
output = partial(typer.Option, rich_help_panel=OUTPUT)
