"""Batches as forwarders of other releases write them."""

import io
import json
from typing import Any

import fastavro
import msgspec

from schemas.avro import AVRO_SCHEMA, older_schema
from schemas.events import AnyEvent


def older(drop: str, rename: str | None = None) -> dict[str, Any]:
    """The schema as it was before a field was added to all events, or had another name."""
    schema = json.loads(json.dumps(AVRO_SCHEMA))
    for record in schema["fields"][1]["type"]["items"]:
        fields = [field for field in record["fields"] if field["name"] != drop or rename]
        for field in fields:
            field["name"] = rename or "" if field["name"] == drop else field["name"]
        record["fields"] = fields
    return schema


def written_in(schema: dict[str, Any], *events: AnyEvent) -> bytes:
    """A batch as a forwarder of that release would have written it."""
    fingerprint = older_schema(json.dumps(schema)) or ("0" * 16, None)
    content = {
        "fingerprint": fingerprint[0],
        "events": [
            (f"pinsphere.{event.__struct_config__.tag}", msgspec.to_builtins(event))
            for event in events
        ],
        "rejects": [],
    }
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(schema), content)
    return stream.getvalue()
