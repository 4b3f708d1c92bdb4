"""The result tables of data quality: what came, by what way, and what was refused."""

from sqlalchemy import BigInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from schemas.rows import Result, count_column, key_column, text_column


class DataQualityDaily(Result):
    """One row per day and event name: what came, and what became of it."""

    __tablename__ = "data_quality_daily"
    day: Mapped[str] = key_column("Day of the event in the shop's time zone", 10)
    event_name: Mapped[str] = key_column("Event name", 32)
    received: Mapped[int] = count_column("Events in the lake, repeats included")
    duplicates: Mapped[int] = count_column("Repeats of an event already there")
    bots: Mapped[int] = count_column("From crawlers, left out")
    late: Mapped[int] = count_column("Received more than a day after they happened")
    matched_by_token: Mapped[int] = count_column("Landings whose token survived")
    quarantined: Mapped[int] = count_column("Refused with a reason")


class LandingsDaily(Result):
    """One row per day, client, evidence and carrier of the token: landings from Pinterest.

    Landings without a token do not say which carrier it was lost from.
    """

    __tablename__ = "landings_daily"
    day: Mapped[str] = key_column("Day of the landing in the shop's time zone, YYYY-MM-DD", 10)
    user_agent_class: Mapped[str] = key_column("Client: human, or pinterest_inapp", 16)
    match_method: Mapped[str] = key_column("Evidence: token, epik, user_agent, referrer", 16)
    token_carrier: Mapped[str] = key_column("Where the token was: query, fragment or (none)", 16)
    landings: Mapped[int] = count_column("Landings, repeats and crawlers left out")


class ArrivalsHourly(Result):
    """One row per hour and source: events that came in then, whenever they happened."""

    __tablename__ = "arrivals_hourly"
    hour_at: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="Begin of the hour, UTC"
    )
    source: Mapped[str] = key_column("What sent them: web_js, server, webhook, file or pixel", 16)
    events: Mapped[int] = count_column("Events received, repeats left out")


class Quarantine(Result):
    """One row per record that broke its contract; it is kept whole in the quarantine files."""

    __tablename__ = "quarantine"
    reject_id: Mapped[str] = key_column("Record in quarantine", 300)
    origin: Mapped[str] = text_column("Where it came in: beacon, import-orders, flow, ...", 32)
    place: Mapped[str] = mapped_column(Text, comment="File and line, or request and event")
    reason: Mapped[str] = mapped_column(Text, comment="Value and contract it broke")
    received_at: Mapped[int] = count_column("When it came")
