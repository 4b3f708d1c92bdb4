"""Pin It markup of every kind that shops have, and what must come of a click on it.

A markup is looked at twice: `before` Pinterest's own script has come, and `after` it has replaced
what it replaces. `PAGE` stands for the canonical address of the page.
"""

import html
import re
from typing import Any, NamedTuple

from schemas.ids import parse_token
from tests.browser.pinterest import PINIT, given

PAGE = "https://shop.example/products/blue-mug"
_CANONICAL = f'<link rel="canonical" href="{PAGE}">'
# What a shop's page has beside its button: a picture to pick, and buttons one can hit.
_REST = """<p><img id="picture" alt="picture" width="200" height="200" src="data:image/gif;base64,
R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"></p>
<style>a, button { display: inline-block; min-width: 1em; min-height: 1em }</style>"""
# What the scripts of a theme and of share widgets do with their own buttons.
_THEME = """<script>
  addEventListener("click", (event) => {
    const own = event.target.closest("[data-image]");
    const widget = event.target.closest("[class*=addthis_button_pin],[class*=a2a_button_pin]");
    if (!own && !widget) return;
    const media = own ? `&media=${encodeURIComponent(own.dataset.image)}` : "";
    const title = own ? `&description=${encodeURIComponent(own.dataset.title)}` : "";
    const page = document.querySelector("[rel=canonical]").href;
    open(`https://www.pinterest.com/pin/create/button/?url=${encodeURIComponent(page)}`
      + media + title, "share", "width=600");
  });
</script>"""
_ENCODED = "url=https%3A%2F%2Fshop.example%2Fp%2Fcup&amp;media=https%3A%2F%2Fimg.example%2Fcup.jpg"
_CUP, _MEDIA = "https://shop.example/p/cup", "https://img.example/cup.jpg"
_CREATE = "https://www.pinterest.com/pin/create/button/"
_BOOKMARKLET = (
    "javascript:void((function()%7Bvar%20s=document.createElement('script');"
    "s.src='https://assets.pinterest.com/js/pinmarklet.js?r='+Math.random();"
    "document.body.appendChild(s)%7D)());"
)


class Markup(NamedTuple):
    """One markup; `kind` as in `KINDS`, `url` etc. what a click pins, None for what is not given.

    `media` and `description` are what Pinterest's script makes of the markup; a link that it has
    not touched gives only what stands in its `href`.
    """

    kind: str
    html: str
    url: str | None = None
    media: str | None = None
    description: str | None = None


# pin: a link or button that pins one address; pin-any: the visitor picks an image; script, and
# aggregator: code of the shop or of a share widget opens the window; image: Pinterest's script
# lets a button float over it; none: must stay as it is, to the byte.
KINDS = {"pin", "pin-any", "script", "aggregator", "image", "none"}
OWN = {
    "a built button of one image": Markup(
        "pin",
        f'<a data-pin-do="buttonPin" href="{_CREATE}?{_ENCODED}&amp;description=A%20Cup"></a>',
        *(_CUP, _MEDIA, "A Cup"),
    ),
    "a built button with a counter": Markup(
        "pin",
        f'<a data-pin-do="buttonPin" data-pin-config="above" href="{_CREATE}?{_ENCODED}">Pin</a>',
        *(_CUP, _MEDIA),
    ),
    "own HTML": Markup(
        "pin",
        f'<a data-pin-do="buttonPin" data-pin-custom="true" href="{_CREATE}?{_ENCODED}">'
        "<b>P</b></a>",
        *(_CUP, _MEDIA),
    ),
    "own HTML, all in attributes": Markup(
        "pin",
        f'<a data-pin-do="buttonPin" data-pin-custom="true" data-pin-url="{_CUP}" data-pin-media='
        f'"{_MEDIA}" data-pin-description="A Cup" href="{_CREATE}">P</a>',
        *(_CUP, _MEDIA, "A Cup"),
    ),
    "attributes before the link": Markup(
        "pin",
        f'<a data-pin-do="buttonPin" data-pin-url="{_CUP}" href="{_CREATE}'
        '?url=https%3A%2F%2Fother.example&amp;media=https%3A%2F%2Fimg.example%2Fcup.jpg">P</a>',
        *(_CUP, _MEDIA),
    ),
    "attributes encoded by mistake": Markup(
        "pin",
        '<a data-pin-do="buttonPin" data-pin-url="https%3A%2F%2Fshop.example%2Fp%2Fcup"'
        f' data-pin-media="{_MEDIA}" href="{_CREATE}">P</a>',
        *("https%3A%2F%2Fshop.example%2Fp%2Fcup", _MEDIA),
    ),
    "no address at all": Markup(
        "pin",
        f'<a data-pin-do="buttonPin" data-pin-media="{_MEDIA}" href="{_CREATE}">P</a>',
        *(PAGE, _MEDIA),
    ),
    "entities, text first, an icon inside": Markup(
        "pin",
        f'<a href="{_CREATE}?description=Cup&#038;{_ENCODED}">'
        '<svg width="20" height="20"><use href="#icon"></use><rect width="20" height="20"/>'
        "</svg></a>",
        *(_CUP, _MEDIA, "Cup"),
    ),
    "nothing encoded, no scheme": Markup(
        "pin",
        f'<a target="_blank" href="//pinterest.com/pin/create/button/?url={_CUP}?a=1'
        '&media=//img.example/cup.jpg?v=2&description=T%C3%A9">P</a>',
        *(_CUP + "?a=1", "//img.example/cup.jpg?v=2", "Té"),
    ),
    "the share link": Markup(
        "pin",
        f'<a href=" https://www.pinterest.com/pin/create/link/?{_ENCODED}" data-rel="popup">P</a>',
        *(_CUP, _MEDIA),
    ),
    "the link of bookmarklets": Markup(
        "pin",
        f'<a href="https://www.pinterest.com/pin/create/bookmarklet/?pinFave=1&url={_CUP}'
        f'&media={_MEDIA}&description=A Cup">P</a>',
        *(_CUP, _MEDIA, "A Cup"),
    ),
    "another country, no slash": Markup(
        "pin",
        f'<a href="https://www.pinterest.co.uk/pin/create/button?{_ENCODED}">P</a>',
        *(_CUP, _MEDIA),
    ),
    "an empty address": Markup(
        "pin", f'<a href="{_CREATE}?url=&amp;media={_MEDIA}">P</a>', PAGE, _MEDIA
    ),
    "the button of 2012": Markup(
        "pin",
        f'<a class="pin-it-button" count-layout="horizontal" href="{_CREATE}?{_ENCODED}">'
        "<b>Pin It</b></a>",
        *(_CUP, _MEDIA),
    ),
    "the button of 2012 without an image": Markup(
        "pin",
        f'<a class="pin-it-button" count-layout="vertical" href="{_CREATE}?url={_CUP}">P</a>',
        _CUP,
    ),
    "a handler in the tag": Markup(
        "pin",
        f"<a href=\"#\" onclick=\"window.open('{_CREATE}?{_ENCODED}', 'share', 'width=750');"
        ' return false">P</a>',
        *(_CUP, _MEDIA),
    ),
    "a link whose handler opens it too": Markup(
        "pin",
        f'<a href="{_CREATE}?{_ENCODED}" onclick="window.open(this.href); return false">P</a>',
        *(_CUP, _MEDIA),
    ),
    "an AMP button outside of AMP": Markup(
        "pin",
        f'<amp-pinterest data-do="buttonPin"><a href="{_CREATE}?{_ENCODED}">P</a></amp-pinterest>',
        *(_CUP, _MEDIA),
    ),
    "any image": Markup("pin-any", f'<a data-pin-do="buttonBookmark" href="{_CREATE}">P</a>', PAGE),
    "any image of an address": Markup(
        "pin-any",
        f'<a data-pin-do="buttonPin" data-pin-height="20" href="{_CREATE}?url={_CUP}">P</a>',
        _CUP,
    ),
    "a bookmarklet": Markup("pin-any", f'<a rel="nofollow" href="{_BOOKMARKLET}">P</a>', PAGE),
    "a theme's own button": Markup(
        "script",
        f'<button data-title="A Cup" data-image="{_MEDIA}">Save</button>',
        *(PAGE, _MEDIA, "A Cup"),
    ),
    "AddThis": Markup(
        "aggregator",
        '<div class="addthis_toolbox"><a class="addthis_button_pinterest_pinit"></a></div>',
        PAGE,
    ),
    "AddToAny": Markup(
        "aggregator", '<div class="a2a_kit"><a class="a2a_button_pinterest"></a></div>', PAGE
    ),
    "an image that says what it pins": Markup(
        "image",
        f'<img alt="" width="300" height="300" src="{_MEDIA}" data-pin-url="{_CUP}"'
        f' data-pin-media="{_MEDIA}?large" data-pin-description="A Cup">',
        *(_CUP, _MEDIA + "?large", "A Cup"),
    ),
    "an image that says nothing": Markup(
        "image", f'<img alt="Cup" width="300" height="300" src="{_MEDIA}">', PAGE, _MEDIA, "Cup"
    ),
    "a profile": Markup("none", '<a href="https://www.pinterest.com/shopexample/">Follow us</a>'),
    "an embedded pin": Markup(
        "none", '<a data-pin-do="embedPin" href="https://www.pinterest.com/pin/99/">P</a>'
    ),
    "another path": Markup(
        "none", f'<a href="https://www.pinterest.com/pin/find/?{_ENCODED}">P</a>'
    ),
    "another network": Markup("none", f'<a href="//facebook.example/sharer.php?u={_CUP}">P</a>'),
    "a path of the shop": Markup("none", f'<a href="/pin/create/button/?{_ENCODED}">P</a>'),
    "a path of this shop, in full": Markup(
        "none", f'<a href="https://shop.example/pin/create/button/?{_ENCODED}">P</a>'
    ),
    **{
        f"the host {host}": Markup(
            "none", f'<a href="https://{host}/pin/create/button/?{_ENCODED}">P</a>'
        )
        for host in (
            *("notpinterest.com", "pinterest.com.evil.example", "pinterest.example.io"),
            *("pinterest-com.example", "evil.example/pinterest.com"),
        )
    },
    **{
        f"data-pin-do={word}": Markup(
            "none", f'<a data-pin-do="{word}" href="{_CREATE}?{_ENCODED}">P</a>'
        )
        for word in ("none", "ignore", "nothing")
    },
    "an image not to be pinned": Markup(
        "none", f'<img alt="" width="300" height="300" src="{_MEDIA}" data-pin-nopin="true">'
    ),
}
STAY = "<script>addEventListener('click', (event) => event.preventDefault())</script>"


def check(site, visitor, markup: Markup, *, is_built: bool) -> None:
    """Puts the markup up, clicks it, and holds what was opened against what it should pin."""
    visitor.own_hosts |= set(re.findall(r"//([\w.-]+)", markup.html))
    if markup.kind == "none":
        return check_untouched(site, visitor, [markup.html], is_built=is_built)
    body = markup.html + _REST + _THEME + PINIT * is_built
    visitor.visit(site.show(body, head=_CANONICAL))
    visitor.page.wait_for_timeout(100 * ("data-pin-config" in markup.html) * is_built)
    assert "pinsphere=" not in visitor.page.inner_html("body"), "tagged before the click"
    if markup.kind == "image":
        visitor.page.hover("img:first-of-type")
        if not is_built:
            return None
    is_picker = markup.kind == "pin-any" and (is_built or "javascript:" in markup.html)
    opened = _click(visitor, is_picker=is_picker)
    url = given(opened, "url") or ""
    plain, mark, token = (
        re.split(r"([?&])pinsphere=", url) if "pinsphere=" in url else (url, "", "")
    )
    assert mark, f"no token in {opened}"
    assert plain == markup.url
    assert mark == ("&" if "?" in plain else "?")
    if not is_picker:
        expected = (markup.media, markup.description)
        if not is_built and "data-pin-do" in markup.html:  # nobody reads the attributes yet
            href = re.search(r'href="([^"]*)"', markup.html)
            link = html.unescape(href[1]) if href else ""
            expected = (given(link, "media"), given(link, "description"))
        assert (given(opened, "media"), given(opened, "description")) == expected
    (pin,) = site.wait_for("pin")
    assert pin["pin_id"] == parse_token(token).pin_id
    assert pin["pin_url"] == markup.url
    assert pin["pin_mode"] in _modes(markup)
    visitor.page.wait_for_timeout(50)
    assert len(site.named("pin")) == 1, "one click, one pin"
    return None


def _click(visitor, *, is_picker: bool) -> str:
    button = "[data-pin-log], a, button"
    if not is_picker:
        return str(visitor.pin(button))
    visitor.page.locator(button).first.click()
    return str(visitor.pin("#picker button"))


def check_untouched(site, visitor, markups: list[str], *, is_built: bool) -> None:
    """Clicks on what is no Pin It button, and sees every byte of it stay."""
    body = "".join(f"<div class=other>{one}</div>" for one in markups)
    visitor.own_hosts |= set(re.findall(r"//([\w.-]+)", body))
    page = visitor.visit(site.show(body + _REST + STAY + PINIT * is_built))
    before = page.inner_html("body")

    for other in page.locator(".other > *").all():
        other.click()

    assert page.inner_html("body") == before
    page.wait_for_timeout(100)
    assert site.named("pin") == []


def _modes(markup: Markup) -> set[Any]:
    if markup.kind == "image":
        return {"hover"}
    if markup.kind == "pin-any":
        return {"any_image"}
    if "data-pin-do" in markup.html:
        # Until Pinterest's script has come, what stands in attributes only is no image.
        return {"custom" if "data-pin-custom" in markup.html else "button"}
    return {"button" if "pin-it-button" in markup.html else "link"}
