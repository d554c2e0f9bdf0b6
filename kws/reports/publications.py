"""Publications: figures of other authors in a TOML or CSV file, and what they claim of them. Standard library only.

Decisions:
- A figure is about a recipe, said as `kws train` is told it: what a row does not name has the default of its network
  and optimizer. So it is clear which cell of a table is meant, and epochs or a minibatch that differ are seen.
- A value must say its unit: "91.78 %", or a fraction such as 0.9178. 91.78 is refused, and so is 1, which may be
  either.
- A claim compares pairs of recipes and no more: one is better than the other by over so many points, or reaches an
  accuracy in fewer epochs.
- The report that this project implements is such a file, too: report.toml, beside this module.
"""

from __future__ import annotations

import csv
import io
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from kws.errors import RecipeError, RegistryError
from kws.recipe import Recipe, every_option
from kws.recipe.config import PLACE, SEED
from kws.recipe.known import current_name
from kws.recipe.presets import preset, with_any_noise
from kws.recipe.typed import parse

POINTS, EPOCHS = "points", "epochs"
ERROR_RATE = "error-rate"  # one minus the accuracy
METRICS = ("test-accuracy", ERROR_RATE, "f1")
_LARGEST = 1_000_000  # bytes; a publication's figures are less
_TEXTS = ("title", "short", "authors", "venue")
_OF_FIGURES = ("seeds", "deviation", "test_clips")  # which may be said once for all figures
_FILE = (*_TEXTS, "year", "metric", *_OF_FIGURES, "notes", "recipe", "figures", "claims")
_IN_CSV = (*_TEXTS, "year", "metric")  # which may be columns, said in the first row
_CLAIM = ("statement", "over", "unit", "size", "fewer_parameters", "parts")
_PART = ("about", "better", "worse")
_VALUE = re.compile(r"(?P<about>about |~|\u2248)?\s*(?P<number>\d+\.?\d*|\.\d+)\s*(?P<percent>%)?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Reported:
    """A figure of a publication: a share in the registry's own terms, and how it is printed there."""

    recipe: Recipe
    given: Mapping[str, Any]  # the values that the figure names, and the publication's own name for it as `name`
    value: float  # an error rate is one minus it
    text: str  # with the error rate in brackets, where that is what it prints
    digits: int  # decimals of the percentage
    seeds: int | None  # None if they are not stated, as the next two
    deviation: float | None  # over the seeds
    test_clips: int | None


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A part of a claim: one recipe is said to be better than another."""

    about: str  # what they are called together; "" if the file does not say
    better: Recipe
    worse: Recipe


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """A claim: in each pair, one recipe is better by over so many points, or reaches an accuracy in fewer epochs."""

    statement: str
    over: float = 0.0  # in `unit`
    unit: str = POINTS
    size: bool = False  # whether the size of the difference is judged, too, by the publication's own figures
    fewer_parameters: bool = False  # whether the better ones are said to have fewer parameters
    pairs: tuple[Pair, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Publication:
    """Figures of one metric, and claims about them."""

    title: str
    metric: str  # the registry's: test-accuracy or f1
    error_rate: bool = False  # whether the figures are error rates there
    short: str = ""  # what it is called in a sentence, as in "the report"
    authors: str = ""
    venue: str = ""
    year: int | None = None
    notes: tuple[str, ...] = ()
    figures: tuple[Reported, ...] = ()
    claims: tuple[Claimed, ...] = field(default=())

    @property
    def source(self) -> str:
        """What it is, by whom, from where and when, and over how many seeds."""
        seeds = {figure.seeds for figure in self.figures}
        many = "seeds not stated" if None in seeds else "one seed" if seeds == {1} else "several seeds"
        if len(seeds) == 1 and (n := next(iter(seeds))) and n > 1:
            many = f"{n} seeds"
        about = ", ".join(filter(None, [self.authors, self.venue, str(self.year or "")]))
        return f"{f'the {self.short}' if self.short else self.title} ({'; '.join(filter(None, [about, many]))})"

    def figure(self, recipe: Recipe) -> Reported | None:
        """What it reports of a recipe; None if nothing."""
        return next((figure for figure in self.figures if figure.recipe == recipe), None)


def key(recipe: Recipe) -> str:
    """The same for a recipe of a publication and for the runs that it is about, however their speakers are known."""
    return replace(with_any_noise(recipe), speakers=None).cell


@cache
def the_report() -> Publication:
    """The report that this project implements."""
    return read(Path(__file__).with_name("report.toml"))


def read(path: Path) -> Publication:
    """The publication in a file. Raises RegistryError, naming what is wrong in it, where it is none."""
    kinds = {".toml": _toml, ".csv": _csv}
    if path.suffix.lower() not in kinds:
        raise RegistryError(f"{path} must end in .toml or .csv, so that it is known how to read it")
    try:
        data = path.read_bytes() if path.stat().st_size <= _LARGEST else None
    except OSError as error:
        raise RegistryError(f"{path} cannot be read ({error.strerror})") from None
    if data is None:
        raise RegistryError(f"{path} is larger than {_LARGEST:,} bytes; a publication's figures are less")
    try:
        return _publication(kinds[path.suffix.lower()](data.decode("utf-8-sig")), path)
    except UnicodeDecodeError:
        raise RegistryError(f"{path} is not text in UTF-8") from None
    except (RecipeError, _FileError) as error:
        raise RegistryError(f"{path}: {error}") from None


class _FileError(Exception):
    """What is wrong in a file, without its name."""


def _toml(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _FileError(f"it is no TOML: {error}") from None


def _csv(text: str) -> dict[str, Any]:
    """A row a figure; what is about all of them stands in the first row."""
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if any(map(str.strip, row))]
    except csv.Error as error:
        raise _FileError(f"it is no CSV: {error}") from None
    head = [name.strip() for name in rows[0]] if rows else []
    if "value" not in head:
        raise _FileError("its first line must name the columns, `value` among them, as in arch,opt,value")
    if twice := next((name for name in head if head.count(name) > 1), None):
        raise _FileError(f"its first line names `{twice}` twice")
    made: dict[str, Any] = {"figures": []}
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(head):
            raise _FileError(f"line {number} has {len(row)} values for {len(head)} columns")
        cells = {name: text.strip() for name, text in zip(head, row, strict=True) if text.strip()}
        for name in [name for name in cells if name in _IN_CSV]:
            if made.setdefault(name, cells[name]) != cells[name]:
                raise _FileError(f"`{name}` is {made[name]!r} in one line and {cells[name]!r} in another; give it once")
            del cells[name]
        made["figures"].append(cells)
    return made


def _publication(told: Mapping[str, Any], path: Path) -> Publication:
    _require_known(told, _FILE, "the file")
    texts = {name: _text(told, name) for name in _TEXTS}
    metric = told.get("metric", METRICS[0])
    if metric not in METRICS:
        raise _FileError(f"`metric` (={metric!r}) must be one of {', '.join(METRICS)}")
    common = _table(told.get("recipe", {}), "`recipe`")
    every = {name: told[name] for name in _OF_FIGURES if name in told}
    figures = []
    for number, each in enumerate(_tables(told, "figures"), start=1):
        figures.append(_figure({**every, **each}, common, f"figure {number}", error_rate=metric == ERROR_RATE))
    if not figures:
        raise _FileError('it has no figures; one is [[figures]] with arch, opt and value = "91.78 %"')
    named = [key(figure.recipe) for figure in figures]
    if twice := next((number for number, each in enumerate(named, start=1) if each in named[: number - 1]), None):
        raise _FileError(f"figure {twice} is about the same recipe as figure {named.index(named[twice - 1]) + 1}")
    notes = told.get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise _FileError("`notes` must be a list of sentences")
    return Publication(
        **texts | {"title": texts["title"] or path.name},
        metric=METRICS[0] if metric == ERROR_RATE else metric,
        error_rate=metric == ERROR_RATE,
        year=_count(told, "year", "the file"),
        notes=tuple(" ".join(note.split()).rstrip(".") for note in notes),
        figures=tuple(figures),
        claims=tuple(
            _claim(each, common, f"claim {number}") for number, each in enumerate(_tables(told, "claims"), start=1)
        ),
    )


def _figure(told: Mapping[str, Any], common: Mapping[str, Any], where: str, *, error_rate: bool) -> Reported:
    if "value" not in told:
        raise _FileError(f'{where} has no `value`, such as "91.78 %"')
    given = {name: value for name, value in told.items() if name not in ("value", *_OF_FIGURES)}
    value, text, digits = _share(told["value"], f"{where}: `value`")
    deviation = _share(told["deviation"], f"{where}: `deviation`")[0] if "deviation" in told else None
    seeds, clips = (_count(told, name, where) for name in ("seeds", "test_clips"))
    if deviation is not None and (seeds is None or seeds < 2):
        raise _FileError(f"{where}: `deviation` needs `seeds` of 2 or more, over which it is")
    if error_rate:
        value, text = 1 - value, f"{100 * (1 - value):.{digits}f} % (error {text})"
    return Reported(
        recipe=_recipe({name: each for name, each in given.items() if name != "name"}, common, where),
        given=given | ({"name": _text(given, "name")} if "name" in given else {}),
        value=float(value),
        text=text,
        digits=digits,
        seeds=seeds,
        deviation=None if deviation is None else float(deviation),
        test_clips=clips,
    )


def _claim(told: Mapping[str, Any], common: Mapping[str, Any], where: str) -> Claimed:
    _require_known(told, _CLAIM, where)
    over, unit = told.get("over", 0), told.get("unit", POINTS)
    if unit not in (POINTS, EPOCHS):
        raise _FileError(f"{where}: `unit` (={unit!r}) must be {POINTS} or {EPOCHS}")
    if isinstance(over, bool) or not isinstance(over, int | float) or not 0 <= over < 100:
        raise _FileError(f"{where}: `over` (={over!r}) must be a number of {unit}, from 0 to 100")
    for name in ("size", "fewer_parameters"):
        if not isinstance(told.get(name, False), bool):
            raise _FileError(f"{where}: `{name}` (={told[name]!r}) must be true or false")
    pairs = []
    for number, each in enumerate(_tables(told, "parts"), start=1):
        part = f"{where}, part {number}"
        _require_known(each, _PART, part)
        sides = {}
        for side in ("better", "worse"):
            if side not in each:
                raise _FileError(f'{part} has no `{side}`, such as {side} = {{ arch = "cnn", opt = "adam" }}')
            sides[side] = _recipe(_table(each[side], f"{part}: `{side}`"), common, part)
        if key(sides["better"]) == key(sides["worse"]):
            raise _FileError(f"{part} compares a recipe with itself")
        pairs.append(Pair(about=_text(each, "about"), **sides))
    if not pairs or not _text(told, "statement"):
        raise _FileError(f"{where} needs a `statement`, and `parts` that each name a `better` and a `worse` recipe")
    return Claimed(
        statement=_text(told, "statement"),
        over=float(over),
        unit=unit,
        size=told.get("size", False),
        fewer_parameters=told.get("fewer_parameters", False),
        pairs=tuple(pairs),
    )


def _recipe(given: Mapping[str, Any], common: Mapping[str, Any], where: str) -> Recipe:
    """The recipe that these options make, beside those of the preset and of the whole file."""
    left = {**common, **given}
    options = dict(preset(_text(left, "preset")).options) if "preset" in left else {}
    for name, value in left.items():
        if name == "preset":
            continue
        try:
            option = current_name(name)
        except RecipeError:
            raise _FileError(
                f"{where} has `{name}`, which is no option of a recipe (see `kws train --help`), and none of name, "
                f"preset, value, {', '.join(_OF_FIGURES)}"
            ) from None
        about = every_option().get(option)
        if about and (about.bits or about.role in (SEED, PLACE)):
            raise _FileError(f"{where} has `{name}`, by which runs of one cell differ; leave it out")
        options[option] = value
    try:
        return Recipe.of(**{name: _typed(name, value) for name, value in options.items()})
    except RecipeError as error:
        raise _FileError(f"{where}: {error}") from None


def _typed(name: str, value: Any) -> Any:
    """A value of an option as a recipe has it. Raises RecipeError for what no option can be."""
    items = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(each, dict | list) for each in items):
        raise RecipeError(f"`{name}` (={value!r}) must be a value, or a list of values")
    if isinstance(value, list):
        return tuple(value)
    return parse(name, value) if isinstance(value, str) else value


def _share(value: Any, what: str) -> tuple[Decimal, str, int]:
    """A share, how it is printed, and the decimals of its percentage. A text may begin with "about"."""
    unclear = _FileError(f'{what} (={value!r}) must say its unit, as in "91.78 %", or be a fraction such as 0.9178')
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise unclear
    found = _VALUE.fullmatch(value.strip() if isinstance(value, str) else repr(value))
    if found is None:
        raise unclear
    number = Decimal(found["number"])
    if found["percent"] and number > 100:
        raise _FileError(f"{what} (={value!r}) must be from 0 to 100 %")
    if not found["percent"] and number >= 1:
        raise unclear
    percent = number if found["percent"] else 100 * number
    digits = max(len(found["number"].partition(".")[2]) - (0 if found["percent"] else 2), 0)
    return percent / 100, f"{'about ' if found['about'] else ''}{percent:.{digits}f} %", digits


def _count(told: Mapping[str, Any], name: str, where: str) -> int | None:
    value = told.get(name)
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 2**31):
        raise _FileError(f"{where}: `{name}` (={value!r}) must be a whole number of 1 or more")
    return value


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name, "")
    if not isinstance(value, str):
        raise _FileError(f"`{name}` (={value!r}) must be text")
    return " ".join(value.split())


def _table(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _FileError(f'{what} must be a table of options, such as {{ arch = "cnn", opt = "adam" }}')
    return value


def _tables(told: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    found = told.get(name, [])
    if not isinstance(found, list):
        raise _FileError(f"`{name}` must be a list of tables")
    return [_table(each, f"each of `{name}`") for each in found]


def _require_known(told: Mapping[str, Any], names: Sequence[str], where: str) -> None:
    for name in told:
        if name not in names:
            raise _FileError(f"{where} has `{name}`, which is none of {', '.join(names)}")
