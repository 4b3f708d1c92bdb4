"""Days in a row, so that a day without anything is seen as one."""

from datetime import date, timedelta


def every_day(first: str, last: str) -> list[str]:
    """All days from the first to the last, both included."""
    begin, end = date.fromisoformat(first), date.fromisoformat(last)
    return [(begin + timedelta(days=n)).isoformat() for n in range((end - begin).days + 1)]


def monday_of(day: str) -> str:
    """The Monday that begins the day's week."""
    found = date.fromisoformat(day)
    return (found - timedelta(days=found.weekday())).isoformat()


def month_name(month: str) -> str:
    """`2026-11` as November 2026."""
    return f"{date.fromisoformat(month + '-01'):%B %Y}"
