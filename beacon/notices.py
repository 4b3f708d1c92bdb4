"""What the beacon says on stderr: a line when something begins or ends, none for a request."""

import sys
import time
from collections.abc import Callable


def tell(text: str) -> None:
    """Writes one line; several processes share the stream, so it goes out in one piece."""
    sys.stderr.write(f"pinsphere: {text}\n")
    sys.stderr.flush()


class Trouble:
    """Why senders get 503: told when it begins and when it is over."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_at: float | None = None

    def note(self, reason: str | None) -> None:
        """Takes how it stands now; None is well."""
        if reason is not None and self._began_at is None:
            self._began_at = self._clock()
            tell(f"answering 503: {reason}")
        elif reason is None and self._began_at is not None:
            seconds, self._began_at = self._clock() - self._began_at, None
            tell(f"taking events again, after {seconds:.0f} s")
