"""Rows of given files on their way to quarantine, each with its place, reason and text."""

import itertools
from collections.abc import Mapping, Sequence

from pipelines.io.checked_rows import Fault
from pipelines.io.given_files import GivenFile
from pipelines.io.layout import Layout
from pipelines.io.row_files import read_records
from schemas.spool import Reject


def rejects_of(
    given: Sequence[GivenFile],
    layout: Layout,
    mapping: Mapping[str, str],
    faults: Sequence[Fault],
    *,
    site: str,
    now_ms: int,
    origin: str,
) -> list[Reject]:
    """The faults, sorted by file and line, with their records' text read again.

    Args:
      given: the files, in the order that the faults number them by.
      layout: their columns.
      mapping: own column -> the file's.
      faults: sorted by file and line.
      site: shop that the files were imported into.
      now_ms: UTC epoch milliseconds that they were received at.
      origin: name of the import.
    """
    rejects = []
    for place, group in itertools.groupby(faults, key=lambda fault: fault.file):
        file, of_file = given[place], list(group)
        records = read_records(file, layout, mapping, {fault.line for fault in of_file})
        rejects += [
            Reject(
                reject_id=file.reject_id(fault.line),
                site_id=site,
                received_time_ms=now_ms,
                origin=origin,
                place=f"{file.name} line {fault.line}",
                reason=fault.reason,
                record=records[fault.line],
            )
            for fault in of_file
        ]
    return rejects
