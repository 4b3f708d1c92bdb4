"""Whatever Pin It markup a shop has: a click pins what it pinned before, with a token."""

import json
import os
from pathlib import Path

import pytest

from beacon.script import Script
from tests import services
from tests.browser.markups import KINDS, OWN, PAGE, Markup, check, check_untouched

pytestmark = pytest.mark.browser

WHEN = pytest.mark.parametrize("is_built", [False, True], ids=["before", "after"])


@WHEN
@pytest.mark.parametrize("name", [name for name in OWN if OWN[name].kind != "none"])
def test_a_click_pins_what_it_pinned_before(site, visitor, name, is_built):
    """A shop's buttons, old and new, before and after Pinterest's script has replaced them."""
    check(site, visitor, OWN[name], is_built=is_built)


@WHEN
def test_what_is_no_pin_button_stays_byte_identical(site, visitor, is_built):
    """A follow link, a look-alike host or another network's button is none of our business."""
    others = [markup.html for markup in OWN.values() if markup.kind == "none"]
    check_untouched(site, visitor, others, is_built=is_built)


def test_a_page_without_the_snippet_pins_without_a_token(site, visitor, monkeypatch):
    """The control: what the tests above take for a token comes from nowhere else."""
    nothing = Script(b"window.pinsphere = { visitor() {} }")
    monkeypatch.setattr("tests.browser.site.SCRIPT", nothing)

    with pytest.raises(AssertionError, match="no token in https"):
        check(site, visitor, OWN["a built button of one image"], is_built=True)


def test_every_kind_of_markup_is_there():
    """A kind that nobody looks at breaks unseen."""
    assert {markup.kind for markup in OWN.values()} == KINDS


@WHEN
def test_markups_collected_elsewhere(site, new_visitor, is_built):
    """Markups seen in real shops, as a file of {markups: [{id, html, kind, expect}]}."""
    path = os.environ.get("PIN_MARKUPS")
    if not path:
        pytest.skip(f"{services.OPTIONAL}PIN_MARKUPS names no file of collected markups")
    collected = json.loads(Path(path).read_text(encoding="utf-8"))["markups"]
    failed = {}
    for one in collected:
        expect = {
            key: PAGE if key == "url" and value == "PAGE" else value
            for key, value in (one["expect"] or {}).items()
        }
        site.bodies.clear()
        try:
            markup = Markup(one["kind"], one["html"], **expect)
            check(site, new_visitor(), markup, is_built=is_built)
        except Exception as error:  # noqa: BLE001 - the figure is of all of them
            failed[one["id"]] = str(error)[:300]
    print(f"{len(collected) - len(failed)}/{len(collected)}")

    assert not failed
