"""Memory of the beacon over a million requests.

    python -m benchmarks.beacon_memory

Good batches and bad ones, from more networks than its caches hold. After the first 200,000
requests the caches are full; what grows from there on is a leak.
"""

import statistics
import sys

from benchmarks._load import bad_posts, load, posts
from benchmarks._servers import require_tools, run_beacon

REQUESTS = 1_000_000
WARM_UP = 200_000
SECONDS = 3
SENDERS = 20_000
BAD_EVERY = 4
MAX_GROWTH_MB = 8.0


def main() -> None:
    """Prints memory as it goes and whether the bar is held; exit code 1 when it is not."""
    require_tools()
    calls = [posts(1, SENDERS)] * (BAD_EVERY - 1) + [bad_posts()]
    samples: list[tuple[int, float]] = []
    sent = 0
    with run_beacon() as beacon:
        print(f"at the start: {beacon.resident_mb():.1f} MB\n")
        print("| requests | MB |\n|--:|--:|")
        while sent < REQUESTS:
            sent += load(beacon, calls[len(samples) % BAD_EVERY], SECONDS).requests
            samples.append((sent, beacon.resident_mb()))
            print(f"| {sent:,} | {samples[-1][1]:.1f} |", flush=True)
    warm = [megabytes for requests, megabytes in samples if requests >= WARM_UP]
    third = max(1, len(warm) // 3)
    growth = statistics.median(warm[-third:]) - statistics.median(warm[:third])
    is_held = growth <= MAX_GROWTH_MB
    print(f"\nlast third of the rounds after {WARM_UP:,} requests against the first, medians:")
    print(f"{growth:+.1f} MB (at most +{MAX_GROWTH_MB:g}): {'PASS' if is_held else 'FAIL'}")
    sys.exit(0 if is_held else 1)


if __name__ == "__main__":
    main()
