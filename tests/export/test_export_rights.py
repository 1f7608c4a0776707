"""Who may export, what row an export leaves, and what is refused rather than left out."""

from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.conftest import Connect, CreateRole
from tests.support.commands import auditdb
from tests.support.exports import RANGE, export, fill, last_event, manifest
from tests.support.servers import Server


def test_an_export_leaves_a_row_that_says_who_what_and_the_hash(
    database: str, tmp_path: Path
) -> None:
    fill(database, 30)
    export(
        database, tmp_path / "out", *RANGE, "--account", "1", "--by", "platform_user:42",
    )  # fmt: skip
    found = last_event(database)
    assert (found["action"], found["action_label"]) == ("log_exported", "Log exported")
    assert (found["account_id"], found["item_type"]) == ("1", "log")
    assert (found["actor_type"], found["actor_id"]) == ("platform_user", "42")
    changes = found["changes"]
    assert isinstance(changes, dict)
    assert changes["rows"] == {"new": 10}
    assert changes["sha256"] == {"new": manifest(tmp_path / "out")["sha256"]}
    assert changes["since"] == {"new": "2025-01-01T00:00:00.000000Z"}
    assert auditdb("export", "-", "--url", database, *RANGE).returncode == 0
    found = last_event(database)
    assert found["actor_type"] == "database"
    assert found["account_id"] == ""


def as_role(server: Server, url: str, role: str) -> str:
    return server.url(str(psycopg.conninfo.conninfo_to_dict(url)["dbname"]), role)


@pytest.fixture
def exporter(connect: Connect, create_role: CreateRole) -> str:
    """A role with an exporter's rights, granted one by one: no policy lets it see all accounts."""
    role = create_role()
    owner = connect(autocommit=True)
    for grant in (
        "grant select on audit.log, audit.events, audit.layout, audit.action, audit.era to {}",
        "grant execute on function audit.record_export(jsonb) to {}",
    ):
        owner.execute(sql.SQL(grant).format(sql.Identifier(role)))
    return role


def test_a_member_of_audit_exporter_needs_nothing_else(
    server: Server, database: str, connect: Connect, create_role: CreateRole, tmp_path: Path
) -> None:
    fill(database, 30)
    exporter = create_role()
    connect(autocommit=True).execute(
        sql.SQL("grant audit_exporter to {}").format(sql.Identifier(exporter))
    )
    url = as_role(server, database, exporter)
    export(url, tmp_path / "out", *RANGE)
    assert manifest(tmp_path / "out")["rows"] == 30
    assert last_event(database)["actor_id"] == exporter


def test_who_may_leave_no_row_reads_none(
    server: Server, database: str, connect: Connect, exporter: str, tmp_path: Path
) -> None:
    fill(database, 30)
    owner = connect(autocommit=True)
    owner.execute(
        sql.SQL("revoke execute on function audit.record_export(jsonb) from {}").format(
            sql.Identifier(exporter)
        )
    )
    url = as_role(server, database, exporter)
    for target in (str(tmp_path / "out"), "-"):
        ran = auditdb("export", target, "--url", url)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert "has no right to leave a row" in ran.stderr
    assert not list((tmp_path / "out").iterdir())


def test_row_security_is_an_error_and_not_an_empty_export(
    server: Server, database: str, connect: Connect, exporter: str, tmp_path: Path
) -> None:
    fill(database, 30)
    owner = connect(autocommit=True)
    url = as_role(server, database, exporter)
    ran = auditdb("export", "-", "--url", url, *RANGE)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "row security" in ran.stderr
    owner.execute(
        sql.SQL("create policy all_of_it on audit.log for select to {} using (true)").format(
            sql.Identifier(exporter)
        )
    )
    export(url, tmp_path / "out", *RANGE)
    assert manifest(tmp_path / "out")["rows"] == 30
    owner.execute(
        "create policy but on audit.log as restrictive for select using (account_id <> '1')"
    )
    assert auditdb("export", "-", "--url", url, *RANGE).returncode == 1


def test_a_partition_that_goes_away_meanwhile_is_noticed(
    database: str, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from auditdb._export import slices

    fill(database, 30)
    owner = connect(autocommit=True)
    make = slices.make

    def make_then_detach(*args: object, **named: object) -> object:
        planned = make(*args, **named)  # type: ignore[arg-type]
        owner.execute("alter table audit.log detach partition audit.log_past")
        return planned

    monkeypatch.setattr(slices, "make", make_then_detach)
    ran = auditdb("export", str(tmp_path / "out"), "--url", database, *RANGE)
    assert ran.returncode == 1
    assert "where it had 30 when the export began" in ran.stderr
    assert not (tmp_path / "out/manifest.json").exists()


def test_without_a_log_there_is_nothing_to_export(empty_database: str, tmp_path: Path) -> None:
    ran = auditdb("export", "-", "--url", empty_database)
    assert ran.returncode == 1
    assert "auditdb upgrade" in ran.stderr
