"""Settings of `pinsphere alerts`: which rules there are, and from where on each one alarms."""

import os
import re
from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.errors import SettingsError

Share = Annotated[float, Meta(gt=0, le=1)]
Times = Annotated[float, Meta(ge=1, le=1_000)]
Hours = Annotated[float, Meta(ge=1, le=8_760)]
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]{0,63}", re.ASCII)
_VARIABLES = ("webhook_env", "webhook_secret_env")


class AlertRules(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, frozen=True):
    """`[alerts]`: each rule's threshold, or `false` to switch it off (docs/alerts.md)."""

    token_survival: Share | bool = 0.1  # the part with a token falls by so much
    unattributed: Share | bool = 0.1  # the part of orders without a pin rises by so much
    quarantine: Share | bool = 0.02  # the part refused rises by so much
    no_events: Hours | bool = 1.0  # silent for so many hours
    run_late: Hours | bool = 26.0  # so many hours since a run ended well
    run_failed: bool = True
    sphere_growth: Times | bool = 3.0  # so many times the people usually reached
    webhook_env: str | None = None
    webhook_secret_env: str | None = None

    def threshold(self, rule: str) -> float | None:
        """From where on a rule alarms; None when it is off."""
        value: float | bool = getattr(self, rule)
        return None if value is False else float(value)


def check_alerts(rules: AlertRules) -> None:
    """Raises a SettingsError when a rule is switched on without a number, or no variable named.

    No text shows what stands in place of a variable's name: it may be the secret itself.
    """
    for name in rules.__struct_fields__:
        if name != "run_failed" and getattr(rules, name) is True:
            raise SettingsError(f"alerts: {name} is a number, or false to switch it off")
    for name in _VARIABLES:
        value = getattr(rules, name)
        if value is not None and not _VARIABLE.fullmatch(value):
            raise SettingsError(
                f"alerts: {name} is the name of an environment variable, A-Z 0-9 _; if what stands"
                " there is the secret itself, change it"
            )


def alert_warnings(rules: AlertRules) -> Iterator[str]:
    """What is wrong with the variables that the rules name: a line each."""
    for name in _VARIABLES:
        variable = getattr(rules, name)
        if variable is not None and not os.environ.get(variable):
            yield f"alerts: {name}: {variable} not set: pinsphere alerts fails"
