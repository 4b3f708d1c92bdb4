"""A real Chromium, one profile for each visitor, and no way out of this machine."""

import os
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser import processes
from tests.browser.chromium import NAMES, find_chromium, launched
from tests.browser.pinterest import stand_in
from tests.browser.site import Site

# What a page's own error reporting would see: rejections without a handler become errors.
REJECTIONS = """{
  const later = setTimeout;  // a page may break what it finds
  EventTarget.prototype.addEventListener.call(window, "unhandledrejection", (event) => {
    later(() => { throw new Error(`unhandled rejection: ${event.reason}`) })
  })
}"""


class Visitor:
    """One person: a browser profile, her page, what she opened at Pinterest, page errors."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.opened, self.asked = stand_in(context)
        self.own_hosts: set[str] = set()
        """Hosts that the shop's own markup asks for pictures."""
        self.errors: list[str] = []
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.add_init_script(REJECTIONS)
        self.page: Page = context.new_page()

    def check(self) -> None:
        """What holds for every visitor: no page saw an error, no third party heard of her."""
        assert self.errors == []
        assert self.asked <= self.own_hosts

    def visit(self, url: str, *, referrer: str | None = None) -> Page:
        """Opens a page and waits until the snippet is at work."""
        self.page.goto(url, referer=referrer)
        self.page.wait_for_function("window.pinsphere && !!window.pinsphere.visitor")
        return self.page

    def pin(self, selector: str, **options: object) -> str:
        """Clicks a button and gives the address that was opened at Pinterest."""
        before = len(self.opened)
        self.page.locator(selector).first.click(**options)  # type: ignore[arg-type]
        for _ in range(200):
            if len(self.opened) > before:
                break
            self.page.wait_for_timeout(20)
        assert len(self.opened) == before + 1, self.opened
        for other in self.context.pages:
            if other != self.page:
                other.wait_for_url("**/pin/**")  # closed on its way it may never answer
                other.close()
        return self.opened[-1]


NewVisitor = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium a module, gone with it: while Playwright lives, no other loop runs beside it.

    Tests elsewhere run loops of their own, and any file may follow in a process of `make test`.
    """
    path = find_chromium()
    if path is None:
        reason = f"no browser: none of {', '.join(NAMES)} is installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with launched(path) as browser:
        yield browser


@pytest.fixture
def new_visitor(browser: Browser) -> Iterator[NewVisitor]:
    visitors = []

    def make(*, script: str = "", user_agent: str | None = None) -> Visitor:
        visitor = Visitor(browser.new_context(user_agent=user_agent))
        visitors.append(visitor)
        if script:
            visitor.context.add_init_script(script)
        return visitor

    yield make
    for visitor in visitors:
        visitor.context.close()
    for visitor in visitors:
        visitor.check()


@pytest.fixture
def visitor(new_visitor: NewVisitor) -> Visitor:
    return new_visitor()


@pytest.fixture(scope="module")
def regular(browser: Browser) -> Iterator[Visitor]:
    """One visitor for a whole module of cases that do not meet: quicker than one for each."""
    context = browser.new_context()
    visitor = Visitor(context)
    yield visitor
    context.close()
    visitor.check()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()
    site.decoded()  # whatever a test was about: every event kept its contract


@pytest.fixture
def shop_and_beacon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[processes.Installation]:
    with processes.installation(tmp_path_factory.mktemp("home")) as running:
        yield running
