"""Commands that bring in files: `import orders`, `import events`, `import items`.

`pinsphere.py` shows them; like its own they import what they need when they run.
"""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from command_line import HomePath, point_at_quarantine

import_app = App(name="import", help="Bring in orders, events or a catalog of items from files.")


@import_app.command(name="orders")
def import_orders(
    *files: Path,
    site: str,
    mapping: Annotated[str, Parameter(name="--map")] = "",
    home: HomePath = None,
) -> None:
    """Import orders and refunds from CSV, JSONL or Parquet files.

    Parameters
    ----------
    files
        Files of one export; give all files of an export in one call.
    site
        Shop the orders belong to.
    mapping
        Our column = yours, separated by commas: order_id=InvoiceNo,item_id=StockCode
    """
    from pipelines.io.given_files import parse_mapping
    from pipelines.io.import_orders import import_orders as import_files
    from schemas.home import Home

    where = Home(home)
    done = import_files(where, files, site=site, mapping=parse_mapping(mapping))
    print(
        f"{done.read} rows read: {done.lines} lines of {done.orders} orders,"
        f" {done.refund_lines} lines of {done.refunds} refunds, {done.quarantined} quarantined"
    )
    point_at_quarantine(done.quarantined, where.quarantine)


@import_app.command(name="events")
def import_events(*files: Path, site: str, home: HomePath = None) -> None:
    """Import events from JSON lines files, one event a line, as the beacon takes them."""
    from pipelines.io.import_events import import_events as import_files
    from schemas.home import Home

    where = Home(home)
    done = import_files(where, files, site=site)
    print(
        f"{done.read} lines read: {done.events} events, {done.quarantined} quarantined,"
        f" {done.withheld} withheld for want of consent"
    )
    point_at_quarantine(done.quarantined, where.quarantine)


@import_app.command(name="items")
def import_items(
    *files: Path,
    site: str,
    mapping: Annotated[str, Parameter(name="--map")] = "",
    home: HomePath = None,
) -> None:
    """Import the categories of items from CSV, JSONL or Parquet files, such as product feeds.

    Parameters
    ----------
    files
        Files with item_id and item_category, or with a feed's id and product_type.
    site
        Shop the items belong to.
    mapping
        Our column = yours, separated by commas: item_id=sku,item_category=department
    """
    from pipelines.io.given_files import parse_mapping
    from pipelines.io.import_items import import_items as import_files
    from schemas.home import Home

    where = Home(home)
    done = import_files(where, files, site=site, mapping=parse_mapping(mapping))
    print(
        f"{done.read} rows read: {done.items} items, {done.quarantined} quarantined;"
        f" {done.catalog} items have a category now"
    )
    point_at_quarantine(done.quarantined, where.quarantine)
