"""Parts that wait for those of other shards: nothing is lost, and little is left."""

from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.columns import Tables
from pipelines.transforms import sums
from pipelines.transforms.routes import routes
from pipelines.transforms.sums import Sums
from schemas.batches import QUALITY_PARTS, VIEW_COUNTS, VIEW_PARTS

ROUTES = routes()
# A shop, a product, a day and views.
PART = st.tuples(
    st.sampled_from(["acme", "tiny"]),
    st.sampled_from(["mug", "bowl", "", "ünïcode"]),
    st.integers(0, 2),
    st.integers(-1, 3).filter(bool),
)


def views(parts: Iterable[tuple[str, str, int, int]]) -> pa.Table:
    """View parts of one shard."""
    rows = [
        {"site_id": site, "dimension": "product", "key": key, "day": day, "views": count}
        for site, key, day, count in parts
    ]
    return pa.Table.from_pylist([dict.fromkeys(VIEW_COUNTS, 0) | row for row in rows], VIEW_PARTS)


def counted(tables: Iterable[Tables]) -> Counter[tuple[str, str, int]]:
    """What all view parts among the tables add up to."""
    total: Counter[tuple[str, str, int]] = Counter()
    for given_ in tables:
        for row in given_["view_parts"].to_pylist() if "view_parts" in given_ else ():
            total[row["site_id"], row["key"], row["day"]] += row["views"]
    return Counter({key: count for key, count in total.items() if count})


@given(st.lists(st.lists(PART, max_size=6), max_size=5), st.sampled_from([0, 300, 2**30]))
def test_what_waits_comes_out_added_up(
    shards: list[list[tuple[str, str, int, int]]], most: int
) -> None:
    """However often it is too much to wait: a merchandiser counts every view once."""
    expected = counted([{"view_parts": views(parts)} for parts in shards])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sums, "_MOST_BYTES", most)
        waiting = Sums(ROUTES)
        route = ROUTES["view_parts"]

        given_ = [waiting.put({"view_parts": route.part(views(parts))}) for parts in shards]
        given_.append(waiting.rest())

    assert counted(given_) == expected
    tables = [each["view_parts"] for each in given_ if "view_parts" in each]
    assert all(table.equals(route.conform(table)) for table in tables)
    if most == 2**30:
        assert sum(map(len, tables)) == len(expected)
    assert waiting.rest() == {}


def test_what_is_no_sum_does_not_wait() -> None:
    """An order must not come to its buyer after the buyer was looked at."""
    rejects = ROUTES["rejects"].schema.empty_table()
    quality = ROUTES["quality_parts"].part(QUALITY_PARTS.empty_table())
    waiting = Sums(ROUTES)

    assert waiting.put({"rejects": rejects, "quality_parts": quality}) == {"rejects": rejects}
