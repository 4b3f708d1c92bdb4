"""Waiting for what another process or thread does, no longer than it takes."""

import time
from collections.abc import Callable


def wait_until(is_so: Callable[[], object], what: str, seconds: float = 30) -> None:
    """Returns as soon as it is so; `what` says what is the matter when it never is."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"{what}, after {seconds} seconds"
        time.sleep(0.02)
