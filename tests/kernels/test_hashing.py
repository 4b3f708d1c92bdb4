"""The stable hash: its values are a contract, since shards and samples are chosen by it."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.kernels.hashing import hash_rows, hash_text

# Written down once; a release that changes one moves rows between shards in mid-run.
GOLDEN = {
    "": 0xE220A8397B1DCDAF,
    "a": 0xE8BBC788A5A69037,
    "ab": 0xB0A1B63124D67224,
    "abcdefgh": 0x50B9CD6A72F6EA32,
    "abcdefghi": 0xF0AD26EAFEBB8A7D,
    "abcdefghijklmnop": 0x069223BE141C2F66,
    "z\u00fcrich": 0xE8142F3801175EFD,
    "\U0001f4cc": 0x9E27B5856C7A7650,
    "a\x00": 0x3631862E8E3E258B,
    "x" * 100: 0x41265071685D4F73,
}
TEXTS = st.lists(st.none() | st.text(max_size=20), max_size=20)
MASK = 2**64 - 1


def naive_mix(value: int) -> int:
    """SplitMix64, in Python's integers."""
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)


def naive_hash(text: str) -> int:
    """The hash, one text at a time, in Python's integers."""
    data = text.encode()
    value = (len(data) * 0x9E3779B97F4A7C15) & MASK
    for place in range(0, len(data), 8):
        value = naive_mix(value ^ int.from_bytes(data[place : place + 8], "little"))
    return naive_mix(value)


@pytest.mark.parametrize(("text", "value"), GOLDEN.items())
def test_hash_values_never_change(text: str, value: int) -> None:
    """Two workers of two releases must send one order to one shard."""
    assert hash_text(pa.array([text])).tolist() == [value] == [naive_hash(text)]


@given(TEXTS)
def test_a_column_s_hashes_are_the_naive_loop(texts: list[str | None]) -> None:
    """The vectors read eight bytes at once, over the next text's bytes too."""
    assert hash_text(pa.array(texts, pa.string())).tolist() == [
        naive_hash(text or "") for text in texts
    ]


@given(TEXTS, st.integers(0, 20), st.integers(0, 20))
def test_how_arrow_stores_a_text_means_nothing(
    texts: list[str | None], first: int, cut: int
) -> None:
    """Sliced, chunked, large or dictionary-encoded: Parquet and IPC give all of them."""
    texts = ["before", *texts]
    plain = pa.array(texts, pa.string())
    wanted = hash_text(plain).tolist()

    assert hash_text(plain.slice(first)).tolist() == wanted[first:]
    assert hash_text(plain.cast(pa.large_string())).tolist() == wanted
    assert hash_text(plain.cast(pa.large_string()).slice(first)).tolist() == wanted[first:]
    assert hash_text(pa.chunked_array([plain.slice(0, cut), plain.slice(cut)])).tolist() == wanted
    assert hash_text(plain.dictionary_encode()).tolist() == wanted


@pytest.mark.parametrize(
    "empty",
    [pa.array([], pa.string()), pa.array([], pa.large_string()), pa.chunked_array([], pa.string())],
    ids=["array", "large", "no chunks"],
)
def test_no_texts_have_no_hashes(empty: pa.Array) -> None:
    """An empty Parquet file's column has no chunk at all."""
    assert hash_text(empty).tolist() == []


def test_a_null_hashes_as_an_empty_text() -> None:
    """Rows without a key have a shard too."""
    assert hash_text(pa.array([None], pa.string())).tolist() == [GOLDEN[""]]


@pytest.mark.parametrize("shards", [1, 2, 7, 64])
@pytest.mark.parametrize("pattern", ["{}", "order-{:08d}", "visitor.{:04x}.suffix-that-is-long"])
def test_shards_are_even(shards: int, pattern: str) -> None:
    """One shard with a quarter of all rows is a run four times as long."""
    count = 64_000
    keys = pa.array([pattern.format(number) for number in range(count)])

    sizes = np.bincount((hash_rows(keys) % np.uint64(shards)).astype(np.int64), minlength=shards)

    # Six standard deviations of a fair draw.
    assert len(sizes) == shards
    assert np.abs(sizes - count / shards).max() <= 6 * np.sqrt(count / shards)


def test_different_texts_have_different_hashes() -> None:
    """A hundred thousand ids in 2^64: any collision means lost bits."""
    keys = pa.array([f"{number:x}" for number in range(100_000)])

    assert len(np.unique(hash_text(keys))) == 100_000


def test_joint_keys_shard_by_the_whole_key() -> None:
    """One order number of two shops is two orders."""
    site, order = pa.array(["a", "b", "a", "b"]), pa.array(["1", "1", "1", None])

    hashes = hash_rows(site, order).tolist()

    assert hashes[0] == hashes[2] != hashes[1]
    assert len({hash_rows(pa.array([one]), pa.array([two]))[0] for one, two in ("ab", "ba")}) == 2
    assert hash_rows(pa.array(["shop"]), pa.array(["order-1"])).tolist() == [
        naive_mix((naive_hash("shop") * 0x9E3779B97F4A7C15 + naive_hash("order-1")) & MASK)
    ]
    assert hash_rows(site.slice(0, 0), order.slice(0, 0)).tolist() == []


def test_texts_as_codes_have_the_hashes_of_the_texts() -> None:
    """Parts hold texts as codes, and must meet what came as texts."""
    site, item = pa.array(["a", "b", "a", "b"]), pa.array(["mug", "", None, "mug"])
    sites, items = site.dictionary_encode(), pa.chunked_array([item[:1], item[1:]])

    hashes = hash_rows(site, item).tolist()

    assert hash_rows(sites, items.dictionary_encode()).tolist() == hashes
    assert hash_rows(sites.take(pa.array([3, 0])), item.take(pa.array([3, 0]))).tolist() == [
        hashes[3],
        hashes[0],
    ]


def test_columns_that_say_the_same_in_a_chunk_have_the_hashes_of_their_rows() -> None:
    """Of one shop, and of dimensions one after the other, a text is hashed once."""
    site, key = ["a"] * 4, ["x", "x", "y", None]
    chunks = [pa.array(key[:2]), pa.array(key[2:])]

    hashes = hash_rows(pa.array(site), pa.chunked_array(chunks)).tolist()

    alone = zip(site, key, strict=True)
    assert hashes == [
        hash_rows(pa.array([one]), pa.array([two], pa.string()))[0] for one, two in alone
    ]
    mixed = naive_mix((naive_hash("a") * 0x9E3779B97F4A7C15 + naive_hash("x")) & MASK)
    assert hashes[:2] == [mixed, mixed]


def test_days_and_numbers_are_part_of_a_key() -> None:
    """Two days of a product lie in different shards, and a day is the same however it is held."""
    item, day = pa.array(["mug", "mug", "bowl"]), pa.array([20_000, 20_001, 20_000])

    hashes = hash_rows(item, day).tolist()

    assert len(set(hashes)) == 3
    assert hash_rows(item, day.cast(pa.int32()).cast(pa.date32())).tolist() == hashes
    assert hashes[0] == naive_mix((naive_hash("mug") * 0x9E3779B97F4A7C15 + 20_000) & MASK)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 36, 64])
def test_long_columns_of_even_and_uneven_texts_are_the_naive_loop(length: int) -> None:
    """Texts of one length are read in strides, blocks of them apart: the same bytes count."""
    even = [f"{number:0{length}d}"[:length] for number in range(40_000)]
    uneven = [*even[:-1], "one more"]

    for texts in (even, uneven, ["a", *even][1:]):
        found = hash_text(pa.array(["", *texts], pa.string()).slice(1))
        rows = [0, 1, 32_766, 32_767, 32_768, 39_998, 39_999]
        assert found[rows].tolist() == [naive_hash(texts[row]) for row in rows]
