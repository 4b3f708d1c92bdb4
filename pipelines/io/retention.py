"""What is older than the settings keep it: whole days of one kind leave the lake.

Tables are a function of the lake, so the next run is without them too.
"""

import datetime
from collections import Counter
from pathlib import Path

from schemas.durable import DurableFolder
from schemas.home import Home
from schemas.lock import alone
from schemas.settings import Settings


def remove_expired(
    home: Home, settings: Settings, today: datetime.date | None = None
) -> dict[str, int]:
    """Removes the folders of UTC dates that ended more than `[retention]` days ago.

    Days are counted from today, not from the newest event: a shop that closes forgets too.

    Args:
      home: the home directory; who calls holds the run's lock.
      settings: `retention` is read.
      today: UTC date; by default what it is.

    Returns:
      How many days of each kind went; one in `quarantine` is a site's day, or a whole message.
    """
    removed: Counter[str] = Counter()
    today = today or datetime.datetime.now(datetime.UTC).date()
    for kind, days in settings.retention.items():
        # An event of the date's last moment is as old as the settings say, or older.
        last = (today - datetime.timedelta(days=days + 1)).isoformat()
        root = home.quarantine if kind == "quarantine" else home.lake / kind
        expired = [
            folder for folder in root.glob("site=*/date=*") if folder.name[len("date=") :] <= last
        ]
        messages = [
            message
            for message in (root / "messages").glob("[!.]*")
            if kind == "quarantine" and _date_of(message) <= last
        ]
        if expired or messages:
            with alone(home.lake_lock), DurableFolder(root) as folder:
                for path in (*expired, *messages):
                    folder.remove(path)
                    removed[kind] += 1
    return dict(removed)


def _date_of(path: Path) -> str:
    changed = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    return changed.date().isoformat()
