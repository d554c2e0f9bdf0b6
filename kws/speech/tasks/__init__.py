"""The tasks: what is to be told apart, one file each; a file v2_12.py is `--task v2-12`.

Each has `classes(config)`, the names of the classes that it may have, and `assign(folder, config, track)`, which gives
the clips of a folder their classes, leaves others out, and may add clips that it cuts from longer recordings or takes
from another folder (kws.speech.classes.Assigned). A task that takes the course's arrays, too, has `columns(config)`,
the words that their first columns stand for. Its docstring names the publication whose protocol it follows.
"""
