"""Readers see one account: in the log, its views and partitions, dumps, errors and plans."""

import json
from typing import LiteralString

import psycopg
import pytest
from psycopg import conninfo, sql

from auditdb import migrate
from tests.conftest import Connect, CreateRole
from tests.helpers import value
from tests.servers import Server

CANARY = "canary-of-account-2"
ROLES = ("audit_reader", "audit_exporter", "audit_maintainer")


@pytest.fixture
def owner(connect: Connect) -> psycopg.Connection:
    """The owner's session on a log with rows of two accounts and of none, in three partitions."""
    conn = connect(autocommit=True)
    for account, label in (("1", "of account 1"), ("2", CANARY), ("", "of no account")):
        for moment in ("1999-01-01", "now", "2999-01-01"):
            conn.execute(
                "insert into audit.log (occurred_at, account_id, action, item_type, item_id,"
                " item_label, parent_type, parent_id, actor_type, actor_id, db_role, changes)"
                " values (%s, %s, 'license_created', 'license', '7', %s, 'order', '8',"
                " 'platform_user', %s, 'x', %s)",
                [moment, account, label, label, json.dumps({"note": {"new": label}})],
            )
    return conn


@pytest.fixture
def reader(
    owner: psycopg.Connection, connect: Connect, create_role: CreateRole
) -> psycopg.Connection:
    """The session of a member of audit_reader."""
    return connect(user=member(owner, create_role, "audit_reader"), autocommit=True)


def member(owner: psycopg.Connection, create_role: CreateRole, group: str) -> str:
    name = create_role()
    owner.execute(sql.SQL("grant {} to {}").format(sql.Identifier(group), sql.Identifier(name)))
    return name


def choose(conn: psycopg.Connection, account: str) -> None:
    conn.execute("select set_config('audit.account_id', %s, false)", [account])


VIEWS = [
    "audit.log",
    "audit.events",
    "audit.changes",
    "audit.item_log('license', '7')",
    "audit.item_log('order', '8')",
    "licensing.license_log",
    "licensing.order_log",
]


@pytest.mark.parametrize("view", VIEWS)
def test_a_reader_sees_the_account_that_was_chosen(reader: psycopg.Connection, view: str) -> None:
    accounts = sql.SQL("select distinct account_id from {}").format(sql.SQL(view))
    assert reader.execute(accounts).fetchall() == [("",)]
    for account in ("1", "2"):
        choose(reader, account)
        assert reader.execute(accounts).fetchall() == [(account,)]
    choose(reader, "3")
    assert reader.execute(accounts).fetchall() == []
    with reader.transaction():
        reader.execute("select set_config('audit.account_id', '1', true)")
        assert reader.execute(accounts).fetchall() == [("1",)]
    assert reader.execute(accounts).fetchall() == []


@pytest.mark.parametrize("view", VIEWS)
def test_an_exporter_sees_every_account(
    owner: psycopg.Connection, connect: Connect, create_role: CreateRole, view: str
) -> None:
    exporter = connect(user=member(owner, create_role, "audit_exporter"))
    accounts = sql.SQL("select distinct account_id from {} order by 1").format(sql.SQL(view))
    assert exporter.execute(accounts).fetchall() == [("",), ("1",), ("2",)]


def test_others_see_nothing(
    owner: psycopg.Connection, connect: Connect, create_role: CreateRole
) -> None:
    for group in (None, "audit_maintainer"):
        name = member(owner, create_role, group) if group else create_role()
        session = connect(user=name, autocommit=True)
        for view in VIEWS:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute(sql.SQL("select * from {}").format(sql.SQL(view)))


def partitions(conn: psycopg.Connection) -> list[str]:
    found = conn.execute("select format('audit.%I', partition) from audit.partition_list()")
    return [name for (name,) in found]


def test_no_partition_is_read_by_its_own_name(
    owner: psycopg.Connection, reader: psycopg.Connection
) -> None:
    while value(owner, "select audit.maintain('40 months')"):
        continue
    for name in partitions(owner):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(sql.SQL("select * from {}").format(sql.SQL(name)))


def test_who_is_given_a_partition_sees_the_chosen_account_there(
    owner: psycopg.Connection, reader: psycopg.Connection
) -> None:
    while value(owner, "select audit.maintain('40 months')"):
        continue
    seen = 0
    choose(reader, "1")
    for name in partitions(owner):
        owner.execute(sql.SQL("grant select on {} to audit_reader").format(sql.SQL(name)))
        found = reader.execute(
            sql.SQL("select account_id from {}").format(sql.SQL(name))
        ).fetchall()
        assert set(found) <= {("1",)}
        seen += len(found)
    assert seen == 3


@pytest.mark.parametrize("options", [["--table=audit.log*"], ["--schema=audit"], []])
def test_a_dump_by_a_reader_is_refused(
    server: Server, reader: psycopg.Connection, options: list[str]
) -> None:
    url = server.url(reader.info.dbname, reader.info.user)
    dump = server.run("pg_dump", "--data-only", "-d", url, *options, check=False)
    assert dump.returncode != 0
    assert CANARY not in dump.stdout + dump.stderr


def test_a_dump_of_partitions_that_were_granted_is_refused_too(
    server: Server, owner: psycopg.Connection, reader: psycopg.Connection
) -> None:
    owner.execute("grant select on all tables in schema audit to audit_reader")
    try:
        url = server.url(reader.info.dbname, reader.info.user)
        dump = server.run("pg_dump", "--data-only", "-d", url, "--table=audit.log_2*", check=False)
    finally:
        owner.execute("revoke select on all tables in schema audit from audit_reader")
    assert dump.returncode != 0
    assert "row-level security" in dump.stderr
    assert CANARY not in dump.stdout + dump.stderr


PROBES: list[LiteralString] = [
    "select item_label::int from audit.events",
    "select * from audit.events where item_label::int = 1",
    "select * from audit.events where 1 / (account_id = '1')::int = 1",
    "select (changes #>> '{note,new}')::int from audit.log",
    "select * from audit.changes where new_value::int > 0",
    "select * from audit.item_log('license', '7') where item_label::date is null",
    "select pg_temp.shout(item_label) from audit.log",
    "select * from audit.log where pg_temp.shout(item_label)",
    "explain (analyze, verbose) select * from audit.events where item_label like 'canary%'",
    "explain (analyze, verbose) select * from audit.log where pg_temp.shout(actor_id)",
]


@pytest.mark.parametrize("probe", PROBES)
def test_neither_an_error_nor_a_plan_nor_a_function_tells_of_another_account(
    owner: psycopg.Connection, reader: psycopg.Connection, probe: LiteralString
) -> None:
    owner.execute("analyze audit.log")
    choose(reader, "1")
    said: list[str] = []
    reader.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
    reader.execute(
        "create function pg_temp.shout(t text) returns boolean language plpgsql cost 0.0001"
        " as $$ begin raise notice '%', t; return true; end $$"
    )
    try:
        rows = reader.execute(probe).fetchall()
        said.append(repr(rows))
    except psycopg.Error as error:
        said += [str(error), str(error.diag.message_detail), str(error.diag.context)]
    assert said
    assert CANARY not in " ".join(said)


def test_statistics_tell_nothing(owner: psycopg.Connection, reader: psycopg.Connection) -> None:
    owner.execute("analyze")
    seen = reader.execute(
        "select tablename, attname, most_common_vals::text, histogram_bounds::text from pg_stats"
        " where schemaname = 'audit' and starts_with(tablename, 'log')"
    ).fetchall()
    assert seen == []
    assert value(owner, "select count(*) > 0 from pg_stats where schemaname = 'audit'") is True


def test_the_index_of_the_account_is_used_under_row_security(
    owner: psycopg.Connection, reader: psycopg.Connection
) -> None:
    owner.execute(
        "insert into audit.log (account_id, action, item_type, item_id, actor_type, actor_id,"
        " db_role) select (n % 100)::text, 'a', 't', n::text, 'database', 'x', 'x'"
        " from generate_series(1, 5000) as n"
    )
    owner.execute("analyze audit.log")
    choose(reader, "1")
    plan = "\n".join(
        row[0]
        for row in reader.execute(
            "explain select * from audit.events where item_type = 't' and item_id = '101'"
            " and occurred_at >= date_trunc('month', now()) order by occurred_at desc, id desc"
        )
    )
    of_log = [line for line in plan.splitlines() if "Index Cond" in line and "item_id" in line]
    assert of_log
    assert all("account_id = COALESCE(current_setting" in line for line in of_log)


def test_a_writer_needs_no_right_on_the_log_and_row_security_does_not_stop_it(
    owner: psycopg.Connection, connect: Connect, create_role: CreateRole
) -> None:
    owner.execute("create table public.thing (id int primary key, account text)")
    owner.execute("select audit.track('public.thing', account => 'account')")
    name = create_role()
    owner.execute(sql.SQL("grant insert on public.thing to {}").format(sql.Identifier(name)))
    writer = connect(user=name, autocommit=True)
    choose(writer, "1")
    writer.execute("insert into public.thing values (1, '2')")
    row = "select account_id, item_id from audit.log where item_type = 'thing'"
    assert owner.execute(row).fetchall() == [("2", "1")]


def test_where_no_role_may_be_created_the_dba_is_told_what_to_run(
    server: Server, empty_database: str, create_role: CreateRole
) -> None:
    for role in ROLES:
        server.execute("alter role {} rename to {}", role, f"{role}_away")
    try:
        installer = create_role("login")
        name = str(conninfo.conninfo_to_dict(empty_database)["dbname"])
        server.execute("alter database {} owner to {}", name, installer)
        migrate.upgrade(server.url(name, installer), "audit@head")
        with psycopg.connect(server.url(name, installer), autocommit=True) as conn:
            told = [line for (line,) in conn.execute("select audit.grant_rights()")]
            assert told == [
                "create role audit_reader nologin;",
                "create role audit_exporter nologin;",
                "create role audit_maintainer nologin;",
                "select audit.grant_rights();",
            ]
            for line in told[:3]:
                server.execute(line)
            assert conn.execute("select audit.grant_rights()").fetchall() == []
            rights = value(
                conn, "select has_table_privilege('audit_reader', 'audit.log', 'select')"
            )
            policies = value(
                conn,
                "select count(*) from pg_policy where polname = 'exporter_policy'"
                " and polrelid = 'audit.log'::regclass",
            )
            assert (rights, policies) == (True, 1)
            conn.execute("drop schema audit cascade")
    finally:
        for role in ROLES:
            server.execute("drop role if exists {}", role)
            server.execute("alter role {} rename to {}", f"{role}_away", role)
