"""What the beacon says on stderr: a line when something begins or ends, none for a request."""

import sys
import time
import traceback
from collections.abc import Callable


def tell(text: str) -> None:
    """Writes one line; several processes share the stream, so it goes out in one piece."""
    sys.stderr.write(f"pinsphere: {text}\n")
    sys.stderr.flush()


def fault(error: BaseException | None) -> str:
    """A fault of ours, by its kind and place: what it says may be words of a stranger."""
    if error is None or error.__traceback__ is None:
        return type(error).__name__
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {last.filename}:{last.lineno}"


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
