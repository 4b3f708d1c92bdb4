"""The result tables. Internal: the views (`schemas.views`) are the contract.

A result row stands from the run that wrote it until the run that took it back: run `n` of base
`b` has the rows with `base_run = b AND since_run <= n AND until_run > n`, and `current_run` points
at the run that the views show. So a run adds and ends rows, and copies none that it did not touch.
Times are UTC epoch milliseconds (`_at`), money is int64 micros of `currency` (`_micros`).
"""

from typing import Any

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, declared_attr, mapped_column

from schemas.graph_tables import Generation, MarginalReach, PinnerGraph, SiteGraph
from schemas.ladder_tables import LadderDaily, LadderMove
from schemas.loyalty_tables import (
    Concentration,
    FanClub,
    RelationshipDepth,
    RetentionCohort,
    RetentionFit,
)
from schemas.quality_tables import ArrivalsHourly, DataQualityDaily, LandingsDaily, Quarantine
from schemas.rows import OPEN_RUN, RUN_COLUMNS, Base, Result
from schemas.rows import count_column as _count
from schemas.rows import flag_column as _flag
from schemas.rows import key_column as _key
from schemas.rows import number_column as _number
from schemas.rows import text_column as _text
from schemas.run_tables import Attempt, CurrentRun, Erasure, Run

__all__ = [
    "OPEN_RUN",
    "RESULTS",
    "RUN_COLUMNS",
    "Attempt",
    "Base",
    "CurrentRun",
    "Erasure",
    "Result",
    "Run",
]


class Pin(Result):
    """One row per pin: a click on Pin It, with its place in its cascade."""

    __tablename__ = "pins"
    pin_id: Mapped[str] = _key("Pin, as minted by the snippet", 64)
    person_id: Mapped[str | None] = _text("Pinner; null when she could not be known", 130)
    item_id: Mapped[str | None] = _text("Product pinned")
    item_list_id: Mapped[str | None] = _text("Slot (recommendation list) it was pinned from")
    recommender_id: Mapped[str | None] = _text("Recommender that filled the slot")
    parent_pin_id: Mapped[str | None] = _text("Pin its pinner came from; null for a root", 64)
    root_pin_id: Mapped[str] = _text("Root of its cascade; itself for a root", 64)
    hop: Mapped[int] = _count("Edges up to the root")
    visits: Mapped[int] = _count("Landings from it by others than its pinner")
    visitors: Mapped[int] = _count("Known people among those landings")
    is_parent_missing: Mapped[bool] = _flag("It names a parent that is not in its cascade")
    is_confirmed: Mapped[bool] = _flag("Seen to be saved: a visit by another, or a crawl")
    pinned_at: Mapped[int] = _count("Time of the click")


class Visit(Result):
    """One row per landing that came back from Pinterest."""

    __tablename__ = "visits"
    event_id: Mapped[str] = _key("Event of the landing", 64)
    pin_id: Mapped[str | None] = _text("Pin named by the landing's token, if any", 64)
    person_id: Mapped[str | None] = _text("Who landed; null when unknown", 130)
    match_method: Mapped[str] = _text("Evidence: token, epik, user_agent, referrer", 16)
    is_known_pin: Mapped[bool] = _flag("The pin is in the pins table")
    visited_at: Mapped[int] = _count("Time of the landing")


class Order(Result):
    """One row per order, as it stands after all refunds."""

    __tablename__ = "orders"
    order_id: Mapped[str] = _key("Retailer's order number")
    person_id: Mapped[str | None] = _text("Buyer; null when unknown", 130)
    currency: Mapped[str] = _text("ISO 4217 code", 3)
    gross_micros: Mapped[int] = _count("Value of the lines after discounts, before refunds")
    refunded_micros: Mapped[int] = _count("Given back")
    net_micros: Mapped[int] = _count("Gross less refunded")
    is_creditable: Mapped[bool] = _flag("False for refunds whose original order is unknown")
    ordered_at: Mapped[int] = _count("Time of the order")


class OrderLine(Result):
    """One row per order line."""

    __tablename__ = "order_lines"
    order_id: Mapped[str] = _key("Retailer's order number")
    line_id: Mapped[str] = _key("Line within the order", 260)
    item_id: Mapped[str] = _text("Product bought")
    quantity: Mapped[int] = _count("Units; negative for a refund of an unknown order")
    gross_micros: Mapped[int] = _count("quantity x price, less its discounts")
    refunded_micros: Mapped[int] = _count("Given back")
    net_micros: Mapped[int] = _count("Gross less refunded")
    is_credited: Mapped[bool] = _flag("A touch came before it; else all of it is unattributed")


class OrderCredit(Result):
    """One row per model, order line, touch and pin: the part of the line this pin earned.

    Empty where the ledger is kept in the lake only. Per model, the credits of a credited line sum
    to its net value.
    """

    __tablename__ = "order_credits"
    order_id: Mapped[str] = _key("Retailer's order number")
    line_id: Mapped[str] = _key("Line within the order", 260)
    model: Mapped[str] = _key("Attribution model, e.g. time_decay", 32)
    place: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="Place in the split, from 0"
    )
    touch_id: Mapped[str] = _text("Event of the touch", 64)
    pin_id: Mapped[str] = _text("Pin credited", 64)
    pinner_id: Mapped[str | None] = _text("Its pinner, when known", 130)
    currency: Mapped[str] = _text("ISO 4217 code", 3)
    distance: Mapped[int] = _count("Edges from the pin touched up to the pin credited")
    credit_micros: Mapped[int] = _count("Part of the line's net value")
    refunded_micros: Mapped[int] = _count("Credit taken back by refunds")
    is_self: Mapped[bool] = _flag("The pinner bought it herself")
    is_same_item: Mapped[bool] = _flag("The product pinned is the product bought (direct)")
    touched_at: Mapped[int] = _count("Time of the touch")


class SalesDaily(Result):
    """One row per day of orders and model: what was sold, and how much of it through pins."""

    __tablename__ = "sales_daily"
    day: Mapped[str] = _key("Day of the order in the shop's time zone, YYYY-MM-DD", 10)
    model: Mapped[str] = _key("Attribution model; only the credit depends on it", 32)
    orders: Mapped[int] = _count("Orders")
    credited_orders: Mapped[int] = _count("Orders that a touch came before")
    gross_micros: Mapped[int] = _count("Value of the lines after discounts, before refunds")
    refunded_micros: Mapped[int] = _count("Given back")
    net_micros: Mapped[int] = _count("Gross less refunded")
    credited_micros: Mapped[int] = _count("Of the net value, credited to pins")
    unattributed_micros: Mapped[int] = _count("Of the net value, of lines without a touch")


class PinnerSphere(Result):
    """One row per pinner: whom she reached, how far, and what came of it."""

    __tablename__ = "pinner_spheres"
    pinner_id: Mapped[str] = _key("Pinner", 130)
    pins: Mapped[int] = _count("Pins she made")
    confirmed_pins: Mapped[int] = _count("Of these seen to be saved")
    reach_hop_1: Mapped[int] = _count("People who landed from her own pins")
    reach_hop_2: Mapped[int] = _count("People one re-pin further")
    reach_hop_3_plus: Mapped[int] = _count("People beyond")
    reach_total: Mapped[int] = _count("People in her sphere")
    repinners_hop_1: Mapped[int] = _count(
        "Of the people who landed from her own pins, who pinned on"
    )
    visits_hop_1: Mapped[int] = _count("Landings from her own pins")
    visits_hop_2: Mapped[int] = _count("Landings one re-pin further")
    visits_hop_3_plus: Mapped[int] = _count("Landings beyond")
    visits: Mapped[int] = _count("Landings in her sphere")
    decayed_reach: Mapped[float] = _number("People, each hop worth half of the one before")
    depth: Mapped[int] = _count("Hops to the furthest person")
    radius_90: Mapped[int] = _count("Hops within which nine in ten of her people are")
    breadth: Mapped[int] = _count("Most landings at one hop")
    structural_virality: Mapped[float | None] = _number("Mean distance of pins below hers")
    median_hours_to_reach: Mapped[float | None] = _number("Pin to first landing, median")
    hours_to_90_percent: Mapped[float | None] = _number("As long or shorter for nine in ten people")
    credited_micros: Mapped[int] = _count("Credit under time_decay; adds up over pinners")
    influenced_micros: Mapped[int] = _count("Orders she had a part in; overlaps, never add up")
    influenced_hop_1_micros: Mapped[int] = _count(
        "Of these, of people who landed from her own pins"
    )
    influenced_hop_2_plus_micros: Mapped[int] = _count("Of these, of people further away")
    first_reached_at: Mapped[int | None] = _count("When she reached the first of her people")
    last_reached_at: Mapped[int | None] = _count("When she reached the newest of her people")


class SphereEdge(Result):
    """One row per pinner and person she reached."""

    __tablename__ = "sphere_edges"
    pinner_id: Mapped[str] = _key("Pinner", 130)
    person_id: Mapped[str] = _key("Person reached", 130)
    hop: Mapped[int] = _count("Least number of hops between them")
    visits: Mapped[int] = _count("The person's landings in the sphere")
    pins: Mapped[int] = _count("Pins the person made below the pinner's")
    influenced_micros: Mapped[int] = _count("The person's orders with the pinner on the way")
    first_reached_at: Mapped[int | None] = _count("First landing; null in runs of older releases")


class Cascade(Result):
    """One row per cascade: a root pin and all re-pins below it."""

    __tablename__ = "cascades"
    root_pin_id: Mapped[str] = _key("Pin that began it", 64)
    size: Mapped[int] = _count("Pins")
    depth: Mapped[int] = _count("Hops to the furthest pin")
    breadth: Mapped[int] = _count("Most pins at one hop")
    pinners: Mapped[int] = _count("Known people who pinned in it")
    visits: Mapped[int] = _count("Landings from its pins by others than the pin's pinner")
    visitors: Mapped[int] = _count("People among those landings")
    structural_virality: Mapped[float | None] = _number("Mean distance between its pins")
    credited_micros: Mapped[int] = _count("Credit of its pins under time_decay")


class PinnerStage(Result):
    """One row per pinner and stage she entered, with the scores that put her there.

    Rows tell what will be if nothing else happens: the last ones of each pinner, in which she is
    forgotten step by step, may lie in the future.
    """

    __tablename__ = "pinner_stages"
    pinner_id: Mapped[str] = _key("Pinner", 130)
    month: Mapped[str] = _key("Month at whose end she is in it, in the shop's time zone", 7)
    stage: Mapped[str] = _text("Stage of the relationship", 32)
    left_month: Mapped[str | None] = _text("Month at whose end she no longer is; null: for good", 7)
    depth: Mapped[str | None] = _text("Highest rung of engagement in the look-back", 16)
    recency_months: Mapped[int] = _count("Months since the last one with an act of hers")
    active_months: Mapped[int] = _count("Months of the look-back with an act of hers")
    reciprocity: Mapped[int] = _count("Directions, of two, in which somebody came back")
    purchases: Mapped[int] = _count("Orders of her own in the look-back")


class StageTransition(Result):
    """One row per month and the stages before and after it, those who stay included.

    Like `pinner_stages` it tells of months that may lie in the future.
    """

    __tablename__ = "stage_transitions"
    month: Mapped[str] = _key("Month, in the shop's time zone, YYYY-MM", 7)
    from_stage: Mapped[str] = _key("Stage at its begin; new: in the month of her first pin", 32)
    to_stage: Mapped[str] = _key("Stage at its end", 32)
    last_day: Mapped[str] = _text("Last of the 90 days after the month", 10)
    people: Mapped[int] = _count("Pinners, those long forgotten left out")
    settled: Mapped[int] = _count("Of these, forgotten for good: counted this once")
    people_with_revenue: Mapped[int] = _count("Pinners with revenue in the 90 days after the month")
    credited_next_90_micros: Mapped[int] = _count("Credit of others' orders of these 90 days")
    own_next_90_micros: Mapped[int] = _count("Net value of their own orders of these 90 days")
    standard_error_micros: Mapped[float] = _number("Standard error of the sum of both")


class _Daily(Result):
    """Activity and credit of one key on one day, under one model."""

    __abstract__ = True

    day: Mapped[str] = _key("Day in the shop's time zone, YYYY-MM-DD", 10)
    model: Mapped[str] = _key("Attribution model; counts that need none repeat for each", 32)
    views: Mapped[int] = _count("Times shown in a recommendation list")
    clicks: Mapped[int] = _count("Times chosen from a list")
    pins: Mapped[int] = _count("Clicks on Pin It")
    pin_visits: Mapped[int] = _count("Landings from pins")
    adds_to_cart: Mapped[int] = _count("Times put into a cart")
    orders: Mapped[int] = _count("Orders with credit to it")
    units: Mapped[int] = _count("Units on the lines of those orders with credit to it")
    credited_micros: Mapped[int] = _count("Credit by day of the order")
    direct_micros: Mapped[int] = _count("Of it, where the product pinned was the one bought")
    refunded_micros: Mapped[int] = _count("Credit taken back by refunds")


class ItemDaily(_Daily):
    """One row per product (pinned, shown or chosen), day and model."""

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805 (SQLAlchemy's own form)
        """The greatest daily table: sums of a model are read from an index alone."""
        summed = [
            "since_run", "until_run", "views", "clicks", "pins", "pin_visits", "adds_to_cart",
            "orders", "units", "credited_micros", "direct_micros", "refunded_micros",
        ]  # fmt: skip
        columns = ("base_run", "site_id", "model", "item_id")
        by_model = Index("ix_item_daily_model", *columns, postgresql_include=summed)
        return (by_model, *super().__table_args__)

    __tablename__ = "item_daily"
    item_id: Mapped[str] = mapped_column(
        String(128), primary_key=True, sort_order=-1, comment="Product pinned, shown or chosen"
    )


class SlotDaily(_Daily):
    """One row per slot (recommendation list), day and model."""

    __tablename__ = "slot_daily"
    item_list_id: Mapped[str] = mapped_column(
        String(128), primary_key=True, sort_order=-1, comment="Slot (recommendation list)"
    )


class RecommenderDaily(_Daily):
    """One row per recommender, day and model."""

    __tablename__ = "recommender_daily"
    recommender_id: Mapped[str] = mapped_column(
        String(128), primary_key=True, sort_order=-1, comment="Recommender"
    )


class ModelCredit(Result):
    """One row per model, dimension and key: credited revenue with its uncertainty."""

    __tablename__ = "model_credits"
    dimension: Mapped[str] = _key("pinner, product, slot, recommender or site", 16)
    key: Mapped[str] = _key("Pinner, product, slot, recommender, or the site itself", 130)
    model: Mapped[str] = _key("Attribution model", 32)
    credited_micros: Mapped[int] = _count("Credited revenue")
    ci_low_micros: Mapped[int | None] = _count("95 % interval, low end; null when too little data")
    ci_high_micros: Mapped[int | None] = _count("95 % interval, high end")
    n_customers: Mapped[int] = _count("Customers whose orders gave credit")
    n_effective: Mapped[float | None] = _number("Equal customers that would be as uncertain")


RESULTS: dict[str, type[Result]] = {
    model.__tablename__: model
    for model in (
        Pin, Visit, Order, OrderLine, OrderCredit, SalesDaily, PinnerSphere, SphereEdge, Cascade,
        PinnerStage, StageTransition,
        PinnerGraph, SiteGraph, Generation, MarginalReach,
        ItemDaily, SlotDaily, RecommenderDaily, ModelCredit,
        DataQualityDaily, LandingsDaily, ArrivalsHourly, Quarantine,
        FanClub, Concentration, RelationshipDepth, RetentionCohort, RetentionFit,
        LadderDaily, LadderMove,
    )
}  # fmt: skip
