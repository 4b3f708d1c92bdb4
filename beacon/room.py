"""Room on the disk: when the spool must stop taking events."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from beacon.notices import Trouble
from schemas.settings import BeaconSettings
from schemas.spool_upkeep import folder_bytes

CHECK_SECONDS = 1.0


class Room:
    """Watches the spool directory's size and the disk's free share, once a second at most."""

    def __init__(
        self,
        directory: Path,
        limits: BeaconSettings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory = directory
        self._limits = limits
        self._clock = clock
        self._next_check = float("-inf")
        self._shortage: str | None = None
        self._trouble = Trouble(clock)
        self.spool_bytes = 0
        """Size of all spool files when last looked at."""

    def shortage(self) -> str | None:
        """Why no more may be taken, or None while there is room."""
        now = self._clock()
        if now >= self._next_check:
            self._next_check = now + CHECK_SECONDS
            self._shortage = self._look()
            self._trouble.note(self._shortage)
        return self._shortage

    def _look(self) -> str | None:
        try:
            self.spool_bytes = folder_bytes(self._directory)
            usage = shutil.disk_usage(self._directory)
        except OSError as error:
            return f"the spool directory cannot be read: {error.strerror}"
        if self.spool_bytes >= self._limits.spool_max_mb * 1_000_000:
            return f"the spool has reached its cap of {self._limits.spool_max_mb} MB"
        if usage.free * 100 < self._limits.min_free_percent * usage.total:
            return f"less than {self._limits.min_free_percent:g} % of the disk is free"
        return None
