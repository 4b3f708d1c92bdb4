"""What goes over the wire around the events: the body that carries them, and the answers."""

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.events import MAX_EVENTS, AnyEvent


class EventBatch(msgspec.Struct, kw_only=True):
    """Body of `/v1/events` and `/v1/orders`. Fields that are not listed are dropped."""

    site_key: Annotated[str, Meta(description="The site's public write key")]
    events: Annotated[list[AnyEvent], Meta(max_length=MAX_EVENTS)]
    sent_time_ms: Annotated[
        int | None,
        Meta(description="UTC epoch milliseconds by the sender's clock; not used when absurd"),
    ] = None


class QuarantinedEvent(msgspec.Struct, kw_only=True):
    """One event that broke its contract; it is kept, with this reason, and can be replayed."""

    index: Annotated[int, Meta(ge=0, description="Place in the request's `events`")]
    reason: str


class Receipt(msgspec.Struct, kw_only=True):
    """Says which events of a request were taken. All of it is durable."""

    accepted: Annotated[int, Meta(ge=0)]
    quarantined: list[QuarantinedEvent]


class Problem(msgspec.Struct, kw_only=True):
    """Any error answer."""

    error: Annotated[str, Meta(description="What was wrong, and with which value")]


class Status(msgspec.Struct, kw_only=True):
    """Answer of the health checks."""

    status: str
