"""Asks the log for pages of events, for all of them, for how many there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from auditdb._connection.runner import Query, helper, iterator
from auditdb._query import months, page_cursor, rows
from auditdb._query.filters import filtered, time_zone
from auditdb._query.records import Count, Event, Page
from auditdb._query.statements import page_query, select
from auditdb.errors import InvalidQuestion

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from auditdb._connection.runner import Reading, ResultRow, Streaming
    from auditdb._query.filters import ActorFilter, Filter, Id, Item
    from auditdb._query.page_cursor import Position

_COUNTS = "select {keys}, count(*) from ({events}) as e group by {places} order by {order}"

By = Literal["action", "actor", "actor_type", "item_type", "account", "day"]
"""What counts() can count by."""


@helper
def events(
    *,
    account_id: Id | None = None,
    item: Item | None = None,
    include_parts: bool = True,
    table: str | Sequence[str] | None = None,
    action: str | Sequence[str] | None = None,
    actor: ActorFilter | None = None,
    on_behalf_of: ActorFilter | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    baseline: bool = False,
    cursor: str | None = None,
    limit: int = 50,
) -> Reading[Page]:
    """Read a page of at most `limit` events, newest first.

    `conn` is a connection or session of psycopg or SQLAlchemy; through an asynchronous one the
    result is awaited: `page = await auditdb.events(session)`. All else narrows the events:

    account_id: of one account; with it, and only with it, the other filters are found by index.
    item: type and id, ("license", 42): about this item and, unless `include_parts` is False,
        about what has it as parent.
    table: "sales.invoices", or several: about rows of this table, by the name with its schema that
        it has now, or had last.
    action: one code or several, any of them.
    actor: ("platform_user", 42), or "platform_user" for all of the type.
    on_behalf_of: whom the actor did it for, given as `actor`.
    since, until: from the one time on, before the other; both with a time zone.
    baseline: whether rows that audit.baseline() wrote are among them; those of an `action` are.
    cursor: the `next_cursor` of the page before this one. Going on so gives nothing twice, and
        misses nothing that was there at the beginning, whatever is written meanwhile.

    The months are read in steps, newest first, until the page is full; of months that are closed
    only those that have rows of the account or item. Raises InvalidCursor, InvalidQuestion,
    SchemaMissing, SchemaBehind, PermissionDenied and other errors of the database as AuditError.

    >>> page = auditdb.events(conn, item=("invoice", 42), limit=1)
    >>> [(event.action, event.actor_label) for event in page]
    [('invoice_updated', 'Ana')]
    >>> older = auditdb.events(conn, item=("invoice", 42), cursor=page.next_cursor)
    >>> [event.action for event in older], older.next_cursor
    (['invoice_created'], None)
    """
    wanted = filtered(
        account_id=account_id,
        item=item,
        include_parts=include_parts,
        table=table,
        action=action,
        actor=actor,
        on_behalf_of=on_behalf_of,
        since=since,
        until=until,
        baseline=baseline,
    )
    return (yield from _page_of(wanted, cursor=cursor, limit=limit))


def _page_of(wanted: Filter, *, cursor: str | None, limit: int) -> Reading[Page]:
    if limit < 1:
        raise InvalidQuestion("limit is less than 1.")
    position = None if cursor is None else page_cursor.read_cursor(cursor)
    return (yield from _read_page(wanted, position, limit))


page_of = helper(_page_of)
"""Read a page as events() does, for who has a Filter."""


@iterator
def iter_events(
    *,
    account_id: Id | None = None,
    item: Item | None = None,
    include_parts: bool = True,
    table: str | Sequence[str] | None = None,
    action: str | Sequence[str] | None = None,
    actor: ActorFilter | None = None,
    on_behalf_of: ActorFilter | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    baseline: bool = False,
    cursor: str | None = None,
    page_size: int = 500,
) -> Streaming[Event]:
    """Iterate over all events, newest first, as one page of events() after the other.

    Through an asynchronous connection or session it is an asynchronous iterator: `async for event
    in auditdb.iter_events(session)`. A page of `page_size` is read when its first event is asked
    for; in between the connection is free for other statements. The other parameters and the
    errors are those of events(); InvalidQuestion and InvalidCursor are raised by the call.

    >>> for event in auditdb.iter_events(conn, item=("invoice", 42), page_size=1):
    ...     print(event.action)
    invoice_updated
    invoice_created
    """
    wanted = filtered(
        account_id=account_id,
        item=item,
        include_parts=include_parts,
        table=table,
        action=action,
        actor=actor,
        on_behalf_of=on_behalf_of,
        since=since,
        until=until,
        baseline=baseline,
    )
    if page_size < 1:
        raise InvalidQuestion("page_size is less than 1.")
    while True:
        position = None if cursor is None else page_cursor.read_cursor(cursor)
        page = yield from _read_page(wanted, position, page_size)
        yield page.events
        cursor = page.next_cursor
        if cursor is None:
            return


def _read_page(wanted: Filter, position: Position | None, limit: int) -> Reading[Page]:
    last = months.newest(wanted, position)
    end = yield from months.look(last)
    # One more than asked for tells whether there is a next page.
    needed = limit + 1
    found: list[ResultRow] = []
    # The newest months have rows of most accounts, but not of most items.
    if wanted.item is None or wanted.account_id is None:
        window, end = months.recent(wanted, last, end)
        found += yield page_query(rows.COLUMNS, wanted, window, needed, position)
        if end is None or len(found) == needed:
            return _page(found, limit)
    known = yield from months.recall(wanted)
    for window in months.windows(wanted, last, end, known, needed):
        found += yield page_query(rows.COLUMNS, wanted, window, needed - len(found), position)
        if len(found) == needed:
            break
    return _page(found, limit)


def _page(found: Sequence[ResultRow], limit: int) -> Page:
    page = tuple(map(rows.event, found[:limit]))
    end = page_cursor.read_key(page[-1].key) if len(found) > limit else None
    return Page(page, None if end is None else page_cursor.write_cursor(end))


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
    table: str | Sequence[str] | None = None,
    action: str | Sequence[str] | None = None,
    actor: ActorFilter | None = None,
    on_behalf_of: ActorFilter | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    baseline: bool = False,
    timezone: str = "UTC",
) -> Reading[tuple[Count, ...]]:
    """Count events by action, actor, actor_type, item_type, account or day.

    The most frequent come first, days in their order; `timezone` says when a day begins, by a name
    such as Europe/Berlin, or by an offset such as +02:00, where days begin two hours earlier than
    in UTC. A Count has `count` and the fields that it counts by. All events that the filters leave
    are read: give an account, and times. Parameters and errors are those of events().

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
        table=table,
        action=action,
        actor=actor,
        on_behalf_of=on_behalf_of,
        since=since,
        until=until,
        baseline=baseline,
    )
    columns = "account_id, action, item_type, actor_type, actor_id, occurred_at"
    found = select(columns, wanted, (yield from months.whole(wanted)))
    values = dict(wanted.values)
    keys = {name: name for name in _KEYS[by]}
    if by == "day":
        zone, values["timezone"] = time_zone("timezone", timezone)
        local = f"(occurred_at at time zone {zone})::date"
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
    return tuple(_count(_KEYS[by], row) for row in (yield Query(text, values)))


def _count(keys: tuple[str, ...], row: ResultRow) -> Count:
    *found, count = row
    named = dict(zip(keys, found, strict=True))
    if "day" in named:
        named["day"] = page_cursor.to_date(named["day"])
    return Count(count, **named)
