"""Importing a catalog: every row gives its item a category or is quarantined with its reason."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pinsphere import main
from pipelines.io.import_items import ImportedItems, import_items
from pipelines.io.items import keep_items, read_items
from pipelines.io.quarantine import read_rejects
from schemas.errors import LakeError, UsageError
from schemas.home import Home
from tests.integration.order_imports import NOW, make_home

HEADER = "item_id,item_category"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return make_home(tmp_path / "home")


def give(home: Home, text: str, name: str = "items.csv", **options) -> ImportedItems:
    path = home.path / name
    path.write_text(text, encoding="utf-8")
    return import_items(home, [path], site="acme", now_ms=NOW, **options)


def catalog(home: Home) -> dict[str, str]:
    table = read_items(home.items / "site=acme.parquet")
    rows = dict(zip(*(column.to_pylist() for column in table.columns), strict=True))
    assert list(rows) == sorted(rows)
    return rows


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("items.csv", f"{HEADER}\nmug,Kitchen > Mugs\n7, Vases \n"),
        ("feed.txt", "id\ttitle\tproduct_type\nmug\tA mug\tKitchen > Mugs\n7\tVase\tVases\n"),
        ("feed.csv", "id,product type,price\nmug,Kitchen > Mugs,3 GBP\n7,Vases,4 GBP\n"),
        (
            "feed.jsonl",
            '{"id": "mug", "product_type": "Kitchen > Mugs"}\n{"id": 7, "product_type": "Vases"}\n',
        ),
    ],
)
def test_a_feed_is_understood_as_it_comes(home, name, text):
    """A merchandiser imports the file that Merchant Center has already."""
    assert give(home, text, name) == ImportedItems(2, 2, 2, 0, 2)
    assert catalog(home) == {"7": "Vases", "mug": "Kitchen > Mugs"}


def test_parquet_is_read_and_any_column_can_be_mapped(home):
    """Ids that are numbers to a data frame are texts to events."""
    path = home.path / "items.parquet"
    pq.write_table(pa.table({"sku": [7.0, 8.0], "department": ["Vases", None]}), path)

    mapping = {"item_id": "sku", "item_category": "department"}
    imported = import_items(home, [path], site="acme", mapping=mapping)

    assert imported == ImportedItems(2, 2, 2, 0, 1)
    assert catalog(home) == {"7": "Vases"}


def test_a_mapped_column_wins_over_a_feed_s_own_name(home):
    """Both columns stand in many feeds; who maps one means it."""
    text = "id,product_type,custom_label_0\nmug,Mugs,Winter\n"

    give(home, text, mapping={"item_category": "custom_label_0"})

    assert catalog(home) == {"mug": "Winter"}


def test_items_are_merged_into_the_catalog(home):
    """What left the range keeps its category: its past is looked at by category as well."""
    give(home, f"{HEADER}\nmug,Mugs\nvase,Vases\ncup,Cups\n")

    imported = give(home, f"{HEADER}\nmug,Kitchen\ncup,\njug,Jugs\n", "later.csv")

    assert imported == ImportedItems(3, 3, 3, 0, 3)
    assert catalog(home) == {"jug": "Jugs", "mug": "Kitchen", "vase": "Vases"}


def test_an_equal_catalog_is_an_equal_file(home):
    """Else a run would begin from the lake every time a feed is imported that changed nothing."""
    give(home, f"{HEADER}\nmug,Mugs\nvase,Vases\n")
    file = home.items / "site=acme.parquet"
    first = file.read_bytes()

    give(home, f"{HEADER}\nvase,Vases\n", "part.csv")
    give(home, f"{HEADER}\nvase,Vases\nmug,Mugs\n", "turned.csv")

    assert file.read_bytes() == first


BAD_ROWS = [
    (",Mugs", "item_id is missing"),
    ("x" * 129 + ",Mugs", "item_id 'xxx"),
    ("cup," + "x" * 257, "Expected `str` of length <= 256"),
    ("cup,M\x1fugs", "holds U+0000 or U+001F"),
    ("mug,Vases", "item_id 'mug' has another category in an earlier row than 'Vases'"),
    ("cup", "the row has 1 fields, the header 2"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_ROWS)
def test_a_bad_row_is_quarantined_and_spares_its_neighbours(home, bad, reason):
    """Its reason names value and contract, its place the line to mend."""
    imported = give(home, f"{HEADER}\nmug,Mugs\n{bad}\nmug,\nmug,Mugs\nvase,Vases\n")

    assert imported == ImportedItems(5, 4, 2, 1, 2)
    assert catalog(home) == {"mug": "Mugs", "vase": "Vases"}
    (reject,) = read_rejects(home)
    assert reason in reject.reason
    assert (reject.place, reject.record) == ("items.csv line 3", bad)
    assert (reject.origin, reject.site_id, reject.received_time_ms) == ("import-items", "acme", NOW)


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        ("sku,item_category\nmug,Mugs\n", {}, "--map item_id=COLUMN"),
        ("id,title\nmug,Mug\n", {}, "no column 'item_category'; it has: id, title"),
        (f"{HEADER}\n", {"mapping": {"price": "item_id"}}, "known: item_id, item_category"),
        (f"{HEADER}\n", {"mapping": {"item_id": "sku"}}, "no column 'sku' for item_id"),
    ],
)
def test_a_file_that_lacks_a_column_changes_nothing(home, text, options, reason):
    """A feed with renamed columns must not empty the catalog."""
    with pytest.raises(UsageError, match=reason):
        give(home, text, **options)

    assert not home.items.exists()


def test_a_damaged_catalog_is_told_and_kept(home):
    """Its owner may have a copy; writing over it would lose what other files gave."""
    home.items.mkdir()
    file = home.items / "site=acme.parquet"
    file.write_bytes(b"PAR1?")

    with pytest.raises(LakeError, match="not a catalog of items"):
        give(home, f"{HEADER}\nmug,Mugs\n")

    assert file.read_bytes() == b"PAR1?"


def test_a_run_keeps_the_catalog_it_began_with(home, tmp_path):
    """An import while a run is at work must not give half of its tables other categories."""
    give(home, f"{HEADER}\nmug,Mugs\n")
    kept = keep_items(home, ["acme", "bolt"], tmp_path)

    give(home, f"{HEADER}\nmug,Kitchen\n", "later.csv")

    assert list(kept) == ["acme"]
    assert read_items(Path(kept["acme"]))["item_category"].to_pylist() == ["Mugs"]


def test_the_command_tells_what_it_did(home, capsys):
    """Whoever imports a feed sees how much of it has a category, and where the rest went."""
    file = home.path / "products.csv"
    file.write_text(f"sku,department\nmug,Mugs\ncup,\n{'x' * 129},Cups\n")
    where = ["--site", "acme", "--home", str(home.path)]
    columns = "item_id=sku,item_category=department"

    main(["import", "items", str(file), "--map", columns, *where])

    said = capsys.readouterr().out
    assert "3 rows read: 2 items, 1 quarantined; 1 items have a category now" in said
    assert str(home.quarantine) in said
