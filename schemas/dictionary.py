"""The data dictionary, derived from the tables' docstrings and the columns' comments.

`python -m schemas.dictionary > docs/data-dictionary.md` writes the committed copy.
"""

import inspect
import sys
from collections.abc import Iterator

from schemas.tables import Base

_HEAD = """\
# Data dictionary

Every table and column, written by `python -m schemas.dictionary` from `schemas/tables.py`. Tables
are internal and may change with a release; query the [views](queries.md), which show the published
run only. `current_<table>` has the columns below and, beside each `_micros` and `_at` column, its
decimal or text.

- `_micros`: money in millionths of the currency unit, so 12.50 is 12500000.
- `_at`: UTC time in milliseconds since 1970.
- A person is a customer id; `e:` and an e-mail's hash, where only that is known; or `v:` and a
  visitor id ([people](attribution.md#3-people)).
"""


def data_dictionary() -> str:
    """The dictionary as Markdown."""
    tables = {mapper.class_.__tablename__: mapper.class_ for mapper in Base.registry.mappers}
    sections = [_section(table) for _, table in sorted(tables.items())]
    return "\n".join([_HEAD, *sections])


def _section(table: type[Base]) -> str:
    about = inspect.cleandoc(table.__doc__ or "").split("\n\n")[0].replace("\n", " ")
    rows = "\n".join(_rows(table))
    return f"""\
## {table.__tablename__}

{about}

| column | type | key | nullable | meaning |
|---|---|---|---|---|
{rows}
"""


def _rows(table: type[Base]) -> Iterator[str]:
    for column in Base.metadata.tables[table.__tablename__].columns:
        cells = (
            f"`{column.name}`",
            str(column.type).lower(),
            "key" if column.primary_key else "",
            "null" if column.nullable else "",
            column.comment or "",
        )
        yield "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def main() -> None:
    """Prints the dictionary, as committed in `docs/data-dictionary.md`."""
    sys.stdout.write(data_dictionary())


if __name__ == "__main__":
    main()
