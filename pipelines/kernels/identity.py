"""Who owned a visitor id when: time-sliced, one hop, never a merge of two customers.

Rules: docs/attribution.md section 3. A family on one device stays apart, since each
customer owns only the interval from her login to the next.
"""

from collections import Counter

import numpy as np

from pipelines.kernels.columns import Bools, Ints, group_starts
from pipelines.kernels.spans import as_of

SHARED_CUSTOMERS = 3
SHARED_WITHIN_MS = 30 * 86_400_000


def login_of(
    login_visitor: Ints,
    login_session: Ints,
    login_customer: Ints,
    login_at: Ints,
    event_visitor: Ints,
    event_session: Ints,
    event_at: Ints,
) -> Ints:
    """Finds the login that says whose each event is.

    Args:
      login_visitor: [logins] visitor codes from 0; logins sorted by visitor, time, customer.
      login_session: [logins] codes of (visitor, session) from 0, -1 without a session.
      login_customer: [logins] customer codes.
      login_at: [logins] epoch milliseconds.
      event_visitor: [events] visitor codes, -1 unknown.
      event_session: [events] codes of (visitor, session), -1 without a session.
      event_at: [events] epoch milliseconds.

    Returns:
      [events] index of the login that owns the event, -1 where the visitor stands for herself.
    """
    owner = as_of(login_visitor, login_at, event_visitor, event_at, or_first=True)
    shared = shared_logins(login_visitor, login_customer, login_at)
    # Few visitor ids are shared: only their events ask for sessions.
    events = np.flatnonzero(np.append(shared, False)[owner])
    if len(events) == 0:
        return owner
    in_session = np.flatnonzero(shared & (login_session >= 0))
    order = in_session[np.lexsort((in_session, login_at[in_session], login_session[in_session]))]
    sessions = login_session[order], login_at[order], event_session[events], event_at[events]
    found = as_of(*sessions, or_first=True)
    owner[events] = np.append(order, -1)[found]
    return owner


def shared_logins(visitor: Ints, customer: Ints, at: Ints) -> Bools:
    """[logins] whether the login's visitor id had too many customers within 30 days.

    Args:
      visitor: [logins] codes; logins sorted by visitor, then time.
      customer: [logins] codes.
      at: [logins] epoch milliseconds.
    """
    shared = np.zeros(len(visitor), dtype=np.bool_)
    edges = np.append(group_starts(visitor), len(visitor))
    # Few visitor ids have that many logins at all: only those are walked through.
    for group in np.flatnonzero(np.diff(edges) > SHARED_CUSTOMERS):
        low, high = edges[group], edges[group + 1]
        within: Counter[int] = Counter()
        first = low
        for last in range(low, high):
            within[customer[last]] += 1
            while at[last] - at[first] > SHARED_WITHIN_MS:
                within[customer[first]] -= 1
                if not within[customer[first]]:
                    del within[customer[first]]
                first += 1
            if len(within) > SHARED_CUSTOMERS:
                shared[low:high] = True
                break
    return shared
