"""What belongs to what: from summaries of closed partitions the same as from all rows."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql

from auditdb._upkeep import maintenance
from tests.conftest import Connect, CreateRole
from tests.support.helpers import value
from tests.support.partitions import rebuild

NOW = datetime.now(UTC)
MONTHS = 12
ACCOUNTS = ("", "1", "2", "3")

# Clients have projects, and may be referred by a client; projects have tasks, tasks have tasks.
# Notes say by a declared parent what they belong to; a label says nothing that it is in.
TABLES = """
create schema app;
create table app.client (id int primary key, account int, referrer int references app.client);
create table app.project (id int primary key, account int, name text,
  client_id int references app.client, sponsor uuid);
create table app.sponsor (id uuid primary key, name text);
create table app.task (id text primary key, parent text references app.task, project_id int,
  secret_id int references app.client, due timestamptz,
  constraint project foreign key (project_id) references app.project);
create table app.note (id int primary key, task_id text, body text);
select audit.track('app.client', item_type => 'client', account => 'account');
select audit.track('app.project', item_type => 'project', account => 'account');
select audit.track('app.sponsor', item_type => 'sponsor');
select audit.track('app.task', item_type => 'task', secret => '{secret_id}');
select audit.track('app.note', item_type => 'note', parent_type => 'task', parent_id => 'task_id');
"""

# Each statement is a transaction; they name rows by numbers below the given ones.
STATEMENTS = """
update app.project set client_id = 1 + mod(id + {n}, {clients}) where mod(id, 5) = mod({n}, 5);
update app.task set project_id = 1 + mod(project_id + {n}, {projects})
  where mod(project_id, 4) = mod({n}, 4);
update app.task set parent = null where parent is not null and mod(project_id, 3) = mod({n}, 3);
update app.client set referrer = 1 where id = 2 + mod({n}, {clients} - 1);
update app.note set task_id = 't' || 1 + mod({n}, {tasks}) where mod(id, 6) = mod({n}, 6);
update app.note set body = 'x{n}' where mod(id, 3) = mod({n}, 3);
delete from app.note where id = {n};
delete from app.task where id = 't{n}'
  and id not in (select parent from app.task where parent is not null)
"""

# What audit.tree_log() is to give, said as plainly as can be.
PLAIN = """
with recursive declared as materialized (
  select distinct k.item_type, a.attname::text as column_name, p.item_type as parent_type
  from audit.tracked as k
  join pg_constraint as c
    on c.conrelid = k.target and c.contype = 'f' and cardinality(c.conkey) = 1
  join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
  join audit.tracked as p on p.target = c.confrelid and p.part is null
  where k.part is null
), link as materialized (
  select l.item_type, l.item_id, l.parent_type, l.parent_id
  from audit.log as l
  where l.parent_id is not null and (%(account)s::text is null or l.account_id = %(account)s)
  union
  select l.item_type, l.item_id, d.parent_type, v.id
  from audit.events as l
  join declared as d on d.item_type = l.item_type and l.changes ? d.column_name
  cross join lateral (values
    (l.changes -> d.column_name ->> 'old'), (l.changes -> d.column_name ->> 'new')) as v (id)
  where v.id is not null and (%(account)s::text is null or l.account_id = %(account)s)
), tree as (
  select %(type)s::text collate "C" as item_type, %(id)s::text collate "C" as item_id
  union
  select k.item_type, k.item_id
  from tree as t
  join link as k on k.parent_type = t.item_type and k.parent_id = t.item_id
)
select e.*
from tree as t
join audit.events as e on e.item_type = t.item_type and e.item_id = t.item_id
where %(account)s::text is null or e.account_id = %(account)s
order by e.occurred_at desc, e.id desc, e.tx
"""
TREE = (
    "select * from audit.tree_log(%(type)s, %(id)s, %(account)s)"
    " order by occurred_at desc, id desc, tx"
)


def at(rng: random.Random) -> datetime:
    """Return a time of the months that the log has partitions of, before them, or of today."""
    if rng.random() < 0.05:
        return NOW - timedelta(days=3650)
    return NOW - timedelta(days=rng.uniform(0, MONTHS * 30))


def history(conn: psycopg.Connection, rng: random.Random) -> None:
    """Give the log a year of rows as triggers write them, and as they were kept before records."""
    conn.execute(TABLES)
    given = {"clients": 8, "projects": 15, "tasks": 30}
    statements = [
        *(f"insert into app.client values ({n}, {n % 3}, null)" for n in range(1, 9)),
        "insert into app.sponsor select gen_random_uuid(), 's' from generate_series(1, 3)",
        *(
            f"insert into app.project select {n}, {n % 3}, 'a, \"b\" ({n})', {1 + n % 8},"
            f" (select id from app.sponsor order by id offset {n % 3} limit 1)"
            for n in range(1, 16)
        ),
        *(
            f"insert into app.task select 't{n}', case when {n} > 6 then 't{n // 3}' end,"
            f" {1 + n % 15}, {1 + n % 8}"
            for n in range(1, 31)
        ),
        *(f"insert into app.note values ({n}, 't{1 + n % 30}', 'x')" for n in range(1, 31)),
        *(
            rng.choice(STATEMENTS.split(";")).format(n=rng.randrange(1, 30), **given)
            for _ in range(80)
        ),
    ]
    for statement in statements:
        conn.execute(statement.encode())
    conn.execute(
        "create temporary table kept as select l.*, e.changes as shown from audit.log as l"
        " join audit.events as e using (occurred_at, id, tx) where l.item_type <> 'table'"
    )
    rebuild(conn, NOW - timedelta(days=MONTHS * 30), months=MONTHS + 24)
    scatter(conn, rng, 1.0)


def scatter(conn: psycopg.Connection, rng: random.Random, share: float) -> None:
    """Write rows of the history to the log, at any time and of any account."""
    names = "id, tx, action, item_type, item_id, parent_type, parent_id, actor_type, actor_id,"
    names += "db_role, is_deleted, layout"
    for (position,) in conn.execute("select ctid::text from kept").fetchall():
        if rng.random() > share:
            continue
        is_record = rng.random() < 0.8
        conn.execute(
            f"insert into audit.log ({names}, account_id, occurred_at, row_values, changes)"
            f" select {names}, %s, %s, case when %s then row_values end,"
            " case when %s and row_values is not null then null else shown end"
            " from kept where ctid = %s::tid".encode(),
            [rng.choice(ACCOUNTS), at(rng), is_record, is_record, position],
        )


def due(conn: psycopg.Connection) -> list[str]:
    found = conn.execute(
        "select partition from audit.partition_list() where upper_bound < now() order by 1"
    )
    return [name for (name,) in found]


def close(conn: psycopg.Connection, *names: str) -> None:
    for name in names:
        conn.execute("select audit.close_partition(%s)", [name])


def summarised(conn: psycopg.Connection) -> int:
    return int(value(conn, "select count(*) from audit.summarised_partitions()"))


def is_same(conn: psycopg.Connection, reader: psycopg.Connection | None = None) -> int:
    """Assert that every tree is what the plain query gives; return how many events there were."""
    items = conn.execute(
        "select distinct item_type, item_id from audit.log"
        " where item_type = 'client' or hashtext(item_type || item_id) % 4 = 0"
    ).fetchall()
    seen = 0
    session = reader or conn
    for kind, number in [*items, ("client", "none"), ("sponsor", "none")]:
        for account in (None, *ACCOUNTS, "9"):
            given: dict[str, Any] = {"type": kind, "id": number, "account": account}
            found = session.execute(TREE, given).fetchall()
            assert found == session.execute(PLAIN, given).fetchall(), given
            seen += len(found)
    return seen


@pytest.fixture(params=[1, 2, 3])
def rng(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(request.param)


def test_whatever_is_closed_trees_are_the_same(connect: Connect, rng: random.Random) -> None:
    conn = connect(autocommit=True)
    history(conn, rng)
    seen = is_same(conn)
    assert seen > 2000
    close(conn, *due(conn))
    assert summarised(conn) == len(due(conn)) >= MONTHS
    assert is_same(conn) == seen
    # Rows that come late open some of them again.
    scatter(conn, rng, 0.02)
    assert 0 < summarised(conn) < len(due(conn))
    assert is_same(conn) > seen
    close(conn, *rng.sample(due(conn), 5))
    is_same(conn)


def test_a_foreign_key_that_comes_later_is_known_of_closed_partitions(connect: Connect) -> None:
    conn = connect(autocommit=True)
    rng = random.Random(4)
    history(conn, rng)
    names = due(conn)
    close(conn, *names)
    sponsor = value(conn, "select min(item_id) from audit.log where item_type = 'sponsor'")
    under = "select count(distinct item_id) from audit.tree_log('sponsor', %s)"
    assert value(conn, under, sponsor) == 1
    conn.execute("alter table app.project add foreign key (sponsor) references app.sponsor")
    assert value(conn, under, sponsor) > 5
    assert summarised(conn) < len(names)
    is_same(conn)
    done = maintenance.maintain(conn)
    assert set(names) >= set(done.closed) != set()
    assert summarised(conn) == len(names)
    is_same(conn)
    assert maintenance.maintain(conn).closed == ()


def test_a_foreign_key_that_is_renamed_is_followed_where_rows_have_its_old_name(
    connect: Connect,
) -> None:
    conn = connect(autocommit=True)
    history(conn, random.Random(5))
    trees = {
        (kind, number): conn.execute(TREE, {"type": kind, "id": number, "account": None}).fetchall()
        for kind in ("client", "project")
        for number in "1234"
    }
    before = due(conn)[:6]
    close(conn, *before)
    conn.execute("alter table app.project rename client_id to customer")
    conn.execute("alter table app.task rename project_id to client_id")

    def is_followed() -> None:
        for (kind, number), tree in trees.items():
            given = {"type": kind, "id": number, "account": None}
            assert conn.execute(TREE, given).fetchall() == tree

    is_followed()
    close(conn, *due(conn))
    is_followed()


def test_what_a_detached_partition_told_is_told_no_more(connect: Connect) -> None:
    conn = connect(autocommit=True)
    history(conn, random.Random(6))
    close(conn, *due(conn))
    seen = is_same(conn)
    gone = due(conn)[3]
    conn.execute(sql.SQL("alter table audit.log detach partition audit.{}").format(sql.SQL(gone)))
    assert is_same(conn) < seen
    close(conn, due(conn)[0])
    told = "select count(*) from audit.belonging where partition = %s"
    assert value(conn, told, gone) == 0
    assert value(conn, told, due(conn)[0]) > 0


def test_readers_are_told_of_their_account_and_miss_nothing(
    connect: Connect, create_role: CreateRole
) -> None:
    conn = connect(autocommit=True)
    history(conn, random.Random(7))
    close(conn, *due(conn))
    whole = is_same(conn)
    role = create_role()
    reader = connect(user=role, autocommit=True)
    count = "select count(*) from audit.belonging"
    with granted(conn, "grant audit_exporter to {0}", "revoke audit_exporter from {0}", role):
        assert is_same(conn, reader) == whole
        assert value(reader, count) == value(conn, count) > 0
    # Plans that a session keeps have the policies of the roles that it had.
    reader = connect(user=role, autocommit=True)
    with granted(conn, "grant audit_reader to {0}", "revoke audit_reader from {0}", role):
        for account in ("1", "2"):
            reader.execute("select set_config('audit.account_id', %s, false)", [account])
            assert 0 < is_same(conn, reader) < whole
            found = reader.execute("select distinct account_id from audit.belonging").fetchall()
            assert found == [(account,)]
        bound = "create policy bound on audit.log as restrictive for select to {0}"
        bound += " using (item_type <> 'task')"
        with granted(conn, bound, "drop policy bound on audit.log", role):
            assert 0 < is_same(conn, reader) < whole
            assert value(reader, count) == 0
    reader = connect(user=role, autocommit=True)
    # Who is shown the log by a policy of his own: the summary would hide what that shows.
    conn.execute(
        sql.SQL(
            "grant select on all tables in schema audit to {0};"
            "grant execute on all functions in schema audit to {0};"
            "create policy own on audit.log for select to {0} using (true)"
        ).format(sql.Identifier(role))
    )
    assert is_same(conn, reader) == whole
    conn.execute(sql.SQL("revoke select on audit.belonging from {}").format(sql.Identifier(role)))
    assert is_same(conn, reader) == whole


@contextmanager
def granted(conn: psycopg.Connection, before: str, after: str, role: str = "") -> Iterator[None]:
    """Run a statement about a role, and at the end the one that takes it back."""
    conn.execute(before.replace("{0}", role).encode())
    yield
    conn.execute(after.replace("{0}", role).encode())
