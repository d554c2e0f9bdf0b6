"""Facts: what is true of a whole table, and how authors say it in sentences of their own.

Decisions:
- A pattern finds a fact by the words beside its number: "50 epochs", "a batch size of 1024", "over five seeds". Numbers
  may be words.
- The facts that may be stated about a table come from its runs. If the runs differ, each of their values may be stated.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kws.recipe import BEST, FINAL
from kws.reports.metrics import METRICS
from kws.reports.table import Table
from kws.reports.tokens import WORD, Token, content, normal, plain, tokens

if TYPE_CHECKING:
    from kws.reports.estimates import Estimate
    from kws.reports.folds import FoldTable

EPOCHS, BATCH, CLIPS, SEEDS, RUNS, FINGERPRINT = "epochs", "minibatch", "clips", "n", "runs", "fingerprint"
PARAMETERS, LEVEL, PRECISION = "parameters", "confidence", "precision"
SELECTION, METRIC, DATA = "selection", "metric", "data"
_SMALL = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred")
WORDS = {word: str(n) for n, word in enumerate(_SMALL, start=1)} | {
    word: str(10 * n) for n, word in enumerate(_TENS, start=2)
}
_NUMBER = rf"(?P<value>(?<![\w.,])(?:\d[\d,]*(?:\.\d+)?|{'|'.join(WORDS)})(?![\w]|\.\d))"
_IS = r"""(?:[\s=:(`'"\u201c\u2248]|\b(?:of|is|was|are|were|set to|size)\b)*"""
_CLIPS = r"(?:clips?|utterances?|recordings?|examples?|samples?|files?)"
_PATTERNS = [
    (what, re.compile(pattern.replace("NUMBER", _NUMBER).replace("IS", _IS).replace("CLIPS", _CLIPS)))
    for what, pattern in (
        (BATCH, r"NUMBER\s*(?:CLIPS\s+)?(?:per|a|in (?:each|a|every))\s+(?:mini[- ]?)?batch\b"),
        (BATCH, r"\b(?:mini[- ]?)?batch(?:es)?(?:[- ]?sizes?)?ISNUMBER"),
        (EPOCHS, r"NUMBER[- ]?(?:training )?epochs?\b"),
        (EPOCHS, r"\bepochs?ISNUMBER"),
        (CLIPS, r"NUMBER\s+(?:(?:test|evaluation|held-out|unseen)\s+)?CLIPS\b(?!\s+(?:per|a|in (?:each|a|every))\b)"),
        (
            CLIPS,
            r"\b(?:test|evaluation) (?:set|split|data|clips)(?:\s|,|\bwith\b|\bhas\b|\bcontains\b)*IS(?:n = )?NUMBER",
        ),
        (SEEDS, r"\bn\s*=\s*NUMBER"),
        (SEEDS, r"NUMBER\s+(?:(?:random|different|independent|training)\s+)?seeds?\b"),
        (RUNS, r"NUMBER\s+(?:(?:random|different|independent|training)\s+)?(?:runs?|repetitions|trainings|repeats)\b"),
        (SEEDS, r"\bseeds\s*[=:]\s*NUMBER"),
        (FINGERPRINT, r"\b(?:fingerprint|digest)(?:ed)?IS(?P<value>[0-9a-f]{6,64})\b"),
        (PARAMETERS, r"NUMBER\s*(?:params?|parameters|weights)\b"),
        (LEVEL, r"NUMBER\s*%\s*(?:confidence|intervals?|ci)\b"),
        (LEVEL, r"\b(?:intervals?|ci)(?:\s|\bat\b)*ISNUMBER\s*%"),
    )
]
_TRAINING = re.compile(r"\b(?:train|valid|develop|dev\b)")
_SPAN = re.compile(r"\b(?:up to|at least|at most|from|between|more than|fewer than|less than|to|and)\s+$")
_PRECISIONS = {"fp32": "fp32", "float32": "fp32", "bf16": "bf16", "bfloat16": "bf16", "fp16": "fp16", "float16": "fp16"}
_CHOSEN = re.compile(
    r"\b(?:best|highest|lowest)\b[^.;=]{0,40}\bvalidation\b|\bvalidation\b[^.;=]{0,20}\bbest\b|\bbest epoch\b"
)
_LAST = re.compile(r"\b(?:last|final) epoch\b|\bafter (?:training for )?[\w,]+ epochs?\b")
# Data sets with names of their own, which a table on another data set must not have.
_SOURCES = ("synthetic", "mini_speech_commands", "speech_commands", "speech_commands_v0.02")


@dataclass(frozen=True, kw_only=True)
class Found:
    """A fact that a text states, with its value's place in the normalized text."""

    what: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What may be stated about a table: values by fact, values before rounding, full codes, and its words."""

    values: Mapping[str, frozenset[str]]
    some: frozenset[str]  # numbers of seeds, if cells differ in them
    known: tuple[float, ...]
    codes: frozenset[str]
    data: str
    other_data: frozenset[str]
    metric: str

    def allows(self, found: Found) -> bool | None:
        """Whether the registry agrees with a stated fact; None if it does not know."""
        values = self.values.get(found.what, frozenset())
        if not values or (found.what in (SEEDS, RUNS) and found.value in self.some):
            return None
        if found.what == FINGERPRINT:
            return any(value.startswith(found.value) for value in values)
        return found.value in values

    def told(self, what: str) -> str:
        """The registry's values of a fact, as readable text."""
        values = sorted(self.values.get(what, ()), key=lambda value: (len(value), value))
        return " or ".join([value[:12] for value in values] if what == FINGERPRINT else values)


def facts_of(table: Table, tables: Sequence[Table]) -> Facts:
    """The facts of a table among these tables."""
    runs, cells = table.runs, table.cells
    seeds = {str(cell.n) for cell in cells}
    values = {
        EPOCHS: {str(run.recipe.epochs) for run in runs} | {str(run.epochs_done) for run in runs if run.ended_by},
        BATCH: {str(run.recipe.batch_size) for run in runs},
        CLIPS: {str(table.test_clips)},
        SEEDS: seeds,
        RUNS: (seeds if len(seeds) == 1 else set()) | {str(len(runs))},
        FINGERPRINT: {table.data_fingerprint},
        PARAMETERS: {str(run.parameters) for run in runs},
        LEVEL: {each.value for each in found_in(normal(table.caption)) if each.what == LEVEL},
        PRECISION: {run.recipe.precision for run in runs},
        SELECTION: {run.recipe.selection for run in runs},
    }
    strings = {*_walk((cells, table.paper), str), *(run.environment.git_commit or "" for run in runs)}
    return Facts(
        values={what: frozenset(each) for what, each in values.items()},
        some=frozenset(seeds if len(seeds) > 1 else ()),
        known=tuple(
            each for value in (*_walk((cells, table.paper), float), *_beside(table)) for each in (value, 100 * value)
        ),
        codes=frozenset(text for text in {*strings, table.data_fingerprint} if re.fullmatch("[0-9a-f]{32,64}", text)),
        data=table.data,
        other_data=frozenset({each.data for each in tables} | {*_SOURCES}) - {table.data},
        metric=table.metric.title,
    )


def _beside(table: Table) -> Iterator[float]:
    """The means that stand beside a leaderboard's metric, before rounding."""
    for each in table.beside.values():
        yield from (v for v in (each.validation_accuracy, each.seconds, each.processor_seconds) if v is not None)


def facts_of_folds(table: FoldTable, tables: Sequence[FoldTable]) -> Facts:
    """The facts of a table over folds among these tables: of every fold, and of all of them together."""
    tested = [each for recipe in table.recipes for each in (*recipe.folds.values(), recipe.together) if each]
    runs = [run for each in tested for run in each.runs]
    seeds = {str(each.accuracy.n) for each in tested if each.accuracy}
    shares = [share for each in tested if each.accuracy for share in _shares(each.accuracy)]
    values = {
        EPOCHS: {str(run.recipe.epochs) for run in runs} | {str(run.epochs_done) for run in runs if run.ended_by},
        BATCH: {str(run.recipe.batch_size) for run in runs},
        CLIPS: {str(each.clips) for each in tested},
        SEEDS: seeds,
        RUNS: {str(len({run.id for run in runs}))},
        FINGERPRINT: {run.data_fingerprint for run in runs},
        PARAMETERS: {str(run.parameters) for run in runs},
        LEVEL: {"95"},
        PRECISION: {run.recipe.precision for run in runs},
        SELECTION: {run.recipe.selection for run in runs},
    }
    return Facts(
        values={what: frozenset(each) for what, each in values.items()},
        some=frozenset(seeds if len(seeds) > 1 else ()),
        known=tuple(each for share in shares for each in (share, 100 * share)),
        codes=frozenset(run.data_fingerprint for run in runs),
        data=table.data,
        other_data=frozenset({each.data for each in tables} | {*_SOURCES}) - {table.data},
        metric=METRICS["test-accuracy"].title,
    )


def _shares(accuracy: Estimate) -> tuple[float, ...]:
    return (accuracy.value, *accuracy.proportion_interval())


def _walk(made: Any, kind: type) -> Iterator[Any]:
    """Every value of a type inside dataclasses, sequences and mappings."""
    if isinstance(made, kind):
        yield made
    elif dataclasses.is_dataclass(made):
        for field in dataclasses.fields(made):
            yield from _walk(getattr(made, field.name), kind)
    elif isinstance(made, Mapping):
        yield from _walk(tuple(made.values()), kind)
    elif isinstance(made, tuple | list | frozenset | set):
        for each in made:
            yield from _walk(each, kind)


def found_in(text: str) -> list[Found]:
    """The facts with a number or code that a normalized text states; for each place, that of the first pattern."""
    text = text.casefold()
    taken: dict[int, Found] = {}
    for what, pattern in _PATTERNS:
        for match in pattern.finditer(text):
            start, end = match.span("value")
            value = WORDS.get(match["value"]) or (match["value"] if what == FINGERPRINT else plain(match["value"]))
            aside = what == CLIPS and _TRAINING.search(text[max(0, start - 24) : match.end() + 24])
            if not aside and not (what in (SEEDS, RUNS) and _SPAN.search(text[max(0, start - 20) : start])):
                taken.setdefault(start, Found(what=what, value=value.rstrip(","), start=start, end=end))
    return sorted(taken.values(), key=lambda each: each.start)


def words_in(text: str) -> Iterator[Found]:
    """The facts without a number that a normalized text states: the precision, and which epoch was selected."""
    text = text.casefold()
    for match in re.finditer(rf"\b(?:{'|'.join(_PRECISIONS)})\b", text):
        yield Found(what=PRECISION, value=_PRECISIONS[match[0]], start=match.start(), end=match.end())
    chosen = _CHOSEN.search(text)
    if told := chosen or _LAST.search(text):
        yield Found(what=SELECTION, value=BEST if chosen else FINAL, start=told.start(), end=told.end())


def other_metric(text: str, title: str) -> Found | None:
    """A metric that a normalized text names instead of the one with that title; None if there is none."""
    text = text.casefold()
    if normal(title).casefold() in text:
        return None
    for metric in METRICS.values():
        name = normal(metric.title).casefold()
        if len(name.split()) > 1 and name != normal(title).casefold() and (start := text.find(name)) >= 0:
            return Found(what=METRIC, value=metric.title, start=start, end=start + len(name))
    return None


def words_of(text: str) -> list[str]:
    """The tokens of a name, without punctuation."""
    return [token.text for token in content(tokens(normal(text)))]


def is_number_word(token: Token) -> bool:
    """Whether a token is a number written as a word."""
    return token.kind == WORD and token.text in WORDS


def same_name(one: str, other: str) -> bool:
    """Whether two names have the same words."""
    return _bare(one) == _bare(other)


def _bare(name: str) -> list[str]:
    name = re.sub(r"\(\s*[\d,.\s]*\s*[kKM]?\s*param\w*\)", "", normal(name))
    return [token.text for token in tokens(name) if token.kind not in ("mark", "sign")]


def find(name: str, among: Iterable[str]) -> str | None:
    """The registry's name that has the same words; None if there is none."""
    return next((each for each in among if same_name(each, name)), None)
