"""A small site for one test: its pages, the snippet, and a beacon that only takes notes.

Pages are at 127.0.0.1 and the beacon at localhost, so they are two origins to a browser.
"""

import http.server
import json
import threading
import time
from typing import Any

from beacon.script import current_script
from schemas.contract import decode_event
from schemas.events import AnyEvent

# As the beacon serves it: what shops get is what is tested.
SCRIPT = current_script()
KEY = "acme-public-key"
WAIT_SECONDS = 8.0


class Site:
    """Serves pages and collects what the snippet posts; `status` is the beacon's answer."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.bodies: list[bytes] = []
        self.content_types: list[str] = []
        self.times: list[float] = []
        self.status = 204
        self.headers: dict[str, str] = {}
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        # Asks often whether to stop: at the default each test would end half a second late.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()
        self.port = self._server.server_address[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        self.beacon = f"http://localhost:{self.port}"

    def close(self) -> None:
        """Stops serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def show(self, body: str, *, path: str = "/", head: str = "", attributes: str = "") -> str:
        """Puts up a page with the tag that `pinsphere snippet` prints; gives its address."""
        tag = SCRIPT.tag(self.beacon, KEY).replace("<script", f"<script {attributes}")
        return self.show_without(body + tag, path=path, head=head)

    def show_without(self, body: str, *, path: str = "/", head: str = "") -> str:
        """Puts up a page as it is given."""
        self.pages[path] = (
            f"<!doctype html><html><head><title>A page</title>{head}</head><body>{body}"
            "</body></html>"
        )
        return self.origin + path

    @property
    def received(self) -> list[dict[str, Any]]:
        """The events in the order they came, each one once."""
        found: dict[str, dict[str, Any]] = {}
        for body in list(self.bodies):
            for event in json.loads(body)["events"]:
                found.setdefault(event["event_id"], event)
        return list(found.values())

    def named(self, event_name: str) -> list[dict[str, Any]]:
        """The received events of a name."""
        return [event for event in self.received if event["event_name"] == event_name]

    def wait_for(self, event_name: str, count: int = 1) -> list[dict[str, Any]]:
        """Waits until this many events of a name have come; gives all of that name."""
        deadline = time.monotonic() + WAIT_SECONDS
        while len(self.named(event_name)) < count:
            assert time.monotonic() < deadline, f"{count} {event_name} wanted: {self.received}"
            time.sleep(0.02)
        return self.named(event_name)

    def decoded(self) -> list[AnyEvent]:
        """The received events, each checked against its contract."""
        return [decode_event(json.dumps(event).encode()) for event in self.received]


def _handler(site: Site) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path = self.path.split("?")[0]
            if path == "/pin.js":
                headers = {"Content-Type": "text/javascript", "Access-Control-Allow-Origin": "*"}
                self._answer(200, SCRIPT.text, headers)
            elif path in site.pages:
                page = site.pages[path].encode()
                self._answer(200, page, {"Content-Type": "text/html; charset=utf-8"})
            else:
                self._answer(404, b"", {})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            site.times.append(time.monotonic())
            site.content_types.append(self.headers["Content-Type"])
            site.bodies.append(body)
            cors = {
                "Access-Control-Allow-Origin": "*",
                "Access-Control-Expose-Headers": "Retry-After",
            }
            self._answer(site.status, b"", {**cors, **site.headers})

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            # Else the browser keeps a socket, and this process a thread, for each site that was.
            self.send_header("Connection", "close")
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    return Handler
