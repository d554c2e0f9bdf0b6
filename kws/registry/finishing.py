"""Finishing: what is recorded when runs have ended, of all that end at once in one transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from kws.events import DataCard, Evaluation
from kws.registry import entries
from kws.registry.protocols import Writing, among
from kws.registry.runs import FINISHED
from kws.registry.state_files import WEIGHTS, StateFiles

_FINISHED = "SELECT key, sha256 FROM trainings JOIN weights ON run_key = key"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The end of a run: its final weights, and its answers on the test and validation splits of the data of `card`.

    `weights` is empty where a file has them, at `url`. A run that is not tested has no `evaluation`.
    """

    card: DataCard
    evaluation: Evaluation | None
    validation: Evaluation | None
    weights: bytes
    sha256: str
    url: str | None

    @classmethod
    def of(
        cls,
        run_id: str,
        evaluation: Evaluation | None,
        validation: Evaluation | None,
        card: DataCard,
        weights: bytes,
        files: StateFiles | None,
    ) -> Ending:
        """The ending of a run whose weights are written to `files`, if there are any; else the registry keeps them."""
        url = files.write(run_id, WEIGHTS, weights) if files else None
        return cls(
            card=card,
            evaluation=evaluation,
            validation=validation,
            weights=b"" if url else weights,
            sha256=hashlib.sha256(weights).hexdigest(),
            url=url,
        )


def finish(connection: Writing, endings: Sequence[tuple[int, Ending]]) -> None:
    """Record the ends of runs, by key; their checkpoints are dropped. A second time changes nothing."""
    known = {
        (row["key"], row["sha256"])
        for where, about in among("key", [key for key, _ in endings])
        for row in connection.execute(f"{_FINISHED} {where} AND status = '{FINISHED}'", about)
    }
    for where, about in among("run_key", [key for key, _ in endings]):
        connection.execute(f"DELETE FROM checkpoints {where}", about)  # noqa: S608 - our names
    new = [(key, each) for key, each in endings if (key, each.sha256) not in known]
    if not new:
        return  # an earlier attempt was kept, and the reply to its COMMIT was lost
    rows = [(each.url, {"run_key": key, "sha256": each.sha256, "safetensors": each.weights}) for key, each in new]
    entries.insert_each(connection, "weights", [row for url, row in rows if not url])
    entries.insert_each(connection, "weights", [row | {"url": url} for url, row in rows if url])
    at = entries.now()
    for where, about in among("key", [key for key, _ in new]):
        ended = about | {"status": FINISHED, "now": at}
        connection.execute(f"UPDATE trainings SET status = :status, ended_at = :now {where}", ended)  # noqa: S608 - ours
    answers = [(key, of, each.card) for key, each in new for of in (each.evaluation, each.validation) if of]
    entries.keep_evaluations(connection, answers, at=at)
