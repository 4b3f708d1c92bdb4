"""The processes that serve: begun, replaced when they crash, ended together.

The parent only waits for signals. They are blocked and taken one by one, so that none can come
at a bad moment: a second SIGTERM, or one while a worker is being replaced.
"""

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable

from beacon.notices import tell

KILL_SECONDS = 40
# Two ends within this time are no accidents: the next one would end as well.
LOOP_SECONDS = 5.5
_STOPS = {signal.SIGTERM, signal.SIGINT}
_SIGNALS = {*_STOPS, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM}


class CrashError(Exception):
    """Workers end as soon as they begin."""


def supervise(count: int, work: Callable[[], None], on_stop: Callable[[], None]) -> None:
    """Runs `work` in so many processes until SIGTERM or SIGINT, then waits for their end.

    Raises:
      CrashError: workers ended by themselves again and again.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    pids = {_begin(work) for _ in range(count)}
    ended_at = float("-inf")
    is_stopping = is_crash = False
    while pids:
        told = signal.sigwait(_SIGNALS)
        ended = {pid for pid in pids if os.waitpid(pid, os.WNOHANG)[0]}
        pids -= ended
        if ended and not is_stopping:
            now = time.monotonic()
            is_crash, ended_at = now - ended_at < LOOP_SECONDS, now
            for pid in ended if not (is_crash or told in _STOPS) else ():
                tell(f"worker {pid} ended unexpectedly; another takes its place")
                pids.add(_begin(work))
        if told == signal.SIGALRM:
            _tell(pids, signal.SIGKILL)
        elif not is_stopping and (is_crash or told in _STOPS):
            is_stopping = True
            on_stop()
            _tell(pids, signal.SIGTERM)
            signal.alarm(KILL_SECONDS)
        # Nothing is done at SIGHUP: settings are read once.
    signal.alarm(0)
    # All is safe and the workers have ended; a second signal must not make it a failure.
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS - {signal.SIGALRM})
    if is_crash:
        raise CrashError


def _begin(work: Callable[[], None]) -> int:
    """Runs `work` in a new process; gives its id."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        # Until the work listens to signals itself nothing is served: the process may just end.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
        for number in (signal.SIGINT, signal.SIGHUP):  # Ctrl-C reaches workers too
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may go on from here in a second process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _tell(pids: set[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
