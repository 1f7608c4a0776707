"""The past: values and states of items at a time, also of what was there before the log."""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

import auditdb
from auditdb import InvalidQuestion, ItemState, NoValue
from tests.conftest import Connect, CreateRole
from tests.support.effort import sized
from tests.support.helpers import value

ITEM = ("thing", 1)
EARLIER = timedelta(hours=1)


@pytest.fixture
def conn(connect: Connect) -> psycopg.Connection:
    session = connect(autocommit=True)
    session.execute(
        "create table thing (id int primary key, a text, b numeric, pin text, beat int)"
    )
    return session


def at(conn: psycopg.Connection, *statements: str) -> datetime:
    """Run statements; return a time after them and before all later ones."""
    for statement in statements:
        conn.execute(statement.encode())
    moment: datetime = value(conn, "select clock_timestamp()")
    return moment


def track(conn: psycopg.Connection) -> datetime:
    return at(conn, "select audit.track('thing', secret => '{pin}', operational => '{beat}')")


def state(conn: psycopg.Connection, time: datetime, item: tuple[str, Any] = ITEM) -> ItemState:
    """Return the state at a time, after comparing it with the value of each column."""
    found = auditdb.state_at(conn, item, time)
    for name, known in found.values.items():
        assert auditdb.value_at(conn, item, name, time) == known
    for name in found.redacted:
        assert auditdb.value_at(conn, item, name, time) is NoValue.REDACTED
    for name in found.unknown:
        assert auditdb.value_at(conn, item, name, time) is NoValue.UNKNOWN
    if found.exists is False:
        assert auditdb.value_at(conn, item, "id", time) is NoValue.ABSENT
    return found


def test_an_item_has_the_state_of_each_time(conn: psycopg.Connection) -> None:
    before = track(conn)
    created = at(conn, "insert into thing values (1, 'x', 1.50, 'canary', 5)")
    updated = at(conn, "update thing set a = null, beat = 6")
    again = at(conn, "update thing set b = 2, pin = 'other'")
    deleted = at(conn, "delete from thing")
    pin = frozenset({"pin"})
    assert state(conn, before) == ItemState(exists=False)
    assert state(conn, created) == ItemState(True, {"id": 1, "a": "x", "b": Decimal("1.50")}, pin)
    assert state(conn, updated) == ItemState(True, {"id": 1, "a": None, "b": Decimal("1.50")}, pin)
    assert state(conn, again) == ItemState(True, {"id": 1, "a": None, "b": 2}, pin)
    assert state(conn, deleted) == ItemState(exists=False)


def test_what_happened_at_the_very_time_has_happened(conn: psycopg.Connection) -> None:
    track(conn)
    at(conn, "insert into thing values (1, 'x')")
    (event,) = auditdb.item_history(conn, ITEM)
    assert state(conn, event.occurred_at).exists is True
    assert state(conn, event.occurred_at - timedelta(microseconds=1)).exists is False


def test_an_item_older_than_the_log_is_known_from_later_changes(conn: psycopg.Connection) -> None:
    old = at(conn, "insert into thing values (1, 'x', 1, 'canary', 5), (2, 'y', 2, 'canary', 5)")
    track(conn)
    nothing = ItemState(None, {}, frozenset({"pin"}), frozenset({"id", "a", "b"}))
    assert state(conn, old) == nothing
    updated = at(conn, "update thing set a = 'z' where id = 1")
    known = frozenset({"id", "b"})
    for time in (old - EARLIER, old):
        assert state(conn, time) == ItemState(True, {"a": "x"}, frozenset({"pin"}), known)
    assert state(conn, updated) == ItemState(True, {"a": "z"}, frozenset({"pin"}), known)
    assert auditdb.value_at(conn, ITEM, "beat", updated) is NoValue.UNKNOWN
    deleted = at(conn, "delete from thing where id = 1")
    whole = {"id": 1, "a": "x", "b": 1}
    assert state(conn, old) == ItemState(True, whole, frozenset({"pin"}))
    assert state(conn, updated) == ItemState(True, whole | {"a": "z"}, frozenset({"pin"}))
    assert state(conn, deleted) == ItemState(exists=False)
    assert state(conn, old, ("thing", 2)) == nothing


def test_an_id_that_is_used_again_is_another_item(conn: psycopg.Connection) -> None:
    track(conn)
    first = at(conn, "insert into thing values (1, 'x', 1)")
    at(conn, "alter table thing drop column b")
    at(conn, "alter table thing add column c text")
    gap = at(conn, "delete from thing")
    second = at(conn, "insert into thing (id, a) values (1, 'y')")
    pin = frozenset({"pin"})
    assert state(conn, first) == ItemState(True, {"id": 1, "a": "x", "b": 1}, pin)
    assert state(conn, gap) == ItemState(exists=False)
    assert state(conn, second) == ItemState(True, {"id": 1, "a": "y", "c": None}, pin)


def test_a_column_that_came_later_is_unknown_before_it_changes(conn: psycopg.Connection) -> None:
    track(conn)
    created = at(conn, "insert into thing values (1, 'x', 1)")
    added = at(conn, "alter table thing add column c text default 'c'")
    assert state(conn, created).unknown == frozenset()
    assert state(conn, added).unknown == frozenset({"c"})
    changed = at(conn, "update thing set c = 'd'")
    assert state(conn, added).values["c"] == "c"
    assert state(conn, changed).values["c"] == "d"


def test_accounts_are_kept_apart(conn: psycopg.Connection) -> None:
    conn.execute("create table note (id int, account int, text text, primary key (account, id))")
    conn.execute("select audit.track('note', item_id => 'id', account => 'account')")
    conn.execute("insert into note values (1, 1, 'one')")
    now = at(conn, "insert into note values (1, 2, 'two')")
    for account, text in ((1, "one"), (2, "two")):
        assert auditdb.value_at(conn, ("note", 1), "text", now, account_id=account) == text
        assert auditdb.state_at(conn, ("note", 1), now, account_id=account).values["text"] == text


def test_parts_have_values_too(conn: psycopg.Connection) -> None:
    track(conn)
    conn.execute(
        "create table seat (id int primary key, thing_id int, name text, level int, pin text);"
        "select audit.track('seat', item_type => 'thing', item_id => 'thing_id', part => 'seats',"
        " part_name => 'name', secret => '{pin}')"
    )
    none = at(conn, "insert into thing values (1, 'x')")
    one = at(conn, "insert into seat values (1, 1, 'A/B', 3, 'canary')")
    more = at(conn, "update seat set level = 4")
    gone = at(conn, "delete from seat")
    path = "seats/A~1B/level"
    found = [auditdb.value_at(conn, ITEM, path, time) for time in (none, one, more, gone)]
    assert found == [NoValue.ABSENT, 3, 4, NoValue.ABSENT]
    secret = [auditdb.value_at(conn, ITEM, "seats/A~1B/pin", time) for time in (none, one, gone)]
    assert secret == [NoValue.ABSENT, NoValue.REDACTED, NoValue.ABSENT]
    assert auditdb.value_at(conn, ITEM, "seats/C/level", more) is NoValue.UNKNOWN
    assert state(conn, more).values[path] == 4
    assert path not in state(conn, gone).values
    assert state(conn, gone).exists is True


def refused(conn: psycopg.Connection, column: str, item: tuple[str, Any] = ITEM) -> str:
    """Return the hint with which a column is refused, whichever way it is asked for."""
    now = at(conn)
    with pytest.raises(InvalidQuestion, match=re.escape(f"{column!r}")) as told:
        auditdb.value_at(conn, item, column, now)
    with pytest.raises(InvalidQuestion) as again:
        auditdb.field_history(conn, item, column)
    assert (again.value.message, again.value.hint) == (told.value.message, told.value.hint)
    return told.value.hint or ""


def unknown(conn: psycopg.Connection, column: str, item: tuple[str, Any] = ITEM) -> None:
    """Check that a column is not refused, though nothing is known of it."""
    assert auditdb.value_at(conn, item, column, at(conn)) is NoValue.UNKNOWN
    assert auditdb.field_history(conn, item, column) == ()


def test_a_column_that_never_was_is_an_error_and_names_the_nearest(
    conn: psycopg.Connection,
) -> None:
    track(conn)
    at(conn, "alter table thing add column max_consumption int")
    for item in (ITEM, ("thing", 2)):
        assert refused(conn, "max_consumtion", item).startswith(
            "Similar columns: max_consumption, "
        )
    conn.execute("insert into thing values (1, 'x')")
    assert "max_consumption" in refused(conn, "maxconsumption")
    conn.execute("delete from thing")
    assert refused(conn, "c")
    with pytest.raises(InvalidQuestion, match="'c'"):
        auditdb.field_history(conn, ITEM, "c", until=at(conn) - EARLIER)


def test_a_column_that_was_once_is_no_error(conn: psycopg.Connection) -> None:
    track(conn)
    conn.execute("alter table thing rename column a to name")
    conn.execute("alter table thing drop column b")
    conn.execute("alter table thing add column c text")
    item = ("thing", 2)
    for column in ("a", "name", "b", "c", "beat"):
        unknown(conn, column, item)
    conn.execute("alter table thing rename to object")
    conn.execute("select audit.track('object', item_type => 'object')")
    conn.execute("alter table object add column d text")
    unknown(conn, "b", item)
    unknown(conn, "d", ("object", 2))
    assert refused(conn, "d", item)
    conn.execute("select audit.untrack('object')")
    unknown(conn, "b", item)
    assert refused(conn, "d", item)


def test_the_columns_of_parts_are_paths_whatever_their_name(conn: psycopg.Connection) -> None:
    track(conn)
    conn.execute(
        "create table seat (id int primary key, thing_id int, name text, max_level int);"
        "select audit.track('seat', item_type => 'thing', item_id => 'thing_id', part => 'seats',"
        " part_name => 'name');"
        "create table tag (id int primary key, thing_id int, word text);"
        "select audit.track('tag', item_type => 'thing', item_id => 'thing_id', actions =>"
        ' \'[{"action": "thing_tagged", "on": ["insert", "delete"], "grouped": true}]\')'
    )
    for column in ("seats/A~1B/max_level", "seats/C#7/max_level", "seats//max_level"):
        unknown(conn, column)
    unknown(conn, "thing/1/word")
    for wrong in ("seats/C/max_levl", "seat/C/max_level"):
        assert "seats/C/max_level" in refused(conn, wrong)
    assert "seats/NAME/max_level" in refused(conn, "max_level")
    for wrong in ("seats/C", "seats/C/", "thing/1/a/b", "seats/C/x/max_level"):
        assert refused(conn, wrong)


def test_a_column_with_slashes_in_its_name_is_a_column(conn: psycopg.Connection) -> None:
    conn.execute('create table odd (id int primary key, "a/b" int, "seats/x/y" int)')
    conn.execute("select audit.track('odd')")
    for column in ("a/b", "seats/x/y"):
        unknown(conn, column, ("odd", 1))
    assert "a/b" in refused(conn, "a/c", ("odd", 1))


def test_of_a_type_that_no_declaration_has_nothing_is_refused(conn: psycopg.Connection) -> None:
    track(conn)
    unknown(conn, "a", ("nothing", 1))
    conn.execute(
        "create table seat (id int primary key, thing_id int, name text);"
        "select audit.track('seat', item_type => 'whole', item_id => 'thing_id', part => 'seats',"
        " part_name => 'name')"
    )
    unknown(conn, "a", ("whole", 1))


def test_what_the_log_has_is_not_refused_whoever_declared_it(conn: psycopg.Connection) -> None:
    """Rows of an archive may have come in without the declarations that they were written by."""
    track(conn)
    conn.execute(
        "insert into audit.log (account_id, action, item_type, item_id, actor_type, actor_id,"
        " db_role, changes) values"
        " ('', 'thing_updated', 'thing', '1', 'x', 'x', 'x', '{\"former\": {\"new\": 5}}')"
    )
    now = at(conn)
    assert auditdb.value_at(conn, ITEM, "former", now) == 5
    assert auditdb.value_at(conn, ITEM, "former", now - EARLIER) is NoValue.ABSENT
    assert auditdb.field_history(conn, ITEM, "former", until=now - EARLIER) == ()
    assert len(auditdb.field_history(conn, ITEM, "former")) == 1
    assert refused(conn, "former", ("thing", 2))


def test_who_sees_no_declarations_is_not_told_that_a_column_never_was(
    conn: psycopg.Connection, connect: Connect, create_role: CreateRole
) -> None:
    track(conn)
    role = create_role()
    conn.execute(sql.SQL("grant audit_reader to {}").format(sql.Identifier(role)))
    reader = connect(user=role, autocommit=True)
    reader.execute("select set_config('audit.account_id', '1', false)")
    unknown(reader, "nothing")
    reader.execute("select set_config('audit.account_id', '', false)")
    assert refused(reader, "nothing")


def test_no_value_counts_as_false_and_says_why() -> None:
    assert not any(NoValue)
    assert "secret" in NoValue.REDACTED.value


@pytest.mark.parametrize("time", [datetime(2026, 1, 1), "2026-01-01"])  # noqa: DTZ001
def test_a_time_needs_a_zone(connection: psycopg.Connection, time: Any) -> None:
    with pytest.raises(auditdb.InvalidQuestion, match="time"):
        auditdb.state_at(connection, ITEM, time)


COLUMNS = ["a", "b", "c"]
ROWS = st.tuples(*[st.sampled_from([None, "", "x", "y"])] * 3)
STEPS = st.lists(st.one_of(st.none(), ROWS), min_size=1, max_size=12)


@settings(max_examples=sized(20, 150), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, tracked_at=st.integers(0, 11))
def test_the_past_is_as_it_was(
    connection: psycopg.Connection, steps: list[tuple[str | None, ...] | None], tracked_at: int
) -> None:
    """A row is written as each step says (None: it is not there); then every step is asked for."""
    connection.rollback()
    connection.execute("create table row (id int primary key, a text, b text, c text)")
    times, is_tracked = [], False
    for number, step in enumerate(steps):
        if not is_tracked and number >= tracked_at:
            connection.execute("select audit.track('row')")
            is_tracked = True
        if step is None:
            connection.execute("delete from row")
        else:
            connection.execute(
                "insert into row values (1, %s, %s, %s) on conflict (id) do update"
                " set a = excluded.a, b = excluded.b, c = excluded.c",
                step,
            )
        times.append(value(connection, "select clock_timestamp()"))
    knows_all = tracked_at == 0
    for number, (step, time) in enumerate(zip(steps, times, strict=True)):
        if not is_tracked or number < tracked_at - 1:
            continue
        found = auditdb.state_at(connection, ("row", 1), time)
        truth = step and dict(zip(COLUMNS, step, strict=True))
        if found.exists is None:
            # Nothing happened since the log began, but the row may be there from before.
            assert not found.values
            continue
        assert found.exists is (step is not None)
        known = {name: known for name, known in found.values.items() if name != "id"}
        assert known.items() <= (truth or {}).items()
        assert known.keys() | (found.unknown - {"id"}) == (truth or {}).keys()
        assert not (knows_all and found.unknown)
