"""The result tables of the fan club, of how deep relationships are, and of retention."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from schemas.rows import (
    Result,
    count_column,
    flag_column,
    key_column,
    number_column,
    text_column,
)


class FanClub(Result):
    """One row per model, way of ranking and percent: what the top pinners buy and bring."""

    __tablename__ = "fan_clubs"
    model: Mapped[str] = key_column("Attribution model; what needs none repeats for each", 32)
    ranked_by: Mapped[str] = key_column("credited, or own: what pinners are ranked by", 16)
    top_percent: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="1 to 100"
    )
    pinners: Mapped[int] = count_column("Known pinners these are, rounded up to whole ones")
    credited_micros: Mapped[int] = count_column("Credited to them together")
    own_micros: Mapped[int] = count_column("Net value of their own orders")
    by_or_through_micros: Mapped[int | None] = count_column(
        "Their own orders and what is credited to them of others': no micro twice; default model"
    )
    sales_micros: Mapped[int] = count_column("Net value of all orders, pinned or not")
    ci_low_micros: Mapped[int | None] = count_column(
        "95 % interval of what they are ranked by; null when too little data"
    )
    ci_high_micros: Mapped[int | None] = count_column("95 % interval, high end")
    n_effective: Mapped[float | None] = number_column(
        "Equal customers that would be as uncertain; null for other models than the default"
    )
    share_low: Mapped[float | None] = number_column("95 % interval of its share of all sales")
    share_high: Mapped[float | None] = number_column("95 % interval, high end")


class Concentration(Result):
    """One row per model and way of ranking: how unequal pinners are."""

    __tablename__ = "concentrations"
    model: Mapped[str] = key_column("Attribution model; what needs none repeats for each", 32)
    ranked_by: Mapped[str] = key_column("credited, or own: what is shared", 16)
    pinners: Mapped[int] = count_column("Known pinners")
    pinners_above_zero: Mapped[int] = count_column("Of these, with anything of it")
    total_micros: Mapped[int] = count_column("All of it")
    gini: Mapped[float | None] = number_column("0: all have equally much; near 1: one has all")
    gini_low: Mapped[float | None] = number_column("95 % interval; null when too little data")
    gini_high: Mapped[float | None] = number_column("95 % interval, high end")
    n_effective: Mapped[float | None] = number_column("Equal customers as uncertain as all are")


class RelationshipDepth(Result):
    """One row per class of pinners and depth: their ties, a pinner and a person reached each."""

    __tablename__ = "relationship_depths"
    people_from: Mapped[int] = mapped_column(
        BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="Pinners who reached at least so many people, and less than the next class",
    )
    depth: Mapped[str] = key_column(
        "reached, visits_2, visits_5, visits_10, repinned, bought; a tie counts in each it fulfils",
        16,
    )
    pinners: Mapped[int] = count_column("Pinners with such a tie")
    people: Mapped[int] = count_column("Such ties; a person counts for each pinner who reached her")
    visits: Mapped[int] = count_column("Landings of these ties")
    pins: Mapped[int] = count_column("Pins the people made below the pinners'")
    influenced_micros: Mapped[int] = count_column("Orders of these ties; overlaps, never add up")


class RetentionCohort(Result):
    """One row per population, month of entry and month since: who came back."""

    __tablename__ = "retention_cohorts"
    population: Mapped[str] = key_column("pinners, reached or customers", 16)
    cohort_month: Mapped[str] = key_column("Month of entry in the shop's time zone, YYYY-MM", 7)
    months_since: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="Months after it; 0 is itself"
    )
    month: Mapped[str] = text_column("The month that is, YYYY-MM", 7)
    people: Mapped[int] = count_column("People who entered in the cohort's month")
    active_people: Mapped[int] = count_column("Of these, with an act of their own in this month")
    buyers: Mapped[int] = count_column("Of these, with an order in this month")
    net_micros: Mapped[int] = count_column("Net value of these orders")
    active_low: Mapped[float | None] = number_column(
        "95 % interval of the part that was active; null below 30 people: too little data"
    )
    active_high: Mapped[float | None] = number_column("95 % interval, high end")
    buyers_low: Mapped[float | None] = number_column("95 % interval of the part that bought")
    buyers_high: Mapped[float | None] = number_column("95 % interval, high end")
    is_over: Mapped[bool] = flag_column("False for the month of the newest act: it goes on")


class RetentionFit(Result):
    """One row per population, activity and beginning: how fast people are lost."""

    __tablename__ = "retention_fits"
    population: Mapped[str] = key_column("pinners, reached or customers", 16)
    activity: Mapped[str] = key_column("act: whoever does anything is there; order: who buys", 8)
    since: Mapped[str] = key_column(
        "entry: watched from the month of entry; return: from the first month they came back in", 8
    )
    lapse_months: Mapped[int] = count_column("Whole months of silence after which one is lost")
    people: Mapped[int] = count_column("Watched long enough to tell")
    lost: Mapped[int] = count_column("Of these lost")
    person_months: Mapped[int] = count_column("Months in which one of them could have been lost")
    hazard: Mapped[float | None] = number_column("Part lost a month, were it constant")
    hazard_low: Mapped[float | None] = number_column("95 % interval; null: too little data")
    hazard_high: Mapped[float | None] = number_column("95 % interval, high end")
    half_life_months: Mapped[float | None] = number_column("Until half are lost; null: none is")
    half_life_low: Mapped[float | None] = number_column("95 % interval, low end")
    half_life_high: Mapped[float | None] = number_column("95 % interval; null: no end in sight")
    lost_a_year: Mapped[float | None] = number_column("Part lost in twelve months")
    lost_a_year_low: Mapped[float | None] = number_column("95 % interval, low end")
    lost_a_year_high: Mapped[float | None] = number_column("95 % interval, high end")
