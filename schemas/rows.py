"""What every result table is made of: the base, the columns of runs, and kinds of columns."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Float, Index, MetaData, String, text
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

OPEN_RUN = 2**62
"""`until_run` of a row that no run has taken back."""
RUN_COLUMNS = ("base_run", "since_run", "until_run")
"""Which runs have a row: publishing fills them, no other part of a run knows of them."""

_NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """All tables of PinSphere."""

    metadata = MetaData(naming_convention=_NAMES)
    # Rows come sorted by key and are read by base and key: one B-tree is enough in SQLite.
    __table_args__: Any = {"sqlite_with_rowid": False}  # noqa: RUF012 (SQLAlchemy's own form)


def key_column(comment: str, size: int = 128) -> Any:
    """Text of the key."""
    return mapped_column(String(size), primary_key=True, comment=comment)


def text_column(comment: str, size: int = 128) -> Any:
    """A name or an id."""
    return mapped_column(String(size), comment=comment)


def count_column(comment: str) -> Any:
    """A whole number: counts, micros, times."""
    return mapped_column(BigInteger, comment=comment)


def number_column(comment: str) -> Any:
    """A real number."""
    return mapped_column(Float, comment=comment)


def flag_column(comment: str) -> Any:
    """Yes or no."""
    return mapped_column(Boolean(create_constraint=False), comment=comment)


class Result(Base):
    """A table that runs fill: every row belongs to one site, and to the runs of an interval."""

    __abstract__ = True

    base_run: Mapped[int] = mapped_column(
        BigInteger,
        primary_key=True,
        autoincrement=False,
        sort_order=-3,
        comment="Number of the full run that this run and the row go back to",
    )
    site_id: Mapped[str] = mapped_column(
        String(64), primary_key=True, sort_order=-2, comment="Shop the row belongs to"
    )
    # Last in the key: a row that changes ends, and begins again under the same own key.
    since_run: Mapped[int] = mapped_column(
        BigInteger,
        primary_key=True,
        autoincrement=False,
        sort_order=1,
        comment="Number of the run that wrote the row",
    )
    until_run: Mapped[int] = mapped_column(
        BigInteger,
        sort_order=2,
        comment="Run that took it back; 2^62 while it stands",
    )

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805 (SQLAlchemy's own form)
        """Rows that ended are few and must be found by the run that forgets them."""
        ended = text(f"until_run < {OPEN_RUN}")
        name = f"ix_{cls.__tablename__}_ended"
        index = Index(name, "base_run", "until_run", sqlite_where=ended, postgresql_where=ended)
        return (index, Base.__table_args__)
