"""The job in Polars: lazy frames, the streaming engine."""

from pathlib import Path

import polars as pl

WINDOW_MS = 30 * 86_400_000
AT = (
    pl.col("event_time_ms") + (pl.col("received_time_ms") - pl.col("sent_time_ms")).fill_null(0)
).alias("at")
MODELS = ("first", "last", "linear")


def answer(home: Path, out: Path) -> None:
    """Does the job; writes `credits.parquet` and `items.parquet`."""
    pins, visits = _events(home, "pin"), _events(home, "pin_visit")
    orders = _events(home, "purchase").collect(engine="streaming").lazy()
    owners = _owners(_events(home, "identify"), orders).collect(engine="streaming").lazy()
    pinned = (
        _stitched(
            pins.select("event_id", "visitor_id", "customer_id", "pin_id", "item_id", AT), owners
        )
        .collect(engine="streaming")
        .lazy()
    )
    seen = _stitched(visits.select("event_id", "visitor_id", "customer_id", "pin_id", AT), owners)
    known = pinned.select("pin_id", "item_id", pinner_id="person_id")
    landed = seen.join(known, on="pin_id").collect(engine="streaming").lazy()
    columns = ("person_id", "event_id", "at", "pin_id", "pinner_id", "item_id")
    touches = pl.concat(
        [landed.select(columns), pinned.with_columns(pinner_id="person_id").select(columns)]
    )
    bought = _stitched(orders.select("visitor_id", "customer_id", "order_id", AT), owners)
    lines = _lines(orders, _events(home, "refund"))
    credits = _credits(bought, touches, lines).collect(engine="streaming").lazy()
    _sums(credits).collect(engine="streaming").write_parquet(out / "credits.parquet")
    views = _events(home, "view_item_list").select("items").explode("items")
    parts = [
        _count(views.select(item_id=pl.col("items").struct.field("item_id")), "views"),
        _count(pinned, "pins"),
        _count(landed.filter(pl.col("person_id").ne_missing(pl.col("pinner_id"))), "pin_visits"),
        *(
            _count(
                credits.filter(pl.col("model") == model).select("item_id", "order_id").unique(),
                f"orders {model}",
            )
            for model in MODELS
        ),
    ]
    pl.concat(parts).collect(engine="streaming").write_parquet(out / "items.parquet")


def _events(home: Path, name: str) -> pl.LazyFrame:
    """The events of a name, the first received of each id, without crawlers.

    Ids are grouped alone and only those that repeat joined back, as in DuckDB's SQL: sorting or
    `unique` over whole rows was slower.
    """
    files = pl.scan_parquet(home / "lake" / name / "*/*/*.parquet", hive_partitioning=False)
    repeated = (
        files.group_by("event_id")
        .agg(pl.len().alias("count"), pl.col("received_time_ms").min().alias("first"))
        .filter(pl.col("count") > 1)
        .select("event_id", "first")
    )
    return files.join(repeated, on="event_id", how="left").filter(
        pl.col("first").is_null() | (pl.col("first") == pl.col("received_time_ms")),
        ~pl.col("user_agent_class").is_in(["bot", "pinterestbot"]),
    )


def _owners(identifies: pl.LazyFrame, orders: pl.LazyFrame) -> pl.LazyFrame:
    """Whose a visitor was, from when until when: one row, unless the device changed hands."""
    columns = ("visitor_id", "customer_id", AT)
    logins = pl.concat(
        [identifies.filter(pl.col("action") == "login").select(columns), orders.select(columns)]
    ).drop_nulls()
    return (
        logins.group_by("visitor_id", "at")
        .agg(owner=pl.col("customer_id").max())
        .sort("visitor_id", "at")
        .with_columns(before=pl.col("owner").shift().over("visitor_id"))
        .filter(pl.col("owner").ne_missing(pl.col("before")))
        .select(
            "visitor_id",
            "owner",
            since=pl.when(pl.col("before").is_null()).then(-1).otherwise("at"),
            until=pl.col("at").shift(-1).over("visitor_id").fill_null(1 << 62),
        )
    )


def _stitched(events: pl.LazyFrame, owners: pl.LazyFrame) -> pl.LazyFrame:
    """The events with `person_id`. Nearly every visitor has one owner and joins once."""
    at = pl.col("at")
    named = events.join(owners, on="visitor_id", how="left").filter(
        pl.col("owner").is_null() | ((at >= pl.col("since")) & (at < pl.col("until")))
    )
    said = pl.coalesce("customer_id", "owner", pl.lit("v:") + pl.col("visitor_id"))
    return named.with_columns(person_id=said).drop(
        "visitor_id", "customer_id", "owner", "since", "until"
    )


def _lines(orders: pl.LazyFrame, refunds: pl.LazyFrame) -> pl.LazyFrame:
    """Each order line's net value."""
    refunded = (
        refunds.select("order_id", "items")
        .explode("items")
        .unnest("items")
        .group_by("order_id", "line_id")
        .agg(pl.col("amount_micros").sum())
    )
    value = pl.col("quantity") * pl.col("price_micros") - pl.col("discount_micros")
    return (
        orders.select("order_id", "items")
        .explode("items")
        .unnest("items")
        .join(refunded, on=("order_id", "line_id"), how="left")
        .select("order_id", net=value - pl.col("amount_micros").fill_null(0))
    )


def _credits(bought: pl.LazyFrame, touches: pl.LazyFrame, lines: pl.LazyFrame) -> pl.LazyFrame:
    """Three models' credit by line and touch."""
    pairs = (
        touches.join(bought.select("person_id", "order_id", ordered_at="at"), on="person_id")
        .filter(
            pl.col("at") <= pl.col("ordered_at"), pl.col("at") >= pl.col("ordered_at") - WINDOW_MS
        )
        .sort("order_id", "at", "event_id")
    )
    order, next_order = pl.col("order_id"), pl.col("order_id").shift(-1)
    ends = order.ne_missing(next_order)
    marked = pairs.select(
        "order_id",
        "pinner_id",
        "item_id",
        first=order.ne_missing(order.shift()),
        last=ends,
        linear=ends | pl.col("pin_id").ne_missing(pl.col("pin_id").shift(-1)),
    ).with_columns(
        rank=pl.col("linear").cast(pl.Int64).cum_sum().over("order_id"),
        ranks=pl.col("linear").cast(pl.Int64).sum().over("order_id"),
    )
    rank, ranks, net = pl.col("rank"), pl.col("ranks"), pl.col("net")
    micros = dict.fromkeys(MODELS[:2], net)
    micros["linear"] = net // ranks + (rank <= net % ranks).cast(pl.Int64)
    return pl.concat(
        [
            marked.filter(pl.col(model))
            .join(lines, on="order_id")
            .select("order_id", "pinner_id", "item_id", model=pl.lit(model), micros=micros[model])
            for model in MODELS
        ]
    )


def _sums(credits: pl.LazyFrame) -> pl.LazyFrame:
    columns = {"pinner": "pinner_id", "product": "item_id"}
    return pl.concat(
        [
            credits.drop_nulls(column)
            .group_by(pl.lit(dimension).alias("dimension"), pl.col(column).alias("key"), "model")
            .agg(pl.col("micros").sum())
            for dimension, column in columns.items()
        ]
    )


def _count(rows: pl.LazyFrame, what: str) -> pl.LazyFrame:
    counted = rows.drop_nulls("item_id").group_by("item_id")
    return counted.agg(n=pl.len().cast(pl.Int64)).select("item_id", pl.lit(what).alias("what"), "n")
