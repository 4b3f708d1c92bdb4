"""The beacon and Debian's nginx as processes of their own, and what each has cost so far."""

import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SITE_KEY = "bench-public-key"
ORIGIN = "https://shop.example"
# As behind a proxy that names each sender; limits are checked on every request, never reached.
SETTINGS = f"""
[beacon]
trusted_proxies = ["127.0.0.1"]
site_requests_a_minute = 1000000000
network_requests_a_minute = 1000000000

[sites.bench]
key = "{SITE_KEY}"
currency = "GBP"
origins = ["{ORIGIN}"]
"""
# One worker, as many requests a connection as come, nothing logged but the pixels' lines.
NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location = /empty {{ return 204; }}
        location = /pixel.gif {{
            access_log {folder}/pixels.log combined buffer=64k flush=1s;
            empty_gif;
        }}
    }}
}}
"""
PACKAGES = ("nginx", "wrk")
START_SECONDS = 20.0
os.environ["PATH"] += ":/usr/sbin"  # where Debian has nginx, and not everybody's PATH
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True)
class Server:
    """A server under load: where it listens, and its first process."""

    port: int
    pid: int
    folder: Path

    def cpu_seconds(self) -> float:
        """User and system time of all its processes and threads so far."""
        return sum(_ticks(pid) for pid in self._processes()) / _TICKS

    def resident_mb(self) -> float:
        """Resident memory of all its processes; libraries they share are counted for each."""
        return sum(_resident_kb(pid) for pid in self._processes()) / 1024

    def _processes(self) -> list[int]:
        found = [self.pid]
        for pid in found:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
            found += map(int, children.split())
        return found


def missing_packages() -> list[str]:
    """Debian's names of the tools that PATH does not find."""
    return [name for name in PACKAGES if shutil.which(name) is None]


def require_tools() -> None:
    """Ends the program with exit code 2 and the way out when a tool is missing."""
    if missing := missing_packages():
        print(
            f"{' and '.join(missing)} missing; on Debian or Ubuntu:"
            f" apt-get install {' '.join(missing)}",
            file=sys.stderr,
        )
        sys.exit(2)


@contextlib.contextmanager
def run_beacon(workers: int = 1) -> Iterator[Server]:
    """The beacon as it ships, in a fresh home under TMPDIR, which ought to be on a real disk."""
    with tempfile.TemporaryDirectory(prefix="pinsphere-bench-") as name:
        folder, port = Path(name), _free_port()
        (folder / "pinsphere.toml").write_text(SETTINGS, encoding="utf-8")
        command = [sys.executable, "-m", "pinsphere", "beacon", "--home", str(folder)]
        options = ["--port", str(port), "--workers", str(workers)]
        with _running([*command, *options], port) as pid:
            yield Server(port, pid, folder)


@contextlib.contextmanager
def run_nginx() -> Iterator[Server]:
    """Debian's nginx: `/empty` answers 204; `/pixel.gif` a GIF, with one buffered line of log."""
    with tempfile.TemporaryDirectory(prefix="pinsphere-bench-") as name:
        folder, port = Path(name), _free_port()
        folder.chmod(0o755)  # nginx's worker runs as another user when root starts it
        config = folder / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port), encoding="utf-8")
        with _running(["nginx", "-p", name, "-c", str(config), "-e", f"{name}/log"], port) as pid:
            yield Server(port, pid, folder)


def kind_of_disk(folder: Path) -> str:
    """The file system's type: a flush to memory (tmpfs) costs nothing and proves nothing."""
    name = subprocess.run(
        ["stat", "--file-system", "--format=%T", str(folder)],
        check=True,
        capture_output=True,
        text=True,
    )
    return name.stdout.strip()


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[int]:
    process = subprocess.Popen(command, start_new_session=True)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _accepts(port):
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit(f"{command[0]} did not start")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _ticks(pid: int) -> int:
    # The name stands in brackets and may hold anything; user and system time are 14th and 15th.
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _resident_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:"))


if __name__ == "__main__":  # `make bench` asks with --missing
    print(*missing_packages())
