"""Makes runs, cards, epochs, evaluations and other plain values of rows of tables, which encoding.py made."""

from __future__ import annotations

import dataclasses
import json
import math
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from sys import intern
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from kws.errors import RecipeError
from kws.events import DIGEST_BYTES, SPLITS, DataCard, Evaluation, Manifest
from kws.recipe import Recipe, with_shared_keys
from kws.registry.encoding import EPOCH_COLUMNS
from kws.registry.environment import Environment
from kws.registry.process import Process
from kws.registry.protocols import Row
from kws.registry.runs import Epoch, Run

T = TypeVar("T")
# What reading a row raises that holds something else than kws writes: SQLite lets any column hold anything.
UNREADABLE = (zlib.error, struct.error, ValueError, TypeError, LookupError, RecursionError, RecipeError)
_RIGHT: set[tuple[type, tuple[type, ...]]] = set()  # classes, and types of all of their fields, that were found right
_RIGHT_ROWS: set[tuple[type, ...]] = set()  # types of all values of a row of a run, that were found right
_MOST_RIGHT = 1_000
_ENVIRONMENT = [field.name for field in dataclasses.fields(Environment)]
_ALL_BYTES = bytes(range(256))
NO_ITERATIONS = {"iteration_losses": b"", "iteration_accuracies": b""}  # of an epoch that is read without them
_RUN = (
    "id", "error", "name", "note", "rerun_of", "deleted_at", "started_at", "ended_at", "parameters",
    "multiply_accumulates", "data_fingerprint", "epochs_done", "validation_accuracy", "test_accuracy",
)  # fmt: skip
_SHARED = ("status", "data_source", "data_fingerprint")
_OTHERS = ("recipe_json", "milliseconds", "source", "status")
_OF_OTHERS = len(_RUN)
_OF_ENVIRONMENT = _OF_OTHERS + len(_OTHERS)
_END_OF_ENVIRONMENT = _OF_ENVIRONMENT + len(_ENVIRONMENT)
# What run() makes a run of, from trainings joined with data; by their order, for names are looked up one by one.
RUN_COLUMNS = ", ".join(
    "data.source" if name == "source" else f"trainings.{name}" for name in (*_RUN, *_OTHERS, *_ENVIRONMENT, "key")
)


_A_RUN = with_shared_keys(dict.fromkeys(field.name for field in dataclasses.fields(Run)))


def cell_of_folds(recipe_json: str | None) -> str | None:
    """What the cells of all folds have in common that a recipe has; None for one without folds, and for one unknown."""
    if recipe_json is None or '"fold":"' not in recipe_json:  # most recipes, which need no parsing
        return None
    recipe = Recipe.from_text(recipe_json)
    return (
        None
        if recipe.fold is None
        else f"{dataclasses.replace(recipe, fold=None).cell} of {recipe.fold.partition('/')[2]}"
    )


def run(
    row: Row,
    *,
    status: str | None = None,
    tags: tuple[str, ...] = (),
    last_seen: str | None = None,
    recipe_of: Callable[[str], Recipe] = Recipe.from_text,
) -> Run:
    """A run from its row, of RUN_COLUMNS in their order; `status` is the actual one if it differs from the row's."""
    values = tuple(row)
    types = tuple(map(type, values))  # of all that the fields are made of, but for what was not read from the row
    is_right = types in _RIGHT_ROWS
    fields = _A_RUN.copy()
    fields.update(zip(_RUN, values, strict=False))
    recipe_json, milliseconds, fields["data_source"], recorded = values[_OF_OTHERS:_OF_ENVIRONMENT]
    fields["status"] = status or recorded
    fields["tags"] = tags
    fields["last_seen"] = last_seen
    fields["recipe"] = recipe_of(recipe_json)
    environment = _environment if is_right else _environment_of
    fields["environment"] = environment(*values[_OF_ENVIRONMENT:_END_OF_ENVIRONMENT])
    fields["seconds"] = milliseconds / 1000
    made = _unchecked(Run, fields)
    if is_right:
        for name in _SHARED:  # one text of what most runs have alike takes less memory, and is compared at once
            fields[name] = intern(fields[name])
    else:
        typed(made)
        if len(_RIGHT_ROWS) < _MOST_RIGHT:
            _RIGHT_ROWS.add(types)
    for accuracy in (made.validation_accuracy, made.test_accuracy):
        if accuracy is not None and not 0 <= accuracy <= 1:
            raise ValueError(f"an accuracy of {accuracy}")
    if made.epochs_done < 0 or made.parameters < 0:
        raise ValueError("it counts less than nothing")
    require_finite(made.seconds)
    return made


def require_finite(seconds: float) -> None:
    """Raise ValueError if a training time is infinite or not a number."""
    if not math.isfinite(seconds):
        raise ValueError(f"a training time of {seconds} s")


def _environment_of(*values: Any) -> Environment:
    fields = dict(zip(_ENVIRONMENT, values, strict=True))
    if fields["git_dirty"] is not None:
        fields["git_dirty"] = bool(fields["git_dirty"])
    return _filled(Environment, fields)


_environment = lru_cache(1_000)(_environment_of)  # many runs are of few commands; only for values of the right types


def process(row: Row) -> Process:
    """The process of a session's row."""
    return Process(host=row["host"], boot=row["boot"], pid=row["pid"], started=row["process_started"])


def epoch(row: Row) -> Epoch:
    """An epoch from its row."""
    require_finite(row["milliseconds"])
    return typed(
        Epoch(
            **{name: row[name] for name in EPOCH_COLUMNS},
            seconds=row["milliseconds"] / 1000,
            iteration_losses=_unpack(row["iteration_losses"]),
            iteration_accuracies=_unpack(row["iteration_accuracies"]),
        )
    )


def manifest(row: Row, clips: int) -> Manifest:
    """A split's manifest from its row. Raises ValueError if it does not have `clips` clips."""
    made = Manifest(
        paths=_loosen(row["paths"]),
        digests=row["digests"],
        speakers=speakers(row["speakers"], clips),
        modified_ns=_loosen(row["modified_ns"]),
        seconds=_loosen(row["seconds"]),
    )
    if {len(made.paths), len(made.modified_ns), len(made.seconds), len(made.digests) / DIGEST_BYTES} != {clips}:
        raise ValueError(f"the manifest of the {row['split']} split does not have its {clips} clips")
    return made


def paths(blob: bytes) -> tuple[str, ...]:
    """The paths of a split's clips."""
    return tuple(str(path) for path in _loosen(blob))


def speakers(blob: bytes | None, clips: int) -> tuple[str, ...] | None:
    """The speaker of each of a split's clips; None if they are not known."""
    if blob is None:
        return None
    made = _loosen(blob)
    if len(made) != clips or not all(isinstance(name, str) for name in made):
        raise ValueError(f"the speakers are not {clips} names")
    return made


def _loosen(blob: bytes) -> tuple[Any, ...]:
    return tuple(json.loads(zlib.decompress(blob)))


def card(data: Row, splits: Sequence[Row]) -> DataCard:
    """A card from a data set's row and the rows of its splits. Raises ValueError if they do not match."""
    ordered = sorted(splits, key=lambda row: SPLITS.index(row["split"]))
    made = typed(
        DataCard(
            source=data["source"],
            classes=tuple(json.loads(data["classes"])),
            counts={row["split"]: tuple(json.loads(row["counts"])) for row in ordered},
            split_fingerprints={row["split"]: row["fingerprint"] for row in ordered},
            labels={row["split"]: zlib.decompress(row["labels"]) for row in ordered},
            front_end=json.loads(data["front_end"]),
            mean=data["mean"],
            std=data["std"],
            draw=data["draw"],
            band_means=tuple(json.loads(data["band_means"])) if data["band_means"] else None,
            unused=json.loads(data["unused"]) if data["unused"] else {},
        )
    )
    if (
        tuple(made.counts) != SPLITS
        or not isinstance(made.front_end, dict)
        or not all(isinstance(text, str) for text in (*made.classes, *made.split_fingerprints.values()))
    ):
        raise ValueError("a data set's splits or classes are not what they should be")
    for split, counts in made.counts.items():
        labels = made.labels[split]
        if counts != tuple(labels.count(label) for label in range(len(made.classes))) or sum(counts) != len(labels):
            raise ValueError(f"the labels of the {split} split are not those of its classes")
    return made


def answers(compressed: bytes, card: DataCard, split: str) -> bytes:
    """An evaluation's predictions, one byte a clip, from how they are kept. Raises ValueError for unknown classes."""
    return answers_reader(card, split)(compressed)


def answers_reader(card: DataCard, split: str) -> Callable[[bytes], bytes]:
    """A function that is answers() for many evaluations on one split."""
    known, decompress = _ALL_BYTES[: len(card.classes)], zlib.decompress

    def read(compressed: bytes) -> bytes:
        made = decompress(compressed)
        if made.translate(None, known):  # what is left is of no class
            raise ValueError(f"the answers on the {split} split name classes that are not there")
        return made

    return read


def logits(row: Row, card: DataCard) -> bytes:
    """The logits of an evaluation from their row and the card of the data it was on."""
    made = zlib.decompress(row["logits"])
    if len(made) != 2 * len(card.labels_of(row["split"])) * len(card.classes):
        raise ValueError(f"the logits on the {row['split']} split are not as many as its clips and classes")
    return made


def evaluation(row: Row, card: DataCard) -> Evaluation:
    """An evaluation from its row and the card of the data it was on."""
    fields = {name: row[name] for name in ("split", "loss", "objective", "accuracy")}
    fields["predictions"] = answers(row["predictions"], card, row["split"])
    fields["labels"] = card.labels_of(row["split"])
    fields["logits"] = b""
    return _filled(Evaluation, fields)


@cache
def _plain_fields(kind: type) -> tuple[tuple[str, tuple[type, ...], tuple[type, ...]], ...]:
    """The plain fields of a dataclass: the name, the allowed types, and the allowed types of a tuple's items."""
    found = []
    for name, hint in get_type_hints(kind).items():
        hints = get_args(hint) if isinstance(hint, UnionType) else (hint,)
        allowed = {get_origin(each) or each for each in hints}
        held = {of for each in hints if get_origin(each) is tuple for of in get_args(each) if isinstance(of, type)}
        if allowed <= {str, int, float, bool, bytes, tuple, type(None)}:
            found.append((name, _with_whole(allowed), _with_whole(held)))
    return tuple(found)


@cache
def _tuples(kind: type) -> tuple[str, ...]:
    """Those of the plain fields of a dataclass that may be tuples."""
    return tuple(name for name, types, _ in _plain_fields(kind) if tuple in types)


def _with_whole(types: set[type]) -> tuple[type, ...]:
    """The same types, plus int if float is among them."""
    return tuple(types | {int}) if float in types else tuple(types)


def _filled(kind: type[T], fields: dict[str, Any]) -> T:
    """An object of a dataclass with all of its fields, their types checked; see _unchecked() and typed()."""
    return typed(_unchecked(kind, fields))


def _unchecked(kind: type[T], fields: dict[str, Any]) -> T:
    """An object of a dataclass with all of its fields: many times as fast as its own way.

    Only for a dataclass that does nothing else when it is made.
    """
    made = object.__new__(kind)
    object.__setattr__(made, "__dict__", fields)
    return made


def typed(made: T) -> T:
    """The same object, with the type of each field checked, because SQLite lets any column hold anything.

    Raises TypeError if a field has another type.
    """
    kind: Any = type(made)
    own = tuple(map(type, vars(made).values()))
    if (kind, own) in _RIGHT and not [name for name in _tuples(kind) if getattr(made, name)]:
        return made
    for name, types, of in _plain_fields(kind):
        value = getattr(made, name)
        wrong = [] if isinstance(value, types) else [value]
        if of and isinstance(value, tuple):
            wrong += [each for each in value if not isinstance(each, of)]
        if wrong:
            raise TypeError(f"its {name} is, or holds something, of the type {type(wrong[0]).__name__}")
    if len(_RIGHT) < _MOST_RIGHT:
        _RIGHT.add((kind, own))
    return made


def _unpack(data: bytes) -> tuple[float, ...]:
    return struct.unpack(f"<{len(data) // 4}f", data)
