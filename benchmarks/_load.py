"""Load by wrk: what a shop's page sends, and what wrk saw."""

import json
import random
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from benchmarks._servers import ORIGIN, SITE_KEY, Server

AGENT = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/140.0.0.0 Mobile Safari/537.36"
)
SENDERS = 64
CONNECTIONS = 256
SENT_MS = 1_790_000_000_000
# One connection's next request goes out at once, or after a random (exponential) while: with many
# connections these arrive as independent shoppers' do, whether or not the server keeps pace.
# wrk itself adds the requests that a stalled connection would have sent meanwhile.
SCRIPT = """
local requests, place = {}, 0
function init(args)
  local method, think = args[1], tonumber(args[3])
  for line in io.lines(args[2]) do
    local path, body = line:match("^(%S+) ?(.*)$")
    local n, headers = #requests, {}
    for name, value in pairs(wrk.headers) do headers[name] = value end
    headers["X-Forwarded-For"] = string.format("11.%d.%d.7", math.floor(n / 256) % 256, n % 256)
    if body == "" then body = nil end
    requests[n + 1] = wrk.format(method, path, headers, body)
  end
  if think > 0 then
    math.randomseed(os.time())
    delay = function() return math.floor(-think * math.log(1 - math.random()) + 0.5) end
  end
end
function request()
  place = place % #requests + 1
  return requests[place]
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    "\\nRESULT {\\"requests\\": %d, \\"micros\\": %d, \\"refused\\": %d, \\"broken\\": %d, "
      .. "\\"p50\\": %d, \\"p99\\": %d, \\"p999\\": %d, \\"longest\\": %d}\\n",
    summary.requests, summary.duration, errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
"""


class Seen(NamedTuple):
    """What wrk saw of one round; latencies in milliseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    p999: float
    longest: float

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


class Call(NamedTuple):
    """One kind of request: `lines` are `path body`, sent in turn, each by another network."""

    method: str
    lines: list[str]
    events: int = 1


def posts(events: int, senders: int = SENDERS) -> Call:
    """`POST /v1/events` with so many events each, as the page snippet sends them."""
    return Call("POST", [f"/v1/events {_body(n, events)}" for n in range(senders)], events)


def bad_posts() -> Call:
    """Batches of three of which one goes to quarantine."""
    lines = [line.replace('"item_id"', '"item"', 1) for line in posts(3).lines]
    return Call("POST", lines, 3)


def pixels() -> Call:
    """`GET /pixel.gif` with the same single event in its query, as other collectors take it."""
    return Call("GET", [f"/pixel.gif?{urlencode(_event(n, 0))}" for n in range(SENDERS)])


def empties() -> Call:
    """`GET /empty`."""
    return Call("GET", ["/empty"] * SENDERS)


def load(
    server: Server, call: Call, seconds: int, *, connections: int = CONNECTIONS, rate: float = 0
) -> Seen:
    """Sends as fast as answers come, or at a rate; every answer must be a good one."""
    with tempfile.TemporaryDirectory() as folder:
        script, lines = Path(folder, "load.lua"), Path(folder, "lines")
        script.write_text(SCRIPT, encoding="ascii")
        lines.write_text("\n".join(call.lines) + "\n", encoding="utf-8")
        think = 1000 * connections / rate if rate else 0
        headers = {
            "User-Agent": AGENT,
            "Accept": "*/*",
            "Origin": ORIGIN,
            "Referer": f"{ORIGIN}/",
            "Cookie": "pinsphere_visitor=Zk3vQ9mB1sT7xW2yR8uE4g; basket=17; theme=light",
        }
        if call.method == "POST":
            headers["Content-Type"] = "text/plain;charset=UTF-8"
        done = subprocess.run(
            [
                *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script)),
                *(part for name, text in headers.items() for part in ("-H", f"{name}: {text}")),
                *(f"http://127.0.0.1:{server.port}", "--"),
                *(call.method, str(lines), f"{think:.3f}"),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
    seen: dict[str, Any] = json.loads(done.stdout.rpartition("RESULT ")[2])
    if seen["refused"] or seen["broken"]:
        raise SystemExit(f"not every request was answered well: {seen}")
    latencies = (seen[name] / 1000 for name in ("p50", "p99", "p999", "longest"))
    return Seen(seen["requests"], seen["micros"] / 1e6, *latencies)


def _body(number: int, events: int) -> str:
    batch = {
        "site_key": SITE_KEY,
        "sent_time_ms": SENT_MS,
        "events": [_event(number, place) for place in range(events)],
    }
    return json.dumps(batch, separators=(",", ":"))


def _event(number: int, place: int) -> dict[str, Any]:
    """Of twenty: twelve product views, five lists, two pins, one order."""
    generator = random.Random(1000 * number + place)
    item_id = f"item-{generator.randrange(4000)}"
    first, second = generator.getrandbits(48), generator.getrandbits(48)
    event: dict[str, Any] = {
        "event_name": "view_item",
        "event_id": f"{first:012x}-7a3f-7c21-a9e0-{second:012x}",
        "event_time_ms": SENT_MS - generator.randrange(5000),
        "page_location": f"{ORIGIN}/products/{item_id}?colour=blue",
        "page_referrer": f"{ORIGIN}/collections/kitchen",
        "consent": "granted",
        "visitor_id": "Zk3vQ9mB1sT7xW2yR8uE4g",
        "session_id": "c3Vr0aXq1Lw8Zt5k",
    }
    kind = place % 20
    if kind % 4 == 3:
        items = [{"item_id": f"item-{generator.randrange(4000)}", "index": n} for n in range(4)]
        event |= {"event_name": "view_item_list", "item_list_id": "home_recs", "items": items}
        event["recommender_id"] = "cf-v2"
    elif kind in (8, 16):
        event |= {"event_name": "pin", "pin_id": f"{generator.getrandbits(64):016x}", "hop": 0}
        event |= {"item_id": item_id, "item_list_id": "home_recs", "recommender_id": "cf-v2"}
        event["pin_url"] = f"{ORIGIN}/products/{item_id}"
    elif kind == 18:
        event |= {"event_name": "purchase", "order_id": str(number), "currency": "GBP"}
        event["items"] = [{"item_id": item_id, "quantity": 2, "price": "12.50"}]
    else:
        event["item_id"] = item_id
    return event
