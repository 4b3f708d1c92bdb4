"""Google Pub/Sub's generated clients: how both ends connect, and what their errors mean."""

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import Any

import grpc
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError

from schemas.errors import PubSubError

LONGEST_WAIT_SECONDS = 2.0
# A lost connection is looked for as often as a call is tried; by default gRPC waits up to two
# minutes, and refuses each try meanwhile.
_CHANNEL = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", int(LONGEST_WAIT_SECONDS * 1000)),
    # As for Google itself: many messages in an answer are more than gRPC's 4 MB.
    ("grpc.max_receive_message_length", -1),
]
# An outage: the same call may well succeed in a moment.
RETRYABLE = (
    exceptions.Aborted,
    exceptions.Cancelled,
    exceptions.GatewayTimeout,
    exceptions.InternalServerError,
    exceptions.RetryError,
    exceptions.ServiceUnavailable,
    exceptions.TooManyRequests,
    exceptions.Unknown,
)


def connect(client: Any, transport: Any) -> Any:
    """A generated client, e.g. `SubscriberClient` over `SubscriberGrpcTransport`.

    It talks to Google, or to what PUBSUB_EMULATOR_HOST names; it connects at its first call.
    """
    emulator = os.environ.get("PUBSUB_EMULATOR_HOST")
    if emulator:
        channel = grpc.insecure_channel(emulator, options=_CHANNEL)
        return client(transport=transport(channel=channel))
    patient = functools.partial(_patient_channel, transport)
    return client(transport=functools.partial(transport, channel=patient))


def _patient_channel(transport: Any, host: str, **options: Any) -> grpc.Channel:
    ours = [*options.pop("options", ()), *_CHANNEL]
    return transport.create_channel(host, options=ours, **options)


@contextlib.contextmanager
def explained(doing: str, role: str) -> Iterator[None]:
    """Turns what can not be mended by trying again into a PubSubError with the way out.

    Args:
      doing: what the call was for: "pulling from projects/...".
      role: what the account must be granted.

    Raises:
      PubSubError: the call is refused for good, or there are no credentials.
      GoogleAPIError: any other failure of a call, one of `RETRYABLE`.
    """
    ways_out: dict[type[exceptions.GoogleAPICallError], str] = {
        exceptions.NotFound: "; check the name; what [pubsub] names, make it with:"
        " pinsphere pubsub create",
        exceptions.Forbidden: f"; grant this account the role {role}",
        exceptions.Unauthorized: "; log in with: gcloud auth application-default login",
        exceptions.BadRequest: "; if this release is new, give the topic its schema:"
        " pinsphere pubsub create",
    }
    try:
        yield
    except RETRYABLE:
        raise
    except exceptions.GoogleAPICallError as error:
        way_out = next((way for kind, way in ways_out.items() if isinstance(error, kind)), "")
        raise PubSubError(f"{doing}: {one_line(error)}{way_out}") from None
    except GoogleAuthError as error:
        raise PubSubError(f"{doing}: {' '.join(str(error).split())}") from None


def one_line(error: Exception) -> str:
    """Code and text of an error: "404 Topic not found"."""
    return " ".join(str(error).split())
