"""The result tables of the graph of pinners, and of what few of them reach together."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from schemas.rows import Result, count_column, key_column, number_column, text_column


class PinnerGraph(Result):
    """One row per pinner: her place in the graph of re-pins, and how often she is re-pinned.

    Network spheres, clustering, brokerage and ego density are of the highest ranks only
    (`graph_top_pinners`), null for the others.
    """

    __tablename__ = "pinner_graph"
    pinner_id: Mapped[str] = key_column("Pinner", 130)
    influence_rank: Mapped[int] = count_column("1 is the most influential, by PageRank of re-pins")
    community_id: Mapped[str | None] = text_column(
        "Community, named after its pinner of highest rank; null without re-pins", 130
    )
    core_number: Mapped[int] = count_column("Greatest k of a group in which all have k ties")
    re_pins_received: Mapped[int] = count_column("Re-pins of her pins by others")
    re_pins_made: Mapped[int] = count_column("Pins she made from other pinners' pins")
    re_pinners: Mapped[int] = count_column("Other pinners who re-pinned hers")
    network_sphere_2: Mapped[int | None] = count_column(
        "Pinners within 2 re-pins: potential, not reach"
    )
    network_sphere_3: Mapped[int | None] = count_column("Pinners within 3 re-pins")
    mature_pins: Mapped[int] = count_column(
        "Her pins old enough to tell how often they are re-pinned"
    )
    pagerank: Mapped[float] = number_column("Share of influence; all pinners' sum to 1")
    clustering: Mapped[float | None] = number_column("Share of pairs of her neighbours with a tie")
    brokerage_constraint: Mapped[float | None] = number_column(
        "Burt's constraint; low for a broker"
    )
    effective_size: Mapped[float | None] = number_column("Neighbours less their ties to each other")
    ego_density: Mapped[float | None] = number_column(
        "Share of pairs with a tie, herself among them"
    )
    reproduction_number: Mapped[float | None] = number_column(
        "Re-pins by others a mature pin, drawn to the site's mean; null without mature pins"
    )
    reproduction_low: Mapped[float | None] = number_column("95 % interval of it, low end")
    reproduction_high: Mapped[float | None] = number_column("95 % interval of it, high end")


class SiteGraph(Result):
    """One row per site: its pinner graph as a whole, and how it was computed."""

    __tablename__ = "site_graphs"
    engine: Mapped[str] = text_column("What computed it: networkx or scipy", 16)
    pinners: Mapped[int] = count_column("Nodes")
    edges: Mapped[int] = count_column("Pairs of pinners with re-pins, each direction for itself")
    edges_used: Mapped[int] = count_column("Of these the newest, as many as graph_edges allows")
    components: Mapped[int] = count_column("Parts that no re-pin joins, single pinners included")
    largest_component: Mapped[int] = count_column("Pinners in the greatest of them")
    communities: Mapped[int] = count_column("Communities of pinners with re-pins")
    modularity: Mapped[float | None] = number_column("Of the communities; null without re-pins")
    mature_pins: Mapped[int] = count_column("Pins old enough to tell how often they are re-pinned")
    reproduction_number: Mapped[float | None] = number_column("Re-pins by others a mature pin")
    used_since_at: Mapped[int | None] = count_column(
        "Oldest last re-pin of an edge used; null: all used"
    )


class Generation(Result):
    """One row per generation of pins: how many, and how many each brings forth."""

    __tablename__ = "generations"
    generation: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="Edges up to the root; roots 0"
    )
    pins: Mapped[int] = count_column("Pins")
    mature_pins: Mapped[int] = count_column(
        "Of these old enough to tell how often they are re-pinned"
    )
    re_pins: Mapped[int] = count_column("Re-pins of the mature ones by others")
    reproduction_number: Mapped[float | None] = number_column("Re-pins a mature pin")


class MarginalReach(Result):
    """One row per place: the pinner who adds most people to those before her."""

    __tablename__ = "marginal_reach"
    place: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, comment="Order of choice, from 1"
    )
    pinner_id: Mapped[str] = text_column("Pinner", 130)
    own_people: Mapped[int] = count_column("People in her sphere")
    gained_people: Mapped[int] = count_column("Of these, in the sphere of nobody before her")
    covered_people: Mapped[int] = count_column("People in her sphere or of one before her")
    share: Mapped[float] = number_column("Of all people in any sphere, those covered so far")
