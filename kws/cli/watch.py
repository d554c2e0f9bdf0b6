"""`kws watch`: runs while other processes train them."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from kws.cli import options

POLL_SECONDS = 1.0


def watch(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN",
            help="A run's id, any unambiguous beginning of it, or `last`; without any, all that are running.",
            autocompletion=options.complete_run,
        ),
    ] = None,
    db: options.Db = options.DEFAULT_DB,
) -> None:
    """Watch runs train: progress, time left, curves.

    It ends when the given runs have ended; without any it goes on, and shows new runs too, until Ctrl-C or until
    nobody sees it any more. Where stdout is no terminal, it prints a line for each new epoch.

    Example: kws watch last
    """
    from kws.registry.polling import Follower
    from kws.reports.progress import progress
    from kws.terminal import live, streams
    from kws.training.stopping import Stopped, stoppable

    try:
        with stoppable(), Follower(db) as registry:
            if runs:
                registry.follow(registry.run(run).id for run in dict.fromkeys(runs))
            with live.view(db.name) as view:
                while True:
                    now = datetime.now(UTC)
                    rows = [progress(followed, now) for followed in registry.look(now)]
                    view.show(rows)
                    if runs and not any(row.running for row in rows):
                        break
                    if streams.stdout_has_no_reader() or (streams.stdout_is_gone() and not runs):
                        break  # with runs, others may wait for their end
                    view.wait(POLL_SECONDS)
    except KeyboardInterrupt as stop:
        raise Stopped(stop) from None
