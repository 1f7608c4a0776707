"""Maintenance of a log that lost the partition for all that is to come, or for all that was."""

from pathlib import Path

import psycopg
import pytest

import auditdb
from tests.support.commands import add
from tests.support.commands import auditdb as command
from tests.support.helpers import value

LOST = {
    "future dropped": ["log_future"],
    "past dropped": ["log_past"],
    "both dropped": ["log_past", "log_future"],
}


@pytest.mark.parametrize("lost", LOST.values(), ids=LOST)
def test_maintenance_and_exports_go_on(
    engine_database: str, tmp_path: Path, lost: list[str]
) -> None:
    with psycopg.connect(engine_database) as conn:
        for name in lost:
            conn.execute(f"alter table audit.log detach partition audit.{name}".encode())
            conn.execute(f"drop table audit.{name}".encode())
    for arguments in (("maintain",), ("export", str(tmp_path / "out"))):
        ran = command(*arguments, "--url", engine_database)
        assert ran.returncode == 0, ran.stderr
    with psycopg.connect(engine_database) as conn:
        assert value(conn, "select max(upper_bound) = 'infinity' from audit.partition_list()")
        # The past is brought back by whoever wants it.
        found = auditdb.check(conn)
        assert [f.object for f in found] == (["audit.log_past"] if "log_past" in lost else [])
    add(engine_database, occurred_at="2300-01-01Z")


def test_a_partition_to_come_that_is_kept_elsewhere_is_not_attached_unasked(
    engine_database: str,
) -> None:
    with psycopg.connect(engine_database) as conn:
        conn.execute("alter table audit.log detach partition audit.log_future")
    assert command("maintain", "--url", engine_database).returncode == 0
    with psycopg.connect(engine_database) as conn:
        ((finding, mend),) = [(f.finding, f.mend) for f in auditdb.check(conn)]
        assert finding == "partition_missing"
        conn.execute(mend.encode())
        assert auditdb.check(conn) == ()


def test_the_last_moment_in_the_catch_all_is_checked_and_has_a_month(engine_database: str) -> None:
    for at in ("2099-04-05Z", "294239-12-31Z"):
        add(engine_database, occurred_at=at)
    with psycopg.connect(engine_database) as conn:
        ((finding, mend),) = [(f.finding, f.mend) for f in auditdb.check(conn)]
        assert finding == "rows_in_catch_all"
        conn.execute(mend.encode())
        assert auditdb.check(conn) == ()
        lies = "select array_agg(tableoid::regclass::text order by 1) from audit.log"
        assert value(conn, lies) == ["audit.log_2099_04", "audit.log_294239_12"]
    assert command("maintain", "--url", engine_database).returncode == 0
