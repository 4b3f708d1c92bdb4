"""What a person left behind: the ids that are hers alone, and events on devices she shared.

Rules: docs/erasure.md. Follows `docs/attribution.md` section 3: one hop, no connected components,
so erasing one of a family never erases the others.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.io.lake import LakeFile
from pipelines.kernels.calendar import derived_time_ms
from pipelines.kernels.columns import Bools, bools
from pipelines.kernels.identity import login_of
from schemas.errors import LakeError

# How people are called who have no customer id (docs/attribution.md section 3).
EMAIL_PERSON, VISITOR_PERSON = "e:", "v:"
_TIMES = ("event_time_ms", "sent_time_ms", "received_time_ms")
_NAMES = ("event_id", "customer_id", "visitor_id", "session_id")
_MORE = {"identify": ("email_sha256", "action"), "purchase": ("order_id",), "refund": ("order_id",)}


class Traces(msgspec.Struct):
    """Of one site, all that is looked for when people are erased.

    Attributes:
      customers: customer ids.
      emails: hashes of e-mail addresses that are theirs and nobody else's.
      visitors: devices that are theirs and nobody else's, and those that were asked for.
      sessions: sessions on those devices, and nobody else's.
      events: events of theirs on devices that they shared.
      orders: orders of which a statement names one of them, and none another customer.
    """

    customers: set[str] = set()
    emails: set[str] = set()
    visitors: set[str] = set()
    sessions: set[str] = set()
    events: set[str] = set()
    orders: set[str] = set()

    @property
    def names(self) -> list[str]:
        """Every id that must not be found afterwards."""
        return sorted(self.customers | self.emails | self.visitors | self.sessions)

    def add(self, other: "Traces") -> None:
        """Adds what others left."""
        for name in self.__struct_fields__:
            getattr(self, name).update(getattr(other, name))

    def devices(self, events: pa.Table) -> Bools:
        """[events] whether each comes from a device, or of a session, to be forgotten."""
        return _among(events, "visitor_id", self.visitors) | _among(
            events, "session_id", self.sessions
        )

    def people(self, events: pa.Table) -> Bools:
        """[events] whether each is of a customer to be forgotten."""
        nobody = bools(pc.is_null(events["customer_id"]))
        said = _among(events, "email_sha256", self.emails) | _among(events, "order_id", self.orders)
        return (
            _among(events, "customer_id", self.customers)
            | _among(events, "event_id", self.events)
            | (nobody & said)
        )


def _among(events: pa.Table, name: str, wanted: Collection[str]) -> Bools:
    if not wanted or name not in events.column_names:
        return np.zeros(len(events), np.bool_)
    return bools(pc.is_in(events[name], pa.array(sorted(wanted), pa.string())))


class _Row(NamedTuple):
    """The names in an event."""

    event_name: str
    event_id: str
    customer_id: str | None
    visitor_id: str | None
    session_id: str | None
    at: int
    email_sha256: str | None = None
    action: str | None = None
    order_id: str | None = None


def trace(
    files: Sequence[LakeFile], *, customers: Collection[str], visitors: Collection[str]
) -> Traces:
    """Finds what people of one site left in the lake.

    Reads the columns of names, a few times over; memory grows with what these people did and
    with what was done on their devices.

    Args:
      files: the site's files.
      customers: customer ids; `e:<hash>` is who is known by the hash of an e-mail alone.
      visitors: devices to be forgotten, whoever else used them.

    Raises:
      LakeError: a file cannot be read.
    """
    given = {name.removeprefix(EMAIL_PERSON) for name in customers if name.startswith(EMAIL_PERSON)}
    found = Traces(
        customers={name for name in customers if not name.startswith(EMAIL_PERSON)},
        emails=given,
        visitors=set(visitors),
    )
    look = Traces(found.customers, set(found.emails), set(found.visitors))
    rows: list[_Row] = []
    seen = -1
    # Customers name e-mails and devices, e-mails more devices: it ends, one hop from customers.
    while seen < (seen := len(look.emails) + len(look.visitors)):
        rows = list(_rows(files, look))
        owners = _owners(rows)
        look.emails |= {email for email in owners if owners[email] & found.customers}
        found.emails = {
            email
            for email in given | look.emails
            if (email in given or owners[email]) and owners[email] <= found.customers
        }
        look.visitors |= {
            row.visitor_id for row in rows if row.visitor_id and _is_named(row, found)
        }
        # Whose other logins on her devices are: not hers to look for further.
        look.emails |= {
            row.email_sha256 for row in rows if row.email_sha256 and row.visitor_id in look.visitors
        }
    others = {row.visitor_id for row in rows if _is_anothers(row, found)}
    found.visitors |= look.visitors - others
    found.events = _on_shared(rows, look.visitors - found.visitors, found)
    _add_sessions_and_orders(files, rows, found)
    return found


def _owners(rows: Iterable[_Row]) -> defaultdict[str, set[str]]:
    """The customers that `identify` ties each e-mail to."""
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.email_sha256 and row.customer_id:
            owners[row.email_sha256].add(row.customer_id)
    return owners


def _is_named(row: _Row, found: Traces) -> bool:
    """Whether an event names one of the customers."""
    if row.customer_id is not None:
        return row.customer_id in found.customers
    return row.email_sha256 in found.emails


def _is_anothers(row: _Row, found: Traces) -> bool:
    """Whether an event names a customer who stays."""
    is_said = row.customer_id is not None or row.email_sha256 is not None
    return is_said and not _is_named(row, found)


def _is_hers(row: _Row, found: Traces) -> bool:
    return _is_named(row, found) or row.visitor_id in found.visitors or row.event_id in found.events


def _on_shared(rows: Sequence[_Row], shared: Collection[str], found: Traces) -> set[str]:
    """Events on shared devices that nobody's name is in, and that the flow counts as hers."""
    by_email: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: (row.at, row.customer_id or "")):
        if row.email_sha256 and row.customer_id:
            by_email.setdefault(row.email_sha256, row.customer_id)

    def customer_of(row: _Row) -> str:
        if row.email_sha256 in found.emails:
            return next(iter(sorted(found.customers)), EMAIL_PERSON)
        email = row.email_sha256 or ""
        return row.customer_id or by_email.get(email, f"{EMAIL_PERSON}{email}")

    on_shared = [row for row in rows if row.visitor_id in shared]
    logins = sorted(
        {
            (row.visitor_id or "", row.at, customer_of(row), row.session_id or "")
            for row in on_shared
            if row.action == "login" or (row.event_name == "purchase" and row.customer_id)
        }
    )
    events = [
        row
        for row in on_shared
        if row.customer_id is None and (row.email_sha256 is None or row.event_name != "identify")
    ]
    anonymous_logins = {
        row.event_id
        for row in on_shared
        if row.email_sha256 and row.customer_id is None and customer_of(row) in found.customers
    }
    if not logins or not events:
        return anonymous_logins
    visitors = {name: code for code, name in enumerate(sorted(shared))}
    customers: dict[str, int] = {}
    sessions: dict[tuple[str, str], int] = {}

    def session(visitor: str, name: str | None) -> int:
        return sessions.setdefault((visitor, name), len(sessions)) if name else -1

    owner = login_of(
        _ints(visitors[visitor] for visitor, *_ in logins),
        _ints(session(visitor, name) for visitor, _, _, name in logins),
        _ints(customers.setdefault(customer, len(customers)) for _, _, customer, _ in logins),
        _ints(at for _, at, *_ in logins),
        _ints(visitors[row.visitor_id or ""] for row in events),
        _ints(session(row.visitor_id or "", row.session_id) for row in events),
        _ints(row.at for row in events),
    )
    mine = found.customers | {f"{EMAIL_PERSON}{email}" for email in found.emails} | {EMAIL_PERSON}
    return anonymous_logins | {
        row.event_id
        for row, login in zip(events, owner.tolist(), strict=True)
        if login >= 0 and logins[login][2] in mine
    }


def _ints(values: Iterable[int]) -> Any:
    return np.fromiter(values, np.int64)


def _add_sessions_and_orders(
    files: Sequence[LakeFile], rows: Sequence[_Row], found: Traces
) -> None:
    mine = [row for row in rows if _is_hers(row, found)]
    on_devices = {row.session_id for row in mine if row.visitor_id in found.visitors}
    look = Traces(
        sessions={row.session_id for row in mine if row.session_id},
        orders={row.order_id for row in mine if row.order_id and row.customer_id},
    )
    for row in list(_rows(files, look)):
        if _is_hers(row, found):
            continue
        # A device's session may be said beside a customer who stays: it is the device's still.
        if row.visitor_id or (row.customer_id and row.session_id not in on_devices):
            look.sessions.discard(row.session_id or "")
        if row.customer_id:
            look.orders.discard(row.order_id or "")
    found.sessions, found.orders = look.sessions, look.orders


def _rows(files: Iterable[LakeFile], look: Traces) -> Iterator[_Row]:
    """The names in all events that bear one of those looked for."""
    for file in files:
        names = [*_NAMES, *_MORE.get(file.event_name, ())]
        table = read_columns(file, [*names, *_TIMES])
        mask = (
            look.devices(table)
            | _among(table, "customer_id", look.customers)
            | _among(table, "email_sha256", look.emails)
            | _among(table, "order_id", look.orders)
        )
        table = table.filter(pa.array(mask))
        at = derived_time_ms(table).tolist() if table.num_rows else []
        for row, when in zip(table.select(names).to_pylist(), at, strict=True):
            yield _Row(file.event_name, at=when, **row)


def read_columns(file: LakeFile, names: Sequence[str]) -> pa.Table:
    """Some columns of a lake file, those that it has.

    Raises:
      LakeError: it is not readable Parquet.
    """
    try:
        with pq.ParquetFile(file.path) as parquet:
            there = [name for name in names if name in parquet.schema_arrow.names]
            return parquet.read(columns=there)
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{file.path} is no readable Parquet file: {error}") from None
