"""What a click on a button opens, and what is reported of it; all markups: test_markups.py."""

import pytest

from schemas.ids import parse_token
from tests.browser.pinterest import PINIT, given

pytestmark = pytest.mark.browser

CUP = "https://shop.example/p/cup"
MEDIA = "https://img.shop.example/cup.jpg"
ENCODED = "url=https%3A%2F%2Fshop.example%2Fp%2Fcup&media=https%3A%2F%2Fimg.shop.example%2Fcup.jpg"
CREATE = "https://www.pinterest.com/pin/create/button/"
PICKER = "https://www.pinterest.com/pin/create/bookmarklet/"
HEAD = '<link rel="canonical" href="https://shop.example/p/page">'

PLAIN = f'<a id="b" href="{CREATE}?{ENCODED}&amp;description=A%20Cup">Pin</a>'
BUILT = f"{CREATE}?guid=abcDEF012345-1&amp;{ENCODED}&amp;description=Cup"
BUTTONS = {
    "built by Pinterest": (
        f'<span data-pin-log="button_pinit" data-pin-href="{BUILT}"><i id="b">Save</i></span>',
        "button",
    ),
    "custom, built": (
        f'<a data-pin-custom=1 data-pin-log="button_pinit" data-pin-href="{BUILT}"><i id="b">x</i>',
        "custom",
    ),
    "hover": (
        f'<span id="b" data-pin-log="button_pinit_floating" data-pin-href="{BUILT}">Save</span>',
        "hover",
    ),
    "sticky": (
        f'<span id="b" data-pin-log="button_pinit_sticky" data-pin-href="{BUILT}">Save</span>',
        "hover",
    ),
}


def untag(url):
    """Splits a pinned URL at its token."""
    plain, mark, token = url.partition("?pinsphere=")
    assert mark, url
    return plain, parse_token(token)


@pytest.mark.parametrize("name", BUTTONS)
def test_a_built_button_opens_the_tagged_url_and_counts_once(site, regular, name):
    """Pinterest's script opens data-pin-href by window.open: one click, one pin."""
    markup, mode = BUTTONS[name]
    regular.visit(site.show(markup + PINIT, head=HEAD))

    opened = regular.pin("#b")

    plain, token = untag(given(opened, "url"))
    assert (plain, given(opened, "media"), given(opened, "description")) == (CUP, MEDIA, "Cup")
    site.wait_for("pin")
    regular.page.wait_for_timeout(100)
    (pin,) = site.named("pin")
    assert (pin["pin_id"], pin["pin_mode"]) == (token.pin_id, mode)
    assert pin["pinterest_guid"] == "abcDEF012345-1"
    assert pin["media_url"] == MEDIA


def test_a_click_goes_where_it_would_have_gone(site, visitor):
    """Whatever we do at a click, Pinterest's page opens, with the token in its address."""
    visitor.visit(site.show(PLAIN.replace("<a", '<a target="_blank"')))

    opened = visitor.pin("#b")

    plain, token = untag(given(opened, "url"))
    assert (plain, given(opened, "media")) == (CUP, MEDIA)
    assert site.wait_for("pin")[0]["pin_id"] == token.pin_id


@pytest.mark.parametrize("name", ["'pin1700000000000'", "'share'", "undefined"])
def test_a_window_opened_by_script_is_tagged(site, regular, name):
    """Share widgets and hover buttons have no link: only window.open shows what they pin."""
    call = f"window.open('{CREATE}?{ENCODED}', {name}, 'width=750'); return false"
    regular.visit(site.show(f'<a id="b" href="#" onclick="{call}">Pin</a>'))

    opened = regular.pin("#b")

    plain, token = untag(given(opened, "url"))
    (pin,) = site.wait_for("pin")
    assert (plain, given(opened, "media")) == (CUP, MEDIA)
    assert (pin["pin_id"], pin["pin_mode"]) == (token.pin_id, "link")


def test_a_link_whose_handler_opens_the_window_counts_once(site, visitor):
    """Hand-made links often do both; the handler's copy gets the same token."""
    call = f"window.open('{CREATE}?{ENCODED}'); return false"
    visitor.visit(
        site.show(
            f'<a id="b" href="{CREATE}?{ENCODED}" onclick="{call}">Pin</a>'.replace("&", "&amp;")
        )
    )

    _, token = untag(given(visitor.pin("#b"), "url"))

    site.wait_for("pin")
    visitor.page.wait_for_timeout(100)
    assert [pin["pin_id"] for pin in site.named("pin")] == [token.pin_id]


def test_other_windows_are_opened_as_they_were(site, visitor):
    """The wrapper must not get in the way of the shop's own windows."""
    site.show("other", path="/other")
    page = visitor.visit(site.show("<p>page</p>"))

    with visitor.context.expect_page() as popup:
        page.evaluate("window.popup = window.open('/other?a=1', 'help', 'width=300')")

    assert popup.value.url == site.origin + "/other?a=1"
    assert page.evaluate("window.popup.name") == "help"


def test_a_middle_click_is_a_pin_too(site, visitor):
    """Who opens Pinterest in a new tab pins as well."""
    note = "<script>onauxclick = (event) => { gone = event.target.href }</script>"
    page = visitor.visit(site.show(PLAIN + note))

    page.click("#b", button="middle")

    (pin,) = site.wait_for("pin")
    plain, token = untag(given(page.evaluate("gone"), "url"))
    assert (plain, token.pin_id) == (CUP, pin["pin_id"])


def test_a_repin_is_reported_and_left_alone(site, visitor):
    """Pinterest takes no URL for a repin, so there is nothing to tag."""
    link = "https://www.pinterest.com/pin/123/repin/x/?guid=abcDEF012345"
    built = f'data-pin-log="button_pinit_repin" data-pin-id="123" data-pin-href="{link}"'
    visitor.visit(site.show(f'<span id="b" {built}>Save</span>' + PINIT))

    assert visitor.pin("#b") == link

    (pin,) = site.wait_for("pin")
    assert (pin["pin_mode"], pin["pin_url"]) == ("repin", link)


def test_data_pin_url_wins_and_is_tagged_as_it_stands(site, visitor):
    """A shop that encoded data-pin-url by mistake keeps its mistake, and we do not crash.

    The attribute itself stays: what Pinterest draws from it later must not carry this token.
    """
    wrong = "https%3A%2F%2Fshop.example%2Fp%2Fcup"
    page = visitor.visit(
        site.show(
            f'<a id="b" data-pin-do="buttonPin" data-pin-url="{wrong}"'
            f' target="_blank" href="{CREATE}">Pin</a>'
        )
    )

    plain, token = untag(given(visitor.pin("#b"), "url"))

    assert plain == wrong
    assert page.get_attribute("#b", "data-pin-url") == wrong
    (pin,) = site.wait_for("pin")
    assert (pin["pin_url"], pin["pin_id"]) == (wrong, token.pin_id)


def test_the_picker_counts_once(site, visitor):
    """The any-image button opens Pinterest's picker, which opens the window on a later click."""
    button = f'<b id="any" data-pin-log="button_pinit_bookmarklet" data-pin-href="{CREATE}">x</b>'
    pick = f"window.open('{PICKER}?{ENCODED}')"
    page = visitor.visit(site.show(f'{button}<i id="b" onclick="{pick}">this one</i>'))

    page.click("#any")
    (pin,) = site.wait_for("pin")

    assert pin["pin_mode"] == "any_image"
    _, token = untag(given(visitor.pin("#b"), "url"))
    page.wait_for_timeout(100)
    assert [pin["pin_id"] for pin in site.named("pin")] == [token.pin_id]


def test_a_second_click_is_a_second_pin(site, visitor):
    """Two clicks are two intents: each has its own id, and the URL carries one token."""
    visitor.visit(site.show(f'<a id="b" target="_blank" href="{CREATE}?{ENCODED}">Pin</a>'))

    first = untag(given(visitor.pin("#b"), "url"))
    second = untag(given(visitor.pin("#b"), "url"))

    assert first[0] == second[0] == CUP
    assert [pin["pin_id"] for pin in site.wait_for("pin", 2)] == [first[1].pin_id, second[1].pin_id]
    assert first[1] != second[1]


def test_the_page_is_told_in_pinterests_own_order(site, visitor):
    """pin:url before canonical before the address, without its fragment."""
    tags = [
        '<meta name="pin:url" content="https://shop.example/1">',
        '<link rel="canonical" href="https://shop.example/2">',
    ]
    markup = f'<a id="b" target="_blank" href="{CREATE}">Pin</a>'
    pinned = []
    for first in range(3):
        head = "".join(tags[first:])
        visitor.visit(site.show(markup, path=f"/{first}", head=head) + "?a=b#part")
        pinned.append(str(given(visitor.pin("#b"), "url")).partition("pinsphere=")[0])

    canonical = [f"https://shop.example/{number}?" for number in (1, 2)]
    assert pinned == [*canonical, f"{site.origin}/2?a=b&"]
