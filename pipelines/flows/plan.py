"""What a run has to do: everything, or what changed since the state of an earlier run."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from pipelines.flows.attribute import Work
from pipelines.flows.cuts import file_groups, shards_for
from pipelines.io.quarantine import QUARANTINE
from pipelines.io.state import Input, Source, State
from pipelines.transforms.shuffle import PastRun
from schemas.settings import Settings


class Plan(NamedTuple):
    """A run's work, and how it leaves the input files."""

    work: Work
    sources: tuple[Source, ...]  # each with the note of the group it was read with, if any
    rows_read: int


def plan_run(
    inputs: Sequence[Input],
    settings: Settings,
    folder: Path,
    state: State | None,
    shards: int | None,
) -> Plan:
    """Plans a run that ends at the tables of these files.

    Files are read in groups. When one of a group changed or went, all rows of the group are
    taken back and its other files are read again: what they still say cancels at once.

    Args:
      inputs: all input files; those of sites that the settings do not name are left out.
      settings: sites and engine.
      folder: the run's own.
      state: what to continue; None for a full run.
      shards: how many at least; by default by the size of what is to be read.
    """
    noted = {source.content: source.note for source in state.sources} if state else {}
    gone = noted.keys() - {each.source.content for each in inputs}
    broken = {noted[content] for content in gone} - {""}
    notes = {
        each: note
        for each in inputs
        if (note := noted.get(each.source.content, "")) and note not in broken
    }
    fresh = [
        each
        for each in inputs
        if each not in notes
        and (each.file.event_name == QUARANTINE or each.file.site_id in settings.sites)
    ]
    groups = file_groups([each.file for each in fresh], folder)
    note_of = {path: group.note for group in groups for path in group.paths}
    notes |= {each: note_of[os.fspath(each.file.path)] for each in fresh}
    steps = state.steps if state else ()
    # What little comes may concern much that is there.
    shards_now = shards_for((each.file for each in fresh), shards)
    for stage, number in shards_now.items():
        shards_now[stage] = max([number, *(step.shards[stage] // 4 for step in steps)])
    work = Work(
        groups=groups,
        shards=shards_now,
        earlier=tuple(PastRun(step.folder, step.shards) for step in steps),
        taken_back=sorted(broken),
        is_kept=settings.shuffle == "files",
    )
    return Plan(
        work=work,
        sources=tuple(
            msgspec.structs.replace(each.source, note=notes.get(each, "")) for each in inputs
        ),
        rows_read=sum(each.source.rows for each in fresh),
    )
