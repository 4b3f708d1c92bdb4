"""`pinsphere export graph`: what stands in the file is what the views say."""

import io
import json
from pathlib import Path

import networkx as nx
import pytest
from sqlalchemy import text

import pinsphere
from pipelines.flows.export_graph import export_graph
from pipelines.io.database import open_database
from schemas.errors import UsageError
from schemas.home import Home
from tests.integration.publishing import attribute, fill, happened

Pair = tuple[str, str]


@pytest.fixture
def repins(home: Home) -> dict[Pair, int]:
    """A published run, and the re-pins of acme by pinner and re-pinner, counted by hand."""
    fill(home, happened(21))
    attribute(home)
    engine = open_database(home)
    with engine.connect() as connection:
        rows = connection.execute(
            text("SELECT pin_id, parent_pin_id, person_id FROM current_pins WHERE site_id = 'acme'")
        ).all()
    engine.dispose()
    owner = {pin: person for pin, _, person in rows}
    found: dict[Pair, int] = {}
    for _, parent, person in rows:
        source = owner.get(parent)
        if source and person and source != person:
            found[source, person] = found.get((source, person), 0) + 1
    return found


def test_the_file_holds_whom_she_passes_on_to(home: Home, repins: dict[Pair, int]) -> None:
    """Nodes within the hops, all re-pins among them, and what the views know of each."""
    whole = nx.DiGraph(list(repins))
    pinner = max(whole, key=whole.out_degree)
    near = nx.single_source_shortest_path_length(whole, pinner, 2)

    found = nx.read_graphml(io.BytesIO(export_graph(home, pinner, site="acme")))

    assert set(found) == set(near)
    assert {edge: found.edges[edge]["re_pins"] for edge in found.edges} == {
        (one, other): n for (one, other), n in repins.items() if {one, other} <= set(near)
    }
    assert {node: found.nodes[node]["hops"] for node in found} == near
    assert found.nodes[pinner]["re_pinners"] == whole.out_degree(pinner)
    assert {"influence_rank", "reach_total", "credited"} <= set(found.nodes[pinner])


def test_json_says_what_graphml_says(home: Home, repins: dict[Pair, int]) -> None:
    """Who draws with D3 sees the picture of who draws with Gephi."""
    pinner = next(iter(repins))[0]
    content = {
        form: export_graph(home, pinner, site="acme", hops=3, form=form)
        for form in ("graphml", "json")
    }

    one = nx.read_graphml(io.BytesIO(content["graphml"]))
    other = nx.node_link_graph(json.loads(content["json"]), edges="edges")

    assert dict(one.nodes(data=True)) == dict(other.nodes(data=True))
    assert {(a, b): data for a, b, data in one.edges(data=True)} == {
        (a, b): data for a, b, data in other.edges(data=True)
    }


@pytest.mark.usefixtures("repins")
def test_an_unknown_pinner_is_named(home: Home) -> None:
    """A mistyped id must not give an empty picture."""
    with pytest.raises(UsageError, match=r"no pinner 'nobody' .* site 'acme'"):
        export_graph(home, "nobody", site="acme")
    with pytest.raises(UsageError, match="--site acme or --site bolt"):
        export_graph(home, "nobody")


def test_the_command_writes_the_file_or_prints_it(
    home: Home, repins: dict[Pair, int], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """`--output` for people, standard output for pipes."""
    pinner = next(iter(repins))[0]
    call = ["export", "graph", "--pinner", pinner, "--site", "acme", "--home", str(home.path)]
    file = tmp_path / "out" / "network.json"

    pinsphere.main([*call, "--format", "json", "--output", str(file)])
    capfdbinary.readouterr()
    pinsphere.main([*call, "--format", "json"])

    assert capfdbinary.readouterr().out == file.read_bytes()
    with pytest.raises(SystemExit) as ended:
        pinsphere.main([*call, "--hops", "0"])
    assert ended.value.code == 2
