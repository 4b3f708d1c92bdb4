"""Quarantine: what broke its contract, with the reason, as JSON lines one can mend.

``<home>/quarantine/site=<id>/date=<YYYY-MM-DD>/<file>.jsonl``, one `schemas.spool.Reject` a
line; the date is the UTC date it was received.
"""

import datetime
import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from schemas.durable import DurableFolder
from schemas.errors import LakeError
from schemas.ids import is_site_id
from schemas.settings import Home
from schemas.spool import UNKNOWN_SITE, Reject

MAX_REASON = 500


def write_rejects(home: Home, rejects: Iterable[Reject], name: str) -> list[Path]:
    """Writes rejects durably as `<name>.jsonl`, one file a site and date, in the given order.

    A file of that name is replaced. A site that cannot name a folder goes to `_unknown`;
    a reason is cut to 500 characters.

    Raises:
      OSError: the disk refused.
    """
    lines: defaultdict[Path, list[bytes]] = defaultdict(list)
    for reject in rejects:
        site = reject.site_id if is_site_id(reject.site_id) else UNKNOWN_SITE
        moment = datetime.datetime.fromtimestamp(reject.received_time_ms / 1000, datetime.UTC)
        folder = home.quarantine / f"site={site}" / f"date={moment.date().isoformat()}"
        lines[folder / f"{name}.jsonl"].append(msgspec.json.encode(_cut(reject)) + b"\n")
    with DurableFolder(home.quarantine) as folder_writer:
        for path, content in lines.items():
            folder_writer.place(path, functools.partial(_write_lines, content))
    return list(lines)


def _write_lines(lines: list[bytes], file: BinaryIO) -> None:
    file.writelines(lines)


def read_rejects(home: Home) -> Iterator[Reject]:
    """All records in quarantine, by site, date and file; blank lines are skipped.

    People mend these files by hand, so a reason is cut to 500 characters here as well.

    Raises:
      LakeError: a line is not a reject; the text names file and line.
    """
    decode = msgspec.json.Decoder(Reject).decode
    for path in sorted(home.quarantine.glob("site=*/date=*/*.jsonl")):
        if path.name.startswith("."):
            continue
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    yield _cut(decode(line))
                except (msgspec.DecodeError, UnicodeError) as error:
                    raise LakeError(
                        f"{path} line {number}: not a rejected record: {error}"
                    ) from None


def _cut(reject: Reject) -> Reject:
    if len(reject.reason) <= MAX_REASON:
        return reject
    return msgspec.structs.replace(reject, reason=reject.reason[:MAX_REASON])
