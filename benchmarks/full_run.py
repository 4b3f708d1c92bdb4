"""The full default run, stage by stage: all models, cascades, spheres, every table in SQLite.

    python -m benchmarks.full_run [--size 1M] [--lakes FOLDER]

Steps are timed inside Beam's workers, which share this process: what a stage took beyond its
kernels is reading and writing of pieces, and Beam itself. Here shards come one after the other
instead of on threads, so that seconds add up. Memory is looked at every 20 ms.
"""

import argparse
import functools
import importlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks._lakes import made_lake, number

# Seconds by what the time went to, and by stage; where the flow's functions find them.
_SECONDS: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
_now = "Start"
# What is timed: module, name, kind of work.
_TIMED = (
    ("pipelines.flows.attribute", "read_group", "lake"),
    ("pipelines.transforms.stage", "gather", "pieces"),
    ("pipelines.transforms.stage", "scatter", "pieces"),
    ("pipelines.flows.attribute", "scatter", "pieces"),
)


def main() -> None:
    """Runs in a process of its own, so that the peak memory is the run's."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--size", default="100k", help="such as 100k, 1M or 10M")
    arguments.add_argument("--lakes", type=Path, help="folder where lakes are kept for next time")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory(dir=given.lakes) as scratch:
        lake = made_lake(given.lakes or Path(scratch), number(given.size))
        home = Path(scratch, "home")
        home.mkdir()
        # The same lake, under default settings.
        (home / "lake").symlink_to(lake.resolve() / "lake")
        settings = (lake / "pinsphere.toml").read_text().replace("necessity = 0\n", "")
        (home / "pinsphere.toml").write_text(settings)
        code = "import sys, benchmarks.full_run as full; full.measure(sys.argv[1])"
        subprocess.run([sys.executable, "-c", code, str(home)], check=True)


def measure(folder: str) -> None:
    """Runs the main job with clocks in it, and prints where the time went."""
    from pipelines import progress
    from pipelines.flows.run import run
    from schemas.home import Home

    _put_clocks()
    peaks: Counter[str] = Counter()
    stop = threading.Event()
    watch = threading.Thread(target=_watch_memory, args=(peaks, stop))
    watch.start()
    progress.restart(_follow)
    wall, cpu = time.perf_counter(), time.process_time()
    report = run(Home(folder), code_version="bench", progress=progress.begin)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    progress.end()
    stop.set()
    watch.join()
    print("| step, stage | wall s | kernels | lake | pieces | rest | rows | peak MB |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    for task in progress.tasks():
        _print_task(task, peaks[task.name])
    print(
        f"\n{report.events:,} events, {sum(report.rows.values()):,} result rows: {wall:.1f} s,"
        f" {cpu:.1f} s of CPU, {_status_mb('VmHWM'):.0f} MB at most"
    )
    _print_share(progress.tasks())


def _print_task(task: Any, peak: int) -> None:
    name = task.name if task.is_step else f"&nbsp; {task.name}"
    spent = _SECONDS[task.name]
    parts = [spent[kind] for kind in ("kernels", "lake", "pieces")]
    shown = [f"{part:.2f}" if part else "" for part in parts]
    rest = "" if task.is_step else f"{task.seconds - sum(parts):.2f}"
    cells = [name, f"{task.seconds:.2f}", *shown, rest, f"{task.rows:,}", str(peak or "")]
    print(f"| {' | '.join(cells)} |")


def _print_share(tasks: list[Any]) -> None:
    """What part of the flow's time is no kernel's."""
    total = sum(task.seconds for task in tasks if task.name == "Attributing")
    spent = {
        kind: sum(stage[kind] for stage in _SECONDS.values())
        for kind in ("kernels", "lake", "pieces")
    }
    beam = total - sum(spent.values())
    parts = [*spent.items(), ("Beam", beam)]
    said = ", ".join(f"{kind} {part:.1f} s ({part / total:.0%})" for kind, part in parts)
    print(f"Of {total:.1f} s of attributing: {said}")


class _TimedStep:
    """A stage's step with a clock; Beam pickles it, the clock stays in this module."""

    def __init__(self, step: Callable[..., Any]) -> None:
        self._step = step

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return _timed("kernels", self._step)(*arguments, **named)


def _put_clocks() -> None:
    flow = importlib.import_module("pipelines.flows.attribute")
    plain: Callable[..., dict[str, Any]] = flow.steps

    def timed_steps(*arguments: Any, **named: Any) -> dict[str, Any]:
        return {stage: _TimedStep(step) for stage, step in plain(*arguments, **named).items()}

    flow.steps = timed_steps  # type: ignore[attr-defined]
    for module, name, kind in _TIMED:
        place = importlib.import_module(module)
        setattr(place, name, _timed(kind, getattr(place, name)))
    for module in ("pipelines.flows.attribute", "pipelines.transforms.stage"):
        importlib.import_module(module).on_threads = map  # type: ignore[attr-defined]


def _timed(kind: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """The work with its seconds counted; a generator's only while it works."""

    @functools.wraps(work)
    def timed(*arguments: Any, **named: Any) -> Any:
        begin, stage = time.perf_counter(), _now
        made = work(*arguments, **named)
        _SECONDS[stage][kind] += time.perf_counter() - begin
        return _timed_items(kind, made) if isinstance(made, Iterator) else made

    return timed


def _timed_items(kind: str, items: Iterator[Any]) -> Iterator[Any]:
    while True:
        begin, stage = time.perf_counter(), _now
        item = next(items, _timed_items)
        _SECONDS[stage][kind] += time.perf_counter() - begin
        if item is _timed_items:
            return
        yield item


def _follow(task: Any) -> None:
    """Told by the run which step or stage begins."""
    global _now  # noqa: PLW0603 (one run a process)
    if task.seconds is None:
        _now = task.name


def _watch_memory(peaks: Counter[str], stop: threading.Event) -> None:
    while not stop.wait(0.02):
        name = _now
        peaks[name] = max(peaks[name], round(_status_mb("VmRSS")))


def _status_mb(what: str) -> float:
    found = re.search(rf"{what}:\s*(\d+)", Path(f"/proc/{os.getpid()}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    main()
