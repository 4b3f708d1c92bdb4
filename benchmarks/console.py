"""The console in a real Chromium: when the first chart is there, and what a page weighs.

    python -m benchmarks.console [--home HOME] [--times 9]

Starts `pinsphere console` over a home, the demo's unless one is named (it is made when it is not
there), and opens each page in a browser profile of its own, so with nothing cached. The clock is
the page's: from the navigation to the first frame with all its charts, or to the whole page where
there are none. Exit code 1 if the overview takes 1.5 s or more.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from playwright.sync_api import Browser

from pipelines.flows.demo import run_demo
from schemas.home import Home
from tests.browser.chromium import find_chromium, launched
from tests.browser.looking import console, reader
from tests.browser.screenshots import addresses

MAX_SECONDS = 1.5
# The script says so when all charts of the page are drawn; the frame after shows them.
_CLOCK = """
window.shown = new Promise((tell) => new MutationObserver(() =>
  requestAnimationFrame(() => tell(performance.now()))
).observe(document, {attributes: true, attributeFilter: ["data-drawn"], subtree: true}));
"""
_SHOWN = "document.querySelector('.chart') ? window.shown : performance.now()"
_BYTES = """performance.getEntries().filter((each) => "transferSize" in each)
  .reduce((sum, each) => sum + each.transferSize, 0)"""


class Load(NamedTuple):
    """One page, opened by somebody who was never here."""

    seconds: float
    size: int
    requests: int


def main() -> None:
    """Prints medians for each page, and whether the bar is held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--home", type=Path)
    parser.add_argument("--times", type=int, default=9)
    options = parser.parse_args()
    path = find_chromium()
    if path is None:
        sys.exit("no Chromium on PATH")
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder, "demo")
        if not home.exists():
            run_demo(home, seed=1, version="benchmark")
        with launched(path) as browser:
            medians = measured(Home(home), browser, options.times)
    print("\n| page | shown s | KB | requests |\n|---|--:|--:|--:|")
    for page, (seconds, size, requests) in medians.items():
        print(f"| {page} | {seconds:.2f} | {size / 1000:,.0f} | {requests} |")
    is_held = medians["overview"].seconds < MAX_SECONDS
    print(f"\noverview: {medians['overview'].seconds:.2f} s (< {MAX_SECONDS})")
    print("PASS" if is_held else "FAIL")
    sys.exit(0 if is_held else 1)


def measured(home: Home, browser: Browser, times: int) -> dict[str, Load]:
    """The median load of each page; prints how long the console took to come up."""
    began = time.perf_counter()
    with console(home) as url:
        print(f"console up after {time.perf_counter() - began:.2f} s")
        first = load(browser, url)
        print(f"the very first page: {first.seconds:.2f} s")
        pages = {name: url + target for name, target in addresses(home).items()}
        loads = {name: [load(browser, pages[name]) for _ in range(times)] for name in pages}
    return {
        name: Load(*map(statistics.median, zip(*each, strict=True))) for name, each in loads.items()
    }


def load(browser: Browser, url: str) -> Load:
    """Opens a page with an empty cache."""
    with reader(browser) as visit:
        visit.context.add_init_script(_CLOCK)
        visit.page.goto(url)
        return Load(
            float(visit.page.evaluate(_SHOWN)) / 1000,
            int(visit.page.evaluate(_BYTES)),
            len([each for each in visit.asked if each.startswith("http")]),
        )


if __name__ == "__main__":
    main()
