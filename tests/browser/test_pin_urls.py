"""URLs are edited as text: only the token comes and goes."""

from urllib.parse import quote

import pytest

from schemas.ids import parse_token
from tests.browser.pinterest import given

pytestmark = pytest.mark.browser

SHOP = "https://shop.example"
# What is pinned, and what it becomes; {} is the token's parameter.
TAGGED = [
    (f"{SHOP}/p/cup", f"{SHOP}/p/cup?{{}}"),
    (SHOP, f"{SHOP}?{{}}"),
    (f"{SHOP}/?", f"{SHOP}/?&{{}}"),
    (f"{SHOP}/p?a=b&&c", f"{SHOP}/p?a=b&&c&{{}}"),
    (f"{SHOP}/p?a", f"{SHOP}/p?a&{{}}"),
    (f"{SHOP}/p?a=b&", f"{SHOP}/p?a=b&&{{}}"),
    (f"{SHOP}/p#part", f"{SHOP}/p?{{}}#part"),
    (f"{SHOP}/p?a=1#/route?x=2", f"{SHOP}/p?a=1&{{}}#/route?x=2"),
    (f"{SHOP}/100%25?off=5%", f"{SHOP}/100%25?off=5%&{{}}"),
    (f"{SHOP}/a+b?q=c+d%2Be", f"{SHOP}/a+b?q=c+d%2Be&{{}}"),
    (f"{SHOP}/caf%C3%A9?n=é&m=(x)'!*", f"{SHOP}/caf%C3%A9?n=é&m=(x)'!*&{{}}"),
    (
        f"{SHOP}/p?to=https%3A%2F%2Fx%3Fpinsphere%3Da",
        f"{SHOP}/p?to=https%3A%2F%2Fx%3Fpinsphere%3Da&{{}}",
    ),
    (f"{SHOP}/p?$&=$1&a=$`", f"{SHOP}/p?$&=$1&a=$`&{{}}"),
    (f"{SHOP}/p?pinsphere=old", f"{SHOP}/p?{{}}"),
    (f"{SHOP}/p?pinsphere=old.root&a=b", f"{SHOP}/p?a=b&{{}}"),
    (f"{SHOP}/p?a=b&pinsphere=old#part", f"{SHOP}/p?a=b&{{}}#part"),
    (f"{SHOP}/p?pinsphere=a&pinsphere=b", f"{SHOP}/p?{{}}"),
    (f"{SHOP}/p#pinsphere=old", f"{SHOP}/p?{{}}"),
    (f"{SHOP}/p?xpinsphere=kept", f"{SHOP}/p?xpinsphere=kept&{{}}"),
]
CREATE = "https://www.pinterest.com/pin/create/button/"


def links(hrefs):
    """A page of Pin It links; clicks stay on it."""
    anchors = "".join(
        f'<a href="{href.replace("&", "&amp;")}">{place}</a> ' for place, href in enumerate(hrefs)
    )
    return (
        anchors
        + """<script>
      window.gone = [];
      addEventListener("click", (event) => {
        event.preventDefault();
        gone.push(event.target.getAttribute("href"));
      });
    </script>"""
    )


def opened_by_clicks(page):
    """Clicks each link; gives where each would have led, and sees that no link has changed."""
    hrefs = "[...document.querySelectorAll('a')].map((link) => link.getAttribute('href'))"
    before = page.evaluate(hrefs)
    page.evaluate("document.querySelectorAll('a').forEach((link) => link.click())")
    opened = page.evaluate("gone")
    page.wait_for_function(f"String({hrefs}) === String({before})")
    return opened


def pinned_after_clicks(page):
    """Clicks each link; gives the URL that each would pin."""
    return [given(link, "url") for link in opened_by_clicks(page)]


def test_odd_urls_keep_every_byte_but_the_token(site, visitor):
    """A shop's links are signed, cached and counted by their exact text."""
    urls = [url for url, _ in TAGGED]
    page = visitor.visit(site.show(links(f"{CREATE}?url={quote(url, safe='')}" for url in urls)))

    pinned = pinned_after_clicks(page)

    pins = site.wait_for("pin", len(urls))
    for (url, expected), found, pin in zip(TAGGED, pinned, pins, strict=True):
        token = f"pinsphere={pin['pin_id']}"
        assert found == expected.replace("{}", token), url
        assert parse_token(pin["pin_id"]).pin_id == pin["pin_id"]


def test_the_fragment_can_carry_the_token(site, visitor):
    """Where Pinterest strips queries, the fragment may survive."""
    cases = {
        f"{SHOP}/p?a=b": f"{SHOP}/p?a=b#{{}}",
        f"{SHOP}/p#part": f"{SHOP}/p#part&{{}}",
        f"{SHOP}/p?pinsphere=old#": f"{SHOP}/p#&{{}}",
    }
    page = visitor.visit(
        site.show(
            links(f"{CREATE}?url={quote(url, safe='')}" for url in cases),
            attributes='data-carrier="fragment"',
        )
    )

    pinned = pinned_after_clicks(page)

    for expected, found, pin in zip(cases.values(), pinned, site.wait_for("pin", 3), strict=True):
        assert found == expected.replace("{}", f"pinsphere={pin['pin_id']}")


def test_unencoded_urls_are_read_as_meant_and_written_strictly(site, visitor):
    """Hand-made links forget to encode; Pinterest then loses what stands behind the first &."""
    tail = "&media=https://img.example/1.jpg&description=A%20Cup"
    unencoded = {
        f"{CREATE}?url={SHOP}/p?x=1&y=2{tail}": f"{SHOP}/p?x=1&y=2&",
        f"{CREATE}?url={SHOP}/p#part{tail}": f"{SHOP}/p?",
        f"{CREATE}?url=//shop.example/p{tail}": "//shop.example/p?",
        f"{CREATE}?description=x&url={SHOP}/p?x=50%": f"{SHOP}/p?x=50%&",
    }
    page = visitor.visit(site.show(links(unencoded)))

    opened = opened_by_clicks(page)

    for (link, expected), written in zip(unencoded.items(), opened, strict=True):
        found = str(given(written, "url"))
        assert found.startswith(expected + "pinsphere="), link
        assert "://" not in written.partition("url=")[2].partition("&")[0]
        assert written.endswith(tail) or "media" not in link


@pytest.mark.parametrize("mark", ["?", "#"])
def test_the_token_leaves_the_address_bar_and_nothing_else_does(site, regular, mark):
    """A copied address must not carry somebody's pin on."""
    page = "/p"
    site.show("<p>cup</p>", path=page)
    before = (
        ["?a=b&&c", "?", "?x=%41+%", "?a=1#/route?x=2", "?$&=1"] if mark == "?" else ["?a#x", ""]
    )
    for rest in before:
        query, hash_mark, fragment = rest.partition("#")
        if mark == "?":
            tagged = f"{query}&pinsphere=abc.root{hash_mark}{fragment}"
        else:
            tagged = f"{query}#{fragment}{'&' if fragment else ''}pinsphere=abc.root"

        regular.page.goto("about:blank")
        regular.visit(site.origin + page + tagged)

        assert regular.page.evaluate("location.href") == site.origin + page + rest
    visits = site.wait_for("pin_visit", len(before))
    carrier = "query" if mark == "?" else "fragment"
    assert {visit["token_carrier"] for visit in visits} == {carrier}
    assert not any("pinsphere=" in str(visit) for visit in visits)


GOOD = ["a", "A-_9", "x" * 64, "pin.root", f"{'x' * 64}.{'y' * 64}"]
BAD = ["", ".", "a.", ".a", "a.b.c", "x" * 65, "a%20b", "a+b", "é", "a.b/", "a=b"]


def test_the_token_grammar_is_that_of_the_pipeline(site, visitor):
    """What the page takes for a token, the pipeline reads, and the other way round."""
    site.show("<p>cup</p>")
    for place, value in enumerate([*GOOD, *BAD]):
        visitor.visit(f"{site.origin}/?n={place}&pinsphere={value}")
    visitor.visit(f"{site.origin}/?n=last&pinsphere=last")
    site.wait_for("pin_visit", len(GOOD) + 1)

    found = [visit["pin_id"] for visit in site.named("pin_visit")]

    assert found == [*(parse_token(value).pin_id for value in GOOD), "last"]
    for value in BAD:
        with pytest.raises(Exception, match="pin id"):
            parse_token(value)
