"""Add the pinner graph of each site, its generations of pins, and marginal reach.

They are empty until the next run, which is a full one: the release is another.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

OPEN_RUN = 2**62


def _count(name: str, comment: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable, comment=comment)


def _number(name: str, comment: str, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.Float(), nullable=nullable, comment=comment)


def _text(name: str, size: int, comment: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=size), nullable=nullable, comment=comment)


def _make(name: str, key: str | None, *own: sa.Column[Any]) -> None:
    """Makes a result table; its rows stand for an interval of runs."""
    keys = ["base_run", "site_id", *([key] if key else []), "since_run"]
    op.create_table(
        name,
        _count("base_run", "Number of the full run that this run and the row go back to"),
        _text("site_id", 64, "Shop the row belongs to"),
        *own,
        _count("since_run", "Number of the run that wrote the row"),
        _count("until_run", "Run that took it back; 2^62 while it stands"),
        sa.PrimaryKeyConstraint(*keys, name=op.f(f"pk_{name}")),
        sqlite_with_rowid=False,
    )
    ended = sa.text(f"until_run < {OPEN_RUN}")
    op.create_index(
        f"ix_{name}_ended",
        name,
        ["base_run", "until_run"],
        sqlite_where=ended,
        postgresql_where=ended,
    )


def upgrade() -> None:
    """Applies the change."""
    _make(
        "pinner_graph",
        "pinner_id",
        _text("pinner_id", 130, "Pinner"),
        _count("influence_rank", "1 is the most influential, by PageRank of re-pins"),
        _text(
            "community_id",
            130,
            "Community, named after its pinner of highest rank; null without re-pins",
            nullable=True,
        ),
        _count("core_number", "Greatest k of a group in which all have k ties"),
        _count("re_pins_received", "Re-pins of her pins by others"),
        _count("re_pins_made", "Pins she made from other pinners' pins"),
        _count("re_pinners", "Other pinners who re-pinned hers"),
        _count("network_sphere_2", "Pinners within 2 re-pins: potential, not reach", nullable=True),
        _count("network_sphere_3", "Pinners within 3 re-pins", nullable=True),
        _count("mature_pins", "Her pins old enough to tell how often they are re-pinned"),
        _number("pagerank", "Share of influence; all pinners' sum to 1", nullable=False),
        _number("clustering", "Share of pairs of her neighbours with a tie"),
        _number("brokerage_constraint", "Burt's constraint; low for a broker"),
        _number("effective_size", "Neighbours less their ties to each other"),
        _number("ego_density", "Share of pairs with a tie, herself among them"),
        _number(
            "reproduction_number",
            "Re-pins by others a mature pin, drawn to the site's mean; null without mature pins",
        ),
        _number("reproduction_low", "95 % interval of it, low end"),
        _number("reproduction_high", "95 % interval of it, high end"),
    )
    _make(
        "site_graphs",
        None,
        _text("engine", 16, "What computed it: networkx or scipy"),
        _count("pinners", "Nodes"),
        _count("edges", "Pairs of pinners with re-pins, each direction for itself"),
        _count("edges_used", "Of these the newest, as many as graph_edges allows"),
        _count("components", "Parts that no re-pin joins, single pinners included"),
        _count("largest_component", "Pinners in the greatest of them"),
        _count("communities", "Communities of pinners with re-pins"),
        _number("modularity", "Of the communities; null without re-pins"),
        _count("mature_pins", "Pins old enough to tell how often they are re-pinned"),
        _number("reproduction_number", "Re-pins by others a mature pin"),
        _count(
            "used_since_at", "Oldest last re-pin of an edge used; null: all used", nullable=True
        ),
    )
    _make(
        "generations",
        "generation",
        _count("generation", "Edges up to the root; roots 0"),
        _count("pins", "Pins"),
        _count("mature_pins", "Of these old enough to tell how often they are re-pinned"),
        _count("re_pins", "Re-pins of the mature ones by others"),
        _number("reproduction_number", "Re-pins a mature pin"),
    )
    _make(
        "marginal_reach",
        "place",
        _count("place", "Order of choice, from 1"),
        _text("pinner_id", 130, "Pinner"),
        _count("own_people", "People in her sphere"),
        _count("gained_people", "Of these, in the sphere of nobody before her"),
        _count("covered_people", "People in her sphere or of one before her"),
        _number("share", "Of all people in any sphere, those covered so far", nullable=False),
    )


def downgrade() -> None:
    """Takes the change back."""
    for name in ("marginal_reach", "generations", "site_graphs", "pinner_graph"):
        op.drop_table(name)
