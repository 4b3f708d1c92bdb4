"""How far behind the beacons whoever empties their spool is: the drain, or the forwarder."""

from typing import NamedTuple

from pipelines.io.drain import checkpoint_file
from schemas.errors import BusyError, LakeError
from schemas.home import Home
from schemas.settings import Settings
from schemas.spool_reader import Backlog, open_spool, read_checkpoint, spool_files


class SpoolBacklog(NamedTuple):
    """What of all spool files is not in the lake, or with `[pubsub]` not forwarded yet."""

    rows: int
    oldest_time_ms: int | None
    """When the oldest of the rows was received; None without rows."""
    unreadable: list[str]
    """What is wrong with files that cannot be read."""

    def lag_seconds(self, now: float) -> float:
        """Age of the oldest row; 0 without any."""
        return max(0.0, now - self.oldest_time_ms / 1000) if self.oldest_time_ms else 0.0


def spool_backlog(home: Home, settings: Settings) -> SpoolBacklog:
    """Looks into each spool file; takes two rows of each, however long the backlog is."""
    found: list[Backlog] = []
    unreadable: list[str] = []
    for path in spool_files(home.spool):
        forwarded = home.forwarded / f"{path.stem}.json"
        file = forwarded if settings.pubsub is not None else checkpoint_file(home, path.stem)
        try:
            with open_spool(path) as spool:
                found.append(spool.backlog(read_checkpoint(file)))
        except (LakeError, BusyError) as error:
            if path.exists():  # its reader may have removed it just now
                unreadable.append(str(error))
    times = [each.oldest_time_ms for each in found if each.oldest_time_ms is not None]
    return SpoolBacklog(sum(each.rows for each in found), min(times, default=None), unreadable)
