"""The pinner graph of one large shop: each measure by each engine, then the whole stage.

    python -m benchmarks.pinner_graph [PINS]

Draws power-law cascades (100,000 pins by default) of re-pins among people of whom a few pin most,
times every measure in a process of its own for each engine, and compares the answers. Then runs
the stage on them, with the spheres' people for marginal reach.
"""

import multiprocessing
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from pipelines.kernels.cascade import chains, grow_forest
from pipelines.kernels.columns import Ints
from pipelines.kernels.graph_networkx import NetworkxEngine
from pipelines.kernels.graph_scipy import ScipyEngine
from pipelines.kernels.hashing import mix
from pipelines.kernels.pinner_graph import join_repins, ties_of
from pipelines.transforms.graph import lineage, rank_pinners
from schemas.settings import Site

ENGINES = {"networkx": NetworkxEngine, "scipy": ScipyEngine}
TOP, VISITORS, SECOND_MS = 1_000, 2, 1_000
EXACT = ("pageranks", "core_numbers", "triangles", "network sphere 2", "network sphere 3")


class Shop(NamedTuple):
    """Pins in the order in which they were made."""

    parent: Ints  # row, -1 for a root
    owner: Ints


class Cost(NamedTuple):
    """What one engine took, and what it said where engines must agree."""

    seconds: dict[str, float]  # CPU
    megabytes: float
    answers: dict[str, Any]


def main() -> None:
    """Prints the costs; exit code 1 when the engines differ."""
    pins = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    # Spawned, so that each one's peak of memory is its own.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        cost = {name: pool.apply(measured, (pins, name)) for name in ENGINES}
        stage = pool.apply(whole_stage, (pins,))
    sizes = cost["scipy"].answers.pop("sizes")
    cost["networkx"].answers.pop("sizes")
    print(f"{pins:,} pins, {sizes[0]:,} pinners, {sizes[1]:,} edges; CPU seconds\n")
    print("| | networkx | scipy | ratio | scipy us an edge |\n|---|--:|--:|--:|--:|")
    for what in cost["scipy"].seconds:
        slow, fast = (cost[name].seconds[what] for name in ENGINES)
        print(
            f"| {what} | {slow:.2f} | {fast:.2f} | {slow / max(fast, 1e-9):.0f} |"
            f" {1e6 * fast / sizes[1]:.2f} |"
        )
    slow, fast = (cost[name].megabytes for name in ENGINES)
    print(f"| peak MB | {slow:.0f} | {fast:.0f} | {slow / fast:.1f} | |\n")
    for what, seconds in stage.seconds.items():
        print(f"{what}: {seconds:.2f} s, {1e6 * seconds / sizes[1]:.1f} us an edge")
    print(f"peak of the stage: {stage.megabytes:.0f} MB")
    is_equal = all(
        np.allclose(cost["networkx"].answers[name], cost["scipy"].answers[name], atol=1e-9)
        for name in EXACT
    )
    print("PASS: engines agree" if is_equal else "FAIL: engines differ")
    sys.exit(0 if is_equal else 1)


def draw(pins: int) -> Shop:
    """Seven of ten pins are re-pins, half of them of what the last one re-pinned: a power law."""
    chance = np.random.default_rng(1)
    is_repin, is_copy = chance.random(pins) < 0.7, chance.random(pins) < 0.5
    seen = (chance.random(pins) * np.arange(pins)).astype(np.int64)
    parent = np.full(pins, -1).tolist()
    for pin in np.flatnonzero(is_repin).tolist():
        above = parent[seen[pin]]
        parent[pin] = above if is_copy[pin] and above >= 0 else int(seen[pin])
    parent[0] = -1
    busy = chance.pareto(1.6, max(pins * 3 // 10, 1)) + 1
    return Shop(np.array(parent), chance.choice(len(busy), pins, p=busy / busy.sum()))


def measured(pins: int, name: str) -> Cost:
    """Every measure once, by one engine."""
    shop = draw(pins)
    pinners, owner = np.unique(shop.owner, return_inverse=True)
    repin = shop.parent >= 0
    edges = join_repins(owner[shop.parent[repin]], owner[repin], np.flatnonzero(repin))
    ties = ties_of(edges)
    seconds: dict[str, float] = {}
    answers: dict[str, Any] = {"sizes": (len(pinners), len(edges.pinner))}

    def timed(what: str, work: Callable[[], Any]) -> Any:
        begin = time.process_time()
        answers[what] = work()
        seconds[what] = time.process_time() - begin
        return answers[what]

    engine = timed("building", lambda: ENGINES[name](edges, ties, len(pinners)))
    timed("pageranks", engine.pageranks)
    # The greatest hubs, which cost most.
    re_pinners = np.bincount(edges.pinner, minlength=len(pinners))
    top = np.sort(np.argsort(-re_pinners, kind="stable")[:TOP])
    timed("core_numbers", engine.core_numbers)
    timed("components", engine.components)
    timed("triangles", lambda: engine.triangles(top))
    timed("network sphere 2", lambda: engine.spheres(top, 2))
    timed("network sphere 3", lambda: engine.spheres(top, 3))
    timed("communities", engine.communities)
    return Cost(seconds, peak(), {name: answers[name] for name in (*EXACT, "sizes")})


def whole_stage(pins: int) -> Cost:
    """RankPinners on the same shop."""
    shop = draw(pins)
    forest = grow_forest(shop.parent)
    person = pa.array([f"customer-{number:07}" for number in range(pins * 3 // 10)])
    table = pa.table(
        {
            "site_id": pa.array(["acme"] * pins),
            "person_id": person.take(pa.array(shop.owner)),
            "at": np.arange(pins) * SECOND_MS,
        }
    )
    site = Site(key="key-of-acme", currency="GBP", mature_days=1.0)
    begin = time.process_time()
    rows = lineage(table, forest, shop.owner)
    seconds = {"lineage": time.process_time() - begin}
    spheres = audience(shop, person)
    begin = time.process_time()
    made = rank_pinners({"lineage": rows, "audiences": spheres}, {"acme": site})
    pairs = len(spheres["people"].combine_chunks().flatten())
    seconds[f"RankPinners, {pairs:,} pairs of pinner and person"] = time.process_time() - begin
    return Cost(seconds, peak(), {name: len(rows) for name, rows in made.items()})


def audience(shop: Shop, person: pa.Array) -> pa.Table:
    """Spheres of every pinner: of each pin and all above it the owner meets its visitors."""
    links = chains(grow_forest(shop.parent))
    chance = np.random.default_rng(2)
    visitor = chance.integers(0, 5 * len(person), (len(shop.owner), VISITORS))
    pairs = np.concatenate(
        [
            shop.owner[links.ancestor] * 2**32 + visitor[links.pin, number]
            for number in range(VISITORS)
        ]
    )
    pairs = np.unique(pairs)
    pinner, start = np.unique(pairs >> 32, return_index=True)
    people = mix((pairs & (2**32 - 1)).astype(np.uint64)).view(np.int64)
    offsets = pa.array(np.append(start, len(pairs)), pa.int32())
    return pa.table(
        {
            "site_id": pa.array(["acme"] * len(pinner)),
            "pinner_id": person.take(pa.array(pinner)),
            "people": pa.ListArray.from_arrays(offsets, pa.array(people)),
        }
    )


def peak() -> float:
    """Megabytes that this process had resident at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
