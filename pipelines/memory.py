"""Freed memory, kept for the arrays that come next."""

import ctypes

import pyarrow as pa

# mallopt(3). Each shard makes arrays of some megabytes and frees them again. By itself the C
# library gives them back to the kernel, which clears every page anew for the next shard.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT_BYTES, _LARGEST_KEPT_BYTES = 64 * 2**20, 32 * 2**20


def keep_freed_memory() -> None:
    """Has this process use memory again instead of giving it back, for numpy and Arrow alike.

    Arrow's own pool would keep apart what numpy could use, and gives it back just as soon. A C
    library without these settings keeps its own habits.
    """
    set_option = getattr(ctypes.CDLL(None), "mallopt", None)
    if set_option is not None:
        set_option(_TRIM_THRESHOLD, _KEPT_BYTES)
        set_option(_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        pa.set_memory_pool(pa.system_memory_pool())


def give_back_freed_memory() -> None:
    """Gives back what is kept: gaps left by one stage's arrays do not fit those of the next."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
