"""One simulated site: people with their devices, browser sessions, landings and pins."""

import hashlib
import itertools
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from schemas.events import Engage, Identify, Pin, PinVisit, Touch, ViewItem, ViewItemList
from tests.known import KnownPin, World
from tests.till import Till

START_MS = 1_704_067_200_000  # 2024-01-01
DAY_MS, SLOT_MS = 86_400_000, 900_000  # one browser session keeps within its slot
WINDOW_MS = 30 * DAY_MS


@dataclass
class _Device:
    name: str
    visitor_id: str | None
    users: list["_Human"]
    clock_ms: int
    is_kiosk: bool = False
    is_known: bool = False  # somebody has logged in on it
    slots: set[int] = field(default_factory=set)


@dataclass
class _Human:
    customer_id: str | None
    email: str | None = None  # logs in by e-mail only on some devices
    devices: list[_Device] = field(default_factory=list)


@dataclass
class _Session:
    device: _Device
    human: _Human
    session_id: str
    now: int
    person_id: str | None
    says_customer: bool  # events carry the customer id themselves
    source: str | None = None  # the pin she came from


class Shop:
    """One site at work."""

    def __init__(
        self, world: World, site_id: str, rng: random.Random, visitors: int, days: int
    ) -> None:
        self.world, self.site_id, self.rng, self.days = world, site_id, rng, days
        self.till = Till(world, site_id, rng, self._emit)
        self.count = itertools.count(1)
        self.roots: dict[str, str] = {}  # all pins, lost ones too: pin -> root as its token says
        self.pinned: list[str] = []
        self.lost: set[str] = set()
        self.landed: dict[str, set[str]] = defaultdict(set)  # pin -> people
        self.touches: dict[str, list[tuple[int, str]]] = defaultdict(list)
        self.humans, self.devices = self._settle(visitors)

    def _settle(self, visitors: int) -> tuple[list[_Human], list[_Device]]:
        """Who lives here, with which devices; ids are the same at every site."""
        rng = self.rng
        humans: list[_Human] = []
        devices: list[_Device] = []

        def device(users: list[_Human], visitor_id: str | None, **more: Any) -> _Device:
            clock = rng.choice((0, 0, rng.randint(-90_000, 90_000), rng.randint(-9, 9) * DAY_MS))
            one = _Device(f"d{len(devices)}", visitor_id, users, clock, **more)
            devices.append(one)
            for user in users:
                user.devices.append(one)
            return one

        for place in range(max(visitors, 8)):
            is_member = place < 6 or rng.random() < 0.5
            human = _Human(f"c{place}" if is_member else None)
            if is_member and rng.random() < 0.4:
                human.email = hashlib.sha256(f"c{place}@shop".encode()).hexdigest()
                if place >= 6 and rng.random() < 0.5:
                    human.customer_id = f"e:{human.email}"  # never says her customer number
            humans.append(human)
            for _ in range(rng.choice((1, 1, 2, 3))):
                private = rng.random() < 0.12
                device([human], None if private else f"d{len(devices)}")
        device(humans[1:3], "family")
        device(humans[:6], "kiosk", is_kiosk=True)
        return humans, devices

    # Time passes ---------------------------------------------------------------------------

    def trade(self, sessions: int, chain: int) -> None:
        """Everything that happens, in the order of time, and then what is known of it."""
        rng = self.rng
        kiosk = self.devices[-1]
        plan = [(slot, kiosk, human) for slot, human in enumerate(kiosk.users[:4])]
        plan += [
            (rng.randrange(8, self.days * DAY_MS // SLOT_MS), device, rng.choice(device.users))
            for device in rng.choices(self.devices, k=sessions)
        ]
        for slot, device, human in sorted(plan, key=lambda one: one[0]):
            if slot not in device.slots:
                device.slots.add(slot)
                self._visit_shop(device, human, slot)
        self._plant_chain(chain)
        self._late_logins()
        self._strangers()
        self._know_reach()
        self._know_touches()

    def _visit_shop(self, device: _Device, human: _Human, slot: int) -> None:
        rng = self.rng
        start = START_MS + slot * SLOT_MS + rng.randrange(5) * 1_000  # equal times do happen
        session = _Session(device, human, f"s{next(self.count)}", start, None, False)
        logs_in = human.customer_id is not None and (len(device.users) > 1 or rng.random() < 0.3)
        if device.is_kiosk:
            logs_in = slot < 4 or rng.random() < 0.6
        session.person_id = self._who(device, human, logs_in)
        waits = device.is_kiosk and rng.random() < 0.5  # logs in at the end of the session
        if logs_in and not waits:
            self._log_in(session)
        if logs_in and not (human.customer_id or "").startswith("e:"):
            session.says_customer = rng.random() < 0.3 and not device.is_kiosk
        for _ in range(rng.randint(1, 4)):
            session.now += rng.choice((0, 1, 1_000, 20_000, 60_000))
            rng.choices((self._land, self._browse, self._pin, self._buy), weights=(5, 2, 3, 2))[0](
                session
            )
        if logs_in and waits:
            self._log_in(session)

    @staticmethod
    def _who(device: _Device, human: _Human, logs_in: bool) -> str | None:
        """Whom the rules can see at best in this session."""
        if device.visitor_id is None:
            return None
        if device.is_kiosk and not logs_in:
            return f"v:{device.visitor_id}"
        return human.customer_id or f"v:{device.visitor_id}"

    def _log_in(self, session: _Session) -> None:
        human = session.human
        customer_id: str | None = human.customer_id
        email = human.email
        if email is not None and (human.customer_id or "").startswith("e:"):
            customer_id = None
        elif email is not None and self.rng.random() < 0.5:
            customer_id = None  # another identify of hers says both, see _late_logins
        self._send(Identify, session, customer_id=customer_id, email_sha256=email)
        session.device.is_known = True
        if self.rng.random() < 0.2:
            self._send(Identify, session, action="logout")

    def _send(self, kind: type[Any], session: _Session, **own: Any) -> str:
        """Says it as the session's device would, by its own clock; gives the event id."""
        device, rng = session.device, self.rng
        delay = rng.choice((0, 50, 3_000, 86_400_000))
        received = session.now + delay + 40
        if kind is not Identify and session.says_customer and "customer_id" not in own:
            own["customer_id"] = session.human.customer_id
        return self._emit(
            kind,
            event_time_ms=session.now + device.clock_ms,
            sent_time_ms=received + device.clock_ms,
            received_time_ms=received,
            visitor_id=device.visitor_id,
            session_id=session.session_id,
            consent="denied" if device.visitor_id is None else "granted",
            **own,
        )

    def _emit(self, kind: type[Any], /, **fields: Any) -> str:
        event_id = f"e{next(self.count)}"
        self.world.events.append(kind(event_id=event_id, site_id=self.site_id, **fields))
        return event_id

    # What people do ------------------------------------------------------------------------

    def _browse(self, session: _Session) -> None:
        item = f"item{self.rng.randrange(20)}"
        self._send(ViewItemList, session, item_list_id="home_recs", recommender_id="cf-v2")
        self._send(ViewItem, session, item_id=item)
        if self.rng.random() < 0.2:
            self._send(Touch, session, channel="search")
        if self.rng.random() < 0.1:
            activity = self.rng.choice(("review", "photo", "comment", "question", "answer"))
            self._send(Engage, session, activity=activity, item_id=item)

    def _land(self, session: _Session) -> None:
        if not self.pinned:
            return
        recent = self.pinned[-30:] if self.rng.random() < 0.7 else self.pinned
        self._land_on(session, self.rng.choice(recent))

    def _land_on(self, session: _Session, pin_id: str) -> None:
        session.source = pin_id
        if self.rng.random() < 0.05:
            return  # the landing's own event never came
        event_id = self._send(PinVisit, session, pin_id=pin_id, token_carrier="query")
        person = self._seen(session)
        self.world.visits[self.site_id, event_id] = person
        if pin_id in self.lost:
            return
        pin = self.world.pins[self.site_id, pin_id]
        if person is None or person != pin.person_id:
            pin.is_confirmed = True
        if person is not None:
            self.landed[pin_id].add(person)
            self.touches[person].append((session.now, event_id))

    @staticmethod
    def _seen(session: _Session) -> str | None:
        if session.says_customer:
            return session.human.customer_id
        return session.person_id

    def _pin(self, session: _Session, *, may_be_lost: bool = True) -> None:
        rng = self.rng
        pin_id, parent = f"p{next(self.count)}", session.source
        root = pin_id if parent is None else self.roots[parent]
        self.roots[pin_id] = root
        self.pinned.append(pin_id)
        if may_be_lost and rng.random() < 0.04:
            self.lost.add(pin_id)
            return
        known = parent is not None and parent not in self.lost
        above = self.world.pins[self.site_id, parent] if parent and known else None
        person = self._seen(session)
        self.world.pins[self.site_id, pin_id] = KnownPin(
            person_id=person,
            parent_pin_id=parent if above else None,
            root_pin_id=above.root_pin_id if above else pin_id,
            hop=above.hop + 1 if above else 0,
            is_parent_missing=parent is not None and not known,
        )
        event_id = self._send(
            Pin,
            session,
            pin_id=pin_id,
            parent_pin_id=parent,
            # Tokens leave the root out when the pin is its own.
            root_pin_id=None if root == parent and rng.random() < 0.5 else root,
            item_id=f"item{rng.randrange(20)}",
            item_list_id=rng.choice(("home_recs", "product_recs", None)),
            recommender_id=rng.choice(("cf-v2", "popular", None)),
            pin_mode="repin" if parent else "button",
        )
        if person is not None:
            self.touches[person].append((session.now, event_id))
            if above and parent:
                self.landed[parent].add(person)

    def _buy(self, session: _Session) -> None:
        rng, human, device = self.rng, session.human, session.device
        if rng.random() < 0.1:  # over the counter: nobody knows who
            self.till.sell(
                session.now, customer_id=None, visitor_id=None, session_id=None, person_id=None
            )
            return
        customer_id = None
        is_hers = session.person_id == human.customer_id or session.says_customer
        if human.customer_id and is_hers and not human.customer_id.startswith("e:"):
            says = session.says_customer or device.is_kiosk or rng.random() < 0.4
            customer_id = human.customer_id if says else None
        is_counted = self.till.sell(
            session.now,
            customer_id=customer_id,
            visitor_id=device.visitor_id,
            session_id=session.session_id,
            person_id=customer_id or session.person_id,
        )
        if is_counted and customer_id is not None:
            device.is_known = True

    # What comes last -----------------------------------------------------------------------

    def _plant_chain(self, length: int) -> None:
        """A chain of re-pins by passers-by; every fifth pins twice, the last one buys."""
        now = START_MS + (self.days + 1) * DAY_MS
        session: _Session | None = None
        source: str | None = None
        for place in range(length):
            if session is None or place % 5:
                name = f"x{place}"
                device = _Device(name, name, [], 0)
                session = _Session(device, _Human(None), f"sx{place}", now, f"v:{name}", False)
            if source is not None and source in self.roots:
                self._land_on(session, source)
            session.now = now = now + 60_000
            self._pin(session, may_be_lost=False)
            source = self.pinned[-1]
        if session is not None:
            session.now += 60_000
            self._buy(session)

    def _late_logins(self) -> None:
        """Every member logs in on each of her devices at last: her history becomes hers."""
        end = START_MS + (self.days + 2) * DAY_MS
        for human in self.humans:
            if human.customer_id is None:
                continue
            for device in human.devices:
                if len(device.users) == 1 and not device.is_known:
                    session = _Session(device, human, f"late-{device.name}", end, None, False)
                    self._log_in(session)
            if human.email is not None and not human.customer_id.startswith("e:"):
                self._emit(
                    Identify,
                    event_time_ms=end,
                    source="server",
                    is_signed=True,
                    customer_id=human.customer_id,
                    email_sha256=human.email,
                )

    def _strangers(self) -> None:
        """Robots, the crawler, landings without a pin, credit notes, unconfirmed claims."""
        rng = self.rng
        end = START_MS + self.days * DAY_MS
        for pin_id in rng.sample(self.pinned, len(self.pinned) // 8):
            robot = rng.choice(("bot", "pinterestbot"))
            at = rng.randrange(START_MS, end)
            self._emit(PinVisit, event_time_ms=at, pin_id=pin_id, user_agent_class=robot)
            known = self.world.pins.get((self.site_id, pin_id))
            if known is not None and robot == "pinterestbot":
                known.is_confirmed = True
        for place in range(5):
            at = rng.randrange(START_MS, end)
            self._emit(
                Pin,
                event_time_ms=at,
                pin_id=f"robot{place}",
                visitor_id="robot",
                user_agent_class="bot",
            )
            stray: dict[str, str | None] = {"pin_id": None, "match_method": "referrer"}
            if place % 2:
                stray = {"pin_id": f"robot{place}"}
            event_id = self._emit(PinVisit, event_time_ms=at, visitor_id=f"y{place}", **stray)
            self.world.visits[self.site_id, event_id] = f"v:y{place}"
            self.till.refund_unknown(at, rng.choice((None, "c0", "c999")))
            self.till.claim(at, visitor_id=f"y{place}")

    # What is known -------------------------------------------------------------------------

    def _know_reach(self) -> None:
        """Walks down from every pin, the opposite way from how reach is counted elsewhere."""
        pins = {
            pin: known for (site, pin), known in self.world.pins.items() if site == self.site_id
        }
        children = defaultdict(list)
        for pin_id, known in pins.items():
            if known.parent_pin_id is not None:
                children[known.parent_pin_id].append(pin_id)
        least: dict[str, dict[str, int]] = defaultdict(dict)
        for top, known in pins.items():
            if known.person_id is None:
                continue
            reached = least[known.person_id]
            level, hop = [top], 1
            while level:
                for person in {person for pin_id in level for person in self.landed[pin_id]}:
                    if person != known.person_id:
                        reached[person] = min(hop, reached.get(person, hop))
                level = [child for pin_id in level for child in children[pin_id]]
                hop += 1
        for pinner, reached in least.items():
            by_hop = self.world.reach.setdefault((self.site_id, pinner), defaultdict(set))
            for person, hop in reached.items():
                by_hop[hop].add(person)

    def _know_touches(self) -> None:
        for (site_id, _), order in self.world.orders.items():
            if site_id == self.site_id and order.person_id is not None and not order.is_unknown:
                inside = [
                    (at, event_id)
                    for at, event_id in self.touches[order.person_id]
                    if 0 <= order.ordered_at - at <= WINDOW_MS
                ]
                order.last_touch_id = max(inside)[1] if inside else None
