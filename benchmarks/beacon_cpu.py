"""CPU of a durable request, beside nginx's on the same machine.

    python -m benchmarks.beacon_cpu

Counted are the CPU seconds of the server's processes, never the client's, divided by requests.
The contenders take turns, round by round; the medians of the rounds are compared.
"""

import statistics
import sys

from benchmarks._load import Call, empties, load, pixels, posts
from benchmarks._servers import Server, kind_of_disk, require_tools, run_beacon, run_nginx

ROUNDS = 5
SECONDS = 3
EVENTS = 20
MAX_REQUEST_RATIO = 10.0
MAX_EVENT_RATIO = 0.8


def main() -> None:
    """Prints the table and whether each bar is held; exit code 1 when one is not."""
    require_tools()
    with run_beacon() as beacon, run_nginx() as nginx:
        contenders: dict[str, tuple[Server, Call]] = {
            "nginx: empty 204": (nginx, empties()),
            "nginx: pixel, buffered line": (nginx, pixels()),
            "beacon: 1 event, durable": (beacon, posts(1)),
            f"beacon: {EVENTS} events, durable": (beacon, posts(EVENTS)),
        }
        print(f"spool on {kind_of_disk(beacon.folder)}; {ROUNDS} rounds of {SECONDS} s each\n")
        micros: dict[str, list[float]] = {name: [] for name in contenders}
        rates: dict[str, list[float]] = {name: [] for name in contenders}
        for turn in range(ROUNDS + 1):
            for name, (server, call) in contenders.items():
                cost, rate = measure(server, call)
                if turn:  # the first one warms up
                    micros[name].append(cost)
                    rates[name].append(rate)
    print("| | CPU us a request | lowest-highest | us an event | requests/s |")
    print("|---|--:|--:|--:|--:|")
    for name, (_, call) in contenders.items():
        costs, middle = micros[name], statistics.median(micros[name])
        print(
            f"| {name} | {middle:.1f} | {min(costs):.1f}-{max(costs):.1f}"
            f" | {middle / call.events:.2f} | {statistics.median(rates[name]):,.0f} |"
        )
    empty, pixel, one, many = (statistics.median(costs) for costs in micros.values())
    is_held = [
        judge("1 event / empty 204", one / empty, MAX_REQUEST_RATIO),
        judge(f"1 of {EVENTS} events / pixel line", many / EVENTS / pixel, MAX_EVENT_RATIO),
    ]
    sys.exit(0 if all(is_held) else 1)


def measure(server: Server, call: Call) -> tuple[float, float]:
    """One round: CPU microseconds a request, and requests a second."""
    before = server.cpu_seconds()
    seen = load(server, call, SECONDS)
    return (server.cpu_seconds() - before) * 1e6 / seen.requests, seen.rate


def judge(name: str, ratio: float, limit: float) -> bool:
    """Prints a ratio beside its limit."""
    print(f"\n{name}: {ratio:.2f} (at most {limit:g}): {'PASS' if ratio <= limit else 'FAIL'}")
    return ratio <= limit


if __name__ == "__main__":
    main()
