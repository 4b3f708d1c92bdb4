"""Batches of events in Avro: the messages between the forwarder and the archive.

One message is many whole requests of the spool. The schema is derived from the event structs,
so that Pub/Sub refuses what is no batch of ours, and BigQuery or anyone else can read one.
A batch begins with the fingerprint of its schema: Avro's bytes do not say what they are, and
those of another schema may well decode into nonsense.

`python -m schemas.avro > docs/events.avsc` writes the committed copy.
"""

import inspect
import io
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import fastavro
import fastavro.schema
import msgspec
from msgspec.inspect import (
    BoolType,
    FloatType,
    IntType,
    ListType,
    LiteralType,
    Metadata,
    NoneType,
    StrType,
    StructType,
    UnionType,
)

from schemas.contract import decode_event
from schemas.errors import EventError
from schemas.events import AnyEvent
from schemas.spool import Reject

NAMESPACE = "pinsphere"
_SCALARS: dict[type[Any], str] = {
    StrType: "string",
    LiteralType: "string",  # an enum would turn each new word into another schema
    IntType: "long",
    BoolType: "boolean",
    FloatType: "double",
}


class Broken(NamedTuple):
    """An event of a batch that does not keep its contract: its place, JSON and the reason."""

    place: int
    record: bytes
    reason: str


class Batch(NamedTuple):
    """What one message holds; `broken` is empty unless others than the forwarder publish."""

    events: list[AnyEvent]
    rejects: list[Reject]
    broken: list[Broken]


class _Content(msgspec.Struct):
    """The fields of a batch after its fingerprint."""

    events: list[AnyEvent]
    rejects: list[Reject]


def _avro_schema() -> dict[str, Any]:
    (content,) = msgspec.inspect.multi_type_info([_Content])
    batch = _avro_type(content, set())
    batch["name"] = "Batch"
    batch["doc"] = "Events of one or more requests, and what was refused in them."
    fingerprint = {
        "name": "fingerprint",
        "type": "string",
        "doc": "CRC-64-AVRO of this schema in its canonical form, in hexadecimal",
    }
    batch["fields"].insert(0, fingerprint)
    return {"type": "record", "name": "Batch", "namespace": NAMESPACE, **batch}


def _avro_type(kind: Any, defined: set[str]) -> Any:
    """Avro's word for a msgspec type; a record is spelt out where it is met first."""
    match kind:
        case Metadata():
            return _avro_type(kind.type, defined)
        case NoneType():
            return "null"
        case UnionType():
            # Null first: a default must be of a union's first type.
            types = sorted(kind.types, key=lambda each: not isinstance(each, NoneType))
            return [_avro_type(each, defined) for each in types]
        case ListType():
            return {"type": "array", "items": _avro_type(kind.item_type, defined)}
        case StructType():
            return _record(kind, defined)
        case _:
            return _SCALARS[type(kind)]


def _record(kind: StructType, defined: set[str]) -> Any:
    name = str(kind.tag or kind.cls.__name__)
    if name in defined:
        return name
    defined.add(name)
    fields = []
    for field in kind.fields:
        avro_field = {"name": field.encode_name, "type": _avro_type(field.type, defined)}
        if field.default is not msgspec.NODEFAULT:
            avro_field["default"] = field.default
        elif field.default_factory is not msgspec.NODEFAULT:
            avro_field["default"] = field.default_factory()
        fields.append(avro_field)
    about = inspect.cleandoc(kind.cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    return {"type": "record", "name": name, "doc": about, "fields": fields}


AVRO_SCHEMA: dict[str, Any] = _avro_schema()


def _fingerprint_of(schema: Any) -> str:
    canonical = fastavro.schema.to_parsing_canonical_form(schema)
    return str(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))


FINGERPRINT = _fingerprint_of(AVRO_SCHEMA)
_PARSED = fastavro.parse_schema(AVRO_SCHEMA)
# A string in Avro is its length, zigzag-encoded, and its bytes.
_HEAD = bytes([2 * len(FINGERPRINT)]) + FINGERPRINT.encode()
_HEX = frozenset(b"0123456789abcdef")


def encode_batch(events: Sequence[AnyEvent], rejects: Sequence[Reject]) -> bytes:
    """A batch in Avro's binary encoding: the same bytes for the same events."""
    content = {
        "fingerprint": FINGERPRINT,
        # The pair names the union's branch; else each event would be tried against all.
        "events": [
            (f"{NAMESPACE}.{event.__struct_config__.tag}", msgspec.to_builtins(event))
            for event in events
        ],
        "rejects": [msgspec.to_builtins(reject) for reject in rejects],
    }
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, _PARSED, content)
    return stream.getvalue()


def decode_batch(data: bytes, older: Callable[[str], Any] = lambda _: None) -> Batch:
    """Reads what `encode_batch` wrote, and checks each event against its whole contract.

    Args:
      data: one message.
      older: finds the schema of an earlier release by its fingerprint, as `older_schema` gave
        it, or None; a field that release did not know has its default.

    Raises:
      EventError: the bytes are no batch, or one of another schema; the text says which.
    """
    written_in = _fingerprint(data)
    if written_in is None:
        raise EventError(
            f"{len(data)} bytes that are no batch of events; they begin with {data[:16]!r}"
        )
    schema = _PARSED if written_in == FINGERPRINT else older(written_in)
    if schema is None:
        raise EventError(f"a batch in the schema {written_in}; this release reads {FINGERPRINT}")
    stream = io.BytesIO(data)
    try:
        ours = None if schema is _PARSED else _PARSED
        content: Any = fastavro.schemaless_reader(stream, schema, ours, return_record_name=True)
        rejects = msgspec.convert(content["rejects"], list[Reject])
    except Exception as error:  # noqa: BLE001  # bytes may do anything to a decoder
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise EventError(f"a batch of {len(data)} bytes is damaged: {reason}") from None
    rest = len(data) - stream.tell()
    if rest:
        raise EventError(f"a batch of {len(data)} bytes has {rest} too many at its end")
    batch = Batch([], rejects, [])
    for place, (name, fields) in enumerate(content["events"]):
        event_name = name.removeprefix(f"{NAMESPACE}.")
        record = msgspec.json.encode({"event_name": event_name, **fields})
        try:
            batch.events.append(decode_event(record))
        except EventError as error:
            batch.broken.append(Broken(place, record, str(error)))
    return batch


def older_schema(definition: str) -> tuple[str, Any] | None:
    """Fingerprint and schema of an earlier release's batches, for `decode_batch`.

    None for a schema that is not ours, or that has a field which this release does not know:
    to read it would be to drop that field.
    """
    try:
        schema = json.loads(definition)
        parsed: Any = fastavro.parse_schema(schema)
        theirs, ours = _fields_by_record(schema), _fields_by_record(AVRO_SCHEMA)
    except (ValueError, TypeError, KeyError, fastavro.schema.SchemaParseException):
        return None
    if "Batch" not in theirs or any(
        not fields <= ours.get(name, set()) for name, fields in theirs.items()
    ):
        return None
    return _fingerprint_of(schema), parsed


def _fields_by_record(schema: Any) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    match schema:
        case {"type": "record", "name": name, "fields": fields}:
            found[name] = {field["name"] for field in fields}
            for field in fields:
                found |= _fields_by_record(field["type"])
        case {"items": items}:
            found |= _fields_by_record(items)
        case list():
            for branch in schema:
                found |= _fields_by_record(branch)
    return found


def _fingerprint(data: bytes) -> str | None:
    """What a batch says its schema is."""
    head = data[1 : len(_HEAD)]
    is_batch = len(data) >= len(_HEAD) and data[0] == _HEAD[0] and _HEX.issuperset(head)
    return head.decode() if is_batch else None


def main() -> None:
    """Prints the schema, as committed in `docs/events.avsc`."""
    text = msgspec.json.format(msgspec.json.encode(AVRO_SCHEMA), indent=2)
    sys.stdout.buffer.write(text + b"\n")


if __name__ == "__main__":
    main()
