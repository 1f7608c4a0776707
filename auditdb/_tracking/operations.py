"""The operations of migrations that track tables: what they run, how they are written down."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Unpack

from alembic.autogenerate import renderers
from alembic.operations import MigrateOperation, Operations
from sqlalchemy import literal_column, select

from auditdb._tracking.declaration import Declaration, Tracked
from auditdb.errors import translated

if TYPE_CHECKING:
    from alembic.autogenerate.api import AutogenContext

LINE_LENGTH = 84
"""Longer calls are written with one argument a line; Alembic indents them by four."""


@Operations.register_operation("track_table")
class TrackTableOp(MigrateOperation):
    """Tracks a table from now on, or changes how it is tracked."""

    def __init__(
        self,
        table_name: str,
        tracked: Tracked,
        *,
        schema: str | None = None,
        previous: Tracked | None = None,
    ) -> None:
        """Take how the table is tracked from now on, and how it was if it was."""
        self.table_name = str(table_name)
        self.tracked = tracked
        self.schema = schema
        self.previous = previous

    @classmethod
    def track_table(
        cls,
        operations: Operations,
        table_name: str,
        *,
        schema: str | None = None,
        **declaration: Unpack[Declaration],
    ) -> None:
        """Track a table as the fields of auditdb.Tracked say, given as arguments."""
        operations.invoke(cls(table_name, Tracked(**declaration), schema=schema))

    def reverse(self) -> TrackTableOp | UntrackTableOp:
        """Return what brings back the declaration before, or its absence."""
        if self.previous is None:
            return UntrackTableOp(self.table_name, schema=self.schema, previous=self.tracked)
        return TrackTableOp(
            self.table_name, self.previous, schema=self.schema, previous=self.tracked
        )

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return what `alembic check` prints."""
        return ("track_table", self.schema, self.table_name, self.tracked.as_dict())


@Operations.register_operation("untrack_table")
class UntrackTableOp(MigrateOperation):
    """Stops tracking a table; its rows of the log stay. One that is not tracked stays as it is."""

    def __init__(
        self, table_name: str, *, schema: str | None = None, previous: Tracked | None = None
    ) -> None:
        """Take how the table was tracked, which reverse() needs."""
        self.table_name = str(table_name)
        self.schema = schema
        self.previous = previous

    @classmethod
    def untrack_table(
        cls, operations: Operations, table_name: str, *, schema: str | None = None
    ) -> None:
        """Stop tracking a table; one that is not tracked stays as it is."""
        operations.invoke(cls(table_name, schema=schema))

    def reverse(self) -> TrackTableOp:
        """Return what tracks the table as before; raises ValueError where that is not known."""
        if self.previous is None:
            raise ValueError(f"how {self.table_name} was tracked is not known")
        return TrackTableOp(self.table_name, self.previous, schema=self.schema)

    def to_diff_tuple(self) -> tuple[Any, ...]:
        """Return what `alembic check` prints."""
        return ("untrack_table", self.schema, self.table_name)


@Operations.implementation_for(TrackTableOp)
def _track(operations: Operations, operation: TrackTableOp) -> None:
    arguments = [_regclass(operation.table_name, operation.schema)]
    for name, value in operation.tracked.as_dict().items():
        arguments.append(f"{name} => {_sql(name, value)}")
    _run(operations, "audit.track(\n  {}\n)".format(",\n  ".join(arguments)))


@Operations.implementation_for(UntrackTableOp)
def _untrack(operations: Operations, operation: UntrackTableOp) -> None:
    _run(operations, f"audit.untrack({_regclass(operation.table_name, operation.schema)})")


def _run(operations: Operations, call: str) -> None:
    """Select from a call of a function, whose text is run and printed as it is.

    Not as text(), which reads parameters into `:word`. And not compiled for the printed script,
    where SQLAlchemy doubles backslashes and percent signs and Alembic turns tabs into spaces.
    """
    if operations.migration_context.as_sql:
        impl = operations.migration_context.impl
        impl.static_output(f"select {call}{impl.command_terminator}")
        return
    with translated():
        operations.execute(select(literal_column(call)))


def _sql(name: str, value: object) -> str:
    if name in ("lookups", "actions"):
        return _literal(json.dumps(value, ensure_ascii=False))
    if isinstance(value, list):
        return "array[{}]".format(", ".join(_literal(v) for v in value))
    return _literal(value) if isinstance(value, str) else str(value).lower()


def _regclass(table_name: str, schema: str | None) -> str:
    # Quoted as PostgreSQL reads names: only what is in lower case already needs no quotes.
    names = [schema, table_name] if schema else [table_name]
    quoted = [n if re.fullmatch("[a-z_][a-z0-9_]*", n) else _identifier(n) for n in names]
    return f"{_literal('.'.join(quoted))}::pg_catalog.regclass"


def _identifier(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def _literal(text: str) -> str:
    """Return a constant that means the same whatever standard_conforming_strings is."""
    quoted = text.replace("'", "''")
    if not re.search(r"[\\\t\r]", quoted):
        return f"'{quoted}'"
    for char, escaped in (("\\", r"\\"), ("\t", r"\t"), ("\r", r"\r")):
        quoted = quoted.replace(char, escaped)
    return f"e'{quoted}'"


@renderers.dispatch_for(TrackTableOp)
def _render_track(context: AutogenContext, operation: TrackTableOp) -> str:
    return _call(context, "track_table", operation, operation.tracked.as_dict())


@renderers.dispatch_for(UntrackTableOp)
def _render_untrack(context: AutogenContext, operation: UntrackTableOp) -> str:
    return _call(context, "untrack_table", operation, {})


def _call(
    context: AutogenContext,
    function: str,
    operation: TrackTableOp | UntrackTableOp,
    declaration: dict[str, Any],
) -> str:
    named = declaration if operation.schema is None else {"schema": operation.schema, **declaration}
    start = f"{context.opts['alembic_module_prefix']}{function}("
    table = repr(operation.table_name)
    line = "{}{})".format(start, ", ".join([table, *(f"{k}={_flat(v)}" for k, v in named.items())]))
    if len(line) <= LINE_LENGTH and r"\n" not in line:
        return line
    arguments = [table, *(f"{name}={_python(value, 4)}" for name, value in named.items())]
    return "{}\n{}\n)".format(start, "\n".join(f"    {a}," for a in arguments))


def _flat(value: object) -> str:
    return repr(str(value)) if isinstance(value, str) else repr(value)


def _python(value: object, indent: int) -> str:
    """Return a value as Python source, of lines that begin `indent` to the right.

    A text of several lines becomes one literal a line: Alembic indents the source as a whole,
    which would change what is between triple quotes.
    """
    inner, outer = " " * (indent + 4), " " * indent
    if isinstance(value, str) and "\n" in value:
        lines = (f"{inner}{line!r}\n" for line in str(value).splitlines(keepends=True))
        return f"(\n{''.join(lines)}{outer})"
    is_short = len(_flat(value)) + indent <= LINE_LENGTH - 16
    if isinstance(value, list) and value and not (is_short and r"\n" not in _flat(value)):
        items = (f"{inner}{_python(item, indent + 4)},\n" for item in value)
        return f"[\n{''.join(items)}{outer}]"
    if isinstance(value, dict) and not (is_short and r"\n" not in _flat(value)):
        pairs = (f"{inner}{k!r}: {_python(v, indent + 4)},\n" for k, v in value.items())
        return f"{{\n{''.join(pairs)}{outer}}}"
    return _flat(value)
