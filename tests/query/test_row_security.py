"""Readers see one account: in the log, its views and partitions, dumps, errors and plans."""

import json
import re
from typing import LiteralString

import psycopg
import pytest
from psycopg import conninfo, sql

from auditdb._upkeep import migrate
from tests.conftest import Connect, CreateRole
from tests.docs.test_docs import REFERENCE
from tests.support.commands import auditdb as run
from tests.support.commands import lines
from tests.support.helpers import value
from tests.support.servers import Server

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
    "audit.log tablesample system (100)",
    "audit.tree_log('license', '7')",
    "licensing.license_log",
    "licensing.order_log",
]


def test_a_reader_sees_the_account_that_was_chosen(reader: psycopg.Connection) -> None:
    for view in VIEWS:
        choose(reader, "")
        accounts = sql.SQL("select distinct account_id from {}").format(sql.SQL(view))
        assert reader.execute(accounts).fetchall() == [("",)]
        for account in ("1", "2"):
            choose(reader, account)
            assert reader.execute(accounts).fetchall() == [(account,)], view
        choose(reader, "3")
        assert reader.execute(accounts).fetchall() == []
        with reader.transaction():
            reader.execute("select set_config('audit.account_id', '1', true)")
            assert reader.execute(accounts).fetchall() == [("1",)]
        assert reader.execute(accounts).fetchall() == []


def test_a_reader_who_chose_no_account_sees_the_rows_of_none(reader: psycopg.Connection) -> None:
    for view in VIEWS:
        accounts = sql.SQL("select distinct account_id from {}").format(sql.SQL(view))
        assert reader.execute(accounts).fetchall() == [("",)], view


def test_an_exporter_sees_every_account(
    owner: psycopg.Connection, connect: Connect, create_role: CreateRole
) -> None:
    exporter = connect(user=member(owner, create_role, "audit_exporter"))
    for view in VIEWS:
        accounts = sql.SQL("select distinct account_id from {} order by 1").format(sql.SQL(view))
        assert exporter.execute(accounts).fetchall() == [("",), ("1",), ("2",)], view


def test_others_see_nothing(
    owner: psycopg.Connection, connect: Connect, create_role: CreateRole
) -> None:
    for group in (None, "audit_maintainer"):
        name = member(owner, create_role, group) if group else create_role()
        session = connect(user=name, autocommit=True)
        for view in VIEWS:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="denied"):
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


def test_a_partition_that_was_detached_shows_the_chosen_account_too(
    owner: psycopg.Connection, reader: psycopg.Connection
) -> None:
    owner.execute("alter table audit.log detach partition audit.log_past")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("select * from audit.log_past")
    owner.execute("grant select on audit.log_past to audit_reader")
    choose(reader, "1")
    assert reader.execute("select account_id from audit.log_past").fetchall() == [("1",)]


def test_copy_gives_the_chosen_account(
    owner: psycopg.Connection, reader: psycopg.Connection
) -> None:
    owner.execute("grant select on audit.log_past to audit_reader")
    choose(reader, "1")
    for source in ("(select item_label from audit.events)", "audit.log_past (item_label)"):
        with reader.cursor().copy(sql.SQL("copy {} to stdout").format(sql.SQL(source))) as copy:
            assert set(copy.rows()) == {("of account 1",)}


def test_a_statement_that_is_kept_follows_the_setting(reader: psycopg.Connection) -> None:
    """Also with a plan made for one account, under which another is chosen."""
    for mode in ("force_generic_plan", "force_custom_plan"):
        reader.execute(sql.SQL("set plan_cache_mode = {}").format(mode))
        reader.execute(
            "prepare labels as select distinct account_id from audit.events"
            " where item_type = 'license' and item_id = '7'"
        )
        for account in ("1", "2", "1", ""):
            choose(reader, account)
            assert reader.execute("execute labels").fetchall() == [(account,)]
        reader.execute("deallocate labels")


def test_another_role_or_the_switch_of_row_security_shows_no_more(
    owner: psycopg.Connection, reader: psycopg.Connection
) -> None:
    choose(reader, "1")
    reader.execute("set role audit_reader")
    assert reader.execute("select distinct account_id from audit.log").fetchall() == [("1",)]
    reader.execute("reset role")
    for role in ("audit_exporter", "audit_maintainer", owner.info.user):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(sql.SQL("set role {}").format(sql.Identifier(role)))
    reader.execute("set row_security = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        reader.execute("select count(*) from audit.log")


def test_no_reader_can_make_a_function_that_is_trusted(reader: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute(
            "create function pg_temp.f(t text) returns boolean language sql leakproof"
            " as 'select true'"
        )


def test_a_role_that_is_bound_to_one_account_sees_no_other_whatever_it_sets(
    owner: psycopg.Connection, reader: psycopg.Connection
) -> None:
    """The policy that docs/reference.md recommends, with partitions that come after it."""
    bound = re.search(r"`(create policy only_1 [^`]+)`", REFERENCE.read_text("utf-8"))
    assert bound
    owner.execute(bound[1].replace("tenant_1", reader.info.user).encode())
    owner.execute("select audit.grant_rights()")
    while value(owner, "select audit.maintain('40 months')"):
        continue
    for name in ("audit.log", *partitions(owner)):
        owner.execute(sql.SQL("grant select on {} to audit_reader").format(sql.SQL(name)))
    for account, seen in (("1", {("1",)}), ("2", set()), ("", set())):
        choose(reader, account)
        for name in ("audit.log", "audit.events", *partitions(owner)):
            query = sql.SQL("select distinct account_id from {}").format(sql.SQL(name))
            assert set(reader.execute(query).fetchall()) <= seen
    choose(reader, "1")
    assert value(reader, "select count(*) from audit.log") == 3


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
    "select * from audit.log where item_label operator(pg_temp.===) 'x'",
    "select * from audit.tree_log('license', '7') where pg_temp.shout(item_label)",
    "select * from audit.log order by pg_temp.shout(item_label)",
    "select * from audit.log where exists (select where pg_temp.shout(item_label))",
    "select * from licensing.license_log where pg_temp.shout(changes::text)",
    (
        "merge into pg_temp.taken using audit.log as l on pg_temp.shout(l.item_label)"
        " when not matched then insert values (l.item_label)"
    ),
    "insert into pg_temp.taken select item_label from audit.log where pg_temp.shout(item_label)",
    "insert into audit.log select * from audit.log returning item_label",
    "select * from audit.log where pg_temp.shout(item_label) for update",
]


def test_neither_an_error_nor_a_plan_nor_a_function_tells_of_another_account(
    owner: psycopg.Connection, reader: psycopg.Connection
) -> None:
    owner.execute("analyze audit.log")
    choose(reader, "1")
    said: list[str] = []
    reader.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
    reader.execute(
        "create function pg_temp.shout(t text) returns boolean language plpgsql cost 0.0001"
        " as $$ begin raise notice '%', t; return true; end $$;"
        "create function pg_temp.shout(t text, u text) returns boolean language sql cost 0.0001"
        " as 'select pg_temp.shout(t)';"
        "create operator pg_temp.=== (leftarg = text, rightarg = text, function = pg_temp.shout);"
        "create temp table taken (label text)"
    )
    for probe in PROBES:
        said.clear()
        try:
            answer = reader.execute(probe)
            said.append(repr(answer.fetchall() if answer.description else answer.rowcount))
            said.append(repr(reader.execute("select * from pg_temp.taken").fetchall()))
        except psycopg.Error as error:
            said += [str(error), str(error.diag.message_detail), str(error.diag.context)]
        assert said
        assert CANARY not in " ".join(said), probe
    choose(reader, "2")
    reader.execute("select pg_temp.shout(item_label) from audit.log")
    assert CANARY in said


def test_statistics_tell_nothing(owner: psycopg.Connection, reader: psycopg.Connection) -> None:
    owner.execute("analyze")
    seen = reader.execute(
        "select tablename, attname, most_common_vals::text, histogram_bounds::text from pg_stats"
        " where schemaname = 'audit' and starts_with(tablename, 'log')"
    ).fetchall()
    assert seen == []
    assert value(owner, "select count(*) > 0 from pg_stats where schemaname = 'audit'") is True


GUESSES = [
    ("account_id = '{}'", "2", "none"),
    ("account_id < '{}'", "2", "0"),
    ("item_label = '{}'", CANARY, "none"),
    ("item_label < '{}'", CANARY + "z", "a"),
    ("item_id = '{}'", "7", "none"),
    ("item_type = 'license' and item_id = '{}'", "7", "none"),
    ("parent_id = '{}'", "8", "none"),
    ("actor_id = '{}'", CANARY, "none"),
    ("actor_id > '{}'", "b", "z"),
    ("actor_label = '{}'", CANARY, "none"),
    ("""changes = '{{"a": "{}"}}'""", CANARY, "none"),
    ("""context = '{{"a": "{}"}}'""", CANARY, "none"),
]


def test_what_the_planner_expects_does_not_tell_a_right_guess_from_a_wrong_one(
    owner: psycopg.Connection, reader: psycopg.Connection
) -> None:
    owner.execute(
        "insert into audit.log (account_id, action, item_type, item_id, item_label, parent_type,"
        " parent_id, actor_type, actor_id, actor_label, db_role, changes, context)"
        " select '2', 'a', 'license', '7', %(c)s, 'order', '8', 'platform_user', %(c)s, %(c)s, 'x',"
        " jsonb_build_object('a', %(c)s::text), jsonb_build_object('a', %(c)s::text)"
        " from generate_series(1, 1000)",
        {"c": CANARY},
    )
    owner.execute("analyze audit.log")
    choose(reader, "1")
    for condition, right, wrong in GUESSES:
        plans = []
        for guess in (right, wrong):
            query = f"explain select * from audit.log where {condition.format(guess)}"
            plan = "\n".join(row[0] for row in reader.execute(query.encode()))
            plans.append(re.findall(r"cost=\S+ rows=\d+", plan))
        assert plans[0]
        assert plans[0] == plans[1], condition


def test_views_and_functions_of_readers_have_no_rights_of_their_own(
    owner: psycopg.Connection,
) -> None:
    functions = owner.execute(
        "select p.oid::regprocedure::text from pg_proc as p"
        " where p.pronamespace in ('audit'::regnamespace, 'licensing'::regnamespace)"
        "   and p.prosecdef and (has_function_privilege('public', p.oid, 'execute')"
        "     or has_function_privilege('audit_reader', p.oid, 'execute'))"
    ).fetchall()
    assert functions == []
    views = owner.execute(
        "select c.oid::regclass::text from pg_class as c where c.relkind in ('v', 'm')"
        " and c.relnamespace in ('audit'::regnamespace, 'licensing'::regnamespace)"
        " and not coalesce('security_invoker=true' = any (c.reloptions), false)"
    ).fetchall()
    assert views == []


def test_what_else_a_reader_may_read_is_of_no_account(
    owner: psycopg.Connection, reader: psycopg.Connection
) -> None:
    """The catalogue and the declarations: what is recorded, never what was."""
    relations = owner.execute(
        "select c.oid::regclass::text from pg_class as c"
        " where c.relnamespace = 'audit'::regnamespace and c.relkind in ('r', 'p', 'v', 'S')"
        "   and case when c.relkind = 'S'"
        "     then has_sequence_privilege('audit_reader', c.oid, 'select')"
        "     else has_table_privilege('audit_reader', c.oid, 'select') end"
    ).fetchall()
    names = {name for (name,) in relations}
    assert names == {
        "audit.log",
        "audit.events",
        "audit.changes",
        "audit.action",
        "audit.actions",
        "audit.tracked",
        "audit.layout",
        "audit.era",
        "audit.presence",
        "audit.belonging",
        "audit.closed_partition",
        "audit.alembic_version",
    }
    owner.execute(
        "select audit.close_partition(l.partition) from audit.partition_list() as l"
        " where now() >= l.lower_bound and now() < l.upper_bound"
    )
    owner.commit()
    choose(reader, "1")
    for name in names:
        rows = reader.execute(sql.SQL("select * from {}").format(sql.SQL(name))).fetchall()
        assert rows
        assert CANARY not in repr(rows)


def test_the_command_shows_a_reader_the_account_that_is_asked_for(
    server: Server, reader: psycopg.Connection
) -> None:
    url = server.url(reader.info.dbname, reader.info.user)
    for account, labels in (("1", {"of account 1"}), ("3", set[str]())):
        ran = run("log", "--account", account, "--url", url)
        assert ran.returncode == 0
        assert {row["item_label"] for row in lines(ran)} == labels
        assert CANARY not in ran.stdout + ran.stderr
    ran = run("log", "--url", url)
    assert {row["account_id"] for row in lines(ran)} == {""}
    assert "without --account" in ran.stderr


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
