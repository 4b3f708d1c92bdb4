"""How long an import of order lines takes, and how much memory.

    python benchmarks/import_orders.py orders.parquet order_id=InvoiceNo,item_id=StockCode,...

Runs in a child process with a home directory of its own, which is deleted afterwards.
"""

import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

SETTINGS = """
[sites.bench]
key = "bench-key"
currency = "GBP"
time_zone = "Europe/London"
"""


def main() -> None:
    """Imports the file named on the command line and prints what that cost."""
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python benchmarks/import_orders.py FILE [own=column,...]")
    pairs = [pair.split("=", 1) for pair in sys.argv[2].split(",")] if len(sys.argv) == 3 else []
    mapping = dict(pairs)
    child = multiprocessing.get_context("spawn").Process(
        target=_measure, args=(Path(sys.argv[1]).resolve(), mapping)
    )
    child.start()
    child.join()
    sys.exit(child.exitcode)


def _measure(path: Path, mapping: dict[str, str]) -> None:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from pipelines.io.import_orders import import_orders
    from schemas.settings import Home

    idle_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as folder:
        home = Home(folder)
        home.settings_file.write_text(SETTINGS, encoding="utf-8")
        wall, cpu = time.perf_counter(), time.process_time()
        imported = import_orders(home, [path], site="bench", mapping=mapping)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(imported)
    print(f"{wall:.2f} s, {cpu:.2f} CPU s, peak {peak_mb:.0f} MB ({idle_mb:.0f} MB before)")


if __name__ == "__main__":
    main()
