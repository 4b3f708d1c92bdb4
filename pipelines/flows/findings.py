"""What `pinsphere doctor` finds: one line a check, with what to do."""

import dataclasses
from typing import Literal

State = Literal["ok", "warning", "broken"]


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
      check: what was looked at, the same word each time.
      state: `warning` works today and may not tomorrow; `broken` does not work.
      says: the finding, with its figures.
      way_out: what to do; empty when all is well.
    """

    check: str
    state: State
    says: str
    way_out: str = ""


def ok(check: str, says: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", says)


def warning(check: str, says: str, way_out: str) -> Finding:
    """Works today, and may not tomorrow."""
    return Finding(check, "warning", says, way_out)


def broken(check: str, says: str, way_out: str) -> Finding:
    """Does not work."""
    return Finding(check, "broken", says, way_out)


def age(seconds: float) -> str:
    """A time span as people say it: 40 s, 5 min, 3 h, 12 days."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def megabytes(size: int) -> str:
    """Bytes as people say them."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
