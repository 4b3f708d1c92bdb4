"""The real services tests run against: where they are, and how to start and stop them.

`python -m tests.services` says what this machine has; with `--missing` it names the Debian
packages that would complete it. A server that is started here listens on loopback or on a
socket in its own directory, keeps nothing, and is stopped by its process id.
"""

import contextlib
import dataclasses
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 30.0
Command = list[str | Path]
# A skip whose reason begins so is fine in CI too; any other means a missing install step.
OPTIONAL = "optional on this machine: "


@dataclasses.dataclass(frozen=True)
class Emulator:
    """Google's Pub/Sub emulator: a jar of the Cloud SDK and the Java that runs it."""

    java: str
    jar: Path


@dataclasses.dataclass(frozen=True)
class PubSubServer:
    """A running emulator."""

    address: str
    """`host:port`, as PUBSUB_EMULATOR_HOST wants it."""
    pid: int

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Stands still until the block ends: connections stay open, nothing is answered."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


def find_chromium() -> Path | None:
    """The browser of Debian, Ubuntu or Google, from PATH."""
    found = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    return Path(found) if found else None


def find_postgres() -> Path | None:
    """The directory with `initdb` and `postgres`: the newest of Debian's, else from PATH."""
    versions = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"),
        key=lambda path: float(path.parts[-3]),
    )
    if versions:
        return versions[-1].parent
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def find_cloud_sdk() -> Path | None:
    """The root of the Cloud SDK. `gcloud info` knows it too, but takes seconds."""
    gcloud = shutil.which("gcloud")
    roots = [
        os.environ.get("CLOUDSDK_ROOT_DIR"),
        Path(gcloud).resolve().parents[1] if gcloud else None,
        "/usr/lib/google-cloud-sdk",
        Path.home() / "google-cloud-sdk",
    ]
    return next((Path(root) for root in roots if root and Path(root, "platform").is_dir()), None)


def find_emulator() -> Emulator | None:
    """The Pub/Sub emulator, when the Cloud SDK has that component and Java is there."""
    sdk, java = find_cloud_sdk(), shutil.which("java")
    if sdk is None or java is None:
        return None
    jars = sorted(sdk.glob("platform/pubsub-emulator/lib/cloud-pubsub-emulator-*-all.jar"))
    return Emulator(java, jars[-1]) if jars else None


def find_compiler() -> Path | None:
    """A C compiler from PATH, when it has the C library's headers as well."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    tried = subprocess.run(
        [compiler, "-E", "-"], input=b"#include <stdio.h>\n", capture_output=True, check=False
    )
    return Path(compiler) if tried.returncode == 0 else None


@contextlib.contextmanager
def run_postgres() -> Iterator[str]:
    """A fresh PostgreSQL, listening on a socket in its own directory: no port, no password.

    PostgreSQL refuses to run as root; then only its own processes run as another user.

    Yields:
      The SQLAlchemy URL of its database.

    Raises:
      FileNotFoundError: there is no PostgreSQL on this machine.
    """
    binaries = find_postgres()
    if binaries is None:
        raise FileNotFoundError("no initdb: install PostgreSQL (Debian: postgresql)")
    home = Path(
        tempfile.mkdtemp(prefix="pinsphere-postgres-", dir="/tmp")
    )  # short: a socket's path
    demoted: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = _unprivileged_user()
        os.chown(home, user.pw_uid, user.pw_gid)
        demoted = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    data = home / "data"
    initdb: Command = [binaries / "initdb", "-D", data, "-U", "pinsphere", "-A", "trust"]
    serve: Command = [binaries / "postgres", "-D", data, "-k", home, "-h", "", "-F"]
    url = f"postgresql+psycopg://pinsphere@/postgres?host={home}"
    try:
        subprocess.run(
            [*initdb, "-E", "UTF8", "--locale=C", "--no-sync"],
            check=True,
            capture_output=True,
            cwd=home,
            **demoted,
        )
        with _running(
            serve, home / "log", lambda: _answers_sql(home), signal.SIGINT, cwd=home, **demoted
        ):  # SIGINT: SIGTERM would wait until every client has gone
            yield url
    finally:
        shutil.rmtree(home)


@contextlib.contextmanager
def run_emulator() -> Iterator[PubSubServer]:
    """Google's Pub/Sub emulator on a free loopback port; it keeps messages in memory only.

    Raises:
      FileNotFoundError: there is no emulator, or no Java, on this machine.
    """
    emulator = find_emulator()
    if emulator is None:
        raise FileNotFoundError("no Pub/Sub emulator: it needs Java and the Cloud SDK's component")
    port = free_port()
    serve: Command = [emulator.java, "-jar", emulator.jar, "--host=127.0.0.1", f"--port={port}"]
    with (
        tempfile.TemporaryDirectory(prefix="pinsphere-pubsub-") as home,
        _running(
            serve, Path(home, "log"), lambda: _accepts(port), signal.SIGTERM, cwd=home
        ) as server,
    ):
        yield PubSubServer(f"127.0.0.1:{port}", server.pid)


def free_port() -> int:
    """A loopback port nobody listens on at this moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def _running(
    command: Command,
    log: Path,
    is_up: Callable[[], bool],
    stop: signal.Signals,
    **options: Any,
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server until the block ends; its last words are in the error if it fails."""
    with log.open("wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, **options)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not is_up():
            if server.poll() is not None or time.monotonic() > deadline:
                words = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{Path(command[0]).name} did not start:\n{words}")
            time.sleep(0.02)
        yield server
    finally:
        server.send_signal(stop)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _unprivileged_user() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise RuntimeError("neither a user postgres nor nobody to run PostgreSQL as")


def _answers_sql(home: Path) -> bool:
    import psycopg

    try:
        psycopg.connect(host=str(home), user="pinsphere", dbname="postgres").close()
    except psycopg.OperationalError:
        return False
    return True


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def main(arguments: list[str]) -> None:
    """Says what tests will meet on this machine."""
    chromium, postgres, emulator = find_chromium(), find_postgres(), find_emulator()
    compiler = find_compiler()
    if arguments == ["--missing"]:
        missing = {
            "chromium": chromium,
            "postgresql": postgres,
            "gcc libc6-dev": compiler,
            "sqlite3": shutil.which("sqlite3"),
        }
        print(*(package for package, found in missing.items() if found is None))
        return
    print("Chromium:  ", chromium or "none; browser tests are skipped (Debian: chromium)")
    print("PostgreSQL:", postgres or "none; its tests are skipped (Debian: postgresql)")
    print("Compiler:  ", compiler or "none; durability tests are skipped (Debian: gcc libc6-dev)")
    print(
        "Pub/Sub:   ", emulator.jar if emulator else "the in-process fake (no Cloud SDK emulator)"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
