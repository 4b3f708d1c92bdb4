"""What a reader chose, from a page's GET parameters: which shop, which days, which model."""

import contextlib
import re
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from console.published import Published, Shop
from schemas.errors import UsageError
from schemas.models import DEFAULT_MODEL, MODELS

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LONGEST_KEY = 300
# One pinner, one pin, what is looked for and how it is ordered: pages of their own ask for them.
KEYS = ("pinner", "pin", "search", "sort", "order", "page")


class ChoiceError(UsageError):
    """A parameter of the page's address is wrong: HTTP 400."""


class UnknownError(ChoiceError):
    """The address is sound, but nothing of that name is in the run: HTTP 404."""


@dataclass(frozen=True)
class Choices:
    """A shop, days of its own time zone (both included), a model, and what a page is about."""

    shop: Shop
    since: str
    until: str
    model: str
    pinner: str = ""
    pin: str = ""
    search: str = ""
    sort: str = ""
    order: str = ""
    page: str = ""

    @property
    def site(self) -> str:
        """The shop's id."""
        return self.shop.site_id

    @property
    def currency(self) -> str:
        """Orders in another one are in no answer, so this is the only one to choose."""
        return self.shop.currency

    @property
    def window(self) -> str:
        """The window of credit, which the run went by, in days."""
        return _window(self.shop)

    @property
    def is_whole(self) -> bool:
        """Whether the days are all there are, so that sums over the whole history agree."""
        first, last = self.shop.first_day or "", self.shop.last_day or ""
        return self.since <= first and self.until >= last

    @property
    def parameters(self) -> dict[str, str | int]:
        """What questions may ask with."""
        since_at, before_at = _bounds(self.since, self.until, self.shop.time_zone)
        return {
            "site": self.site,
            "model": self.model,
            "since": self.since,
            "until": self.until,
            "since_at": since_at,  # UTC milliseconds; before_at is the first that is too late
            "before_at": before_at,
            **{key: getattr(self, key) for key in KEYS},
        }

    @property
    def fields(self) -> dict[str, str]:
        """The GET parameters that lead here again."""
        fixed = {
            "site": self.site,
            "since": self.since,
            "until": self.until,
            "model": self.model,
            "window": self.window,
            "currency": self.currency,
        }
        keys = {key: getattr(self, key) for key in KEYS}
        return {name: value for name, value in {**fixed, **keys}.items() if value}

    def but(self, **changes: Any) -> "Choices":
        """These choices with others in their place."""
        return replace(self, **changes)

    def elsewhere(self) -> "Choices":
        """What holds on every page: these choices without keys."""
        return self.but(**dict.fromkeys(KEYS, ""))

    def query(self, **changes: Any) -> str:
        """The query of an address, without its question mark."""
        return urlencode(self.but(**changes).fields)


def parse_choices(given: Mapping[str, str], published: Published) -> Choices:
    """Checks GET parameters against the published run; what is not given has its default.

    Raises:
      ChoiceError: a value breaks its contract; the text names both.
    """
    shop = _one_of("site", given.get("site", ""), published.shops)
    found = Choices(
        shop=shop,
        since=_day("since", given.get("since", "")) or shop.first_day or "",
        until=_day("until", given.get("until", "")) or shop.last_day or "",
        model=given.get("model", "") or DEFAULT_MODEL,
        **{key: _key(key, given.get(key, "")) for key in KEYS},
    )
    if found.model not in MODELS:
        raise ChoiceError(f"model={found.model!r} is none; known: {', '.join(MODELS)}")
    if found.since > found.until:
        raise ChoiceError(f"since={found.since} is after until={found.until}")
    _check_window(given.get("window", ""), shop)
    if given.get("currency", "") not in {"", shop.currency}:
        raise ChoiceError(
            f"currency={given['currency']!r} is in no order counted for {shop.site_id}, only"
            f" {shop.currency}; orders in another currency are in quarantine"
        )
    return found


def _one_of(name: str, value: str, shops: Mapping[str, Shop]) -> Shop:
    if not shops:
        raise ChoiceError("the run knows no site; add one with: pinsphere init")
    if value and value not in shops:
        raise ChoiceError(f"{name}={value!r} is not in this run; known: {', '.join(shops)}")
    return shops[value] if value else next(iter(shops.values()))


def _day(name: str, value: str) -> str:
    if not value:
        return ""
    with contextlib.suppress(ValueError):
        # The last day of all has no next one, which bounds need.
        if _DAY.fullmatch(value) and date.fromisoformat(value) < date.max:
            return value
    raise ChoiceError(f"{name}={value!r} is no day such as 2026-11-30")


def _key(name: str, value: str) -> str:
    # Ids are the shop's: any character may be in one, but NUL, which PostgreSQL has in no text.
    if len(value) > _LONGEST_KEY or "\0" in value:
        raise ChoiceError(
            f"{name}={value[:40]!r} is not 0 to {_LONGEST_KEY} characters other than NUL"
        )
    return value


def _window(shop: Shop) -> str:
    return f"{shop.window_days:g}"


def _check_window(value: str, shop: Shop) -> None:
    try:  # by what links show of it: a third of a day has too many places for an address
        is_same = not value or f"{float(value):g}" == _window(shop)
    except ValueError:
        is_same = False
    if not is_same:
        raise ChoiceError(
            f"window={value!r} days is not how this run credited {shop.site_id}: it took"
            f" {_window(shop)}. For another, set window_days in pinsphere.toml and run:"
            " pinsphere run --full"
        )


def _bounds(since: str, until: str, time_zone: str) -> tuple[int, int]:
    """UTC milliseconds of the first moment, and of the first one after the last."""
    if not since or not until:
        return 0, 0
    zone = zoneinfo.ZoneInfo(time_zone)
    days = (date.fromisoformat(since), date.fromisoformat(until) + timedelta(days=1))
    first, after = (round(datetime.combine(day, time.min, zone).timestamp() * 1000) for day in days)
    return first, after
