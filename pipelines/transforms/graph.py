"""The pinner graph of each site: pinners ranked, re-pins followed, coverage of their spheres."""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.kernels.cascade import Forest
from pipelines.kernels.columns import (
    Bools,
    Floats,
    Ints,
    Tables,
    encoded,
    flat,
    ints,
    places,
    take,
)
from pipelines.kernels.coverage import cover_people
from pipelines.kernels.graph_networkx import NetworkxEngine
from pipelines.kernels.graph_scipy import ScipyEngine
from pipelines.kernels.pinner_graph import (
    Edges,
    Engine,
    Places,
    Ties,
    join_repins,
    newest_edges,
    place_pinners,
    ties_of,
)
from pipelines.kernels.reproduction import fit_prior, reproduction_rates
from pipelines.kernels.stretches import hash_order, reduced
from pipelines.transforms.sphere_tables import Pairs
from pipelines.transforms.wanted import EVERYTHING, Wanted
from schemas.results import result_schema
from schemas.settings import Site

# On more edges networkx takes seconds, and soon minutes, most of it for communities.
_NETWORKX_EDGES = 10_000
_RESULTS = ("pinner_graph", "site_graphs", "generations", "marginal_reach")
_ENGINES: dict[str, Callable[[Edges, Ties, int], Engine]] = {
    "networkx": NetworkxEngine,
    "scipy": ScipyEngine,
}


def lineage(pins: pa.Table, forest: Forest, owner: Ints) -> pa.Table:
    """LINEAGE: of each pin who made it, from whose pin, and how often others re-pinned it.

    Args:
      pins: the pins.
      forest: how they hang together.
      owner: [pins] codes of their people, -1 unknown.
    """
    # A re-pin by nobody known is one by another, as a visit by nobody known is.
    is_others = (forest.parent >= 0) & ((owner < 0) | (owner != owner[forest.parent]))
    return pa.table(
        {
            "site_id": pins["site_id"],
            "pinner_id": pins["person_id"],
            "parent_pinner_id": take(pins["person_id"], forest.parent),
            "generation": forest.hop,
            "re_pins": np.bincount(forest.parent[is_others], minlength=len(pins)),
            "at": pins["at"],
        }
    )


def audiences(pairs: Pairs) -> pa.Table:
    """AUDIENCES: the people of each pinner's sphere."""
    order = hash_order(pairs.person.view(np.uint64), pairs.pinner)
    size = np.bincount(pairs.pinner)
    pinner = np.flatnonzero(size)
    edges = np.append(0, np.cumsum(size[pinner]))
    person = pairs.person.take(order)
    pinners = pairs.pinners.take(pa.array(pinner))
    people = pa.ListArray.from_arrays(pa.array(edges, pa.int32()), pa.array(person))
    total = reduced(np.add, person, edges[:-1])  # wraps around, as hashes may
    return pinners.append_column("people", people).append_column("people_sum", pa.array(total))


class _Site(NamedTuple):
    """One site's pins as a graph of pinners."""

    pins: pa.Table  # LINEAGE
    is_mature: Bools  # [pins] old enough for its re-pins to be counted
    pinners: pa.Array  # [nodes] sorted ids
    owner: Ints  # [pins] node, -1 unknown
    edges: Edges  # all of them


def rank_pinners(tables: Tables, sites: Mapping[str, Site], wanted: Wanted = EVERYTHING) -> Tables:
    """Ranks pinners in the graph of re-pins. Takes pins and audiences of whole sites."""
    found = {name: [result_schema(name).empty_table()] for name in _RESULTS if name in wanted}
    seen = pa.chunked_array([c for t in tables.values() for c in t["site_id"].chunks], pa.string())
    sites_seen = pc.unique(seen).to_pylist()
    for site_id in sites_seen:
        own = tables
        if len(sites_seen) > 1:  # else a copy of all that a large site has
            own = {name: t.filter(pc.equal(t["site_id"], site_id)) for name, t in tables.items()}
        for name, table in _of_site(own, sites[site_id], wanted).items():
            column = pa.repeat(site_id, len(table))
            schema = found[name][0].schema
            rows = table.append_column("site_id", column).select(schema.names).cast(schema)
            found[name].append(rows)
    return {name: pa.concat_tables(parts) for name, parts in found.items()}


def _of_site(tables: Tables, site: Site, wanted: Wanted) -> Tables:
    @functools.cache
    def graph() -> _Site:
        return _graph_of(tables["lineage"], site)

    @functools.cache
    def placed() -> tuple[Places, Edges, str]:
        return _place(graph(), site)

    return wanted.made(
        pinner_graph=lambda: _pinner_graph(graph(), placed()[0]),
        site_graphs=lambda: _site_graph(graph(), *placed()),
        generations=lambda: _generations(graph()),
        marginal_reach=lambda: _marginal_reach(tables["audiences"], site),
    )


def _graph_of(pins: pa.Table, site: Site) -> _Site:
    pinned_by = encoded(pins["pinner_id"])
    order = pc.sort_indices(pinned_by.dictionary)
    pinners = pinned_by.dictionary.take(order)
    # The node of each id, and in the last place what -1, nobody known, is read as.
    node = np.full(len(pinners) + 1, -1, dtype=np.int64)
    node[np.asarray(order)] = np.arange(len(pinners))
    owner = node[ints(pinned_by.indices, missing=-1)]
    source = node[places(pins["parent_pinner_id"], pinned_by.dictionary)]
    at = ints(pins["at"])
    both = (owner >= 0) & (source >= 0)
    edges = join_repins(source[both], owner[both], at[both])
    return _Site(pins, at <= at.max() - site.mature_ms, pinners, owner, edges)


def _place(graph: _Site, site: Site) -> tuple[Places, Edges, str]:
    """Where pinners stand, by which edges, and which engine said so."""
    edges = newest_edges(graph.edges, site.graph_edges)
    name = site.graph_engine
    if name == "auto":
        name = "networkx" if len(edges.pinner) <= _NETWORKX_EDGES else "scipy"
    ties, count = ties_of(edges), len(graph.pinners)
    engine = _ENGINES[name](edges, ties, count)
    return place_pinners(engine, ties, count, site.graph_top_pinners), edges, name


def _pinner_graph(graph: _Site, places: Places) -> pa.Table:
    """A row for each pinner."""
    count = len(graph.pinners)
    known = graph.owner >= 0
    re_pins, is_mature = ints(graph.pins["re_pins"]), graph.is_mature

    def by_pinner(chosen: Bools, amount: Ints | None = None) -> Ints:
        weights = None if amount is None else amount[chosen]
        return np.bincount(graph.owner[chosen], weights, minlength=count).astype(np.int64)

    mature_pins = by_pinner(known & is_mature)
    children = by_pinner(known & is_mature, re_pins)
    rates = reproduction_rates(fit_prior(children, mature_pins), children, mature_pins)
    edges = graph.edges
    made = np.bincount(edges.repinner, edges.re_pins, minlength=count).astype(np.int64)

    def of_top(values: Ints | Floats) -> pa.Array:
        return pa.array(values, mask=~places.is_top | np.isnan(values))

    def if_mature(values: Floats) -> pa.Array:
        return pa.array(values, mask=mature_pins == 0)

    return pa.table(
        {
            "pinner_id": graph.pinners,
            "influence_rank": places.rank,
            "community_id": take(graph.pinners, places.community),
            "core_number": places.core_number,
            "re_pins_received": by_pinner(known, re_pins),
            "re_pins_made": made,
            "re_pinners": np.bincount(edges.pinner, minlength=count),
            "network_sphere_2": of_top(places.network_sphere_2),
            "network_sphere_3": of_top(places.network_sphere_3),
            "mature_pins": mature_pins,
            "pagerank": places.pagerank,
            "clustering": of_top(places.clustering),
            "brokerage_constraint": of_top(places.constraint),
            "effective_size": of_top(places.effective_size),
            "ego_density": of_top(places.ego_density),
            "reproduction_number": if_mature(rates.mean),
            "reproduction_low": if_mature(rates.low),
            "reproduction_high": if_mature(rates.high),
        }
    )


def _site_graph(graph: _Site, places: Places, edges: Edges, engine: str) -> pa.Table:
    """One row: how large the graph is, what of it was used, and by which engine."""
    is_pruned = len(edges.pinner) < len(graph.edges.pinner)
    communities = np.unique(places.community[places.community >= 0])
    mature, children = _mature(graph, np.ones(len(graph.pins), dtype=np.bool_))
    return pa.table(
        {
            "engine": [engine],
            "pinners": [len(graph.pinners)],
            "edges": [len(graph.edges.pinner)],
            "edges_used": [len(edges.pinner)],
            "components": [len(places.components)],
            "largest_component": [int(places.components.max(initial=0))],
            "communities": [len(communities)],
            "modularity": pa.array([places.modularity], from_pandas=True),
            "mature_pins": [mature],
            "reproduction_number": [children / mature if mature else None],
            "used_since_at": pa.array(
                [int(edges.last_at.min()) if is_pruned else None], pa.int64()
            ),
        }
    )


def _generations(graph: _Site) -> pa.Table:
    """A row for each generation of pins: roots are generation 0."""
    generation = ints(graph.pins["generation"])
    size = np.bincount(generation)
    mature, children = (
        np.array(
            [_mature(graph, generation == number) for number in range(len(size))], dtype=np.int64
        )
        .reshape(-1, 2)
        .T
    )
    return pa.table(
        {
            "generation": np.arange(len(size)),
            "pins": size,
            "mature_pins": mature,
            "re_pins": children,
            "reproduction_number": pa.array(children / np.maximum(mature, 1), mask=mature == 0),
        }
    )


def _mature(graph: _Site, chosen: Bools) -> tuple[int, int]:
    """How many of some pins are mature, and how often others re-pinned these."""
    mature = chosen & graph.is_mature
    return int(mature.sum()), int(ints(graph.pins["re_pins"])[mature].sum())


def _marginal_reach(audiences: pa.Table, site: Site) -> pa.Table:
    """A row for each pinner chosen, in the order of choice."""
    people = flat(audiences["people"])
    size = ints(pc.list_value_length(people))
    start = np.cumsum(size) - size
    # Of equals the first by id; the people stay where they are.
    order = np.asarray(pc.sort_indices(audiences["pinner_id"]))
    found = cover_people(
        start[order], size[order], ints(pc.list_flatten(people)), site.marginal_pinners
    )
    covered = np.cumsum(found.gained)
    return pa.table(
        {
            "place": np.arange(1, len(found.pinner) + 1),
            "pinner_id": take(audiences["pinner_id"], order[found.pinner]),
            "own_people": found.reached,
            "gained_people": found.gained,
            "covered_people": covered,
            "share": covered / max(found.people, 1),
        }
    )
