"""Parts: what a recipe is made of, by kind, each part one file that is found by its name.

A part's file has a docstring whose words up to the colon are its title in tables, ORDER as its place there, and, where
it can be set to anything, a frozen dataclass Config. These are read without running the rest of the file, so that
names, defaults and help are known without importing torch. Adding a part is adding its file. A part is called as its
file; for the underscores in that name, the command line has dashes and takes both.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from kws.errors import RecipeError
from kws.recipe.config import NEVER, Config, Option, options, plain
from kws.recipe.wording import suggestion

_BASE = "_Config"  # what ours is called where a part's Config is defined
_LIGHT = ("dataclasses", "typing", "math", "unicodedata", "kws.recipe", "kws.errors")  # which a Config may use


def dashed(name: str) -> str:
    """A part's name as the command line writes it."""
    return name.replace("_", "-")


@dataclass(frozen=True)
class Part:
    """One network, optimizer, loss ... by its file."""

    kind: str
    name: str
    package: str
    file: Path

    @cached_property
    def _source(self) -> ast.Module:
        return ast.parse(self.file.read_text(encoding="utf-8"))

    @cached_property
    def title(self) -> str:
        """Its name in a table: its file's docstring up to the colon."""
        return (ast.get_docstring(self._source) or self.name).split(":")[0]

    @property
    def order(self) -> tuple[int, str]:
        """Where it stands among its kind."""
        return self.constant("ORDER") or 0, self.name

    def constant(self, name: str) -> Any:
        """A value that the file defines in one line; None where it does not."""
        return self._constants.get(name)

    @cached_property
    def _constants(self) -> dict[str, Any]:
        """The file's values that are literals, by their names."""
        found: dict[str, Any] = {}
        for name, node in self._named.items():
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
                with suppress(ValueError):
                    found[name] = ast.literal_eval(node.value)
        return found

    @cached_property
    def _named(self) -> dict[str, ast.stmt]:
        """The file's functions, classes and values by their names."""
        found: dict[str, ast.stmt] = {}
        for node in self._source.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[node.name] = node
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
                found[getattr(target, "id", "")] = node
        return found

    @cached_property
    def config(self) -> Any:
        """The class of its Config; one without options where its file has none."""
        if "Config" not in self._named:
            return _no_options(self.name)
        scope: dict[str, Any] = {"__name__": __name__, _BASE: Config}
        *needed, declared = self._needed("Config")
        # Made a child of ours as it is defined: to make it a dataclass first, and a child then, takes twice the time.
        base = ast.copy_location(ast.Name(_BASE, ast.Load()), declared)
        child = ast.ClassDef("Config", [base], [], declared.body, [])  # type: ignore[attr-defined]
        module = ast.Module([*self._imports(), *needed, ast.copy_location(child, declared)], type_ignores=[])
        exec(compile(module, str(self.file), "exec", dont_inherit=True), scope)  # noqa: S102 - a part of kws
        return _checked(self.name, scope["Config"], scope)

    def _imports(self) -> Iterator[ast.stmt]:
        for node in self._source.body:
            module = node.module if isinstance(node, ast.ImportFrom) else None
            if isinstance(node, ast.Import) and len(node.names) == 1:
                module = node.names[0].name
            if module and module.startswith(_LIGHT):
                yield node

    def _needed(self, name: str) -> Iterator[ast.stmt]:
        """The statement that defines a name, after those that it uses."""
        node = self._named[name]
        for each in ast.walk(node):
            if isinstance(each, ast.Name) and each.id in self._named and each.id != name:
                yield from self._needed(each.id)
        yield node

    @cached_property
    def options(self) -> dict[str, Option]:
        """Its options by name."""
        return {each.name: each for each in options(self.config)}

    def load(self) -> ModuleType:
        """Its module, imported."""
        return importlib.import_module(f"{self.package}.{self.name}")

    def of_json(self, values: Mapping[str, Any]) -> Any:
        """Its Config from a registry's JSON. Raises RecipeError for a value that cannot be.

        A key that is missing has the value that its field declares as `absent`. One that this version does not know is
        kept, so that runs that differ in it are told apart.
        """
        made = {name: each.from_json(values.get(name, each.absent)) for name, each in self.options.items()}
        lacking = [name for name, value in made.items() if value is NEVER]
        if lacking:
            raise RecipeError(f"the {self.kind} {self.name} lacks its `{lacking[0]}`")
        more = {name: _plain_json(value) for name, value in values.items() if name not in made}
        config = _widened(self.config, tuple(more)) if more else self.config
        return config(**made, **more)


@cache
def _widened(config: Any, names: tuple[str, ...]) -> Any:
    """The same with more fields, of which nothing is known. Raises RecipeError for a name that no option can have."""
    for name in names:
        if hasattr(Config, name):
            raise RecipeError(f"`{name}` is no name that an option can have")
    return dataclasses.make_dataclass(
        "Config", [(name, Any) for name in names], bases=(config,), frozen=True, kw_only=True
    )


def _plain_json(value: Any) -> Any:
    return tuple(map(_plain_json, value)) if isinstance(value, list) else value


@dataclass(frozen=True)
class Kind:
    """A kind of part, of which a recipe has one; or, where it has several, all of them, each off by default."""

    name: str  # in the recipe
    option: str  # on the command line
    package: str
    default: str | None = None
    several: bool = False
    of_columns: bool = False  # whether what is unusual is told in a table's columns of optimizers, else in its rows

    def __hash__(self) -> int:
        return hash(self.name)  # asked for with every run that is read

    @property
    def folders(self) -> tuple[str, ...]:
        """Where its parts' files lie."""
        package = sys.modules.get(self.package) or importlib.import_module(self.package)
        return tuple(package.__path__)

    @property
    def shipped(self) -> dict[str, Part]:
        """Every part of kws by its name, in the order of tables."""
        return _parts(self, self.folders)

    @property
    def parts(self) -> dict[str, Part]:
        """Those of kws, and after them the user's own that this process may run (kws.recipe.own)."""
        own = [part for part in OWN.values() if part.kind == self.name]
        return self.shipped | {part.name: part for part in own} if own else self.shipped

    def part(self, name: str) -> Part:
        """The part by that name, whose underscores may be dashes. Raises RecipeError where there is none."""
        found = self.parts.get(name) or self.parts.get(name.replace("-", "_"))
        if found is None:
            near = suggestion(name, self.dashed)
            raise RecipeError(f"`{self.option}` (={name}) must be one of {', '.join(self.dashed)}{near}")
        return found

    @property
    def dashed(self) -> list[str]:
        """The names of its parts as the command line writes them."""
        return [*map(dashed, self.parts)]

    def chosen(self, names: Mapping[str, Any]) -> Part:
        """The part that is named among these options, or the default. Raises RecipeError where there is none."""
        return self.part(names.get(self.option) or self.default or "")

    def title(self, name: str) -> str:
        """A part's name in tables; the name itself where this version does not have it."""
        return self.parts[name].title if name in self.parts else name

    def rank(self, name: str) -> int:
        """A part's place among its kind; the last where this version does not have it."""
        return [*self.parts, name].index(name)

    def of_json(self, values: Mapping[str, Any]) -> Any:
        """A part's Config from a registry's JSON, whether or not this version has the part."""
        name = values["name"]
        if not isinstance(name, str):
            raise RecipeError(f"`{self.option}` (={name!r}) must be text")
        rest = {key: value for key, value in values.items() if key != "name"}
        if name in self.shipped:
            return self.shipped[name].of_json(rest)
        config = _no_options(name)
        if "sha256" in rest:
            digest = rest.pop("sha256")
            if digest in OWN:
                return OWN[digest].of_json(rest)
            config = _unread(own_name(digest, name), digest)
        config = _widened(config, tuple(rest))
        return config(**{key: _plain_json(value) for key, value in rest.items()})

    def takers(self) -> dict[str, dict[str, Option]]:
        """Every option of any part of this kind: by its name, those of the parts that have it, by theirs."""
        found: dict[str, dict[str, Option]] = {}
        for part in self.parts.values():
            for name, each in part.options.items():
                found.setdefault(name, {})[part.name] = each
        return found


OWN: dict[str, Part] = {}  # the user's own parts that this process may run, by the SHA-256 of their sources
OWN_NAMES: dict[str, str] = {}
_LONGEST_NAME = 40


def own_name(digest: Any, name: str) -> str:
    """What a part of the user's own is called in this process: by its first name, and by its source's digest.

    The digest keeps two versions of one file apart, and the first name keeps one source together that came from two
    files. Raises RecipeError for what is no SHA-256.
    """
    if not (isinstance(digest, str) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
        raise RecipeError(f"`sha256` (={digest!r}) must be 64 letters from 0 to f")
    if digest not in OWN_NAMES:
        letters = (letter if letter.isalnum() or letter in "-_.+()" else " " for letter in name.partition("@")[0])
        first = " ".join("".join(letters).split())[:_LONGEST_NAME].strip()
        OWN_NAMES[digest] = f"{first or 'network'}@{digest[:8]}"
    return OWN_NAMES[digest]


@cache
def _unread(name: str, digest: str) -> Any:
    """The class of the Config of a part whose source is not to be run: its values are what JSON says."""
    return type("Config", (_no_options(name),), {"SHA256": digest})


@cache
def _parts(kind: Kind, path: tuple[str, ...]) -> dict[str, Part]:
    found = [
        Part(kind.name, module.name, kind.package, Path(module.module_finder.path) / f"{module.name}.py")  # type: ignore[union-attr]
        for module in pkgutil.iter_modules(path)
        if not module.name.startswith("_")
    ]
    return {part.name: part for part in sorted(found, key=lambda part: part.order)}


@cache
def _no_options(name: str) -> Any:
    """The class of the Config of a part that has no options."""
    return _checked(name, type("Config", (Config,), {"__doc__": "No options."}), {})


def _checked(name: str, config: Any, scope: Mapping[str, Any]) -> Any:
    """The Config of the part of that name, as a frozen dataclass, from its class, a child of ours."""
    config.NAME, config.NAMESPACE = name, scope
    return dataclass(frozen=True, kw_only=True)(config)


NETWORK = Kind("network", "arch", "kws.architectures")
OPTIMIZER = Kind("optimizer", "opt", "kws.training.optimizers", of_columns=True)
LOSS = Kind("loss", "loss_function", "kws.training.losses", "cross_entropy")
SCHEDULE = Kind("schedule", "schedule", "kws.training.schedules", "constant", of_columns=True)
AVERAGING = Kind("averaging", "averaging", "kws.training.averaging", "none", of_columns=True)
AUGMENTATION = Kind("augmentation", "augmentation", "kws.training.augmentations", several=True)
TASK = Kind("task", "task", "kws.speech.tasks", "report")
KINDS = (NETWORK, OPTIMIZER, LOSS, SCHEDULE, AVERAGING, AUGMENTATION, TASK)
BY_OPTION = {kind.option: kind for kind in KINDS if not kind.several}  # those that a recipe has one part of


def refusal(name: str, value: Any, part: Part) -> RecipeError:
    """What is wrong with an option that a part does not have."""
    return RecipeError(
        f"`{name}` (={plain(value)}) is not for {dashed(part.name)}, "
        f"which has {', '.join(part.options) or 'no options'}"
    )
