"""The `attribute` flow beside DuckDB, Polars and row-at-a-time Beam: same files, same answers.

    python -m benchmarks.attribution [--sizes 100k,1M,10M] [--rounds 3] [--lakes FOLDER]

The job, by docs/attribution.md: repeats and crawlers dropped, orders less their refunds, visitors
stitched to customers, touches within 30 days, three models, credit by pinner and by product, and
each product's views, pins, landings and orders. Every engine does it in a fresh process with two
threads, in turns; medians are compared. Row-at-a-time Beam runs once, up to 1M; 30M is our flow's
alone. Exit code 1 if two engines answer differently; the bars are reported, not asserted.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks._lakes import made_lake, named, number
from command_line import LOADED_WITH

ENGINES = ("duckdb", "polars", "rows", "flow")
_ROWS_UP_TO, _OTHERS_UP_TO = 1_000_000, 10_000_000
_THREADS = dict.fromkeys(
    ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "ARROW_IO_THREADS"), "2"
)
# What a contender is: its module does the job, then says how much memory it took at most.
_CHILD = """
import importlib, pathlib, re, sys
home, out = map(pathlib.Path, sys.argv[2:])
importlib.import_module(f"benchmarks._{sys.argv[1]}").answer(home, out)
status = pathlib.Path("/proc/self/status").read_text()
(out / "peak").write_text(re.search(r"VmHWM:\\s*(\\d+)", status)[1])
"""
_ANSWERS = {
    "credits": (("dimension", "key", "model"), "micros"),
    "items": (("item_id", "what"), "n"),
}
Answers = dict[str, pa.Table]


class Cost(NamedTuple):
    """What one turn took."""

    cpu: float
    wall: float
    peak: float  # MB


class Bar(NamedTuple):
    """A promise, and how it came out."""

    text: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the value is on the right side of the limit."""
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def main() -> None:
    """Measures the sizes on the command line."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--sizes", default="100k", help="such as 100k,1M,10M,30M")
    arguments.add_argument("--rounds", type=int, default=3, help="turns of each engine")
    arguments.add_argument("--engines", default=",".join(ENGINES))
    arguments.add_argument("--lakes", type=Path, help="folder where lakes are kept for next time")
    given = arguments.parse_args()
    sizes = [number(size) for size in given.sizes.split(",")]
    engines = given.engines.split(",")
    with tempfile.TemporaryDirectory() as scratch:
        lakes = given.lakes or Path(scratch)
        measured = {
            size: _measure(made_lake(lakes, size), size, engines, given.rounds) for size in sizes
        }
    costs = {size: cost for size, (cost, _) in measured.items()}
    _print_bars(costs)
    differ = [text for _, texts in measured.values() for text in texts]
    if differ:
        sys.exit("\n".join(differ))


def _measure(
    home: Path, size: int, engines: list[str], rounds: int
) -> tuple[dict[str, Cost], list[str]]:
    """Runs the engines in turns; their median costs, and which answers differ."""
    turns: dict[str, list[Cost]] = {}
    answers: dict[str, Answers] = {}
    for round_ in range(rounds):
        for engine in engines:
            if size > (_ROWS_UP_TO if engine == "rows" else _OTHERS_UP_TO) and engine != "flow":
                continue
            if engine == "rows" and round_:
                continue
            with tempfile.TemporaryDirectory(dir=home) as out:
                turns.setdefault(engine, []).append(_turn(engine, home, Path(out)))
                answers[engine] = read_answers(Path(out))
    costs = {
        engine: Cost(*map(statistics.median, zip(*of_engine, strict=True)))
        for engine, of_engine in turns.items()
    }
    print(f"\n| {named(size)} events | CPU s | wall s | peak MB | CPU s, each turn |")
    print("|---|--:|--:|--:|---|")
    for engine, cost in costs.items():
        each = ", ".join(f"{turn.cpu:.2f}" for turn in turns[engine])
        print(f"| {engine} | {cost.cpu:.2f} | {cost.wall:.2f} | {cost.peak:.0f} | {each} |")
    sys.stdout.flush()
    return costs, differences(named(size), answers)


def _turn(engine: str, home: Path, out: Path) -> Cost:
    """One engine's job in a process of its own."""
    begin = time.perf_counter()
    command = [sys.executable, "-c", _CHILD, engine, str(home), str(out)]
    environment = os.environ | _THREADS | LOADED_WITH  # as `pinsphere run` has it
    with (out / "log").open("wb") as log:
        child = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        # wait4 tells the CPU of this child and of all it waited for.
        _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{engine} failed:\n{(out / 'log').read_text()[-4000:]}")
    peak = int((out / "peak").read_text()) / 1024
    return Cost(usage.ru_utime + usage.ru_stime, wall, peak)


def read_answers(out: Path) -> Answers:
    """What an engine has written."""
    return {name: pq.read_table(out / f"{name}.parquet") for name in _ANSWERS}


def differences(size: str, answers: dict[str, Answers]) -> list[str]:
    """A line for each engine and table that does not say what the first engine says."""
    found = []
    (first, expected), *others = answers.items() if answers else [("", {})]
    for engine, said in others:
        for name, (keys, value) in _ANSWERS.items():
            apart = _apart(expected[name], said[name], keys, value)
            if apart:
                found.append(f"{size}: {engine} and {first} differ in {apart} rows of {name}")
            else:
                total = pc.sum(said[name][value]).as_py()
                print(f"{size}: {engine} = {first}: {len(said[name]):,} {name}, sum {total:,}")
    return found


def _apart(one: pa.Table, other: pa.Table, keys: tuple[str, ...], value: str) -> int:
    """Rows that only one of two tables has; what is 0 may be missing."""
    both = [
        pa.table(
            {**{key: table[key].cast(pa.string()) for key in keys}, "n": table[value].cast("int64")}
        )
        for table in (one, other)
    ]
    place = both[0].schema.get_field_index("n")
    both[1] = both[1].set_column(place, "n", pc.negate(both[1]["n"]))
    sums = pa.concat_tables(both).group_by(list(keys)).aggregate([("n", "sum")])
    return sums.num_rows - int(pc.sum(pc.equal(sums["n_sum"], 0)).as_py() or 0)


def _print_bars(costs: dict[int, dict[str, Cost]]) -> None:
    bars = _bars(costs)
    if bars:
        print("\n| bar | limit | measured | |\n|---|--:|--:|---|")
    for bar in bars:
        side = ">=" if bar.at_least else "<="
        held = "held" if bar.holds else "missed"
        print(f"| {bar.text} | {side} {bar.limit:g} | {bar.value:.2f} | {held} |")


def _bars(costs: dict[int, dict[str, Cost]]) -> list[Bar]:
    """The bars that the measured sizes and engines can tell."""
    million, ten, thirty = (costs.get(n * 1_000_000, {}) for n in (1, 10, 30))
    bars = []
    for size, of_size in costs.items():
        if {"flow", "duckdb"} <= of_size.keys():
            ours, theirs = of_size["flow"], of_size["duckdb"]
            at = named(size)
            bars += [
                Bar(f"{at}: CPU, flow / DuckDB", ours.cpu / theirs.cpu, 1.1),
                Bar(f"{at}: wall, flow / DuckDB", ours.wall / theirs.wall, 1.4),
                Bar(f"{at}: peak memory, flow / DuckDB", ours.peak / theirs.peak, 1.0),
            ]
    if "flow" in ten:
        bars.append(Bar("10M: peak memory of the flow, MB", ten["flow"].peak, 700))
    if {"flow", "rows"} <= million.keys():
        bars.append(
            Bar("1M: CPU, rows / flow", million["rows"].cpu / million["flow"].cpu, 10, True)
        )
    if "flow" in million and "flow" in ten:
        bars.append(Bar("CPU of the flow, 10M / 1M", ten["flow"].cpu / million["flow"].cpu, 10.5))
    if "flow" in thirty:
        bars.append(Bar("30M: peak memory of the flow, MB", thirty["flow"].peak, 1024))
    return bars


if __name__ == "__main__":
    main()
