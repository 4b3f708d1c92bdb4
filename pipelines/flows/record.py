"""What decides a run, and so its id: what came in, the settings that matter, the release."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from pipelines.io.database import newest_revision
from pipelines.io.state import Input, digest_of
from pipelines.transforms.routes import layout
from schemas.settings import Settings


def new_record(
    inputs: Sequence[Input], settings: Settings, items: dict[str, str], code_version: str
) -> dict[str, Any]:
    """What is known of a run before it begins; the id is a digest of what decides its tables."""
    decided_by = deciding_settings(settings, items)
    record = {
        "input_digest": digest_of(inputs),
        "settings_digest": hashlib.blake2b(decided_by.encode(), digest_size=32).hexdigest(),
        "code_version": code_version,
    }
    run_id = hashlib.blake2b("\n".join(record.values()).encode(), digest_size=8).hexdigest()
    events = sum(each.source.rows for each in inputs)
    return {**record, "run_id": run_id, "settings": decided_by, "events": events}


def deciding_settings(settings: Settings, items: dict[str, str]) -> str:
    """What of the settings decides results, as JSON; engine, keys, origins and limits do not.

    A catalog is like a setting: another one may change every row, so the run is a full one.
    So may a migration: the tables that it adds are empty, and no difference would fill them.
    And what an earlier run kept in another layout cannot be continued.
    """
    sites = {
        name: {
            setting: getattr(site, setting)
            for setting in (
                "currency",
                "time_zone",
                "orders_from",
                "window_days",
                "half_life_days",
                "necessity",
                "sphere_decay",
                "stages",
                "lapse_months",
                "away_after_days",
                "mature_days",
                "graph_engine",
                "graph_edges",
                "graph_top_pinners",
                "marginal_pinners",
            )
        }
        | {"items": items.get(name)}
        for name, site in sorted(settings.sites.items())
    }
    of_release = {"schema": newest_revision(), "layout": layout()}
    return as_json({"ledger": settings.ledger, **of_release, "sites": sites})


def as_json(value: object) -> str:
    """A column of `runs` that holds more than one value."""
    return msgspec.json.encode(value).decode()
