"""What is known of closed partitions spares reading them, and never hides a row."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

import auditdb
from auditdb import Event
from auditdb._upkeep import maintenance
from tests.conftest import Connect, CreateRole
from tests.support.helpers import value
from tests.support.partitions import rebuild

NOW = datetime.now(UTC)
INSERT = (
    "insert into audit.log (occurred_at, account_id, action, item_type, item_id, parent_type,"
    " parent_id, actor_type, actor_id, db_role, changes) values (%s, %s, 'a', %s, %s, %s, %s,"
    " 'database', 'x', 'x', jsonb_build_object('c', jsonb_build_object('new', %s::int)))"
)
OLD = ("old", "1")
LATE = (NOW - timedelta(days=600), "1", OLD, None, 9)
LATE_PARTITION = f"log_{LATE[0]:%Y_%m}"
HELD = "select count(*) from pg_locks where pid = pg_backend_pid()"


def put(conn: psycopg.Connection, *rows: tuple[Any, ...]) -> None:
    """Write rows of the log: time, account, item, parent or None, value of their column c."""
    with conn.cursor() as cursor:
        cursor.executemany(
            INSERT,
            [
                (moment, account, *item, *(parent or (None, None)), number)
                for moment, account, item, parent, number in rows
            ],
        )


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def kept(conn: psycopg.Connection, years: int) -> None:
    """Give `conn` a log that was kept for years: an item a month, and one of the first months."""
    rebuild(conn, NOW.replace(year=NOW.year - years, day=1), months=years * 12 + 24)
    put(conn, *((ago(n * 30), "1", ("t", str(n)), None, n) for n in range(years * 12 + 1)))
    first = ago(years * 365 - 20)
    put(conn, (first, "1", OLD, None, 1), (first + timedelta(days=1), "1", OLD, None, 2))
    put(conn, (first + timedelta(days=40), "1", ("part", "1"), OLD, 3))


@pytest.fixture
def years(connect: Connect) -> psycopg.Connection:
    """A log that was kept for two years."""
    conn = connect(autocommit=True)
    kept(conn, 2)
    return conn


def everything(conn: psycopg.Connection, **named: Any) -> list[Event]:
    """Page through all that there is."""
    found: list[Event] = []
    cursor = None
    while True:
        page = auditdb.events(conn, cursor=cursor, limit=7, **named)
        found += page.events
        cursor = page.next_cursor
        if cursor is None:
            return found


READS: dict[str, Callable[[psycopg.Connection], Any]] = {
    "page": lambda c: auditdb.events(c, account_id="1", item=OLD).events,
    "page of nothing": lambda c: auditdb.events(c, account_id="1", item=("old", 2)).events,
    "page of a quiet account": lambda c: auditdb.events(c, account_id="2").events,
    "item_history": lambda c: auditdb.item_history(c, OLD, account_id="1"),
    "field_history": lambda c: auditdb.field_history(c, OLD, "c", account_id="1"),
    "value_at": lambda c: auditdb.value_at(c, OLD, "c", ago(3600), account_id="1"),
    "counts": lambda c: auditdb.counts(c, by="item_type", account_id="1", item=OLD),
}


def test_after_ten_years_what_is_rare_takes_few_locks_and_is_the_same(connect: Connect) -> None:
    conn = connect(autocommit=True)
    kept(conn, 10)
    before = {name: read(conn) for name, read in READS.items()}
    assert len(maintenance.maintain(conn).closed) > 110
    for name, read in READS.items():
        with conn.transaction():
            assert read(conn) == before[name]
            assert value(conn, HELD) < 50, name


def test_a_row_that_comes_into_a_closed_partition_is_seen(years: psycopg.Connection) -> None:
    maintenance.maintain(years)
    closed = value(years, "select count(*) from audit.closed_partition")
    put(years, LATE)
    assert value(years, "select count(*) from audit.closed_partition") == closed - 1
    history = auditdb.item_history(years, OLD, account_id="1")
    assert len(history) == 4
    assert LATE[0] in {event.occurred_at for event in history}
    years.execute(
        "insert into audit.log_past (occurred_at, account_id, action, item_type, item_id,"
        " actor_type, actor_id, db_role) values ('1999-01-01', '1', 'a', 'old', '1', 'd', 'x', 'x')"
    )
    assert len(everything(years, account_id="1", item=OLD)) == 5
    again = maintenance.maintain(years)
    assert again.closed == ("log_past", LATE_PARTITION)
    assert len(everything(years, account_id="1", item=OLD)) == 5


def test_whatever_is_closed_pages_give_all_rows_once(connect: Connect) -> None:
    conn = connect(autocommit=True)
    rebuild(conn, NOW - timedelta(days=900), months=54)
    rng = random.Random(7)
    days = [rng.uniform(0, 1000) for _ in range(300)]
    items = [("t", str(rng.randrange(9))) for _ in days]
    put(
        conn,
        *(
            (ago(day), str(rng.randrange(3)), item, rng.choice([None, ("t", "3"), item]), 1)
            for day, item in zip(days, items, strict=True)
        ),
    )
    maintenance.maintain(conn)
    names = conn.execute("select partition from audit.closed_partition").fetchall()
    for kept in (1.0, 0.7, 0.3):
        for (name,) in names:
            if rng.random() > kept:
                conn.execute("delete from audit.closed_partition where partition = %s", [name])
        for account in ("0", "1", "2", "3"):
            for item in (None, ("t", "3"), ("t", "5"), ("t", "none")):
                for since, until in ((None, None), (ago(600), None), (ago(800), ago(300))):
                    found = everything(
                        conn, account_id=account, item=item, since=since, until=until
                    )
                    wanted = expected(conn, account, item, since, until)
                    assert [event.id for event in found] == wanted


def expected(
    conn: psycopg.Connection,
    account_id: str,
    item: tuple[str, str] | None,
    since: datetime | None,
    until: datetime | None,
) -> list[int]:
    """Return the ids of the same rows as one plain statement gives them."""
    kind, number = item or (None, None)
    return [
        found
        for (found,) in conn.execute(
            "select id from audit.log where account_id = %(account)s"
            " and (%(kind)s::text is null or (item_type, item_id) = (%(kind)s, %(number)s)"
            "   or (parent_type, parent_id) = (%(kind)s, %(number)s))"
            " and occurred_at >= coalesce(%(since)s::timestamptz, '-infinity')"
            " and occurred_at < coalesce(%(until)s::timestamptz, 'infinity')"
            " order by occurred_at desc, id desc",
            {
                "account": account_id,
                "kind": kind,
                "number": number,
                "since": since,
                "until": until,
            },
        )
    ]


def test_a_reader_is_told_of_the_chosen_account_only(
    years: psycopg.Connection, connect: Connect, create_role: CreateRole
) -> None:
    put(years, (LATE[0], "2", OLD, None, 1))
    maintenance.maintain(years)
    role = create_role()
    years.execute(sql.SQL("grant audit_reader to {}").format(sql.Identifier(role)))
    reader = connect(user=role, autocommit=True)
    reader.execute("set audit.account_id = '1'")
    assert len(everything(reader, account_id="1", item=OLD)) == 3
    assert everything(reader, account_id="2", item=OLD) == []
    assert reader.execute("select * from audit.presence_of('2', 'old', '1')").fetchall() == []
    assert value(reader, "select count(*) from audit.presence where account_id = '2'") == 0
    assert value(reader, "select count(*) from audit.presence") > 0


def test_who_sees_the_log_by_another_policy_misses_nothing(
    years: psycopg.Connection, connect: Connect, create_role: CreateRole
) -> None:
    maintenance.maintain(years)
    role = create_role()
    years.execute(
        sql.SQL(
            "grant select on all tables in schema audit to {0};"
            "create policy own_policy on audit.log for select to {0} using (true)"
        ).format(sql.Identifier(role))
    )
    reader = connect(user=role, autocommit=True)
    assert len(everything(reader, account_id="1", item=OLD)) == 3
    assert value(reader, "select count(*) from audit.presence_of('1', 'old', '1')") == 0


def test_a_policy_that_somebody_added_is_not_got_round(
    years: psycopg.Connection, connect: Connect, create_role: CreateRole
) -> None:
    maintenance.maintain(years)
    role = create_role()
    years.execute(
        sql.SQL(
            "grant audit_reader to {0};"
            "create policy bound_policy on audit.log as restrictive for select to {0}"
            "   using (account_id = '2')"
        ).format(sql.Identifier(role))
    )
    reader = connect(user=role, autocommit=True)
    reader.execute("set audit.account_id = '1'")
    assert everything(reader, account_id="1", item=OLD) == []
    assert value(reader, "select count(*) from audit.presence") == 0
    assert value(reader, "select count(*) from audit.presence_of('1', 'old', '1')") == 0


def test_who_may_read_events_alone_misses_nothing(
    years: psycopg.Connection, connect: Connect, create_role: CreateRole
) -> None:
    maintenance.maintain(years)
    role = create_role()
    years.execute(
        sql.SQL(
            "grant select on audit.log, audit.layout, audit.events, audit.action to {0};"
            "create policy own_policy on audit.log for select to {0} using (true)"
        ).format(sql.Identifier(role))
    )
    reader = connect(user=role, autocommit=True)
    assert len(everything(reader, account_id="1", item=OLD)) == 3


def test_a_partition_that_is_written_to_is_not_closed(
    years: psycopg.Connection, connect: Connect
) -> None:
    writer = connect()
    put(writer, LATE)
    done = maintenance.maintain(years, patience=0.2)
    assert [reason.split(":")[0] for reason in done.postponed] == [LATE_PARTITION]
    writer.commit()
    assert maintenance.maintain(years).closed == (LATE_PARTITION,)
    assert len(auditdb.item_history(years, OLD, account_id="1")) == 4


def test_what_was_detached_is_forgotten(years: psycopg.Connection) -> None:
    maintenance.maintain(years)
    name = value(years, "select min(partition) from audit.presence where item_type = 'old'")
    years.execute(sql.SQL("alter table audit.log detach partition audit.{}").format(sql.SQL(name)))
    assert len(auditdb.item_history(years, OLD, account_id="1")) == 1
    put(years, LATE)
    assert maintenance.maintain(years).changes == 0
    assert value(years, "select count(*) from audit.presence where partition = %s", name) == 0
    assert len(auditdb.item_history(years, OLD, account_id="1")) == 2


def test_rows_whose_clock_was_ahead_are_on_the_first_page(years: psycopg.Connection) -> None:
    for days in (30, 70, 700, 1500, 9000):
        moment = NOW + timedelta(days=days)
        put(years, (moment, "1", OLD, None, 1), (moment, "2", OLD, None, 1))
        for named in ({}, {"account_id": "1"}, {"account_id": "1", "item": OLD}):
            page = auditdb.events(years, limit=2, **named)
            assert page.events[0].occurred_at == moment
        until = auditdb.events(years, until=moment).events
        assert until[0].occurred_at < moment
        until = auditdb.events(years, until=moment + timedelta(days=500)).events
        assert until[0].occurred_at == moment
