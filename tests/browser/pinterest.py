"""A stand-in for Pinterest: its create page, and what its own script does with buttons."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from playwright.sync_api import BrowserContext, Request, Route

ELSEWHERE = re.compile(r"^(?!https?://(127\.0\.0\.1|localhost)[:/])")

# The create page shows what would be pinned; Save publishes it as a link out to the shop.
CREATE_PAGE = """<!doctype html><title>Create pin</title>
<p>url <span id="url"></span></p><p>media <span id="media"></span></p>
<button id="save">Save</button>
<script>
  const given = (name) =>
    decodeURIComponent((location.search.match(`[?&]${name}=([^&]*)`) || [])[1] || "");
  for (const name of ["url", "media"]) document.getElementById(name).textContent = given(name);
  document.getElementById("save").onclick = () => {
    const pin = document.createElement("a");
    pin.id = "pin";
    pin.textContent = "Visit site";
    pin.setAttribute("href", given("url"));
    document.body.append(pin);
  };
</script>"""

_SCRIPT = Path(__file__).with_name("pinit.js").read_text(encoding="utf-8")
# Pinterest's script as a shop has it in its pages, and what its bookmarklet loads.
PINIT = f"<script>{_SCRIPT}</script>"
_BOOKMARKLET = f"window.PIN_ANY = true; {_SCRIPT}"


def stand_in(context: BrowserContext) -> tuple[list[str], set[str]]:
    """Answers for Pinterest in a browser profile.

    Gives the list of addresses opened there, and the set of all other hosts that anything asked
    for: these are cut off.
    """
    opened: list[str] = []
    cut_off: set[str] = set()

    def answer(route: Route, request: Request) -> None:
        url = urlsplit(request.url)
        host = url.hostname or ""
        if "pinterest" in host and request.is_navigation_request():
            opened.append(request.url)
            route.fulfill(body=CREATE_PAGE, content_type="text/html")
        elif url.path == "/js/pinmarklet.js":
            route.fulfill(body=_BOOKMARKLET, content_type="text/javascript")
        else:
            cut_off.add(host)
            route.abort()

    context.route(ELSEWHERE, answer)
    return opened, cut_off


def given(link: str, name: str) -> str | None:
    """A parameter of a create link, as Pinterest reads it."""
    for part in urlsplit(link).query.split("&"):
        key, equals, value = part.partition("=")
        if key == name and equals:
            return unquote(value)
    return None
