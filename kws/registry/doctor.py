"""Checks and fixes a registry: its file, and every run's epochs, predictions, accuracy, weights and checkpoints."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from kws.errors import RegistryError
from kws.events import TEST
from kws.recipe import counted, last_epoch
from kws.registry import state_files
from kws.registry.location import Location, ServerUrl
from kws.registry.maintenance import back_up
from kws.registry.new_files import back_up_beside, free_name
from kws.registry.opening import open_database
from kws.registry.reader import RegistryReader
from kws.registry.runs import FINISHED, INTERRUPTED, LOST, RUNNING, Run
from kws.registry.selection import Selection

_SESSION = "SELECT coalesce(max(session), 0) FROM sessions WHERE run_key = :key"
_END_LOST = f"""
UPDATE trainings SET status = '{INTERRUPTED}', ended_at = :now
WHERE key = :key AND status = '{RUNNING}' AND ({_SESSION}) = :seen
"""  # noqa: S608 - our names


@dataclass(frozen=True)
class Finding:
    """A problem; `fix` is the SQL that fixes it, "" if nothing can.

    It does so only where what was `seen` is still there: the run may have gone on meanwhile.
    """

    run: str
    problem: str
    fix: str = ""
    key: int | None = None
    seen: object = None


def examine(path: Location) -> list[Finding]:
    """All problems of a registry, found in one snapshot of it."""
    with RegistryReader(path) as registry, registry.reading() as connection:
        if damage := registry.damage():
            return [Finding("", problem) for problem in damage]
        keys = {row["id"]: row["key"] for row in connection.execute("SELECT id, key FROM trainings")}
        try:
            runs = [*registry.runs(), *registry.runs(Selection(deleted=True))]
        except RegistryError as error:
            return [Finding("", str(error))]
        return [finding for run in runs for finding in _check_run(registry, run, keys[run.id])]


def _check_run(registry: RegistryReader, run: Run, key: int) -> list[Finding]:
    findings = []
    if run.status == LOST:
        with registry.reading() as connection:
            (session,) = connection.execute(_SESSION, {"key": key}).fetchone()
        findings.append(Finding(run.id, f"is lost; to resume it: kws train --resume {run.id}", _END_LOST, key, session))
    try:
        card = registry.card(run.data_fingerprint)
        if not _are_finite((card.mean, card.std, *(card.band_means or ()))):
            findings.append(Finding(run.id, "was on data whose mean or standard deviation is not finite"))
    except RegistryError as error:
        findings.append(Finding(run.id, f"was on data that cannot be read ({error})"))
    try:
        registry.source(run.id)
    except RegistryError as error:
        findings.append(Finding(run.id, f"has a network that cannot be built ({error})"))
    try:
        recorded = registry.epochs(run.id)
        epochs = [epoch.epoch for epoch in recorded]
    except RegistryError as error:
        return [*findings, Finding(run.id, f"has epochs that cannot be read ({error})")]
    if not _are_finite(loss for epoch in recorded for loss in (epoch.train_loss, epoch.validation_loss)):
        findings.append(Finding(run.id, "has epochs whose losses are not finite"))
    if epochs != list(range(1, len(epochs) + 1)):
        findings.append(Finding(run.id, "has gaps in its epochs"))
    elif run.epochs_done != len(epochs):
        fix = "UPDATE trainings SET epochs_done = (SELECT count(*) FROM epochs WHERE run_key = :key) WHERE key = :key"
        findings.append(Finding(run.id, f"says {counted(run.epochs_done, 'epoch')} but has {len(epochs)}", fix, key))
    if run.status == FINISHED:
        last = last_epoch(run.recipe, [epoch.validation_accuracy for epoch in recorded])
        if last is None or len(epochs) > run.recipe.epochs:
            findings.append(Finding(run.id, f"is finished but has {len(epochs)} of {run.recipe.epochs} epochs"))
        elif last < len(epochs):
            has = f"has {counted(len(epochs), 'epoch')}"
            findings.append(Finding(run.id, f"{has}, but its recipe ends it after epoch {last}"))
        findings += _check_answers(registry, run, key)
    return [*findings, *_check_blobs(registry, run, key)]


def mend(path: Location, findings: list[Finding], now: str) -> tuple[Path, int]:
    """Copy the registry, then fix what can be fixed; returns the copy's path and how many findings were fixed.

    The copy of a file is beside it, that of a server in the current folder.
    """
    copy = _copied_here(path) if isinstance(path, ServerUrl) else back_up_beside(path, "before-fix")
    mended = 0
    with closing(open_database(path, create=False)) as database, database.writing() as connection:
        for finding in findings:
            if finding.fix:
                mended += (
                    connection.execute(finding.fix, {"key": finding.key, "seen": finding.seen, "now": now}).rowcount > 0
                )
    return copy, mended


def _copied_here(url: ServerUrl) -> Path:
    name = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in url.name)
    copy = free_name(Path(f"{name}.db"), "before-fix")
    back_up(url, copy, files=False)  # one that is lacking may be what is to be mended
    return copy


def _are_finite(values: Iterable[float | None]) -> bool:
    return all(value is None or math.isfinite(value) for value in values)


def _check_answers(registry: RegistryReader, run: Run, key: int) -> list[Finding]:
    run_id, accuracy = run.id, run.test_accuracy
    try:
        evaluations = registry.evaluations(run_id)
        own = [e for card, e in evaluations if card.fingerprint == run.data_fingerprint and e.split == TEST]
        outputs = registry.logits(run_id, run.data_fingerprint, TEST) if own else None
    except RegistryError as error:
        return [Finding(run_id, f"has answers that cannot be read ({error})")]
    if not _are_finite(loss for _, each in evaluations for loss in (each.loss, each.objective)):
        return [Finding(run_id, "has an evaluation whose loss is not finite")]
    if not own and accuracy is None and not registry.was_tested(run):
        return []  # it awaits its test
    if not own:
        return [Finding(run_id, "is finished but has no answers on its test split")]
    answers, labels = own[0].predictions, own[0].labels
    if len(answers) != len(labels):
        return [Finding(run_id, f"has {len(answers)} answers on {len(labels)} test clips")]
    if outputs and not _largest(outputs, answers):
        drop = "DELETE FROM logits WHERE run_key = :key"
        return [Finding(run_id, "has logits on its test split that do not make its answers", drop, key)]
    right = sum(a == b for a, b in zip(answers, labels, strict=True)) / len(labels)
    if right != own[0].accuracy:
        return [Finding(run_id, f"says a test accuracy of {own[0].accuracy:.4f}, but its answers make {right:.4f}")]
    if accuracy != own[0].accuracy:
        fix = f"UPDATE trainings SET test_accuracy = {right!r} WHERE key = :key"  # noqa: S608 - a number
        return [Finding(run_id, "shows another test accuracy than its evaluation", fix, key)]
    return []


def _largest(logits: bytes, answers: bytes) -> bool:
    """Whether each clip's prediction has its largest logit; ties count, because logits are rounded to 16 bits."""
    import numpy as np

    outputs = np.frombuffer(logits, "<f2").reshape(len(answers), -1)
    chosen = outputs[np.arange(len(answers)), np.frombuffer(answers, np.uint8)]
    return bool((chosen == outputs.max(axis=1)).all())


def _check_blobs(registry: RegistryReader, run: Run, key: int) -> list[Finding]:
    """Problems of the weights and the checkpoint: a hash that does not match, or a file that cannot be loaded."""
    from safetensors import SafetensorError, deserialize

    findings, run_id, status = [], run.id, run.status
    for table in ("weights", "checkpoints"):
        with registry.reading() as connection:
            row = connection.execute(f"SELECT * FROM {table} WHERE run_key = :key", {"key": key}).fetchone()  # noqa: S608 - our names
        if row is None:
            continue
        drop = "DELETE FROM checkpoints WHERE run_key = :key AND sha256 = :seen" if table == "checkpoints" else ""
        seen = row["sha256"]
        try:
            data = state_files.content(row, run_id)
        except RegistryError as error:
            if isinstance(error, state_files.GoneError) and table == "checkpoints" and status == RUNNING:
                continue  # a newer one has replaced it
            fix = "" if isinstance(error, state_files.OutOfReachError) else drop
            findings.append(Finding(run_id, f"lacks its {table}: {error}", fix, key, seen))
            continue
        if hashlib.sha256(data).hexdigest() != seen:
            findings.append(Finding(run_id, f"has {table} that are not what their SHA-256 says", drop, key, seen))
            continue
        if status == FINISHED and table == "checkpoints":
            findings.append(Finding(run_id, "is finished but still has a checkpoint", drop, key, seen))
        try:
            deserialize(data)
        except SafetensorError as error:
            findings.append(Finding(run_id, f"has {table} that cannot be loaded ({error})", drop, key, seen))
    return findings
