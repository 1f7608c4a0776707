"""Keeps the log in shape for ever: partitions ahead of time, those whose time is over at rest."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from auditdb._connection.own import execute_alone
from auditdb._upkeep.patience import WaitedTooLong, execute_patiently, said
from auditdb.errors import LogBusy, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import LiteralString

PATIENCE = 60.0
"""Seconds to go on trying while transactions are open that use the log."""

_PAUSE = 0.2
_IN_THE_WAY = (
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
)
# Who waits for a lock that keeps writers out makes others wait behind it.
_BRIEF = 0.02

# Closed are those whose time is over for a week, so that no transaction still writes there.
# Bounds are texts, for they may be of years that Python has not.
_DUE = """
select l.partition, l.upper_bound::text,
  pg_has_role(c.relowner, 'usage') or (select r.rolsuper from pg_roles as r
                                       where r.rolname = current_user) as is_owner
from audit.partition_list() as l
join pg_class as c on c.oid = to_regclass(format('audit.%I', l.partition))
where l.upper_bound < now() - interval '7 days'
  and l.partition not in (select p.partition from audit.closed_partition as p)
order by l.upper_bound
"""
# A foreign key that came since is not in the summary of what belongs to what.
_OUTDATED = """
select l.partition
from audit.partition_list() as l
join audit.closed_partition as c on c.partition = l.partition
where l.partition not in (select s.partition from audit.summarised_partitions() as s)
order by l.upper_bound
"""
_IS_OWNER = """
select pg_has_role(c.relowner, 'usage') or r.rolsuper
from pg_class as c
join pg_roles as r on r.rolname = current_user
where c.oid = 'audit.log'::regclass
"""
_OLDER_WRITERS = """
select exists (select from pg_stat_activity as a
               where a.backend_xid is not null and a.xact_start < %(upper)s::timestamptz)
  or exists (select from pg_prepared_xacts as p where p.prepared < %(upper)s::timestamptz)
"""
_FROZEN = "select relallvisible >= relpages from pg_class where oid = %(name)s::regclass"
_BRIN_INDEXES = """
select i.indexrelid::regclass::text from pg_index as i
join pg_class as c on c.oid = i.indexrelid
join pg_am as m on m.oid = c.relam
where i.indrelid = %(name)s::regclass and m.amname = 'brin'
"""
# Of the log itself, not of what TOAST keeps: that only grows, and a rebuilding of its index that
# broke off could be cleared away by superusers alone.
_INDEXES = """
select i.indexrelid::regclass::text from pg_index as i
where i.indrelid = %(name)s::regclass and i.indisvalid
order by i.indexrelid
"""
# Where somebody is at it, the index, or for a new one its table, is locked so.
_LEFT_OVER = """
select i.indexrelid::regclass::text
from pg_class as c
join pg_index as i on i.indrelid in (c.oid, c.reltoastrelid)
where c.oid = %(name)s::regclass and not (i.indisvalid and i.indisready and i.indislive)
  and i.indexrelid not in (select l.relation from pg_locks as l
                           where l.mode = 'ShareUpdateExclusiveLock' and l.granted)
order by i.indexrelid
"""
_UNDER_WAY = """
select format('process %%s is rebuilding its indexes', l.pid)
from pg_locks as l
where l.relation = %(name)s::regclass and l.granted and l.mode = 'ShareUpdateExclusiveLock'
  and l.database = (select d.oid from pg_database as d where d.datname = current_database())
  and l.pid <> pg_backend_pid()
limit 1
"""
_LEAVES = """
select format('audit.%I', l.partition)
from audit.partition_list() as l
order by l.upper_bound
"""
_REBUILT = "somebody else rebuilds indexes of it"
_HOLDERS = "select audit.holders_of(array[%(name)s::regclass])"


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What was done."""

    changes: int
    """Partitions added, or taken out of the way for others, counted together."""
    closed: tuple[str, ...]
    """Partitions that were frozen, summarised and reindexed, or only summarised anew."""
    postponed: tuple[str, ...]
    """Partitions that are due, each with the reason why it was left for the next time."""


def maintain(
    connection: psycopg.Connection[Any],
    *,
    ahead: str = "24 months",
    patience: float = PATIENCE,
    tell: Callable[[str], object] = lambda _: None,
) -> Maintenance:
    """Make partitions so far `ahead` (a PostgreSQL interval), and close those whose time is over.

    No writer or reader waits for it: where the log is in use it tries again, for `patience`
    seconds. `connection` must be in autocommit mode; `tell` is called with what is being done.

    Raises LogBusy where the log was in use all the time; partitions that are there stay, and rows
    have a place in any case. Other errors of the database are raised as AuditError.
    """
    with translated():
        changes = extend(connection, ahead=ahead, patience=patience)
        reasons: dict[str, str | None] = {}
        postponed: list[str] = []
        if connection.execute(_IS_OWNER).fetchone() == (True,):
            for (name,) in connection.execute(_LEAVES).fetchall():
                postponed += _clear(connection, name)
            for (name,) in connection.execute(_OUTDATED).fetchall():
                tell(f"summarising {name}")
                reasons[name] = _summarise(connection, name)
        for name, upper, is_owner in connection.execute(_DUE).fetchall():
            if not is_owner:
                reasons[name] = "its owner must close it"
            elif connection.execute(_OLDER_WRITERS, {"upper": upper}).fetchone() == (True,):
                reasons[name] = "a transaction older than its end is open"
            else:
                tell(f"closing {name}")
                reasons[name] = _close(connection, name, patience)
        closed = tuple(name for name, reason in reasons.items() if reason is None)
        if closed:
            execute_alone(connection, "analyze (skip_locked) audit.log")
    postponed += [f"{name}: {reason}" for name, reason in reasons.items() if reason]
    return Maintenance(changes, closed, tuple(postponed))


def extend(
    connection: psycopg.Connection[Any], *, ahead: str = "24 months", patience: float = PATIENCE
) -> int:
    """Make partitions so far `ahead`; returns how many changes it took. Raises as maintain()."""
    deadline = time.monotonic() + patience
    changes = 0
    while found := _step(connection, "select audit.maintain(%s::interval)", ahead, deadline):
        changes += found
    return changes


def add_intervals(
    connection: psycopg.Connection[Any], moments: Sequence[str], *, patience: float = PATIENCE
) -> None:
    """Make a partition of its own for the interval of each time. Raises as maintain()."""
    deadline = time.monotonic() + patience
    for moment in moments:
        _step(connection, "select audit.add_interval(%s::timestamptz)", moment, deadline)


def _step(
    connection: psycopg.Connection[Any], query: LiteralString, given: str, deadline: float
) -> int:
    """Run a step that gives up where it would have to wait, until it is done."""
    while True:
        try:
            row = connection.execute(query, [given]).fetchone()
        except _IN_THE_WAY as error:
            if time.monotonic() > deadline:
                raise LogBusy(
                    f"The log is in use, so maintenance could not go on: {said(error)}.",
                    hint="Its rows have a place all the same. Try again when long transactions "
                    "have ended; pg_stat_activity lists them.",
                ) from error
            time.sleep(_PAUSE)
        else:
            return int(row[0]) if row and row[0] else 0


def _close(connection: psycopg.Connection[Any], name: str, patience: float) -> str | None:
    """Close a partition; return the reason where others' transactions are in the way of it."""
    table = sql.Identifier("audit", name)
    given = {"name": f'audit."{name}"'}
    under_way = connection.execute(_UNDER_WAY, given).fetchone()
    if under_way is not None:
        return str(under_way[0])
    try:
        for (index,) in connection.execute(_INDEXES, given).fetchall():
            reindex = sql.SQL("reindex index concurrently {}").format(sql.SQL(index))
            execute_patiently(connection, reindex, patience)
        # Without a wait for the table: what is locked is passed over, and is not frozen then. What
        # TOAST keeps of it is waited for all the same.
        vacuum = sql.SQL("vacuum (freeze, analyze, skip_locked) {}").format(table)
        execute_alone(connection, vacuum)
    except WaitedTooLong as waited:
        return f"a transaction is open that uses it, or what it reads: {waited}"
    except psycopg.errors.DeadlockDetected:
        return _REBUILT
    if connection.execute(_FROZEN, given).fetchone() != (True,):
        return "a transaction is open that may still read older rows"
    try:
        with connection.transaction():
            # Else its indexes may be others by the time that they are opened.
            _bound(connection, _BRIEF)
            lock = sql.SQL("lock table {} in share update exclusive mode").format(table)
            connection.execute(lock)
            for (index,) in connection.execute(_BRIN_INDEXES, given).fetchall():
                connection.execute("select brin_summarize_new_values(%s::regclass)", [index])
    except psycopg.errors.LockNotAvailable:
        return _REBUILT
    return _summarise(connection, name)


def _clear(connection: psycopg.Connection[Any], name: str) -> Iterator[str]:
    """Drop the indexes of a partition that a rebuilding which broke off left; yield what stays."""
    given = {"name": name}
    for (index,) in connection.execute(_LEFT_OVER, given).fetchall():
        # Not concurrently, which would wait for others: without them it takes milliseconds, and
        # whoever is still at it holds a lock that this one cannot get past.
        try:
            with connection.transaction():
                _bound(connection, _BRIEF)
                connection.execute(sql.SQL("drop index {}").format(sql.SQL(index)))
        except psycopg.errors.LockNotAvailable:
            holders = connection.execute(_HOLDERS, given).fetchone() or ("",)
            yield f"{index}: left over, and in use: {holders[0]}"
        except psycopg.errors.InsufficientPrivilege:
            yield f"{index}: left over, and a superuser must drop it"


def _summarise(connection: psycopg.Connection[Any], name: str) -> str | None:
    """Work out what is known of a partition; return the reason where a writer is in the way."""
    try:
        with connection.transaction():
            _bound(connection, _BRIEF)
            connection.execute("select audit.close_partition(%s)", [name])
    except psycopg.errors.LockNotAvailable:
        return "a transaction is open that writes to it"
    except psycopg.errors.ProgramLimitExceeded:
        return "a row of it has ids that are too long for an index"
    return None


def _bound(connection: psycopg.Connection[Any], seconds: float) -> None:
    """Wait for locks so long at most, in this transaction."""
    connection.execute(
        "select set_config('lock_timeout', %s, true)", [f"{max(1, round(seconds * 1000))}ms"]
    )
