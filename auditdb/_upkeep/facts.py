"""What the catalogue says of the log, and what it said where the log was just installed.

The first is asked in a way that nothing in the database can answer for: no function of schema audit
is called, and no setting of the session has a say. The second comes with each migration.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from auditdb._connection.runner import Query
from auditdb._upkeep import revisions
from auditdb.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from auditdb._connection.runner import Reading

T = TypeVar("T")

FACTS = (Path(__file__).with_suffix(".sql")).read_text("utf-8")
"""The question: what the catalogue says, a fact a row."""

SUFFIX = ".facts.jsonl"
"""How the file of a migration ends that has the facts after it."""

ANY_PARTITION = "*"
"""The object of facts that are so of every partition."""

# What a statement is read by, and the texts that the catalogue is shown as.
PINNED = {
    "search_path": "pg_catalog, pg_temp",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "array_nulls": "on",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "row_security": "on",
    "lock_timeout": "5s",
    "jit": "off",
}

_VERSIONS = """
select c.relkind = 'r' and not c.relrowsecurity
  and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
from pg_class as c
join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = 'audit' and c.relname = 'alembic_version'
"""


class Key(NamedTuple):
    """What a fact is about."""

    kind: str
    object: str
    trait: str


Facts = dict[Key, str]
"""What is so: of each trait of each object."""


def pinned(reading: Reading[T]) -> Reading[T]:
    """Read in one transaction, under settings of its own that are put back afterwards.

    That is the transaction of the caller, or one that is begun where there is none. Until they are
    in place nothing is sent that a setting could give another meaning: names in full, no operator.
    """
    read = ", ".join(f"pg_catalog.current_setting('{name}')" for name in PINNED)
    ((*before,),) = yield Query(f"select {read}", {}, is_exact=True)
    yield _setting(PINNED)
    # What was set for the transaction is gone already where each statement is one.
    ((*now,),) = yield Query(f"select {read}", {}, is_exact=True)
    is_own = now != list(PINNED.values())
    if is_own:
        yield Query("begin isolation level repeatable read read only", {}, is_exact=True)
        yield _setting(PINNED)
    try:
        result = yield from reading
    except AuditError:
        if is_own:
            # Where the connection is lost, that is what is to be told.
            with suppress(AuditError):
                yield Query("rollback", {}, is_exact=True)
        raise
    if is_own:
        yield Query("commit", {}, is_exact=True)
    else:
        yield _setting(dict(zip(PINNED, map(str, before), strict=True)))
    return result


def _setting(values: Mapping[str, str]) -> Query:
    calls = ", ".join(
        f"pg_catalog.set_config('{name}', cast(:{name} as pg_catalog.text), true)"
        for name in values
    )
    return Query(f"select {calls}", dict(values), is_exact=True)


def found() -> Reading[Facts]:
    """Ask what the catalogue says of the log; to be read as pinned() does."""
    rows = yield Query(FACTS, {}, is_exact=True)
    return parsed(rows)


def parsed(rows: Iterable[Sequence[str]]) -> Facts:
    """Return rows of kind, object, trait and value as facts."""
    return {Key(kind, thing, trait): value for kind, thing, trait, value in rows}


def revision() -> Reading[str | None]:
    """Ask which revision the log has: the newest where psql installed it, None where not told."""
    rows = yield Query(_VERSIONS, {}, is_exact=True)
    if not rows:
        return revisions.needed()
    if not rows[0][0]:
        return None
    rows = yield Query("select version_num from audit.alembic_version", {})
    return revisions.of_versions([str(row[0]) for row in rows])


def shipped(revision: str) -> Facts | None:
    """Return the facts after a migration; None where this package does not know it."""
    paths = list((revisions.directory() / "versions").glob(f"{revision}_*{SUFFIX}"))
    if not paths:
        return None
    return parsed(json.loads(line) for line in paths[0].read_text("utf-8").splitlines())


def to_ship(facts: Mapping[Key, str]) -> Iterator[str]:
    """Yield the lines of a migration's file: what is the same in every new database.

    Raises ValueError where partitions are not alike.
    """
    partitions = {key.object for key in facts if key.kind == "partition"}
    kept = dict[Key, str]()
    for key, value in facts.items():
        if key.kind == "partition":
            alike = {facts.get(key._replace(object=name)) for name in partitions}
            if alike != {value}:
                raise ValueError(f"Partitions differ in {key.trait}: {alike}.")
            kept[key._replace(object=ANY_PARTITION)] = value
        elif key.kind not in ("version", "setting", "shadow") and key.object not in partitions:
            kept[key] = value
    for key in sorted(kept):
        yield json.dumps([*key, kept[key]], ensure_ascii=False)
