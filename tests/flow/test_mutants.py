"""The controls of the tests of arrivals: each mistake is seen by the test that should see it."""

from typing import Any

import pytest
from hypothesis import Phase

from tests.flow.arriving import check_arrivals
from tests.flow.mutants import MUTANTS, Mutant
from tests.hazards import HAZARDS


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_flow_is_caught_when(mutant: Mutant) -> None:
    """Whoever makes this mistake while making the flow faster is told at once."""
    hazards = [mutant.hazard] if mutant.hazard else []
    # The worlds of CI, where the flow itself is right. One counter-example will do: unshrunk.
    as_in_ci: dict[str, Any] = {"derandomize": True, "database": None, "phases": [Phase.generate]}

    with pytest.raises(AssertionError):
        check_arrivals(*hazards, flow=mutant.flow, **as_in_ci)


def test_every_hazard_has_a_mutant() -> None:
    """A test that no mistake can fail proves nothing."""
    assert {mutant.hazard for mutant in MUTANTS} == {None, *HAZARDS}
