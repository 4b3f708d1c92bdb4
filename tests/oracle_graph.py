"""The oracle's fifth part: the pinner graph, read off the oracle's own pins and spheres.

Loops over rows, and networkx called as its documentation shows.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import networkx as nx

from schemas.settings import Site

Row = dict[str, Any]
DAY_MS = 86_400_000


def graph_truth(tables: Mapping[str, Sequence[Row]], sites: Mapping[str, Site]) -> dict[str, Any]:
    """What can be told without fitting: rows of four tables, floats to nine decimals."""
    found: dict[str, list[Row]] = defaultdict(list)
    for site_id, site in sites.items():
        pins = [row for row in tables["pins"] if row["site_id"] == site_id]
        edges = [row for row in tables["sphere_edges"] if row["site_id"] == site_id]
        if pins:
            rows = _of_pins(pins, site) | {"marginal_reach": _cover(edges, site)}
            for name, own in rows.items():
                found[name] += [{"site_id": site_id, **row} for row in own]
    return found


def _of_pins(pins: Sequence[Row], site: Site) -> dict[str, list[Row]]:
    by_id = {row["pin_id"]: row for row in pins}
    newest = max(row["pinned_at"] for row in pins)
    mature = {
        row["pin_id"] for row in pins if newest - row["pinned_at"] >= site.mature_days * DAY_MS
    }
    children: Counter[str] = Counter()
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(sorted({row["person_id"] for row in pins} - {None}))
    for row in pins:
        parent = by_id.get(row["parent_pin_id"] or "")
        if parent is None:
            continue
        who, source = row["person_id"], parent["person_id"]
        if who is None or who != source:
            children[parent["pin_id"]] += 1
        if who is not None and source is not None and who != source:
            before = graph.get_edge_data(source, who, {"weight": 0})["weight"]
            graph.add_edge(source, who, weight=before + 1)

    def count(owner: str | None, chosen: set[str]) -> int:
        return sum(children[pin] for pin in chosen if by_id[pin]["person_id"] == owner)

    rank = nx.pagerank(graph.reverse(), tol=1e-12, max_iter=500) if graph else {}
    core = nx.core_number(graph.to_undirected())
    parts = [len(part) for part in nx.weakly_connected_components(graph)]
    return {
        "pinner_graph": [
            {
                "pinner_id": pinner,
                "pagerank": round(rank[pinner], 9),
                "core_number": core[pinner],
                "network_sphere_2": len(nx.ego_graph(graph, pinner, 2)) - 1,
                "network_sphere_3": len(nx.ego_graph(graph, pinner, 3)) - 1,
                "re_pins_received": count(pinner, set(by_id)),
                "re_pins_made": graph.in_degree(pinner, weight="weight"),
                "re_pinners": graph.out_degree(pinner),
                "mature_pins": sum(by_id[pin]["person_id"] == pinner for pin in mature),
            }
            for pinner in graph
        ],
        "site_graphs": [
            {
                "engine": "networkx",
                "pinners": len(graph),
                "edges": graph.number_of_edges(),
                "edges_used": graph.number_of_edges(),
                "components": len(parts),
                "largest_component": max(parts, default=0),
                **_reproduction(mature, children),
            }
        ],
        "generations": [
            {
                "generation": hop,
                "pins": sum(row["hop"] == hop for row in pins),
                "re_pins": sum(children[pin] for pin in mature if by_id[pin]["hop"] == hop),
                **_reproduction({pin for pin in mature if by_id[pin]["hop"] == hop}, children),
            }
            for hop in range(max(row["hop"] for row in pins) + 1)
        ],
    }


def _reproduction(mature: set[str], children: Counter[str]) -> Row:
    total = sum(children[pin] for pin in mature)
    return {
        "mature_pins": len(mature),
        "reproduction_number": round(total / len(mature), 9) if mature else None,
    }


def _cover(edges: Sequence[Row], site: Site) -> list[Row]:
    spheres: dict[str, set[str]] = defaultdict(set)
    for row in edges:
        spheres[row["pinner_id"]].add(row["person_id"])
    everybody = set().union(*spheres.values())
    covered: set[str] = set()
    rows: list[Row] = []
    while covered != everybody and len(rows) < site.marginal_pinners:
        pinner = min(spheres, key=lambda one: (-len(spheres[one] - covered), one))
        gained = len(spheres[pinner] - covered)
        covered |= spheres[pinner]
        rows.append(
            {
                "place": len(rows) + 1,
                "pinner_id": pinner,
                "own_people": len(spheres[pinner]),
                "gained_people": gained,
                "covered_people": len(covered),
                "share": round(len(covered) / len(everybody), 9),
            }
        )
    return rows
