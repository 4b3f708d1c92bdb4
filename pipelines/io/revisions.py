"""Schemas of earlier releases: Pub/Sub keeps each revision of the topic's schema."""

from typing import Any

from google.api_core import exceptions
from google.pubsub_v1 import SchemaServiceClient
from google.pubsub_v1.services.schema_service.transports import SchemaServiceGrpcTransport

from schemas.avro import older_schema
from schemas.errors import PubSubError
from schemas.pubsub import connect, explained, one_line
from schemas.settings import Settings

_CALL_SECONDS = 10.0


class HiddenSchemaError(PubSubError):
    """Whether an earlier release's batch can be read is not known now: it must not be acked."""


class Revisions:
    """Finds the schema of a batch that another release wrote; asks Pub/Sub once for each."""

    def __init__(self, settings: Settings) -> None:
        self._pubsub = settings.pubsub
        self._found: dict[str, Any] = {}

    def find(self, fingerprint: str) -> Any:
        """The schema, or None: Pub/Sub does not know it, or it is newer than this release.

        Raises:
          HiddenSchemaError: Pub/Sub does not answer, or refuses us.
        """
        if fingerprint not in self._found:
            known = self._ask()
            self._found[fingerprint] = None
            self._found.update(known)
        return self._found[fingerprint]

    def _ask(self) -> dict[str, Any]:
        if self._pubsub is None:
            return {}
        name = f"projects/{self._pubsub.project}/schemas/{self._pubsub.topic}"
        request = {"name": name, "view": "FULL"}
        client = connect(SchemaServiceClient, SchemaServiceGrpcTransport)
        try:
            with explained(f"reading {name}", "roles/pubsub.viewer"):
                try:
                    revisions = client.list_schema_revisions(
                        request=request, retry=None, timeout=_CALL_SECONDS
                    )
                    definitions = [revision.definition for revision in revisions]
                except exceptions.NotFound:
                    return {}  # an answer too: the topic has no schema
        except (PubSubError, exceptions.GoogleAPIError) as error:
            raise HiddenSchemaError(
                f"a batch of another release cannot be read yet: {one_line(error)}"
            ) from None
        finally:
            client.transport.close()
        return dict(filter(None, map(older_schema, definitions)))
