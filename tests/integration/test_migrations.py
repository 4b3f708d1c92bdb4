"""Migrations: they agree with the models, and carry what is there."""

import alembic.command
from sqlalchemy import inspect

from pipelines.io.database import (
    alembic_config,
    downgrade_database,
    open_database,
    upgrade_database,
)
from schemas.settings import Home
from schemas.views import drop_views, view_definitions


def test_migrations_and_models_agree(home: Home) -> None:
    """A column added without its migration would break every installation but ours."""
    engine = open_database(home)
    upgrade_database(engine)
    with engine.begin() as connection:
        drop_views(connection)
        alembic.command.check(alembic_config(connection))
    upgrade_database(engine)
    assert set(inspect(engine).get_view_names()) == set(view_definitions(engine.dialect.name))
    downgrade_database(engine, "base")
    assert set(inspect(engine).get_table_names()) <= {"alembic_version"}
    engine.dispose()
