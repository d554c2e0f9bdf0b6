"""Trust: whether the code of a network of the user's own, which is in a registry, may run.

A registry may come from anywhere, so that its code never runs unasked. Nothing is remembered between commands: one that
has to build such a network asks each time, unless its own --arch names a file with the same source.
"""

from __future__ import annotations

from kws.errors import UntrustedError
from kws.recipe import own
from kws.registry.reader import RegistryReader
from kws.registry.runs import Run

ALL = "all"
_SHORTEST = 8
_SHOWN = 16


def admit(registry: RegistryReader, run: Run, trusted: str | None) -> None:
    """Let this process build a run's network; runs the code of one of the user's own.

    `trusted` is what the user trusts: a digest, an unambiguous beginning of one, ALL, or nothing. Raises UntrustedError
    for a source that is none of these, and RegistryError for one that is missing or does not have its digest.
    """
    digest = run.recipe.source
    if digest is None or own.source_of(digest) is not None:
        return
    source = registry.source(run.id) or ""
    look = f"`kws runs show {run.id} --source` shows it"
    if trusted is None:
        raise UntrustedError(
            f"the network of run {run.id} is code from {registry.path}, SHA-256 {digest}, and runs only if asked to: "
            f"{look}, and --trust-code {digest[:_SHOWN]} runs it"
        )
    if trusted != ALL:
        if len(trusted) < _SHORTEST:
            raise UntrustedError(f"--trust-code {trusted} is too short; give {_SHORTEST} letters of the digest or more")
        if not digest.startswith(trusted.lower()):
            raise UntrustedError(f"--trust-code {trusted} is not the code of run {run.id}, SHA-256 {digest}; {look}")
        if len(registry.sources_beginning(trusted.lower())) > 1:
            raise UntrustedError(f"--trust-code {trusted} begins several sources of {registry.path}; give more of it")
    own.taken(source, f"<source {digest[:_SHORTEST]}>")
