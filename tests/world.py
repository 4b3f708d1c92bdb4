"""A simulated shop with known answers.

The simulator decides who is who, who pinned from whose pin, who landed where and what every
order is worth, writes the answers down as it goes, and only then says what a beacon and a
shop's server would have sent: several devices, late logins, wrong clocks, repeats, robots,
lost events. Nothing here reads the rules' implementation, so the answers are independent.
"""

import random
from collections.abc import Sequence

import msgspec

from schemas.events import AnyEvent
from schemas.settings import Site
from schemas.stages import Stages
from tests.known import World
from tests.shop import Shop
from tests.strategies import QUICK_STAGES


def simulate(
    seed: int,
    *,
    visitors: int = 40,
    days: int = 60,
    sessions: int | None = None,
    chain: int = 12,
    sites: Sequence[str] = ("acme", "bolt"),
) -> World:
    """Simulates shops whose ids collide; about five events a session and site.

    Args:
      seed: the only source of randomness.
      visitors: people of each site.
      days: length of the simulated time.
      sessions: visits of each site; six for each visitor unless given.
      chain: length of the longest planted chain of re-pins, up to 255.
      sites: the first counts orders from the server and has the default stages, the second
        counts orders from both and has quick stages, and so on in turn.
    """
    world = World({})
    for place, site_id in enumerate(sites):
        world.sites[site_id] = Site(
            key=f"key-of-{site_id}",
            currency="GBP",
            orders_from="both" if place % 2 else "server",
            stages=QUICK_STAGES if place % 2 else Stages(),
        )
    for place, site_id in enumerate(sites):
        shop = Shop(world, site_id, random.Random(seed * 1_000 + place), visitors, days)
        shop.trade(visitors * 6 if sessions is None else sessions, chain)
    random.Random(seed).shuffle(world.events)
    return world


def arrivals(events: Sequence[AnyEvent], seed: int, copies: int = 3) -> list[list[AnyEvent]]:
    """The same events as a careless network delivers them: repeated, shuffled, in runs.

    Repeats arrive later than the original. Most were sent later as well, so that they happened
    at the same time; every fourth says another time, and must lose to the first received.
    """
    rng = random.Random(seed)
    runs: list[list[AnyEvent]] = [[] for _ in range(copies)]
    for event in events:
        for copy in range(copies):
            late = copy * rng.randint(1, 5_000)
            runs[rng.randrange(copies)].append(_again(event, late, rng) if copy else event)
    for run in runs:
        rng.shuffle(run)
    return runs


def _again(event: AnyEvent, late_ms: int, rng: random.Random) -> AnyEvent:
    received = event.received_time_ms
    if received is None:  # counts as received at 0: any receipt is later
        return msgspec.structs.replace(event, received_time_ms=event.event_time_ms + late_ms)
    sent = event.sent_time_ms
    if sent is not None and rng.random() < 0.75:
        sent += late_ms
    return msgspec.structs.replace(event, sent_time_ms=sent, received_time_ms=received + late_ms)
