"""Orders settled, e-mails resolved, visitors stitched to people."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Ints, Tables, codes, flat, ints, present, sort_by, take
from pipelines.kernels.identity import login_of, shared_logins
from pipelines.kernels.multisets import is_among
from pipelines.kernels.orders import settle_orders
from pipelines.transforms.acts import acts_of_doings
from pipelines.transforms.daily import days_of
from pipelines.transforms.shuffle import KEY
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.batches import (
    LANDINGS_BY_PERSON,
    LOGINS,
    ORDERS_BY_PERSON,
    PINS_BY_PERSON,
    QUALITY_COUNTS,
)
from schemas.settings import Site


def settle_shard(tables: Tables, sites: Mapping[str, Site], wanted: Wanted = EVERYTHING) -> Tables:
    """Orders from their statements and refunds, logins from identify events.

    Takes purchases and refunds of whole orders, and emails of whole addresses.
    """
    settled = settle_orders(
        tables["purchases"],
        tables["refunds"],
        {name: site.orders_from for name, site in sites.items()},
        {name: site.currency for name, site in sites.items()},
    )
    orders = settled.orders
    return wanted.made(
        settled_orders=lambda: orders.append_column("shard_key", _person_key(orders)),
        logins=lambda: pa.concat_tables([settled.logins, resolve_emails(tables["emails"])]),
        rejects=lambda: _rejects(settled.refused),
        quality_parts=lambda: _rejects_counted(settled.refused, sites),
    )


def _rejects(refused: pa.Table) -> pa.Table:
    """Quarantine rows for orders and refunds that the flow itself refuses."""
    reject_id = pc.binary_join_element_wise(
        pa.scalar("flow"), refused["event_name"], refused["record_id"], ":"
    )
    place = pc.binary_join_element_wise(refused["event_name"], refused["record_id"], " ")
    return pa.table(
        {
            "site_id": refused["site_id"],
            "reject_id": reject_id,
            "origin": pa.repeat("flow", len(refused)),
            "place": place,
            "reason": refused["reason"],
            "received_at": refused["at"],
        }
    )


def _rejects_counted(refused: pa.Table, sites: Mapping[str, Site]) -> pa.Table:
    """QUALITY_PARTS of what the flow itself refuses."""
    none = pa.array(np.zeros(len(refused), dtype=np.int64))
    counts = dict.fromkeys(QUALITY_COUNTS, none)
    counts["quarantined"] = pa.array(np.ones(len(refused), dtype=np.int64))
    return pa.table(
        {
            "site_id": refused["site_id"],
            "day": days_of(refused, sites),
            "event_name": refused["event_name"],
            **counts,
        }
    )


def resolve_emails(emails: pa.Table) -> pa.Table:
    """LOGINS of identify events: by customer id, else by the e-mail's earliest customer."""
    named = emails.filter(
        pc.and_(pc.is_valid(emails["customer_id"]), pc.is_valid(emails["email_sha256"]))
    )
    named = sort_by(named, "at", "customer_id")
    code, wanted = codes(
        [named["site_id"], named["email_sha256"]], [emails["site_id"], emails["email_sha256"]]
    )
    first = np.full(int(max(code.max(initial=-1), wanted.max(initial=-1))) + 2, -1)
    first[code[::-1]] = np.arange(len(code))[::-1]
    by_email = take(named["customer_id"], np.where(wanted >= 0, first[wanted], -1))
    unnamed = pc.binary_join_element_wise(pa.scalar("e:"), emails["email_sha256"], "")
    customer = pc.coalesce(emails["customer_id"], by_email, unnamed)
    place = emails.schema.get_field_index("customer_id")
    logins = emails.set_column(place, "customer_id", customer)
    logins = logins.filter(pc.and_(logins["is_login"], pc.is_valid(logins["visitor_id"])))
    return logins.select(LOGINS.names)


def stitch_visitors(tables: Tables, wanted: Wanted = EVERYTHING) -> Tables:
    """Says whose each pin, landing and order is (docs/attribution.md section 3).

    Takes all logins and events of whole visitors; gives the same rows with `person_id`,
    and acts.
    """
    logins = sort_by(tables["logins"], "site_id", "visitor_id", "at", "customer_id")
    names = ("pin_clicks", "landings", "settled_orders", "doings")
    kinds = [tables[name] for name in names]
    events = pa.concat_tables(
        [t.select(["site_id", "visitor_id", "session_id", "customer_id", "at", KEY]) for t in kinds]
    )
    login = np.full(len(events), -1)
    # Most visitors never log in.
    known = np.flatnonzero(is_among(ints(events[KEY]), np.unique(ints(logins[KEY]))))
    asked = events.select(["site_id", "visitor_id", "session_id", "at"]).take(pa.array(known))
    login[known] = _logins_of(asked, logins)
    person = pc.coalesce(
        flat(events["customer_id"]),
        take(logins["customer_id"], login),
        pc.binary_join_element_wise(pa.scalar("v:"), flat(events["visitor_id"]), ""),
    )
    edges = np.cumsum([0, *(len(kind) for kind in kinds)])
    pins, landings, orders, done = (
        kind.append_column("person_id", person.slice(low, high - low))
        for kind, low, high in zip(kinds, edges[:-1], edges[1:], strict=True)
    )
    return wanted.made(
        acts=lambda: acts_of_doings(done),
        pins_by_person=lambda: present(pins, PINS_BY_PERSON.names),
        landings_by_person=lambda: _landings_by_person(landings),
        orders_by_person=lambda: orders.select(ORDERS_BY_PERSON.names).append_column(
            "shard_key", pc.coalesce(orders["person_id"], orders["order_id"])
        ),
    )


def _landings_by_person(landings: pa.Table) -> pa.Table:
    key = pc.coalesce(landings["pin_id"], landings["event_id"])
    return present(landings, LANDINGS_BY_PERSON.names).append_column("shard_key", key)


def _logins_of(events: pa.Table, logins: pa.Table) -> Ints:
    """[events] row of the login that says whose the event is, -1 where none does."""
    login_visitor, event_visitor = codes(
        [logins["site_id"], logins["visitor_id"]], [events["site_id"], events["visitor_id"]]
    )
    (login_customer,) = codes([logins["customer_id"]])
    # Few visitor ids are shared: only of those a session says anything.
    shared = shared_logins(login_visitor, login_customer, ints(logins["at"]))
    doubtful = np.isin(event_visitor, login_visitor[shared])
    login_session, event_session = np.full(len(logins), -1), np.full(len(events), -1)
    login_session[shared], event_session[doubtful] = codes(
        *(
            [rows[name].filter(pa.array(kept)) for name in ("site_id", "visitor_id", "session_id")]
            for rows, kept in ((logins, shared), (events, doubtful))
        )
    )
    return login_of(
        login_visitor, login_session, login_customer, ints(logins["at"]),
        event_visitor, event_session, ints(events["at"]),
    )  # fmt: skip


def _person_key(orders: pa.Table) -> pa.Array:
    return pc.coalesce(orders["visitor_id"], orders["customer_id"], orders["order_id"])
