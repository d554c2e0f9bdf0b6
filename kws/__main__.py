"""`python -m kws` is the `kws` program."""

from kws.cli import main

main()
