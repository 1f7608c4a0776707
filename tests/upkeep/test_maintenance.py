"""Maintenance by the package: it waits for nobody, forgets nothing, and puts old months to rest."""

import re
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg import conninfo, sql

from auditdb import errors
from auditdb._upkeep import check, maintenance, migrate
from tests.conftest import Connect, CreateRole
from tests.support.commands import auditdb as command
from tests.support.helpers import value
from tests.support.partitions import rebuild, write
from tests.support.servers import Server

BRIEF = "set lock_timeout = '100ms'"


def gaps(conn: psycopg.Connection) -> list[tuple[object, ...]]:
    """Return the spans of time for which the log has no partition."""
    return conn.execute(
        "select * from (select upper_bound, lead(lower_bound) over (order by lower_bound) as next"
        " from audit.partition_list()) as p where upper_bound <> next"
    ).fetchall()


@pytest.mark.parametrize("years", [3, 5])
def test_forgotten_for_years_it_loses_nothing_and_is_put_right(
    connect: Connect, years: int
) -> None:
    conn = connect(autocommit=True)
    now = datetime.now(UTC)
    rebuild(conn, now - timedelta(days=366 * years))
    conn.execute("create table thing (id int primary key); select audit.track('thing')")
    conn.execute("insert into thing values (1)")
    placed = value(conn, "select tableoid::regclass::text from audit.log order by id desc limit 1")
    assert placed == f"audit.log_{now:%Y}"
    before = conn.execute("select * from audit.log order by id").fetchall()
    assert maintenance.maintain(conn).changes > 0
    assert conn.execute("select * from audit.log order by id").fetchall() == before
    assert gaps(conn) == []
    for days in range(0, 700, 7):
        name = write(conn, now + timedelta(days=days))
        assert name == f"audit.log_{now:%Y}" or re.fullmatch(r"audit\.log_\d{4}_\d\d", name)
    assert maintenance.maintain(conn).changes == 0


@pytest.mark.parametrize(
    "statement",
    ["select count(*) from audit.log", "insert into thing values (1)"],
    ids=["reader", "writer"],
)
def test_nobody_waits_for_maintenance(connect: Connect, statement: str) -> None:
    keeper, other, third = connect(autocommit=True), connect(), connect(autocommit=True)
    keeper.execute("create table thing (id int primary key); select audit.track('thing')")
    for session in (other, third):
        session.execute(BRIEF)
    other.execute(sql.SQL(statement))
    with pytest.raises(errors.LogBusy) as busy:
        maintenance.maintain(keeper, ahead="30 months", patience=0.5)
    assert "pg_stat_activity" in (busy.value.hint or "")
    other.execute("insert into thing values (2)")
    third.execute("insert into thing values (3)")
    third.execute("select count(*) from audit.log")
    other.execute("select count(*) from audit.log")
    other.commit()
    assert maintenance.maintain(keeper, ahead="30 months").changes > 0
    other.execute("insert into thing values (4)")
    other.commit()
    assert gaps(keeper) == []


def test_partitions_are_added_beside_open_transactions(connect: Connect) -> None:
    keeper, writer, reader = connect(autocommit=True), connect(), connect()
    keeper.execute("create table thing (id int primary key); select audit.track('thing')")
    assert value(keeper, "select audit.maintain('30 months')") == 1
    writer.execute("insert into thing values (1)")
    reader.execute("select count(*) from audit.log")
    assert value(keeper, "select audit.maintain('30 months')") > 1
    for session in (writer, reader):
        session.execute("set local lock_timeout = '100ms'")
        session.execute("select count(*) from audit.log")
    writer.execute("insert into thing values (2)")
    writer.commit()


def test_a_partition_whose_time_is_over_is_put_to_rest_once(connect: Connect) -> None:
    conn = connect(autocommit=True)
    now = datetime.now(UTC)
    rebuild(conn, now - timedelta(days=100))
    old = now - timedelta(days=80)
    name = write(conn, old)
    for _ in range(200):
        write(conn, old)
    told: list[str] = []
    done = maintenance.maintain(conn, tell=told.append)
    assert name.removeprefix("audit.") in done.closed
    assert f"audit.log_{now:%Y_%m}" not in {f"audit.{n}" for n in done.closed}
    assert told == [f"closing {n}" for n in done.closed]
    frozen = (
        "select relallvisible = relpages and relpages > 0 from pg_class where oid = %s::regclass"
    )
    assert value(conn, frozen, name) is True
    assert maintenance.maintain(conn) == maintenance.Maintenance(0, (), ())


@pytest.mark.parametrize(
    "snapshot", ["select count(*) from {}", "select txid_current_snapshot()"], ids=["of it", "else"]
)
def test_closing_a_partition_waits_for_nobody_and_nobody_waits_for_it(
    connect: Connect, snapshot: str
) -> None:
    conn, reader, third = connect(autocommit=True), connect(), connect(autocommit=True)
    rebuild(conn, datetime.now(UTC) - timedelta(days=100))
    old = datetime.now(UTC) - timedelta(days=80)
    reader.execute("set transaction isolation level repeatable read")
    reader.execute("select 1 from pg_class")
    name = write(conn, old)
    reader.execute(sql.SQL(snapshot).format(sql.SQL(name)))
    done = maintenance.maintain(conn, patience=0.2)
    assert name.removeprefix("audit.") not in done.closed
    assert name.removeprefix("audit.") in {reason.split(": ")[0] for reason in done.postponed}
    for session in (reader, third):
        session.execute(BRIEF)
        session.execute(sql.SQL("select count(*) from {}").format(sql.SQL(name)))
    write(third, old)
    assert value(conn, "show lock_timeout") == "0"
    reader.rollback()
    assert name.removeprefix("audit.") in maintenance.maintain(conn).closed
    invalid = "select count(*) from pg_index where indrelid = %s::regclass and not indisvalid"
    assert value(conn, invalid, name) == 0


def test_a_maintainer_who_is_no_owner_makes_partitions_and_says_what_he_may_not(
    connect: Connect, create_role: CreateRole
) -> None:
    conn = connect(autocommit=True)
    rebuild(conn, datetime.now(UTC) - timedelta(days=100))
    role = create_role()
    conn.execute(sql.SQL("grant audit_maintainer to {}").format(sql.Identifier(role)))
    keeper = connect(user=role, autocommit=True)
    done = maintenance.maintain(keeper, ahead="30 months")
    assert done.changes > 0
    assert done.closed == ()
    assert done.postponed
    assert all("owner" in reason for reason in done.postponed)


def test_a_broken_index_of_an_interrupted_run_is_cleared_away(connect: Connect) -> None:
    conn = connect(autocommit=True)
    rebuild(conn, datetime.now(UTC) - timedelta(days=100))
    name = write(conn, datetime.now(UTC) - timedelta(days=80))
    write(conn, datetime.now(UTC) - timedelta(days=80))
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute(
            sql.SQL("create unique index concurrently broken_idx on {} (action)").format(
                sql.SQL(name)
            )
        )
    assert name.removeprefix("audit.") in maintenance.maintain(conn).closed
    assert value(conn, "select to_regclass('audit.broken_idx')") is None


@pytest.mark.parametrize(
    ("interval", "pattern", "count"),
    [("quarter", r"log_\d{4}_q[1-4]", 9), ("year", r"log_\d{4}", 6)],
)
def test_the_interval_is_chosen_at_install(
    empty_database: str, interval: str, pattern: str, count: int
) -> None:
    migrate.upgrade(empty_database, "audit@head", partition_interval=interval)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        names = [n for (n,) in conn.execute("select partition from audit.partition_list()")]
        assert len([n for n in names if re.fullmatch(pattern, n)]) >= count
        assert gaps(conn) == []
        assert maintenance.maintain(conn, ahead="10 years").changes > 0
        assert gaps(conn) == []


@pytest.mark.parametrize("first", ["month", "year"])
def test_another_interval_than_that_of_the_log_is_refused(empty_database: str, first: str) -> None:
    migrate.upgrade(empty_database, "audit@head", partition_interval=first)
    assert migrate.upgrade(empty_database, partition_interval=first) == ()
    for revision in ("audit@head", "heads", None):
        with pytest.raises(errors.MigrationFailed, match=f"spans a {first}, not a quarter") as told:
            migrate.upgrade(empty_database, revision, partition_interval="quarter")
    there = command("upgrade", "--partitions", "quarter", "--url", empty_database)
    assert (there.returncode, f"spans a {first}, not a quarter" in there.stderr) == (1, True)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        # Nothing was done, the example is not there.
        assert value(conn, "select to_regnamespace('licensing')") is None
        assert told.value.hint is not None
        statement = told.value.hint[told.value.hint.index("update ") :]
        conn.execute(statement.encode())
        before = {n for (n,) in conn.execute("select partition from audit.partition_list()")}
        assert maintenance.maintain(conn, ahead="10 years").changes > 0
        after = {n for (n,) in conn.execute("select partition from audit.partition_list()")}
        assert [n for n in after - before if re.fullmatch(r"log_\d{4}_q[1-4]", n)]
        assert gaps(conn) == []
        assert check.check(conn) == ()


def test_the_printed_script_installs_the_interval(server: Server, empty_database: str) -> None:
    ran = command("upgrade", "--sql", "--partitions", "quarter")
    assert ran.returncode == 0, ran.stderr
    name = conninfo.conninfo_to_dict(empty_database)["dbname"]
    server.run("psql", "-qX", "-v", "ON_ERROR_STOP=1", "-d", str(name), input=ran.stdout)
    with psycopg.connect(empty_database) as conn:
        assert value(conn, "select value from audit.option") == "quarter"
    ranged = command("upgrade", "--sql", "audit_0001:audit@head", "--partitions", "quarter")
    assert (ranged.returncode, "when it is installed" in ranged.stderr) == (1, True)
    repairing = command("upgrade", "--sql", "--repair")
    assert (repairing.returncode, "--repair" in repairing.stderr) == (2, True)


def test_an_interval_that_does_not_exist_is_refused(empty_database: str) -> None:
    with pytest.raises(ValueError, match="month, quarter or year"):
        migrate.upgrade(empty_database, "audit@head", partition_interval="week")


def test_the_upgrade_keeps_the_log_ahead(connect: Connect, database: str) -> None:
    conn = connect(autocommit=True)
    now = datetime.now(UTC)
    rebuild(conn, now - timedelta(days=366 * 3))
    migrate.upgrade(database)
    assert write(conn, now + timedelta(days=400)) == f"audit.log_{now + timedelta(days=400):%Y_%m}"
