"""Checks of the machine and the home directory, for `pinsphere doctor`."""

import contextlib
import importlib.metadata
import os
import platform
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement

from pipelines.flows.findings import Finding, age, broken, megabytes, ok, warning
from schemas.alerts import alert_warnings
from schemas.errors import BusyError
from schemas.home import Home
from schemas.lock import only_one
from schemas.settings import Settings, secret_warnings

# What beacons put beside them (`beacon.server`), and a name that a process writes under until
# the file is whole (`schemas.durable`).
_METRICS_FOLDERS = "pinsphere-metrics-*"
_ASIDE = re.compile(r"\..+\.(?P<pid>[0-9]+)")
_OLD_SECONDS = 3_600.0
_CLOCK_SECONDS = 60.0


def check_packages(distribution: str = "pinsphere") -> Iterator[Finding]:
    """Python and each package, against what this release asks for."""
    try:
        wanted = importlib.metadata.metadata(distribution)
    except importlib.metadata.PackageNotFoundError:
        yield warning(
            "packages",
            f"{distribution} runs from a folder: nothing says which versions it needs",
            "install it: pip install .",
        )
        return
    python, is_well = platform.python_version(), True
    if not Requirement(f"python{wanted['Requires-Python']}").specifier.contains(python):
        is_well = False
        yield broken(
            "packages",
            f"Python {python}, and not {wanted['Requires-Python']}",
            "install PinSphere with one of these",
        )
    for text in importlib.metadata.requires(distribution) or ():
        needs = Requirement(text)
        if needs.marker and not needs.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(needs.name)
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if found == "none" or not needs.specifier.contains(found, prereleases=True):
            is_well = False
            yield broken(
                "packages",
                f"{needs.name} {found}, and not {needs.specifier or 'any'}",
                f"pip install {text.split(';')[0].strip()!r}",
            )
    if is_well:
        versions = [
            f"{name} {importlib.metadata.version(name)}"
            for name in ("apache-beam", "pyarrow", "sqlalchemy")
        ]
        yield ok("packages", f"Python {python}, {', '.join(versions)}")


def check_home(home: Home) -> Iterator[Finding]:
    """Who owns the home directory, and who else may read in it."""
    try:
        about = home.path.stat()
    except FileNotFoundError:
        yield broken(
            "home",
            f"{home.path} does not exist",
            "name it: --home or PINSPHERE_HOME; or make it:"
            " pinsphere init --site SHOP --currency GBP",
        )
        return
    if not (stat.S_ISDIR(about.st_mode) and os.access(home.path, os.R_OK | os.W_OK | os.X_OK)):
        yield broken(
            "home", f"{home.path} is no folder that we may write to", f"chown it to {os.geteuid()}"
        )
    elif about.st_uid != os.geteuid():
        yield warning(
            "home",
            f"{home.path} is of user {about.st_uid}, this is user {os.geteuid()}",
            f"run pinsphere as that user: sudo -u '#{about.st_uid}' pinsphere ...",
        )
    elif about.st_mode & 0o077:
        yield warning(
            "home",
            f"others may look into {home.path} (mode {stat.S_IMODE(about.st_mode):o})",
            f"it holds people's data: chmod 700 {home.path}",
        )
    else:
        yield ok("home", f"{home.path}, ours alone")


def check_disk(home: Home, settings: Settings) -> Iterator[Finding]:
    """Room on the disk, beside what beacons need to take events."""
    usage = shutil.disk_usage(home.path)
    percent, least = 100 * usage.free / usage.total, settings.beacon.min_free_percent
    says = f"{percent:.0f} % free, {megabytes(usage.free)}"
    if percent < least:
        yield broken(
            "disk",
            f"{says}: beacons answer 503 below {least:g} %",
            "make room; nothing that was acknowledged is lost",
        )
    elif percent < 2 * least:
        yield warning("disk", f"{says}: beacons answer 503 below {least:g} %", "make room")
    else:
        yield ok("disk", says)


def check_secrets(settings: Settings) -> Iterator[Finding]:
    """Secrets of the sites and of the webhook, as this shell has them."""
    unset = {
        **dict.fromkeys(secret_warnings(settings), "the beacon starts"),
        **dict.fromkeys(alert_warnings(settings.alerts), "pinsphere alerts runs"),
    }
    for line, place in unset.items():
        yield warning(
            "secrets", line, f"set it where {place}; here it may be unset for good reason"
        )
    if not unset:
        yield ok("secrets", f"set, for {len(settings.sites)} sites")


def check_clock(home: Home, now: float) -> Iterator[Finding]:
    """This machine's clock, beside the times of what it wrote itself."""
    files = [home.settings_file, *home.spool.glob("*.spool"), *home.lake.glob("_checkpoints/*")]
    times = {}
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            times[file] = file.stat().st_mtime
    newest = max(times, key=lambda file: times[file], default=None)
    if newest is not None and times[newest] > now + _CLOCK_SECONDS:
        yield broken(
            "clock",
            f"{newest} was written {age(times[newest] - now)} from now:"
            " the clock is wrong, or was then",
            "let the machine keep time by NTP: timedatectl set-ntp true",
        )
    else:
        yield ok("clock", f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(now))} UTC")


def check_leftovers(home: Home, now: float, temporary: Path | None = None) -> Iterator[Finding]:
    """What killed processes left behind."""
    left = leftovers(home, now, temporary)
    if left:
        more = f" and {len(left) - 1} more" if len(left) > 1 else ""
        yield warning(
            "leftovers", f"of killed processes: {left[0]}{more}", "pinsphere doctor --clean"
        )
    else:
        yield ok("leftovers", "none of killed processes")


def leftovers(home: Home, now: float, temporary: Path | None = None) -> list[Path]:
    """Files and folders of processes that are gone, and that nobody reads."""
    temporary = Path(tempfile.gettempdir()) if temporary is None else temporary
    left = [
        folder
        for folder in sorted(temporary.glob(_METRICS_FOLDERS))
        if _is_old(folder, now) and not any(map(_is_alive, _writers(folder)))
    ]
    for path in sorted(home.path.rglob(".*")):
        aside = _ASIDE.fullmatch(path.name)
        if aside and path.is_file() and _is_old(path, now) and not _is_alive(int(aside["pid"])):
            left.append(path)
    if home.work.exists() and any(home.work.iterdir()) and not _is_running(home):
        left.append(home.work)
    return left


def _is_old(path: Path, now: float) -> bool:
    """Old enough that no container, whose processes are not seen from here, is at it."""
    return now - path.stat().st_mtime > _OLD_SECONDS


def _writers(folder: Path) -> set[int]:
    """Processes that wrote metrics there: counter_123.db."""
    found = (re.search(r"_([0-9]+)\.db$", file.name) for file in folder.iterdir())
    return {int(each[1]) for each in found if each}


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _is_running(home: Home) -> bool:
    """Whether a run is at work; looking makes no lock file."""
    lock = home.path / "run.lock"
    if not lock.exists():
        return False
    try:
        with only_one(lock, "run"):
            return False
    except BusyError:
        return True
