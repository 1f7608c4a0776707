"""Asks for the history of one thing: an item, a column of it, a transaction, an event; the past."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditdb._connection.runner import Query, helper
from auditdb._query import declared, months, page_cursor, past, rows
from auditdb._query.filters import filtered, moment_of
from auditdb._query.layouts import NAME_NOW, OF_EVENTS, TABLE_NOW, Layouts, check_one
from auditdb._query.records import Change, Event, FieldChange, ItemState, parse
from auditdb._query.statements import MOMENT, select
from auditdb.errors import InvalidQuestion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from auditdb._connection.runner import Reading, ResultRow
    from auditdb._query.filters import Filter, Id, Item
    from auditdb._query.months import Window

# Equal pairs say which part of the item a row is about; they are no change. A pair of nulls is one,
# of the null of SQL and that of JSON; the null of a key that came or went has no other side.
_FIELD_HISTORY = """
select e.id, tx, {moment}, account_id, action, actor_type, actor_id, actor_label,
  on_behalf_of_type, on_behalf_of_id, on_behalf_of_label, e.key, e.table_name, c.key, {table_now},
  c.value::text
from ({events}) as e
left join audit.layout as y on y.id = e.layout
cross join lateral jsonb_each(e.changes) as c
where {name_now} = cast(:column as text)
  and ((c.value ->> 'redacted')::boolean or (c.value -> 'old') = 'null'
    or not coalesce((c.value -> 'old')::text = (c.value -> 'new')::text,
      num_nulls(c.value -> 'old', c.value -> 'new') = 2))
order by occurred_at, e.id, tx
"""
_HAS_COLUMN = """
select exists (select from ({events}) as e where changes -> cast(:column as text) is not null)
"""
_LAYOUTS = "with event as materialized (select layout from ({events}) as e) {layouts}"
_OLDEST_FIRST = "select {columns} from ({events}) as e where {where} order by occurred_at, id, tx"
_CHANGES = """
select column_name, old_value, new_value, is_redacted, column_then
from audit.changes
where occurred_at = {at} and account_id = cast(:account_id as text)
  and id = cast(:id as bigint) and tx = cast(:tx as bigint)
order by column_name
"""


@helper
def item_history(
    item: Item,
    *,
    account_id: Id | None = None,
    include_parts: bool = True,
    table: str | Sequence[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    baseline: bool = False,
) -> Reading[tuple[Event, ...]]:
    """Read all events of one item and its parts, oldest first: its whole life, not a page.

    For an item with very many events, page through events(item=…). Where tables of one item type
    have the same id, each event says its `table_name`. Parameters and errors are those of
    events().

    >>> [event.action for event in auditdb.item_history(conn, ("invoice", 42))]
    ['invoice_created', 'invoice_updated']
    """
    wanted = filtered(
        account_id=account_id,
        item=item,
        include_parts=include_parts,
        table=table,
        since=since,
        until=until,
        baseline=baseline,
    )
    text = _oldest_first(wanted, (yield from months.whole(wanted)))
    return tuple(map(rows.event, (yield Query(text, wanted.values))))


@helper
def field_history(
    item: Item,
    column: str,
    *,
    account_id: Id | None = None,
    table: str | Sequence[str] | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    baseline: bool = False,
) -> Reading[tuple[FieldChange, ...]]:
    """Read all changes of one column of an item, oldest first.

    `column` is its name, or the path of a part's column, features/F1/max_consumption. A renamed
    column has one history, under the name that it has now; a dropped one has its last name, and
    where another column has that now, the number in the table after it, `name#2`. Where the item
    began, `old` is None, where it ended, `new` is. With `baseline`, what audit.baseline() found is
    among them, with None as `old`.

    Parameters and errors are those of events(); a column that neither the item nor a declaration in
    the log ever had is an InvalidQuestion, which names similar ones, and so is a former name, and
    an id that is an item of several tables which have the column: give `table`.

    >>> history = auditdb.field_history(conn, ("invoice", 42), "status")
    >>> [(change.old, change.new, change.actor_label) for change in history]
    [(None, 'open', None), ('open', 'paid', 'Ana')]
    """
    wanted = filtered(
        account_id=account_id,
        item=item,
        include_parts=False,
        table=table,
        since=since,
        until=until,
        baseline=baseline,
    )
    window = yield from months.whole(wanted)
    text = _FIELD_HISTORY.format(
        moment=MOMENT,
        events=select("*", wanted, window),
        name_now=NAME_NOW.format(key="c.key"),
        table_now=TABLE_NOW,
    )
    found = yield Query(text, {**wanted.values, "column": column})
    if not found:
        yield from _check_column(item, column, account_id)
    check_one(item, (table_now for *_, table_now, _ in found), table)
    return tuple(map(_field_change, found))


@helper
def state_at(
    item: Item,
    time: datetime,
    *,
    account_id: Id | None = None,
    table: str | Sequence[str] | None = None,
) -> Reading[ItemState]:
    """Return what an item was at a time (with a time zone): all its audited columns.

    What happened at that very time has happened. Where the log begins after the item does, a column
    has the value that its next change replaced; one that never changed is in `unknown`. After
    audit.baseline() all are known. Columns
    of the item's parts are there by their paths, as far as the log has seen them. A TRUNCATE is one
    row about the table: of the items that it removed, the log does not know that they are gone.

    An item whose id changed is followed: as the item that it is at the time, it has what it had
    under the id before. Under the id that it had before it does not exist, and `moved` says where
    it went; likewise in an account that lost it, where the account is given.

    Columns have the names that they have now; those that were called otherwise then are in
    `names_then`. A column that had been dropped, or was not there yet, is not among them.

    Give the account where items of several accounts may have the same id, and the table where
    several tables have items of the type: rows of two tables are never mixed, an id that is an item
    of both is an InvalidQuestion which names them. Other errors are those of events(). Needs no
    right but to read events; which columns are unknown is read from the layouts of the rows.

    >>> then = auditdb.state_at(conn, ("invoice", 42), before_payment)
    >>> then.exists, then.values["status"], then.unknown
    (True, 'open', frozenset())
    >>> auditdb.state_at(conn, ("invoice", 42), before_payment - timedelta(days=1)).exists
    False
    """
    return past.state((yield from past.read(item, time, account_id, table)))


@helper
def value_at(
    item: Item,
    column: str,
    time: datetime,
    *,
    account_id: Id | None = None,
    table: str | Sequence[str] | None = None,
) -> Reading[Any]:
    """Return the value that a column of an item had at a time (with a time zone).

    It is the value of the JSON in the log: None for null, int or Decimal for numbers, str for
    what JSON has no type for. Where there is none to give, it is a NoValue that says why: ABSENT,
    UNKNOWN or REDACTED. How it is found, and the errors, are as for state_at(); a column that
    neither the item nor a declaration in the log ever had is an InvalidQuestion, which names
    similar ones, and so is a former name. A role that sees no declarations, as under row security,
    gets UNKNOWN for what no column was ever called.

    >>> auditdb.value_at(conn, ("invoice", 42), "total", before_payment)
    Decimal('99.90')
    >>> auditdb.value_at(conn, ("invoice", 43), "total", before_payment).name
    'UNKNOWN'
    """
    return past.value(column, (yield from past.read(item, time, account_id, table)))


@helper
def event(key: str, *, account_id: Id | None = None) -> Reading[Event | None]:
    """Read the event with a key, `key` of an Event or of audit.events; None where there is none.

    A key is the whole identity of a row, so it can stand in a link. The time in it says which
    partition to read; with the account the row is found by index. What is no key is an
    InvalidQuestion; other errors are those of events().

    >>> (event,) = auditdb.events(conn, action="invoice_updated")
    >>> auditdb.event(conn, event.key) == event
    True
    """
    position = page_cursor.read_key(key)
    wanted = filtered(account_id=account_id)
    where = (
        f"occurred_at = {moment_of('at')} and id = cast(:id as bigint) and tx = cast(:tx as bigint)"
    )
    text = _oldest_first(wanted, months.around(position.moment), where)
    values: dict[str, str | int] = {
        "at": page_cursor.to_text(position.moment),
        "id": position.id,
        "tx": position.tx,
    }
    found = yield Query(text, {**wanted.values, **values})
    return rows.event(found[0]) if found else None


@helper
def transaction_events(
    tx: int,
    *,
    era: int | None = None,
    account_id: Id | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    baseline: bool = False,
) -> Reading[tuple[Event, ...]]:
    """Read all events of one top-level transaction, `tx` of an Event, in their order.

    After a restore or an import several transactions may have the same number, one in each era of
    the log: give `era` of an Event, or an InvalidQuestion names the eras that there are. A
    transaction can last; `since` and `until` (with a time zone) spare looking for it in all months.
    Other errors are those of events().

    >>> (event,) = auditdb.events(conn, action="invoice_updated").events
    >>> [event.action for event in auditdb.transaction_events(conn, event.tx)]
    ['invoice_updated', 'payment_created']
    """
    wanted = filtered(account_id=account_id, since=since, until=until, baseline=baseline)
    window = yield from months.whole(wanted)
    values: dict[str, Any] = {**wanted.values, "tx": tx}
    where = "tx = cast(:tx as bigint)"
    if era is not None:
        where += " and era = cast(:era as integer)"
        values["era"] = era
    found = tuple(map(rows.event, (yield Query(_oldest_first(wanted, window, where), values))))
    eras = sorted({one.era for one in found})
    if len(eras) > 1:
        raise InvalidQuestion(
            f"{len(eras)} transactions have the number {tx}, of the eras "
            f"{', '.join(map(str, eras))}.",
            hint=f"Give era={eras[-1]}, say; each event says its own.",
        )
    return found


@helper
def changes(event: Event) -> Reading[tuple[Change, ...]]:
    """Read what `event` changed, column by column in the order of their names, as text.

    Event.changes has the same as Python values, under the names of then, without asking the
    database. Errors are those of events().

    >>> (event,) = auditdb.events(conn, action="invoice_updated").events
    >>> [(one.column, one.old, one.new) for one in auditdb.changes(conn, event)]
    [('status', 'open', 'paid')]
    """
    text = _CHANGES.format(at=moment_of("at"))
    values: dict[str, str | int] = {
        # Not of occurred_at, which has Python's years alone.
        "at": page_cursor.to_text(page_cursor.read_key(event.key).moment),
        "account_id": event.account_id,
        "id": event.id,
        "tx": event.tx,
    }
    return tuple(Change(*row) for row in (yield Query(text, values)))


def _check_column(item: Item, column: str, account_id: Id | None) -> Reading[None]:
    """Raise InvalidQuestion for a column that neither the item nor a declaration ever had."""
    wanted = filtered(account_id=account_id, item=item, include_parts=False)
    window = yield from months.whole(wanted)
    about = _LAYOUTS.format(events=select("layout", wanted, window), layouts=OF_EVENTS)
    layouts = Layouts((yield Query(about, wanted.values)))
    if layouts.check_name(column, layouts.tables):
        return
    known = yield Query((yield from declared.statement()), {})
    try:
        declared.check_column(item[0], column, known)
    except InvalidQuestion:
        # Rows of another log may have come in without the declarations that they were written by.
        text = _HAS_COLUMN.format(events=select("changes", wanted, window))
        ((is_there,),) = yield Query(text, {**wanted.values, "column": column})
        if not is_there:
            raise


def _oldest_first(wanted: Filter, window: Window, where: str = "true") -> str:
    events = select("*", wanted, window)
    return _OLDEST_FIRST.format(columns=rows.COLUMNS, events=events, where=where)


def _field_change(row: ResultRow) -> FieldChange:
    number, tx, moment, account_id, action, *actor, key, table, column_then, _, entry = row
    change = parse(entry)
    actor_type, actor_id, actor_label, principal_type, principal_id, principal_label = actor
    return FieldChange(
        event_id=number,
        tx=tx,
        occurred_at=page_cursor.to_datetime(int(moment)),
        account_id=account_id,
        action=action,
        actor_type=actor_type,
        actor_id=actor_id,
        actor_label=actor_label,
        on_behalf_of_type=principal_type,
        on_behalf_of_id=principal_id,
        on_behalf_of_label=principal_label,
        old=change.get("old"),
        new=change.get("new"),
        is_redacted="redacted" in change,
        key=key,
        table_name=table,
        column_then=column_then,
    )
