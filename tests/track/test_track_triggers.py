"""Tables with triggers, foreign keys, policies and views of their own are logged all the same."""

from typing import Any

import psycopg
import pytest

from tests.conftest import Connect, CreateRole
from tests.support.helpers import LogRow, recorded, value

THING = "create schema s; create table s.thing (id int primary key, v text, n int, seen int);"


def short(rows: list[LogRow]) -> list[tuple[str, str, dict[str, Any] | None]]:
    return [(row.action, row.item, row.changes) for row in rows]


def columns_of_update(conn: psycopg.Connection, table: str) -> int:
    """Return how many columns the trigger for UPDATE lists; 0 means that it fires for all."""
    query = (
        "select cardinality(tgattr) from pg_trigger"
        " where tgrelid = %s::regclass and tgname = '_audit_update'"
    )
    count: int = value(conn, query, table)
    return count


@pytest.mark.parametrize("order", ["before tracking", "after tracking"])
def test_what_a_before_trigger_changes_is_logged(
    connection: psycopg.Connection, order: str
) -> None:
    application = (
        "create function s.touch() returns trigger language plpgsql as"
        " $$ begin new.v := upper(new.v); new.n := coalesce(new.n, 0) + 1; return new; end $$;"
        "create trigger touch before insert or update on s.thing"
        " for each row execute function s.touch()"
    )
    connection.execute(THING)
    if order == "before tracking":
        connection.execute(application)
    connection.execute("select audit.track('s.thing', operational => '{seen}')")
    if order == "after tracking":
        assert columns_of_update(connection, "s.thing") == 3
        connection.execute(application)
    assert columns_of_update(connection, "s.thing") == 0
    with recorded(connection) as log:
        connection.execute("insert into s.thing values (1, 'a')")
        connection.execute("update s.thing set seen = 1")
    assert [row.changes for row in log] == [
        {"id": {"new": 1}, "v": {"new": "A"}, "n": {"new": 1}},
        {"n": {"old": 1, "new": 2}},
    ]
    connection.execute("drop trigger touch on s.thing; select audit.refresh('s.thing')")
    assert columns_of_update(connection, "s.thing") == 3


def test_a_before_trigger_that_sleeps_may_wake_up(connection: psycopg.Connection) -> None:
    connection.execute(THING)
    connection.execute(
        "select audit.track('s.thing', operational => '{seen}');"
        "create function s.touch() returns trigger language plpgsql as"
        " $$ begin new.n := new.n + 1; return new; end $$;"
        "create trigger touch before update on s.thing for each row execute function s.touch();"
        "alter table s.thing disable trigger touch"
    )
    connection.execute("insert into s.thing values (1, 'a', 1)")
    with recorded(connection) as log:
        connection.execute("update s.thing set seen = 1")
        connection.execute("alter table s.thing enable trigger touch")
        connection.execute("update s.thing set seen = 2")
    assert [row.changes for row in log] == [{"n": {"old": 1, "new": 2}}]


def test_a_before_trigger_that_cancels_a_write_leaves_no_row(
    connection: psycopg.Connection,
) -> None:
    connection.execute(THING)
    connection.execute("insert into s.thing values (1, 'a')")
    connection.execute(
        "create function s.cancel() returns trigger language plpgsql as"
        " $$ begin return null; end $$;"
        "create trigger cancel before insert or update or delete on s.thing"
        " for each row execute function s.cancel();"
        "select audit.track('s.thing')"
    )
    with recorded(connection) as log:
        connection.execute("insert into s.thing values (2, 'a')")
        connection.execute("update s.thing set v = 'b'")
        connection.execute("delete from s.thing")
    assert log == []


@pytest.mark.parametrize("level", ["row", "statement"])
def test_a_cause_is_logged_before_its_effect(connection: psycopg.Connection, level: str) -> None:
    connection.execute(THING)
    connection.execute(
        "create table s.total (id int primary key, n int); insert into s.total values (1, 0);"
        "create function s.count() returns trigger language plpgsql as"
        " $$ begin update s.total set n = n + 1; return null; end $$;"
        "create trigger count after insert or update or delete on s.thing"
        f" for each {level} execute function s.count();"
        "create trigger a_first after insert or update or delete on s.thing"
        f" for each {level} execute function s.count();"
        "select audit.track('s.thing'), audit.track('s.total')"
    )
    with recorded(connection) as log:
        connection.execute("insert into s.thing values (1, 'a')")
        connection.execute("update s.thing set v = 'b'")
        connection.execute("delete from s.thing")
    assert [row.action for row in log] == [
        *("thing_created", "total_updated", "total_updated"),
        *("thing_updated", "total_updated", "total_updated"),
        *("thing_deleted", "total_updated", "total_updated"),
    ]


def test_a_trigger_that_writes_its_own_row_again(connection: psycopg.Connection) -> None:
    connection.execute(THING)
    connection.execute(
        "create function s.again() returns trigger language plpgsql as $$ begin"
        " update s.thing set n = coalesce(n, 0) + 1 where id = new.id and coalesce(n, 0) < 2;"
        " return null; end $$;"
        "create trigger again after insert or update on s.thing"
        " for each row execute function s.again();"
        "select audit.track('s.thing')"
    )
    with recorded(connection) as log:
        connection.execute("insert into s.thing values (1, 'a')")
        connection.execute("update s.thing set v = 'b'")
    assert short(log) == [
        (
            "thing_created",
            "thing:1",
            {"id": {"new": 1}, "v": {"new": "a"}, "n": {"new": None}, "seen": {"new": None}},
        ),
        ("thing_updated", "thing:1", {"n": {"old": None, "new": 1}}),
        ("thing_updated", "thing:1", {"n": {"old": 1, "new": 2}}),
        ("thing_updated", "thing:1", {"v": {"old": "a", "new": "b"}}),
    ]


def test_a_constraint_trigger_at_commit_is_logged_with_its_actor(connect: Connect) -> None:
    conn = connect()
    conn.execute(THING)
    conn.execute(
        "create function s.late() returns trigger language plpgsql as"
        " $$ begin update s.thing set v = 'late' where id = new.id; return null; end $$;"
        "create constraint trigger late after insert on s.thing deferrable initially deferred"
        " for each row execute function s.late();"
        "select audit.track('s.thing')"
    )
    conn.commit()
    with recorded(conn) as log:
        conn.execute("select audit.set_actor('job', 'nightly')")
        conn.execute("insert into s.thing values (1, 'a')")
        conn.commit()
    assert [(row.action, row.actor) for row in log] == [
        ("thing_created", "job:nightly"),
        ("thing_updated", "job:nightly"),
    ]


def test_writes_through_views_are_writes_to_their_tables(connection: psycopg.Connection) -> None:
    connection.execute(THING)
    connection.execute(
        "create view s.plain as select id, v as label from s.thing where id < 100"
        " with check option;"
        "create view s.odd as select id, upper(v) as v from s.thing;"
        "create function s.write() returns trigger language plpgsql as $$ begin"
        " insert into s.thing values (new.id, new.v); return new; end $$;"
        "create trigger write instead of insert on s.odd for each row execute function s.write();"
        "create view s.ruled as select id, v from s.thing;"
        "create rule ins as on insert to s.ruled do instead"
        " insert into s.thing values (new.id, new.v), (new.id + 1, new.v);"
        "select audit.track('s.thing', operational => '{n, seen}')"
    )
    with recorded(connection) as log:
        connection.execute("insert into s.plain values (1, 'a')")
        connection.execute("update s.plain set label = 'b'")
        connection.execute("insert into s.odd values (2, 'c')")
        connection.execute("insert into s.ruled values (3, 'd')")
        connection.execute("delete from s.plain where id = 1")
    assert [(row.action, row.item_id) for row in log] == [
        ("thing_created", "1"),
        ("thing_updated", "1"),
        ("thing_created", "2"),
        ("thing_created", "3"),
        ("thing_created", "4"),
        ("thing_deleted", "1"),
    ]


FAMILY = """
create schema s;
create table s.parent (id int primary key, name text unique);
create table s.child (id int primary key, parent_id int {}, note text);
insert into s.parent values (1, 'P1'), (2, 'P2');
insert into s.child values (1, 1), (2, 1), (3, 2);
select audit.track('s.parent', item_label => 'name');
select audit.track('s.child', item_label => 'parent.name || ''/'' || child_id',
  lookups => '{{"parent": "parent_id"}}');
"""


def family(conn: psycopg.Connection, reference: str) -> None:
    conn.execute(FAMILY.format(reference).replace("|| child_id", "|| id"))


def test_a_cascading_update_is_a_change_of_the_children(connection: psycopg.Connection) -> None:
    family(connection, "references s.parent on update cascade")
    with recorded(connection) as log:
        connection.execute("update s.parent set id = 10, name = 'P10' where id = 1")
    of_parent = {"id": {"old": 1, "new": 10}, "name": {"old": "P1", "new": "P10"}}
    assert [(*row, log[n].is_cascade) for n, row in enumerate(short(log))] == [
        ("parent_updated", "parent:10", of_parent, False),
        ("parent_updated", "parent:1", of_parent, False),
        ("child_updated", "child:1", {"parent_id": {"old": 1, "new": 10}}, False),
        ("child_updated", "child:2", {"parent_id": {"old": 1, "new": 10}}, False),
    ]
    assert [row.item_label for row in log] == ["P10", "P1", "P10/1", "P10/2"]


@pytest.mark.parametrize("action", ["set null", "set default"])
def test_a_key_set_null_is_an_ordinary_change(connection: psycopg.Connection, action: str) -> None:
    family(connection, f"default null references s.parent on delete {action}")
    with recorded(connection) as log:
        connection.execute("delete from s.parent where id = 1")
    assert [(row.action, row.item, row.is_cascade) for row in log] == [
        ("parent_deleted", "parent:1", False),
        ("child_updated", "child:1", False),
        ("child_updated", "child:2", False),
    ]
    assert log[1].changes == {"parent_id": {"old": 1, "new": None}}


def test_a_cascading_delete_marks_the_children(connection: psycopg.Connection) -> None:
    family(connection, "references s.parent on delete cascade")
    with recorded(connection) as log:
        connection.execute("delete from s.child where id = 1")
        connection.execute("delete from s.parent")
    first, *others = [(row.action, row.item_label, row.is_cascade) for row in log]
    assert first == ("child_deleted", "P1/1", False)
    assert sorted(others, key=str) == [
        ("child_deleted", "P1/2", True),
        ("child_deleted", "P2/3", True),
        ("parent_deleted", "P1", False),
        ("parent_deleted", "P2", False),
    ]
    assert [row[0] for row in others[:2]] == ["parent_deleted", "parent_deleted"]


def test_a_child_deleted_beside_its_parent_is_no_cascade_of_another(
    connection: psycopg.Connection,
) -> None:
    family(connection, "references s.parent on delete cascade")
    with recorded(connection) as log:
        connection.execute(
            "with c as (delete from s.child where id = 3 returning *)"
            " delete from s.parent using c where parent.id = 1"
        )
    assert sorted((row.action, row.item_id, row.is_cascade) for row in log) == [
        ("child_deleted", "1", True),
        ("child_deleted", "2", True),
        ("child_deleted", "3", False),
        ("parent_deleted", "1", False),
    ]


def test_a_tree_that_refers_to_itself(connection: psycopg.Connection) -> None:
    connection.execute(
        "create schema s; create table s.node (id int primary key,"
        " up int references s.node on delete cascade on update cascade);"
        "insert into s.node values (1, null), (2, 1), (3, 2), (4, 3), (5, 1);"
        "select audit.track('s.node', item_label => $$'under ' || parent.id$$,"
        ' lookups => \'{"parent": "up"}\')'
    )
    with recorded(connection) as log:
        connection.execute("update s.node set id = 20 where id = 2")
    assert [row[1:] for row in short(log)] == [
        ("node:20", {"id": {"old": 2, "new": 20}}),
        ("node:2", {"id": {"old": 2, "new": 20}}),
        ("node:3", {"up": {"old": 2, "new": 20}}),
    ]
    with recorded(connection) as log:
        connection.execute("delete from s.node where id = 1")
    assert [(row.item_id, row.item_label, row.is_cascade) for row in log[:1]] == [
        ("1", None, False)
    ]
    assert sorted((row.item_id, row.item_label, row.is_cascade) for row in log[1:]) == [
        ("20", "under 1", True),
        ("3", "under 20", True),
        ("4", "under 3", True),
        ("5", "under 1", True),
    ]


def test_a_key_of_two_columns_cascades_too(connection: psycopg.Connection) -> None:
    connection.execute(
        "create schema s; create table s.parent (a int, b text, primary key (a, b));"
        "create table s.child (id int primary key, x text, y int,"
        " foreign key (y, x) references s.parent on delete cascade on update cascade);"
        "insert into s.parent values (1, 'x'), (1, 'y'); "
        "insert into s.child values (1, 'x', 1), (2, 'y', 1), (3, null, 1);"
        "select audit.track('s.child')"
    )
    with recorded(connection) as log:
        connection.execute("update s.parent set a = 2 where b = 'x'")
        connection.execute("delete from s.parent where b = 'x'")
        connection.execute("delete from s.child where id = 3")
    assert [(row.action, row.item_id, row.is_cascade) for row in log] == [
        ("child_updated", "1", False),
        ("child_deleted", "1", True),
        ("child_deleted", "3", False),
    ]


def test_a_chain_of_cascades_keeps_what_each_row_looked_up(connection: psycopg.Connection) -> None:
    connection.execute(
        "create schema s;"
        "create table s.a (id int primary key, name text);"
        "create table s.b (id int primary key, a_id int references s.a on delete cascade);"
        "create table s.c (id int primary key, b_id int references s.b on delete cascade);"
        "insert into s.a values (1, 'A1'), (2, 'A2'); insert into s.b values (1, 1), (2, 2);"
        "insert into s.c values (1, 1), (2, 1), (3, 2);"
        "select audit.track('s.a', item_label => 'name');"
        "select audit.track('s.b', item_label => 'a.name', account => 'a.id',"
        ' lookups => \'{"a": "a_id"}\');'
        "select audit.track('s.c', item_label => 'a.name', account => 'a.id',"
        ' parent_type => \'b\', parent_id => \'b.id\', lookups => \'{"b": "b_id", "a": "b.a_id"}\')'
    )
    with recorded(connection) as log:
        connection.execute("delete from s.a")
    assert sorted((r.item, r.item_label, r.account_id, r.parent, r.is_cascade) for r in log) == [
        ("a:1", "A1", "", None, False),
        ("a:2", "A2", "", None, False),
        ("b:1", "A1", "1", None, True),
        ("b:2", "A2", "2", None, True),
        ("c:1", "A1", "1", "b:1", True),
        ("c:2", "A1", "1", "b:1", True),
        ("c:3", "A2", "2", "b:2", True),
    ]


@pytest.mark.parametrize("force", ["", "alter table s.thing force row level security;"])
def test_a_table_with_row_security(connect: Connect, create_role: CreateRole, force: str) -> None:
    role = create_role()
    owner = connect()
    owner.execute(THING)
    owner.execute(
        "create table s.tenant (id int primary key, name text);"
        "insert into s.tenant values (1, 'T1'), (2, 'T2');"
        "alter table s.thing add foreign key (n) references s.tenant on delete cascade;"
        "alter table s.thing enable row level security; alter table s.tenant enable row level"
        f" security; {force}"
        "create policy mine on s.thing using (n = 1);"
        "select audit.track('s.thing', item_label => 't.name', lookups => '{\"t\": \"n\"}');"
        f"grant usage on schema s to {role};"
        f"grant select, insert, update, delete on s.thing to {role}"
    )
    owner.execute("insert into s.thing values (2, 'hidden', 2)")
    owner.commit()
    with recorded(owner) as log:
        owner.rollback()
        writer = connect(user=role, autocommit=True)
        writer.execute("insert into s.thing values (1, 'a', 1)")
        writer.execute("update s.thing set v = 'b'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.execute("update s.thing set n = 2")
        writer.execute("delete from s.thing")
    assert [(row.action, row.item, row.item_label, row.db_role) for row in log] == [
        ("thing_created", "thing:1", "T1", role),
        ("thing_updated", "thing:1", "T1", role),
        ("thing_deleted", "thing:1", "T1", role),
    ]


def test_a_writer_with_rights_on_columns_only(connect: Connect, create_role: CreateRole) -> None:
    role = create_role()
    owner = connect()
    owner.execute(THING)
    owner.execute("insert into s.thing values (1, 'a', 1, 0); select audit.track('s.thing')")
    owner.execute(
        f"grant usage on schema s to {role}; grant insert (id, v), update (v) on s.thing to {role}"
    )
    owner.commit()
    with recorded(owner) as log:
        owner.rollback()
        writer = connect(user=role, autocommit=True)
        writer.execute("insert into s.thing (id, v) values (2, 'b')")
        writer.execute("update s.thing set v = 'c'")
    assert [row.action for row in log] == ["thing_created", "thing_updated", "thing_updated"]
