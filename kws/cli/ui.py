"""`kws ui`: the page of `kws report` live in a browser, while runs train in other processes."""

from typing import Annotated

import typer

from kws.cli import options

PORT = 8530


def ui(
    port: Annotated[
        int, typer.Option(min=0, max=65535, metavar="PORT", help="The port on this machine; 0 takes a free one.")
    ] = PORT,
    db: options.Db = options.DEFAULT_DB,
) -> None:
    """Show the registry in a browser, and follow it.

    The page has Table 1, curves, confusion matrices and every run, and follows runs that train meanwhile. It only
    reads, and only this machine reaches it. Ctrl-C ends it. It needs the extra `page`.

    Example: kws ui --port 8530
    """
    from kws.errors import PageError, needs
    from kws.registry.reader import RegistryReader

    try:
        from kws.reports.page import serving
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise PageError(needs("kws ui", missing)) from None
    with RegistryReader(db):
        pass  # what is not a registry is refused before the server starts
    with serving.listening(port) as listener:
        typer.echo(f"{serving.address(listener)} shows {db}; Ctrl-C ends it", err=True)
        serving.serve(db, listener)
