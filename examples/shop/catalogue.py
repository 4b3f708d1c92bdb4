"""What the shop sells, and what its recommender puts on the home page."""

from decimal import Decimal
from typing import NamedTuple

CURRENCY = "GBP"
SHIPPING = Decimal("3.95")


class Product(NamedTuple):
    """One product; its price is for one unit, without tax."""

    item_id: str
    name: str
    price: Decimal
    colour: str


CATALOGUE: dict[str, Product] = {
    product.item_id: product
    for product in (
        Product("mug", "Blue Mug", Decimal("12.50"), "#3b6ea8"),
        Product("vase", "Tall Vase", Decimal("34.00"), "#7a9e7e"),
        Product("lamp", "Reading Lamp", Decimal("59.90"), "#d9a441"),
        Product("bowl", "Fruit Bowl", Decimal("18.25"), "#b5533c"),
        Product("throw", "Wool Throw", Decimal("45.00"), "#8d6a9f"),
        Product("print", "Harbour Print", Decimal("24.99"), "#4c5760"),
    )
}


class Recommendations(NamedTuple):
    """A list of products in a slot of a page, by one recommender."""

    slot: str
    recommender: str
    title: str
    products: tuple[Product, ...]


def home_recommendations() -> Recommendations:
    """The list on the home page."""
    items = ("mug", "vase", "lamp", "bowl")
    return Recommendations(
        "home_recs", "cf-v2", "Picked for you", tuple(CATALOGUE[item] for item in items)
    )


def product_recommendations(item_id: str) -> Recommendations:
    """The list below a product: the three that follow it in the catalogue."""
    items = [*CATALOGUE, *CATALOGUE]
    place = items.index(item_id)
    return Recommendations(
        "product_recs",
        "similar-v1",
        "Goes well with it",
        tuple(CATALOGUE[item] for item in items[place + 1 : place + 4]),
    )
