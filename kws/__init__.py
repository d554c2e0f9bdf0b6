"""kws: keyword spotting experiments that can be trusted, every run in one SQLite file."""

__version__ = "0.1.0"
