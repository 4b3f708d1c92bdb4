"""What a row of a spool file holds, as those who read it find it."""

from typing import Any

import msgspec

from schemas.spool_rows import Row, decode_rows


def events_in(content: bytes) -> list[dict[str, Any]]:
    """The events of a row of `requests`, complete; none of them may be broken."""
    events, rejects = decode_rows("requests", "test", [Row(1, 1, content)])
    assert not rejects, rejects
    found: list[dict[str, Any]] = msgspec.json.decode(msgspec.json.encode(events))
    return found
