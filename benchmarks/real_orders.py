"""What it costs to import a shop's orders and to run the whole flow over them.

    python -m benchmarks.real_orders [FILE own=column,...]

Each step runs in a process of its own, so that its peak memory is its own; the home directory
is deleted afterwards. Without a file, 200,000 synthetic lines are made. The run's cost is also
given as a ratio to the import's in the same session, since machines differ and are noisy.
"""

import multiprocessing
import random
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SETTINGS = """
[sites.bench]
key = "bench-key"
currency = "GBP"
time_zone = "Europe/London"
"""
SYNTHETIC_LINES = 200_000


def main() -> None:
    """Measures the file named on the command line, or a synthetic one."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "pinsphere.toml").write_text(SETTINGS, encoding="utf-8")
        source = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else write_orders(home)
        pairs = sys.argv[2].split(",") if len(sys.argv) > 2 else []
        mapping = dict(pair.split("=", 1) for pair in pairs)
        print("| step | wall s | CPU s | peak MB | |\n|---|---|---|---|---|")
        imported = measure("import orders", import_file, home, source, mapping)
        ran = measure("run", run_flow, home)
    print(f"\nrun / import, wall: {ran / imported:.1f}")


def import_file(home: Path, source: Path, mapping: dict[str, str]) -> str:
    """Imports the orders."""
    from pipelines.io.import_orders import import_orders
    from schemas.home import Home

    done = import_orders(Home(home), [source], site="bench", mapping=mapping)
    return f"{done.read:,} rows, {done.quarantined:,} quarantined"


def run_flow(home: Path) -> str:
    """Runs the main job, published to SQLite; says what all orders add up to."""
    import sqlite3

    from pipelines.flows.run import run
    from schemas.home import Home
    from schemas.money import format_money

    began: dict[str, float] = {}
    report = run(
        Home(home),
        code_version="bench",
        progress=lambda step: began.setdefault(step, time.perf_counter()),
    )
    flow = began["Publishing"] - began["Attributing"]
    publishing = time.perf_counter() - began["Publishing"]
    database = sqlite3.connect(home / "pinsphere.db")
    (net,) = database.execute("SELECT SUM(net_micros) FROM current_orders").fetchone()
    database.close()
    lines, credits = report.rows["order_lines"], report.rows.get("order_credits", 0)
    return (
        f"{lines:,} lines, {credits:,} credits, net {format_money(net)};"
        f" flow {flow:.1f} s, publishing {publishing:.1f} s"
    )


def measure(name: str, step: Any, *arguments: Any) -> float:
    """Runs a step in a fresh process, prints its row, gives its wall seconds."""
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    child = context.Process(target=_timed, args=(answers, step, arguments))
    child.start()
    child.join()
    if child.exitcode:
        sys.exit(f"{name} failed")
    said, wall, cpu, peak = answers.get()
    print(f"| {name} | {wall:.1f} | {cpu:.1f} | {peak:.0f} | {said} |", flush=True)
    return float(wall)


def _timed(answers: Any, step: Any, arguments: tuple[Any, ...]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    said = step(*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answers.put((said, time.perf_counter() - wall, time.process_time() - cpu, peak))


def write_orders(folder: Path) -> Path:
    """A CSV of synthetic orders, about twenty lines each, one order in fifteen given back."""
    generator = random.Random(1)
    path = folder / "orders.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("order_id,ordered_at,customer_id,item_id,quantity,price\n")
        for line in range(SYNTHETIC_LINES):
            order = line // 20
            sign = -1 if order % 15 == 0 else 1
            quantity = sign * generator.randint(1, 12)
            file.write(
                f"{order},2025-{order % 12 + 1:02d}-{order % 28 + 1:02d} 12:00:00,"
                f"c{order % 3000},item{generator.randrange(4000)},{quantity},"
                f"{generator.randint(10, 9999) / 100:.2f}\n"
            )
    return path


if __name__ == "__main__":
    main()
