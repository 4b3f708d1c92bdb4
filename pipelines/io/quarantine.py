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
import pyarrow as pa

from pipelines.io.blanking import Words
from pipelines.io.erased import read_erased
from pipelines.io.lake import LakeFile
from schemas.durable import DurableFolder
from schemas.errors import LakeError
from schemas.home import Home
from schemas.ids import is_site_id
from schemas.lock import together
from schemas.results import result_schema
from schemas.spool import UNKNOWN_SITE, Reject

QUARANTINE = "quarantine"  # the kind of its files, beside the lake's event names
MAX_REASON = 500


def write_rejects(home: Home, rejects: Iterable[Reject], name: str) -> list[Path]:
    """Writes rejects durably as `<name>.jsonl`, one file a site and date, in the given order.

    A file of that name is replaced. A site that cannot name a folder goes to `_unknown`;
    a reason is cut to 500 characters. A record that names someone who was erased after it came
    loses its text (`pipelines.io.erased`).

    Raises:
      OSError: the disk refused.
    """
    with together(home.lake_lock):
        return _write(home, rejects, name)


def _write(home: Home, rejects: Iterable[Reject], name: str) -> list[Path]:
    erased = read_erased(home)
    lines: defaultdict[Path, list[bytes]] = defaultdict(list)
    for reject in rejects:
        if names := erased.late_names(reject):
            scrub(reject, Words(names))
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


def quarantine_files(home: Home) -> list[LakeFile]:
    """All finished files of the quarantine, as files of one more kind."""
    files = []
    for path in sorted(home.quarantine.glob("site=*/date=*/[!.]*.jsonl")):
        date, site = (folder.name for folder in path.parents[:2])
        size = path.stat().st_size
        place = (site.removeprefix("site="), date.removeprefix("date="), path, size)
        files.append(LakeFile(QUARANTINE, *place))
    return files


def rejects_table(paths: Iterable[Path]) -> pa.Table:
    """What files of the quarantine hold, as rows of the quarantine table.

    Without the records themselves, which are long: those stay in the files.

    Raises:
      LakeError: a line is not a reject; the text names file and line.
    """
    rows = [
        {
            "site_id": reject.site_id or UNKNOWN_SITE,
            "reject_id": reject.reject_id,
            "origin": reject.origin,
            "place": reject.place,
            "reason": reject.reason,
            "received_at": reject.received_time_ms,
        }
        for path in paths
        for reject in _rejects_in(path)
    ]
    return pa.Table.from_pylist(rows, schema=result_schema("quarantine"))


def read_rejects(home: Home) -> Iterator[Reject]:
    """All records in quarantine, by site, date and file.

    Raises:
      LakeError: a line is not a reject; the text names file and line.
    """
    for file in quarantine_files(home):
        yield from _rejects_in(file.path)


def _rejects_in(path: Path) -> Iterator[Reject]:
    """The records of one file; blank lines are skipped.

    People mend these files by hand, so a reason is cut to 500 characters here as well.
    """
    decode = msgspec.json.Decoder(Reject).decode
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                yield _cut(decode(line))
            except (msgspec.DecodeError, UnicodeError) as error:
                raise LakeError(f"{path} line {number}: not a rejected record: {error}") from None


def scrub(reject: Reject, words: Words) -> bool:
    """Takes words out of a record; its text goes as a whole. Says whether they were there."""
    said = (reject.record, reject.reason, reject.place)
    if not any(words.stand_in(text) for text in said):
        return False
    reject.record = ""
    reject.reason = words.taken_out(reject.reason)
    reject.place = words.taken_out(reject.place)
    return True


def _cut(reject: Reject) -> Reject:
    if len(reject.reason) <= MAX_REASON:
        return reject
    return msgspec.structs.replace(reject, reason=reject.reason[:MAX_REASON])
