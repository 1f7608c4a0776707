"""Stands in for alembic.context in env.py: the same, with the audit log seen to."""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from alembic import context
from sqlalchemy import event, text

from auditdb._connection.qualified import qualified
from auditdb.errors import MigrationFailed, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alembic.runtime.migration import MigrationContext
    from sqlalchemy import Connection

# What event triggers do where a superuser installed the audit log, and nobody does elsewhere.
_IS_FOLLOWED = """exists (
      select from pg_catalog.pg_event_trigger as e
      where e.evtname = 'audit_after_ddl' and e.evtenabled <> 'D')"""

# A cheap question: to compile a table and see what differs takes a tenth of a second.
_IS_STALE = """audit.is_stale(k, '{}')
      or coalesce(audit.fingerprint(k) <> (k.compiled ->> 'fingerprint'), true)"""

# Without an audit log nothing happens. A role that has no rights on it gets an error only where
# nobody else sees to the triggers. No percent sign and no colon: drivers would read them.
_BLOCK = """do $$
begin
  if exists (
    select from pg_catalog.pg_proc as p
    join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
    where n.nspname = 'audit' and p.proname = 'refresh'
      and (has_schema_privilege(n.oid, 'usage') and has_function_privilege(p.oid, 'execute')
        or not {followed}))
  then
    perform audit.{function}(k.target)
    from audit.tracked as k
    where {which};
  end if;
end;
$$"""


def _block(function: str, which: str) -> str:
    return qualified(_BLOCK.format(function=function, which=which, followed=_IS_FOLLOWED))


_REFRESH_STALE = _block("refresh", _IS_STALE)
_REFRESH = _block("refresh", f"{_IS_STALE}\n      or not {_IS_FOLLOWED}")
_WIDEN = _block(
    "widen",
    "starts_with((k.compiled -> 'triggers') ->> '_audit_update', 'after update of')\n"
    f"      and not {_IS_FOLLOWED}",
)
_OURS = frozenset({_REFRESH_STALE, _REFRESH, _WIDEN})

_DDL = re.compile(r"\b(alter|create|drop)\b", re.IGNORECASE)
_WAY = re.compile(r"\balter\s+table\b.*\b(type|drop)\b", re.IGNORECASE | re.DOTALL)
_ALONE = re.compile(r"\bconcurrently\b", re.IGNORECASE)

_AUDIT_TABLES = """
select c.relname
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = 'audit' and pg_catalog.pg_table_is_visible(c.oid)
"""


def __getattr__(name: str) -> Any:
    """Give everything else that alembic.context has."""
    return getattr(context, name)


def run_migrations(**arguments: Any) -> None:
    """Run the migrations as alembic.context does, and keep the audit log in step with them.

    Triggers are compiled anew after DDL and at the end, in the transaction of the migrations; so
    a migration may write to a table that it has altered. Autogenerate leaves out schema audit.
    Raises MigrationFailed where Alembic would take the version table of auditdb for its own, and
    the errors of audit.refresh().
    """
    migration = context.get_context()
    if migration.dialect.name != "postgresql":
        context.run_migrations(**arguments)
        return
    steps: list[bool] = []

    def note(ctx: MigrationContext, step: Any, **_: Any) -> None:
        steps.append(not step.is_stamp)
        if not step.is_stamp:
            with translated():
                ctx.execute(_REFRESH_STALE)

    migration.on_version_apply_callbacks = (note, *migration.on_version_apply_callbacks)
    _leave_out_audit(migration)
    with _following(migration):
        context.run_migrations(**arguments)
    if any(steps):
        # A transaction of its own only where each migration has one too.
        with migration.begin_transaction(_per_migration=True), translated():
            migration.execute(_REFRESH)


@contextmanager
def _following(migration: MigrationContext) -> Iterator[None]:
    """Do for the DDL of this connection what event triggers do where there are any."""
    connection = None if migration.as_sql else migration.connection
    if connection is None:
        yield
        return
    _check_version_table(connection, migration)

    def before(conn: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if _WAY.search(statement):
            with translated():
                conn.exec_driver_sql(_WIDEN)

    def after(conn: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        if statement not in _OURS and _DDL.search(statement) and not _ALONE.search(statement):
            with translated():
                conn.exec_driver_sql(_REFRESH_STALE)

    event.listen(connection, "before_cursor_execute", before)
    event.listen(connection, "after_cursor_execute", after)
    try:
        yield
    finally:
        event.remove(connection, "before_cursor_execute", before)
        event.remove(connection, "after_cursor_execute", after)


def _check_version_table(connection: Connection, migration: MigrationContext) -> None:
    if migration.version_table_schema is not None:
        return
    if migration.version_table in _audit_tables(connection):
        raise MigrationFailed(
            f"The search_path leads to audit.{migration.version_table}, the version table of "
            "auditdb, in place of one of your own.",
            hint='Pass version_table_schema="public", or the schema that it belongs in, to '
            "context.configure().",
        )


def _audit_tables(connection: Connection) -> frozenset[str]:
    """Return the tables of schema audit that a bare name leads to."""
    return frozenset(connection.execute(text(qualified(_AUDIT_TABLES))).scalars())


def _leave_out_audit(migration: MigrationContext) -> None:
    """Put our filters before those that env.py gave, where autogenerate finds them."""
    include_name: Callable[..., bool] | None = migration.opts.get("include_name")
    include_object: Callable[..., bool] | None = migration.opts.get("include_object")

    @cache
    def visible() -> frozenset[str]:
        """Tables of schema audit that look like the user's, where it is on the search_path."""
        return _audit_tables(migration.connection) if migration.connection else frozenset()

    def is_name_included(name: str | None, kind: str, parents: Any) -> bool:
        schema = name if kind == "schema" else parents.get("schema_name")
        if schema == "audit" or (kind == "table" and schema is None and name in visible()):
            return False
        # Alembic would drop its own table where its schema, given by name, is the default one.
        if kind == "table" and name == migration.version_table and schema is None:
            return False
        return include_name is None or include_name(name, kind, parents)

    def is_object_included(item: Any, *others: Any) -> bool:
        table = getattr(item, "table", item)
        if getattr(table, "schema", None) == "audit":
            return False
        return include_object is None or include_object(item, *others)

    migration.opts["include_name"] = is_name_included
    migration.opts["include_object"] = is_object_included
