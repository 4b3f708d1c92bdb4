"""`pinsphere export graph`: a pinner's network as a file for Gephi and its like."""

import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Literal

import networkx as nx
from sqlalchemy import Connection, text

from pipelines.io.database import open_database
from schemas.durable import DurableFolder
from schemas.errors import UsageError
from schemas.home import Home

Format = Literal["graphml", "json"]
_EDGES = """
    SELECT p.person_id AS source, c.person_id AS target, COUNT(*) AS re_pins,
      MIN(c.pinned_at) AS first_re_pinned_at, MAX(c.pinned_at) AS last_re_pinned_at
    FROM current_pins c
    JOIN current_pins p ON p.site_id = c.site_id AND p.pin_id = c.parent_pin_id
    WHERE c.site_id = :site AND c.person_id <> p.person_id
    GROUP BY p.person_id, c.person_id ORDER BY p.person_id, c.person_id"""
_NODES = "SELECT * FROM pinner_sphere WHERE site_id = :site ORDER BY pinner_id"
_NO_ATTRIBUTES = ("run_id", "site_id", "pinner_id")


def export_graph(
    home: Home, pinner: str, *, site: str | None = None, hops: int = 2, form: Format = "graphml"
) -> bytes:
    """The published run's network around a pinner, as she passes things on.

    Nodes are the pinners within so many re-pins of her, with all that `pinner_sphere` knows of
    them; edges are all re-pins among these, from the pinner to who re-pinned.

    Args:
      home: whose database.
      pinner: whose network.
      site: her shop; may be left out where there is only one.
      hops: how far.
      form: GraphML, or networkx's node-link JSON.

    Raises:
      UsageError: no such site, or no such pinner in it.
    """
    settings = home.settings()
    if site is None and len(settings.sites) > 1:
        raise UsageError(f"which site? Add --site {' or --site '.join(sorted(settings.sites))}")
    site_id = site or next(iter(settings.sites), "")
    settings.site(site_id)
    engine = open_database(home, must_exist=True)
    try:
        # One snapshot: a run that is published meanwhile does not mix with this one.
        with engine.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
            graph = _around(connection, site_id, pinner, hops)
    finally:
        engine.dispose()
    return _written(graph, form)


def place_file(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""

    def write(file: BinaryIO) -> None:
        file.write(content)

    with DurableFolder(path.parent) as folder:
        folder.place(path, write)


def _around(connection: Connection, site_id: str, pinner: str, hops: int) -> "nx.DiGraph[str]":
    whole: nx.DiGraph[str] = nx.DiGraph()
    whole.add_nodes_from(_rows(connection, _NODES, site_id, ("pinner_id",)))
    if pinner not in whole:
        raise UsageError(
            f"no pinner {pinner!r} in the published run of site {site_id!r};"
            f" ids are in the view pinner_sphere, {len(whole):,} of them"
        )
    whole.add_edges_from(_rows(connection, _EDGES, site_id, ("source", "target")))
    near = nx.single_source_shortest_path_length(whole, pinner, hops)
    graph: nx.DiGraph[str] = whole.subgraph(near).copy()
    nx.set_node_attributes(graph, near, "hops")
    graph.graph.update(site_id=site_id, pinner_id=pinner, hops=hops)
    return graph


def _rows(
    connection: Connection, sql: str, site_id: str, keys: tuple[str, ...]
) -> Iterator[tuple[Any, ...]]:
    """(keys..., attributes) of each row; what is null is left out, as GraphML has no null."""
    for row in connection.execute(text(sql), {"site": site_id}).mappings():
        attributes = {
            name: float(value) if isinstance(value, Decimal) else value
            for name, value in row.items()
            if value is not None and name not in (*keys, *_NO_ATTRIBUTES)
        }
        yield (*(row[key] for key in keys), attributes)


def _written(graph: "nx.DiGraph[str]", form: Format) -> bytes:
    if form == "json":
        return json.dumps(nx.node_link_data(graph, edges="edges"), indent=1).encode() + b"\n"
    file = io.BytesIO()
    nx.write_graphml(graph, file)
    return file.getvalue() + b"\n"
