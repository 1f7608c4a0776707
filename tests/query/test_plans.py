"""The plan trap: what a session planned for one row must serve a hundred thousand, and the reverse.

PL/pgSQL keeps the plan of the first execution. Nothing here measures time: what a good plan does in
a second, one that joins row by row does in half a minute (in the long form of the tests, an hour),
and a statement timeout ends it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.conftest import Connect
from tests.support.effort import sized
from tests.support.helpers import platform, value

pytestmark = pytest.mark.slow

MANY, TIMEOUT = sized((25_000, "20s"), (100_000, "60s"))


@pytest.fixture
def connect(connect: Connect) -> Connect:
    """A function that opens sessions whose statements end after a while."""

    def limited(**parameters: Any) -> psycopg.Connection:
        conn = connect(**parameters)
        conn.execute("select set_config('statement_timeout', %s, false)", [TIMEOUT])
        conn.commit()
        return conn

    return limited


@contextmanager
def unlogged(conn: psycopg.Connection) -> Iterator[None]:
    """Leave what is written in the block out of the log: it is not what a test is about."""
    conn.execute("set session_replication_role = replica")
    yield
    conn.execute("set session_replication_role = origin")


def count(conn: psycopg.Connection) -> dict[tuple[str, bool], int]:
    """Return how many rows of the log there are of each action, cascades apart, and forget them.

    The rows are told apart by their ids, so that the log itself stays as it is.
    """
    rows = conn.execute(
        "with mark as (select coalesce(nullif(current_setting('test.mark', true), ''), '0')::bigint"
        " as id) select action, is_cascade, count(*), max(log.id) from audit.log, mark"
        " where log.id > mark.id group by 1, 2"
    ).fetchall()
    for *_, newest in rows:
        conn.execute(
            "select set_config('test.mark', greatest(%s, coalesce(nullif("
            "current_setting('test.mark', true), ''), '0')::bigint)::text, false)",
            [newest],
        )
    return {(action, is_cascade): number for action, is_cascade, number, _ in rows}


def run(conn: psycopg.Connection, statement: str, **ids: int) -> dict[tuple[str, bool], int]:
    """Run one statement and return what it added to the log."""
    count(conn)
    conn.execute(sql.SQL(statement.format(**ids)))
    return count(conn)


LICENSES = (
    "insert into licensing.licenses (account_id, product_id, order_id, license_key, license_type)"
    " select {account}, {product}, {order}, 'K-' || n, 'perpetual'"
    " from generate_series({low}, {high}) as n"
)


@pytest.mark.parametrize("sizes", [(1, MANY), (MANY, 1)], ids=["few first", "many first"])
def test_licenses(connect: Connect, sizes: tuple[int, int]) -> None:
    conn = connect()
    p = platform(conn)
    ids = {"account": p.account, "product": p.product, "order": p.order}
    conn.commit()
    for size in (*sizes, 1):
        written = run(conn, LICENSES, low=1, high=size, **ids)
        assert written == {("license_created", False): size}
        written = run(
            conn,
            "update licensing.licenses set note = 'x', is_enabled = not is_enabled"
            " where license_key like 'K-%'",
        )
        assert written == {("license_disabled", False): size, ("license_updated", False): size}
        written = run(conn, "update licensing.licenses set note = note, times_activated = 5")
        assert written == {}
        written = run(conn, "delete from licensing.licenses where license_key like 'K-%'")
        assert written == {("license_deleted", False): size}
    conn.rollback()


@pytest.mark.parametrize("sizes", [(1, MANY), (MANY, 1)], ids=["few first", "many first"])
def test_parts_grouped_by_their_license(connect: Connect, sizes: tuple[int, int]) -> None:
    conn = connect()
    p = platform(conn)
    ids = {"account": p.account, "product": p.product, "order": p.order}
    features = (
        "insert into licensing.license_features (license_id, product_feature_id, max_consumption)"
        " select id, feature, 1 from (select id, unnest(array[{f1}, {f2}]) as feature"
        " from licensing.licenses where license_key like 'K-%' order by id) as l limit {size}"
    )
    with unlogged(conn):
        run(conn, LICENSES, low=1, high=MANY // 2, **ids)
    conn.commit()
    for size in (*sizes, 1):
        licenses = max(size // 2, 1)
        expected = {("license_features_updated", False): licenses}
        assert run(conn, features, f1=p.f1, f2=p.f2, size=size) == expected
        update = "update licensing.license_features set max_consumption = max_consumption + 1"
        assert run(conn, update) == expected
        assert run(conn, "update licensing.license_features set total_consumption = 7") == {}
        assert run(conn, "delete from licensing.license_features") == expected
    conn.rollback()


def test_a_license_of_a_hundred_thousand_features_is_one_row(connect: Connect) -> None:
    conn = connect()
    p = platform(conn)
    conn.commit()
    expected = {("license_features_updated", False): 1}
    for size in (1, MANY, 1):
        conn.execute(
            "insert into licensing.product_features (product_id, code, name, feature_type)"
            " select %s, 'X' || n, 'x', 'activation' from generate_series(1, %s) as n",
            [p.product, size],
        )
        insert = (
            "insert into licensing.license_features (license_id, product_feature_id)"
            " select {license}, id from licensing.product_features where code like 'X%'"
        )
        assert run(conn, insert, license=p.license) == expected
        assert run(conn, "update licensing.license_features set allows_overages = true") == expected
        assert run(conn, "delete from licensing.license_features") == expected
        conn.execute("delete from licensing.product_features where code like 'X%'")


@pytest.mark.parametrize("sizes", [(1, MANY), (MANY, 1)], ids=["few first", "many first"])
@pytest.mark.parametrize(
    ("table", "parent", "added", "changed", "removed"),
    [
        (
            "license_user_assignments (license_user_id, license_id, max_activations)",
            "{license}, 1",
            "license_user_assigned",
            "license_updated",
            "license_user_unassigned",
        ),
        (
            "order_managers (license_user_id, order_id)",
            "{order}",
            "order_manager_added",
            None,
            "order_manager_removed",
        ),
    ],
)
def test_rows_that_look_up_their_parents(
    connect: Connect,
    sizes: tuple[int, int],
    table: str,
    parent: str,
    added: str,
    changed: str | None,
    removed: str,
) -> None:
    """The looked-up tables are nearly empty when the first plans are made, and full afterwards."""
    conn = connect()
    p = platform(conn)
    conn.commit()
    name = table.split()[0]
    for size in (*sizes, 1):
        conn.execute(
            "insert into licensing.license_users (account_id, email)"
            " select %s, 'u' || n || '@y.example' from generate_series(1, %s) as n",
            [p.account, size],
        )
        insert = (
            f"insert into licensing.{table} select id, {parent} from licensing.license_users"
            " where email like 'u%'"
        )
        written = run(conn, insert, license=p.license, order=p.order)
        assert written == {(added, False): size}
        if changed:
            update = f"update licensing.{name} set max_activations = max_activations + 1"
            assert run(conn, update) == {(changed, False): size}
        assert run(conn, f"delete from licensing.{name}") == {(removed, False): size}
        conn.execute("delete from licensing.license_users where email like 'u%'")


@pytest.mark.parametrize("sizes", [(1, MANY), (MANY, 1)], ids=["few first", "many first"])
def test_cascades(connect: Connect, sizes: tuple[int, int]) -> None:
    conn = connect()
    p = platform(conn)
    conn.execute("delete from licensing.licenses")
    conn.commit()
    for size in (*sizes, 1):
        orders = -(-size // 4)
        conn.execute(
            "insert into licensing.orders (account_id, customer_id, reference)"
            " select %s, %s, 'O-' || n from generate_series(1, %s) as n",
            [p.account, p.customer, orders],
        )
        conn.execute(
            "insert into licensing.licenses (account_id, product_id, order_id, license_key,"
            " license_type) select %s, %s, id, 'K-' || id, 'perpetual' from licensing.orders"
            " where reference like 'O-%%'",
            [p.account, p.product],
        )
        conn.execute(
            "insert into licensing.license_features (license_id, product_feature_id)"
            " select id, %s from licensing.licenses",
            [p.f1],
        )
        conn.execute(
            "insert into licensing.license_user_assignments (license_id, license_user_id,"
            " max_activations) select id, %s, 1 from licensing.licenses",
            [p.license_user],
        )
        written = run(conn, "delete from licensing.orders where reference like 'O-%'")
        assert written == {
            ("order_deleted", False): orders,
            ("license_deleted", True): orders,
            ("license_features_updated", True): orders,
            ("license_user_unassigned", True): orders,
        }
        named = (
            "select count(*) from audit.log where is_cascade and account_id = %s::text"
            " and item_label is not null and tx = txid_current()"
        )
        assert value(conn, named, p.account) >= 3 * orders


PARTITIONED = """
create schema app;
create table app.owner (id int primary key, name text);
create table app.thing (id int, region text, owner_id int references app.owner on delete cascade,
  v text, primary key (id, region)) partition by list (region);
create table app.thing_a partition of app.thing for values in ('a');
create table app.thing_b partition of app.thing for values in ('b');
create index thing_owner_id_idx on app.thing (owner_id);
select audit.track('app.thing', item_label => 'o.name', lookups => '{"o": "owner_id"}');
"""


@pytest.mark.parametrize("sizes", [(1, MANY), (MANY, 1)], ids=["few first", "many first"])
def test_a_partitioned_table(connect: Connect, sizes: tuple[int, int]) -> None:
    conn = connect()
    conn.execute(PARTITIONED)
    conn.commit()
    for size in (*sizes, 1):
        conn.execute("insert into app.owner select n, 'O' from generate_series(1, %s) as n", [size])
        insert = "insert into app.thing select id, 'a', id, 'x' from app.owner"
        assert run(conn, insert) == {("thing_created", False): size}
        assert run(conn, "update app.thing set v = v || '!'") == {("thing_updated", False): size}
        # The region is part of the key: both items are told.
        moved = {("thing_updated", False): 2 * size}
        assert run(conn, "update app.thing set region = 'b'") == moved
        assert run(conn, "delete from app.thing where id % 2 = 0") == (
            {("thing_deleted", False): size // 2} if size > 1 else {}
        )
        assert run(conn, "delete from app.owner") == {("thing_deleted", True): size - size // 2}


@pytest.mark.parametrize("sizes", [(1, MANY), (MANY, 1)], ids=["few first", "many first"])
def test_a_tree_that_refers_to_itself(connect: Connect, sizes: tuple[int, int]) -> None:
    conn = connect()
    conn.execute(
        "create schema app; create table app.top (id int primary key, up int references"
        " app.top on delete cascade, v text); create index top_up_idx on app.top (up);"
        "select audit.track('app.top', item_label => 't.v', lookups => '{\"t\": \"up\"}')"
    )
    conn.commit()
    for size in (*sizes, 1):
        insert = (
            "insert into app.top select n, nullif(n / 2, 0), 'v' || n"
            " from generate_series(1, {size}) as n"
        )
        assert run(conn, insert, size=size) == {("top_created", False): size}
        update = "update app.top set id = id + 1000000, up = up + 1000000, v = 'w'"
        assert run(conn, update) == {("top_updated", False): 2 * size}
        deleted = run(conn, "delete from app.top where up is null")
        expected = {("top_deleted", False): 1, ("top_deleted", True): size - 1}
        assert deleted == {key: number for key, number in expected.items() if number}
