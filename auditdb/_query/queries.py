"""Asks the log: pages of events, histories, values and states of the past, counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from auditdb._connection.runner import Query, helper
from auditdb._query import months, page_cursor, past
from auditdb._query.filters import filtered, moment_of
from auditdb._query.records import Change, Count, Event, FieldChange, ItemState, Page, parse
from auditdb._query.statements import MOMENT, event_columns, page_query, select
from auditdb.errors import InvalidQuestion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from auditdb._connection.runner import Reading, ResultRow
    from auditdb._query.filters import ActorFilter, Filter, Id, Item
    from auditdb._query.months import Window

_COLUMNS = event_columns()

# Equal pairs say which part of the item a row is about; they are no change.
_FIELD_HISTORY = """
select id, tx, {moment}, account_id, action, actor_type, actor_id, actor_label, entry::text
from ({events}) as e
where entry -> 'old' is distinct from entry -> 'new' or (entry ->> 'redacted')::boolean
order by occurred_at, id
"""
_OLDEST_FIRST = "select {columns} from ({events}) as e where {where} order by occurred_at, id"
_COUNTS = "select {keys}, count(*) from ({events}) as e group by {places} order by {order}"
_CHANGES = """
select column_name, old_value, new_value, is_redacted
from audit.changes
where occurred_at {sign} {at} and account_id = cast(:account_id as text)
  and id = cast(:id as bigint)
order by column_name
"""

By = Literal["action", "actor", "actor_type", "item_type", "account", "day"]
"""What counts() can count by."""


@helper
def events(
    *,
    account_id: Id | None = None,
    item: Item | None = None,
    include_parts: bool = True,
    action: str | Sequence[str] | None = None,
    actor: ActorFilter | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Reading[Page]:
    """Read a page of at most `limit` events, newest first.

    `conn` is a connection or session of psycopg or SQLAlchemy; through an asynchronous one the
    result is awaited: `page = await auditdb.events(session)`. All else narrows the events:

    account_id: of one account; with it, and only with it, the other filters are found by index.
    item: type and id, ("license", 42): about this item and, unless `include_parts` is False,
        about what has it as parent.
    action: one code or several, any of them.
    actor: ("platform_user", 42), or "platform_user" for all of the type.
    since, until: from the one time on, before the other; both with a time zone.
    cursor: the `next_cursor` of the page before this one. Going on so gives nothing twice, and
        misses nothing that was there at the beginning, whatever is written meanwhile.

    The months are read in steps, newest first, until the page is full; of months that are closed
    only those that have rows of the account or item. Raises InvalidCursor, InvalidQuestion,
    SchemaMissing, SchemaBehind, PermissionDenied and other errors of the database as AuditError.

    >>> page = auditdb.events(conn, item=("invoice", 42), limit=1)
    >>> [(event.action, event.actor_label) for event in page.events]
    [('invoice_updated', 'Ana')]
    >>> older = auditdb.events(conn, item=("invoice", 42), cursor=page.next_cursor)
    >>> [event.action for event in older.events], older.next_cursor
    (['invoice_created'], None)
    """
    wanted = filtered(
        account_id=account_id,
        item=item,
        include_parts=include_parts,
        action=action,
        actor=actor,
        since=since,
        until=until,
    )
    return (yield from _page_of(wanted, cursor=cursor, limit=limit))


def _page_of(wanted: Filter, *, cursor: str | None, limit: int) -> Reading[Page]:
    if limit < 1:
        raise InvalidQuestion("limit is less than 1.")
    position = None if cursor is None else page_cursor.read_cursor(cursor)
    last = months.newest(wanted, position)
    end = yield from months.look(last)
    # One more than asked for tells whether there is a next page.
    needed = limit + 1
    rows: list[ResultRow] = []
    # The newest months have rows of most accounts, but not of most items.
    if wanted.item is None or wanted.account_id is None:
        window, end = months.recent(wanted, last, end)
        rows += yield page_query(_COLUMNS, wanted, window, needed, position)
        if end is None or len(rows) == needed:
            return _page(rows, limit)
    known = yield from months.recall(wanted)
    for window in months.windows(wanted, last, end, known, needed):
        rows += yield page_query(_COLUMNS, wanted, window, needed - len(rows), position)
        if len(rows) == needed:
            break
    return _page(rows, limit)


page_of = helper(_page_of)
"""Read a page as events() does, for who has a Filter."""


@helper
def item_history(
    item: Item,
    *,
    account_id: Id | None = None,
    include_parts: bool = True,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Reading[tuple[Event, ...]]:
    """Read all events of one item and its parts, oldest first: its whole life, not a page.

    For an item with very many events, page through events(item=…). Parameters and errors are
    those of events().

    >>> [event.action for event in auditdb.item_history(conn, ("invoice", 42))]
    ['invoice_created', 'invoice_updated']
    """
    wanted = filtered(
        account_id=account_id, item=item, include_parts=include_parts, since=since, until=until
    )
    text = _oldest_first(wanted, (yield from months.whole(wanted)))
    return tuple(map(_event, (yield Query(text, wanted.values))))


@helper
def field_history(
    item: Item,
    column: str,
    *,
    account_id: Id | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Reading[tuple[FieldChange, ...]]:
    """Read all changes of one column of an item, oldest first.

    `column` is its name, or the path of a part's column, features/F1/max_consumption. Where the
    item began, `old` is None, where it ended, `new` is. Parameters and errors are those of
    events().

    >>> history = auditdb.field_history(conn, ("invoice", 42), "status")
    >>> [(change.old, change.new, change.actor_label) for change in history]
    [(None, 'open', None), ('open', 'paid', 'Ana')]
    """
    wanted = filtered(
        account_id=account_id, item=item, include_parts=False, since=since, until=until
    )
    entry = "*, changes -> cast(:column as text) as entry"
    window = yield from months.whole(wanted)
    text = _FIELD_HISTORY.format(moment=MOMENT, events=select(entry, wanted, window))
    rows = yield Query(text, {**wanted.values, "column": column})
    return tuple(map(_field_change, rows))


@helper
def state_at(item: Item, time: datetime, *, account_id: Id | None = None) -> Reading[ItemState]:
    """Return what an item was at a time (with a time zone): all its audited columns.

    What happened at that very time has happened. Where the log begins after the item does, a column
    has the value that its next change replaced; one that never changed is in `unknown`. Columns
    of the item's parts are there by their paths, as far as the log has seen them. A TRUNCATE is one
    row about the table: of the items that it removed, the log does not know that they are gone.

    Give the account where items of several accounts may have the same id. Errors are those of
    events(). Needs no right but to read events; which columns are unknown is read from the
    declarations in the log.

    >>> then = auditdb.state_at(conn, ("invoice", 42), before_payment)
    >>> then.exists, then.values["status"], then.unknown
    (True, 'open', frozenset())
    >>> auditdb.state_at(conn, ("invoice", 42), before_payment - timedelta(days=1)).exists
    False
    """
    rows = yield from past.read(item, time, account_id)
    return past.state(item[0], time, rows)


@helper
def value_at(
    item: Item, column: str, time: datetime, *, account_id: Id | None = None
) -> Reading[Any]:
    """Return the value that a column of an item had at a time (with a time zone).

    It is the value of the JSON in the log: None for null, int or Decimal for numbers, str for
    what JSON has no type for. Where there is none to give, it is a NoValue that says why: ABSENT,
    UNKNOWN or REDACTED. How it is found, and the errors, are as for state_at().

    >>> auditdb.value_at(conn, ("invoice", 42), "total", before_payment)
    Decimal('99.90')
    >>> auditdb.value_at(conn, ("invoice", 43), "total", before_payment).name
    'UNKNOWN'
    """
    rows = yield from past.read(item, time, account_id)
    return past.value(item[0], column, time, rows)


@helper
def transaction_events(
    tx: int,
    *,
    account_id: Id | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Reading[tuple[Event, ...]]:
    """Read all events of one top-level transaction, `tx` of an Event, in their order.

    A transaction can last; `since` and `until` (with a time zone) spare looking for it in all
    months. Errors are those of events().

    >>> (event,) = auditdb.events(conn, action="invoice_updated").events
    >>> [event.action for event in auditdb.transaction_events(conn, event.tx)]
    ['invoice_updated', 'payment_created']
    """
    wanted = filtered(account_id=account_id, since=since, until=until)
    window = yield from months.whole(wanted)
    text = _oldest_first(wanted, window, "tx = cast(:tx as bigint)")
    return tuple(map(_event, (yield Query(text, {**wanted.values, "tx": tx}))))


_KEYS: dict[str, tuple[str, ...]] = {
    "action": ("action", "action_label"),
    "actor": ("actor_type", "actor_id"),
    "actor_type": ("actor_type",),
    "item_type": ("item_type",),
    "account": ("account_id",),
    "day": ("day",),
}


@helper
def counts(
    *,
    by: By = "action",
    account_id: Id | None = None,
    item: Item | None = None,
    include_parts: bool = True,
    action: str | Sequence[str] | None = None,
    actor: ActorFilter | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    timezone: str = "UTC",
) -> Reading[tuple[Count, ...]]:
    """Count events by action, actor, actor_type, item_type, account or day.

    The most frequent come first, days in their order; `timezone` says when a day begins, by a name
    that PostgreSQL knows. A Count has `count` and the fields that it counts by. All events that the
    filters leave are read: give an account, and times. Parameters and errors are those of events().

    >>> [(c.action, c.count) for c in auditdb.counts(conn, item=("invoice", 42))]
    [('invoice_created', 1), ('invoice_updated', 1)]
    >>> [(c.actor_type, c.actor_id, c.count) for c in auditdb.counts(
    ...     conn, by="actor", actor="employee")]
    [('employee', '7', 2)]
    """
    if by not in get_args(By):
        raise InvalidQuestion(f"by is {by!r}.", hint=f"Give one of {', '.join(get_args(By))}.")
    wanted = filtered(
        account_id=account_id,
        item=item,
        include_parts=include_parts,
        action=action,
        actor=actor,
        since=since,
        until=until,
    )
    columns = "account_id, action, item_type, actor_type, actor_id, occurred_at"
    found = select(columns, wanted, (yield from months.whole(wanted)))
    values = dict(wanted.values)
    keys = {name: name for name in _KEYS[by]}
    if by == "day":
        values["timezone"] = timezone
        local = "(occurred_at at time zone cast(:timezone as text))::date"
        keys = {"day": f"{local} - date '1970-01-01'"}
    elif by == "action":
        keys["action_label"] = "(select a.label from audit.action as a where a.action = e.action)"
    order = "1" if by == "day" else f"{len(keys) + 1} desc, 1, {len(keys)}"
    text = _COUNTS.format(
        keys=", ".join(keys.values()),
        events=found,
        places=", ".join(map(str, range(1, len(keys) + 1))),
        order=order,
    )
    rows = yield Query(text, values)
    return tuple(_count(_KEYS[by], row) for row in rows)


@helper
def changes(event: Event) -> Reading[tuple[Change, ...]]:
    """Read what `event` changed, column by column in the order of their names, as text.

    Event.changes has the same as Python values, without asking the database. Errors are those of
    events().

    >>> (event,) = auditdb.events(conn, action="invoice_updated").events
    >>> auditdb.changes(conn, event)
    (Change(column='status', old='open', new='paid', is_redacted=False),)
    """
    moment = page_cursor.microseconds(event.occurred_at)
    # A time at the end of Python's years stands for all beyond it.
    sign = {page_cursor.FIRST: "<=", page_cursor.LAST: ">="}.get(moment, "=")
    text = _CHANGES.format(sign=sign, at=moment_of("at"))
    values: dict[str, str | int] = {
        "at": page_cursor.to_text(moment),
        "account_id": event.account_id,
        "id": event.id,
    }
    rows = yield Query(text, values)
    return tuple(Change(*row) for row in rows)


def _oldest_first(wanted: Filter, window: Window, where: str = "true") -> str:
    events = select("*", wanted, window)
    return _OLDEST_FIRST.format(columns=_COLUMNS, events=events, where=where)


def _page(rows: Sequence[ResultRow], limit: int) -> Page:
    page = rows[:limit]
    end = page_cursor.Position(int(page[-1][2]), page[-1][0]) if len(rows) > limit else None
    return Page(tuple(map(_event, page)), None if end is None else page_cursor.write_cursor(end))


def _event(row: ResultRow) -> Event:
    number, tx, moment, *others = row
    return Event(number, tx, page_cursor.to_datetime(int(moment)), *others)


def _field_change(row: ResultRow) -> FieldChange:
    number, tx, moment, account_id, action, actor_type, actor_id, actor_label, entry = row
    change = parse(entry)
    return FieldChange(
        event_id=number,
        tx=tx,
        occurred_at=page_cursor.to_datetime(int(moment)),
        account_id=account_id,
        action=action,
        actor_type=actor_type,
        actor_id=actor_id,
        actor_label=actor_label,
        old=change.get("old"),
        new=change.get("new"),
        is_redacted="redacted" in change,
    )


def _count(keys: tuple[str, ...], row: ResultRow) -> Count:
    *found, count = row
    named = dict(zip(keys, found, strict=True))
    if "day" in named:
        named["day"] = page_cursor.to_date(named["day"])
    return Count(count, **named)
