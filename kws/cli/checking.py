"""What `kws data check` needs of a run, and of a page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.cli import pages

if TYPE_CHECKING:
    from kws.speech.checks.labels import Judge
    from kws.speech.checks.report import Report


def judge(run: str, db: Any, trust_code: str | None) -> Judge:
    """The network that contradicts labels: a run's, with the clips that it was trained on, or an exported file's.

    The test clips of a run that is not tested yet are withheld. Raises KwsError where there is no such network.
    """
    from kws.cli import options
    from kws.events import TEST, TRAIN
    from kws.registry.reader import RegistryReader
    from kws.speech.checks.labels import Judge

    detector, found = options.detector(run, db, trust_code)
    digests: dict[str, frozenset[bytes]] = {}
    if found is not None:
        with RegistryReader(db) as registry:
            for split in (TRAIN, TEST):
                manifest = registry.manifest(found.data_fingerprint, split)
                digests[split] = frozenset(manifest.each_digest() if manifest else ())
    return Judge(
        run=run if found is None else found.id,
        words=detector.words,
        probabilities=detector.model.probabilities,
        trained_on=digests.get(TRAIN, frozenset()),
        withheld=digests[TEST] if found is not None and found.awaits_test else frozenset(),
    )


def require_page(path: Path) -> None:
    """Raise PageError for a file that is no page by its name or cannot be there, before the clips are read."""
    pages.require_html(path, "html", "kws data check clips --html suspects.html")
    pages.require_place(path)


def write_page(report: Report, path: Path) -> None:
    """Write the page of a report with its suspects. Raises PageError where it cannot be written."""
    from kws.reports.page import check
    from kws.speech.checks.suspects import suspects

    groups = [
        check.Group(
            title=group.title,
            rows=[
                [
                    check.Picture(
                        name=each.clip.name, word=each.clip.word, split=each.clip.split, note=each.note,
                        waveform=each.waveform, features=each.features,
                    )
                    for each in row
                ]
                for row in group.rows
            ],
            more=group.more,
        )
        for group in suspects(report)
    ]  # fmt: skip
    page = check.page(
        report.source, report.folder, [step.step for step in report.first], report.counts, report.speakers, groups
    )
    pages.write(path, page)
