"""The words of a publication beside a table: captions, and the rows of its figures and of its claims."""

from __future__ import annotations

from kws.recipe import counted
from kws.reports.reference import INCONCLUSIVE, Paper
from kws.reports.statistics import CONFIDENCE

CLAIM_COLUMNS = ("", "claim", "measured here", "verdict", "why")


def figures_caption(paper: Paper) -> str:
    """What the figures are, and what the intervals of their differences are over."""
    given = ", which gives error rates," if paper.error_rate else ""
    return (
        f"{paper.metric} in {paper.source}{given} and here; intervals of the differences are {100 * CONFIDENCE:g} %, "
        f"for {_runs(paper)} there on {_clips(paper)}."
    )


def figure_rows(paper: Paper) -> tuple[tuple[str, ...], ...]:
    """A row a figure: what it is of, there, here, and the difference."""
    return tuple((each.title, each.reported_text, each.here_text, each.difference_text) for each in paper.figures)


def claims_caption(paper: Paper) -> str:
    """What the intervals are, and what would settle a part means."""
    count = len(paper.claims)
    level = f"{100 * paper.level:.4g} %"
    if count > 1:
        level += f", so that all {count} verdicts are right with {100 * CONFIDENCE:g} % confidence"
    text = (
        f"What it claims, and what these runs say of each part (intervals are {level}; with one seed nothing can be "
        "told)."
    )
    if any(each.plan for claim in paper.claims for each in claim.evidence if each.verdict == INCONCLUSIVE):
        text += (
            " What would settle a part does so in 4 of 5 repetitions (80 % power), each with other seeds and speakers, "
            "if the true difference is the one measured."
        )
    return text


def claim_rows(paper: Paper) -> tuple[tuple[str, ...], ...]:
    """A row a claim with its verdict, and below it a row a part; see CLAIM_COLUMNS."""
    rows = []
    for claim in paper.claims:
        rows.append((str(claim.number), claim.statement, "", claim.verdict, claim.why))
        rows += [("", each.about, each.measured, each.verdict, each.why) for each in claim.evidence]
    return tuple(rows)


def _runs(paper: Paper) -> str:
    seeds = {figure.reported_seeds for figure in paper.figures}
    if len(seeds) > 1:
        return "as many runs as it states, or one,"
    (n,) = seeds
    return (
        "one run (seeds are not stated)" if n is None else "one run" if n == 1 else f"the mean of {counted(n, 'run')}"
    )


def _clips(paper: Paper) -> str:
    clips = {figure.reported_clips for figure in paper.figures}
    if len(clips) > 1:
        return "as many other clips as it states, or as here"
    (n,) = clips
    return "as many other clips (theirs are not stated)" if n is None else f"{n:,} other clips"
