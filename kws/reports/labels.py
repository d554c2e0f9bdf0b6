"""Labels of runs, rows, columns and trials. A label states the difference between recipes.

- A row or column of Table 1 has the report's wording, "Fully-connected (567,171 params)", and states what is not the
  default of its network or optimizer, so that runs of different recipes never share a title.
- A run among others has its network and optimizer, and what else differs among them.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from kws.recipe import BY_OPTION, NETWORK, OPTIMIZER, TASK, Recipe, every_option, kind_of, own_options, plain, varying
from kws.recipe.config import PLACE
from kws.registry.runs import Run
from kws.reports import digits

_LONG = 60  # letters of a label that a figure has hardly room for
Texts = Mapping[str, Mapping[float, str]]  # how numbers are written, by option


def command(recipe: Recipe) -> str:
    """The `kws train` command of this recipe, quoted for a shell."""
    return shlex.join(["kws", "train", *recipe.arguments()])


def texts(recipes: Iterable[Recipe]) -> Texts:
    """How the numbers of recipes shown together are written, by option: no two numbers look the same."""
    found: dict[str, set[float]] = {}
    for recipe in recipes:
        for name, value in recipe.values.items():
            if isinstance(value, float):
                found.setdefault(name, set()).add(value)
    return {name: digits.texts(values) for name, values in found.items()}


def told(name: str, value: Any, numbers: Texts) -> str:
    """The label of a recipe's value: the option and the value."""
    if name in BY_OPTION:
        return BY_OPTION[name].title(value)
    if name in every_option():
        return every_option()[name].told(value, numbers.get(name))
    return f"{name.replace('_', ' ')} {plain(value)}"


def between(recipes: Sequence[Recipe], without: Sequence[str] = ()) -> Callable[[Recipe], list[str]]:
    """A function that lists what distinguishes each of these recipes from the others, except options in `without`."""
    named = [name for name in varying(recipes) if name not in without]
    numbers = texts(recipes)

    def tell(recipe: Recipe) -> list[str]:
        values = [(name, recipe.values.get(name)) for name in named]
        return [told(name, value, numbers) for name, value in values if value is not None and value is not False]

    return tell


def of_runs(
    runs: Sequence[Run], *, panel: Callable[[Run], Hashable] = lambda _: None, without: Sequence[str] = ()
) -> list[str]:
    """A label for each run, in the order given; labels in one `panel` are unique, by their run ids if necessary.

    Options in `without` are left out. Runs that differ in nothing else then share a label.
    """
    tell = between([run.recipe for run in runs], (NETWORK.option, OPTIMIZER.option, *_places(), *without))
    called = [", ".join([of_parts(run.recipe), *tell(run.recipe)]) for run in runs]
    if without:
        return called
    places = [(panel(run), name) for run, name in zip(runs, called, strict=True)]
    return [
        name if places.count(place) == 1 else f"{name} [{run.id}]"
        for run, name, place in zip(runs, called, places, strict=True)
    ]


def _places() -> tuple[str, ...]:
    """The options that say where clips are, and who speaks in them: fingerprints tell data apart."""
    return "speakers", *(name for name, each in every_option().items() if each.role == PLACE)


def task_of(recipe: Recipe) -> str:
    """A recipe's task, with the words where they can be chosen; "" for the report's, as figures have always been."""
    name = recipe.task.NAME
    if name == TASK.default:
        return ""
    return TASK.title(name) if recipe.words is None else f"{TASK.title(name)} {plain(recipe.words)}"


def data_of(run: Run) -> str:
    """What a run was trained and tested on, for where runs stand together: its data, and its task."""
    task = task_of(run.recipe)
    return f"{run.data_source} ({task})" if task else run.data_source


def of_parts(recipe: Recipe) -> str:
    """A recipe's network and optimizer."""
    return f"{NETWORK.title(recipe.arch)}, {OPTIMIZER.title(recipe.opt)}"


def of_plan(plan: Sequence[Recipe]) -> Callable[[Recipe], str]:
    """A function that labels the runs of a plan: by preset, or network, optimizer and what else differs, and seed."""
    from kws.recipe.presets import name_of

    alike: dict[tuple[str, str], list[Recipe]] = {}
    for each in plan:
        alike.setdefault((each.arch, each.opt), []).append(each)
    tell = {of: between(recipes, (NETWORK.option, OPTIMIZER.option, "seed")) for of, recipes in alike.items()}

    def called(recipe: Recipe) -> str:
        of = recipe.arch, recipe.opt
        name = name_of(recipe) if _unusual(recipe) else None  # defaults alone go by their network and optimizer
        return ", ".join((*((name,) if name else (*of, *tell[of](recipe))), f"seed {recipe.seed}"))

    return called


def of_cells(recipes: Sequence[Recipe]) -> Callable[[Recipe], str]:
    """A function that labels recipes of different cells: by preset, or by what tells one from a preset or the defaults.

    A recipe that has a preset's network and optimizer is called by it, as in "best with epochs 5", unless its values
    differ from the defaults in fewer. No two cells share a label.
    """
    from kws.recipe.presets import name_of, presets, with_any_noise

    of_each = {recipe.cell: recipe for recipe in recipes}  # many seeds of few cells, whose numbers are the same
    numbers = texts([*of_each.values(), *(each.recipe for each in presets().values())])

    def tell(recipe: Recipe, named: Iterable[str]) -> list[str]:
        values = [(name, recipe.values.get(name)) for name in named]
        return [told(name, value, numbers) for name, value in values if value is not None]

    def called(recipe: Recipe) -> str:
        if name := name_of(recipe):
            return name
        alike = [each for each in presets().values() if of_parts(each.recipe) == of_parts(recipe)]
        own = with_any_noise(recipe)
        differing = {each.name: _differing(own, each.recipe) for each in alike}
        name, unusual = min(differing, key=lambda each: len(differing[each]), default=""), _unusual(recipe)
        if name and len(differing[name]) <= len(unusual):
            return f"{name} with {', '.join(tell(recipe, differing[name]))}"
        return ", ".join([of_parts(recipe), *tell(recipe, unusual)])

    found = {cell: called(recipe) for cell, recipe in of_each.items()}
    taken = Counter(found.values())
    return lambda recipe: label if taken[label := found[recipe.cell]] == 1 else f"{label} [{recipe.cell[:8]}]"


def of_few_runs(runs: Sequence[Run], **how: Any) -> list[str]:
    """The label of each run as of_runs() has it; where recipes differ in too much, by preset and seed."""
    found = of_runs(runs, **how)
    if max(map(len, found), default=0) <= _LONG:
        return found
    called = of_cells([run.recipe for run in runs])
    shorter = [f"{called(run.recipe)}, seed {run.recipe.seed}" for run in runs]
    return shorter if len(set(shorter)) == len(set(found)) and sum(map(len, shorter)) < sum(map(len, found)) else found


def _differing(recipe: Recipe, other: Recipe) -> list[str]:
    """The names of the values in which a recipe differs from another, but for task, seed, place and bits."""
    left_out = {each.name for each in own_options() if each.role or each.bits}
    return [
        name
        for name in dict.fromkeys([*recipe.values, *other.values])
        if name not in left_out and not _is_of_task(name) and recipe.values.get(name) != other.values.get(name)
    ]


def _unusual(recipe: Recipe) -> list[str]:
    """The names of the values that are not the defaults of its network and optimizer, but for the task's."""
    conditions = {each.name: each.default for each in own_options() if each.condition}
    unusual = recipe.unusual().keys() | {name for name, usual in conditions.items() if recipe.values[name] != usual}
    return [name for name in recipe.values if name in unusual and not _is_of_task(name)]


def _is_of_task(name: str) -> bool:
    return TASK in (BY_OPTION.get(name), kind_of(name))  # which the data shows


def of_trial(recipe: Recipe) -> str:
    """What distinguishes a trial from others: its optimizer, the options that searches vary, and what is unusual."""
    unusual = recipe.unusual()
    found = []
    for name, value in recipe.values.items():
        each = every_option().get(name)
        if value and ((each and each.search) or name in unusual):
            found.append(f"{each.spaced} {value:.3g}" if each and isinstance(value, float) else told(name, value, {}))
    return ", ".join((recipe.opt, *found))


def titles(runs: Sequence[Run], rows: str, columns: str) -> Callable[[Run], tuple[str, str]]:
    """A function that gives the row and column of each of a table's runs; runs of two recipes never share a cell."""
    alike_of = place_key(rows, columns)
    first = {alike_of(run): run for run in runs}
    recipes = [run.recipe for run in first.values()]
    numbers, varied = texts(recipes), varying(recipes)
    told_by_column = {False: columns == NETWORK.option or rows == OPTIMIZER.option}
    told_by_column[True] = not (rows == OPTIMIZER.option or columns == NETWORK.option)

    def title(run: Run, field: str, *, is_column: bool) -> str:
        unusual = {
            name: value
            for name, value in run.recipe.unusual().items()
            if name not in (rows, columns)
            and (name in varied or (BY_OPTION.get(name) or kind_of(name)) != TASK)  # the caption names the task
        }
        about = [_name(run, field, numbers)]
        for of_columns, part in ((False, NETWORK), (True, OPTIMIZER)):
            if told_by_column[of_columns] == is_column:
                about += [told(name, value, numbers) for name, value in unusual.items() if _is_of(name) == of_columns]
                if part.option not in (rows, columns):
                    about.append(part.title(run.recipe.values[part.option]))
        if field == NETWORK.option:
            return f"{', '.join(about)} ({run.parameters:,} params)"
        first, *rest = about
        return f"{first} ({', '.join(rest)})" if rest else first

    found = {
        alike: (title(run, rows, is_column=False), title(run, columns, is_column=True)) for alike, run in first.items()
    }
    cells: dict[tuple[str, str], set[str]] = {}
    for alike, run in first.items():
        cells.setdefault(found[alike], set()).add(run.recipe.cell)

    for alike, run in first.items():
        row, column = found[alike]
        if len(cells[row, column]) > 1:
            found[alike] = f"{row} [{run.recipe.cell[:8]}]", column
    return lambda run: found[alike_of(run)]


def _is_of(name: str) -> bool:
    """Whether an unusual option is stated in columns of optimizers."""
    kind = BY_OPTION.get(name) or kind_of(name)
    return bool(kind and kind.of_columns)


def _name(run: Run, field: str, numbers: Texts) -> str:
    value: Any = run.recipe.values.get(field)
    if field in BY_OPTION:
        return BY_OPTION[field].title(value)
    if isinstance(value, bool):
        return told(field, value, numbers)
    text = numbers.get(field, {}).get(value) if isinstance(value, float) else None
    return f"{field.replace('_', ' ')} {text or plain(value)}"


def place_key(rows: str, columns: str) -> Callable[[Run], tuple[Any, ...]]:
    """A function that gives what is the same for runs of one place in a table, which differ in their seeds, say."""
    apart = [name for name in (rows, columns) if name not in BY_OPTION]  # a cell has one network and one optimizer
    if not apart:
        return lambda run: (run.recipe.cell, run.parameters)
    return lambda run: (run.recipe.cell, run.parameters, *map(run.recipe.value, apart))


def order(run: Run, field: str) -> tuple[Any, ...]:
    """The sort key of a run's row or column: the order of parts, and of numbers elsewhere."""
    value: Any = run.recipe.values.get(field)
    if field == NETWORK.option:
        others = [name for name in run.recipe.unusual() if kind_of(name) != NETWORK]
        return NETWORK.rank(value), len(others), -run.parameters
    if field in BY_OPTION:
        return BY_OPTION[field].rank(value), 0, 0
    return (0, value, 0) if isinstance(value, int | float) else (1, str(value), 0)
