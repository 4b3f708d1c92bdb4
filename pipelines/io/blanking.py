"""Taking names out of events: which fields name a person, and what is left of her.

What happened stays, and when, to which product, pin and order; to whom is gone. A row can lose
two things: what names a **device** (visitor, session, network, Pinterest's click and guid), and
what names a **person** (customer, e-mail). Rows whose whole meaning is a name leave the table.
"""

import re
from collections.abc import Iterable, Sequence
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.columns import Bools, bools

DEVICE = ("visitor_id", "session_id", "network_hash", "click_id", "pinterest_guid")
PERSON = ("customer_id", "email_sha256")
# No result is made of an address, so it may lose more than it must.
ADDRESSES = ("page_location", "page_referrer", "pin_url", "media_url")
# Words of the shop's own, which may be made of an id: a list "for-you-10442".
LABELS = (
    *("item_list_id", "recommender_id", "page_type", "experiment_arm"),
    *("channel", "campaign", "touch_source", "medium"),
)
ERASED = "erased"
# Shorter ids stand in labels by chance.
SHORTEST_WORD = 6
_WORDS_AT_ONCE = 500


class Words:
    """Ids to look for in texts, where they stand as whole words, percent-encoded ones too."""

    def __init__(self, ids: Iterable[str]) -> None:
        words = sorted({word for each in ids for word in (each, quote(each, safe=""))})
        starts = range(0, len(words), _WORDS_AT_ONCE)
        self._patterns = [_pattern(words[at : at + _WORDS_AT_ONCE]) for at in starts]
        self._texts = [re.compile(pattern) for pattern in self._patterns]

    def found(self, texts: pa.ChunkedArray) -> Bools:
        """[texts] whether one of them stands in each."""
        found = np.zeros(len(texts), np.bool_)
        for pattern in self._patterns:
            hits = pc.match_substring_regex(texts, pattern)
            found |= bools(pc.fill_null(hits, False))
        return found

    def replaced(self, labels: pa.ChunkedArray) -> pa.ChunkedArray:
        """[labels] with "erased" where one of them stood."""
        for pattern in self._patterns:
            labels = pc.replace_substring_regex(labels, pattern, rf"\1{ERASED}\2")
        return labels

    def stand_in(self, text: str) -> bool:
        """Whether one of them stands in a text."""
        return any(pattern.search(text) for pattern in self._texts)

    def taken_out(self, text: str) -> str:
        """A text with "erased" where one of them stood."""
        for pattern in self._texts:
            text = pattern.sub(rf"\1{ERASED}\2", text)
        return text


def _pattern(words: Sequence[str]) -> str:
    """As both regular expression engines read it: Python's and Arrow's."""
    return rf"(^|[^0-9A-Za-z])(?:{'|'.join(map(re.escape, words))})($|[^0-9A-Za-z])"


def label_words(ids: Iterable[str]) -> Words:
    """Those to look for in labels: short ones stand there by chance."""
    return Words(each for each in ids if len(each) >= SHORTEST_WORD)


def blank(
    event_name: str, events: pa.Table, *, device: Bools, person: Bools, ids: Iterable[str]
) -> pa.Table:
    """Takes names out of events of one kind.

    Args:
      event_name: their kind.
      events: [events] in the lake's schema.
      device: [events] whether the device is to be forgotten.
      person: [events] whether the customer is; her device goes too.
      ids: what texts may hold.

    Returns:
      The events that are left, in their order: all but those that said nothing but a name.
    """
    if event_name == "erase":
        events = _without(events, "visitor_id", device)
        events = _without(events, "customer_id", person)
        return events.filter(pc.or_(*(pc.is_valid(events[name]) for name in _SUBJECT)))
    hers = device | person
    for name in DEVICE:
        events = _without(events, name, hers)
    for name in PERSON:
        events = _without(events, name, person)
    words, labels = Words(ids := sorted(ids)), label_words(ids)
    for name in set(ADDRESSES).intersection(events.column_names):
        events = _without_addresses(events, name, hers, words)
    for name in set(LABELS).intersection(events.column_names):
        label = pc.if_else(pa.array(hers), labels.replaced(events[name]), events[name])
        events = _with(events, name, label)
    if event_name == "identify":
        # Without a device it is no login: what it may still say is whose an e-mail is.
        ties = pc.and_(*(pc.is_valid(events[name]) for name in PERSON))
        events = events.filter(pc.or_(pc.invert(pa.array(hers)), ties))
    return events


_SUBJECT = ("visitor_id", "customer_id")


def _without_addresses(events: pa.Table, name: str, hers: Bools, words: Words) -> pa.Table:
    """Cut before what may name her; gone where it still does."""
    column = events[name]
    bare = pc.replace_substring_regex(column, r"(?s)[?#].*$", "")
    holds = pa.array(hers | words.found(column))
    events = _with(events, name, pc.if_else(holds, bare, column))
    return _without(events, name, words.found(events[name]))


def _without(events: pa.Table, name: str, mask: Bools) -> pa.Table:
    """The events with null in one column where the mask says so."""
    if name not in events.column_names or not mask.any():
        return events
    null = pa.scalar(None, events[name].type)
    return _with(events, name, pc.if_else(pa.array(mask), null, events[name]))


def _with(events: pa.Table, name: str, column: pa.ChunkedArray) -> pa.Table:
    place = events.schema.get_field_index(name)
    return events.set_column(place, events.schema.field(name), column)
