"""The proxy configurations of docs/install/proxy.md, run with TLS in front of a beacon."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from beacon.connection import HEAD_SECONDS
from tests import services
from tests.beacon.answers import GOOD, TEXT, VIEW, batch, body_signature
from tests.beacon.conftest import Server
from tests.install_docs import binary, blocks, stored

APACHE_MODULES = Path("/usr/lib/apache2/modules")
IN_APACHE = ("mpm_event", "authz_core", "ssl", "proxy", "proxy_http", "headers", "socache_shmcb")


class Place(NamedTuple):
    """Where a proxy runs: its folder, its port, and a certificate for shop.example."""

    folder: Path
    port: int
    pem: Path
    key: Path


def replaced(text: str, changes: dict[str, str]) -> str:
    """The text with each of these changed; all of them must be there."""
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def nginx(block: str, place: Place) -> services.Command:
    temporary = "".join(
        f"{name}_temp_path {place.folder / name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    block = replaced(
        block,
        {
            "listen 443": f"listen 127.0.0.1:{place.port}",
            "/etc/ssl/shop.example.pem": str(place.pem),
            "/etc/ssl/shop.example.key": str(place.key),
        },
    )
    file = place.folder / "nginx.conf"
    file.write_text(
        "user root;\n" * (os.geteuid() == 0)
        + f"daemon off;\npid {place.folder}/pid;\nerror_log stderr;\nevents {{}}\n"
        + f"http {{\naccess_log off;\n{temporary}{block}}}\n"
    )
    return [binary("nginx"), "-p", place.folder, "-c", file]


def caddy(block: str, place: Place) -> services.Command:
    site = f"https://shop.example:{place.port} {{\n\ttls {place.pem} {place.key}\n"
    file = place.folder / "Caddyfile"
    # Its clients here ask by address, not by name.
    options = "{\n\tadmin off\n\tauto_https disable_redirects\n\tdefault_sni shop.example\n}\n"
    file.write_text(options + replaced(block, {"shop.example {\n": site}))
    return [binary("caddy"), "run", "--adapter", "caddyfile", "--config", file]


def apache(block: str, place: Place) -> services.Command:
    block = replaced(
        block,
        {
            "*:443": f"127.0.0.1:{place.port}",
            "/etc/ssl/shop.example.pem": str(place.pem),
            "/etc/ssl/shop.example.key": str(place.key),
        },
    )
    own = f"ServerRoot {place.folder}\nServerName x\nListen 127.0.0.1:{place.port}\n"
    own += (
        f"PidFile {place.folder}/pid\nErrorLog {place.folder}/errors\nUser daemon\nGroup daemon\n"
    )
    modules = (f"LoadModule {name}_module {APACHE_MODULES}/mod_{name}.so\n" for name in IN_APACHE)
    file = place.folder / "apache.conf"
    file.write_text("".join(modules) + own + block)
    return [binary("apache2"), "-DFOREGROUND", "-f", file]


PROXIES: dict[str, tuple[str, Callable[[str, Place], services.Command]]] = {
    "nginx": ("nginx", nginx),
    "caddy": ("caddyfile", caddy),
    "apache": ("apache", apache),
}


@pytest.fixture(scope="module")
def beacon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A beacon that believes a proxy on this machine."""
    proxies = {"trusted_proxies": ["127.0.0.1/32"]}
    server = Server(tmp_path_factory.mktemp("home"), beacon=proxies)
    yield server
    server.stop()


@pytest.fixture(scope="module", params=PROXIES)
def proxy(
    request: pytest.FixtureRequest, beacon: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of a proxy that is configured as the guide says."""
    language, configure = PROXIES[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    place = Place(folder, services.free_port(), folder / "shop.pem", folder / "shop.key")
    options = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=shop.example"]
    options += ["-addext", "subjectAltName=DNS:shop.example"]
    subprocess.run(
        [binary("openssl"), "req", "-x509", *options, "-keyout", place.key, "-out", place.pem],
        check=True,
        capture_output=True,
    )
    ports = {"127.0.0.1:8000": f"127.0.0.1:{beacon.port}"}
    ports["127.0.0.1:3000"] = f"127.0.0.1:{services.free_port()}"
    (block,) = blocks("proxy", language)
    command = configure(replaced(block, ports), place)
    client = httpx.Client(
        base_url=f"https://127.0.0.1:{place.port}", headers={"host": "shop.example"}, verify=False
    )
    with (folder / "log").open("wb") as log:
        environment = {**os.environ, "HOME": str(folder)}
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        deadline = time.monotonic() + 15
        while not _is_up(client):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(15)


def _is_up(client: httpx.Client) -> bool:
    try:
        client.get("/pin.js")
    except httpx.TransportError:
        return False
    return True


def test_the_cookie_is_secure(proxy: httpx.Client) -> None:
    """Without X-Forwarded-Proto a browser would send it over plain HTTP too."""
    answer = proxy.get("/pin.js")

    assert answer.status_code == 200
    assert "; Secure" in answer.headers["set-cookie"]


def test_nobody_makes_up_an_address(proxy: httpx.Client, beacon: Server) -> None:
    """Rate limits would be nothing to a sender with a new address each time."""
    forged = {**TEXT, "x-forwarded-for": "203.0.113.9"}

    assert proxy.post("/v1/events", content=GOOD, headers=forged).status_code == 204
    through = stored(beacon.spool)[-1]
    # The control: the same header is believed when the trusted proxy itself says it.
    beacon.client.post("/v1/events", content=GOOD, headers=forged)
    direct = stored(beacon.spool)[-1]

    assert "network_hash" not in through
    assert direct["network_hash"]


def test_only_two_paths_lead_to_the_beacon(proxy: httpx.Client) -> None:
    """Metrics name sites and volumes: nobody outside needs them."""
    for path in ("/metrics", "/readyz", "/openapi.json", "/v2/events"):
        # From where the shop would be: nothing runs there now.
        assert proxy.get(path).status_code in (502, 503), path


def test_large_webhooks_pass(proxy: httpx.Client) -> None:
    """The order with 300 lines is the one a shop would miss."""
    body = json.dumps({"padding": "x" * 1_900_000}).encode()
    headers = {"x-shopify-topic": "carts/update", "x-shopify-hmac-sha256": body_signature(body)}
    url = "/v1/webhooks/shopify/acme"

    assert proxy.post(url, content=body, headers=headers).status_code == 204
    # What is larger comes to nobody: the proxy or the beacon hangs up while it is sent.
    assert proxy.post(url, content=body * 2, headers=headers).status_code in (413, 502)


def test_many_requests_find_their_way(proxy: httpx.Client) -> None:
    """Connections to the beacon are kept and used again."""
    for _ in range(20):
        assert proxy.post("/v1/events", content=batch(VIEW), headers=TEXT).status_code == 204


def test_proxies_let_go_of_a_connection_before_the_beacon_does() -> None:
    """One that the beacon closes at the moment it is used would be a lost answer."""
    text = "".join(blocks("proxy", *(language for language, _ in PROXIES.values())))
    kept = re.findall(r"keepalive_timeout (\d+)s|keepalive (\d+)s|ttl=(\d+)", text)

    assert len(kept) >= len(PROXIES)
    assert all(int("".join(seconds)) < HEAD_SECONDS for seconds in kept)
