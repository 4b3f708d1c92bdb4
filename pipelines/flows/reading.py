"""A group of lake files as one table: the columns that are wanted, checked, and what is derived."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.flows.cuts import FileGroup
from pipelines.io.quarantine import QUARANTINE, rejects_table
from pipelines.kernels.columns import CODES, Tables
from pipelines.transforms.deduplicate import with_derived
from schemas.batches import counted_schema
from schemas.errors import LakeError
from schemas.lake import ADDED_COLUMNS, lake_schema

# What is told of events where they are read is made of these.
_DERIVED_FROM = ("sent_time_ms", "user_agent_class")
# Columns of few texts: Parquet holds them as codes, and to make texts of codes is work.
_FEW_TEXTS = ("site_id", "source", "user_agent_class", "match_method", "token_carrier")


def read_group(group: FileGroup, schema: pa.Schema | None = None) -> Tables:
    """The events of a group of lake files, with what is derived of them; or what was refused.

    Args:
      group: files of one kind.
      schema: the columns that are wanted of events; by default all that are counted.

    Raises:
      LakeError: a file is not Parquet, or has not the columns of its event name.
    """
    if group.kind == QUARANTINE:
        return {"quarantined": rejects_table(map(Path, group.paths))}
    names = {*_DERIVED_FROM, *(schema or counted_schema(group.kind)).names}
    if "item_ids" in names:
        names.add("items")
    schema = pa.schema(
        field.with_type(CODES) if field.name in _FEW_TEXTS else field
        for field in lake_schema(group.kind)
        if field.name in names
    )
    tables = []
    for path in group.paths:
        try:
            tables.append(_read_file(path, schema))
        except (pa.ArrowException, KeyError, ValueError, OSError) as error:
            raise LakeError(
                f"{path} is not a lake file of {group.kind!r}: {error};"
                " move it out of the lake and import its events again"
            ) from None
    return {group.kind: with_derived(group.kind, pa.concat_tables(tables))}


def _read_file(path: str, schema: pa.Schema) -> pa.Table:
    # By one thread: a file is small, and several groups are read at a time.
    file = pq.ParquetFile(
        path, read_dictionary=[field.name for field in schema if field.type == CODES]
    )
    table = file.read(columns=schema.names, use_threads=False)
    for name in ADDED_COLUMNS.intersection(schema.names).difference(table.column_names):
        column = schema.field(name)
        table = table.append_column(column, pa.nulls(table.num_rows, column.type))
    table = table.select(schema.names).cast(schema)
    table.validate(full=True)
    for field in schema:
        if not field.nullable and table[field.name].null_count:
            raise ValueError(f"column {field.name!r} lacks values")
    return table
