"""`pinsphere doctor`: looks at everything that could be wrong, and says what to do."""

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from pipelines.flows.check_data import check_lake, check_quarantine, check_spool, check_state
from pipelines.flows.check_machine import (
    check_clock,
    check_disk,
    check_home,
    check_leftovers,
    check_packages,
    check_secrets,
    leftovers,
)
from pipelines.flows.check_services import (
    check_beacon,
    check_database,
    check_last_run,
    check_pubsub,
)
from pipelines.flows.findings import Finding, State, broken, ok
from schemas.errors import PinSphereError, SettingsError
from schemas.home import Home
from schemas.settings import Settings

_COLOURS: dict[State, str] = {"ok": "green", "warning": "yellow", "broken": "red"}


def examine(
    home: Home, *, beacon_url: str | None = None, metrics_file: Path | None = None
) -> Iterator[Finding]:
    """All checks, one after the other; nothing is changed, and no lock is held for long.

    Args:
      home: the home directory.
      beacon_url: a beacon to call, best by the address that pages use.
      metrics_file: where runs write their metrics; by default as the settings say.
    """
    now = time.time()
    yield from check_packages()
    yield from check_home(home)
    if not home.path.is_dir():
        return
    try:
        settings = home.settings()
    except SettingsError as error:
        yield broken("settings", str(error), "mend the file; nothing starts before")
        settings = Settings()  # what does not hang on it can be looked at all the same
    else:
        yield ok("settings", f"{home.settings_file}, {len(settings.sites)} sites")
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "disk": lambda: check_disk(home, settings),
        "clock": lambda: check_clock(home, now),
        "secrets": lambda: check_secrets(settings),
        "spool": lambda: check_spool(home, settings, now),
        "lake": lambda: check_lake(home, settings),
        "state": lambda: check_state(home),
        "quarantine": lambda: check_quarantine(home, now),
        "database": lambda: check_database(home, now),
        "metrics": lambda: check_last_run(home.metrics_file(metrics_file)),
        "pubsub": lambda: check_pubsub(settings),
        "leftovers": lambda: check_leftovers(home, now),
    }
    if beacon_url is not None:
        checks["beacon"] = lambda: check_beacon(beacon_url)
    for name, check in checks.items():
        try:
            yield from check()
        except (PinSphereError, OSError, SQLAlchemyError) as error:
            yield broken(name, " ".join(str(error).split()), "mend it, and look again")


def remove_leftovers(home: Home) -> list[Path]:
    """Removes what killed processes left behind, and says what it was."""
    left = leftovers(home, time.time())
    for path in left:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return left


def show(findings: list[Finding], *, as_json: bool) -> None:
    """Prints findings: JSON, else a table on a terminal, else a line each."""
    console = Console()
    if as_json:
        print(msgspec.json.encode([dataclasses.asdict(each) for each in findings]).decode())  # noqa: T201 (what was asked for)
        return
    if not console.is_terminal:
        for each in findings:
            way_out = f" -> {each.way_out}" if each.way_out else ""
            print(f"{each.state:8}{each.check}: {each.says}{way_out}")  # noqa: T201 (a program reads it)
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("", "check", "what is found", "what to do"):
        table.add_column(column, justify="left")
    for each in findings:
        state = f"[{_COLOURS[each.state]}]{each.state}[/]"
        table.add_row(state, each.check, escape(each.says), escape(each.way_out))
    console.print(table)
