"""Days in a row, so that a day without anything is seen as one."""

from datetime import date, timedelta


def every_day(first: str, last: str) -> list[str]:
    """All days from the first to the last, both included."""
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(begin + timedelta(days=n)).isoformat() for n in range((end - begin).days + 1)]
