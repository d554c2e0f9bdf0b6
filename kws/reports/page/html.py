"""Renders the page as HTML: from the plain values of kws.reports.page.data, by Jinja2 with everything escaped.

Decisions:
- One set of templates makes both the file of `kws report` and the live page of `kws ui`. They differ in where style and
  scripts are (inside the file, or beside the page) and in what is embedded.
- The content security policy is strict: nothing is loaded from elsewhere, and only our own scripts run. The file
  identifies them by SHA-256, so that a name or a note that slipped through the escaping would still do nothing.
- A script of ours draws curves as SVG. Plotly was tried: its script is 4.8 MB and takes two seconds to load on two
  cores, even from a cache, and its inline styles need exceptions from the policy. Ours is a few kB and needs none.
- The same registry gives the same bytes: the page contains no time and no random number.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from kws.events import SPLITS
from kws.recipe import counted
from kws.registry.reader import RegistryReader
from kws.reports.coverage import of_classes
from kws.reports.labels import data_of
from kws.reports.metrics import METRICS
from kws.reports.page.data import Detail, Overview, choices, curves, detail
from kws.reports.paper_texts import claims_caption, figures_caption

STATIC = {"page.css": "text/css", "chart.js": "text/javascript", "page.js": "text/javascript"}
LISTED = 100  # most runs in the live page's list: a browser takes a second to lay out a thousand rows
POLL_MS = 2000  # interval at which the live page asks for changes
_MANY = 100  # false accepts an hour, from which on a tenth of one says nothing
SCRIPTS = ("chart.js", "page.js")
LIVE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
_HERE = Path(__file__).parent
_WHOLE = re.compile(r"[0-9a-f]{12,}|[0-9][0-9.,]* [a-z%]+|[0-9-]{10} [0-9:]+ UTC")  # never broken over lines
_ESCAPED = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def report(registry: RegistryReader, of: Overview) -> str:
    """The whole page in one file, with every run's curves, confusion matrix and facts."""
    details = [detail(registry, run, of, every_detector=False) for run in reversed(of.runs)]
    values = {
        **choices(of),
        "curves": {run.id: curves(registry, run, of.called(run)) for run in of.runs},
        "confusions": {each.run.id: each.confusion for each in reversed(details)},
    }
    ticks = dict.fromkeys(answers.detector.ticks for each in details for answers in each.answers if answers.detector)
    return render(
        "overview.html",
        overview=of,
        listed=of.listed(),
        details=details,
        axes={each: f"axes-{number}" for number, each in enumerate(ticks)},
        data=values,
        live=False,
    )


def live_overview(of: Overview, state: str, words: str = "", start: int = 0) -> str:
    """The live page; it lists the newest runs with these words, and fetches curves and matrices on demand.

    A cell's runs are left out, since the server pools them: there may be very many.
    """
    made = choices(of)
    cells = [{name: cell[name] for name in ("group", "label")} for cell in made["cells"]]
    values = {**made, "cells": cells, "state": state, "live": POLL_MS}
    found = of.listed(words, LISTED, start)
    return render("overview.html", overview=of, listed=found, step=LISTED, details=[], axes={}, data=values, live=True)


def live_run(of: Detail, state: str) -> str:
    """The live page of one run."""
    values = {"state": state, "cells": [], "drawn": [of.run.id], "live": POLL_MS}
    return render("run.html", detail=of, data=values, live=True)


def file_policy() -> str:
    """The content security policy of the file, which identifies its style and its scripts by SHA-256."""
    scripts = " ".join(digest(static(name)) for name in SCRIPTS)
    return (
        f"default-src 'none'; script-src {scripts}; style-src {digest(static('page.css'))}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def static(name: str) -> str:
    """The text of a style or a script."""
    return (_HERE / "static" / name).read_text(encoding="utf-8")


def embed(value: Any) -> Markup:
    """A value as JSON that is safe inside a script element: ASCII, without <, > and &."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_ESCAPED))  # noqa: S704 - escaped just here


def digest(text: str) -> str:
    """A style or script as the content security policy identifies it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def render(template: str, **values: Any) -> str:
    """A template with these values, everything escaped."""
    return _environment().get_template(template).render(**values)


def _address(words: str, start: int) -> str:
    """The live page with another part of its list of runs."""
    return f"/?{urlencode({'show': words, 'from': start})}#runs"


@cache
def _environment() -> Environment:
    """The environment of all templates."""
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["counted"] = counted
    environment.filters["data_of"] = data_of
    environment.filters["embed"] = embed
    environment.filters["percent"] = lambda value: "-" if value is None else METRICS["test-accuracy"].text(value)
    environment.filters["of_classes"] = of_classes
    environment.filters["is_whole"] = lambda text: _WHOLE.fullmatch(text) is not None
    environment.filters["per_hour"] = lambda rate: f"{rate:,.1f}" if rate < _MANY else f"{rate:,.0f}"
    environment.globals.update(address=_address, figures_caption=figures_caption, claims_caption=claims_caption)
    environment.globals.update(
        policy=file_policy(), scripts=SCRIPTS, splits=SPLITS, static=lambda name: Markup(static(name))  # noqa: S704 - our own files
    )  # fmt: skip
    return environment
