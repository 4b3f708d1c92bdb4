"""Recommendation lists: seen once, chosen from, and pinned out of."""

import pytest

pytestmark = pytest.mark.browser

CREATE = "https://www.pinterest.com/pin/create/button/"
CARD = (
    '<li data-pinsphere-item="{0}" data-pinsphere-index="{1}"><a class="item" href="/p/{0}">{0}</a>'
    f'<a class="pin" target="_blank" href="{CREATE}?url=https%3A%2F%2Fshop.example%2Fp%2F{{0}}">'
    "<i>Pin</i></a></li>"
)
LIST = '<ul data-pinsphere-list="home_recs" data-pinsphere-recommender="cf-v2">{}</ul>'
CARDS = "".join(CARD.format(item, index) for index, item in enumerate(("cup", "vase", "lamp")))


def test_a_list_is_reported_with_its_items_when_it_is_seen(site, visitor):
    """A list below the fold was not shown; one that was scrolled to counts once."""
    page = visitor.visit(site.show('<div style="height: 4000px"></div>' + LIST.format(CARDS)))
    page.wait_for_timeout(200)
    assert site.named("view_item_list") == []
    for place in (4000, 0, 4000):
        page.evaluate(f"scrollTo(0, {place})")
        page.wait_for_timeout(100)

    (shown,) = site.wait_for("view_item_list")

    assert (shown["item_list_id"], shown["recommender_id"]) == ("home_recs", "cf-v2")
    assert shown["items"] == [
        {"item_id": item, "index": index} for index, item in enumerate(("cup", "vase", "lamp"))
    ]


def test_widgets_drawn_later_count_when_they_have_items(site, visitor):
    """Recommenders fill their slot after the page has loaded."""
    page = visitor.visit(site.show("<main></main>"))
    page.evaluate(f"document.querySelector('main').innerHTML = `{LIST.format('')}`")
    page.wait_for_timeout(150)
    assert site.named("view_item_list") == []

    page.evaluate(f"document.querySelector('ul').innerHTML = `{CARDS}`")

    assert len(site.wait_for("view_item_list")[0]["items"]) == 3


def test_a_chosen_item_is_reported_with_its_place(site, visitor):
    """Click-through is counted by slot and recommender; a Pin It click is no choice."""
    page = visitor.visit(site.show(LIST.format(CARDS)))
    site.show("<p>lamp</p>", path="/p/lamp")
    visitor.pin("li:nth-child(2) .pin i")

    page.click("li:nth-child(3) .item")

    (chosen,) = site.wait_for("select_item")
    (pin,) = site.wait_for("pin")
    for event, item, index in ((chosen, "lamp", 2), (pin, "vase", 1)):
        assert (event["item_id"], event["index"]) == (item, index)
        assert (event["item_list_id"], event["recommender_id"]) == ("home_recs", "cf-v2")


@pytest.mark.parametrize(
    ("markup", "item", "slot", "index"),
    [
        ('<div data-product-id="cup">{}</div>', "cup", None, None),
        ('<div id="footer"><b data-sku="cup">{}</b></div>', "cup", "footer", None),
        ('<div><b data-item-id="cup">{}</b></div>', "cup", None, None),
        ('<ul data-pinsphere-list="l"><li data-pinsphere-index="7">{}</li></ul>', "vase-9", "l", 7),
        (
            '<main data-product-id="page"><ul data-pinsphere-list="l">{}</ul></main>',
            "vase-9",
            "l",
            None,
        ),
        (
            '<ul data-pinsphere-list="l"><li data-pinsphere-item="cup"><b data-sku="x">{}</b></li>',
            "cup",
            "l",
            None,
        ),
        ("<p>{}</p>", "vase-9", None, None),
    ],
)
def test_other_markup_says_what_it_can(site, regular, markup, item, slot, index):
    """Shops mark products in many ways; what nobody says stays empty."""
    href = f"{CREATE}?url=https%3A%2F%2Fshop.example%2Fp%2Fvase-9%3Fa"
    link = f'<a class="pin" id="own" target="_blank" href="{href}">Pin</a>'
    regular.visit(site.show(markup.format(link)))

    regular.pin(".pin")

    (pin,) = site.wait_for("pin")
    found = (pin["item_id"], pin.get("item_list_id"), pin.get("index"))
    assert found == (item, slot, index)


def test_the_api_takes_events_before_and_after_it_has_loaded(site, visitor):
    """Shops push from the page's own scripts, in whatever order they run."""
    digest = "a" * 64
    before = (
        "<script>window.pinsphere = window.pinsphere || [];"
        f"pinsphere.push({{ event_name: 'identify', email_sha256: '{digest}' }})</script>"
    )
    page = visitor.visit(site.show(before))
    page.evaluate(
        "pinsphere.push({ event_name: 'purchase', order_id: 'A1', currency: 'GBP',"
        " items: [{ item_id: 'cup', quantity: 2, price: '12.50' }] })"
    )

    assert site.wait_for("identify")[0]["email_sha256"] == digest
    (order,) = site.wait_for("purchase")
    assert order["items"] == [{"item_id": "cup", "quantity": 2, "price": "12.50"}]
    assert order["page_location"] == site.origin + "/"
    page.evaluate("pinsphere.push(null); pinsphere.push('nonsense')")


def test_an_element_of_our_name_does_not_hurt(site, visitor):
    """Browsers make window.pinsphere of an id; included twice, the snippet runs once."""
    again = f'<script src="{site.beacon}/pin.js" data-site-key="x"></script>'
    page = visitor.visit(site.show('<i id="pinsphere"></i>' + LIST.format(CARDS) + again))

    site.wait_for("view_item_list")
    page.wait_for_timeout(200)

    assert len(site.named("view_item_list")) == 1
