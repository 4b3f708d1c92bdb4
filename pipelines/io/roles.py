"""Who may read: rights on the views alone, which read the tables with their owner's rights."""

from sqlalchemy import Connection, Engine, text

from schemas.errors import SettingsError
from schemas.views import view_definitions


def grant_views(engine: Engine, role: str) -> list[str]:
    """Lets a role read every view, and nothing else of ours; gives the views.

    Raises:
      SettingsError: the database knows no roles, or not this one.
    """
    if engine.dialect.name != "postgresql":
        raise SettingsError(
            "SQLite has no roles: who may read the file may read all of it; give readers a copy,"
            " or take PostgreSQL (DATABASE_URL)"
        )
    with engine.begin() as connection:
        known = connection.scalars(text("SELECT rolname FROM pg_roles")).all()
        if role not in known:
            raise SettingsError(
                f"the database has no role {role!r}; make it first:"
                f" CREATE ROLE {role} LOGIN PASSWORD '...'"
            )
        grant(connection, role)
    return list(view_definitions("postgresql"))


def grant(connection: Connection, role: str) -> None:
    """Gives a role its rights, in the caller's transaction; nothing on SQLite."""
    quote = connection.dialect.identifier_preparer.quote
    schema = connection.scalar(text("SELECT current_schema()"))
    views = ", ".join(view_definitions(connection.dialect.name))
    connection.exec_driver_sql(f"GRANT USAGE ON SCHEMA {quote(schema)} TO {quote(role)}")
    connection.exec_driver_sql(f"GRANT SELECT ON {views} TO {quote(role)}")


def view_readers(connection: Connection) -> list[str]:
    """The roles that somebody let read the views, so that new views can be theirs too."""
    if connection.dialect.name != "postgresql":
        return []
    granted = text(
        "SELECT DISTINCT r.rolname FROM pg_class c, aclexplode(c.relacl) a"
        " JOIN pg_roles r ON r.oid = a.grantee"
        " WHERE c.relkind = 'v' AND c.relnamespace = CAST(current_schema() AS regnamespace)"
        " AND c.relname = 'view_digest' AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner"
        " ORDER BY 1"
    )
    return list(connection.scalars(granted))
