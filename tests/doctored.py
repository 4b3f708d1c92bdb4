"""A healthy home for `pinsphere doctor` to look at, which tests then make ill."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import pinsphere
from pipelines.flows.findings import Finding, State
from pipelines.flows.setup import add_site
from schemas.home import Home

ORDER = (
    '{"event_name":"purchase","event_id":"1","event_time_ms":1788000000000,"order_id":"1",'
    '"currency":"GBP","items":[{"item_id":"mug","quantity":1,"price":"1.00"}]}\n'
)
SECRET = ("PINSPHERE_SECRET_ACME", "a-long-and-random-secret")


def make_home(path: Path) -> Home:
    """A shop with one order, published."""
    home = Home(path)
    before = os.umask(0o077)
    add_site(home, "acme", currency="GBP", time_zone="UTC")
    os.umask(before)
    file = path / "order.jsonl"
    file.write_text(ORDER)
    call("import", "events", file, "--site", "acme", "--home", path)
    assert call("run", "--shards", 1, "--home", path) == 0
    return home


def call(*arguments: object) -> int:
    """The exit code of a command."""
    with contextlib.suppress(SystemExit):
        pinsphere.main([str(argument) for argument in arguments])
        return 0
    return 1


def states(findings: Iterable[Finding]) -> list[tuple[str, State]]:
    """Which check found what."""
    return [(finding.check, finding.state) for finding in findings]


def the_one(findings: Iterable[Finding]) -> Finding:
    """What a check found that finds one thing."""
    (finding,) = findings
    assert (finding.state == "ok") == (finding.way_out == ""), "each trouble has its way out"
    return finding
