"""An export keeps partitions ahead where it may, and is never stopped or held up by that."""

from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo, sql

from tests.conftest import Connect, CreateRole
from tests.support.exports import RANGE, export, manifest
from tests.support.helpers import value
from tests.support.servers import Server

NEWEST = (
    "select max(p.lower_bound) from audit.partition_list() as p where p.upper_bound < 'infinity'"
)


@pytest.fixture
def behind(database: str) -> str:
    """The URL of a database in which nobody has called audit.maintain() of late."""
    with psycopg.connect(database, autocommit=True) as connection:
        (newest,) = connection.execute(
            "select p.partition from audit.partition_list() as p"
            " where p.upper_bound < 'infinity' order by p.lower_bound desc limit 1"
        ).fetchone() or ("",)
        connection.execute(
            sql.SQL("alter table audit.log detach partition {}").format(
                sql.Identifier("audit", newest)
            )
        )
        connection.execute(sql.SQL("drop table {}").format(sql.Identifier("audit", newest)))
    return database


def partitions(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = value(connection, "select count(*) from audit.partition_list()")
    return int(found)


def member(server: Server, url: str, connect: Connect, create_role: CreateRole, *roles: str) -> str:
    """Return the URL for a new role that is a member of `roles`."""
    name = create_role()
    for role in roles:
        connect(autocommit=True).execute(
            sql.SQL("grant {} to {}").format(sql.Identifier(role), sql.Identifier(name))
        )
    return server.url(str(conninfo.conninfo_to_dict(url)["dbname"]), name)


def test_an_export_by_who_may_makes_partitions_ahead(behind: str, tmp_path: Path) -> None:
    before = partitions(behind)
    export(behind, tmp_path / "out", *RANGE)
    assert partitions(behind) > before


def test_an_exporter_who_is_a_maintainer_too_makes_them(
    server: Server, behind: str, connect: Connect, create_role: CreateRole, tmp_path: Path
) -> None:
    before = partitions(behind)
    url = member(server, behind, connect, create_role, "audit_exporter", "audit_maintainer")
    export(url, tmp_path / "out", *RANGE)
    assert partitions(behind) > before


def test_an_exporter_alone_exports_without(
    server: Server, behind: str, connect: Connect, create_role: CreateRole, tmp_path: Path
) -> None:
    before = partitions(behind)
    url = member(server, behind, connect, create_role, "audit_exporter")
    export(url, tmp_path / "out", *RANGE)
    assert (tmp_path / "out/manifest.json").exists()
    assert partitions(behind) == before


def test_a_log_in_use_is_exported_at_once(
    behind: str, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pause(_seconds: float) -> None:
        raise AssertionError("the export waits for maintenance")

    monkeypatch.setattr("time.sleep", pause)
    user = connect()
    user.execute("lock table audit.log in row exclusive mode")
    user.execute("lock table audit.log in share update exclusive mode")
    export(behind, tmp_path / "out", *RANGE)
    assert manifest(tmp_path / "out")["rows"] == 0
