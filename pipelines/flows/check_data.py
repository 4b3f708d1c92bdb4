"""Checks of spool, lake, state and quarantine, for `pinsphere doctor`."""

import collections
import datetime
import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pipelines.flows.findings import Finding, age, broken, megabytes, ok, warning
from pipelines.io.backlog import spool_backlog
from pipelines.io.lake import lake_files
from schemas.errors import LakeError
from schemas.home import Home
from schemas.settings import Settings
from schemas.spool import Reject
from schemas.spool_upkeep import folder_bytes

# A daily run, and two hours for it.
LATE_SECONDS = 26 * 3_600
_MANY_FILES, _SMALL_BYTES = 5_000, 100_000
_USUAL_DAYS = 7
_FEW_REJECTS = 100
_TOP = 3


def check_spool(home: Home, settings: Settings, now: float) -> Iterator[Finding]:
    """What beacons took and nobody has moved on yet."""
    if not home.spool.exists():
        yield ok("spool", "none: no beacon has run here")
        return
    backlog = spool_backlog(home, settings)
    for text in backlog.unreadable:
        yield broken("spool", text, "docs/operations.md, Troubleshooting")
    size, limit = folder_bytes(home.spool), settings.beacon.spool_max_mb * 1_000_000
    lag = backlog.lag_seconds(now)
    waiting = f"{backlog.rows} rows to move, the oldest {age(lag)} old"
    says = f"{waiting if backlog.rows else 'nothing to move'}; {megabytes(size)}"
    mover = "pinsphere run" if settings.pubsub is None else "pinsphere forward"
    if size >= limit:
        yield broken(
            "spool",
            f"{says}: beacons answer 503 from {megabytes(limit)} on",
            f"{mover}; or raise spool_max_mb",
        )
    elif lag > LATE_SECONDS:
        yield warning("spool", says, f"see that this runs: {mover}")
    elif not backlog.unreadable:
        yield ok("spool", says)


def check_lake(home: Home, settings: Settings) -> Iterator[Finding]:
    """What runs read: every file's place must make sense."""
    try:
        files = lake_files(home)
    except LakeError as error:
        yield broken("lake", str(error), "move it out of the lake, or upgrade PinSphere")
        return
    size = sum(file.size for file in files)
    says = f"{len(files)} files, {megabytes(size)}"
    unknown = sorted({file.site_id for file in files} - set(settings.sites))
    if unknown:
        yield warning(
            "lake",
            f"{says}; of sites that pinsphere.toml does not name: {', '.join(unknown)}",
            "runs leave them out; add them: pinsphere init --site SITE --currency GBP",
        )
    if len(files) > _MANY_FILES and size / len(files) < _SMALL_BYTES:
        yield warning(
            "lake",
            f"{says}: small files, {size / len(files) / 1000:.0f} KB each",
            "drain less often: pinsphere run --every 15m",
        )
    elif not unknown:
        yield ok("lake", says)


def check_state(home: Home) -> Iterator[Finding]:
    """What the next run continues from; it must not outgrow what it was made of."""
    state, lake = _bytes_below(home.state), _bytes_below(home.lake)
    says = f"{megabytes(state)}, beside {megabytes(lake)} of lake"
    if state > 1_000_000_000 and state > 5 * lake:
        yield warning(
            "state", says, f"the next run makes it anew, and is a full one: rm -r '{home.state}'"
        )
    else:
        yield ok("state", says)


def check_quarantine(home: Home, now: float) -> Iterator[Finding]:
    """Whether more than usual breaks its contract, and why."""
    today = datetime.datetime.fromtimestamp(now, datetime.UTC).date()
    days = [str(today - datetime.timedelta(back)) for back in range(_USUAL_DAYS + 1)]
    reasons: collections.Counter[str] = collections.Counter()
    counts: collections.Counter[str] = collections.Counter()
    decode = msgspec.json.Decoder(Reject).decode
    for day in days:
        for path in sorted(home.quarantine.glob(f"site=*/date={day}/[!.]*.jsonl")):
            for number, line in enumerate(path.read_bytes().splitlines(), start=1):
                try:
                    reason = decode(line).reason if line.strip() else None
                except (msgspec.DecodeError, UnicodeError) as error:
                    yield broken(
                        "quarantine",
                        f"{path} line {number} is no rejected record: {error}",
                        "runs fail on it: mend the line or take it out",
                    )
                    return
                if reason is not None:
                    counts[day] += 1
                    # By kind: the same rule broken by other values.
                    kind = re.sub(r"'[^']*'|\"[^\"]*\"|[0-9]+", "…", reason)[:80]
                    reasons[kind] += day in days[:2]
    recent, usual = sum(counts[day] for day in days[:2]), sum(counts[day] for day in days[2:])
    usual_2_days = usual * 2 / (_USUAL_DAYS - 1)
    says = f"{recent} records since yesterday, {usual_2_days:.0f} in two usual days"
    if recent > max(_FEW_REJECTS, 2 * usual_2_days):
        top = "; ".join(f"{count} x {kind}" for kind, count in reasons.most_common(_TOP))
        yield warning(
            "quarantine", f"{says}. {top}", f"mend who sends them; all of it: {home.quarantine}"
        )
    else:
        yield ok("quarantine", says)
    if messages := list(home.quarantine.glob("messages/*")):
        yield warning(
            "quarantine",
            f"{len(messages)} messages of Pub/Sub could not be read",
            "after an upgrade: pinsphere archive --quarantined",
        )


def _bytes_below(folder: Path) -> int:
    return sum(
        Path(where, name).stat().st_size
        for where, _, names in os.walk(folder)
        for name in names
        if Path(where, name).is_file()
    )
