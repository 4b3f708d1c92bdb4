"""One new day after many: what an incremental run costs beside a full one.

    python -m benchmarks.incremental [EVENTS]

Writes a lake of so many events over 100 days (100,000 by default), runs `pinsphere run`, writes
one more day, runs again, and at last `pinsphere run --full` on all of it: each in a process of its
own, publishing included. The tables must be equal. From a million events on the day may cost a
fifth of the full run; below, both are the start of Python and Beam.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import text

from benchmarks._events import write_day, write_lake
from pipelines.io.database import open_database
from schemas.home import Home
from schemas.results import result_key, result_schema
from schemas.tables import RESULTS

DAYS = 100
MAX_RATIO, FROM_EVENTS = 0.2, 1_000_000


class Cost(NamedTuple):
    """What one process took."""

    wall_seconds: float
    cpu_seconds: float
    peak_mb: float


def main() -> None:
    """Prints the costs and whether the bar is held; exit code 1 when it is not."""
    events = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder, "home")
        write_lake(home, events, days=DAYS)
        costs = {"full run": measured(home)}
        write_day(home, events, DAYS, days=DAYS)
        costs["one more day"] = measured(home)
        after_a_day = digests(home)
        costs["full run again"] = measured(home, "--full")
        different = [name for name, digest in digests(home).items() if digest != after_a_day[name]]
    print(f"{events:,} events over {DAYS} days, then one day more:\n")
    print("| run | wall s | CPU s | peak MB |\n|---|--:|--:|--:|")
    for name, cost in costs.items():
        print(f"| {name} | {cost.wall_seconds:.1f} | {cost.cpu_seconds:.1f} | {cost.peak_mb:.0f} |")
    day, full = costs["one more day"], costs["full run again"]
    ratios = [mine / theirs for mine, theirs in zip(day[:2], full[:2], strict=True)]
    is_held = not different and (events < FROM_EVENTS or max(ratios) <= MAX_RATIO)
    print(f"\nthe day / the full run: wall {ratios[0]:.2f}, CPU {ratios[1]:.2f} (<= {MAX_RATIO})")
    print(f"tables equal: {'yes' if not different else 'NO: ' + ', '.join(different)}")
    print("PASS" if is_held else "FAIL")
    sys.exit(0 if is_held else 1)


def measured(home: Path, *options: str) -> Cost:
    """Runs `pinsphere run` in a process of its own.

    Raises:
      RuntimeError: it failed.
    """
    os.sync()  # a day lies between runs: none of them writes out what the one before has left
    began = time.monotonic()
    command = [sys.executable, "-m", "pinsphere", "run", "--home", os.fspath(home), *options]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} failed: {status}")
    cpu = used.ru_utime + used.ru_stime
    return Cost(time.monotonic() - began, cpu, used.ru_maxrss / 1024)


def digests(home: Path) -> dict[str, str]:
    """A digest of each published table."""
    engine = open_database(Home(home))
    found = {}
    with engine.connect() as connection:
        for name in RESULTS:
            columns = ", ".join(result_schema(name).names)
            key = ", ".join(result_key(name))
            digest = hashlib.blake2b(digest_size=16)
            query = text(f"SELECT {columns} FROM current_{name} ORDER BY {key}")  # noqa: S608 (our own names)
            for row in connection.execution_options(stream_results=True).execute(query):
                digest.update(repr(tuple(row)).encode())
            found[name] = digest.hexdigest()
    engine.dispose()
    return found


if __name__ == "__main__":
    main()
