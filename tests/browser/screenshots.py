"""Takes the pictures of the console that the documents show, of the demo's data.

python -m tests.browser.screenshots [HOME]

Wants what `make demo` has left behind, in pinsphere-demo or HOME.
"""

import base64
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ViewportSize

from console.contents import PAGES
from console.database import Database
from console.reading import read
from schemas.home import Home
from tests.browser.chromium import find_chromium, launched
from tests.browser.looking import PHONE, console, reader

IMAGES = Path(__file__).parents[2] / "docs" / "images"
QUALITY = 80
DESK: ViewportSize = {"width": 1120, "height": 1160}
# The best of these pages is not at the top.
PICTURES = ("pinner", "cascade")


def main() -> None:
    """Writes one picture a page, and the overview on a phone by night."""
    home = Home(Path(sys.argv[1] if len(sys.argv) > 1 else "pinsphere-demo"))
    path = find_chromium()
    if path is None:
        sys.exit("no Chromium on PATH")
    IMAGES.mkdir(exist_ok=True)
    targets = addresses(home)
    with console(home) as url, launched(path) as browser:
        for name, target in targets.items():
            part = ".picture" if name in PICTURES else "body"
            take(browser, url + target, IMAGES / f"{name}.webp", part, viewport=DESK)
        take(browser, url, IMAGES / "phone.webp", "body", viewport=PHONE, color_scheme="dark")


def addresses(home: Home) -> dict[str, str]:
    """Each page by its name; those about one thing about the one that has most to show."""
    found = {}
    database = Database(home)
    with database.snapshot() as connection:
        _, choices, ask = read(connection, {})
        for entry in PAGES:
            thing = entry.top(ask) if entry.top else None
            query = f"?{choices.query(**{entry.key: thing})}" if thing else ""
            found[entry.path.strip("/") or "overview"] = entry.path + query
    database.close()
    return found


def take(browser: Browser, url: str, path: Path, part: str, **options: Any) -> None:
    """One window of a page, with a part of it in sight."""
    with reader(browser, **options) as visit:
        visit.page.goto(url)
        block = f"{part}:is(body), .block:has({part})"
        visit.page.locator(block).first.evaluate("(each) => each.scrollIntoView()")
        session = visit.context.new_cdp_session(visit.page)
        format_of_it = {"format": "webp", "quality": QUALITY}
        taken = session.send("Page.captureScreenshot", format_of_it)
        path.write_bytes(base64.b64decode(taken["data"]))
        assert visit.problems == []
    print(f"{path.name} {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
