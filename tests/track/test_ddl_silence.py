"""Whatever takes a column, a type, a trigger, or makes a hierarchy: nothing is lost in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

import auditdb
from tests.support.helpers import recorded, value

if TYPE_CHECKING:
    from tests.conftest import Connect, CreateRole

TRACKED = "insert into t (id, x) values (1, 1); select audit.track('t')"
UPDATE = "update t set x = x + 1"
OF_TYPE = (
    "create type kind as (id int, x int, y int); create table t of kind (primary key (id));"
    + TRACKED
)
EXTENSION = (
    "create extension citext; create table t (id int primary key, m citext, x int);" + TRACKED
)


def of(before: str, column: str) -> str:
    """Return SQL that makes something and a tracked table with a column of it."""
    return f"{before}; create table t (id int primary key, {column}, x int); {TRACKED}"


MOOD = of("create type mood as enum ('a')", "m mood")
# What there is, what happens to it, and an update that is to be recorded afterwards.
LOST: dict[str, tuple[str, str, str]] = {
    "an enum": (MOOD, "drop type mood cascade", UPDATE),
    "an enum, of an array": (
        of("create type mood as enum ('a')", "m mood[]"), "drop type mood cascade", UPDATE
    ),
    "a composite type": (of("create type c as (a int)", "m c"), "drop type c cascade", UPDATE),
    "a range": (
        of("create type r as range (subtype = int4)", "m r"), "drop type r cascade", UPDATE
    ),
    "a domain": (of("create domain d as int", "m d"), "drop domain d cascade", UPDATE),
    "an extension": (EXTENSION, "drop extension citext cascade", UPDATE),
    "a schema": (
        of("create schema s; create domain s.d as int", "m s.d"), "drop schema s cascade", UPDATE
    ),
    "a view": (of("create view v as select 1 as a", "m v"), "drop view v cascade", UPDATE),
    "a function": (
        of(
            "create function f(int) returns int immutable language sql as 'select 1'",
            "g int generated always as (f(id)) stored",
        ),
        "drop function f cascade",
        UPDATE,
    ),
    "the compiled function": (MOOD, "drop function audit.public_t_update cascade", UPDATE),
    "a column": (MOOD, "alter table t drop m cascade", UPDATE),
    "a column of a table that no text names": (
        MOOD,
        "do $$ begin execute 'alter table ' || chr(116) || ' drop m cascade'; end $$",
        UPDATE,
    ),
    "an attribute": (OF_TYPE, "alter type kind drop attribute y cascade", UPDATE),
    "nothing, but an attribute came": (
        OF_TYPE, "alter type kind add attribute z int cascade", "update t set z = 1"
    ),
    "nothing, but an attribute was renamed": (
        OF_TYPE, "alter type kind rename attribute y to z cascade", "update t set z = 1"
    ),
    "nothing, but an attribute was retyped": (
        OF_TYPE, "alter type kind alter attribute y type text cascade", "update t set y = 'b'"
    ),
    "nothing, but the type was renamed": (MOOD, "alter type mood rename to feeling", UPDATE),
    "nothing, but the type moved": (
        MOOD, "create schema s; alter type mood set schema s", UPDATE
    ),
    "nothing, but the schema was renamed": (
        of("create schema s; create domain s.d as int", "m s.d"),
        "alter schema s rename to z",
        UPDATE,
    ),
    "nothing, but the domain was renamed": (
        of("create domain d as int", "m d"), "alter domain d rename to e", UPDATE
    ),
    "nothing, but the extension moved": (
        EXTENSION, "create schema s; alter extension citext set schema s", UPDATE
    ),
    "nothing, but the collation was renamed": (
        of("create collation c (provider = libc, locale = 'C')", "m text collate c"),
        "alter collation c rename to d",
        UPDATE,
    ),
    "nothing, but the table was renamed as an index": (
        MOOD, "alter index t rename to u", "update u set x = x + 1"
    ),
}  # fmt: skip


@pytest.fixture
def database(engine_database: str) -> str:
    """Nothing is tracked but what a test tracks."""
    return engine_database


def unfollowed(conn: psycopg.Connection) -> None:
    """Leave the database as one whose owner may create no event triggers."""
    for name in ("audit_before_ddl", "audit_after_ddl", "audit_after_drop"):
        conn.execute(f"drop event trigger {name}".encode())
    conn.execute("select audit.refresh()")


def errors(conn: psycopg.Connection) -> list[tuple[str, str]]:
    return [
        (found.finding, found.object)
        for found in auditdb.check(conn)
        if found.severity == "error" and found.finding != "event_trigger_missing"
    ]


@pytest.mark.parametrize("case", LOST)
def test_what_goes_or_changes_is_followed_in_its_command(connect: Connect, case: str) -> None:
    conn, other = connect(autocommit=True), connect(autocommit=True)
    before, change, update = LOST[case]
    conn.execute(before.encode())
    other.execute(UPDATE.encode())
    conn.execute(change.encode())
    for session in (conn, other):
        with recorded(session) as log, session.transaction(force_rollback=True):
            session.execute(update.encode())
            assert (
                value(session, "select action from audit.log order by id desc limit 1")
                == "t_updated"
            )
        assert log == []
    assert errors(conn) == []


@pytest.mark.parametrize("case", LOST)
def test_where_nothing_follows_it_fails_closed(connect: Connect, case: str) -> None:
    if case == "the compiled function":
        pytest.skip("who may drop that owns the log")
    conn, other = connect(autocommit=True), connect(autocommit=True)
    before, change, update = LOST[case]
    conn.execute(before.encode())
    unfollowed(conn)
    other.execute(UPDATE.encode())
    conn.execute(change.encode())
    for session in (conn, other):
        try:
            with recorded(session) as log:
                session.execute(update.encode())
            assert [row.action for row in log] == ["t_updated"]
        except psycopg.Error as error:
            assert error.sqlstate == "UA003"  # noqa: PT017 (either is right)
        if "set x" not in update:
            break
    conn.execute("select audit.refresh()")
    with recorded(conn) as log:
        conn.execute("insert into t (id) values (7)" if "set x" not in update else update.encode())
    assert len(log) == 1


PLAIN = "create table t (id int primary key, x int);" + TRACKED
HIERARCHIES = {
    "a parent": ("create table p (id int); " + PLAIN, "alter table t inherit p"),
    "a child": (PLAIN, "create table c (y int) inherits (t)"),
    "a table that becomes a child": (
        "create table c (id int not null, x int); " + PLAIN, "alter table c inherit t"
    ),
    "a root": (
        "create table r (id int not null, x int) partition by range (id); " + PLAIN,
        "alter table r attach partition t for values from (0) to (9)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HIERARCHIES)
def test_a_tracked_table_joins_no_hierarchy(connect: Connect, case: str) -> None:
    conn = connect(autocommit=True)
    before, change = HIERARCHIES[case]
    conn.execute(before.encode())
    with pytest.raises(psycopg.Error, match=r"public\.t is tracked") as refused:
        conn.execute(change.encode())
    assert refused.value.sqlstate == "UA001"
    assert "audit.untrack('public.t')" in str(refused.value.diag.message_hint)
    conn.execute("select audit.untrack('t')")
    conn.execute(change.encode())


@pytest.mark.parametrize("case", HIERARCHIES)
def test_where_nothing_follows_postgresql_refuses_or_writes_fail(
    connect: Connect, case: str
) -> None:
    conn = connect(autocommit=True)
    before, change = HIERARCHIES[case]
    conn.execute(before.encode())
    unfollowed(conn)
    conn.execute(UPDATE.encode())
    if "child" not in case:
        with pytest.raises(psycopg.Error, match="_audit_alone"):
            conn.execute(change.encode())
        with recorded(conn) as log:
            conn.execute("delete from t")
        assert [row.action for row in log] == ["t_deleted"]
        assert errors(conn) == []
        return
    conn.execute(change.encode())
    for write in (UPDATE, "insert into t values (5, 5)", "delete from t"):
        with pytest.raises(psycopg.Error) as failed:
            conn.execute(write.encode())
        assert failed.value.sqlstate == "UA003"
    assert errors(conn) == [("declaration_broken", "public.t")]


@pytest.mark.parametrize(
    ("write", "rows"),
    [
        ("insert into r values (2)", 1),
        ("update r set id = id + 1", 2),
        ("update r set id = 15", 2),
        ("delete from r", 1),
        ("insert into r1 values (2)", 1),
    ],
)
def test_a_column_of_partitions_that_is_gone_is_told_by_the_guard(
    connect: Connect, write: str, rows: int
) -> None:
    """Where nothing follows DDL: not by PL/pgSQL, which names a field that there is not."""
    conn = connect(autocommit=True)
    conn.execute(
        "create table r (id int primary key, x int) partition by range (id);"
        "create table r1 partition of r for values from (0) to (9);"
        "create table r2 partition of r for values from (9) to (19);"
        "insert into r values (1, 1)"
    )
    unfollowed(conn)
    conn.execute("select audit.track('r')")
    conn.execute("alter table r drop column x")
    with pytest.raises(psycopg.Error) as failed:
        conn.execute(write.encode())
    assert failed.value.sqlstate == "UA003"
    assert failed.value.diag.message_hint == "Run: select audit.refresh('public.r');"
    conn.execute("select audit.refresh('r')")
    with recorded(conn) as log:
        conn.execute(write.encode())
    assert len(log) == rows


def test_one_broken_declaration_keeps_no_other_from_being_refreshed(connect: Connect) -> None:
    conn = connect(autocommit=True)
    conn.execute(PLAIN.encode())
    conn.execute("create table u (id int primary key, x int); select audit.track('u')")
    unfollowed(conn)
    conn.execute("create table c () inherits (t); alter table u add y int")
    warnings: list[tuple[str, str]] = []
    conn.add_notice_handler(
        lambda told: warnings.append((str(told.message_primary), str(told.message_hint)))
    )
    assert conn.execute("select audit.refresh()").fetchall() == [("public.u",)]
    ((message, hint),) = warnings
    assert message.startswith("not refreshed: cannot track public.t: it inherits")
    assert "audit.untrack('public.t')" in hint
    with recorded(conn) as log:
        conn.execute("insert into u values (1, 1, 1)")
    assert [row.changes for row in log] == [{"id": {"new": 1}, "x": {"new": 1}, "y": {"new": 1}}]
    with pytest.raises(psycopg.Error, match="cannot track") as refused:
        conn.execute("select audit.refresh('t')")
    assert refused.value.sqlstate == "UA001"


def test_a_root_of_tracked_partitions_is_refused_by_name(connect: Connect) -> None:
    """As where it was attached before anything looked after that."""
    conn = connect(autocommit=True)
    conn.execute(PLAIN.encode())
    conn.execute("create table r (id int, x int, primary key (id)) partition by range (id)")
    conn.execute("alter event trigger audit_after_ddl disable")
    conn.execute("alter table r attach partition t for values from (0) to (9)")
    conn.execute("alter event trigger audit_after_ddl enable always")
    with pytest.raises(psycopg.Error, match="tracked by itself") as refused:
        conn.execute("select audit.track('r')")
    assert refused.value.sqlstate == "UA001"
    conn.execute("select audit.untrack('t')")
    conn.execute("select audit.track('r')")
    with recorded(conn) as log:
        conn.execute("insert into r values (2, 2)")
    assert [row.action for row in log] == ["r_created"]


def test_partitions_that_join_and_leave_are_in_the_log(connect: Connect) -> None:
    conn = connect(autocommit=True)
    notices: list[str] = []
    conn.add_notice_handler(lambda told: notices.append(str(told.message_primary)))
    conn.execute(
        "create table r (id int primary key) partition by range (id);"
        "create table \"R 1\" partition of r for values from (0) to (9); select audit.track('r');"
        "create table r2 (id int not null); insert into r2 values (11)"
    )
    with recorded(conn) as log:
        conn.execute("alter table r attach partition r2 for values from (10) to (20)")
        conn.execute("create table r3 partition of r for values from (20) to (30)")
        conn.execute('alter table r detach partition "R 1"')
        conn.execute('insert into "R 1" values (1); truncate "R 1"')
        conn.execute('alter table r attach partition "R 1" for values from (0) to (9)')
        conn.execute("delete from r")
    joined = {"partitions": {"new": ["public.r2"]}, "partitions_with_rows": {"new": ["public.r2"]}}
    assert [(row.item, row.changes) for row in log] == [
        ("table:public.r", joined),
        ("table:public.r", {"partitions": {"new": ["public.r3"]}}),
        ("table:public.r", {"partitions": {"old": ['public."R 1"']}}),
        ("table:public.r", {"partitions": {"new": ['public."R 1"']}}),
        ("r:11", {"id": {"old": 11}}),
    ]
    assert [told for told in notices if "public.r2" in told] == [
        "rows of public.r2 are rows of public.r from now on, and no action in the log tells of them"
    ]
    assert errors(conn) == []


@pytest.mark.parametrize(
    "declared",
    [
        """actions => '[{"action": "a", "on": "update", "when": "new.v > 0"}]'""",
        """actions => '[{"action": "a", "on": ["insert", "delete"], "when": "v > 0"}]'""",
        "item_id => 'v'",
        "item_label => 'coalesce(v, 0)'",
        "account => 'v'",
        "accounts => 'select a from unnest(array[new.v]) as a'",
        "parent_type => 'a', parent_id => 'v'",
        "parent_type => 'a', parent_id => 'x', part => 'v', part_name => 'v'",
    ],
)
def test_a_virtual_column_is_refused_by_its_name(
    connection: psycopg.Connection, declared: str
) -> None:
    if connection.info.server_version < 180000:
        pytest.skip("generated columns are stored")
    connection.execute(
        "create table public.t (id int primary key, x int,"
        " v int generated always as (x * 2) virtual)"
    )
    with pytest.raises(psycopg.Error, match=r"v is generated and virtual") as refused:
        connection.execute(f"select audit.track('public.t', {declared})".encode())
    assert refused.value.sqlstate == "UA005"


DISABLE = "alter table t disable trigger user"
FORGED = (
    f"{DISABLE} /* function audit.install_compiled( */",
    f"{DISABLE} /*\nPL/pgSQL function audit.remove_declaration(audit.tracked) line 3 */",
)


@pytest.mark.parametrize("forged", FORGED)
def test_no_text_hides_that_triggers_were_disabled(connect: Connect, forged: str) -> None:
    conn = connect(autocommit=True)
    conn.execute(PLAIN.encode())
    with recorded(conn) as log:
        conn.execute(f"do $do$ begin execute $${forged}$$; end $do$".encode())
        conn.execute("update t set x = 5")
        conn.execute("alter table t enable trigger user")
    assert [(row.item, row.changes) for row in log if row.changes] == [
        ("table:public.t", {"triggers": {"new": "disabled"}})
    ]


def test_a_disabled_partition_is_in_the_log(connect: Connect) -> None:
    conn = connect(autocommit=True)
    conn.execute(
        "create table t (id int primary key, x int) partition by range (id);"
        "create table t1 partition of t for values from (0) to (9); select audit.track('t')"
    )
    with recorded(conn) as log:
        conn.execute("alter table t1 disable trigger user")
    assert [row.changes for row in log] == [{"triggers": {"new": "disabled"}}]


STRANGERS = (
    "alter table x drop column b /* t */",
    "alter table x drop column b, add z text default 'alter table t drop column x'",
    (
        "do $$ begin begin execute 'alter table t drop column x'; exception when others then null;"
        " end; alter table x drop column b; end $$"
    ),
    "alter table t drop column x",
)


@pytest.mark.parametrize("statement", STRANGERS)
def test_a_stranger_s_statement_locks_nothing(
    connect: Connect, create_role: CreateRole, statement: str
) -> None:
    conn = connect(autocommit=True)
    conn.execute(PLAIN.encode())
    trigger = value(conn, "select oid from pg_trigger where tgname = '_audit_update'")
    stranger = connect(user=create_role())
    stranger.execute("create temp table x (a int, b int)")
    stranger.execute("savepoint before")
    try:
        stranger.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        stranger.execute("rollback to before")
    with recorded(conn) as log:
        conn.execute("set lock_timeout = '2s'; update t set x = 9")
    assert len(log) == 1
    stranger.commit()
    assert value(conn, "select oid from pg_trigger where tgname = '_audit_update'") == trigger


def test_only_the_altered_table_is_locked(connect: Connect) -> None:
    """Not one that has its name as a part, is named beside it, or in a comment."""
    conn, writer = connect(autocommit=True), connect()
    conn.execute(PLAIN.encode())
    conn.execute("create table t_note (id int primary key, c int); select audit.track('t_note')")
    writer.execute(UPDATE.encode())
    conn.execute("set lock_timeout = '2s'")
    conn.execute("alter table t_note drop column c /* t */, add t int")
    writer.commit()
    assert errors(conn) == []


def test_a_table_is_narrow_again_whoever_widened_it(connect: Connect) -> None:
    conn = connect(autocommit=True)
    conn.execute(PLAIN.encode())
    narrow = (
        "select cardinality(tgattr::int2[]) from pg_trigger"
        " where tgname = '_audit_update' and tgrelid = 't'::regclass"
    )
    for statement in (
        "alter table t alter x type bigint",
        "do $$ begin alter table t alter x type int; end $$",
        "do $$ begin alter table t drop nothing; exception when others then null; end $$",
        "begin; alter table t alter x type bigint; rollback",
        "alter table if exists only public . t add type int; alter table t drop type",
    ):
        conn.execute(statement.encode())
        assert value(conn, narrow) == 2, statement
    assert errors(conn) == []
