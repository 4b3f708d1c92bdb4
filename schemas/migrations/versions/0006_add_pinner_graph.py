"""Add the pinner graph of each site, its generations of pins, and marginal reach.

They are empty until the next run, which is a full one: the release is another.
"""

from schemas.migrations.result_tables import count, create_result, drop_results, number, text

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Applies the change."""
    create_result(
        "pinner_graph",
        ("pinner_id",),
        text("pinner_id", 130, "Pinner"),
        count("influence_rank", "1 is the most influential, by PageRank of re-pins"),
        text(
            "community_id",
            130,
            "Community, named after its pinner of highest rank; null without re-pins",
            nullable=True,
        ),
        count("core_number", "Greatest k of a group in which all have k ties"),
        count("re_pins_received", "Re-pins of her pins by others"),
        count("re_pins_made", "Pins she made from other pinners' pins"),
        count("re_pinners", "Other pinners who re-pinned hers"),
        count("network_sphere_2", "Pinners within 2 re-pins: potential, not reach", nullable=True),
        count("network_sphere_3", "Pinners within 3 re-pins", nullable=True),
        count("mature_pins", "Her pins old enough to tell how often they are re-pinned"),
        number("pagerank", "Share of influence; all pinners' sum to 1", nullable=False),
        number("clustering", "Share of pairs of her neighbours with a tie"),
        number("brokerage_constraint", "Burt's constraint; low for a broker"),
        number("effective_size", "Neighbours less their ties to each other"),
        number("ego_density", "Share of pairs with a tie, herself among them"),
        number(
            "reproduction_number",
            "Re-pins by others a mature pin, drawn to the site's mean; null without mature pins",
        ),
        number("reproduction_low", "95 % interval of it, low end"),
        number("reproduction_high", "95 % interval of it, high end"),
    )
    create_result(
        "site_graphs",
        (),
        text("engine", 16, "What computed it: networkx or scipy"),
        count("pinners", "Nodes"),
        count("edges", "Pairs of pinners with re-pins, each direction for itself"),
        count("edges_used", "Of these the newest, as many as graph_edges allows"),
        count("components", "Parts that no re-pin joins, single pinners included"),
        count("largest_component", "Pinners in the greatest of them"),
        count("communities", "Communities of pinners with re-pins"),
        number("modularity", "Of the communities; null without re-pins"),
        count("mature_pins", "Pins old enough to tell how often they are re-pinned"),
        number("reproduction_number", "Re-pins by others a mature pin"),
        count("used_since_at", "Oldest last re-pin of an edge used; null: all used", nullable=True),
    )
    create_result(
        "generations",
        ("generation",),
        count("generation", "Edges up to the root; roots 0"),
        count("pins", "Pins"),
        count("mature_pins", "Of these old enough to tell how often they are re-pinned"),
        count("re_pins", "Re-pins of the mature ones by others"),
        number("reproduction_number", "Re-pins a mature pin"),
    )
    create_result(
        "marginal_reach",
        ("place",),
        count("place", "Order of choice, from 1"),
        text("pinner_id", 130, "Pinner"),
        count("own_people", "People in her sphere"),
        count("gained_people", "Of these, in the sphere of nobody before her"),
        count("covered_people", "People in her sphere or of one before her"),
        number("share", "Of all people in any sphere, those covered so far", nullable=False),
    )


def downgrade() -> None:
    """Takes the change back."""
    drop_results("marginal_reach", "generations", "site_graphs", "pinner_graph")
