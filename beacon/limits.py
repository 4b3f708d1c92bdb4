"""How often a site, and one network at a site, may send unsigned requests; and how often fail.

The generic cell rate algorithm: one number a caller, the time at which she would have used up
nothing of her minute. Its whole state is one bounded dictionary. Both checks together cost
0.5 us of CPU a request; the `limits` library (5.8, fixed window in memory) 6.8 us, and what
it remembers is not bounded.
"""

import math
import time
from collections.abc import Hashable

from beacon.wire import Refusal
from schemas.settings import BeaconSettings

MINUTE_SECONDS = 60.0
MAX_CALLERS = 16_384


class Rate:
    """A limit of requests a minute: a minute's worth at once, then evenly."""

    def __init__(self, a_minute: int, max_callers: int = MAX_CALLERS) -> None:
        self._step = MINUTE_SECONDS / a_minute if a_minute else 0.0
        self._slack = MINUTE_SECONDS - self._step
        self._max_callers = max_callers
        self._free_at: dict[Hashable, float] = {}

    def wait(self, caller: Hashable, now: float) -> float:
        """Counts a request; 0 lets it in, else the seconds after which it would be."""
        if not self._step:
            return 0.0
        free_at = self._free_at.get(caller, now)
        if free_at <= now:
            free_at = now
            if len(self._free_at) >= self._max_callers:
                self._forget(now)
        elif free_at - now > self._slack:
            return free_at - now - self._slack
        self._free_at[caller] = free_at + self._step
        return 0.0

    def look(self, caller: Hashable, now: float) -> float:
        """The seconds after which a request would be let in; counts nothing."""
        return max(0.0, self._free_at.get(caller, now) - now - self._slack)

    def _forget(self, now: float) -> None:
        """Makes room: who has been quiet goes, and if that is too few, everybody."""
        self._free_at = {who: at for who, at in self._free_at.items() if at > now}
        if len(self._free_at) > self._max_callers // 2:
            # More busy networks than a site's own limit lets in: that one holds, and
            # forgetting here costs less than a search at every request.
            self._free_at.clear()


class Limits:
    """The limits of one worker; each worker counts alone."""

    def __init__(self, settings: BeaconSettings) -> None:
        self._sites = Rate(settings.site_requests_a_minute)
        self._networks = Rate(settings.network_requests_a_minute)
        self._strangers = Rate(settings.network_requests_a_minute)

    def check(self, site_id: str, network: str | None) -> None:
        """Lets a request in.

        Raises:
          Refusal: 429, with the seconds to wait.
        """
        now = time.monotonic()
        # The network first: who floods alone must not use up what the whole site has.
        if network is not None and (wait := self._networks.wait((site_id, network), now)):
            _refuse("your network has", wait)
        if wait := self._sites.wait(site_id, now):
            _refuse("this site has", wait)

    def check_stranger(self, network: str | None) -> None:
        """Refuses (429) a network that has failed too often: before anything of it is read."""
        if network is not None and (wait := self._strangers.look(network, time.monotonic())):
            _refuse("your network has", wait)

    def count_stranger(self, network: str | None) -> float:
        """Counts what failed, whatever site it was for; the seconds to wait when it is too much."""
        return 0.0 if network is None else self._strangers.wait(network, time.monotonic())

    def check_careful(self, network: str | None) -> None:
        """Counts a body that only the careful way can read, which is dear, or refuses it (429)."""
        if wait := self.count_stranger(network):
            _refuse("your network has", wait)


def _refuse(who: str, wait: float) -> None:
    seconds = math.ceil(wait)
    raise Refusal(
        429,
        f"{who} sent too many requests; come again in {seconds} s",
        (("retry-after", str(seconds)),),
    )
