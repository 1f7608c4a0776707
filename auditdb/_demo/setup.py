"""The database of the demo: made once, brought up to date, with the rights of the platform."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from psycopg import sql

from auditdb._connection.own import execute_alone
from auditdb._demo import embedded
from auditdb._upkeep import database, migrate
from auditdb.errors import SchemaAhead, SchemaBehind, SchemaMissing, translated

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import LiteralString

    import psycopg

DATABASE = "demo"
ROLE = "platform"
"""Whom the platform connects as: a role with rights on its own tables and none on the log."""

BEGIN_ANEW = "Begin anew: auditdb demo --reset."


def prepare(server: embedded.Server) -> None:
    """Bring the database of the demo up to date: for the owner of the log, and the platform."""
    with translated(), database.connect(embedded.url(server, "postgres")) as connection:
        if not _has(connection, "select from pg_database where datname = %s", DATABASE):
            create = sql.SQL("create database {}").format(sql.Identifier(DATABASE))
            execute_alone(connection, create)
        if not _has(connection, "select from pg_roles where rolname = %s", ROLE):
            connection.execute(sql.SQL("create role {} login").format(sql.Identifier(ROLE)))
    url = embedded.url(server, DATABASE)
    migrate.upgrade(url, f"{migrate.EXAMPLE}@head")
    with translated(), database.connect(url) as connection:
        grant(connection, ROLE)


def grant(connection: psycopg.Connection[Any], role: str) -> None:
    """Give `role` what an application needs: rights on its own tables, and none on the log."""
    rights = """
        grant usage on schema licensing to {role};
        grant select, insert, update, delete on all tables in schema licensing to {role};
        grant usage on all sequences in schema licensing to {role};
    """
    connection.execute(sql.SQL(rights).format(role=sql.Identifier(role)))


def _has(connection: psycopg.Connection[Any], query: LiteralString, name: str) -> bool:
    return connection.execute(query, (name,)).fetchone() is not None


@contextmanager
def suggesting_reset() -> Iterator[None]:
    """Say of a log that migrations do not bring up to date how to begin with a new one."""
    try:
        yield
    except (SchemaAhead, SchemaBehind, SchemaMissing) as error:
        raise SchemaBehind(
            "The data of the demo are of another version than this auditdb.",
            hint=BEGIN_ANEW,
        ) from error
