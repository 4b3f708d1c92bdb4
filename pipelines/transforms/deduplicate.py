"""First stage: every event once, crawlers and currencies apart, what came counted by day."""

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.calendar import derived_time_ms
from pipelines.kernels.columns import (
    Bools,
    Ints,
    Tables,
    bools,
    codes,
    encoded,
    flat,
    ints,
    is_set,
    present,
    take,
)
from pipelines.kernels.groups import cells_of
from pipelines.kernels.multisets import is_repeated
from pipelines.transforms.acts import VIEWS, doings
from pipelines.transforms.daily import DIMENSIONS, daily_part, days_of
from pipelines.transforms.rejects import count_rejects
from pipelines.transforms.shuffle import KEY
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.batches import (
    EMAILS,
    LANDINGS,
    QUALITY_COUNTS,
    QUALITY_PARTS,
    VIEW_COUNTS,
    counted_schema,
)
from schemas.events import EVENTS
from schemas.settings import Site

_LATE_MS, _HOUR_MS = 86_400_000, 3_600_000
_UNSIGNED = 2**60  # later than any time
_CRAWLERS = ("bot", "pinterestbot")
# What the flow counts by slot, recommender and item, and where it stands in the event.
_COUNTED = {"view_item_list": "views", "select_item": "clicks", "add_to_cart": "adds_to_cart"}
_TO_COUNT = ("site_id", "at", "item_ids", *DIMENSIONS.values())


def with_derived(event_name: str, events: pa.Table) -> pa.Table:
    """Events of the lake with what the flow tells of them where they are read.

    That is their time, corrected where the sender's clock can be seen, who sent them, and of
    lists the ids of what was shown.
    """
    events = events.append_column("at", pa.array(derived_time_ms(events)))
    agent = encoded(events["user_agent_class"])
    for name, classes in (("is_bot", _CRAWLERS), ("is_crawler", _CRAWLERS[-1:])):
        is_one = pc.is_in(agent.dictionary, value_set=pa.array(classes))
        events = events.append_column(name, is_one.take(agent.indices))
    if "item_ids" in counted_schema(event_name).names:
        items = flat(events["items"])
        ids = pc.struct_field(items.values, "item_id")
        events = events.append_column("item_ids", pa.ListArray.from_arrays(items.offsets, ids))
    return events


def drop_duplicates(
    tables: Tables, sites: Mapping[str, Site], wanted: Wanted = EVERYTHING
) -> Tables:
    """Keeps of each (site, event id) the event received first, and sorts events by use.

    Takes lake kinds with what is derived of them, and what is quarantined; gives purchases,
    refunds, emails, logins (through emails), pin_clicks, landings, doings, rejects, and counts for
    the daily and quality tables.
    """
    standing: dict[str, Bools] = {}
    quality, landings, arrivals = [], [], []
    kinds = {name: table for name, table in tables.items() if name in EVENTS}
    for name, repeated in _repeated(kinds).items():
        events = kinds[name]
        crawled = bools(events["is_bot"])
        day = days_of(events, sites) if {"quality_parts", "landing_parts"} & wanted.names else None
        if "quality_parts" in wanted:
            quality.append(_quality(name, events, day, repeated, crawled))
        if "landing_parts" in wanted and name == "pin_visit":
            landings.append(_landings(events, day, ~repeated & ~crawled))
        if "arrival_parts" in wanted:
            arrivals.append(_arrivals(events, repeated))
        # Pinterest's crawler is no visitor, but what it fetches was saved.
        confirms = bools(events["is_crawler"]) & (name == "pin_visit")
        stands = ~repeated & (~crawled | confirms)
        if name == "pin_visit" and "visits" not in wanted:
            stands &= is_set(events["pin_id"])  # nothing else is made of those without
        standing[name] = pa.array(stands)

    def kept(name: str, columns: Sequence[str] = ()) -> pa.Table:
        events = present(kinds[name], columns) if columns else kinds[name]
        return events.filter(standing[name])

    refused = functools.cache(lambda: count_rejects(tables["quarantined"], sites))
    return wanted.made(
        purchases=lambda: kept("purchase"),
        refunds=lambda: kept("refund"),
        emails=lambda: _emails(kept("identify")),
        pin_clicks=lambda: _with_precedence(kept("pin")),
        landings=lambda: kept("pin_visit", LANDINGS.names),
        doings=lambda: doings({name: kept(name) for name in (*VIEWS, "engage")}),
        landing_parts=lambda: pa.concat_tables(landings),
        rejects=lambda: refused()["rejects"],
        view_parts=lambda: pa.concat_tables(
            part
            for name, count in _COUNTED.items()
            for part in _daily_counts(kept(name, _TO_COUNT), count, sites, wanted)
        ),
        arrival_parts=lambda: pa.concat_tables(arrivals),
        quality_parts=lambda: pa.concat_tables(
            [*quality, refused()["quality_parts"].cast(QUALITY_PARTS)]
        ),
    )


def _emails(identifies: pa.Table) -> pa.Table:
    """EMAILS with the key by which they meet: the address, if there is one."""
    identifies = identifies.append_column("is_login", pc.equal(identifies["action"], "login"))
    key = pc.coalesce(identifies["email_sha256"], identifies["visitor_id"], identifies["event_id"])
    return identifies.select(EMAILS.names).append_column("shard_key", key)


def _with_precedence(pins: pa.Table) -> pa.Table:
    """Which of two pins with one id stands: a signed one, then the one received first.

    Not the one that says it happened first: a pin's id is in its public URL.
    """
    received = ints(pins["received_time_ms"])
    precedence = np.where(bools(pins["is_signed"]), received, received + _UNSIGNED)
    return pins.append_column("precedence", pa.array(precedence))


def _repeated(tables: Tables) -> dict[str, Bools]:
    """Which events of each kind repeat another of the same id, whatever its kind.

    Most ids come once, and so do their keys: only the others are looked at.
    """
    edges = np.cumsum([0, *(len(table) for table in tables.values())])
    again = is_repeated(np.concatenate([ints(table[KEY]) for table in tables.values()]))
    sides = list(zip(tables, edges[:-1], edges[1:], strict=True))
    suspects = {name: np.flatnonzero(again[low:high]) for name, low, high in sides}
    found = _first_received(
        {name: tables[name].take(pa.array(rows)) for name, rows in suspects.items()}
    )
    repeated = {name: np.zeros(len(table), dtype=np.bool_) for name, table in tables.items()}
    for name, rows in suspects.items():
        repeated[name][rows] = found[name]
    return repeated


def _first_received(tables: Tables) -> dict[str, Bools]:
    """Which events of each kind repeat another.

    Signed ones come first: nobody silences the shop's server by guessing an id. A browser's
    claim to a purchase repeats only other claims, since its visitor is still wanted.
    """
    names = sorted(tables)
    kinds = [tables[name] for name in names]
    event = np.concatenate(codes(*([t["site_id"], t["event_id"]] for t in kinds)))
    is_unsigned = ~np.concatenate([bools(t["is_signed"]) for t in kinds])
    is_purchase = np.repeat([name == "purchase" for name in names], [len(t) for t in kinds])
    event = 2 * event + (is_unsigned & is_purchase)
    received = np.concatenate([ints(t["received_time_ms"]) for t in kinds])
    happened = np.concatenate([ints(t["event_time_ms"]) for t in kinds])
    kind = np.repeat(np.arange(len(kinds)), [len(table) for table in kinds])
    order = np.lexsort((kind, happened, received, is_unsigned, event))
    order = _settle_ties(kinds, order, event, is_unsigned, received, happened, kind)
    repeated = np.zeros(len(event), dtype=np.bool_)
    repeated[order[1:]] = event[order[1:]] == event[order[:-1]]
    edges = np.cumsum([0, *(len(table) for table in kinds)])
    return {
        name: repeated[low:high]
        for name, low, high in zip(names, edges[:-1], edges[1:], strict=True)
    }


def _settle_ties(kinds: list[pa.Table], order: Ints, *columns: Ints | Bools) -> Ints:
    """Orders rows that are equal in all these columns by their whole text."""
    same = np.ones(max(len(order) - 1, 0), dtype=np.bool_)
    for column in columns:
        same &= column[order[1:]] == column[order[:-1]]
    tied = np.flatnonzero(np.append(same, [False]) | np.append([False], same)[: len(order)])
    if len(tied) == 0:
        return order
    run = np.cumsum(~np.append([False], same))[tied]
    rows = order[tied]
    texts = np.empty(len(rows), dtype=object)
    first = 0
    for table in kinds:
        here = (rows >= first) & (rows < first + len(table))
        texts[here] = row_texts(table.take(pa.array(rows[here] - first))).to_pylist()
        first += len(table)
    by_text = pa.table({"run": run, "text": pa.array(texts, pa.string())})
    order = order.copy()
    order[tied] = rows[
        ints(pc.sort_indices(by_text, [("run", "ascending"), ("text", "ascending")]))
    ]
    return order


def row_texts(table: pa.Table) -> pa.Array:
    """[rows] the columns of each row as one text, joined by U+001F; null is empty."""
    return _joined([column.combine_chunks() for column in table.columns], "\x1f")


def _joined(columns: list[pa.Array], separator: str) -> pa.Array:
    texts = [pc.fill_null(_as_text(column), "") for column in columns]
    return pc.binary_join_element_wise(*texts, separator)


def _as_text(column: pa.Array) -> pa.Array:
    if not pa.types.is_list(column.type):
        return pc.cast(column, pa.string())
    items = pc.list_flatten(column)
    texts = _joined(items.flatten(), ",") if pa.types.is_struct(items.type) else items
    ends = np.cumsum(ints(pc.list_value_length(column)))
    offsets = pa.array(np.concatenate(([0], ends)), pa.int32())
    return pc.binary_join(pa.ListArray.from_arrays(offsets, texts), ";")


def _quality(
    name: str, events: pa.Table, day: pa.Array, repeated: Bools, crawled: Bools
) -> pa.Table:
    # A file of past orders is history, not news that came late.
    is_file = bools(pc.equal(events["source"], "file"))
    late = (ints(pc.subtract(events["received_time_ms"], events["at"])) > _LATE_MS) & ~is_file
    counted = {
        "received": np.ones(len(events), dtype=np.bool_),
        "duplicates": repeated,
        "bots": crawled & ~repeated,
        "late": late & ~repeated,
    }
    if name == "pin_visit":
        by_token = bools(pc.equal(events["match_method"], "token"))
        counted["matched_by_token"] = by_token & ~repeated & ~crawled
    cells = cells_of(events["site_id"], day)
    counts = dict.fromkeys(QUALITY_COUNTS, np.zeros(len(cells.one), dtype=np.int64))
    counts |= {column: cells.count(which) for column, which in counted.items()}
    return pa.table(
        {
            "site_id": take(events["site_id"], cells.one),
            "day": take(day, cells.one),
            "event_name": pa.array([name] * len(cells.one), pa.string()),
            **counts,
        }
    )


def _arrivals(events: pa.Table, repeated: Bools) -> pa.Table:
    """ARRIVAL_PARTS: when events came, and from where."""
    hour = pa.array(ints(events["received_time_ms"]) // _HOUR_MS * _HOUR_MS)
    return _counted_by(
        {"site_id": events["site_id"], "hour_at": hour, "source": events["source"]},
        "events",
        ~repeated,
    )


def _landings(visits: pa.Table, day: pa.Array, is_counted: Bools) -> pa.Table:
    """LANDING_PARTS: what people landed with."""
    names = ("user_agent_class", "match_method", "token_carrier")
    columns = {"site_id": visits["site_id"], "day": day, **{name: visits[name] for name in names}}
    parts = _counted_by(columns, "landings", is_counted)
    carrier = pc.fill_null(parts["token_carrier"], "(none)")
    return parts.set_column(parts.schema.get_field_index("token_carrier"), "token_carrier", carrier)


def _counted_by(columns: dict[str, Any], count: str, which: Bools) -> pa.Table:
    """How many of these rows say the same in all columns; what none of them says is left out."""
    cells = cells_of(*columns.values())
    size = cells.count(which)
    one = cells.one[size > 0]
    parts = {name: take(column, one) for name, column in columns.items()}
    return pa.table({**parts, count: size[size > 0]})


def _daily_counts(
    events: pa.Table, count: str, sites: Mapping[str, Site], wanted: Wanted
) -> Iterator[pa.Table]:
    """Counts of one kind by slot, recommender and item, and day: [dimensions] VIEW_PARTS."""
    site = encoded(events["site_id"])
    rows = pa.table({"site_id": site, "day": days_of(events, sites)})
    for dimension, column in wanted.keys("view_parts", DIMENSIONS).items():
        if column in events.column_names:
            yield daily_part(rows, dimension, events[column], count, VIEW_COUNTS)
        else:
            items = flat(events["item_ids"])
            shown = rows.take(pc.list_parent_indices(items))
            yield daily_part(shown, dimension, pc.list_flatten(items), count, VIEW_COUNTS)
