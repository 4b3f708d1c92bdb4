"""Who was erased, by keyed hashes: what happened before and comes after loses its names too.

A message may wait in Pub/Sub for weeks, and a file may be imported again. An event that names
someone who was erased, and happened before she was, enters the lake without her name. What
happened afterwards is new: she came again.
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.io.blanking import blank
from pipelines.kernels.calendar import derived_time_ms
from pipelines.kernels.columns import Bools, Ints, bools
from schemas.durable import DurableFolder
from schemas.errors import LakeError
from schemas.home import Home
from schemas.spool import Reject

Kind = Literal["visitor_id", "customer_id", "email_sha256"]
KINDS: tuple[Kind, ...] = ("visitor_id", "customer_id", "email_sha256")
_KEY_BYTES = 32
_WORD = re.compile(r"[0-9A-Za-z_.~:@-]+")


class Erased(msgspec.Struct):
    """The list: by site and hash, when the id was erased. It holds no id.

    Whoever has the file can try ids that can be guessed, so it is the owner's alone.
    """

    key: str = ""
    sites: dict[str, dict[str, int]] = {}

    def when(self, site_id: str, kind: Kind, name: str) -> int:
        """When an id of that kind was erased, in UTC epoch milliseconds; 0 if it was not."""
        hashes = self.sites.get(site_id)
        return hashes.get(self._hash(kind, name), 0) if hashes else 0

    def remember(self, site_id: str, kind: Kind, names: Iterable[str], at_ms: int) -> None:
        """Adds ids."""
        self.key = self.key or base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
        hashes = self.sites.setdefault(site_id, {})
        for name in names:
            digest = self._hash(kind, name)
            hashes[digest] = max(hashes.get(digest, 0), at_ms)

    def without(self, event_name: str, events: pa.Table) -> pa.Table:
        """[events] one kind's, without the names of people who were erased after them."""
        if not self.sites or not events.num_rows:
            return events
        at = derived_time_ms(events)
        ids: set[str] = set()
        device, customer, email = (self._late(events, name, at, ids) for name in KINDS)
        # Of somebody else who has her e-mail now, nothing is to be forgotten.
        person = customer | (email & bools(pc.is_null(events["customer_id"])))
        if not (device.any() or person.any()):
            return events
        return blank(event_name, events, device=device, person=person, ids=ids)

    def _late(self, events: pa.Table, name: Kind, at: Ints, ids: set[str]) -> Bools:
        """[events] whether a column names someone who was erased after the event; adds to ids."""
        if name not in events.column_names:
            return np.zeros(len(events), np.bool_)
        pairs = events.select(["site_id", name]).group_by(["site_id", name]).aggregate([])
        ends = {
            (pair["site_id"], pair[name]): when
            for pair in pairs.to_pylist()
            if pair[name] is not None and (when := self.when(pair["site_id"], name, pair[name]))
        }
        if not ends:
            return np.zeros(len(events), np.bool_)
        ids.update(value for _, value in ends)
        keys = zip(events["site_id"].to_pylist(), events[name].to_pylist(), strict=True)
        late: Bools = at <= np.array([ends.get(key, -1) for key in keys])
        return late

    def _hash(self, kind: Kind, name: str) -> str:
        key = base64.b64decode(self.key)
        return hashlib.blake2b(f"{kind}\0{name}".encode(), key=key, digest_size=16).hexdigest()

    def late_names(self, reject: Reject) -> set[str]:
        """What in a rejected record names someone who was erased after it came."""
        return {
            text
            for text in (_texts_of(reject.record) if self.sites else ())
            for kind in KINDS
            if self.when(reject.site_id, kind, text) >= reject.received_time_ms
        }


def _texts_of(record: str) -> set[str]:
    """All texts of a record, if it is JSON, and its words."""
    texts = set(_WORD.findall(record))
    try:
        pending: list[Any] = [msgspec.json.decode(record)]
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return texts
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, (str, int)):
            texts.add(str(value))
    return texts


def read_erased(home: Home) -> Erased:
    """The list of a home directory; an empty one where nobody was ever erased.

    Raises:
      LakeError: the file cannot be read. Without it names would come back.
    """
    try:
        return msgspec.json.decode(home.erased.read_bytes(), type=Erased)
    except FileNotFoundError:
        return Erased()
    except (msgspec.DecodeError, UnicodeError) as error:
        raise LakeError(
            f"{home.erased} is damaged: {error}; bring it back from a backup, for it keeps erased"
            " names from coming back"
        ) from None


def remember_erased(
    home: Home, names: Mapping[str, Mapping[Kind, Iterable[str]]], at_ms: int
) -> None:
    """Adds ids by site and kind to the list, durably.

    Raises:
      OSError: the disk refused.
    """
    erased = read_erased(home)
    for site_id, kinds in names.items():
        for kind, ids in kinds.items():
            erased.remember(site_id, kind, ids, at_ms)
    content = msgspec.json.encode(erased)
    with DurableFolder(home.path) as folder:
        folder.place(home.erased, lambda file: file.write(content))
