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

KILL_SECONDS = 40.0
# Two ends within this time are no accidents: the next one would end as well.
LOOP_SECONDS = 5.5
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}


class CrashError(Exception):
    """Workers end as soon as they begin."""


def supervise(count: int, work: Callable[[], None], on_stop: Callable[[], None]) -> None:
    """Runs `work` in so many processes until SIGTERM or SIGINT, then waits for their end.

    Raises:
      CrashError: workers ended by themselves again and again.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    pids = {_begin(work) for _ in range(count)}
    ended_at, crash, deadline = float("-inf"), False, float("inf")
    while pids:
        seconds = min(deadline - time.monotonic(), KILL_SECONDS)
        told = signal.sigtimedwait(_SIGNALS, max(seconds, 0.0))
        is_stopping = deadline != float("inf")
        if told is None:
            if is_stopping:
                _tell(pids, signal.SIGKILL)
        elif told.si_signo == signal.SIGCHLD:
            ended = {pid for pid in pids if os.waitpid(pid, os.WNOHANG)[0]}
            pids -= ended
            if ended and not is_stopping:
                now = time.monotonic()
                crash, ended_at = now - ended_at < LOOP_SECONDS, now
                for pid in ended if not crash else ():
                    tell(f"worker {pid} ended unexpectedly; another takes its place")
                    pids.add(_begin(work))
        elif told.si_signo == signal.SIGHUP:
            continue  # settings are read once
        if not is_stopping and (crash or (told and told.si_signo != signal.SIGCHLD)):
            deadline = time.monotonic() + KILL_SECONDS
            on_stop()
            _tell(pids, signal.SIGTERM)
    # All is safe and the workers have ended; a second signal must not make it a failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    if crash:
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
