"""A stable 64-bit hash of text, vectorised: the same on every machine and in every release."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.kernels.columns import Ints, flat, joint_key

Hashes = npt.NDArray[np.uint64]
# Odd constants of SplitMix64 (Steele, Lea, Flood 2014), a well-tested mixer.
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def hash_text(column: Any) -> Hashes:
    """[rows] hash of each text's UTF-8 bytes; a null hashes as an empty text."""
    array = flat(column).cast(pa.large_string()).fill_null("")
    _, offset_buffer, data = array.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int64)[
        array.offset : array.offset + len(array) + 1
    ]
    start, length = offsets[:-1], np.diff(offsets)
    hashes = length.astype(np.uint64) * _STEP
    # Eight bytes a step; padding lets the last word of the last text be read whole.
    padded = np.concatenate(
        [np.frombuffer(data or b"", dtype=np.uint8), np.zeros(8, dtype=np.uint8)]
    )
    words = np.ndarray(shape=(len(padded) - 7,), dtype="<u8", buffer=padded, strides=(1,))
    rows = np.flatnonzero(length > 0)
    place = 0
    while len(rows):
        left = length[rows] - place
        word = words[start[rows] + place]
        unused_bits = (8 * np.clip(8 - left, 0, 8)).astype(np.uint64)
        word = (word << unused_bits) >> unused_bits
        hashes[rows] = mix(hashes[rows] ^ word)
        place += 8
        rows = rows[left > 8]
    return mix(hashes)


def shard_of(shards: int, *columns: Any) -> Ints:
    """[rows] shard 0..shards-1 of the joint key of these text columns."""
    return (hash_text(joint_key(*columns)) % np.uint64(shards)).astype(np.int64)


def mix(value: Hashes) -> Hashes:
    """[rows] a bijection of 64-bit numbers in which every bit depends on every other."""
    value = value + _STEP
    value = (value ^ (value >> np.uint64(30))) * _MIX_1
    value = (value ^ (value >> np.uint64(27))) * _MIX_2
    return value ^ (value >> np.uint64(31))
