"""The result tables of the engagement ladder."""

from sqlalchemy.orm import Mapped

from schemas.rows import Result, count_column, key_column

_DIMENSION = "all, category or slot"
_KEY = "Category or slot of the acts; (none) for acts without one, (all) in dimension all"


class LadderDaily(Result):
    """One row per dimension, key, day and rung: who stood there, and what was done on it.

    People are distinct within a row; over keys they overlap.
    """

    __tablename__ = "ladder_daily"
    dimension: Mapped[str] = key_column(_DIMENSION, 16)
    key: Mapped[str] = key_column(_KEY, 256)
    day: Mapped[str] = key_column("Day of the acts in the shop's time zone, YYYY-MM-DD", 10)
    rung: Mapped[str] = key_column("consumption, curation, creation or collaboration", 16)
    people: Mapped[int] = count_column("People whose highest rung of the day it was")
    acts: Mapped[int] = count_column("Acts on this rung, by whomever")


class LadderMove(Result):
    """One row per dimension, key, day and pair of rungs: who moved, or came again to the same.

    Rows to `away` say what will be if nobody comes back; the view leaves out those that lie ahead.
    """

    __tablename__ = "ladder_moves"
    dimension: Mapped[str] = key_column(_DIMENSION, 16)
    key: Mapped[str] = key_column(_KEY, 256)
    day: Mapped[str] = key_column("Day she came to `to_rung`, in the shop's time zone", 10)
    from_rung: Mapped[str] = key_column("Rung of her active day before; or new, or away", 16)
    to_rung: Mapped[str] = key_column("Rung of this day; or away", 16)
    people: Mapped[int] = count_column("People who did")
