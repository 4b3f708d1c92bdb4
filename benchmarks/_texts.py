"""Texts of numbers, a whole column at once: ids as the snippet and the beacon mint them."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Ints = NDArray[np.int64]
_ALPHABET = np.frombuffer(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", np.uint8
)
_HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
_DASHES = (8, 13, 18, 23)
_DIGITS = np.array([place for place in range(36) if place not in _DASHES])


def texts(numbers: Ints, salt: str) -> pa.Array:
    """[rows] 16 URL-safe characters of each number, others for each salt; -1 is null."""
    seed = np.frombuffer(salt.encode().ljust(8)[:8], np.uint64)[0]
    out = np.empty((len(numbers), 16), np.uint8)
    for half in (0, 1):
        bits = _mixed(numbers.astype(np.uint64) * np.uint64(2) + np.uint64(half) + seed)
        for place in range(8):
            sextet = (bits >> np.uint64(6 * place)) & np.uint64(63)
            out[:, 8 * half + place] = _ALPHABET[sextet.astype(np.intp)]
    return _strings(out, numbers < 0)


def event_ids(at: Ints, generator: np.random.Generator) -> pa.Array:
    """[rows] UUIDv7 texts, minted at these epoch milliseconds."""
    raw = generator.integers(0, 256, (len(at), 16), np.uint8)
    for place in range(6):
        raw[:, place] = (at >> (8 * (5 - place))) & 255
    raw[:, 6] = (raw[:, 6] & 15) | 0x70
    raw[:, 8] = (raw[:, 8] & 63) | 0x80
    out = np.full((len(at), 36), ord("-"), np.uint8)
    out[:, _DIGITS[0::2]] = _HEX[raw >> 4]
    out[:, _DIGITS[1::2]] = _HEX[raw & 15]
    return _strings(out, None)


def constant(text: str | None, rows: int) -> pa.Array:
    """[rows] the same text, or null."""
    if text is None:
        return pa.nulls(rows, pa.string())
    return pa.repeat(pa.scalar(text), rows)


def chosen(values: list[str | None], place: Ints) -> pa.Array:
    """[rows] of a few texts the one at each place."""
    return pa.array(values, pa.string()).take(pa.array(place))


def _mixed(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sebastiano Vigna's splitmix64: neighbouring numbers get unlike bits, no two the same."""
    bits = bits * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _strings(characters: NDArray[np.uint8], missing: NDArray[np.bool_] | None) -> pa.Array:
    rows, width = characters.shape
    offsets = pa.py_buffer(np.arange(0, (rows + 1) * width, width, dtype=np.int32))
    array = pa.StringArray.from_buffers(rows, offsets, pa.py_buffer(characters.reshape(-1)))
    if missing is None or not missing.any():
        return array
    return pc.if_else(pa.array(~missing), array, pa.scalar(None, pa.string()))
