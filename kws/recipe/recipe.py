"""Recipe: everything that decides a run, so that the same recipe on the same data gives the same numbers.

A recipe nests the Configs of its parts (kws.recipe.parts) and has options of its own. Decisions:
- An option's name belongs to one kind of part, so that names need no prefix: `learning_rate` is the optimizer's.
- As text it is canonical JSON with every value resolved. A digest leaves out what has the value of a run that is older
  than the option, so that adding an option changes no digest.
- Two runs on the same data are one cell of a table where their recipes are equal but for the seed, the place of the
  data, and what decides bits alone; with the seed they are the same run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

from kws.errors import RecipeError
from kws.recipe.arguments import words
from kws.recipe.canonical import canonical, identity, told
from kws.recipe.config import NEVER, PLACE, SEED, Option, at_least
from kws.recipe.known import current_name, every_option, kind_of, names, parts_now
from kws.recipe.own_options import OwnOptions, own_options
from kws.recipe.parts import KINDS, NETWORK, OPTIMIZER, OWN, Kind, Part, refusal

_FIELDS = {kind.name for kind in KINDS}
_SEED_IN_JSON = f',"{SEED}":'  # nowhere within a text, where a quotation mark is escaped
_DIGITS = re.compile("0|[1-9][0-9]{0,17}")  # a seed that can be; longer ones may be too large
_RECENT = 8  # recipes, seeds aside, that a text is compared with before it is looked up
MOST_THREADS = 4096  # above that, a process may not get the memory for them


@dataclass(frozen=True, kw_only=True)
class Recipe(OwnOptions):
    """One run's hyperparameters and data; checked on construction.

    Each kind of part is a Config, whose NAME is the part's. An option of a part is also an attribute of the recipe,
    None where none of its parts has it, and so are `arch` and `opt`, the names of its network and optimizer. Raises
    RecipeError, naming the option and its value, for what cannot be.
    """

    network: Any
    optimizer: Any
    loss: Any
    schedule: Any
    averaging: Any
    augmentation: Any  # a tuple of Configs, one of each augmentation there is
    task: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fold is not None and self.test_data is not None:
            raise RecipeError(
                f"`fold` (={self.fold}) tests clips of the data in turn, and `test_data` (={self.test_data}) others; "
                "leave one of both out"
            )

    @classmethod
    def of(cls, *, ignoring: bool = False, **given: Any) -> Recipe:
        """The recipe with these values by their options' names, and the defaults of its parts for all others.

        None is a default, too. `arch` and `opt` must be given. Raises RecipeError for a name that no option has or that
        the recipe's parts do not have; with `ignoring`, what another part of the same kind has does not count.
        """
        left = {current_name(name): value for name, value in given.items() if value is not None}
        made: dict[str, Any] = {}
        chosen: list[Part] = []
        for kind in KINDS:
            if kind.several:
                made[kind.name] = tuple(_config(part, _taken(part, left)) for part in kind.parts.values())
                continue
            name = left.pop(kind.option, kind.default)
            if name is None:
                raise RecipeError(f"`{kind.option}` is missing; it is one of {', '.join(kind.dashed)}")
            chosen.append(kind.part(name))
            made[kind.name] = _config(chosen[-1], _taken(chosen[-1], left))
        own = {each.name: left.pop(each.name) for each in own_options() if each.name in left}
        if left and not ignoring:
            name, value = next(iter(left.items()))
            part = next(part for part in chosen if part.kind == kind_of(name).name)  # type: ignore[union-attr]
            raise refusal(name, value, part)
        own.setdefault("micro_batch_size", _micro_batch(chosen[0], cls, own))
        return cls(**made, **own)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in _FIELDS:
            raise AttributeError(name)
        values = self._any_seeds
        if name not in values and name not in names():
            raise AttributeError(name)
        return values.get(name)

    @property
    def of_any_seed(self) -> Recipe:
        """A recipe that differs in its seed at most: one object for many seeds that were read or made together."""
        found: Recipe = vars(self).get("_alike", self)
        return found

    @property
    def _any_seeds(self) -> Mapping[str, Any]:
        """Its values, or those of a recipe that has another seed at most."""
        return self.of_any_seed.values

    def value(self, name: str) -> Any:
        """The value of an option; None where it does not have it. For one, faster than all its values."""
        return self.seed if name == SEED else self._any_seeds.get(name)

    @cached_property
    def values(self) -> dict[str, Any]:
        """Every value by its option's name, the parts' names among them."""
        if alike := vars(self).get("_alike"):
            return alike.values | {SEED: self.seed}
        found: dict[str, Any] = {}
        for kind in KINDS:
            config = getattr(self, kind.name)
            if not kind.several:
                found[kind.option] = config.NAME
            for each in config if kind.several else (config,):
                found |= each.values()
        return found | {each.name: getattr(self, each.name) for each in own_options()}

    def changed(self, **given: Any) -> Recipe:
        """The same but for these values; None is the default. What another part does not have is left out."""
        values = {name: value for name, value in self.values.items() if name not in given}
        if not self.source or self.source in OWN:
            return Recipe.of(ignoring=True, **values, **given)
        values = {name: value for name, value in values.items() if name not in self.network.values()}
        another = Recipe.of(ignoring=True, **values | {NETWORK.option: next(iter(NETWORK.shipped))}, **given)
        # The network's options are known from its source alone, which may not run.
        return replace(another, network=self.network)

    @cached_property
    def text(self) -> str:
        """Canonical JSON, in which parts are objects with a `name`."""
        return canonical(self._nested())

    def __reduce__(self) -> tuple[Callable[..., Recipe], tuple[dict[str, Any]]]:
        """How it is sent to another process: by its values, for its parts may be modules of the user's own."""
        return _of_values, (self.values,)

    @classmethod
    def from_text(cls, text: str) -> Recipe:
        """The recipe in a registry's JSON; see Part.of_json for keys that are missing or not known.

        Raises RecipeError, or ValueError, TypeError or LookupError where it is none.
        """
        return cls.texts_reader()(text)

    @classmethod
    def texts_reader(cls) -> Callable[[str], Recipe]:
        """A function that is from_text() for many texts; which parts there are is looked up once, now.

        A registry has many seeds of few recipes, so what they have in common is read once.
        """
        now, is_seed = parts_now(), _DIGITS.fullmatch
        recent = deque[tuple[str, str, dict[str, Any]]](maxlen=_RECENT)  # what is around the seed, and the fields

        def with_seed(fields: dict[str, Any], digits: str) -> Recipe:
            same = object.__new__(cls)
            (own := fields.copy())[SEED] = int(digits)
            object.__setattr__(same, "__dict__", own)
            return same

        def read(text: str) -> Recipe:
            for before, after, made in recent:
                if text.startswith(before) and text.endswith(after):
                    digits = text[len(before) : len(text) - len(after)]
                    if is_seed(digits):
                        return with_seed(made, digits)
                    break
            before, mark, rest = text.partition(_SEED_IN_JSON)
            digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
            before, after = before + mark, rest[len(digits) :]
            if not mark or not is_seed(digits) or after[:1] not in {",", "}"} or _SEED_IN_JSON in after:
                return cls._from_text(text)
            made = _of_any_seed(f"{before}0{after}", now)
            recent.appendleft((before, after, made))
            return with_seed(made, digits)

        return read

    @classmethod
    def _from_text(cls, text: str) -> Recipe:
        found, now = json.loads(text), parts_now()
        if not isinstance(found, dict):
            raise ValueError("it is no recipe")
        parts = {kind.name: _part_of_json(kind, canonical(found.pop(kind.name, {})), now) for kind in KINDS}
        own = {each.name: each.from_json(found.pop(each.name, each.absent)) for each in own_options()}
        if found:
            raise RecipeError(f"`{next(iter(found))}` is not known to this version of kws; upgrade it")
        if lacking := [name for name, value in own.items() if value is NEVER]:
            raise RecipeError(f"it lacks its `{lacking[0]}`")
        return cls(**parts, **own)

    @property
    def source(self) -> str | None:
        """The SHA-256 of its network's source; None where the network is one of kws."""
        return self.network.SHA256 or None

    @property
    def data_key(self) -> tuple[Any, ...]:
        """What decides which clips a run sees, and their classes: recipes that have it alike share their data."""
        return self.data, self.speakers, self.pattern, self.align, self.split_shares, self.fold, self.task

    @cached_property
    def digest(self) -> str:
        """What runs have in common that are the same but for the place of their data and bits: 16 letters."""
        if (alike := vars(self).get("_alike")) and (around := alike._around_seed):
            before, after = around
            return _sha256(f"{before}{self.seed}{after}")
        return _sha256(self._canonical(_decides_no_result))

    @cached_property
    def _around_seed(self) -> tuple[str, str] | None:
        """What stands before its seed in what its digest is of, and what after it."""
        before, *rest = self._canonical(_decides_no_result).split(_SEED_IN_JSON)
        return (before + _SEED_IN_JSON, rest[0].removeprefix(str(self.seed))) if len(rest) == 1 else None

    def with_seed(self, seed: int) -> Recipe:
        """The same with another seed. What all seeds have in common is computed once: a plan has very many of them."""
        every_option()[SEED].require(seed)
        alike = self.of_any_seed
        same = object.__new__(type(self))
        fields = {name: vars(alike)[name] for name in alike.__dataclass_fields__}
        object.__setattr__(same, "__dict__", fields | {SEED: seed, "cell": alike.cell, "_alike": alike})
        return same

    @cached_property
    def cell(self) -> str:
        """What runs of one cell of a table have in common on the same data: the digest without the seed; 16 letters."""
        return _sha256(self._canonical(lambda each: each.role == SEED or _decides_no_result(each)))

    def _canonical(self, is_left_out: Callable[[Option], bool]) -> str:
        """Canonical JSON of what it shares with older recipes, too, but for the options that are left out."""
        left_out = {each.name for each in own_options() if is_left_out(each)}
        nested = {name: value for name, value in self._nested(absent=False).items() if name not in left_out}
        return canonical(nested)

    def _nested(self, *, absent: bool = True) -> dict[str, Any]:
        """Its values by kind; without `absent`, places and those of a run older than the option are left out."""
        found: dict[str, Any] = {}
        for kind in KINDS:
            config = getattr(self, kind.name)
            if kind.several:
                each = {one.NAME: told(one, absent) for one in config}
                found[kind.name] = {name: values for name, values in each.items() if values}
            else:
                found[kind.name] = {**identity(config, absent), **told(config, absent)}
        own = {each.name: (each, getattr(self, each.name)) for each in own_options()}
        found |= {name: value for name, (each, value) in own.items() if absent or value != each.absent}
        return found if absent else {name: value for name, value in found.items() if value != {}}

    def unusual(self) -> dict[str, Any]:
        """What is not the default of its network and optimizer, by name; no conditions, seed, place or bits."""
        usual = _usual(self.arch, self.opt, parts_now())
        own = {each.name for each in own_options() if each.condition or each.role or each.bits}
        own |= {NETWORK.option, OPTIMIZER.option, *(name for name, each in every_option().items() if each.role)}
        return {
            name: value for name, value in self.values.items() if name not in own and value != usual.get(name, NEVER)
        }

    def arguments(self, *, without: Sequence[str] = (), switches: bool = True) -> list[str]:
        """The options of the command that trains it again.

        Numbers are said even where they are today's defaults; what is found from the rest (hidden options) never is.
        With `switches` a value that is true is an option alone, else "yes".
        """
        return words(self, every_option(), without, switches=switches)


def _decides_no_result(option: Option) -> bool:
    return option.role == PLACE or bool(option.bits)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _taken(part: Part, left: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, left.pop(name)) for name in part.options if name in left)


@lru_cache(4096)
def _config(part: Part, values: tuple[tuple[str, Any], ...]) -> Any:
    return part.config(**dict(values))


def _micro_batch(network: Part, recipe: type[Recipe], own: Mapping[str, Any]) -> int:
    """How many clips the network computes at once, so that its activations stay near the core.

    A network with batch statistics gets whole minibatches, since slices would change its meaning.
    """
    batch_size, precision, device = (
        own.get(name, getattr(recipe, name)) for name in ("batch_size", "precision", "device")
    )
    if device != "cpu" or network.constant("BATCH_STATISTICS"):
        return max(batch_size, 1)
    return max(min(batch_size, (network.constant("MICRO_BATCH") or {}).get(precision, batch_size)), 1)


@lru_cache(1024)
def _part_of_json(kind: Kind, text: str, _: Any) -> Any:
    values = json.loads(text)
    if not kind.several:
        return kind.of_json(values)
    known = [part.of_json(values.pop(part.name, {})) for part in kind.parts.values()]
    return (*known, *(kind.of_json({"name": name, **rest}) for name, rest in values.items()))


@lru_cache(1024)
def _of_any_seed(text: str, _: Any) -> dict[str, Any]:
    """The fields of the recipe in this JSON, its cell, and the recipe itself, whose values are those of all seeds."""
    made = Recipe._from_text(text)
    found = {**vars(made), "cell": made.cell}
    made.values  # noqa: B018 - computed here, and kept
    return with_shared_keys(found | {"_alike": made})


def with_shared_keys(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same as the dict of an object, whose copies share its keys and so take a fifth of the memory."""
    holder = type("Holder", (), {})()
    for name, value in fields.items():
        setattr(holder, name, value)
    return vars(holder)


def read_anew() -> None:
    """Read again what JSON says, for a network of the user's own may be called otherwise now."""
    _part_of_json.cache_clear()
    _of_any_seed.cache_clear()


def _of_values(values: dict[str, Any]) -> Recipe:
    return Recipe.of(**values)


@lru_cache(256)
def _usual(arch: str, opt: str, _: Any) -> dict[str, Any]:
    """The values of the recipe that has all defaults, but for those of parts that this version does not have."""
    known = {NETWORK: arch in NETWORK.parts, OPTIMIZER: opt in OPTIMIZER.parts}
    first = [name if known[kind] else next(iter(kind.parts)) for kind, name in ((NETWORK, arch), (OPTIMIZER, opt))]
    values = Recipe.of(arch=first[0], opt=first[1]).values
    return {name: value for name, value in values.items() if known.get(kind_of(name), True)}  # type: ignore[arg-type]


def usable_threads(value: int) -> int:
    """Processor threads that a command was given. Raises RecipeError for none, or more than a process can have."""
    at_least("threads", value, 1)
    if value > MOST_THREADS:
        raise RecipeError(f"`threads` (={value}) must be at most {MOST_THREADS:,}")
    return value
