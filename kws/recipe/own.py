"""A network of the user's own: a file that is not of kws, and whose source text is part of the recipe.

Decisions:
- The source decides what the network is: its SHA-256 is in the recipe's JSON, and stands for the network in digests.
  A file may therefore import torch and the standard library alone, and from kws.recipe what a Config is declared with;
  what else it imported would decide the run, too, and would not be kept. Imports are read from the source before any of
  it runs, and refused once more when they happen.
- Running the source is one function, taken(), which is called for a file that the user names, and for the source of a
  run that the user trusts. Nothing else runs it: a recipe that is read has its options' values from JSON.
- An error in such a file is one sentence with the file and the line.
"""

from __future__ import annotations

import ast
import builtins
import dataclasses
import hashlib
import linecache
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from kws.errors import KwsError, RecipeError
from kws.recipe.config import Config, options
from kws.recipe.known import every_option, kind_of, names
from kws.recipe.parts import NETWORK, OWN, OWN_NAMES, Part, own_name
from kws.recipe.recipe import read_anew

_OFFERED = ("option", "above_zero", "at_least", "below_one", "count", "not_negative")  # by kws.recipe
_MAY = f"a network's file may import torch, the standard library, and {_OFFERED[0]} from kws.recipe"
_MODULE = "kws_own_"
_RESERVED = {"name", "sha256", *dir(Config)}


@dataclass(frozen=True)
class OwnNetwork(Part):
    """A network by its source, which ran when this was made; `file` is where it came from, for people."""

    source: str = dataclasses.field(default="", repr=False)
    digest: str = ""

    @cached_property
    def _source(self) -> ast.Module:
        return ast.parse(self.source, str(self.file))

    @cached_property
    def title(self) -> str:
        """Its name, which has the digest of its source, for several versions of a file may be in one table."""
        return self.name

    @property
    def order(self) -> tuple[int, str]:
        """After the networks of kws."""
        return sys.maxsize, self.name

    @cached_property
    def config(self) -> Any:
        """The class of its Config, a child of the file's and of kws's."""
        given = getattr(self.load(), "Config", None)
        about: dict[str, Any] = {"NAME": self.name, "SHA256": self.digest}
        if given is None:
            return dataclass(frozen=True, kw_only=True)(type("Config", (Config,), about))
        self._require_frozen(given)
        own_check = getattr(given, "__post_init__", None)

        def check(config: Any) -> None:
            Config.__post_init__(config)
            if own_check:
                with self.explained("Config"):
                    own_check(config)

        about |= {"NAMESPACE": vars(self.load()), "__post_init__": check}
        with self.explained("Config"):
            return dataclass(frozen=True, kw_only=True)(type("Config", (Config, given), about))

    def _require_frozen(self, given: Any) -> None:
        at = self.line("Config")
        if not (dataclasses.is_dataclass(given) and getattr(given, "__dataclass_params__").frozen):  # noqa: B009
            raise RecipeError(f"{at}: Config must be a frozen dataclass; put @dataclass(frozen=True) before it")
        for field in dataclasses.fields(given):
            if field.default is dataclasses.MISSING:
                raise RecipeError(f"{at}: the option `{field.name}` needs a default, as in {field.name}: int = 3")
            if field.name in _RESERVED or not field.name.isascii():
                raise RecipeError(f"{at}: no option can be called `{field.name}`; give it another name")

    def load(self) -> ModuleType:
        """Its module, which runs once."""
        return self._module

    @cached_property
    def _module(self) -> ModuleType:
        name, file = f"{_MODULE}{self.digest}", str(self.file)
        linecache.cache[file] = len(self.source), None, self.source.splitlines(keepends=True), file
        if not any(isinstance(finder, _Guard) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Guard())
        module = sys.modules[name] = ModuleType(name)  # where dataclasses look for it
        vars(module).update(__file__=file, __builtins__={**vars(builtins), "__import__": _import})
        with self.explained():
            exec(compile(self._source, file, "exec", dont_inherit=True), vars(module))  # noqa: S102 - it was asked for
        return module

    @contextmanager
    def explained(self, name: str = "") -> Iterator[None]:
        """What the file's code raises here becomes a RecipeError that names its line, or else that of `name`."""
        try:
            yield
        except KwsError:
            raise
        except (Exception, SystemExit) as error:
            raise RecipeError(self.sentence(error, name)) from None

    def sentence(self, error: BaseException, name: str = "") -> str:
        """What went wrong, and in which line of the file; the line of `name` where none of its lines ran."""
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(self.file)]
        at = f"{self.file}, line {frames[-1].lineno}" if frames else self.line(name)
        return f"{at}: {type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"

    def is_in(self, error: BaseException) -> bool:
        """Whether code of this file was running when an error was raised."""
        return any(frame.filename == str(self.file) for frame in traceback.extract_tb(error.__traceback__))

    def line(self, name: str) -> str:
        """The file, and the line where a class of it begins."""
        node = self._named.get(name)
        return f"{self.file}, line {node.lineno}" if node else str(self.file)


def is_file(text: str) -> bool:
    """Whether what is given as a network's name names a file."""
    return text.endswith(".py") or "/" in text or "\\" in text


def digest_of(source: str) -> str:
    """The SHA-256 of a source's UTF-8, in hexadecimal."""
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()


def read(path: str) -> OwnNetwork:
    """The network in a file that the user names, whose code runs. Raises RecipeError for one that cannot be."""
    try:
        source = Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RecipeError(f"{path} is not UTF-8 (byte {error.start + 1:,}); save it as UTF-8") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecipeError(f"{path} cannot be read ({reason}); --arch takes a network's name or its file") from None
    return taken("\n".join(source.replace("\r\n", "\n").split("\r")), path)


def taken(source: str, file: str) -> OwnNetwork:
    """The network of this source, which runs, and which this process may build from now on.

    Raises RecipeError for a source that is none: one that is not Python, imports what it may not, or has no Network.
    """
    digest = digest_of(source)
    if isinstance(known := OWN.get(digest), OwnNetwork):
        return known
    try:
        tree = ast.parse(source, file)
        compile(tree, file, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        raise RecipeError(f"{file}{at}: {getattr(error, 'msg', None) or error}, which is not Python") from None
    _require_imports(tree, file)
    documentation = (ast.get_docstring(tree) or "").partition("\n")[0].partition(":")[0].strip()
    name = own_name(digest, documentation or Path(file).stem)
    part = OwnNetwork(NETWORK.name, name, "", Path(file), source, digest)
    if "Network" not in part._named:
        raise RecipeError(f"{file} has no class Network; it needs a `class Network(nn.Module)` at its top level")
    _require_options(part)
    OWN[digest] = part
    return part


def forget() -> None:
    """Take back what this process may build, and what it is called there: a command's end."""
    OWN.clear()
    OWN_NAMES.clear()
    read_anew()


def sources() -> tuple[tuple[str, str], ...]:
    """The source and the file of each network of the user's own that this process may build, for other processes."""
    return tuple((part.source, str(part.file)) for part in OWN.values() if isinstance(part, OwnNetwork))


def source_of(digest: str | None) -> str | None:
    """The source of a network of the user's own that this process may build; None for one of kws."""
    part = OWN.get(digest or "")
    return part.source if isinstance(part, OwnNetwork) else None


def sentence(digest: str | None, error: BaseException) -> str | None:
    """What went wrong in the code of a network of the user's own; None where another's was running."""
    part = OWN.get(digest or "")
    return part.sentence(error) if isinstance(part, OwnNetwork) and part.is_in(error) else None


def _require_options(part: OwnNetwork) -> None:
    """Raise RecipeError where the file's Network or Config cannot be used."""
    if not isinstance(part.load().Network, type):
        raise RecipeError(f"{part.line('Network')}: Network must be a class, a child of torch.nn.Module")
    try:
        found = options(part.config)
        part.config()
    except (TypeError, NameError, ValueError, IndexError, AttributeError) as error:
        what = str(error) if isinstance(error, TypeError | NameError) else "an option has a type that none can have"
        raise RecipeError(f"{part.line('Config')}: {what}; an option is int, float, bool, str or tuple[...]") from None
    except RecipeError as error:
        at = part.line("Config")
        raise RecipeError(str(error) if str(error).startswith(str(part.file)) else f"{at}: {error}") from None
    earlier = {each.old for each in every_option().values()}
    for each in found:
        if each.name in earlier or (each.name in names() and kind_of(each.name) != NETWORK):
            at = part.line("Config")
            raise RecipeError(f"{at}: a recipe has an option `{each.name}` already; give this one another name")
    sizes = part.constant("MICRO_BATCH")
    if sizes is not None and not (isinstance(sizes, Mapping) and all(_is_size(each) for each in sizes.values())):
        raise RecipeError(f'{part.line("MICRO_BATCH")}: MICRO_BATCH must be as in MICRO_BATCH = {{"fp32": 256}}')


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _require_imports(tree: ast.Module, file: str) -> None:
    """Raise RecipeError where a source imports what it may not, at whatever place."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            refused = [each.name for each in node.names if not _may_import(each.name, ())]
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            refused = [name] if not _may_import(name, [each.name for each in node.names]) else []
        else:
            continue
        if refused:
            raise RecipeError(f"{file}, line {node.lineno}: `{refused[0]}` cannot be imported; {_MAY}")


def _may_import(module: str, names: Sequence[str]) -> bool:
    if module == "kws.recipe":
        return bool(names) and set(names) <= set(_OFFERED)
    top = module.partition(".")[0]
    return top == "torch" or top in sys.stdlib_module_names


def _import(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:  # noqa: A002
    """What `import` does in such a file."""
    if not _may_import("." * level + name, fromlist or ()):
        raise ImportError(f"`{'.' * level + name}` cannot be imported; {_MAY}")
    return __import__(name, globals, locals, fromlist, level)


class _Guard:
    """Refuses what such a file imports by importlib; other modules import what they like."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:  # noqa: ARG002 - as Python calls it
        """None, so that others find the module. Raises ImportError where a network's file may not import it."""
        frame: Any = sys._getframe(1)
        while frame and _module_of(frame).partition(".")[0] in ("importlib", "_frozen_importlib"):
            frame = frame.f_back
        if frame and _module_of(frame).startswith(_MODULE) and not _may_import(name, _OFFERED):
            raise ImportError(f"`{name}` cannot be imported; {_MAY}")


def _module_of(frame: Any) -> str:
    return str(frame.f_globals.get("__name__", ""))
