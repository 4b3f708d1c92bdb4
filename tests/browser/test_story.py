"""The whole road: three people in a real browser, one run of the command, the answer in SQL."""

import os
import sqlite3
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.browser import story
from tests.browser.processes import ROOT, Installation

pytestmark = pytest.mark.browser

MODELS = ("first", "last", "linear", "position", "time_decay")
# Cy has one touch, so every model gives it the whole line. Its chain is Bob's pin, then Ann's:
# two players, necessity 1/2, so the pin she came from has (1 - 1/2)/1 + (1/2)/2 = 3/4 of each
# line and the one above it (1/2)/2 = 1/4. Mug 12.50 and vase 34.00, in micros:
BOB = {"1": 9_375_000, "2": 25_500_000}
ANN = {"1": 3_125_000, "2": 8_500_000}


def run_pinsphere(home: Path) -> None:
    """The command a retailer runs."""
    command = [sys.executable, "-m", "pinsphere", "run", "--home", str(home)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def ask(home: Path, sql: str) -> list[tuple[object, ...]]:
    """What a merchandiser reads."""
    database = sqlite3.connect(home / "pinsphere.db")
    try:
        return [tuple(row) for row in database.execute(sql)]
    finally:
        database.close()


def credits_of(home: Path) -> dict[str, dict[tuple[object, ...], object]]:
    """Each model's credit by line and pinner."""
    rows = ask(
        home,
        "SELECT model, line_id, pinner_id, distance, credit_micros FROM current_order_credits",
    )
    by_model: dict[str, dict[tuple[object, ...], object]] = {}
    for model, *key, micros in rows:
        by_model.setdefault(str(model), {})[tuple(key)] = micros
    return by_model


def test_from_the_click_on_pin_it_to_the_micro_in_sql(
    shop_and_beacon: Installation, new_visitor
) -> None:
    """What the shop could never see before: whose pins sold the mug and the vase."""
    running = shop_and_beacon
    first = story.ann_pins(new_visitor().page, running.shop_url)
    second = story.bob_pins_on(new_visitor().page, first.url)
    order = story.cy_buys(new_visitor().page, second.url)
    ann, bob = f"v:{first.visitor_id}", f"v:{second.visitor_id}"
    cy = sha256(b"cy@example.org").hexdigest()[:16]
    for event_name, count in (("purchase", 1), ("pin", 2), ("pin_visit", 2)):
        running.wait_for(event_name, count)

    run_pinsphere(running.home)

    root = first.token.pin_id
    assert ask(
        running.home,
        "SELECT pin_id, person_id, item_id, item_list_id, recommender_id, parent_pin_id,"
        " root_pin_id, hop FROM current_pins ORDER BY hop",
    ) == [
        (root, ann, "mug", "home_recs", "cf-v2", None, root, 0),
        (second.token.pin_id, bob, "mug", None, None, root, root, 1),
    ]
    assert ask(
        running.home,
        "SELECT pinner_id, reach_hop_1, reach_hop_2, reach_hop_3_plus FROM pinner_sphere"
        " ORDER BY reach_total DESC",
    ) == [(ann, 1, 1, 0), (bob, 1, 0, 0)]
    assert set(ask(running.home, "SELECT pinner_id, person_id, hop FROM current_sphere_edges")) == {
        (ann, bob, 1),
        (ann, cy, 2),
        (bob, cy, 1),
    }
    assert ask(running.home, "SELECT order_id, person_id, net_micros FROM current_orders") == [
        (order.order_id, cy, 46_500_000)
    ]
    assert credits_of(running.home) == {
        model: {
            **{(line, bob, 0): micros for line, micros in BOB.items()},
            **{(line, ann, 1): micros for line, micros in ANN.items()},
        }
        for model in MODELS
    }
    assert ask(
        running.home,
        "SELECT pinner_id, credited_micros, influenced_micros FROM revenue_by_pinner"
        " WHERE model = 'time_decay' ORDER BY credited_micros",
    ) == [(ann, 11_625_000, 46_500_000), (bob, 34_875_000, 46_500_000)]
    assert ask(
        running.home,
        "SELECT item_list_id, credited_micros FROM revenue_by_slot WHERE model = 'last'"
        " AND credited_micros > 0",
    ) == [("home_recs", 11_625_000)]

    story.refund_line(running.shop_url, order.order_id, line_id="1")
    running.wait_for("refund")
    run_pinsphere(running.home)

    assert ask(
        running.home, "SELECT gross_micros, refunded_micros, net_micros FROM current_orders"
    ) == [(46_500_000, 12_500_000, 34_000_000)]
    assert credits_of(running.home) == {
        model: {
            ("1", bob, 0): 0,
            ("1", ann, 1): 0,
            ("2", bob, 0): BOB["2"],
            ("2", ann, 1): ANN["2"],
        }
        for model in MODELS
    }
    assert ask(
        running.home,
        "SELECT direct, assisted FROM revenue_by_product"
        " WHERE item_id = 'mug' AND model = 'linear'",
    ) == [(0.0, 34.0)]
