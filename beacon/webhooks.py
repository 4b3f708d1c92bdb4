"""What shop systems send by webhook: signed, often twice, in any order, and never dropped.

A payload that is signed but cannot be read goes to quarantine and is acknowledged: sent again
it would be no better, and after some failures Shopify and WooCommerce send nothing any more.
Strangers are all told the same, whether the site exists, has a secret, or neither.
"""

import secrets
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from beacon.collect import Collector, Taken, entry_of
from beacon.door import Door
from beacon.intake import Intake, Rejected, Sender, take
from beacon.metrics import Metrics
from beacon.wire import Refusal, Request, Response
from schemas.errors import EventError
from schemas.events import Purchase, Refund
from schemas.settings import Settings, live_secrets
from schemas.shopify import bare_shopify, read_shopify
from schemas.signature import is_body_signed
from schemas.spool import MAX_RECORD, Reject
from schemas.webhooks import delivery_name, name_events, translated
from schemas.woocommerce import bare_woocommerce, is_ping, read_woocommerce

MAX_WEBHOOK_BYTES = 2 * 1024 * 1024  # an order of hundreds of lines, each with its taxes
_SIGNATURE_LENGTH = 44  # base64 of 32 bytes
_UNSIGNED = "the signature is missing, or not that of this body under this site's secret"
_MAX_PING_BYTES = 64


class _Delivery(NamedTuple):
    """One signed delivery: which shop system's, about what, under which id."""

    sender: Sender
    topic: str
    delivery_id: str
    body: bytes


class Webhooks:
    """Takes the webhooks of shop systems into the spool."""

    def __init__(
        self, settings: Settings, door: Door, collector: Collector, metrics: Metrics
    ) -> None:
        self._sites = settings.sites
        self._shopify = {
            site_id: live_secrets(site.shopify_secret_env)
            for site_id, site in settings.sites.items()
        }
        self._woocommerce = {
            site_id: live_secrets(site.woocommerce_secret_env)
            for site_id, site in settings.sites.items()
        }
        # Never right, and tried where a site has no secret or but one: the work is always that
        # of two, so that its time tells nothing of a site.
        self._nobodys = (secrets.token_hex(), secrets.token_hex())
        self._door = door
        self._collector = collector
        self._metrics = metrics

    async def take_shopify(self, request: Request) -> Response:
        """`POST /v1/webhooks/shopify/<site>`."""
        signature = request.header("x-shopify-hmac-sha256")
        site_id, body = await self._signed_body(request, signature, self._shopify)
        topic = request.header("x-shopify-topic")
        delivery_id = request.header("x-shopify-webhook-id")
        item_id_from = self._sites[site_id].item_id_from
        return await self._keep(
            _Delivery(self._door.sender(request, site_id, "webhook"), topic, delivery_id, body),
            lambda: read_shopify(topic, body, item_id_from),
            bare_shopify,
        )

    async def take_woocommerce(self, request: Request) -> Response:
        """`POST /v1/webhooks/woocommerce/<site>`."""
        signature = request.header("x-wc-webhook-signature")
        if not signature:
            return await _answer_ping(request)
        site_id, body = await self._signed_body(request, signature, self._woocommerce)
        topic = request.header("x-wc-webhook-topic")
        delivery_id = request.header("x-wc-webhook-delivery-id")
        item_id_from = self._sites[site_id].item_id_from
        sender = self._door.sender(request, site_id, "webhook")
        return await self._keep(
            _Delivery(sender, topic, delivery_id, body),
            lambda: read_woocommerce(topic, body, item_id_from, sender.received_time_ms),
            bare_woocommerce,
        )

    async def _signed_body(
        self, request: Request, signature: str, live: dict[str, tuple[str, ...]]
    ) -> tuple[str, bytes]:
        """The site and the body, once the signature holds; from here on it is that site's.

        Raises:
          Refusal: 401, the same for every stranger; 413, 400.
        """
        if len(signature.strip()) != _SIGNATURE_LENGTH:
            raise Refusal(401, _UNSIGNED)
        body = await request.body(MAX_WEBHOOK_BYTES)
        site_id = request.path.rpartition("/")[2]
        tried = (*live.get(site_id, ()), *self._nobodys)[:2]
        if not is_body_signed(signature, tried, body):
            raise Refusal(401, _UNSIGNED)
        request.site_id = site_id
        return site_id, body

    async def _keep(
        self,
        delivery: _Delivery,
        read: Callable[[], list[Purchase | Refund]],
        bare: Callable[[bytes], bytes],
    ) -> Response:
        """Stores what a delivery says; a topic that says nothing to us is only counted."""
        self._collector.check_room()
        try:
            events = translated(read)
        except EventError as error:
            intake = _unread(delivery, str(error), bare(delivery.body))
        else:
            if not events:
                self._metrics.events.add(delivery.sender.site_id, "webhook", "ignored")
                return Response(204)
            name_events(events, delivery.delivery_id, delivery.body)
            raws = [msgspec.Raw(msgspec.json.encode(event)) for event in events]
            intake = take(raws, None, delivery.sender)
        sender = delivery.sender
        taken = Taken(sender.site_id, sender.source, intake, entry_of(intake, sender))
        return await self._collector.keep(taken)


async def _answer_ping(request: Request) -> Response:
    """WooCommerce saves a webhook only when a ping without signature was answered 200."""
    declared = request.header("content-length")
    if declared.isdigit() and int(declared) <= _MAX_PING_BYTES and is_ping(await request.body()):
        return Response(200)
    raise Refusal(401, _UNSIGNED)


def _unread(delivery: _Delivery, reason: str, record: bytes) -> Intake:
    """A payload that broke its contract, for quarantine, without anything personal."""
    sender = delivery.sender
    reject = Reject(
        reject_id=delivery_name(delivery.delivery_id, delivery.body),
        site_id=sender.site_id,
        received_time_ms=sender.received_time_ms,
        origin=sender.call.rpartition("/")[0],
        place=f"{delivery.topic[:64]} {delivery.delivery_id[:64]}",
        reason=reason[:500],
        record=record[:MAX_RECORD].decode(errors="replace"),
    )
    return Intake(events=b"", stored=0, rejected=[Rejected(0, "contract", reject)], withheld=0)
