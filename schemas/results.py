"""Arrow schemas of the result tables, derived from `schemas.tables`."""

import functools

import pyarrow as pa
from sqlalchemy import BigInteger, Boolean, Float, String, Text

from schemas.tables import RESULTS, RUN_COLUMNS

_TYPES = {
    String: pa.string(),
    Text: pa.string(),
    BigInteger: pa.int64(),
    Boolean: pa.bool_(),
    Float: pa.float64(),
}


@functools.cache
def result_schema(table: str) -> pa.Schema:
    """Columns of a result table in its order, without those that publishing adds."""
    return pa.schema(
        [
            pa.field(column.name, _TYPES[type(column.type)], column.nullable)
            for column in RESULTS[table].__table__.columns
            if column.name not in RUN_COLUMNS
        ]
    )


def result_key(table: str) -> tuple[str, ...]:
    """Columns of a result table's key within one run."""
    key = RESULTS[table].__table__.primary_key
    return tuple(column.name for column in key if column.name not in RUN_COLUMNS)
