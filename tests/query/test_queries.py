"""The query helpers: what each of them finds, on every kind of connection alike."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb, set_json_loads

import auditdb
from auditdb import Event, InvalidQuestion
from tests.conftest import Connect, CreateRole
from tests.support.helpers import value
from tests.support.readers import KINDS, ask

pytestmark = pytest.mark.quick

NUMBER = "123456789012345678901234567890.000000000012345678900"
START = datetime(2025, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)

_TABLES = """
create table public.invoice (
  id int primary key, account_id int, number text, status text, total numeric, pin text, extra jsonb
);
create table public.line (
  id int primary key, invoice_id int references public.invoice on delete cascade, text text
);
insert into public.invoice values (7, 1, 'R-7', 'old', 7.70, 'canary-1', null);
select audit.track('public.invoice', account => 'account_id', item_label => 'number',
  secret => '{pin}');
select audit.track('public.line', parent_type => 'invoice', parent_id => 'invoice_id',
  account => 'invoice.account_id', lookups => '{"invoice": "invoice_id"}');
"""


def write(conn: psycopg.Connection, statement: str, actor: int | None = None) -> datetime:
    """Run a statement in a transaction of its own; return a time after it, before all later."""
    with conn.transaction():
        if actor is not None:
            conn.execute(
                "select audit.set_actor('employee', %s, 'Ana', %s)",
                (str(actor), Jsonb({"reason": "test"})),
            )
        conn.execute(statement.encode())
    moment: datetime = value(conn, "select clock_timestamp()")
    conn.commit()
    return moment


@pytest.fixture
def conn(connect: Connect) -> psycopg.Connection:
    """A session on a database in which a table is tracked."""
    session = connect(autocommit=True)
    session.execute(_TABLES.encode())
    return session


@pytest.fixture
def times(conn: psycopg.Connection) -> list[datetime]:
    """The times after each of the statements of a small history."""
    history: list[tuple[str, int | None]] = [
        (f"insert into invoice values (42, 1, 'R-42', 'open', {NUMBER}, 'canary-2', '[1.50]')", 7),
        ("insert into line values (1, 42, 'paper')", 7),
        ("update invoice set status = 'sent', pin = 'canary-3' where id = 42", None),
        ("update invoice set status = '' where id = 42; update line set text = null", 8),
        ("update invoice set status = null, extra = 'null' where id = 42", 7),
        ("update invoice set number = 'R-7b' where id = 7", 7),
        ("insert into invoice values (42000, 2, 'R-1', 'open', 1)", 9),
        ("delete from invoice where id = 42", 8),
    ]
    return [write(conn, statement, actor) for statement, actor in history]


def brief(events: tuple[Event, ...]) -> list[str]:
    return [f"{event.action} {event.item_id}" for event in events]


# -- the same everywhere -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_helper_gives_the_same_on_every_kind_of_connection(
    kind: str, conn: psycopg.Connection, times: list[datetime], database: str
) -> None:
    item = ("invoice", 42)
    whole = auditdb.events(conn)
    event = next(e for e in whole.events if e.action == "invoice_updated")
    questions: list[Any] = [
        (auditdb.events, (), {}),
        (auditdb.events, (), {"limit": 3, "cursor": auditdb.events(conn, limit=2).next_cursor}),
        (
            auditdb.events,
            (),
            {
                "account_id": 1,
                "item": item,
                "include_parts": False,
                "action": ["invoice_updated", "invoice_created"],
                "actor": ("employee", 7),
                "since": times[0] - HOUR,
                "until": times[-1],
            },
        ),
        (auditdb.events, (), {"item": item}),
        (auditdb.item_history, (item,), {"account_id": "1"}),
        (auditdb.field_history, (item, "status"), {}),
        (auditdb.field_history, (item, "pin"), {}),
        (auditdb.value_at, (item, "total", times[2]), {}),
        (auditdb.state_at, (item, times[3]), {"account_id": 1}),
        (auditdb.transaction_events, (event.tx,), {"since": times[0]}),
        (auditdb.changes, (event,), {}),
        *((auditdb.counts, (), {"by": by}) for by in ("action", "actor", "account", "item_type")),
        (auditdb.counts, (), {"by": "day", "timezone": "Asia/Kathmandu", "item": item}),
    ]
    expected = [helper(conn, *args, **named) for helper, args, named in questions]
    assert all(expected)
    assert ask(database, kind, *questions) == expected


def test_an_event_is_the_row_as_it_is(conn: psycopg.Connection, times: list[datetime]) -> None:
    with conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(
            "select *, changes::text as c, context::text as x, moved::text as m from audit.events"
        )
        rows = {row["id"]: row for row in cursor}
    page = auditdb.events(conn)
    assert page.next_cursor is None
    assert [e.id for e in page.events] == sorted(rows, reverse=True)
    for event in page.events:
        row = rows[event.id]
        written = (event.changes_json, event.context_json, event.moved_json)
        assert written == (row.pop("c"), row.pop("x"), row.pop("m"))
        assert event.context == (row.pop("context") or {})
        assert event.moved == (row.pop("moved") or {})
        assert event.changes.keys() == (row.pop("changes") or {}).keys()
        assert event.occurred_at.tzinfo is UTC
        for name, found in row.items():
            assert getattr(event, name) == found, name


def test_numbers_lose_no_digit(conn: psycopg.Connection, times: list[datetime]) -> None:
    (created,) = auditdb.events(conn, item=("invoice", 42), action="invoice_created").events
    assert created.changes["total"] == {"new": Decimal(NUMBER)}
    assert str(created.changes["total"]["new"]) == NUMBER
    assert created.changes["extra"] == {"new": [Decimal("1.50")]}
    assert str(auditdb.value_at(conn, ("invoice", 42), "total", times[0])) == NUMBER


def test_what_the_application_set_on_its_connection_does_not_matter(
    conn: psycopg.Connection, times: list[datetime], connect: Connect
) -> None:
    expected = auditdb.events(conn), auditdb.state_at(conn, ("invoice", 42), times[0])
    other = connect(row_factory=dict_row, cursor_factory=psycopg.RawCursor)
    other.execute("set timezone = 'America/St_Johns'")
    other.execute("set datestyle = 'German'")
    set_json_loads(lambda _: "something else", context=other)
    other.prepare_threshold = 0
    found = auditdb.events(other), auditdb.state_at(other, ("invoice", 42), times[0])
    assert found == expected


@pytest.mark.parametrize("is_autocommit", [True, False])
def test_a_connection_stays_as_it_was(
    connect: Connect, conn: psycopg.Connection, is_autocommit: bool
) -> None:
    own = connect(autocommit=is_autocommit)
    auditdb.events(own)
    idle, open_ = psycopg.pq.TransactionStatus.IDLE, psycopg.pq.TransactionStatus.INTRANS
    assert own.info.transaction_status == (idle if is_autocommit else open_)
    assert own.autocommit is is_autocommit
    if not is_autocommit:
        own.execute("insert into invoice values (1, 1, 'R', 'x', 1)")
        assert brief(auditdb.events(own, item=("invoice", 1)).events) == ["invoice_created 1"]
        own.rollback()
    assert auditdb.events(conn, item=("invoice", 1)).events == ()


def test_a_reader_needs_no_right_but_to_read_events(
    conn: psycopg.Connection, times: list[datetime], connect: Connect, create_role: CreateRole
) -> None:
    role = create_role()
    conn.execute(
        sql.SQL(
            "grant select on audit.log, audit.layout, audit.action, audit.events, audit.changes"
            " to {}"
        ).format(sql.Identifier(role))
    )
    reader, item = connect(user=role), ("invoice", 42)
    reader.execute("select set_config('audit.account_id', '1', false)")
    page = auditdb.events(reader, item=item)
    assert page == auditdb.events(conn, item=item, account_id=1)
    event = page.events[0]
    assert auditdb.item_history(reader, item)[-1] == event
    assert auditdb.field_history(reader, item, "status")
    assert auditdb.state_at(reader, item, times[0]) == auditdb.state_at(conn, item, times[0])
    assert auditdb.transaction_events(reader, event.tx)
    assert auditdb.changes(reader, event)
    for by in ("action", "actor", "actor_type", "item_type", "account", "day"):
        assert auditdb.counts(reader, by=by) == auditdb.counts(conn, by=by, account_id=1)


# -- filters -----------------------------------------------------------------------------------


def test_events_are_narrowed_by_each_filter(
    conn: psycopg.Connection, times: list[datetime]
) -> None:
    item = ("invoice", 42)
    own = ["invoice_deleted 42", *["invoice_updated 42"] * 3, "invoice_created 42"]

    def found(**named: Any) -> list[str]:
        return brief(auditdb.events(conn, **named).events)

    assert found(item=item, include_parts=False) == own
    assert sorted(found(item=item)) == sorted(
        [*own, "line_created 1", "line_updated 1", "line_deleted 1"]
    )
    assert found(item=("invoice", "42"), account_id="2") == []
    assert found(item=("invoice", 420)) == []
    assert found(account_id=2) == ["invoice_created 42000"]
    assert found(action="line_updated") == ["line_updated 1"]
    assert found(action=["line_updated", "line_created"]) == ["line_updated 1", "line_created 1"]
    assert found(action=[]) == []
    assert found(actor=("employee", 9)) == ["invoice_created 42000"]
    assert len(found(actor="employee")) == len(found(actor=("employee", None))) == 9
    assert found(actor="nobody") == []
    assert found(since=times[5], account_id=2) == ["invoice_created 42000"]
    assert found(until=times[0], item=item) == ["invoice_created 42"]
    assert found(since=times[-1]) == []
    assert found(since=times[3], until=times[2]) == []


def test_since_is_within_and_until_is_not(conn: psycopg.Connection, times: list[datetime]) -> None:
    (event,) = auditdb.events(conn, action="line_updated").events
    at = event.occurred_at
    assert event in auditdb.events(conn, since=at).events
    assert event not in auditdb.events(conn, until=at).events
    assert auditdb.events(conn, since=at, until=at + timedelta(microseconds=1)).events == (event,)


def test_ids_are_given_as_the_application_has_them(conn: psycopg.Connection) -> None:
    conn.execute(
        "create table thing (id uuid primary key);"
        "select audit.track('thing'); insert into thing values (gen_random_uuid())"
    )
    number = value(conn, "select id from thing")
    assert isinstance(number, UUID)
    for id_ in (number, str(number)):
        assert len(auditdb.item_history(conn, ("thing", id_))) == 1
        assert auditdb.state_at(conn, ("thing", id_), datetime.now(UTC) + HOUR).exists


def test_a_member_of_an_enum_is_its_value(conn: psycopg.Connection, times: list[datetime]) -> None:
    class Kind(str, Enum):  # noqa: UP042 (what many applications still have)
        INVOICE = "invoice"

    class Number(IntEnum):
        FIRST = 42

    assert len(auditdb.item_history(conn, (Kind.INVOICE, Number.FIRST), include_parts=False)) == 5


def test_an_item_that_is_its_own_parent_is_there_once(conn: psycopg.Connection) -> None:
    conn.execute(
        "create table node (id int primary key, parent int);"
        "select audit.track('node', parent_type => 'node', parent_id => 'parent');"
        "insert into node values (1, 1), (2, 1)"
    )
    assert brief(auditdb.item_history(conn, ("node", 1))) == ["node_created 1", "node_created 2"]
    assert len(auditdb.events(conn, item=("node", 1)).events) == 2


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"limit": 0}, "limit"),
        ({"since": datetime(2026, 1, 1)}, "since has no time zone"),  # noqa: DTZ001
        ({"until": "2026-01-01"}, "until is no datetime"),
        ({"item": "invoice"}, "item is no pair"),
        ({"item": ("invoice", None)}, "item is of type NoneType"),
        ({"item": ("invoice", 4.2)}, "item is of type float"),
        ({"actor": ("employee",)}, "actor is no pair"),
        ({"on_behalf_of": ("customer",)}, "on_behalf_of is no pair"),
        ({"account_id": "1\0"}, "account_id holds a null character"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    connection: psycopg.Connection, named: dict[str, Any], said: str
) -> None:
    with pytest.raises(InvalidQuestion, match=said):
        auditdb.events(connection, **named)


def test_what_was_done_for_somebody_is_found_by_them(conn: psycopg.Connection) -> None:
    with conn.transaction():
        conn.execute(
            "select audit.set_actor('employee', '7', 'Ana', null, 'customer', '1', 'Acme')"
        )
        conn.execute("insert into invoice (id, account_id, status) values (77, 1, 'open')")
    write(conn, "update invoice set status = 'sent' where id = 77", 7)
    for asked in ("customer", ("customer", 1)):
        (event,) = auditdb.events(conn, on_behalf_of=asked)
        assert (event.action, event.actor_id) == ("invoice_created", "7")
        assert (event.on_behalf_of_type, event.on_behalf_of_id) == ("customer", "1")
        assert event.on_behalf_of_label == "Acme"
    assert not auditdb.events(conn, on_behalf_of=("customer", 2))
    assert not auditdb.events(conn, on_behalf_of="employee")
    assert list(auditdb.iter_events(conn, on_behalf_of="customer")) == [event]
    assert auditdb.counts(conn, on_behalf_of="customer")[0].count == 1
    created, updated = auditdb.field_history(conn, ("invoice", 77), "status")
    assert (created.on_behalf_of_type, created.on_behalf_of_id) == ("customer", "1")
    assert (created.on_behalf_of_label, updated.on_behalf_of_type) == ("Acme", None)


# -- histories ---------------------------------------------------------------------------------


def test_an_item_has_its_history_oldest_first(
    conn: psycopg.Connection, times: list[datetime]
) -> None:
    whole = auditdb.item_history(conn, ("invoice", 42))
    assert list(whole) == list(reversed(auditdb.events(conn, item=("invoice", 42)).events))
    own = auditdb.item_history(conn, ("invoice", 42), include_parts=False, account_id=1)
    assert list(own) == [event for event in whole if event.item_type == "invoice"]
    part = auditdb.item_history(conn, ("invoice", 42), since=times[0], until=times[1])
    assert brief(part) == ["line_created 1"]


def test_a_field_has_its_history(conn: psycopg.Connection, times: list[datetime]) -> None:
    history = auditdb.field_history(conn, ("invoice", 42), "status")
    assert [(c.old, c.new, c.actor_id, c.is_redacted) for c in history] == [
        (None, "open", "7", False),
        ("open", "sent", "postgres", False),
        ("sent", "", "8", False),
        ("", None, "7", False),
        (None, None, "8", False),
    ]
    updated = auditdb.events(conn, item=("invoice", 42), action="invoice_updated").events[-1]
    assert (history[1].event_id, history[1].tx) == (updated.id, updated.tx)
    assert (history[1].occurred_at, history[1].account_id) == (updated.occurred_at, "1")
    assert auditdb.field_history(conn, ("invoice", 42), "status", since=times[3]) == history[3:]
    assert auditdb.field_history(conn, ("invoice", 42000), "number", until=times[0]) == ()


def test_the_history_of_a_secret_field_has_no_values(
    conn: psycopg.Connection, times: list[datetime]
) -> None:
    history = auditdb.field_history(conn, ("invoice", 42), "pin")
    assert [(c.old, c.new, c.is_redacted) for c in history] == [(None, None, True)] * 3


def test_what_only_says_which_part_it_was_is_no_change(conn: psycopg.Connection) -> None:
    conn.execute(
        "create table seat (invoice_id int, person int, level int,"
        " primary key (invoice_id, person));"
        "select audit.track('seat', item_type => 'invoice', item_id => 'invoice_id',"
        " part => 'seats', part_name => '''x''');"
        "insert into seat values (5, 1, 1); update seat set level = 2"
    )
    keys = auditdb.field_history(conn, ("invoice", 5), "seats/x/person")
    assert [(c.old, c.new) for c in keys] == [(None, 1)]
    levels = auditdb.field_history(conn, ("invoice", 5), "seats/x/level")
    assert [(c.old, c.new) for c in levels] == [(None, 1), (1, 2)]


def test_a_transaction_has_its_events_in_their_order(
    conn: psycopg.Connection, times: list[datetime]
) -> None:
    (event,) = auditdb.events(conn, action="line_updated").events
    together = auditdb.transaction_events(conn, event.tx)
    assert brief(together) == ["invoice_updated 42", "line_updated 1"]
    assert auditdb.transaction_events(conn, event.tx, since=times[2], until=times[3]) == together
    assert auditdb.transaction_events(conn, event.tx, account_id=2) == ()
    assert auditdb.transaction_events(conn, event.tx, until=times[2]) == ()
    assert auditdb.transaction_events(conn, 1) == ()


def test_changes_are_the_columns_of_an_event(
    conn: psycopg.Connection, times: list[datetime]
) -> None:
    first = auditdb.item_history(conn, ("invoice", 42), include_parts=False)[1]
    assert [(c.column, c.old, c.new, c.is_redacted) for c in auditdb.changes(conn, first)] == [
        ("pin", None, None, True),
        ("status", "open", "sent", False),
    ]


# -- counts ------------------------------------------------------------------------------------


def test_events_are_counted(conn: psycopg.Connection, times: list[datetime]) -> None:
    of_item = auditdb.counts(conn, item=("invoice", 42), include_parts=False)
    assert [(c.action, c.count) for c in of_item] == [
        ("invoice_updated", 3),
        ("invoice_created", 1),
        ("invoice_deleted", 1),
    ]
    assert of_item[0].action_label == "Invoice updated"
    by_actor = auditdb.counts(conn, by="actor", actor="employee")
    assert [(c.actor_type, c.actor_id, c.count) for c in by_actor] == [
        ("employee", "7", 4),
        ("employee", "8", 4),
        ("employee", "9", 1),
    ]
    by_account = auditdb.counts(conn, by="account", action=["invoice_created", "line_created"])
    assert [(c.account_id, c.count) for c in by_account] == [("1", 2), ("2", 1)]
    (kind,) = auditdb.counts(conn, by="item_type", item=("line", 1))
    assert (kind.item_type, kind.count, kind.action, kind.day) == ("line", 3, None, None)
    (employees,) = auditdb.counts(conn, by="actor_type", actor="employee")
    assert (employees.actor_type, employees.actor_id) == ("employee", None)
    assert auditdb.counts(conn, since=times[-1]) == ()


def test_a_day_begins_where_the_time_zone_says(connect: Connect) -> None:
    conn = connect()
    add = sql.SQL(
        "insert into audit.log (occurred_at, action, item_type, item_id, actor_type, actor_id,"
        " db_role) values (%s, 'a', 't', '1', 'database', 'x', 'x')"
    )
    for moment in ("2025-03-01 23:30Z", "2025-03-02 00:30Z", "2025-03-02 12:00Z"):
        conn.execute(add, [moment])

    def days(timezone: str) -> list[tuple[date | None, int]]:
        found = auditdb.counts(conn, by="day", item=("t", 1), timezone=timezone)
        return [(c.day, c.count) for c in found]

    assert days("UTC") == [(date(2025, 3, 1), 1), (date(2025, 3, 2), 2)]
    assert days("Europe/Paris") == [(date(2025, 3, 2), 3)]
    with pytest.raises(auditdb.AuditError, match="time zone"):
        days("Mars/Olympus")


def test_only_what_can_be_counted_by_is(connection: psycopg.Connection) -> None:
    with pytest.raises(InvalidQuestion, match="weather"):
        auditdb.counts(connection, by="weather")  # type: ignore[call-overload]


# -- times beyond Python's years ---------------------------------------------------------------


def test_years_that_python_has_not_are_shown_at_its_ends(connect: Connect) -> None:
    conn = connect()
    add = (
        "insert into audit.log (occurred_at, account_id, action, item_type, item_id, actor_type,"
        " actor_id, db_role, changes) values (%s, '1', 'a', 't', '1', 'database', 'x', 'x', %s)"
    )
    moments = ["4714-11-24 00:00Z BC", "0044-03-15 BC", "2025-01-01", "12025-01-01", "294276-12-31"]
    for number, moment in enumerate(moments):
        conn.execute(add, [moment, Jsonb({"c": {"old": number - 1, "new": number}})])
    shown: list[Event] = []
    cursor = None
    while True:
        page = auditdb.events(conn, account_id="1", item=("t", 1), limit=1, cursor=cursor)
        shown += page.events
        cursor = page.next_cursor
        if cursor is None:
            break
    first, last = (end.replace(tzinfo=UTC) for end in (datetime.min, datetime.max))  # noqa: DTZ901
    assert [event.changes["c"]["new"] for event in shown] == [4, 3, 2, 1, 0]
    assert [event.occurred_at for event in shown[:2]] == [last, last]
    assert [event.occurred_at for event in shown[-2:]] == [first, first]
    for event in shown:
        (change,) = auditdb.changes(conn, event)
        assert change.new == str(event.changes["c"]["new"])
    assert [c.count for c in auditdb.counts(conn, by="day", account_id=1)] == [1] * 5
    assert auditdb.value_at(conn, ("t", 1), "c", last) == 2
    assert auditdb.value_at(conn, ("t", 1), "c", first) == 1
    assert auditdb.events(conn, account_id=1, since=last).events == tuple(shown[:2])
    assert auditdb.events(conn, account_id=1, until=last, since=first).events == tuple(shown[2:3])
