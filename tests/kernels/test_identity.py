"""Whose an event is: docs/attribution.md section 3, against a loop over the rules."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.identity import SHARED_CUSTOMERS, login_of, shared_logins

DAY_MS = 86_400_000
Login = tuple[int, int, int, int]  # visitor, time, customer, session (-1 for none)
Event = tuple[int, int, int]  # visitor (-1 unknown), session, time


def naive_shared(logins: list[Login], visitor: int) -> bool:
    """More than 3 customers within any 30 days."""
    own = [(at, customer) for who, at, customer, _ in logins if who == visitor]
    return any(
        len({customer for at, customer in own if 0 <= at - start <= 30 * DAY_MS}) > 3
        for start, _ in own
    )


def naive_login(logins: list[Login], event: Event) -> int:
    """The rules, one login at a time; ties go to the greater customer id."""
    visitor, session, at = event
    own = [row for row, login in enumerate(logins) if login[0] == visitor]
    if naive_shared(logins, visitor):
        own = [row for row in own if session >= 0 and logins[row][3] == session]
    before = [row for row in own if logins[row][1] <= at]
    after = [row for row in own if logins[row][1] > at]
    if before:
        return max(before, key=lambda row: (logins[row][1], logins[row][2], row))
    if after:
        return min(after, key=lambda row: (logins[row][1], -logins[row][2], -row))
    return -1


def found_logins(logins: list[Login], events: list[Event]) -> list[int]:
    """What the kernel says. Session codes are of (visitor, session), as its callers make them."""
    login = np.array(logins, dtype=np.int64).reshape(len(logins), 4)
    event = np.array(events, dtype=np.int64).reshape(len(events), 3)

    def session_code(visitor: np.ndarray, session: np.ndarray) -> np.ndarray:
        return np.where((session >= 0) & (visitor >= 0), visitor * 100 + session, -1)

    return login_of(
        login[:, 0],
        session_code(login[:, 0], login[:, 3]),
        login[:, 2],
        login[:, 1],
        event[:, 0],
        session_code(event[:, 0], event[:, 1]),
        event[:, 2],
    ).tolist()


# Days around the 30 of a shared device, few sessions: ties and near misses.
TIMES = st.sampled_from([0, 1, 2 * DAY_MS, 30 * DAY_MS, 30 * DAY_MS + 1, 31 * DAY_MS, 60 * DAY_MS])
SESSIONS = st.integers(-1, 2)
LOGINS = st.lists(
    st.tuples(st.integers(0, 2), TIMES, st.integers(0, 5), SESSIONS), max_size=20
).map(sorted)
EVENTS = st.lists(st.tuples(st.integers(-1, 3), SESSIONS, TIMES), max_size=20)


@given(LOGINS, EVENTS)
def test_the_owner_is_the_naive_rule_s(logins: list[Login], events: list[Event]) -> None:
    """Nobody's visit may end up in another customer's path, shared tablet or not."""
    found = found_logins(logins, events)

    wanted = [naive_login(logins, event) for event in events]
    # Of two logins that differ in their session only either may be named.
    assert [row if row < 0 else logins[row][:3] for row in found] == [
        row if row < 0 else logins[row][:3] for row in wanted
    ]


@given(LOGINS)
def test_shared_devices_are_the_naive_rule_s(logins: list[Login]) -> None:
    """A family's tablet is one thing, a shop's till another."""
    login = np.array(logins, dtype=np.int64).reshape(len(logins), 4)

    found = shared_logins(login[:, 0], login[:, 2], login[:, 1])

    assert found.tolist() == [naive_shared(logins, visitor) for visitor, *_ in logins]


@pytest.mark.parametrize(
    ("days", "is_shared"),
    [
        ([0, 10, 20], False),  # three customers are a family
        ([0, 10, 20, 30], True),  # the 30th day counts
        ([0, 10, 20, 31], False),
        ([0, 10, 31, 35, 40], True),  # any 30 days: 10 to 40
    ],
)
def test_more_than_three_customers_within_30_days_share_a_device(
    days: list[int], is_shared: bool
) -> None:
    """Both ends of the 30 days are included."""
    assert SHARED_CUSTOMERS == 3
    at = np.array(days) * DAY_MS
    visitor = np.zeros(len(days), dtype=np.int64)

    assert shared_logins(visitor, np.arange(len(days)), at).tolist() == [is_shared] * len(days)


def test_one_customer_who_logs_in_every_day_shares_nothing() -> None:
    """Customers are counted, not logins."""
    visitor = np.zeros(100, dtype=np.int64)

    assert not shared_logins(visitor, np.arange(100) % 3, np.arange(100) * DAY_MS).any()


def test_history_before_the_first_login_is_the_first_customer_s() -> None:
    """Back-stitching: she found the shop through a pin before she had an account."""
    logins = [(0, 5 * DAY_MS, 7, 0), (0, 9 * DAY_MS, 8, 0)]
    events = [(0, -1, 0), (0, -1, 5 * DAY_MS), (0, -1, 8 * DAY_MS), (0, -1, 9 * DAY_MS)]

    assert found_logins(logins, events) == [0, 0, 0, 1]
