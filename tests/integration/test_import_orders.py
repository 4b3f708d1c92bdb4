"""Importing order lines: every row becomes a line or is quarantined with its reason."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.io.import_orders import Imported, import_orders
from pipelines.io.lake import lake_files
from pipelines.io.quarantine import read_rejects
from schemas.errors import SettingsError
from schemas.home import Home
from tests.integration.order_imports import HEADER, NOW, give, lines, make_home, rows
from tests.lake_digests import lake_digest

GOOD = "o1,2026-03-01 12:00,c1,mug,2,3.50"
# Kept outside the repository; CC BY 4.0, doi 10.24432/C5BW33.
ONLINE_RETAIL = os.environ.get("ONLINE_RETAIL")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


def test_rows_of_one_order_become_one_purchase(home):
    """Wherever they stand, at the earliest time, with the first customer that is named."""
    text = f"""{HEADER}
o1,2026-03-01 12:05,,mug,2,3.50
o2,2026-03-02 08:00,c2,cup,1,-4
o1,2026-03-01 12:00:30.250,c1,mug,1,3.50
o1,2026-03-01T12:06:00+00:00,c1,jug,1,0
"""
    assert give(home, text) == Imported(4, 2, 4, 0, 0, 0)

    first, second = rows(home, "purchase")
    assert first["event_time_ms"] == 1_772_366_430_250
    assert (first["customer_id"], first["currency"], first["source"]) == ("c1", "GBP", "file")
    assert (first["is_signed"], first["consent"], first["sent_time_ms"]) == (True, "unknown", None)
    assert first["received_time_ms"] == NOW
    assert lines(home) == [
        ("o1", "mug#1", 2, 3_500_000),
        ("o1", "mug#2", 1, 3_500_000),
        ("o1", "jug#1", 1, 0),
        ("o2", "cup#1", 1, -4_000_000),
    ]
    assert second["items"][0]["discount_micros"] == 0


LONG = "x" * 129
BAD_ROWS = [
    (",2026-03-01,c,mug,1,1", "order_id is missing"),
    ("o1,,c,mug,1,1", "ordered_at is missing"),
    ("o1,2026-03-01,c,,1,1", "item_id is missing"),
    ("o1,2026-03-01,c,mug,,1", "quantity is missing"),
    ("o1,2026-03-01,c,mug,1,", "price is missing"),
    ("o1,2026-03-01,c,mug,0,1", "quantity 0 is neither sold nor returned"),
    ("o1,2026-03-01,c,mug,1.5,1", "quantity '1.5' is not a whole number"),
    ("o1,2026-03-01,c,mug,1000000001,1", "quantity 1000000001 is beyond 1000000000"),
    ("o1,2026-03-01,c,mug,1,1e3", "price: amount '1e3' is not a decimal number"),
    ("o1,2026-03-01,c,mug,1,£3", "price: amount '£3' is not a decimal number"),
    ("o1,2026-03-01,c,mug,1,0.0000001", "price: amount '0.0000001' has more than six decimals"),
    ("o1,2026-03-01,c,mug,1000000000,4000000000", "quantity * price + discount is beyond"),
    ("o1,2026-03-01,c,mug,1000000,4503.6", "quantity * price + discount is beyond"),
    ("o1,2026-03-01,c,mug,-1,-2", "a negative amount is given back"),
    ("o1,12/1/2026 8:26,c,mug,1,1", "ordered_at '12/1/2026 8:26' is not a time such as"),
    ("o1,1999-12-31,c,mug,1,1", "ordered_at '1999-12-31' is not between 2000 and 2100"),
    ("o1,2062-03-01,c,mug,1,1", "ordered_at 2908396800000 is more than a day ahead of now"),
    ("o1,1790000000,c,mug,1,1", "is not between 2000 and 2100 (a bare number is epoch millis"),
    (f"{LONG},2026-03-01,c,mug,1,1", "Expected `str` of length <= 128"),
    (f"o1,2026-03-01,c,{LONG},1,1", "Expected `str` of length <= 128"),
    (f"o1,2026-03-01,c,{LONG[:127]},1,1", "Expected `str` of length <= 128"),
    (f"{LONG[:125]},2026-03-01,c,mug,-1,1", "is longer than 128 characters"),
    ("o1,2026-03-01,v:1,mug,1,1", "customer_id 'v:1' starts with 'v:' or 'e:'"),
    ("o1,2026-03-01,c\0,mug,1,1", "holds U+0000 or U+001F"),
    ("o1,2026-03-01,c,m\x1fg,1,1", "holds U+0000 or U+001F"),
    ("o1,2026-03-01,c9,mug,1,1", "order_id 'o1' has another customer in an earlier row than 'c9'"),
    ("o1,2026-03-01,c1,mug,1", "the row has 5 fields, the header 6"),
    ("o1,2026-03-01,c1,mug,1,1,1", "the row has 7 fields, the header 6"),
    ('o1,2026-03-01,c1,"mug,1,1', "not a CSV record"),
    ('o1,2026-03-01,c1,mug,1,"1', "not a CSV record"),
    (b"o1,2026-03-01,c1,caf\xe9,1,1", "a value is not UTF-8 text"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_ROWS)
def test_a_bad_row_is_quarantined_and_spares_its_neighbours(home, bad, reason):
    """Its reason names value and contract, its place the real line, its record what came."""
    raw = bad if isinstance(bad, bytes) else bad.encode()
    text = f'{HEADER}\n{GOOD}\no1,2026-03-01,c1,"two\nlines",1,1\n'.encode()

    imported = give(home, text + raw + b"\n\n" + GOOD.encode() + b"\n")

    assert imported == Imported(4, 1, 3, 0, 0, 1)
    assert [line[2:] for line in lines(home)] == [
        *((2, 3_500_000), (1, 1_000_000), (2, 3_500_000)),
    ]
    (reject,) = read_rejects(home)
    assert reason in reject.reason
    assert reject.place == "orders.csv line 5"
    assert reject.record == raw.decode("utf-8", "backslashreplace")
    assert (reject.origin, reject.site_id, reject.received_time_ms) == (
        *("import-orders", "acme", NOW),
    )


def test_orders_keep_to_the_limits_of_one_event(home):
    """What does not fit is quarantined; smaller rows after it still fit."""
    many = "\n".join(["big,2026-03-01,c,mug,1,1"] * 10_001)
    text = f"""{HEADER}
o1,2026-03-01,c,a,1,4000000000
o1,2026-03-01,c,b,1,4000000000
o1,2026-03-01,c,c,1,5
{many}
"""
    assert give(home, text) == Imported(10_004, 2, 10_002, 0, 0, 2)
    reasons = [reject.reason for reject in read_rejects(home)]
    assert reasons == [
        "order_id 'o1' adds up to more than 4503599627 units",
        "order_id 'big' has more than 10000 lines",
    ]


def test_a_line_id_given_twice_is_quarantined(home):
    text = "order_id,line_id,ordered_at,item_id,quantity,price,currency\n"
    text += "o1,1,2026-03-01,mug,1,1,EUR\no1,1,2026-03-01,mug,1,1,EUR\n"
    text += "o1,2,2026-03-01,mug,1,1,USD\no2,1,2026-03-01,mug,1,1,XXY\no1,,2026-03-01,cup,1,1,\n"

    assert give(home, text) == Imported(5, 1, 2, 0, 0, 3)

    assert sorted(reject.reason for reject in read_rejects(home)) == [
        "currency 'XXY' is not an ISO 4217 code such as 'GBP'",
        "order 'o1' names line_id '1' twice",
        "order_id 'o1' has another currency in an earlier row than 'USD'",
    ]
    assert rows(home, "purchase")[0]["currency"] == "EUR"


def test_importing_again_changes_nothing(home):
    """Not even after the time zone was corrected: the old dates do not stay behind."""
    text = f"{HEADER}\n{GOOD}\no2,2026-07-01 00:30,c,mug,1,1\no3,bad,c,mug,1,1\n"
    give(home, text)
    before = lake_digest(lake_files(home))

    give(home, text)
    assert lake_digest(lake_files(home)) == before
    assert len(list(read_rejects(home))) == 1

    make_home(home.path, "Pacific/Auckland")
    import_orders(home, [home.path / "orders.csv"], site="acme", now_ms=NOW + 10**9)
    assert len(rows(home, "purchase")) == 2
    assert len(list(read_rejects(home))) == 1


def test_local_times_that_do_not_exist_or_exist_twice(home):
    """29 March 2026, 01:30 was skipped in London; 25 October, 01:30 came twice."""
    text = f"""{HEADER}
o1,2026-03-29 01:30,c,mug,1,1
o2,2026-10-25 01:30,c,mug,1,1
o3,2026-10-25T01:30:00Z,c,mug,1,1
o4,1792891800000,c,mug,1,1
"""
    give(home, text)

    skipped, twice, utc, epoch = (row["event_time_ms"] for row in rows(home, "purchase"))
    assert skipped == 1_774_747_800_000  # 02:30 summer time
    assert utc - twice == 3_600_000
    assert epoch == utc


def test_people_are_ids_even_where_data_frames_made_them_floats(home):
    """Integers with gaps become floats there: 17850.0 is customer 17850."""
    table = pa.table(
        {
            "order_id": [1, 2],
            "ordered_at": [NOW, NOW],
            "item_id": ["mug", "mug"],
            "quantity": [1.0, 2.0],
            "price": [0.1, 1e-6],
            "customer_id": [17850.0, None],
        }
    )
    pq.write_table(table, home.path / "x.parquet")

    import_orders(home, [home.path / "x.parquet"], site="acme", now_ms=NOW)

    assert [row["customer_id"] for row in rows(home, "purchase")] == ["17850", None]
    assert [line[3] for line in lines(home)] == [100_000, 1]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("order_id,when\n", {}, "no column 'ordered_at'; it has: order_id, when"),
        (f"{HEADER}\n", {"mapping": {"order_id": "No"}}, "no column 'No' for order_id; it has:"),
        (f"{HEADER}\n", {"mapping": {"orderid": "price"}}, "unknown column 'orderid' in the map"),
        (f"{HEADER},price\n", {}, "two columns named 'price'"),
        ("", {}, "is empty"),
        ("x".encode("utf-16"), {}, "is UTF-16 text"),
        ("order_id,ordered_at,refund_id\n", {}, "neither 'amount' nor 'quantity'"),
    ],
)
def test_a_file_without_the_columns_is_refused_whole(home, text, options, message):
    with pytest.raises(SettingsError, match=message):
        give(home, text, **options)
    assert not home.lake.exists()


def test_wrong_arguments_are_explained(home):
    path = home.path / "a.csv"
    path.write_text(HEADER, encoding="utf-8")
    twin = home.path / "b.csv"
    twin.write_text(HEADER, encoding="utf-8")
    (home.path / "c.parquet").write_text("no", encoding="utf-8")

    for files, site, message in [
        ([path], "nobody", "unknown site 'nobody'"),
        ([], "acme", "no file given"),
        ([path, twin], "acme", "same content"),
        ([home.path / "none.csv"], "acme", "No such file"),
        ([home.path / "x.xlsx"], "acme", "unknown kind of file"),
        ([home.path / "c.parquet"], "acme", "is not a Parquet file"),
    ]:
        with pytest.raises(SettingsError, match=message):
            import_orders(home, files, site=site)


def test_a_file_of_a_header_alone_is_no_fault(home):
    assert give(home, HEADER) == Imported(0, 0, 0, 0, 0, 0)
    assert give(home, "\n\n", "empty.jsonl") == Imported(0, 0, 0, 0, 0, 0)


@pytest.mark.skipif(not ONLINE_RETAIL, reason="optional on this machine: ONLINE_RETAIL is not set")
def test_a_real_shop_is_imported_to_the_micro(home):
    """541,909 lines of a gift shop, checked against its known totals."""
    mapping = {
        "order_id": "InvoiceNo",
        "item_id": "StockCode",
        "quantity": "Quantity",
        "ordered_at": "InvoiceDate",
        "price": "UnitPrice",
        "customer_id": "CustomerID",
    }

    imported = import_orders(home, [Path(str(ONLINE_RETAIL))], site="acme", mapping=mapping)

    assert (imported.read, imported.quarantined) == (541_909, 0)
    assert imported.lines + imported.refund_lines == 541_909
    sold = sum(
        item["quantity"] * item["price_micros"]
        for order in rows(home, "purchase")
        for item in order["items"]
    )
    returned = sum(
        item["amount_micros"] for refund in rows(home, "refund") for item in refund["items"]
    )
    assert sold - returned == 9_747_747_934_000
