"""The tables about runs and requests: no results, and as they are for whichever run is shown."""

from sqlalchemy import BigInteger, Text
from sqlalchemy.orm import Mapped, mapped_column

from schemas.rows import Base, count_column, flag_column, key_column, number_column, text_column


class Run(Base):
    """One row per published run of the pipeline: its manifest."""

    __tablename__ = "runs"
    run_number: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="1, 2, 3 ... in this database"
    )
    run_id: Mapped[str] = text_column("Digest of input, settings and code version", 16)
    base_run: Mapped[int] = count_column("Number of the full run it goes back to; itself when full")
    previous_run: Mapped[int | None] = count_column("Number of the run published before it")
    code_version: Mapped[str] = text_column("PinSphere release that ran", 32)
    input_digest: Mapped[str] = text_column("Digest of the lake's files", 64)
    settings_digest: Mapped[str] = text_column("Digest of the settings that decide results", 64)
    settings: Mapped[str] = mapped_column(Text, comment="These settings, as JSON")
    counts: Mapped[str] = mapped_column(
        Text, comment="JSON: rows by table, rows written and taken back, events by name"
    )
    invariants: Mapped[str] = mapped_column(Text, comment="JSON: each check and whether it held")
    ledger: Mapped[str] = text_column("Where order_credits lies: sql (and lake), or lake alone", 8)
    events: Mapped[int] = count_column("Events in its whole input")
    rows: Mapped[int] = count_column("Result rows it wrote")
    duration_seconds: Mapped[float] = number_column("Wall time")
    peak_memory_mb: Mapped[float] = number_column("Peak resident memory of the run's process")
    is_full: Mapped[bool] = flag_column("It computed everything; else it continued the run before")
    started_at: Mapped[int] = count_column("When it began")
    published_at: Mapped[int] = count_column("When readers saw it")


class CurrentRun(Base):
    """The one row that decides which run the views show."""

    __tablename__ = "current_run"
    pointer: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="Always 1"
    )
    run_id: Mapped[str] = text_column("Run shown by the views", 16)
    run_number: Mapped[int] = count_column("Its number")
    base_run: Mapped[int] = count_column("Number of the full run it goes back to")


class Attempt(Base):
    """The one row that says how the last run ended, whether it had anything to publish or not."""

    __tablename__ = "attempts"
    pointer: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="Always 1"
    )
    failure: Mapped[str | None] = text_column(
        "Kind of error it failed with; null when it ended well", 64
    )
    began_at: Mapped[int] = count_column("When it began")
    ended_at: Mapped[int] = count_column("When it ended")
    good_began_at: Mapped[int | None] = count_column("When the last one that ended well began")
    good_ended_at: Mapped[int | None] = count_column("When that one ended")


class Erasure(Base):
    """One row per request to erase a person that was carried out. It holds no id of hers."""

    __tablename__ = "erasures"
    site_id: Mapped[str] = key_column("Shop she was erased from", 64)
    request_id: Mapped[str] = key_column("Request, as the shop named it", 64)
    kind: Mapped[str] = key_column("visitor or customer", 16)
    requested_at: Mapped[int] = count_column("When it was asked for")
    erased_at: Mapped[int] = count_column("What happened until then lost its names")
    counts: Mapped[str] = mapped_column(
        Text,
        comment="JSON: files rewritten, events blanked and dropped, bytes; of all requests"
        " carried out with it",
    )
