"""A reader of the console in a real Chromium: what a page did, said and asked for."""

import contextlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Route, ViewportSize

from schemas.home import Home
from tests.browser import processes

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 780}
SERIOUS = ("serious", "critical")
_OURS = re.compile(r"^(http://127\.0\.0\.1[:/]|file:|data:)")


class Reader:
    """A browser profile, its page, all that the page asked for, and whatever went wrong."""

    def __init__(self, browser: Browser, **options: Any) -> None:
        options = {"viewport": DESKTOP, "locale": "en-GB", "timezone_id": "UTC", **options}
        self.context: BrowserContext = browser.new_context(**options)
        self.problems: list[str] = []
        self.asked: list[str] = []
        self.context.on("console", self._hear)
        self.context.on("weberror", lambda error: self.problems.append(str(error.error)))
        self.context.on("request", lambda request: self.asked.append(request.url))
        self.context.on("requestfailed", lambda request: self.problems.append(request.url))
        self.context.route(lambda url: not _OURS.match(url), self._cut_off)
        self.page: Page = self.context.new_page()

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.problems.append(message.text)

    def _cut_off(self, route: Route) -> None:
        self.problems.append(f"foreign: {route.request.url}")
        route.abort()

    def violations(self, *rules: str) -> list[str]:
        """What axe-core has against the page, serious or worse: all its rules, or some."""
        if not self.page.evaluate("typeof window.axe === 'object'"):
            self.page.evaluate(AXE.read_text(encoding="utf-8"))
        options: dict[str, Any] = {"resultTypes": ["violations"]}
        if rules:
            options["runOnly"] = {"type": "rule", "values": list(rules)}
        found = self.page.evaluate(f"axe.run(document, {json.dumps(options)})")
        return [
            f"{each['id']}: {node['html'][:200]} {node['failureSummary']}"
            for each in found["violations"]
            if each["impact"] in SERIOUS
            for node in each["nodes"][:3]
        ]

    def overflow(self) -> list[str]:
        """What sticks out of a window that cannot be scrolled sideways."""
        if self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
            return []
        return list(
            self.page.evaluate(
                "[...document.body.querySelectorAll('*')]"
                ".filter((each) => each.getBoundingClientRect().right > innerWidth + 1"
                "   && !each.closest('.scroll'))"
                ".map((each) => each.outerHTML.slice(0, 160))"
            )
        )


@contextlib.contextmanager
def reader(browser: Browser, **options: Any) -> Iterator[Reader]:
    """A profile of one's own, closed when done."""
    made = Reader(browser, **options)
    try:
        yield made
    finally:
        made.context.close()


@contextlib.contextmanager
def console(home: Home) -> Iterator[str]:
    """`pinsphere console` over a home; gives the address of its first page."""
    url = f"http://127.0.0.1:{processes.free_port()}"
    command = [sys.executable, "-m", "pinsphere", "console"]
    command += ["--home", str(home.path), "--port", str(urlsplit(url).port)]
    with processes.running(command, {}, url):
        yield url
