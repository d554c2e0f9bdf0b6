"""kws: keyword spotting experiments that can be trusted, every run in one SQLite file."""

__version__ = "0.1.0"

# By default Python looks for cycles after 700 new objects, again and again through all that PyTorch brings along: a
# third of the time of listing 12,000 clips.
ALLOCATIONS = 200_000
