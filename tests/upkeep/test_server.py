"""The servers under the tests: the right ones are chosen, and reached as the tests expect."""

import subprocess
from contextlib import nullcontext
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo
from sqlalchemy import make_url

from tests.support.choice import choose, chosen
from tests.support.helpers import value
from tests.support.servers import Candidate, NoServerError, Server

SOMEWHERE = Server(
    version=18,
    bindir=Path("/nowhere"),
    host="/tmp/socket dir",
    port=5433,
    user="the owner",
    password="p@ss%20:/word",
)


def candidate(version: int, origin: str = "system") -> Candidate:
    return Candidate(version, origin, lambda: nullcontext(SOMEWHERE))


def test_all_that_is_found_is_chosen_newest_first_and_each_version_once() -> None:
    found = [candidate(18, "wheel"), candidate(15), candidate(17), candidate(18)]
    servers = choose(found, "all", is_ci=False)
    assert [(s.id, s.origin) for s in servers] == [
        ("pg18", "wheel"),
        ("pg17", "system"),
        ("pg15", "system"),
    ]


@pytest.mark.parametrize(("wanted", "ids"), [("15", ["pg15"]), ("15,18,15", ["pg18", "pg15"])])
def test_versions_are_chosen_by_name(wanted: str, ids: list[str]) -> None:
    found = [candidate(18), candidate(17), candidate(15)]
    assert [server.id for server in choose(found, wanted, is_ci=True)] == ids


@pytest.mark.parametrize(
    ("versions", "wanted", "is_ci", "message"),
    [
        ([18], "15", False, r"PostgreSQL 15; found: 18 \(system\)"),
        ([18], "all", True, r"PostgreSQL 15; found: 18 \(system\)"),
        ([], "all", True, "PostgreSQL 18 and 15; found: none"),
        ([], "all", False, "PostgreSQL 15 to 18; found: none"),
        ([18, 15], "newest", False, 'AUDITDB_TEST_PG is "newest"'),
    ],
)
def test_a_missing_server_is_named(
    versions: list[int], wanted: str, is_ci: bool, message: str
) -> None:
    with pytest.raises(NoServerError, match=message):
        choose([candidate(version) for version in versions], wanted, is_ci=is_ci)


def test_a_server_that_does_not_answer_is_reported_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://someone:canary@/postgres?host={tmp_path}"
    with pytest.raises(NoServerError) as raised:
        chosen({"AUDITDB_TEST_URL": url})
    assert "AUDITDB_TEST_URL" in str(raised.value)
    assert "canary" not in str(raised.value)


def test_an_existing_server_is_used_alone(server: Server) -> None:
    (found,) = chosen({"AUDITDB_TEST_URL": server.url(server.maintenance)})
    with found.start() as existing:
        assert existing.version == server.version
        assert existing.url("any") == server.url("any")


def test_urls_mean_the_same_to_libpq_and_to_sqlalchemy() -> None:
    url = SOMEWHERE.url("data")
    expected = {
        "user": "the owner",
        "password": "p@ss%20:/word",
        "dbname": "data",
        "host": "/tmp/socket dir",
        "port": "5433",
        "options": "-c statement_timeout=60s",
    }
    assert conninfo.conninfo_to_dict(url) == expected
    parsed = make_url(url)
    assert expected == {
        "user": parsed.username,
        "password": parsed.password,
        "dbname": parsed.database,
        **parsed.query,
    }


def test_another_users_url_has_no_password_of_the_owner() -> None:
    assert "p@ss" not in SOMEWHERE.url("data", "reader") + repr(SOMEWHERE)
    assert SOMEWHERE.environment("reader").get("PGPASSWORD") is None


def test_programs_run_as_asked_and_say_why_they_fail(server: Server, empty_database: str) -> None:
    for database in (server.maintenance, empty_database):
        shown = server.run("psql", "-At", database, input="show statement_timeout")
        assert shown.stdout == "1min\n"
    assert server.run("psql", "-c", "nonsense", check=False).returncode == 1
    with pytest.raises(subprocess.CalledProcessError) as raised:
        server.run("psql", "-c", "nonsense")
    assert "syntax error" in "".join(raised.value.__notes__)


def test_the_server_is_of_the_version_in_the_tests_name(
    server: Server, empty_database: str, request: pytest.FixtureRequest
) -> None:
    with psycopg.connect(empty_database) as session:
        assert session.info.server_version // 10000 == server.version
        assert value(session, "select count(*) from pg_namespace where nspname = 'audit'") == 0
    assert f"[pg{server.version}]" in request.node.name
