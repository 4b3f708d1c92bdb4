"""The common batch, read in one go and kept as it came: every event good, nobody's consent denied.

Whatever differs in the least is left to `beacon.intake`, which looks at each event on its
own. Who reads the spool finds the same events for the same body; this way costs a fifth.
"""

import functools
import operator
from collections.abc import Callable
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from beacon.intake import Intake, Sender, known_time
from schemas.contract import CHECKS
from schemas.errors import EventError
from schemas.events import EVENTS, SCHEMA_VERSION, UNSIGNED_EVENTS, Name
from schemas.spool import WORDS, pack

# What `schemas.contract.check_event` asks of every envelope, and that nobody said no, as types.
_STRICTER: dict[str, Any] = {
    "schema_version": Literal[SCHEMA_VERSION],
    "consent": Literal["granted", "unknown"],
    "customer_id": Annotated[Name, msgspec.Meta(pattern="^(?![ve]:)")] | None,
}


class WholeBatch(msgspec.Struct, frozen=True, gc=False):
    """The body of `/v1/events` and `/v1/orders`, all its events good and none denied."""

    site_key: str
    events: list[Any]
    sent_time_ms: int | None
    text: bytes
    """Its JSON, without anything that the contract does not know."""


class _Reader:
    """Reads batches of some kinds of events, each field by its contract."""

    def __init__(self, names: frozenset[str]) -> None:
        self._decode_known = _decoder(names, is_exact=True)
        self._decode_any = _decoder(names, is_exact=False)

    def read(self, body: bytes) -> tuple[Any, bytes]:
        """The batch, and its JSON: as it came, or again without what nobody knows.

        Raises:
          msgspec.DecodeError: something in it is wrong, or denied.
        """
        try:
            return self._decode_known(body), body
        except msgspec.ValidationError:
            batch = self._decode_any(body)
            return batch, _encode(batch)


def _decoder(names: frozenset[str], *, is_exact: bool) -> Callable[[bytes], Any]:
    union: Any = functools.reduce(
        operator.or_, (_stricter(EVENTS[name], is_exact=is_exact) for name in sorted(names))
    )
    fields: list[Any] = [("site_key", str), ("events", list[union])]
    fields.append(("sent_time_ms", int | None, None))
    batch = msgspec.defstruct(
        "Batch", fields, kw_only=True, omit_defaults=True, forbid_unknown_fields=is_exact
    )
    return msgspec.json.Decoder(batch).decode


def _stricter(struct: type[msgspec.Struct], *, is_exact: bool) -> type:
    """An event as senders may tell it, without the receiver's words and not denied; or a line."""
    types = get_type_hints(struct, include_extras=True)
    fields: list[Any] = [
        (
            field.name,
            _STRICTER.get(field.name) or _within(types[field.name], is_exact=is_exact),
            msgspec.field(default=field.default, default_factory=field.default_factory),  # type: ignore[call-overload]
        )
        for field in msgspec.structs.fields(struct)
        if field.name not in WORDS
    ]
    config = struct.__struct_config__
    if config.tag is not None and not is_exact:
        # An event. Whoever says one of these is not believed, nor is it kept: no JSON gives it.
        fields += [(name, msgspec.UnsetType, msgspec.UNSET) for name in sorted(WORDS)]
    made = msgspec.defstruct(
        struct.__name__,
        fields,
        kw_only=True,
        tag_field=config.tag_field,
        tag=config.tag,
        omit_defaults=True,
        gc=False,
        forbid_unknown_fields=is_exact,
    )
    if struct in CHECKS:
        _checks[made] = CHECKS[struct]
    return made


def _within(kind: Any, *, is_exact: bool) -> Any:
    """A field's type, with the lines of a list as strict as the event around them."""
    if get_origin(kind) is Annotated:
        return Annotated[_within(kind.__origin__, is_exact=is_exact), *kind.__metadata__]
    if get_origin(kind) is list:
        line: Any = _within(get_args(kind)[0], is_exact=is_exact)
        return list[line]
    return _stricter(kind, is_exact=is_exact) if isinstance(kind, type(msgspec.Struct)) else kind


_checks: dict[type, Callable[[Any], None]] = {}
_encode = msgspec.json.Encoder().encode
_signed = _Reader(frozenset(EVENTS))
_unsigned = _Reader(UNSIGNED_EVENTS)


def read_whole(body: bytes, *, is_signed: bool) -> WholeBatch | None:
    """A batch with nothing to quarantine, to withhold or to scrub; None for any other body."""
    # One byte is found at once, and few bodies have it. The second look may find a harmless
    # text too: that is for the careful way to tell.
    if b"\\" in body and b"\\u00" in body:
        return None
    try:
        batch, text = (_signed if is_signed else _unsigned).read(body)
        for event in batch.events:
            check = _checks.get(type(event))
            if check is not None:
                check(event)
    except (msgspec.DecodeError, UnicodeError, RecursionError, EventError):
        return None
    return WholeBatch(batch.site_key, batch.events, known_time(batch.sent_time_ms), text)


def take_whole(batch: WholeBatch, sender: Sender) -> Intake | None:
    """The events with the receiver's words; None where one tells a time that is not taken.

    The sender must not have asked for GPC.
    """
    earliest_ms, latest_ms = sender.told_times(batch.sent_time_ms)
    for event in batch.events:
        if not earliest_ms <= event.event_time_ms <= latest_ms:
            return None
    stored = len(batch.events)
    parcel = pack(sender.words(batch.sent_time_ms), batch.text) if stored else b""
    return Intake(parcel, stored, [], 0)
