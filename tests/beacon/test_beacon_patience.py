"""One timer ends all waits that take too long, and only these."""

import asyncio
from typing import Any

import pytest

from beacon.patience import Patience

SECONDS = 0.4  # far more than a busy machine takes for nothing


async def wait_for(patience: Patience, seconds: float) -> str:
    """How a wait of so many seconds ends."""
    try:
        await patience.wait(asyncio.sleep(seconds), SECONDS)
    except TimeoutError:
        return "ended"
    return "done"


def test_only_waits_that_take_too_long_are_ended():
    """A sender who never sends her body must not hold a connection; the others must not pay."""

    async def wait_for_all() -> list[str]:
        patience = Patience()
        return await asyncio.gather(*(wait_for(patience, s) for s in (0, 5, 0.001, 5)))

    assert asyncio.run(wait_for_all()) == ["done", "ended", "done", "ended"]


def test_the_timer_starts_again_after_a_pause_and_in_another_loop():
    """Quiet nights and restarts inside one process: the next slow sender is ended too."""
    patience = Patience()

    async def wait_twice() -> list[str]:
        first = await wait_for(patience, 0)
        await asyncio.sleep(SECONDS / 2)
        return [first, await wait_for(patience, 5)]

    assert [asyncio.run(wait_twice()) for _ in range(2)] == [["done", "ended"]] * 2


def test_a_task_that_somebody_else_cancels_stays_cancelled():
    """A shutdown that looks like a slow sender would be answered and go on."""

    async def cancel_one() -> Any:
        task = asyncio.create_task(wait_for(Patience(), 5))
        await asyncio.sleep(0)
        task.cancel()
        return await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(cancel_one())
