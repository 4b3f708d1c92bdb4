"""What stands in an address: defaults, refusals with the value and the way out, shared links."""

from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from console.choices import ChoiceError, parse_choices
from console.published import Published, Shop

SHOP = Shop("acme", "GBP", "Europe/London", 30.0, "2026-03-01", "2026-10-31")
BOLT = Shop("bolt", "EUR", "UTC", 14.0, None, None)
RUN = Published("run", 1, 1, "1", {"acme": SHOP, "bolt": BOLT})


def test_without_parameters_all_of_the_first_shop_is_shown():
    """The first click needs no choice."""
    choices = parse_choices({}, RUN)

    assert choices.fields == {
        "site": "acme", "since": "2026-03-01", "until": "2026-10-31", "model": "time_decay",
        "window": "30", "currency": "GBP",
    }  # fmt: skip
    assert choices.is_whole


def test_a_shared_link_shows_the_same():
    """What one sees, the other sees."""
    chosen = {"site": "acme", "since": "2026-04-01", "until": "2026-04-30", "model": "last"}
    choices = parse_choices({**chosen, "pinner": "customer & co"}, RUN)

    assert parse_choices(choices.fields, RUN) == choices
    assert not choices.is_whole
    assert "pinner=customer+%26+co" in choices.query()


@pytest.mark.parametrize("window_days", [1 / 3, 1234.5678])
@pytest.mark.parametrize("item", ["mug\xa0blue", "mug\u200b", "mug\nblue"])
def test_every_link_of_a_page_can_be_followed(window_days, item):
    """A window of hours is a fraction of a day, and an item's id has whatever the shop puts in."""
    shop = replace(SHOP, window_days=window_days)
    run = replace(RUN, shops={"acme": shop})
    choices = parse_choices({}, run).but(search=item)

    assert parse_choices(choices.fields, run) == choices


def test_days_are_the_shops_own():
    """A pin at half past midnight in summer belongs to that day, in London."""
    choices = parse_choices({"since": "2026-03-28", "until": "2026-03-29"}, RUN)

    # 47 hours: the clock goes forward on the 29th.
    assert choices.parameters["since_at"] == 1_774_656_000_000
    assert choices.parameters["before_at"] == 1_774_656_000_000 + 47 * 3_600_000


def test_a_shop_without_events_has_no_days():
    """The page then says what to do."""
    assert parse_choices({"site": "bolt"}, RUN).parameters["since"] == ""


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"site": "rival"}, "site='rival' is not in this run; known: acme, bolt"),
        ({"model": "magic"}, "model='magic' is none; known: first, last"),
        ({"since": "yesterday"}, "since='yesterday' is no day such as"),
        ({"since": "2026-02-30"}, "since='2026-02-30' is no day"),
        ({"until": "20260301"}, "until='20260301' is no day"),
        ({"until": "9999-12-31"}, "is no day"),
        ({"since": "2026-05-02", "until": "2026-05-01"}, "since=2026-05-02 is after until"),
        ({"window": "14"}, "it took 30. For another, set window_days in pinsphere.toml and run"),
        ({"window": "wide"}, "window='wide' days is not how this run credited acme"),
        ({"currency": "USD"}, "currency='USD' is in no order counted for acme, only GBP"),
        ({"pinner": "x" * 301}, "is not 0 to 300 characters other than NUL"),
        ({"search": "a\0b"}, "is not 0 to 300 characters other than NUL"),
    ],
)
def test_what_cannot_be_answered_is_told_with_the_way_out(given, told):
    """A wrong link is mended by who reads why."""
    with pytest.raises(ChoiceError) as caught:
        parse_choices(given, RUN)

    assert told in str(caught.value)


def test_a_wrong_address_is_a_400_that_says_why(console: TestClient) -> None:
    """Not an empty page, and not a script of whoever made the link."""
    answer = console.get("/", params={"site": "<script>"})

    assert answer.status_code == 400
    assert "site=&#39;&lt;script&gt;&#39; is not in this run; known: acme, bolt" in answer.text


@pytest.mark.parametrize("path", ["/nothing", "/rows/nothing", "/rows/nothing.csv", "/rows/x.y"])
def test_what_is_not_there_is_a_404(console: TestClient, path: str) -> None:
    """A typo in an address leads back to the overview."""
    answer = console.get(path)

    assert answer.status_code == 404
    assert 'href="/"' in answer.text
