"""What every run asserts of itself: no row and no micro is lost on the way."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from pipelines.kernels import credit
from pipelines.kernels.columns import Ints, Tables
from pipelines.kernels.money import split_by_share
from pipelines.transforms import stage
from pipelines.transforms.shuffle import Piece, Route, gather
from schemas.errors import AuditError
from tests.flow.truth import run_beam, run_steps
from tests.world import simulate

WORLD = simulate(3, visitors=12, days=10)


def test_a_run_that_loses_rows_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner lost a tenth of the revenue and ended well: nobody would have seen it."""

    def losing(pieces: Iterable[Piece], routes: Mapping[str, Route]) -> Tables:
        return gather([piece for piece in pieces if piece.dataset != "touches"], routes)

    assert run_beam([WORLD.events], WORLD.sites, shards=1)["order_credits"]  # the control
    monkeypatch.setattr(stage, "gather", losing)

    with pytest.raises(AuditError, match=r"touches \+\d"):
        run_beam([WORLD.events], WORLD.sites, shards=1)


def test_a_run_that_reads_rows_twice_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle given to two workers would pay every pinner twice."""

    def doubling(pieces: Iterable[Piece], routes: Mapping[str, Route]) -> Tables:
        pieces = list(pieces)
        return gather(pieces + [piece for piece in pieces if piece.dataset == "refunds"], routes)

    monkeypatch.setattr(stage, "gather", doubling)

    with pytest.raises(AuditError, match=re.escape("refunds -")):
        run_beam([WORLD.events], WORLD.sites, shards=1)


def test_a_split_that_loses_a_micro_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Per line and model, credits are the net value: to the micro, or nothing is published."""

    def losing(amount: Ints, *rest: Any) -> Ints:
        parts = split_by_share(amount, *rest)
        parts[:1] -= 1
        return parts

    assert run_steps(WORLD.events, WORLD.sites)["order_credits"]  # the control
    monkeypatch.setattr(credit, "split_by_share", losing)

    with pytest.raises(AuditError, match="first credits"):
        run_steps(WORLD.events, WORLD.sites)
