"""A stand-in for Pinterest: its create page, and what its own script does with buttons."""

import re
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

# Opens what a built button holds, in the bubbling phase, as Pinterest's script does.
PINIT = """<script>
  document.addEventListener("click", (event) => {
    let built = event.target;
    if (!built.dataset.pinLog) built = built.parentNode;
    if (built.dataset.pinLog) window.open(built.dataset.pinHref, "pin" + Date.now());
  });
</script>"""


def stand_in(context: BrowserContext) -> list[str]:
    """Answers for Pinterest in a browser profile; gives the list of addresses opened there.

    Everything else that is not on this machine is cut off.
    """
    opened: list[str] = []

    def answer(route: Route, request: Request) -> None:
        host = urlsplit(request.url).hostname or ""
        if "pinterest" in host and request.is_navigation_request():
            opened.append(request.url)
            route.fulfill(body=CREATE_PAGE, content_type="text/html")
        else:
            route.abort()

    context.route(ELSEWHERE, answer)
    return opened


def given(link: str, name: str) -> str | None:
    """A parameter of a create link, as Pinterest reads it."""
    for part in urlsplit(link).query.split("&"):
        key, equals, value = part.partition("=")
        if key == name and equals:
            return unquote(value)
    return None
