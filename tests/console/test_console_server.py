"""The console as a process, before it the proxy of docs/console.md."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from schemas.home import Home
from tests import services
from tests.install_docs import binary
from tests.test_install_proxies import Place, nginx, replaced

pytestmark = pytest.mark.integration
ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "console.md").read_text()


@pytest.fixture(scope="module")
def server(known_home: Home) -> Iterator[str]:
    """`pinsphere console` behind a proxy, as the page says; gives its address."""
    port = services.free_port()
    arguments = ["--auth", "proxy", "--allow-host", "pins.intern.example", "--port", str(port)]
    assert "pinsphere console --auth proxy --allow-host pins.intern.example" in PAGE
    process = subprocess.Popen(
        [sys.executable, "-m", "pinsphere", "console", *arguments, "--home", known_home.path],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert f"console at http://127.0.0.1:{port}/" in process.stderr.readline()
        yield f"127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=15)
    assert process.returncode == -signal.SIGTERM
    assert said == ""


@pytest.fixture
def proxy(server: str, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client of nginx, as the page configures it."""
    place = Place(tmp_path, services.free_port(), tmp_path / "pem", tmp_path / "key")
    openssl = binary("openssl")
    options = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=pins"]
    subprocess.run(
        [openssl, "req", "-x509", *options, "-keyout", place.key, "-out", place.pem],
        check=True,
        capture_output=True,
    )
    hashed = subprocess.check_output([openssl, "passwd", "-apr1", "secret"], text=True)
    (tmp_path / "htpasswd").write_text(f"anna:{hashed}")
    found = re.search(r"```nginx\n(.*?)```", PAGE, re.DOTALL)
    assert found
    changes = {
        "/etc/nginx/pinsphere.htpasswd": str(tmp_path / "htpasswd"),
        "127.0.0.1:8001": server,
    }
    with (tmp_path / "log").open("wb") as log:
        command = nginx(replaced(found[1], changes), place)
        process = subprocess.Popen(command, stdout=log, stderr=log)
    address = f"https://127.0.0.1:{place.port}"
    headers = {"host": "pins.intern.example"}
    try:
        with httpx.Client(base_url=address, headers=headers, verify=False) as client:
            _wait_for(client, process)
            yield client
    finally:
        process.terminate()
        process.wait(15)


def _wait_for(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 15
    while process.poll() is None and time.monotonic() < deadline:
        try:
            client.get("/")
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("nginx did not start")


def test_who_is_signed_in_reads(proxy: httpx.Client) -> None:
    """The recipe is copied as it stands."""
    answer = proxy.get("/", auth=("anna", "secret"))

    assert answer.status_code == 200
    assert "Credited revenue" in answer.text
    assert "uvicorn" not in str(answer.headers)


def test_nobody_names_himself(proxy: httpx.Client, server: str) -> None:
    """The header is the proxy's word, whatever a browser says."""
    forged = {"x-forwarded-user": "anna"}

    assert proxy.get("/", headers=forged).status_code == 401
    # The control: who reaches the port without the proxy is believed.
    assert httpx.get(f"http://{server}/", headers=forged).status_code == 200
    assert httpx.get(f"http://{server}/").status_code == 401
