"""What the models declare compared with what the database tracks, for Alembic's autogenerate."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import TYPE_CHECKING

from alembic.autogenerate import comparators
from alembic.operations.ops import (
    CreateForeignKeyOp,
    CreateTableOp,
    DropColumnOp,
    DropConstraintOp,
    DropTableOp,
    ModifyTableOps,
)
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import text

from auditdb._connection.qualified import qualified
from auditdb._tracking.declaration import INFO_KEY, Tracked, declared
from auditdb._tracking.operations import TrackTableOp, UntrackTableOp
from auditdb.errors import PermissionDenied, SchemaMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alembic.autogenerate.api import AutogenContext
    from alembic.operations import MigrateOperation
    from alembic.operations.ops import UpgradeOps
    from sqlalchemy import Connection, Table

    Key = tuple[str | None, str]
    """Schema and name of a table; the schema is None where Alembic leaves it out."""

_MAY_READ = """
select has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
from pg_catalog.pg_class as c
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
where n.nspname = 'audit' and c.relname = 'tracked'
"""
_TRACKED = """
select n.nspname, c.relname, pg_catalog.pg_table_is_visible(c.oid), pg_catalog.to_jsonb(k)::text
from audit.tracked as k
join pg_catalog.pg_class as c on c.oid = k.target
join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
"""


# Last, so that the operations on the tables themselves are known.
@comparators.dispatch_for("schema", priority=DispatchPriority.LAST)
def compare_declarations(
    context: AutogenContext, upgrade_ops: UpgradeOps, schemas: set[str | None]
) -> PriorityDispatchResult:
    """Add to `upgrade_ops` what makes the database track the tables as they are declared.

    Tables that are not in the metadata, or left out by include_name or include_object, stay as
    they are. Raises SchemaMissing where something is declared and the database has no audit log,
    PermissionDenied where the role may not read what is tracked.
    """
    creates = [op for op in upgrade_ops.ops if isinstance(op, CreateTableOp)]
    for create in creates:
        # It would be written into create_table(), where nobody reads it.
        create.info.pop(INFO_KEY, None)
    if context.dialect.name != "postgresql":
        return PriorityDispatchResult.CONTINUE
    created = {_key(context, op) for op in creates}
    tables = {
        key: table
        for table in context.sorted_tables
        if (key := _key(context, table)) in created or _is_compared(context, key, table, schemas)
    }
    found = _found(context, is_needed=any(map(declared, tables.values())))
    if found is None:
        return PriorityDispatchResult.CONTINUE
    dropped = [op for op in upgrade_ops.ops if isinstance(op, DropTableOp)]
    # A table that is created anew is not tracked yet, whatever one of its name was.
    tracked = {key: was for key, was in found.items() if key not in created}
    tracks, untracks = _differences(tables, tracked)
    untracks += [
        UntrackTableOp(op.table_name, schema=op.schema, previous=was)
        for op in dropped
        if (was := found.get(_key(context, op)))
    ]
    _place(upgrade_ops, tracks, untracks)
    return PriorityDispatchResult.CONTINUE


def _differences(
    tables: Mapping[Key, Table], tracked: Mapping[Key, Tracked]
) -> tuple[list[MigrateOperation], list[MigrateOperation]]:
    """Return what tracks the tables as they are declared, and what stops tracking the others."""
    tracks: list[MigrateOperation] = []
    untracks: list[MigrateOperation] = []
    for key, table in tables.items():
        now, was = declared(table), tracked.get(key)
        if now and (was is None or now.resolved(table.name) != was.resolved(table.name)):
            wanted = now.shortened(table.name)
            tracks.append(TrackTableOp(table.name, wanted, schema=table.schema, previous=was))
        elif was and not now:
            untracks.append(UntrackTableOp(table.name, schema=table.schema, previous=was))
    return tracks, untracks


def _key(context: AutogenContext, what: Table | CreateTableOp | DropTableOp) -> Key:
    name = what.table_name if isinstance(what, (CreateTableOp, DropTableOp)) else what.name
    is_default = what.schema == context.dialect.default_schema_name
    return (None if is_default else what.schema, str(name))


def _is_compared(context: AutogenContext, key: Key, table: Table, schemas: set[str | None]) -> bool:
    schema, name = key
    return (
        schema in schemas
        and context.run_name_filters(name, "table", {"schema_name": schema})
        and context.run_object_filters(table, name, "table", reflected=False, compare_to=None)
    )


def _found(context: AutogenContext, *, is_needed: bool) -> dict[Key, Tracked] | None:
    """Return what the database tracks, None where it has no audit log and none is needed."""
    connection = context.connection
    if connection is None:
        return None
    may_read = connection.execute(text(qualified(_MAY_READ))).scalar_one_or_none()
    if may_read:
        return _tracked(connection)
    if not is_needed:
        return None
    if may_read is None:
        raise SchemaMissing(
            "The models declare tables to be tracked, and the database has no audit log."
        )
    raise PermissionDenied(
        "The role may not read which tables are tracked.",
        hint="Run Alembic as the owner of schema audit, or grant usage on schema audit and "
        "select on audit.tracked.",
    )


def _tracked(connection: Connection) -> dict[Key, Tracked]:
    found: dict[Key, Tracked] = {}
    for schema, name, is_visible, row in connection.execute(text(qualified(_TRACKED))):
        values = json.loads(row)
        named = {f.name: values[f.name] for f in fields(Tracked)}
        found[schema, name] = Tracked(**named).shortened(name)
        # Alembic leaves the schema out of every table that the search_path leads to.
        if is_visible:
            found[None, name] = found[schema, name]
    return found


def _place(
    upgrade_ops: UpgradeOps, tracks: list[MigrateOperation], untracks: list[MigrateOperation]
) -> None:
    """Put the operations where both directions work.

    A new declaration comes after the columns and foreign keys that it may name are there, and
    before those go that the old one may name. The downgrade is the same list backwards.
    """
    if not tracks:
        upgrade_ops.ops[:0] = untracks
        return
    before: list[MigrateOperation] = []
    after: list[MigrateOperation] = []
    for op in upgrade_ops.ops:
        if not isinstance(op, ModifyTableOps):
            before.append(op)
            continue
        kept, removed = _split(op)
        if kept:
            before.append(ModifyTableOps(op.table_name, kept, schema=op.schema))
        if removed:
            after.append(ModifyTableOps(op.table_name, removed, schema=op.schema))
    upgrade_ops.ops[:] = [*untracks, *before, *tracks, *after]


def _split(op: ModifyTableOps) -> tuple[list[MigrateOperation], list[MigrateOperation]]:
    # A foreign key that is replaced must go before the new one of the same name comes.
    is_replaced = any(isinstance(o, CreateForeignKeyOp) for o in op.ops)
    kept: list[MigrateOperation] = []
    removed: list[MigrateOperation] = []
    for o in op.ops:
        is_key = isinstance(o, DropConstraintOp) and o.constraint_type == "foreignkey"
        goes = isinstance(o, DropColumnOp) or (is_key and not is_replaced)
        (removed if goes else kept).append(o)
    return kept, removed
