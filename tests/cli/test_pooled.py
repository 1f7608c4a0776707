"""Every command works behind PgBouncer, and leaves nothing to whoever gets the connection next."""

import os
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from auditdb._export import follow
from auditdb._query.filters import filtered
from auditdb._upkeep import database as own
from tests.support.commands import auditdb as command
from tests.support.helpers import platform
from tests.support.partitions import rebuild, write
from tests.support.pgbouncer import NoPgBouncerError, PgBouncer, pgbouncer

# What a session has that it did not begin with.
LEFT = (
    "select array(select concat(s.name, '=', s.setting) from pg_settings as s"
    " where s.source = 'session' and s.name not in ('client_encoding', 'application_name')"
    " and not starts_with(s.name, 'transaction_')"
    " union all select 'account ' || current_setting('audit.account_id', true)"
    " where current_setting('audit.account_id', true) <> ''"
    " union all select 'statement ' || p.name from pg_prepared_statements as p"
    " union all select 'lock ' || l.objid from pg_locks as l"
    " where l.locktype = 'advisory')"
)
CONNECTIONS = 4


def _bouncer(url: str, mode: str) -> Iterator[PgBouncer]:
    try:
        with pgbouncer(url, CONNECTIONS, mode) as running:
            yield running
    except NoPgBouncerError as error:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def filled(database: str) -> str:
    """The URL of a log with rows, and with a partition to close."""
    with closing(psycopg.connect(database, autocommit=True)) as session:
        rebuild(session, datetime.now(UTC) - timedelta(days=100))
        with session.transaction():
            platform(session)
        write(session, datetime.now(UTC) - timedelta(days=80))
    return database


@pytest.fixture
def pooled(filled: str) -> Iterator[str]:
    """The URL of that log by way of PgBouncer in transaction mode; nothing is left behind there."""
    for bouncer in _bouncer(filled, "transaction"):
        url = bouncer.url(filled)
        yield url
        assert left_behind(url) == []


def left_behind(url: str) -> list[str]:
    """Return what is left in the connections of the server, all of which are looked at."""
    found: list[str] = []
    sessions = [psycopg.connect(url, prepare_threshold=None) for _ in range(CONNECTIONS)]
    try:
        for session in sessions:
            row = session.execute(LEFT).fetchone()
            found += row[0] if row else []
    finally:
        for session in sessions:
            session.close()
    return found


@pytest.mark.parametrize(
    "words",
    [
        "upgrade heads",
        "current",
        "check",
        "maintain --ahead 30",
        "log --account 1",
        "log --all --limit 3",
    ],
)
def test_a_command_leaves_nothing(pooled: str, words: str) -> None:
    for _ in range(2):
        ran = command(*words.split(), "--url", pooled)
        assert ran.returncode == 0 or words == "check", ran.stderr


def test_the_partition_was_closed(pooled: str) -> None:
    ran = command("maintain", "--url", pooled)
    assert "closing log_" in ran.stderr
    assert " 0 closed" not in ran.stderr


def test_downgrade(pooled: str) -> None:
    assert command("downgrade", "licensing@base", "--url", pooled).returncode == 0


@pytest.mark.parametrize("form", ["jsonl", "csv", "parquet"])
def test_export(pooled: str, tmp_path: Path, form: str) -> None:
    for name in ("one", "two"):
        ran = command(
            *("export", str(tmp_path / name), "--format", form),
            *("--since-last", str(tmp_path / "state"), "--url", pooled),
        )
        assert ran.returncode == 0, ran.stderr


def test_import(pooled: str, engine_database: str, tmp_path: Path) -> None:
    assert (
        command("export", str(tmp_path / "out"), "--format", "jsonl", "--url", pooled).returncode
        == 0
    )
    for bouncer in _bouncer(engine_database, "transaction"):
        url = bouncer.url(engine_database)
        for _ in range(2):
            ran = command("import", str(tmp_path / "out"), "--url", url)
            assert ran.returncode == 0, ran.stderr
        assert left_behind(url) == []


def test_following_goes_on_after_many_looks(pooled: str, filled: str) -> None:
    """psycopg prepares a statement at its sixth time, where the next look may not find it."""
    came: list[int] = []
    with (
        own.connect(pooled) as connection,
        closing(psycopg.connect(filled, autocommit=True)) as writer,
        closing(psycopg.connect(pooled, prepare_threshold=None)) as busy,
    ):
        looks = 0

        def wait(_: float) -> None:
            nonlocal looks
            looks += 1
            write(writer, datetime.now(UTC))
            # Every other look runs on another connection of the server.
            if looks % 2:
                busy.execute("select 1")
            else:
                busy.rollback()

        for found in follow.batches(connection, filtered(), wait=wait):
            came += [event.id for event in found]
            if looks > 20:
                break
    assert len(came) >= 20


def test_an_account_is_named_to_no_other_client(pooled: str) -> None:
    seen: list[list[str]] = []
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.append(left_behind(pooled))

    thread = threading.Thread(target=look)
    thread.start()
    for account in ("1", "2"):
        assert command("log", "--account", account, "--url", pooled).returncode == 0
    stop.set()
    thread.join()
    assert [one for one in seen if one] == []


@pytest.mark.parametrize(
    "words",
    ["upgrade", "current", "check", "maintain", "log", "export out", "downgrade base"],
)
def test_in_statement_mode_it_says_what_is_wrong(
    filled: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for bouncer in _bouncer(filled, "statement"):
        ran = command(*words.split(), "--url", bouncer.url(filled))
        assert ran.returncode == 1
        assert "pools statements" in ran.stderr
        assert "transaction or session mode" in ran.stderr
        assert "Is the server running" not in ran.stderr
