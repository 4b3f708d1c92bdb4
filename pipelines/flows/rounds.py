"""Working until told to stop: `pinsphere run --every`, and what a signal means to a service."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from schemas.errors import UsageError


@contextlib.contextmanager
def stop_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM or SIGINT sets, until the block ends.

    The second signal does what it always does: it ends the process at once, which loses
    nothing either.
    """
    stop = threading.Event()

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[number])

    before: dict[int, Any] = {
        number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def repeat(
    work: Callable[[], object],
    every_seconds: float,
    *,
    stop: threading.Event,
    tell_failure: Callable[[Exception], bool],
    tell: Callable[[str], object],
) -> None:
    """Works at once and then every so many seconds, until `stop` is set.

    Rounds never overlap: one that takes longer than the period is followed at once by the next.

    Args:
      work: one round.
      every_seconds: from the beginning of a round to that of the next, > 0.
      stop: the round at work is finished, and there is no other.
      tell_failure: tells a failed round and says True, or says False: then it is raised.
        A failure that stays the same is told once.
      tell: told when a round succeeds again.

    Raises:
      UsageError: the period is not positive, or a round says so: the next would say it again.
    """
    if every_seconds <= 0:
        raise UsageError(f"--every takes a time such as 60s or 5m, not {every_seconds:g} s")
    failure, failed_at = "", 0.0
    while not stop.is_set():
        next_at = time.monotonic() + every_seconds
        try:
            work()
        except UsageError:
            raise
        except Exception as error:
            if repr(error) != failure:
                if not tell_failure(error):
                    raise
                failed_at = failed_at if failure else time.monotonic()
                failure = repr(error)
        else:
            if failure:
                tell(f"going on, after {time.monotonic() - failed_at:.0f} s")
            failure = ""
        stop.wait(min(max(next_at - time.monotonic(), 0), threading.TIMEOUT_MAX))
