"""audit.maintain() keeps partitions of the log ahead of time, and loses no row of any time."""

import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import psycopg
import pytest
from psycopg import sql

from auditdb._upkeep import maintenance
from tests.conftest import Connect
from tests.support.effort import sized
from tests.support.helpers import value

BOUNDS = """
select c.relname::text, pg_get_expr(c.relpartbound, c.oid)
from pg_inherits as i join pg_class as c on c.oid = i.inhrelid
where i.inhparent = 'audit.log'::regclass
"""
MONTH = re.compile(r"log_\d{4}_\d\d")
MICROSECOND = timedelta(microseconds=1)


def partitions(conn: psycopg.Connection) -> dict[str, str]:
    """Return the partitions of the log with their bounds, as the time zone UTC shows them."""
    with conn.transaction():
        conn.execute("set local timezone = 'UTC'")
        return dict(conn.execute(BOUNDS).fetchall())


def months(start: datetime, count: int) -> Iterator[datetime]:
    """Yield the first of `count` months, beginning with that of `start`."""
    first = start.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for number in range(count):
        month = first.month - 1 + number
        yield first.replace(year=first.year + month // 12, month=month % 12 + 1)


def month_of(moment: datetime) -> str:
    return f"log_{moment:%Y_%m}"


def month_bound(moment: datetime) -> str:
    return f"'{moment:%Y-%m-%d} 00:00:00+00'"


def now(conn: psycopg.Connection) -> datetime:
    moment: datetime = value(conn, "select now()")
    return moment.astimezone(UTC)


def maintain(conn: psycopg.Connection, ahead: str = "30 months") -> int:
    """Maintain until there is nothing left to do; return the number of changes."""
    # A session that a test before has just closed may not be over yet.
    conn.execute("lock table audit.option in share row exclusive mode")
    changes = 0
    while step := value(conn, "select audit.maintain(%s::interval)", ahead):
        changes += step
    return changes


def last_month(conn: psycopg.Connection) -> datetime:
    """Return the first of the last month that has a partition of its own."""
    name = max(name for name in partitions(conn) if MONTH.fullmatch(name))
    return datetime.strptime(name[-7:], "%Y_%m").replace(tzinfo=UTC)


def write(conn: psycopg.Connection, moment: datetime | str) -> str:
    """Write a row of the log with its time, as only a superuser can; return its partition."""
    partition: str = value(
        conn,
        "insert into audit.log (occurred_at, action, item_type, item_id, actor_type, actor_id,"
        " db_role) values (%s::timestamptz, 'a', 't', '1', 'database', 'x', 'x')"
        " returning tableoid::regclass::text",
        moment,
    )
    return partition


def test_the_log_begins_with_two_years_of_months_then_spare_years_between_catch_alls(
    connection: psycopg.Connection,
) -> None:
    created = now(connection)
    found = partitions(connection)
    firsts = list(months(created, 26))
    spare_from = firsts[25]
    spares = [
        spare_from,
        *(datetime(y, 1, 1, tzinfo=UTC) for y in years_after(spare_from, created)),
    ]
    expected = {
        month_of(first): f"FOR VALUES FROM ({month_bound(first)}) TO ({month_bound(after)})"
        for first, after in pairwise(firsts)
    }
    for first, after in pairwise(spares):
        name = value(connection, "select audit.partition_name(%s, %s)", first, after)
        expected[name] = f"FOR VALUES FROM ({month_bound(first)}) TO ({month_bound(after)})"
    expected["log_past"] = f"FOR VALUES FROM (MINVALUE) TO ({month_bound(firsts[0])})"
    expected["log_future"] = f"FOR VALUES FROM ({month_bound(spares[-1])}) TO (MAXVALUE)"
    assert found == expected
    assert (
        value(
            connection,
            "select partdefid from pg_partitioned_table where partrelid = 'audit.log'::regclass",
        )
        == 0
    )


def years_after(moment: datetime, created: datetime) -> range:
    """Return the years that begin after `moment`, up to where the spares of the log end."""
    return range(moment.year + 1, created.year + 7)


def test_a_row_at_the_border_of_partitions_lies_in_its_own(connection: psycopg.Connection) -> None:
    previous = "log_past"
    bounds = connection.execute(
        "select partition, lower_bound from audit.partition_list() offset 1"
    ).fetchall()
    for name, lower in bounds:
        assert write(connection, lower - MICROSECOND) == f"audit.{previous}"
        assert write(connection, lower) == f"audit.{name}"
        assert write(connection, lower + MICROSECOND) == f"audit.{name}"
        previous = name
    assert write(connection, "2999-12-31") == "audit.log_future"
    assert write(connection, "0044-03-15 BC") == "audit.log_past"


@pytest.mark.parametrize("setting", ["timezone = 'Asia/Kathmandu'", "datestyle = 'SQL, DMY'"])
def test_maintaining_again_changes_nothing(connection: psycopg.Connection, setting: str) -> None:
    connection.execute(sql.SQL("set local {}").format(sql.SQL(setting)))
    before = connection.execute(
        "select oid, xmin::text from pg_class where relnamespace = 'audit'::regnamespace order by 1"
    ).fetchall()
    assert value(connection, "select audit.maintain()") == 0
    assert value(connection, "select audit.maintain(interval '1 month')") == 0
    after = connection.execute(
        "select oid, xmin::text from pg_class where relnamespace = 'audit'::regnamespace order by 1"
    ).fetchall()
    assert after == before


@pytest.mark.parametrize("setting", ["timezone = 'Pacific/Auckland'", "datestyle = 'German'"])
def test_more_months_take_the_place_of_spares(connection: psycopg.Connection, setting: str) -> None:
    last = last_month(connection)
    connection.execute(sql.SQL("set local {}").format(sql.SQL(setting)))
    assert maintain(connection) > 6
    assert maintain(connection) == 0
    connection.execute("set local datestyle = 'ISO'")
    found = partitions(connection)
    for first, after in pairwise(list(months(now(connection), 32))):
        bounds = f"FOR VALUES FROM ({month_bound(first)}) TO ({month_bound(after)})"
        assert found[month_of(first)] == bounds
    assert last < last_month(connection)
    assert gaps(connection) == []


def gaps(conn: psycopg.Connection) -> list[tuple[object, ...]]:
    """Return the spans of time for which the log has no partition."""
    return conn.execute(
        "select * from (select upper_bound, lead(lower_bound) over (order by lower_bound) as next"
        " from audit.partition_list()) as p where upper_bound <> next"
    ).fetchall()


def test_a_spare_with_rows_stays_as_it_is(connection: psycopg.Connection) -> None:
    spares = [n for n in partitions(connection) if re.fullmatch(r"log_\d{4}", n)]
    moment = datetime(int(min(spares)[-4:]), 5, 1, tzinfo=UTC)
    assert write(connection, moment) == f"audit.{min(spares)}"
    before = connection.execute("select * from audit.log order by id").fetchall()
    maintain(connection, "60 months")
    assert min(spares) in partitions(connection)
    assert connection.execute("select * from audit.log order by id").fetchall() == before
    after = datetime(moment.year + 1, 3, 1, tzinfo=UTC)
    assert write(connection, after) == f"audit.{month_of(after)}"
    assert gaps(connection) == []


@pytest.mark.parametrize("moment", ["infinity", "-infinity"])
def test_a_time_without_end_is_refused(connection: psycopg.Connection, moment: str) -> None:
    with (
        pytest.raises(psycopg.errors.CheckViolation, match="finite_check"),
        connection.transaction(),
    ):
        write(connection, moment)
    maintain(connection, sized("5 years", "20 years"))
    with pytest.raises(psycopg.errors.CheckViolation, match="finite_check"):
        write(connection, moment)


def test_a_row_of_a_far_future_stays_where_it_is(connection: psycopg.Connection) -> None:
    assert write(connection, "2999-12-31 23:59:59.999999+00") == "audit.log_future"
    maintain(connection, "20 years")
    assert write(connection, "2999-12-31 00:00+00") == "audit.log_future"
    assert value(connection, "select count(*) from audit.log where item_type = 't'") == 2
    assert gaps(connection) == []


def test_the_catch_all_makes_way_for_more(connection: psycopg.Connection) -> None:
    maintain(connection, "20 years")
    moment = now(connection) + timedelta(days=7000)
    assert write(connection, moment) == f"audit.{month_of(moment)}"
    assert gaps(connection) == []


def test_every_partition_is_guarded(connection: psycopg.Connection) -> None:
    maintain(connection)
    for name in partitions(connection):
        triggers = connection.execute(
            "select tgname::text, tgenabled::text from pg_trigger where tgrelid = %s::regclass"
            " and not tgisinternal order by 1",
            [f"audit.{name}"],
        ).fetchall()
        assert triggers == [("refuse_change", "A"), ("refuse_truncate", "A")], name
    granted = (
        "select count(*) from pg_class as c, aclexplode(c.relacl) as a"
        " where c.relnamespace = 'audit'::regnamespace and starts_with(c.relname, 'log')"
        " and a.grantee = 0"
    )
    assert value(connection, granted) == 0
    owners = (
        "select count(distinct (relowner, relpersistence)) from pg_class"
        " where starts_with(relname, 'log') and relnamespace = 'audit'::regnamespace"
    )
    assert value(connection, owners) == 1


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize(
    "statement",
    [
        "truncate {}",
        "update {} set action = 'b'",
        "delete from {}",
        "update audit.log set action = 'b' where tableoid = '{}'::regclass",
        "delete from audit.log where tableoid = '{}'::regclass",
        "truncate audit.log",
    ],
)
def test_a_new_partition_is_append_only(
    connection: psycopg.Connection, statement: str, role: str
) -> None:
    maintain(connection)
    last = last_month(connection)
    name = f"audit.{month_of(last)}"
    assert write(connection, last) == name
    connection.execute(sql.SQL("set local session_replication_role = {}").format(sql.SQL(role)))
    for target in (name, write(connection, "2999-12-31"), write(connection, "1999-12-31")):
        with pytest.raises(psycopg.Error, match="append-only") as refused, connection.transaction():
            connection.execute(sql.SQL(statement.format(target)))
        assert refused.value.sqlstate == "UA004"
    assert value(connection, "select count(*) from audit.log where item_type = 't'") == 3


def test_new_partitions_have_every_index_of_the_log(connection: psycopg.Connection) -> None:
    maintain(connection)
    counted = (
        "select count(*) from pg_class as c where c.relnamespace = 'audit'::regnamespace"
        " and c.relkind = 'r' and c.relispartition and (select count(*) from pg_index as i"
        " join pg_inherits as h on h.inhrelid = i.indexrelid where i.indrelid = c.oid)"
        " <> (select count(*) from pg_index where indrelid = 'audit.log'::regclass)"
    )
    assert value(connection, counted) == 0


def test_many_maintain_at_once(connect: Connect) -> None:
    sessions = [connect(autocommit=True) for _ in range(6)]
    together = threading.Barrier(len(sessions))

    def together_maintain(session: psycopg.Connection) -> None:
        together.wait()
        maintenance.extend(session, ahead="30 months")

    with ThreadPoolExecutor(len(sessions)) as pool:
        list(pool.map(together_maintain, sessions))
    assert maintenance.extend(sessions[0], ahead="30 months") == 0
    assert gaps(sessions[0]) == []
    assert last_month(sessions[0]) >= list(months(now(sessions[0]), 31))[-1]


def test_a_write_without_a_partition_for_its_row_fails(connection: psycopg.Connection) -> None:
    connection.execute("create table thing (id int primary key); select audit.track('thing')")
    name = sql.Identifier("audit", month_of(now(connection)))
    connection.execute(sql.SQL("alter table audit.log detach partition {}").format(name))
    with (
        pytest.raises(psycopg.errors.CheckViolation, match="no partition") as refused,
        connection.transaction(),
    ):
        connection.execute("insert into thing values (1)")
    assert "audit.public_thing_insert()" in (refused.value.diag.context or "")
    assert value(connection, "select count(*) from thing") == 0
