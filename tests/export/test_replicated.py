"""A log that is replicated logically to another one, and tables that are: refused, or recorded."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

import auditdb
from auditdb import Event, Finding
from auditdb._export import follow
from auditdb._query.filters import Filter
from auditdb.errors import WatermarkRefused
from tests.support.commands import add
from tests.support.commands import auditdb as command
from tests.support.exports import export, keys
from tests.support.helpers import value
from tests.support.replication import NAME, Pair, logical, pair
from tests.support.servers import Server

ONLY = ("--format", "jsonl", "--action", "license_updated")


@pytest.fixture(scope="module")
def publishing(server: Server) -> Iterator[Server]:
    """A server that can publish."""
    with logical(server) as started:
        yield started


@pytest.fixture
def two(publishing: Server) -> Iterator[Pair]:
    """Two databases with a log each, of which one will subscribe to the other."""
    with pair(publishing) as made:
        yield made


def findings(conn: psycopg.Connection) -> list[tuple[str, str, str]]:
    """Return what a check says of replication: code, severity, object."""
    told: list[Finding] = [*auditdb.check(conn)]
    codes = ("log_replicated", "rows_foreign", "subscription_writes")
    return sorted((f.finding, f.severity, f.object) for f in told if f.finding in codes)


def refused(url: str, tmp_path: Path, state: Path, word: str) -> None:
    """Try every path that goes by transactions; each must say `word`, and write nothing."""
    before = state.read_bytes()
    for number, options in enumerate(((), ("--since-last", str(state)), ("--action", "none"))):
        place = tmp_path / f"no-{word}-{number}"
        ran = command("export", str(place), "--url", url, "--format", "jsonl", *options)
        assert (ran.returncode, word in ran.stderr) == (1, True), ran.stderr
        assert "audit.begin_era()" in ran.stderr
        assert "another state file" in ran.stderr
        assert not list(place.iterdir())
    for ran in (
        command("export", "-", "--url", url, *ONLY),
        command("log", "--follow", "--url", url, "--json"),
        command("log", "--follow", "--url", url, "--json", "--since", "2020-01-01"),
    ):
        assert (ran.returncode, ran.stdout, word in ran.stderr) == (1, "", True), ran.stderr
    with psycopg.connect(url, autocommit=True) as conn, pytest.raises(WatermarkRefused, match=word):
        next(follow.batches(conn, Filter()))
    assert state.read_bytes() == before


@pytest.mark.parametrize("via_root", [True, False])
def test_a_log_that_another_one_is_replicated_to_says_so_on_every_path(
    two: Pair, tmp_path: Path, via_root: bool
) -> None:
    """Rows of there carry its transactions, which are ahead of those here, or long past."""
    there, state = two.server.url("there"), tmp_path / "state"
    add(two.url, item_id="own")
    export(two.url, tmp_path / "0", *ONLY, "--since-last", str(state))
    assert findings(two.here) == []
    add(there, item_id="copied, ahead", tx=9 * 10**17)
    two.subscribe("audit.log", via_root=via_root)
    add(there, item_id="long past", tx=5)
    add(there, item_id="ahead", tx=9 * 10**17)
    two.caught_up()
    ours = "select count(*) from audit.log where action = 'license_updated'"
    assert value(two.here, ours) == 4
    refused(two.url, tmp_path, state, "replication")
    assert findings(two.here)[0] == ("log_replicated", "error", NAME)
    checked = command("check", "--url", two.url)
    assert (checked.returncode, "log_replicated" in checked.stdout) == (1, True)

    (found,) = (f for f in auditdb.check(two.here) if f.finding == "log_replicated")
    two.here.execute(found.mend.encode())
    # It goes on to come until the subscription is gone.
    add(there, item_id="last", tx=6)
    two.caught_up()
    assert command("export", str(tmp_path / "1"), "--url", two.url).returncode == 1
    two.unsubscribe()
    assert findings(two.here) == []
    told = command(
        "export", str(tmp_path / "2"), "--url", two.url, *ONLY, "--since-last", str(state)
    )
    assert (told.returncode, "came by replication since" in told.stderr) == (1, True)
    anew = ("--since-last", str(tmp_path / "anew"))
    export(two.url, tmp_path / "3", *ONLY, *anew)
    assert len(keys(tmp_path / "3")) == 5
    add(two.url, item_id="after")
    export(two.url, tmp_path / "4", *ONLY, *anew)
    assert len(keys(tmp_path / "4")) == 1


@pytest.mark.parametrize("tx", [5, 9 * 10**17])
@pytest.mark.parametrize("times", [1, 2])
def test_a_subscription_that_came_and_went_leaves_no_increment_with_gaps(
    two: Pair, tmp_path: Path, tx: int, times: int
) -> None:
    for number in range(times):
        state = tmp_path / f"state-{number}"
        add(two.url, item_id="own")
        export(two.url, tmp_path / f"{number}", *ONLY, "--since-last", str(state))
        assert len(keys(tmp_path / f"{number}")) == 1 + 2 * number
        two.subscribe("audit.log")
        add(two.server.url("there"), item_id="came", tx=tx)
        two.caught_up()
        two.unsubscribe()
        assert findings(two.here) == []
        place = tmp_path / f"no-{number}"
        told = command("export", str(place), "--url", two.url, *ONLY, "--since-last", str(state))
        assert (told.returncode, "came by replication since" in told.stderr) == (1, True)
        # What was copied before goes, so that it is not copied once more.
        two.there.execute("alter table audit.log disable trigger refuse_change")
        two.there.execute("delete from audit.log")
    export(two.url, tmp_path / "all", *ONLY)
    assert len(keys(tmp_path / "all")) == 2 * times


def test_changes_of_a_subscription_begin_no_era_more(two: Pair) -> None:
    newest = "select max(number) from audit.era"
    two.here.execute("create table other (id int primary key)")
    two.there.execute("create table other (id int primary key)")
    two.subscribe("other")
    assert value(two.here, newest) == 1
    two.unsubscribe()
    two.subscribe("audit.log")
    assert value(two.here, newest) == 2
    two.here.execute(f"alter subscription {NAME} disable".encode())
    two.here.execute(f"alter subscription {NAME} enable".encode())
    assert value(two.here, newest) == 2


def test_rows_of_another_server_are_told_when_the_subscription_is_gone(
    two: Pair, tmp_path: Path
) -> None:
    """Where no event trigger has begun an era."""
    two.here.execute("drop event trigger audit_after_subscription")
    state = tmp_path / "state"
    export(two.url, tmp_path / "0", *ONLY, "--since-last", str(state))
    two.subscribe("audit.log")
    add(two.server.url("there"), item_id="ahead", tx=9 * 10**17)
    two.caught_up()
    two.unsubscribe()
    refused(two.url, tmp_path, state, "another server")
    assert findings(two.here) == [("rows_foreign", "error", "audit.log")]
    two.here.execute("select audit.follow_ddl()")
    (found,) = (f for f in auditdb.check(two.here) if f.finding == "rows_foreign")
    two.here.execute(found.mend.encode())
    assert findings(two.here) == []
    kind = "select kind from audit.era order by number desc limit 1"
    assert value(two.here, kind) == "replicated"
    told = command(
        "export", str(tmp_path / "1"), "--url", two.url, *ONLY, "--since-last", str(state)
    )
    assert (told.returncode, "came by replication since" in told.stderr) == (1, True)
    export(two.url, tmp_path / "2", *ONLY)
    assert len(keys(tmp_path / "2")) == 1


def test_a_role_without_rights_on_subscriptions_is_told_too(two: Pair, tmp_path: Path) -> None:
    two.subscribe("audit.log")
    two.here.execute("create role exporting login in role audit_exporter")
    try:
        url = two.server.url("here", "exporting")
        ran = command("export", str(tmp_path / "no"), "--url", url)
        assert (ran.returncode, NAME in ran.stderr) == (1, True)
    finally:
        two.here.execute("drop role exporting")


def test_a_follower_ends_when_rows_of_another_server_come(two: Pair) -> None:
    found: list[Event] = []

    def wait(_seconds: float) -> None:
        if not found:
            add(two.url, item_id="own")
        else:
            two.subscribe("audit.log")

    with psycopg.connect(two.url, autocommit=True) as conn:
        batches = follow.batches(conn, Filter(), wait=wait)
        found += next(batches)
        assert [event.item_id for event in found] == ["own"]
        with pytest.raises(WatermarkRefused, match="replication"):
            next(batches)


def test_what_a_subscription_to_tracked_tables_leaves_in_their_log(two: Pair) -> None:
    """Its copy is a COPY; then rows come one by one, and fire what is for each row alone."""
    for conn in (two.there, two.here):
        conn.execute(
            "create table plain (id int primary key, n int);"
            "create table parted (id int primary key, n int) partition by range (id);"
            "create table parted_1 partition of parted default"
        )
    for name in ("plain", "parted"):
        two.here.execute("select audit.track(%s)", [name])
        two.there.execute(f"insert into {name} values (1, 1), (2, 1)".encode())
    seen: set[int] = set()

    def new() -> list[tuple[str, str, str]]:
        rows = two.here.execute(
            "select id, action, item_id, db_role from audit.log"
            " where action <> 'tracking_started' and id <> all (%s) order by 2, 3",
            [list(seen)],
        ).fetchall()
        seen.update(row[0] for row in rows)
        return [(action, item, role) for _, action, item, role in rows]

    two.subscribe("plain, parted", via_root=False)
    who = two.server.user
    assert new() == [
        ("parted_created", "1", who),
        ("parted_created", "2", who),
        ("plain_created", "1", who),
        ("plain_created", "2", who),
    ]
    for statement, plain in (
        ("insert into {} values (3, 1)", None),
        ("update {} set n = 2 where id = 3", "plain_updated"),
        ("delete from {} where id = 3", None),
    ):
        done = {"insert": "created", "update": "updated", "delete": "deleted"}[statement[:6]]
        for name in ("plain", "parted"):
            two.there.execute(statement.format(name).encode())
        two.caught_up()
        expected = [(f"parted_{done}", "3", who), (plain or "", "3", who)]
        assert new() == [row for row in expected if row[0]]
    two.there.execute("truncate plain")
    two.caught_up()
    assert new() == [("table_truncated", "public.plain", who)]
    assert findings(two.here) == [
        ("subscription_writes", "error", f"{NAME} to public.parted_1"),
        ("subscription_writes", "error", f"{NAME} to public.plain"),
    ]
