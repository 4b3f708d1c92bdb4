"""Work on several shards at a time, within one Beam element.

Beam's own threads lose rows (`pipelines.flows.options`). So shards are dealt to lanes: a lane is
one element for Beam, which one worker takes whole, and works off on its processors. A runner
that has one worker gets one lane, and a runner with many a lane for each shard. A site is one
shard: its fan club is worked off in blocks.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")
# Each thread has a shard in memory; and what holds the interpreter's lock is not quicker on more.
_MOST_THREADS = 4


def on_threads(work: Callable[[In], Out], elements: Iterable[In]) -> Iterator[Out]:
    """What the work makes of each element, in the order of the elements.

    When one fails, those that wait are left, and those at work are waited for.
    """
    with ThreadPoolExecutor(min(os.cpu_count() or 1, _MOST_THREADS)) as pool:
        yield from pool.map(work, elements)
