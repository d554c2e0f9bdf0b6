"""The Chromium that is on this machine, for tests of pages: a window that notes what its console says and asks for."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kws.reports.page import serving
from kws.reports.page.live import Live

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_CHROMIUM = "there is no Chromium here; `apt-get install chromium` brings it"
NO_PLAYWRIGHT = 'Playwright is not installed; `python -m pip install -c constraints.txt -e ".[dev,browser]"` brings it'
NO_AXE = 'axe is not installed; `python -m pip install -c constraints.txt -e ".[dev,browser]"` brings it'
_HERE = ("file://", "http://127.0.0.1:", "data:", "about:")
_LONGEST_MS = 60_000  # on a busy machine


@dataclass
class Window:
    """A page of the browser; `said` is what its console, its errors and dialogues said, `asked` what it requested."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    @property
    def asked_elsewhere(self) -> list[str]:
        """The requests that would leave this machine."""
        return [url for url in self.asked if not url.startswith(_HERE)]


@contextmanager
def window() -> Iterator[Window]:
    """A window of a Chromium that starts now and ends afterwards."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=_LONGEST_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(_LONGEST_MS)
        made = Window(page)
        page.on("console", lambda message: made.said.append(message.text))
        page.on("pageerror", lambda error: made.said.append(str(error)))
        page.on("dialog", lambda dialog: (made.said.append("a dialogue"), dialog.dismiss()))
        page.on("request", lambda request: made.asked.append(request.url))
        yield made
        browser.close()


@contextmanager
def served(db: Path) -> Iterator[str]:
    """Where the registry is served; the page asks ten times as often as it does elsewhere."""
    with serving.listening(0) as listener:
        server = serving.server(Live(db))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("kws.reports.page.html.POLL_MS", 200)
            thread.start()
            try:
                yield serving.address(listener)
            finally:
                server.should_exit = server.force_exit = True
                thread.join()
