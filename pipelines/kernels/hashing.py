"""A stable 64-bit hash of text, vectorised: the same on every machine and in every release."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.kernels.columns import Ints, flat, ints, is_one_value

Hashes = npt.NDArray[np.uint64]
# Odd constants of SplitMix64 (Steele, Lea, Flood 2014), a well-tested mixer.
_STEP = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_BLOCK = 32_768


def hash_text(column: Any) -> Hashes:
    """[rows] hash of each text's UTF-8 bytes; a null hashes as an empty text."""
    array = flat(column).cast(pa.large_string())
    if array.null_count:
        array = array.fill_null("")
    _, offset_buffer, data = array.buffers()
    offsets = np.frombuffer(offset_buffer, dtype=np.int64)[
        array.offset : array.offset + len(array) + 1
    ]
    text = np.frombuffer(data or b"", dtype=np.uint8)
    hashes = np.empty(len(array), dtype=np.uint64)
    for low in range(0, len(array), _BLOCK):
        here = slice(low, min(low + _BLOCK, len(array)))
        own = offsets[low : here.stop + 1]
        # Eight bytes a step: behind the last text there must be as many.
        padded = text[own[0] : own[-1] + 8]
        missing = own[-1] + 8 - own[0] - len(padded)
        if missing:
            padded = np.append(padded, np.zeros(missing, dtype=np.uint8))
        _hash_block(padded, own - own[0], hashes[here])
    return hashes


def _hash_block(padded: npt.NDArray[np.uint8], offsets: Ints, hashes: Hashes) -> None:
    """Hashes texts that fit the processor's cache together."""
    start, length = offsets[:-1], np.diff(offsets)
    hashes[:] = length.astype(np.uint64) * _STEP
    shortest, longest = int(length.min()), int(length.max())
    # As far as all texts reach, and if they are as long as each other to the end: no gathering.
    whole = shortest // 8 * 8
    stride = longest if shortest == longest else 0
    words = np.ndarray(shape=(len(padded) - 7,), dtype="<u8", buffer=padded, strides=(1,))
    for place in range(0, longest if stride else whole, 8):
        if stride:
            first = int(start[0]) + place
            word = np.ndarray(
                shape=(len(start),), dtype="<u8", buffer=padded, offset=first, strides=(stride,)
            ).astype(np.uint64)
            if longest - place < 8:
                unused = np.uint64(8 * (8 - (longest - place)))
                word <<= unused
                word >>= unused
        else:
            word = words[start + place]
        hashes ^= word
        _stir(hashes)
    if not stride:
        _hash_rest(words, start, length, whole, hashes)
    _stir(hashes)


def _hash_rest(words: Hashes, start: Ints, length: Ints, place: int, hashes: Hashes) -> None:
    """Mixes in what texts hold from a place on that not all of them reach."""
    rows = np.flatnonzero(length > place)
    while len(rows):
        left = length[rows] - place
        word = words[start[rows] + place]
        unused_bits = (8 * np.clip(8 - left, 0, 8)).astype(np.uint64)
        hashes[rows] = _stir(hashes[rows] ^ ((word << unused_bits) >> unused_bits))
        place += 8
        rows = rows[left > 8]


def hash_rows(*columns: Any) -> Hashes:
    """[rows] hash of these columns together: texts, numbers or dates."""
    first, *others = columns
    total = _hash_column(first).copy()
    for column in others:
        total *= _STEP
        total += _hash_column(column)
        _stir(total)
    return total


def _hash_column(column: Any) -> Hashes:
    if isinstance(column, pa.ChunkedArray) and column.num_chunks > 1:
        return np.concatenate([_hash_column(chunk) for chunk in column.chunks])
    column = flat(column)
    if pa.types.is_primitive(column.type):
        return ints(column).view(np.uint64)
    if is_one_value(column):
        return np.full(len(column), hash_text(column[:1])[0])
    if pa.types.is_dictionary(column.type) and not column.null_count:
        return hash_text(column.dictionary)[ints(column.indices)]
    return hash_text(column)


def mix(value: Hashes) -> Hashes:
    """[rows] a bijection of 64-bit numbers in which every bit depends on every other."""
    return _stir(value.copy())


def _stir(value: Hashes) -> Hashes:
    """SplitMix64's output function, in place; gives the same array."""
    value += _STEP
    shifted = value >> np.uint64(30)
    for shift, factor in ((27, _MIX_1), (31, _MIX_2)):
        value ^= shifted
        value *= factor
        np.right_shift(value, np.uint64(shift), out=shifted)
    value ^= shifted
    return value
