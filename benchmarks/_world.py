"""The shop that benchmarks measure: who pins, lands and buys on which day, drawn when asked."""

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks._texts import Ints

DAY_MS, EPOCH_MS = 86_400_000, 1_767_225_600_000  # 2026-01-01
_MOST_HOPS = 60
# How far back orders look for a landing, refunds for their order, landings for their pin.
_ORDER_DAYS, REFUND_DAYS, _MEMORY_DAYS = 45, 14, 60
UNKNOWN_PIN = 2**40  # pins from here on never came


class Landings(NamedTuple):
    """One day's landings."""

    visitor: Ints
    pin: Ints  # number of the pin, -1 without a token
    at: Ints


class Orders(NamedTuple):
    """One day's orders; lines have the order's row first and rise with it."""

    number: Ints
    visitor: Ints
    at: Ints
    lines: Ints  # [orders] lines of each
    item: Ints  # [lines]
    quantity: Ints  # [lines]
    cents: Ints  # [lines] price of one unit
    discount: Ints  # [lines] cents
    refund_day: Ints  # [orders] -1 for never


@dataclass
class World:
    """The shop: who pins, lands and buys on which day, drawn when asked."""

    rate: int  # events a day
    days: int  # as many as may be asked for
    seed: int

    def __post_init__(self) -> None:
        self.visitors = max(5 * self.rate, 200)
        self.products = max(self.rate // 20, 50)
        self.daily_pins = max(round(0.1 * self.rate), 1)
        self.daily_orders = round(0.02 * self.rate / 1.1)
        size = self.days * self.daily_pins
        self.author, self.item, self.parent, self.root, self.pinned_at = (
            np.full(size, -1, dtype=kind)
            for kind in (np.int32, np.int32, np.int32, np.int32, np.int64)
        )
        self.hop = np.zeros(size, np.uint8)
        self._pinned = 0  # days whose pins are drawn
        # Landings are asked for again by the orders of the weeks after them.
        self.landings = functools.lru_cache(_ORDER_DAYS + 1)(self._landings)
        self.orders = functools.lru_cache(REFUND_DAYS + 1)(self._orders)

    def generator(self, what: int, day: int) -> np.random.Generator:
        """Chance for one purpose on one day, whatever was drawn before."""
        return np.random.default_rng([self.seed, what, day])

    def pins(self, day: int) -> slice:
        """The numbers of a day's pins, which are drawn if they are not."""
        while self._pinned <= day:
            self._draw_pins(self._pinned)
            self._pinned += 1
        return slice(day * self.daily_pins, (day + 1) * self.daily_pins)

    def _draw_pins(self, day: int) -> None:
        generator, rows = self.generator(1, day), self.daily_pins
        here = slice(day * rows, (day + 1) * rows)
        number = np.arange(here.start, here.stop)
        author = self.some_visitors(generator, rows)
        # Whose device changes hands is no pinner: her pins would be two people's.
        author = np.where(has_two_owners(author), author + 1, author)
        parent = np.full(rows, -1)
        if day:
            repins = generator.random(rows) < 0.6
            parent = np.where(repins, self._some_pins(generator, day, rows, 3.0), -1)
            parent[self.hop[parent] >= _MOST_HOPS] = -1
            parent[self._is_below_own(parent, author)] = -1
        above = np.maximum(parent, 0)
        self.author[here] = author
        self.parent[here] = parent
        self.root[here] = np.where(parent < 0, number, self.root[above])
        self.hop[here] = np.where(parent < 0, 0, self.hop[above] + 1)
        own_item = self.some_items(generator, rows)
        self.item[here] = np.where(parent < 0, own_item, self.item[above])
        self.pinned_at[here] = times(generator, day, rows)

    def _is_below_own(self, parent: Ints, author: Ints) -> NDArray[np.bool_]:
        """Whether a pin of the same person stands above."""
        below, above = np.zeros(len(parent), np.bool_), parent.copy()
        while (above >= 0).any():
            known = above >= 0
            below |= known & (owner(self.author[above].astype(np.int64)) == owner(author))
            above = np.where(known, self.parent[above], -1)
        return below

    def _some_pins(self, generator: np.random.Generator, day: int, rows: int, bias: float) -> Ints:
        """Pins of earlier days: attention halves in about a week, a few pins get most of it."""
        age = 1 + generator.exponential(10.0, rows).astype(np.int64)
        age = np.where(age > min(day, _MEMORY_DAYS), generator.integers(1, day + 1, rows), age)
        within = (self.daily_pins * generator.random(rows) ** bias).astype(np.int64)
        return (day - age) * self.daily_pins + within

    def _landings(self, day: int) -> Landings:
        generator, rows = self.generator(2, day), round(0.6 * self.rate)
        self.pins(day)
        visitor = self.some_visitors(generator, rows)
        at = times(generator, day, rows)
        if day:
            pin = self._some_pins(generator, day, rows, 2.0)
        else:
            pin = (self.daily_pins * generator.random(rows) ** 2.0).astype(np.int64)
            at = np.maximum(at, self.pinned_at[pin] + 60_000)
            at = np.minimum(at, EPOCH_MS + DAY_MS - 1)
        luck = generator.random(rows)
        pin = np.where(luck < 0.03, UNKNOWN_PIN + pin, pin)
        return Landings(visitor, np.where(luck > 0.95, -1, pin), at)

    def _orders(self, day: int) -> Orders:
        generator, rows = self.generator(3, day), self.daily_orders
        at = times(generator, day, rows)
        visitor = self.some_visitors(generator, rows)
        item = self.some_items(generator, rows)
        # Seven in ten follow a landing, some of them after the window of 30 days.
        age = np.minimum(generator.exponential(12.0, rows).astype(np.int64), _ORDER_DAYS)
        follows = (generator.random(rows) < 0.7) & (age <= day)
        for days_ago in np.unique(age[follows]):
            mine = np.flatnonzero(follows & (age == days_ago))
            landings = self.landings(day - int(days_ago))
            row = generator.integers(0, len(landings.at), len(mine))
            visitor[mine] = landings.visitor[row]
            at[mine] = np.maximum(at[mine], landings.at[row] + 30_000)
            pin = landings.pin[row]
            knows = (pin >= 0) & (pin < UNKNOWN_PIN) & (generator.random(len(mine)) < 0.5)
            item[mine[knows]] = self.item[pin[knows]]
        at = np.minimum(at, EPOCH_MS + (day + 1) * DAY_MS - 1)
        lines = generator.integers(1, 5, rows)
        first = np.cumsum(lines) - lines
        items = self.some_items(generator, int(lines.sum()))
        items[first] = item
        size = len(items)
        quantity = np.minimum(generator.geometric(0.7, size), 9)
        cents = np.maximum(np.exp(generator.normal(7.6, 0.9, size)).astype(np.int64), 50)
        discount = (generator.random(size) < 0.2) * (cents * quantity // 10)
        delay = generator.integers(1, REFUND_DAYS + 1, rows)
        refund_day = np.where(generator.random(rows) < 0.1, day + delay, -1)
        number = day * self.daily_orders + np.arange(rows)
        return Orders(number, visitor, at, lines, items, quantity, cents, discount, refund_day)

    def some_visitors(self, generator: np.random.Generator, rows: int) -> Ints:
        """Visitors by a power law whose top is cut: the busiest do some 15 times the mean."""
        low, power = 0.16, 3.0
        luck = (low + (1 - low) * generator.random(rows)) ** power
        share = (luck - low**power) / (1 - low**power)
        return np.minimum((share * self.visitors).astype(np.int64), self.visitors - 2)

    def some_items(self, generator: np.random.Generator, rows: int) -> Ints:
        """Products by a power law."""
        return (self.products * generator.random(rows) ** 2.5).astype(np.int64)


def has_two_owners(visitor: Ints) -> NDArray[np.bool_]:
    """Whether a device changed hands: one of its logins in two is another customer's."""
    return visitor % 200 == 3


def has_account(visitor: Ints) -> NDArray[np.bool_]:
    """Four of ten visitors; of these two share one account: somebody's telephone and computer."""
    return visitor % 10 < 4


def owner(visitor: Ints) -> Ints:
    """The visitor id that stands for the person."""
    return np.where(visitor % 10 == 1, visitor - 1, visitor)


def times(generator: np.random.Generator, day: int, rows: int) -> Ints:
    """Times of a day, most of them about noon."""
    share = (generator.random(rows) + generator.random(rows)) / 2
    return EPOCH_MS + day * DAY_MS + (share * DAY_MS).astype(np.int64)
