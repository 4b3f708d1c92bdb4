"""The picture of a cascade: every pin is in it, drawn or counted as left out."""

from itertools import pairwise
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from console.branches import leaf_spans
from console.trees import DRAWN, Pin, draw, lay_out

SVG = "{http://www.w3.org/2000/svg}"


# How far back the parent was pinned, visits, credit.
STEPS = st.lists(
    st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(-10, 10**9)), max_size=40
)


def cascade(steps: list[tuple[int, int, int]]) -> list[Pin]:
    """A root and re-pins below it."""
    pins = [Pin("p0", None, "v:0", "mug", 0, 0, 0)]
    for place, (back, visits, micros) in enumerate(steps, start=1):
        above = pins[-min(back, place)]
        pins.append(Pin(f"p{place}", above.pin_id, None, None, above.hop + 1, visits, micros))
    return pins


CASCADES = STEPS.map(cascade)


@given(CASCADES, st.integers(1, 50))
def test_drawn_and_left_out_are_all_pins(pins: list[Pin], limit: int) -> None:
    """A collapsed branch is said to be one; nothing disappears."""
    nodes = lay_out(pins, limit=limit).nodes

    drawn = [node.pin for node in nodes if node.pin is not None]
    assert len(drawn) == min(limit, len(pins))
    assert len(drawn) + sum(node.more for node in nodes) == len(pins)
    assert set(drawn) <= set(pins)


@given(CASCADES, st.integers(1, 50))
def test_pins_hang_on_their_parents(pins: list[Pin], limit: int) -> None:
    """Whoever is drawn is joined to the root: no branch floats, none changes its tree."""
    nodes = lay_out(pins, limit=limit).nodes

    assert sum(node.parent < 0 for node in nodes) == 1
    for node in nodes:
        if node.parent < 0:
            continue
        above = nodes[node.parent]
        assert above.pin is not None
        assert node.hop == above.hop + 1
        if node.pin is not None:
            assert node.pin.parent_pin_id == above.pin.pin_id


@given(CASCADES, st.integers(1, 50))
def test_no_two_pins_share_a_place(pins: list[Pin], limit: int) -> None:
    """Marks of one hop are a row apart, or one would hide the other."""
    nodes = lay_out(pins, limit=limit).nodes

    for hop in {node.hop for node in nodes}:
        rows = sorted(node.row for node in nodes if node.hop == hop)
        assert all(low + 1 <= high for low, high in pairwise(rows))


@given(st.lists(st.integers(0, 30), max_size=40))
def test_spans_of_children_part_their_parents_span(steps: list[int]) -> None:
    """Leaf shares are what both pictures give as room: all of it, to nobody twice."""
    parents = [place - 1 - step if step < place else -1 for place, step in enumerate(steps)]

    spans = leaf_spans(parents)

    for place, span in enumerate(spans):
        children = sorted(spans[child] for child, above in enumerate(parents) if above == place)
        ends = [span.start, *(child.start + child.leaves for child in children)]
        if children:
            assert [child.start for child in children] == ends[:-1]
            assert ends[-1] == span.start + span.leaves
        else:
            assert span.leaves == 1


def test_thousands_of_pins_and_a_long_chain_are_drawn() -> None:
    """The picture stays small; what it leaves out it counts."""
    chain = [Pin(f"c{n}", f"c{n - 1}" if n else None, None, None, n, 0, 0) for n in range(10_000)]
    star = [Pin(f"s{n}", "c0", "v:9", "mug", 1, n % 7, n) for n in range(5_000)]

    tree = lay_out(chain + star)
    svg = draw(tree, "GBP", asked="c0")

    assert svg.count("<circle") == DRAWN
    assert sum(node.more for node in tree.nodes) == 15_000 - DRAWN
    assert len(svg) < 200_000


def test_the_pin_asked_for_is_drawn_with_its_chain() -> None:
    """Who comes from the smallest pin of a large cascade wants to see where it is."""
    pins = [Pin("root", None, None, None, 0, 0, None), Pin("asked", "root", None, None, 1, 0, None)]
    pins += [Pin(f"p{n}", "root", None, None, 1, 5, None) for n in range(50)]

    drawn = [node.pin.pin_id for node in lay_out(pins, "asked", 3).nodes if node.pin]

    assert drawn == ["root", "asked", "p0"]


def test_names_stay_text() -> None:
    """An id comes from a page that anybody may have written to."""
    name = "<script>alert(1)</script>"
    pins = [Pin(name, None, name, name, 0, 3, 12_500_000)]

    svg = draw(lay_out(pins), "GBP", asked=name)

    title = ElementTree.fromstring(svg).findtext(f".//{SVG}circle[@class='asked']/{SVG}title")
    assert title == f"pin {name} of {name} by {name}, 3 visits, 12.50 GBP"


def test_a_name_is_cut_where_ids_are_alike() -> None:
    """A tree of ten times "customer-…" names nobody."""
    ids = [f"{'customer-' * 20}{n}" for n in range(3)]
    pins = [Pin(one, ids[n - 1] if n else None, one, None, n, 0, None) for n, one in enumerate(ids)]

    svg = draw(lay_out(pins), "GBP", asked=ids[0])

    names = [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert {name[0] for name in names} == {"\N{HORIZONTAL ELLIPSIS}"}
    assert [name[-2:] for name in names] == ["-0", "-1", "-2"]
