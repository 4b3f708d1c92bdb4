"""The picture of a sphere: nobody is left out, hidden or put where she does not belong."""

import math
import re
from collections import Counter
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.rings import LARGEST, Person, Rings, draw, lay_out

SVG = "{http://www.w3.org/2000/svg}"


MICROS = st.one_of(st.just(0), st.integers(-(10**9), 10**12))
# How far back who passed it on came (0: the pinner herself), hops beyond her, revenue.
STEPS = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 2), MICROS), max_size=40)


def sphere(steps: list[tuple[int, int, int]]) -> list[Person]:
    """People who each came through somebody nearer, or through the pinner."""
    people: list[Person] = []
    for place, (back, hops, micros) in enumerate(steps):
        passer = people[-back] if 0 < back <= place else None
        hop = 1 if passer is None else passer.hop + hops
        people.append(Person(f"v:{place}", hop, passer and passer.person_id, micros))
    return people


SPHERES = STEPS.map(sphere)


def crowd(count: int) -> list[Person]:
    """Many who landed from the pinner's own pins, a hub of hop 1, and a chain from there."""
    people = [Person("hub", 1, None, 5_000_000)]
    people += [Person(f"own-{n}", 1, None, 0 if n % 50 else n * 10_000) for n in range(count // 2)]
    people += [Person(f"hub-{n}", 2, "hub", 0) for n in range(count - len(people) - 5)]
    people += [
        Person(f"far-{hop}", hop, "hub-0" if hop == 3 else f"far-{hop - 1}", 0)
        for hop in range(3, 8)
    ]
    return people


def touching(rings: Rings) -> list[tuple[str, str]]:
    """Pairs of marks that overlap: a grid of the largest diameter finds them."""
    grid: dict[tuple[int, int], list[int]] = {}
    found = []
    for place, mark in enumerate(rings.marks):
        x, y = mark.at
        cell = int(x // (2 * LARGEST)), int(y // (2 * LARGEST))
        near = [
            other
            for dx in (-1, 0, 1)
            for dy in (-1, 0, 1)
            for other in grid.get((cell[0] + dx, cell[1] + dy), [])
        ]
        for other in near:
            than = rings.marks[other]
            if math.dist(mark.at, than.at) < mark.radius + than.radius:
                found.append((mark.person.person_id, than.person.person_id))
        grid.setdefault(cell, []).append(place)
    return found


@given(SPHERES)
def test_everybody_has_one_mark_in_her_own_ring(people: list[Person]) -> None:
    """Who counts the marks must get the reach that the table tells."""
    rings = lay_out(people)

    assert Counter(mark.person for mark in rings.marks) == Counter(people)
    of_hop = {ring.hop: ring for ring in rings.rings}
    for mark in rings.marks:
        ring = of_hop[mark.person.hop]
        assert ring.inner <= mark.distance - mark.radius + 1e-9
        assert mark.distance + mark.radius <= ring.outer + 1e-9
    for inner, outer in zip(rings.rings, rings.rings[1:], strict=False):
        assert inner.hop < outer.hop
        assert inner.outer < outer.inner
    assert all(math.isfinite(value) for mark in rings.marks for value in (*mark.at, mark.radius))


@given(SPHERES)
def test_everybody_lies_within_the_wedge_of_who_passed_it_on(people: list[Person]) -> None:
    """A line that crosses into another's wedge would tell of a reach that was not hers."""
    marks = lay_out(people).marks

    for mark in marks:
        low, high = mark.wedge
        assert low <= mark.angle <= high
        above = (0.0, math.tau) if mark.parent < 0 else marks[mark.parent].wedge
        assert above[0] - 1e-9 <= low
        assert high <= above[1] + 1e-9
        if mark.parent >= 0:
            assert marks[mark.parent].person.person_id == mark.person.passer_id


@given(SPHERES)
def test_marks_do_not_touch(people: list[Person]) -> None:
    """Of two marks on top of each other a merchandiser sees one person."""
    assert not touching(lay_out(people))


@given(SPHERES)
def test_area_is_revenue_but_for_the_smallest(people: list[Person]) -> None:
    """Twice the revenue, twice the ink; nobody disappears."""
    marks = lay_out(people).marks

    grown = [mark for mark in marks if mark.radius > 1]
    assert all(1 <= mark.radius <= LARGEST for mark in marks)
    for mark in grown:
        first = grown[0]
        assert mark.radius**2 / first.radius**2 == pytest.approx(
            mark.person.influenced_micros / first.person.influenced_micros
        )


@given(SPHERES, st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(people: list[Person], rng: object) -> None:
    """Two databases, two orders of rows, one picture: screenshots can be compared."""
    shuffled = people.copy()
    rng.shuffle(shuffled)  # type: ignore[attr-defined]

    assert lay_out(shuffled) == lay_out(people)


def test_seven_thousand_people_stay_apart_in_less_than_a_megabyte() -> None:
    """The largest spheres are the ones worth looking at."""
    rings = lay_out(crowd(7_000))

    svg = draw(rings, "the pinner", "GBP")

    assert len(rings.marks) == svg.count("<title>") - 1 == 7_000
    assert len(svg) < 1_000_000
    assert not touching(rings)
    # On a picture 900 pixels wide the smallest mark is a dot of some pixels.
    assert 900 / (2 * rings.extent) * 2 > 3


def test_marks_do_not_touch_where_the_circle_closes() -> None:
    """The last of a full row stands beside the first."""
    assert not touching(lay_out([Person(f"v:{n}", 1, None, n % 3) for n in range(1_500)]))


def test_a_chain_of_ten_thousand_hops_is_drawn() -> None:
    """A recursion would end with an error page."""
    chain = [
        Person(f"v:{hop}", hop, f"v:{hop - 1}" if hop > 1 else None, 0) for hop in range(1, 10_001)
    ]

    rings = lay_out(chain)

    assert [mark.parent for mark in rings.marks] == list(range(-1, 9_999))
    assert "nan" not in draw(rings, "u", "GBP")


def test_a_passer_who_is_not_nearer_is_no_parent() -> None:
    """Rows that contradict each other must not make a circle of parents."""
    people = [Person("a", 1, "b", 0), Person("b", 1, "a", 0), Person("c", 2, "gone", 0)]

    assert [mark.parent for mark in lay_out(people).marks] == [-1, -1, -1]


def test_the_picture_is_well_formed_and_says_who_is_who() -> None:
    """A screen reader and a pointer are told; names of people stay text."""
    name = '<script>alert("x")</script>&'
    people = [Person("a", 1, None, 12_500_000), Person(name, 2, "a", 0)]

    svg = draw(lay_out(people), name, "GBP")

    marks = ElementTree.fromstring(svg).findall(
        f".//{SVG}g[@class='marks']/{SVG}g/{SVG}circle/{SVG}title"
    )
    assert sorted(mark.text or "" for mark in marks) == [
        f"{name}, hop 2, 0.00 GBP",
        "a, hop 1, 12.50 GBP",
    ]
    assert "<script" not in svg
    assert not re.search(r"\sstyle=|\son\w+=", svg)
