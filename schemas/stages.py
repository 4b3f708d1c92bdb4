"""Stages of the relationship with a pinner, and the rules between them."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.errors import SettingsError
from schemas.ladder import RUNGS

STAGES = ("stranger", "fling", "fleeting acquaintance", "casual acquaintance", "teammate")
"""From the loosest to the closest: a move up is a move to the right."""
NEW_PINNER = "new"
"""Where a pinner comes from in the month of her first pin."""

Months = Annotated[int, Meta(ge=1, le=120)]
Least = Annotated[int, Meta(ge=0)]


class StageRule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """What a stage asks: all of it must hold at the end of a month."""

    recency_months: Annotated[int, Meta(ge=0)]  # at most so many months since her last own act
    active_months: Months  # at least so many months of the look-back with an own act
    depth: Literal["consumption", "curation", "creation", "collaboration"] = "consumption"
    reciprocity: Annotated[int, Meta(ge=0, le=2)] = 0  # directions in which somebody came back
    purchases: Least = 0  # orders of her own


class CasualAcquaintance(StageRule, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Comes again."""

    recency_months: Annotated[int, Meta(ge=0)] = 5
    active_months: Months = 3


class Teammate(StageRule, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """Is there, creates with others, and is come back to."""

    recency_months: Annotated[int, Meta(ge=0)] = 2
    active_months: Months = 6
    depth: Literal["consumption", "curation", "creation", "collaboration"] = "collaboration"
    reciprocity: Annotated[int, Meta(ge=0, le=2)] = 1


class Stages(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """`[sites.<id>.stages]`: thresholds between the stages (docs/relationships.md)."""

    look_back_months: Months = 12
    burst_days: Annotated[float, Meta(ge=0, le=3650)] = 30.0
    casual_acquaintance: CasualAcquaintance = CasualAcquaintance()
    teammate: Teammate = Teammate()

    @property
    def burst_ms(self) -> int:
        """The longest burst in milliseconds."""
        return round(self.burst_days * 86_400_000)


def check_stages(where: str, stages: Stages) -> None:
    """Raises a SettingsError when nobody could ever be in a stage."""
    months = stages.look_back_months
    for name in ("casual_acquaintance", "teammate"):
        rule: StageRule = getattr(stages, name)
        if rule.active_months > months:
            raise SettingsError(
                f"{where}stages.{name}: active_months = {rule.active_months} of"
                f" look_back_months = {months}: nobody could be active in so many"
            )
    casual, teammate = (_strictness(each) for each in (stages.casual_acquaintance, stages.teammate))
    if all(mine >= theirs for mine, theirs in zip(casual, teammate, strict=True)):
        raise SettingsError(
            f"{where}stages: casual_acquaintance asks for all that teammate asks for:"
            " nobody could be a casual acquaintance"
        )


def _strictness(rule: StageRule) -> tuple[int, ...]:
    depth = RUNGS.index(rule.depth)
    return (-rule.recency_months, rule.active_months, depth, rule.reciprocity, rule.purchases)
