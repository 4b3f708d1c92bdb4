"""Who needs what: the one place that says which datasets a result is made of.

A run that is asked for some results makes nothing that they do not need: a step gives only
wanted tables, a dataset that nobody wants is never written, and a stage that would give nothing
is left out. Names with a slash are parts of a dataset: one dimension of it.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence

import pyarrow as pa

from pipelines.kernels.columns import Tables
from schemas.models import DEFAULT_MODEL, MODELS
from schemas.tables import RESULTS

_PINS = ("pins_by_root", "landings_by_root")
_CREDIT = ("chained_touches", "orders_to_credit")
_DAILY = ("view_parts", "pin_parts", "due_parts")
_CLUB = ("known_pinners", "pinner_credits", "buyer_sales", "buyer_credits")


def _daily(dimension: str) -> tuple[str, ...]:
    """What is counted and owed by day and this dimension of pins."""
    return tuple(f"{name}/{dimension}" for name in _DAILY)


MADE_OF: Mapping[str, Sequence[str]] = {
    "pins": _PINS,
    "visits": ("pins_by_person", "landings_by_person"),
    "orders": ("orders_to_credit",),
    "order_lines": _CREDIT,
    "order_credits": _CREDIT,
    "sphere_edges": ("reach", "influence"),
    "pinner_spheres": ("pairs", "hop_visits", "own_pins", "credit_totals/pinner"),
    "cascades": ("cascade_shapes", "credit_totals/cascade"),
    "model_credits": (
        "credit_sums/pinner",
        "credit_sums/product",
        "credit_sums/slot",
        "credit_sums/recommender",
        "credit_sums/site",
    ),
    "item_daily": _daily("product"),
    "slot_daily": _daily("slot"),
    "recommender_daily": _daily("recommender"),
    "sales_daily": ("sales_parts",),
    "ladder_daily": ("ladder_parts",),
    "ladder_moves": ("move_parts",),
    "data_quality_daily": ("quality_parts",),
    "landings_daily": ("landing_parts",),
    "arrivals_hourly": ("arrival_parts",),
    "fan_clubs": _CLUB,
    "concentrations": _CLUB,
    "relationship_depths": ("tie_parts",),
    "retention_cohorts": ("retention_parts",),
    "retention_fits": ("lifetime_parts",),
    "quarantine": ("rejects",),
    "pinner_stages": ("acts", "return_parts"),
    "stage_transitions": ("stage_parts",),
    "stage_parts": ("acts", "return_parts", "credit_parts"),
    "pinner_graph": ("lineage",),
    "site_graphs": ("lineage",),
    "generations": ("lineage",),
    "marginal_reach": ("audiences",),
    "rejects": ("quarantined", "purchases", "refunds"),
    "quality_parts": ("quarantined", "purchases", "refunds"),
    "sales_parts": _CREDIT,
    "credit_sums": _CREDIT,
    "credit_totals": _CREDIT,
    "influence": _CREDIT,
    "pin_parts": ("pins_by_person", "landings_by_person"),
    "due_parts": _CREDIT,
    "reach": _PINS,
    "hop_visits": _PINS,
    "own_pins": _PINS,
    "cascade_shapes": _PINS,
    "lineage": _PINS,
    "pairs": ("reach", "influence"),
    "audiences": ("pairs", "own_pins"),
    "chained_touches": ("order_touches", "pins_to_chain"),
    "order_touches": ("touches", "orders_by_person"),
    "orders_to_credit": ("orders_by_person",),
    "touches": ("pins_by_person", "landings_by_person"),
    "pins_to_chain": ("pins_by_person",),
    "known_pinners": ("own_pins",),
    "pinner_credits": ("credit_sums/pinner",),
    "buyer_sales": _CREDIT,
    "buyer_credits": _CREDIT,
    "tie_parts": ("pairs", "own_pins"),
    "retention_parts": ("acts",),
    "lifetime_parts": ("acts",),
    "ladder_parts": ("acts",),
    "move_parts": ("acts",),
    "acts": ("doings", *_PINS, "orders_to_credit"),
    "credit_parts": _CREDIT,
    "return_parts": ("meetings",),
    "meetings": _PINS,
    "pins_by_root": ("pins_by_person",),
    "landings_by_root": ("pins_by_person", "landings_by_person"),
    "pins_by_person": ("pin_clicks", "logins"),
    "landings_by_person": ("landings", "logins"),
    "orders_by_person": ("settled_orders", "logins"),
    "settled_orders": ("purchases", "refunds"),
    "logins": ("emails", "purchases", "refunds"),
}
# Columns that few ask for, of a dataset or of all: where none of these is wanted, they stay behind.
SERVES: Mapping[str, Sequence[str]] = {
    "source": ("quality_parts", "arrival_parts"),
    "user_agent_class": ("landing_parts",),
    "match_method": ("quality_parts", "landing_parts", "visits"),
    "token_carrier": ("landing_parts",),
    "pin_ids": ("order_credits", "credit_totals/cascade"),
    "item_list_id": ("pins", "acts", *_daily("slot"), "credit_sums/slot"),
    "item_list_ids": ("due_parts/slot", "credit_sums/slot"),
    "recommender_id": ("pins", *_daily("recommender"), "credit_sums/recommender"),
    "recommender_ids": ("due_parts/recommender", "credit_sums/recommender"),
    "view_item_list/item_list_id": ("view_parts/slot",),
    "view_item_list/recommender_id": ("view_parts/recommender",),
}
# What shows credit under the default model, whatever models are wanted.
_OF_DEFAULT = frozenset({"pinner_spheres", "cascades", "credit_parts", "buyer_credits"})


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What a run makes."""

    names: frozenset[str]  # results, datasets, parts of datasets
    models: tuple[str, ...]  # of layer 1

    def made(self, **tables: Callable[[], pa.Table]) -> Tables:
        """Those of the tables that somebody wants."""
        return {name: make() for name, make in tables.items() if name in self.names}

    def keys(self, dataset: str, columns: Mapping[str, str]) -> dict[str, str]:
        """Those of a dataset's dimensions that somebody wants, each with its column."""
        return {name: column for name, column in columns.items() if f"{dataset}/{name}" in self}

    def columns(self, dataset: str, schema: pa.Schema) -> pa.Schema:
        """The columns of a dataset but for those that nobody wants."""

        def is_wanted(column: str) -> bool:
            served = SERVES.get(f"{dataset}/{column}", SERVES.get(column))
            return served is None or not self.names.isdisjoint(served)

        return pa.schema(field for field in schema if is_wanted(field.name))

    def __contains__(self, name: object) -> bool:
        """Whether somebody wants a result, dataset or part."""
        return name in self.names


def wanted(results: Iterable[str] = RESULTS, models: Iterable[str] = MODELS) -> Wanted:
    """All that these results need, under these models.

    Raises:
      ValueError: no such result, or no such model.
    """
    results, chosen = set(results), set(models)
    if unknown := sorted((results - RESULTS.keys()) | (chosen - set(MODELS))):
        raise ValueError(f"no result and no model: {', '.join(unknown)}")
    names: set[str] = set()
    left = list(results)
    while left:
        name = left.pop()
        if name not in names:
            names.add(name)
            dataset, _, part = name.partition("/")
            left += [dataset] if part else MADE_OF.get(name, ())
    if _OF_DEFAULT & names:
        chosen.add(DEFAULT_MODEL)
    return Wanted(frozenset(names), tuple(model for model in MODELS if model in chosen))


EVERYTHING = wanted()
