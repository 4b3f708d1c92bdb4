"""How far a run is: counted where the work is done, shown by whoever watches.

One run a process, so there is one list of tasks. A local runner works in this process; what
workers in other processes count, nobody here sees: then a stage has no end but its step's.
"""

import dataclasses
import threading
import time
from collections.abc import Callable

_NO_WATCHER: Callable[["Task"], object] = lambda _: None  # noqa: E731 (a value, not a function)


@dataclasses.dataclass
class Task:
    """A step of a run, or a stage of its flow.

    Attributes:
      name: step or stage.
      is_step: a stage lies within the step before it.
      total: units there are, as far as known; 0 when nobody knows.
      done: units done.
      rows: rows that went through it.
      began_at: on the monotonic clock; None for what has only been announced.
      seconds: how long it took, once it has ended.
    """

    name: str
    is_step: bool
    total: int = 0
    done: int = 0
    rows: int = 0
    began_at: float | None = None
    seconds: float | None = None

    @property
    def elapsed_seconds(self) -> float:
        """How long it took, or has been at work."""
        if self.seconds is not None or self.began_at is None:
            return self.seconds or 0.0
        return time.monotonic() - self.began_at


_lock = threading.RLock()
_tasks: dict[str, Task] = {}
_watcher = _NO_WATCHER


def restart(watcher: Callable[[Task], object] = _NO_WATCHER) -> None:
    """Forgets all tasks; from now on the watcher is told each that begins or ends."""
    global _watcher  # noqa: PLW0603 (one run a process)
    with _lock:
        _tasks.clear()
        _watcher = watcher


def tasks() -> list[Task]:
    """All tasks in their order, as they stand now."""
    with _lock:
        return [dataclasses.replace(task) for task in _tasks.values()]


def begin(step: str) -> None:
    """A step begins, and what was at work has ended."""
    with _lock:
        end()
        _begin(_task(step, is_step=True))


def end() -> None:
    """Whatever is at work has ended."""
    with _lock:
        for task in reversed(_tasks.values()):  # a stage before its step
            _end(task)
            task.seconds = task.seconds or 0.0  # nothing came to it, or nothing that we saw


def expect(name: str, units: int) -> None:
    """Announces more units of a step or stage."""
    with _lock:
        _task(name).total += units


def tick(name: str, units: int = 1, *, rows: int = 0) -> None:
    """Counts units of a step or stage; the first of a stage ends the stage before it."""
    with _lock:
        task = _task(name)
        if task.began_at is None:
            for other in _tasks.values():
                if not other.is_step:
                    _end(other)
            _begin(task)
        task.done += units
        task.rows += rows


def _task(name: str, *, is_step: bool = False) -> Task:
    return _tasks.setdefault(name, Task(name, is_step))


def _begin(task: Task) -> None:
    task.began_at = time.monotonic()
    _watcher(dataclasses.replace(task))


def _end(task: Task) -> None:
    if task.began_at is not None and task.seconds is None:
        task.seconds = time.monotonic() - task.began_at
        _watcher(dataclasses.replace(task))
