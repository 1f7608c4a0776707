"""Tables renamed, moved, dropped and meddled with, by roles of all kinds; and the log of it."""

import psycopg
import pytest
from psycopg import conninfo, sql

import auditdb
from auditdb._upkeep import migrate
from tests.conftest import Connect, CreateRole
from tests.support.helpers import LogRow, recorded, value
from tests.support.servers import Server
from tests.track.test_ddl import without_event_triggers

THING = """
create schema app;
create table app.thing (id int primary key, v text, n int, seen int);
insert into app.thing values (1, 'a', 1, 0), (2, 'b', 2, 0);
select audit.track('app.thing', operational => '{seen}');
"""


@pytest.fixture
def database(engine_database: str) -> str:
    """Refreshing recompiles every tracked table: there are only this test's own."""
    return engine_database


def short(rows: list[LogRow]) -> list[tuple[str, str]]:
    return [(row.action, row.item) for row in rows]


def triggers(conn: psycopg.Connection, table: str) -> list[tuple[object, ...]]:
    return conn.execute(
        "select oid, xmin::text, tgname::text, tgenabled::text from pg_trigger"
        " where tgrelid = %s::regclass and not tgisinternal order by tgname",
        [table],
    ).fetchall()


RENAMES = {
    "the table": ("alter table app.thing rename to gadget", "app.gadget"),
    "the table, quoted": ('alter table app.thing rename to "Odd ""name"""', 'app."Odd ""name"""'),
    "the schema": ("alter schema app rename to application", "application.thing"),
    "to another schema": ("create schema b; alter table app.thing set schema b", "b.thing"),
}


@pytest.mark.parametrize("with_event_triggers", [True, False])
@pytest.mark.parametrize("rename", list(RENAMES))
def test_a_renamed_table_is_the_same_item_type(
    connect: Connect, rename: str, with_event_triggers: bool
) -> None:
    statement, name = RENAMES[rename]
    conn = connect()
    conn.execute(THING)
    conn.commit()
    if not with_event_triggers:
        without_event_triggers(conn)
    writes = [f"update {name} set v = 'x' where id = 1", f"delete from {name} where id = 2"]
    conn.execute("update app.thing set v = 'y'")
    conn.rollback()
    with recorded(conn) as log:
        conn.execute(sql.SQL(statement))
    assert short(log) == ([("tracking_changed", f"table:{name}")] if with_event_triggers else [])
    conn.commit()
    for session in (conn, connect()):
        with recorded(session) as log:
            for write in writes:
                session.execute(sql.SQL(write))
        assert short(log) == [("thing_updated", "thing:1"), ("thing_deleted", "thing:2")]
        session.rollback()
    if not with_event_triggers:
        with recorded(conn) as log:
            assert value(conn, "select audit.refresh()") == name
        assert short(log) == [("tracking_changed", f"table:{name}")]
        assert log[0].changes == {"table": {"old": "app.thing", "new": name}}
    assert conn.execute("select audit.refresh()").fetchall() == []


@pytest.mark.parametrize("statement", ["drop table app.thing", "drop schema app cascade"])
@pytest.mark.parametrize("with_event_triggers", [True, False])
def test_a_dropped_table_stops_being_tracked(
    connect: Connect, statement: str, with_event_triggers: bool
) -> None:
    conn = connect()
    conn.execute(THING)
    conn.commit()
    if not with_event_triggers:
        without_event_triggers(conn)
    with recorded(conn) as log:
        conn.execute(sql.SQL(statement))
        if not with_event_triggers:
            assert ("app.thing",) in conn.execute("select audit.refresh()").fetchall()
    assert short(log) == [("tracking_stopped", "table:app.thing")]
    gone = "select count(*) from pg_proc where proname like 'app\\_thing%%' and %s"
    assert value(conn, gone, True) == 0
    assert value(conn, "select count(*) from audit.tracked where slug = 'app_thing'") == 0
    conn.execute(THING if "schema" in statement else THING.replace("create schema app;", ""))
    with recorded(conn) as log:
        conn.execute("update app.thing set v = 'z' where id = 1")
    assert short(log) == [("thing_updated", "thing:1")]


@pytest.mark.parametrize("name", ["_audit_insert", "_audit_update", "_audit_delete"])
@pytest.mark.parametrize("way", ["drop", "replica"])
def test_a_trigger_dropped_or_weakened_by_hand_comes_back(
    connect: Connect, name: str, way: str
) -> None:
    statement = {
        "drop": f"drop trigger {name} on app.thing",
        "replica": f"alter table app.thing enable replica trigger {name}",
    }[way]
    conn = connect()
    conn.execute(THING)
    conn.commit()
    for assisted in (True, False):
        if not assisted:
            without_event_triggers(conn)
        with recorded(conn) as log:
            conn.execute(sql.SQL(statement))
            if not assisted:
                assert value(conn, "select audit.refresh('app.thing')") == "app.thing"
            conn.execute("insert into app.thing values (3)")
            conn.execute("update app.thing set v = 'z' where id = 3")
            conn.execute("delete from app.thing where id = 3")
        assert short(log) == [
            ("tracking_changed", "table:app.thing"),
            ("thing_created", "thing:3"),
            ("thing_updated", "thing:3"),
            ("thing_deleted", "thing:3"),
        ]
        conn.rollback()


@pytest.mark.parametrize("name", ["_audit_update", "all"])
def test_a_trigger_disabled_by_its_owner_stays_so_but_not_in_silence(
    connect: Connect, name: str
) -> None:
    conn = connect()
    conn.execute(THING)
    with recorded(conn) as log:
        conn.execute(sql.SQL("alter table app.thing disable trigger {}").format(sql.SQL(name)))
        conn.execute("update app.thing set v = 'z' where id = 1")
    assert short(log) == [("tracking_changed", "table:app.thing")]
    assert log[0].changes == {"triggers": {"new": "disabled"}}
    conn.execute(sql.SQL("alter table app.thing enable trigger {}").format(sql.SQL(name)))
    assert {enabled for *_, enabled in triggers(conn, "app.thing")} == {"A"}
    with recorded(conn) as log:
        conn.execute("update app.thing set v = 'y' where id = 1")
    assert short(log) == [("thing_updated", "thing:1")]


@pytest.mark.parametrize("with_event_triggers", [True, False])
def test_a_new_partition_is_logged_at_once(connect: Connect, with_event_triggers: bool) -> None:
    conn = connect()
    conn.execute(
        "create table thing (id int primary key, v text) partition by range (id);"
        "create table thing_1 partition of thing for values from (0) to (10);"
        "select audit.track('thing', on_truncate => 'refuse')"
    )
    conn.commit()
    if not with_event_triggers:
        without_event_triggers(conn)
    conn.execute("create table thing_2 partition of thing for values from (10) to (20)")
    with recorded(conn) as log:
        conn.execute("insert into thing values (11), (1)")
        conn.execute("update thing_2 set v = 'a'")
        conn.execute("update thing set id = 12 where id = 1")
    assert short(log) == [
        ("thing_created", "thing:11"),
        ("thing_created", "thing:1"),
        ("thing_updated", "thing:11"),
        ("thing_updated", "thing:12"),
        ("thing_updated", "thing:1"),
    ]
    if not with_event_triggers:
        conn.execute("select audit.refresh()")
    with pytest.raises(psycopg.Error) as refused:
        conn.execute("truncate thing_2")
    assert refused.value.sqlstate == "UA007"


@pytest.mark.parametrize(
    "statement",
    [
        "alter table app.thing alter v type varchar(9)",
        "alter table app.thing drop v",
        "alter table app.thing drop v cascade",
    ],
)
def test_without_event_triggers_widening_makes_way_for_ddl(
    connect: Connect, statement: str
) -> None:
    conn = connect()
    conn.execute(THING)
    conn.commit()
    # The triggers were compiled while there were event triggers: they list columns.
    conn.execute("drop event trigger audit_before_ddl; drop event trigger audit_after_ddl")
    conn.execute("update app.thing set n = 9")
    conn.commit()
    if not statement.endswith("cascade"):
        with pytest.raises(psycopg.Error, match="_audit_update") as refused:
            conn.execute(sql.SQL(statement))
        assert refused.value.sqlstate in {"0A000", "2BP01"}
        conn.rollback()
    narrow = value(
        conn,
        "select pg_get_triggerdef(oid) from pg_trigger where tgname ="
        " '_audit_update' and tgrelid = 'app.thing'::regclass",
    )
    assert "UPDATE OF id, v, n ON" in narrow
    if not statement.endswith("cascade"):
        conn.execute("select audit.widen('app.thing')")
    conn.execute(sql.SQL(statement))
    conn.commit()
    conn.execute("select audit.refresh('app.thing')")
    conn.commit()
    assert conn.execute("select audit.refresh('app.thing')").fetchall() == []
    with recorded(conn) as log:
        conn.execute("update app.thing set seen = 1")
        conn.execute("update app.thing set n = 8 where id = 1")
    assert [row.changes for row in log] == [{"n": {"old": 9, "new": 8}}]
    # Nothing would tell of a column added later: the trigger stays wide.
    assert (
        value(
            conn,
            "select cardinality(tgattr) from pg_trigger where tgname = '_audit_update'"
            " and tgrelid = 'app.thing'::regclass",
        )
        == 0
    )


def test_a_foreign_key_that_comes_later_cascades_too(connect: Connect) -> None:
    conn = connect()
    conn.execute(THING)
    conn.execute(
        "create table app.part (id int primary key, thing_id int);"
        "insert into app.part values (1, 1), (2, 2); select audit.track('app.part')"
    )
    conn.execute("delete from app.part where id = 2")
    conn.execute(
        "alter table app.part add foreign key (thing_id) references app.thing on delete cascade"
    )
    with recorded(conn) as log:
        conn.execute("delete from app.thing where id = 1")
    assert [(row.action, row.is_cascade) for row in log] == [
        ("thing_deleted", False),
        ("part_deleted", True),
    ]


def test_widening_a_table_that_is_not_tracked_is_refused(connection: psycopg.Connection) -> None:
    connection.execute("create table thing (id int primary key)")
    for call in ("audit.widen('thing')", "audit.refresh('thing')"):
        with (
            pytest.raises(psycopg.Error, match="thing is not tracked") as refused,
            connection.transaction(),
        ):
            connection.execute(sql.SQL("select {}").format(sql.SQL(call)))
        assert refused.value.sqlstate == "UA009"


@pytest.mark.parametrize("with_event_triggers", [True, False])
def test_a_migration_of_tables_functions_and_data_in_one_transaction(
    connect: Connect, with_event_triggers: bool
) -> None:
    conn = connect()
    conn.execute(THING)
    conn.commit()
    if not with_event_triggers:
        without_event_triggers(conn)
    refresh = "" if with_event_triggers else "select audit.refresh();"
    with recorded(conn) as log:
        conn.execute(
            "insert into app.thing values (3, 'c');"
            "create table app.kind (name text primary key);"
            "insert into app.kind values ('k');"
            "alter table app.thing add kind text references app.kind;"
            + refresh
            + "update app.thing set kind = 'k' where id = 1;"
            "create function app.touch() returns trigger language plpgsql as"
            " $$ begin new.n := 0; return new; end $$;"
            "create trigger touch before update on app.thing"
            " for each row execute function app.touch();"
            + refresh
            + "update app.thing set seen = 5 where id = 2;"
            "select audit.track('app.kind');"
            "update app.kind set name = 'l' where name = 'none';"
            "delete from app.thing where id = 3"
        )
    assert [row.changes for row in log if row.action == "thing_updated"] == [
        {"kind": {"old": None, "new": "k"}},
        {"n": {"old": 2, "new": 0}},
    ]
    assert [row.action for row in log if not row.action.startswith("tracking")] == [
        "thing_created",
        "thing_updated",
        "thing_updated",
        "thing_deleted",
    ]


def test_ddl_of_a_role_without_rights_on_audit(connect: Connect, create_role: CreateRole) -> None:
    role = create_role()
    owner = connect()
    owner.execute(THING)
    owner.execute(f"alter schema app owner to {role}; alter table app.thing owner to {role}")
    owner.commit()
    writer = connect(user=role)
    with recorded(owner) as log:
        owner.rollback()
        writer.execute("alter table app.thing add extra int")
        writer.execute("update app.thing set extra = 1 where id = 1")
        writer.execute("alter table app.thing alter v type varchar(9), drop n")
        writer.execute("update app.thing set v = 'z' where id = 1")
        writer.commit()
    assert [row.changes for row in log if row.action == "thing_updated"] == [
        {"extra": {"old": None, "new": 1}},
        {"v": {"old": "a", "new": "z"}},
    ]
    assert {row.db_role for row in log} == {role}


def test_a_database_owner_without_superuser_rights_installs_and_tracks(
    server: Server, empty_database: str, create_role: CreateRole
) -> None:
    role = create_role("login createdb")
    name = str(conninfo.conninfo_to_dict(empty_database)["dbname"])
    server.execute("alter database {} owner to {}", name, role)
    migrate.upgrade(server.url(name, role))
    with psycopg.connect(server.url(name, role)) as conn:
        assert value(conn, "select count(*) from pg_event_trigger") == 0
        conn.execute(THING)
        conn.execute("select audit.set_actor('job', 'nightly')")
        with recorded(conn) as log:
            conn.execute("insert into app.thing values (3, 'c')")
            conn.execute("update app.thing set v = 'z' where id = 3")
            conn.execute("delete from app.thing where id = 3")
            conn.execute("truncate app.thing")
        assert [(row.action, row.actor, row.db_role) for row in log] == [
            (action, "job:nightly", role)
            for action in ("thing_created", "thing_updated", "thing_deleted", "table_truncated")
        ]
        conn.execute("alter table app.thing add extra int")
        assert ("app.thing",) in conn.execute("select audit.refresh()").fetchall()
        assert value(conn, "select audit.maintain(interval '30 months')") > 0
        for statement in ("update audit.log set action = 'x'", "delete from audit.log"):
            with pytest.raises(psycopg.Error) as refused, conn.transaction():
                conn.execute(sql.SQL(statement))
            assert refused.value.sqlstate == "UA004"


def test_the_declaration_is_logged_when_it_begins_changes_and_ends(
    connection: psycopg.Connection,
) -> None:
    connection.execute("create schema app; create table app.thing (id int primary key, v text)")
    with recorded(connection) as log:
        connection.execute(
            "select audit.set_actor('platform_user', '7', 'Ana', '{\"reason\": \"audit\"}')"
        )
        connection.execute("select audit.track('app.thing', item_label => 'v')")
        connection.execute("select audit.track('app.thing', item_label => 'v || id')")
        connection.execute("alter table app.thing add n int")
        connection.execute("select audit.untrack('app.thing')")
    started, changed, recompiled, stopped = log
    assert short(log) == [
        ("tracking_started", "table:app.thing"),
        ("tracking_changed", "table:app.thing"),
        ("tracking_changed", "table:app.thing"),
        ("tracking_stopped", "table:app.thing"),
    ]
    assert {(row.actor, row.actor_label, row.item_label) for row in log} == {
        ("platform_user:7", "Ana", "app.thing")
    }
    assert {str(row.context) for row in log} == {"{'reason': 'audit'}"}
    assert started.changes is not None
    assert stopped.changes is not None
    assert started.changes["item_label"] == {"new": "v"}
    assert started.changes["columns"] == {"new": {"id": "integer", "v": "text"}}
    assert [rule["action"] for rule in started.changes["actions"]["new"]] == [
        "thing_created",
        "thing_updated",
        "thing_deleted",
    ]
    assert changed.changes == {"item_label": {"old": "v", "new": "v || id"}}
    assert recompiled.changes == {
        "columns": {
            "old": {"id": "integer", "v": "text"},
            "new": {"id": "integer", "v": "text", "n": "integer"},
        }
    }
    assert stopped.changes.keys() == started.changes.keys()
    assert stopped.changes["item_label"] == {"old": "v || id"}
    assert stopped.changes["table"] == {"old": "app.thing"}


def test_a_refresh_without_a_difference_touches_nothing(connect: Connect) -> None:
    conn = connect()
    conn.execute(THING)
    conn.commit()
    every = (
        "select oid, xmin::text from pg_trigger union all"
        " select oid, xmin::text from pg_proc where pronamespace = 'audit'::regnamespace"
        " order by 1"
    )
    before = conn.execute(every).fetchall()
    with recorded(conn) as log:
        assert conn.execute("select audit.refresh()").fetchall() == []
        assert conn.execute("select audit.refresh('app.thing')").fetchall() == []
        conn.execute("create table app.other (id int); drop table app.other")
        conn.execute("alter table app.thing set (fillfactor = 90)")
        conn.execute("alter table app.thing add check (n < 1000)")
        conn.execute("create index on app.thing (v)")
    assert log == []
    assert conn.execute(every).fetchall() == before


def test_a_refresh_restores_a_function_that_was_replaced(connection: psycopg.Connection) -> None:
    connection.execute(THING)
    connection.execute(
        "create or replace function audit.app_thing_insert() returns trigger language plpgsql as"
        " $$ begin return null; end $$"
    )
    connection.execute("select audit.refresh('app.thing')")
    with recorded(connection) as log:
        connection.execute("insert into app.thing values (3)")
    assert short(log) == [("thing_created", "thing:3")]


def test_a_table_that_a_script_names_beside_another_is_narrow_again(
    connection: psycopg.Connection,
) -> None:
    """Before ALTER TABLE all tracked tables in the text are widened, for it may be any of them."""
    connection.execute(THING)
    connection.execute("create table app.other (id int primary key, v text, seen int)")
    connection.execute("select audit.track('app.other', operational => '{seen}')")
    listed = (
        "select pg_get_triggerdef(oid) from pg_trigger where tgname = '_audit_update'"
        " and tgrelid in ('app.thing'::regclass, 'app.other'::regclass)"
    )
    before = sorted(connection.execute(listed).fetchall())
    connection.execute("alter table app.thing drop column n; update app.other set v = 'x'")
    after = sorted(connection.execute(listed).fetchall())
    assert [text.partition(" ON ")[0] for (text,) in after] == [
        "CREATE TRIGGER _audit_update AFTER UPDATE OF id, v"
    ] * 2
    assert before[0] == after[0]
    assert "triggers_stale" not in {finding.finding for finding in auditdb.check(connection)}
