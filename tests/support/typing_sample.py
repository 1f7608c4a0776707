"""An application that asks the log in every way, for mypy alone: it is never run."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, assert_type
from uuid import UUID

import psycopg
import sqlalchemy
from psycopg.rows import DictRow
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

import auditdb
from auditdb import Change, Count, Event, FieldChange, Finding, ItemState, NoValue, Page

if TYPE_CHECKING:
    from collections.abc import Coroutine

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
LICENSE = ("license", 42)


def synchronous(
    conn: psycopg.Connection,
    rows_as_dicts: psycopg.Connection[DictRow],
    connection: sqlalchemy.Connection,
    session: Session,
    scoped: scoped_session[Session],
) -> None:
    page = auditdb.events(conn)
    assert_type(page, Page)
    assert_type(page.events, tuple[Event, ...])
    assert_type(page.next_cursor, str | None)
    assert_type(page[0], Event)
    assert_type(page[1:], tuple[Event, ...])
    assert_type([event for event in page], list[Event])  # noqa: C416 (what iterating gives)
    assert_type(page[0].as_dict(), dict[str, Any])
    assert_type(page[0].as_json(), str)
    assert_type(len(page), int)
    assert_type(auditdb.iter_events(conn, item=LICENSE, page_size=100), Iterator[Event])
    for event in auditdb.iter_events(session, cursor=page.next_cursor):
        assert_type(event, Event)
    assert_type(auditdb.check(conn), tuple[Finding, ...])
    assert_type(auditdb.check(scoped, pending_after=timedelta(hours=2)), tuple[Finding, ...])
    assert_type(page.events[0].occurred_at, datetime)
    assert_type(page.events[0].changes, dict[str, dict[str, Any]])
    assert_type(auditdb.events(rows_as_dicts, limit=1), Page)
    assert_type(auditdb.events(connection, account_id=1, action=["a", "b"], actor="system"), Page)
    assert_type(auditdb.events(session, item=("device", UUID(int=1)), actor=("system", None)), Page)
    assert_type(auditdb.events(scoped, since=NOON, until=NOON, cursor=page.next_cursor), Page)
    assert_type(auditdb.item_history(session, LICENSE), tuple[Event, ...])
    assert_type(auditdb.field_history(session, LICENSE, "note"), tuple[FieldChange, ...])
    assert_type(auditdb.state_at(session, LICENSE, NOON), ItemState)
    assert_type(auditdb.state_at(conn, LICENSE, NOON).exists, bool | None)
    assert_type(auditdb.state_at(conn, LICENSE, NOON).unknown, frozenset[str])
    assert_type(auditdb.transaction_events(session, 17, since=NOON), tuple[Event, ...])
    assert_type(auditdb.undo_plan(session, tx=17), tuple[auditdb.UndoStep, ...])
    assert_type(auditdb.undo(session, item=LICENSE, at=NOON, on_conflict="skip"), int)
    assert_type(auditdb.counts(session, by="day", timezone="UTC"), tuple[Count, ...])
    assert_type(auditdb.changes(session, page.events[0]), tuple[Change, ...])
    if auditdb.value_at(conn, LICENSE, "note", NOON, account_id="1") is NoValue.REDACTED:
        return
    with auditdb.translated():
        assert_type(auditdb.translate(ValueError()), auditdb.AuditError)
    try:
        auditdb.undo(conn, event="1-2-3")
    except auditdb.UndoRefused as error:
        assert_type(error.hint, str | None)


async def asynchronous(
    conn: psycopg.AsyncConnection,
    connection: AsyncConnection,
    session: AsyncSession,
    scoped: async_scoped_session[AsyncSession],
) -> None:
    page = await auditdb.events(conn, limit=10)
    assert_type(page, Page)
    assert_type(auditdb.iter_events(conn), AsyncIterator[Event])
    async for event in auditdb.iter_events(scoped, action="license_created", since=NOON):
        assert_type(event, Event)
    assert_type(await auditdb.check(session), tuple[Finding, ...])
    waiting: Coroutine[Any, Any, Page] = auditdb.events(session)
    assert_type(await waiting, Page)
    assert_type(await auditdb.events(connection, cursor=page.next_cursor), Page)
    assert_type(await auditdb.item_history(scoped, LICENSE), tuple[Event, ...])
    assert_type(await auditdb.field_history(session, LICENSE, "note"), tuple[FieldChange, ...])
    assert_type(await auditdb.state_at(session, LICENSE, NOON), ItemState)
    assert_type(await auditdb.transaction_events(session, 17), tuple[Event, ...])
    assert_type(await auditdb.undo(session, event="1-2-3"), int)
    assert_type(await auditdb.counts(session, by="actor"), tuple[Count, ...])
    assert_type(await auditdb.changes(session, page.events[0]), tuple[Change, ...])
    if await auditdb.value_at(session, LICENSE, "note", NOON):
        return


def refused(conn: psycopg.Connection, session: AsyncSession, event: Event) -> None:
    """Each of these is a mistake that mypy finds; without one it complains of the comment."""
    auditdb.events(object())  # type: ignore[call-overload]
    auditdb.events(conn, 1)  # type: ignore[call-overload]
    auditdb.events(conn, colour="red")  # type: ignore[call-overload]
    auditdb.counts(conn, by="weather")  # type: ignore[call-overload]
    auditdb.state_at(conn, LICENSE)  # type: ignore[call-overload]
    auditdb.iter_events(conn, limit=1)  # type: ignore[call-overload]
    auditdb.check("postgresql:///app")  # type: ignore[call-overload]
    auditdb.nonsense  # type: ignore[attr-defined] # noqa: B018
    print(auditdb.events(session).events)  # type: ignore[attr-defined]
    event.id = 1  # type: ignore[misc]
