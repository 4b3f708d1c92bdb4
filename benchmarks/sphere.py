"""The sphere engine: its speed, beside networkx, its growth, its memory, and in the flow.

    python -m benchmarks.sphere [--largest 10M] [--flow 1M] [--lakes FOLDER]
    python -m benchmarks.sphere --hot 1M

Power-law cascades, 4.6 landings a pin. The forest's measures alone (growing, depth, breadth,
structural virality of every sub-tree, topmost pins) are told apart from the whole, which finds
every pair of pinner and person as well. Each size runs in a process of its own, for its memory.
CPU seconds, one thread. Exit code 1 if the engines differ or a hot cascade is not exact.

`--hot` runs the flow alone, twice: on one cascade that holds all pins and ten landings a pin, and
on one pinner who reached that many people through a cascade for each hundred. Every edge is
compared with what is true. Exit code 1 if one is wrong, or if a run takes more than 2 GB.
"""

import argparse
import functools
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._cascades import LANDINGS_A_PIN, Cascades, cascades, hot_cascade, write_lake
from benchmarks._hot import Shop, hot_pinner, read_edges, viral_cascade
from benchmarks._lakes import named, number
from pipelines.kernels.cascade import grow_forest
from pipelines.kernels.landings import Landings

_BLOCK = 1 << 16
_MOST_MB = 2048
_FLOW_RESULTS = ("pinner_spheres", "sphere_edges", "cascades", "pins")
_THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "ARROW_IO_THREADS"), "1")
_DRAW = """
import sys
import numpy as np
from benchmarks._cascades import cascades
forest, owner, pinned_at, landings = cascades(int(sys.argv[2]))
for number, column in enumerate((forest.parent, owner, pinned_at, *landings)):
    np.save(f"{sys.argv[1]}/{number}.npy", column)
"""
Found = dict[str, Any]


def main() -> None:
    """Measures all parts, each in a child."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--largest", default="10M", help="of 100k, 1M and 10M pins")
    arguments.add_argument("--flow", default="1M", help="pins through the flow; 0 for none")
    arguments.add_argument("--lakes", type=Path, help="folder where lakes are kept for next time")
    arguments.add_argument("--hot", help="pins of one cascade, people of one pinner")
    arguments.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.part:
        print(json.dumps(_PARTS[given.part[0]](given.part[1])))
        return
    if given.hot:
        _run_hot(number(given.hot))
        return
    sizes = [size for size in (100_000, 1_000_000, 10_000_000) if size <= number(given.largest)]
    forest, engines = _child("forest", _BLOCK), _child("engines", 30_000)
    grown = [_child("whole", size) for size in sizes]
    hot = _child("hot", min(sizes[-1], 1_000_000))
    _print_sizes(sizes, grown)
    bars = [
        ("forest, 64k pins at a time, M pins/s", forest["rate"] / 1e6, ">=", 3),
        ("networkx / vector, CPU", engines["ratio"], ">=", 15),
        *(
            (f"CPU, {named(size)} / {named(size // 10)}", now["cpu"] / before["cpu"], "<=", 12)
            for size, before, now in zip(sizes[1:], grown, grown[1:], strict=False)
        ),
        *(
            ("10M pins, peak MB", each["peak"], "<=", 2048)
            for size, each in zip(sizes, grown, strict=True)
            if size == 10_000_000
        ),
    ]
    print("\n| bar | limit | measured | |\n|---|--:|--:|---|")
    for name, value, side, limit in bars:
        held = value >= limit if side == ">=" else value <= limit
        print(f"| {name} | {side} {limit} | {value:.2f} | {'held' if held else 'missed'} |")
    print(f"\nhot cascade: {_said(hot)}")
    if number(given.flow):
        with tempfile.TemporaryDirectory() as scratch:
            _print_flow(_child("flow", _lake(given.lakes or Path(scratch), number(given.flow))))
    if not (engines["equal"] and hot["exact"]):
        sys.exit("the engines differ, or the hot cascade is not exact")


def _run_hot(size: int) -> None:
    """The flow on shops that are one key."""
    print("| shop | edges | exact | CPU s | wall s | peak MB |")
    print("|---|--:|---|--:|--:|--:|")
    is_held = True
    for shop in ("cascade", "pinner"):
        with tempfile.TemporaryDirectory() as home:
            true = _child(f"hot_{shop}", f"{size}:{home}")
            flow = _child("flow", home)
            is_exact = (flow["sphere_edges"], flow["digest"]) == (true["edges"], true["digest"])
        is_held &= is_exact and flow["peak"] <= _MOST_MB
        costs = f"{flow['cpu']:.0f} | {flow['wall']:.0f} | {flow['peak']:.0f}"
        print(f"| {shop} | {true['edges']:,} | {is_exact} | {costs} |", flush=True)
    if not is_held:
        sys.exit("an edge is wrong, or memory grew with the pairs")


def _child(part: str, of: object) -> Found:
    """A part in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.sphere", "--part", part, str(of)]
    done = subprocess.run(
        command, env=os.environ | _THREADS, stdout=subprocess.PIPE, check=True, text=True
    )
    found: Found = json.loads(done.stdout)
    return found


def _print_sizes(sizes: list[int], grown: list[Found]) -> None:
    print("| pins | landings | pairs found | CPU s | k pins/s | M pairs/s | peak MB |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for size, each in zip(sizes, grown, strict=True):
        rates = f"{size / each['cpu'] / 1e3:.0f} | {each['pairs'] / each['cpu'] / 1e6:.1f}"
        cells = f"{size:,} | {int(size * LANDINGS_A_PIN):,} | {each['pairs']:,}"
        print(f"| {cells} | {each['cpu']:.2f} | {rates} | {each['peak']:.0f} |")


def _print_flow(flow: Found) -> None:
    print(f"\nthe flow: {_said(flow)}")


def _said(found: Found) -> str:
    return ", ".join(
        f"{name} {value:,.1f}" if isinstance(value, float) else f"{name} {value}"
        for name, value in found.items()
    )


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _forest(pins: str) -> Found:
    """The measures of the forest, block by block: what needs no landing."""
    from pipelines.kernels.sphere import measure_spheres

    world = cascades(int(pins))
    nobody = np.full(len(world.owner), -1)
    nothing = Landings(*np.zeros((3, 0), dtype=np.int64))
    turns = []
    for _ in range(15):
        begin = time.process_time()
        measure_spheres(grow_forest(world.forest.parent), nobody, world.pinned_at, nothing)
        turns.append(time.process_time() - begin)
    return {"rate": len(nobody) / float(np.median(turns))}


def _engines(pins: str) -> Found:
    """The same job by both engines."""
    from pipelines.kernels import sphere, sphere_networkx

    world = cascades(int(pins))
    answers, costs = [], []
    for engine in (sphere.measure_spheres, sphere_networkx.measure_spheres):
        begin = time.process_time()
        answers.append(engine(*world))
        costs.append(time.process_time() - begin)
    pairs = [[_sorted(kind) for kind in answer] for answer in answers]
    equal = all(map(np.array_equal, *pairs))
    return {"ratio": costs[1] / costs[0], "equal": equal, "vector": costs[0], "networkx": costs[1]}


def _sorted(kind: Any) -> Any:
    columns = np.array(kind)
    return columns[:, np.lexsort(columns)]


def _measure(world: Cascades) -> Found:
    from pipelines.kernels.sphere import measure_blocks

    begin = time.process_time()
    pairs = visits = 0
    for found in measure_blocks(*world):
        pairs += len(found.reach.person)
        visits += int(found.hop_visits.visits.sum())
    return {
        "cpu": time.process_time() - begin, "pairs": pairs, "visits": visits, "peak": _peak_mb()
    }  # fmt: skip


def _whole(pins: str) -> Found:
    """Everything, pairs included; what was found is dropped block by block.

    The cascades are drawn in another process, whose memory is not the engine's.
    """
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, "-c", _DRAW, scratch, pins], check=True)
        columns = (np.load(Path(scratch, f"{number}.npy")) for number in range(6))
        forest = grow_forest(next(columns))  # before landings, which it does without, are there
        owner, pinned_at, *landed = columns
    return _measure(Cascades(forest, owner, pinned_at, Landings(*landed)))


def _hot(pins: str) -> Found:
    """One cascade with ten landings a pin; its root's sphere is counted by hand as well."""
    from pipelines.kernels.landings import with_repins
    from pipelines.kernels.sphere import measure_blocks

    world = hot_cascade(int(pins), 10 * int(pins))
    first, pairs, reached = world.owner[0], 0, []
    begin = time.process_time()
    for part in measure_blocks(*world):
        pairs += len(part.reach.person)
        reached.append(part.reach.person[part.reach.pinner == first])
    cpu, peak = time.process_time() - begin, _peak_mb()
    everybody = with_repins(world.forest.parent, *world[1:]).person
    people = np.unique(everybody[everybody != first])
    exact = np.array_equal(np.sort(np.concatenate(reached)), people)
    return {"cpu": cpu, "pairs": pairs, "peak": peak, "exact": exact}


def _lake(lakes: Path, pins: int) -> Path:
    home = lakes / f"cascades{named(pins).lower()}"
    if not (home / "complete").exists():
        write_lake(home, cascades(pins))
        (home / "complete").touch()
    return home


def _flow(folder: str) -> Found:
    """The main flow, all results of spheres."""
    from pipelines.flows.attribute import attribute
    from pipelines.io.lake import lake_files
    from schemas.home import Home

    home = Home(folder)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        begin = time.process_time(), time.perf_counter()
        files = attribute(
            home, lake_files(home), home.settings(), Path(scratch), results=_FLOW_RESULTS
        )
        cpu, wall = time.process_time() - begin[0], time.perf_counter() - begin[1]
        rows = {name: sum(f.rows for f in files if f.table == name) for name in _FLOW_RESULTS}
        peak = _peak_mb()
        edges = read_edges(file.path for file in files if file.table == "sphere_edges")
    return {"cpu": cpu, "wall": wall, "peak": peak, **rows, "digest": edges.digest}


def _hot_shop(shop: Callable[[int], Shop], of: str) -> Found:
    """Writes the lake of a shop that is one key; gives what is true of it."""
    size, home = of.split(":", 1)
    world, edges = shop(int(size))
    write_lake(Path(home), world)
    return {"edges": edges.rows, "digest": edges.digest}


_PARTS: dict[str, Callable[[str], Found]] = {
    "forest": _forest,
    "engines": _engines,
    "whole": _whole,
    "hot": _hot,
    "flow": _flow,
    "hot_cascade": functools.partial(_hot_shop, viral_cascade),
    "hot_pinner": functools.partial(_hot_shop, hot_pinner),
}


if __name__ == "__main__":
    main()
