"""Which stage takes which dataset, by which key, in which columns; and which results there are."""

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import pyarrow as pa

from pipelines.transforms.shuffle import KEY, Result, Route
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas import batches
from schemas.events import EVENTS
from schemas.results import result_key, result_schema
from schemas.tables import RESULTS

Value = TypeVar("Value")


class _Told(Mapping[str, Value]):
    """What a function of this release tells; a pickle names the function.

    Beam copies every stage's function several times a run: the schemas would be most of that.
    """

    def __init__(self, told_by: Callable[[], Any], content: Mapping[str, Value]) -> None:
        self._told_by, self._content = told_by, content

    def __getitem__(self, name: str) -> Value:
        return self._content[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __reduce__(self) -> tuple[Callable[[], Any], tuple[()]]:
        return self._told_by, ()


@functools.cache
def results() -> Mapping[str, Result]:
    """The columns and the key of each result table."""
    return _Told(results, {name: (result_schema(name), result_key(name)) for name in RESULTS})


@functools.cache
def routes(wanted: Wanted = EVERYTHING) -> Mapping[str, Route]:
    """Which stage takes which dataset, sharded by which columns; all columns and their key.

    Args:
      wanted: what is; columns that nothing of it needs do not travel.
    """
    content = {
        name: route._replace(
            schema=_travelling(name, route.schema, wanted).append(pa.field(KEY, pa.int64()))
        )
        for name, route in _routes(wanted.models).items()
    }
    return _Told(functools.partial(routes, wanted), content)


def _travelling(name: str, schema: pa.Schema, wanted: Wanted) -> pa.Schema:
    if name in ("purchase", "refund", "purchases", "refunds"):
        return schema  # orders are settled by all that is said of them
    lean = wanted.columns(name, schema)
    if name not in EVENTS:
        return lean
    # From the end: which of two repeats stands is told by their texts from left to right, and must
    # not depend on what is wanted.
    return pa.schema(list(schema)[: schema.names.index(lean.names[-1]) + 1])


@functools.cache
def layout() -> str:
    """Digest of what every stage is given: what was kept in another layout cannot be read."""
    told = "\n".join(f"{name} {route}" for name, route in sorted(routes().items()))
    return hashlib.blake2b(told.encode(), digest_size=8).hexdigest()


def _routes(models: tuple[str, ...]) -> dict[str, Route]:
    by_key = ("site_id", "shard_key")
    by_pinner = ("site_id", "pinner_id")
    by_pair = (*by_pinner, "person_id")
    by_day = ("site_id", "key", "day")
    as_it_came = by_root = (KEY,)
    routes = {
        name: Route(
            "DropDuplicates",
            ("site_id", "event_id"),
            batches.counted_schema(name),
        )
        for name in EVENTS
    }
    purchase, refund = routes["purchase"].schema, routes["refund"].schema
    return routes | {
        "quarantined": Route(
            "DropDuplicates", ("site_id", "reject_id"), result_schema("quarantine")
        ),
        "purchases": Route("SettleOrders", ("site_id", "order_id"), purchase),
        "refunds": Route("SettleOrders", ("site_id", "order_id"), refund),
        "emails": Route("SettleOrders", by_key, batches.EMAILS),
        "logins": Route("StitchVisitors", ("site_id", "visitor_id"), batches.LOGINS),
        "pin_clicks": Route(
            "StitchVisitors", ("site_id", "visitor_id"), batches.PIN_CLICKS, is_row_wise=True
        ),
        "landings": Route(
            "StitchVisitors", ("site_id", "visitor_id"), batches.LANDINGS, is_row_wise=True
        ),
        "doings": Route(
            "StitchVisitors", ("site_id", "visitor_id"), batches.DOINGS, is_row_wise=True
        ),
        "settled_orders": Route("StitchVisitors", by_key, batches.ORDERS, is_row_wise=True),
        "pins_by_person": Route("AttachLandings", ("site_id", "pin_id"), batches.PINS_BY_PERSON),
        "landings_by_person": Route(
            "AttachLandings", by_key, batches.LANDINGS_BY_PERSON, is_row_wise=True
        ),
        "pins_by_root": Route("MeasureSpheres", by_root, batches.PINS_BY_PERSON),
        "landings_by_root": Route(
            "MeasureSpheres", by_root, batches.LANDINGS_BY_ROOT, most_rows=1 << 18
        ),
        "touches": Route(
            "SelectTouches", ("site_id", "person_id"), batches.TOUCHES, is_row_wise=True
        ),
        "orders_by_person": Route("SelectTouches", by_key, batches.ORDERS_BY_PERSON),
        "order_touches": Route(
            "ChainTouches",
            as_it_came,
            batches.ORDER_TOUCHES,
            is_row_wise=True,
            most_rows=1 << 18,
        ),
        "pins_to_chain": Route("ChainTouches", by_root, batches.PINS_TO_CHAIN),
        "chained_touches": Route("CreditPins", ("site_id", "person_id"), batches.CHAINED_TOUCHES),
        "orders_to_credit": Route("CreditPins", as_it_came, batches.ORDERS_BY_PERSON),
        "acts": Route("FollowPeople", ("site_id", "person_id"), batches.ACTS),
        "return_parts": Route(
            "FollowPeople", ("site_id", "person_id"), batches.RETURN_PARTS, batches.RETURN_COUNTS
        ),
        "credit_parts": Route(
            "FollowPeople", ("site_id", "person_id"), batches.CREDIT_PARTS, ("credited_micros",)
        ),
        "reach": Route("MeetPeople", by_pair, batches.REACH, most_rows=1 << 19),
        "influence": Route("MeetPeople", by_pair, batches.INFLUENCE, most_rows=1 << 19),
        "meetings": Route("MeetPeople", as_it_came, batches.MEETINGS),
        "pairs": Route("Summarize", as_it_came, batches.PAIRS),
        "hop_visits": Route("Summarize", by_pinner, batches.HOP_VISITS, ("visits",)),
        "own_pins": Route("Summarize", by_pinner, batches.OWN_PINS, batches.OWN_PINS_SUMS),
        "credit_sums": Route(
            "Summarize", ("site_id", "dimension", "key"), batches.credit_sums_schema(models)
        ),
        "credit_totals": Route(
            "Summarize", ("site_id", "key"), batches.CREDIT_TOTALS, ("credited_micros",)
        ),
        "cascade_shapes": Route("Summarize", ("site_id", "root_pin_id"), batches.CASCADE_SHAPES),
        "view_parts": Route("Summarize", by_day, batches.VIEW_PARTS, batches.VIEW_COUNTS),
        "pin_parts": Route("Summarize", by_day, batches.PIN_PARTS, batches.PIN_COUNTS),
        "due_parts": Route("Summarize", by_day, batches.DUE_PARTS, batches.DUE_SUMS),
        "ladder_parts": Route("Summarize", by_day, batches.LADDER_PARTS, batches.LADDER_COUNTS),
        "move_parts": Route("Summarize", by_day, batches.MOVE_PARTS, batches.MOVE_COUNTS),
        "sales_parts": Route(
            "Summarize", ("site_id", "day"), batches.SALES_PARTS, batches.SALES_SUMS
        ),
        "stage_parts": Route(
            "Summarize", ("site_id", "month"), batches.STAGE_PARTS, batches.STAGE_SUMS
        ),
        "quality_parts": Route(
            "Summarize", ("site_id", "day"), batches.QUALITY_PARTS, batches.QUALITY_COUNTS
        ),
        "landing_parts": Route(
            "Summarize", ("site_id", "day"), batches.LANDING_PARTS, batches.LANDING_COUNTS
        ),
        "arrival_parts": Route(
            "Summarize", ("site_id", "hour_at"), batches.ARRIVAL_PARTS, batches.ARRIVAL_COUNTS
        ),
        "buyer_sales": Route("MeasureLoyalty", ("site_id",), batches.BUYER_SALES),
        "buyer_credits": Route("MeasureLoyalty", ("site_id",), batches.BUYER_CREDITS),
        "known_pinners": Route("MeasureLoyalty", ("site_id",), batches.KNOWN_PINNERS),
        "pinner_credits": Route("MeasureLoyalty", ("site_id",), batches.PINNER_CREDITS),
        "tie_parts": Route("MeasureLoyalty", ("site_id",), batches.TIE_PARTS, batches.TIE_COUNTS),
        "retention_parts": Route(
            "MeasureLoyalty", ("site_id",), batches.RETENTION_PARTS, batches.RETENTION_SUMS
        ),
        "lifetime_parts": Route(
            "MeasureLoyalty", ("site_id",), batches.LIFETIME_PARTS, ("people",)
        ),
        "lineage": Route("RankPinners", ("site_id",), batches.LINEAGE),
        "audiences": Route("RankPinners", ("site_id",), batches.AUDIENCES),
        "rejects": Route("Summarize", ("site_id", "reject_id"), result_schema("quarantine")),
    }
