"""What a simulated world knows about itself: raw events and the truth about them."""

from dataclasses import dataclass, field

from schemas.events import AnyEvent
from schemas.settings import Site

Key = tuple[str, str]  # site_id and an id within the site


@dataclass
class KnownPin:
    """What really became of one pin that reached the lake."""

    person_id: str | None
    parent_pin_id: str | None
    root_pin_id: str
    hop: int
    is_parent_missing: bool
    is_confirmed: bool = False


@dataclass
class KnownOrder:
    """What an order that counts is worth in the end, and who bought."""

    person_id: str | None
    ordered_at: int
    net_micros: int
    is_unknown: bool = False  # only refunds of it ever came
    last_touch_id: str | None = None  # event id of the buyer's latest touch in the window


@dataclass
class World:
    """Raw events and the truth about them, by construction."""

    sites: dict[str, Site]
    events: list[AnyEvent] = field(default_factory=list)
    pins: dict[Key, KnownPin] = field(default_factory=dict)
    visits: dict[Key, str | None] = field(default_factory=dict)  # event id -> person
    orders: dict[Key, KnownOrder] = field(default_factory=dict)
    # (site, pinner) -> hop -> people
    reach: dict[Key, dict[int, set[str]]] = field(default_factory=dict)

    @property
    def net_micros(self) -> dict[str, int]:
        """Total net of each site."""
        totals = dict.fromkeys(self.sites, 0)
        for (site_id, _), order in self.orders.items():
            totals[site_id] += order.net_micros
        return totals
