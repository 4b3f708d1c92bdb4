"""What the published run says of itself: which shops there are, since when, by which settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, text

_RUN = "SELECT run_id, published_at, events, code_version, settings FROM published_run"
_DAYS = """
    SELECT q.site_id, MIN(q.day) AS first_day, MAX(a.newest_day) AS last_day
    FROM current_data_quality_daily q JOIN as_of a ON a.site_id = q.site_id
    WHERE q.received > q.duplicates + q.bots GROUP BY q.site_id"""


@dataclass(frozen=True)
class Shop:
    """A site as the run saw it; its days are None while it has no events."""

    site_id: str
    currency: str
    time_zone: str
    window_days: float
    first_day: str | None
    last_day: str | None


@dataclass(frozen=True)
class Published:
    """The run that the views show."""

    run_id: str
    published_at: int
    events: int
    code_version: str
    shops: Mapping[str, Shop]


def read_published(connection: Connection) -> Published | None:
    """The run that the views show in this snapshot; None while there is none."""
    run = connection.execute(text(_RUN)).first()
    if run is None:
        return None
    days = {row.site_id: row for row in connection.execute(text(_DAYS))}
    sites: dict[str, dict[str, Any]] = msgspec.json.decode(run.settings)["sites"]
    shops = {
        site_id: Shop(
            site_id=site_id,
            currency=site["currency"],
            time_zone=site["time_zone"],
            window_days=site["window_days"],
            first_day=days[site_id].first_day if site_id in days else None,
            last_day=days[site_id].last_day if site_id in days else None,
        )
        for site_id, site in sorted(sites.items())
    }
    return Published(run.run_id, run.published_at, run.events, run.code_version, shops)
