"""On a standby nobody knows which transactions are open: refused, or read in the safe way."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from auditdb._export import watermark
from tests.conftest import Connect
from tests.export.test_export_incremental import insert
from tests.support.commands import auditdb
from tests.support.exports import export, keys, last_event
from tests.support.servers import Server
from tests.support.standby import caught_up, standby


@pytest.fixture
def copy(server: Server, database: str) -> Iterator[str]:
    """The URL of the test's database on a standby."""
    with standby(server) as copied:
        yield copied.url(str(conninfo.conninfo_to_dict(database)["dbname"]))


def test_a_standby_loses_no_row_that_commits_late(
    database: str, copy: str, connect: Connect, tmp_path: Path
) -> None:
    slow, quick = connect(), connect(autocommit=True)
    before = insert(quick)
    late = insert(slow)
    early = insert(quick)
    state = ("--since-last", str(tmp_path / "state"), "--action", "a", "--format", "jsonl")
    with psycopg.connect(copy, autocommit=True) as there:
        caught_up(quick, there)
        refused = auditdb("export", str(tmp_path / "no"), "--url", copy, *state)
        assert refused.returncode == 1
        assert "--primary" in refused.stderr
        safe = ("--primary", database)
        # The standby's snapshot counts the open transaction among those that are over.
        mark = watermark.take(there, on_standby=True)
        assert mark.is_standby
        assert mark.watermark.pending == ()
        export(copy, tmp_path / "1", *state, *safe)
        assert keys(tmp_path / "1") == [before]
        assert last_event(database)["action"] == "log_exported"
        slow.commit()
        caught_up(quick, there)
        export(copy, tmp_path / "2", *state, *safe)
        assert sorted(keys(tmp_path / "2")) == sorted([early, late])
        caught_up(quick, there)
        export(copy, tmp_path / "3", *state, *safe)
        assert keys(tmp_path / "3") == []


def test_a_standby_behind_the_state_gives_nothing_twice(
    database: str, copy: str, connect: Connect, tmp_path: Path
) -> None:
    slow, quick = connect(), connect(autocommit=True)
    late = insert(slow)
    early = insert(quick)
    state = ("--since-last", str(tmp_path / "state"), "--action", "a", "--format", "jsonl")
    export(database, tmp_path / "1", *state)
    assert keys(tmp_path / "1") == [early]
    with psycopg.connect(copy, autocommit=True) as there:
        caught_up(quick, there)
        export(copy, tmp_path / "2", *state, "--primary", database)
        assert keys(tmp_path / "2") == []
        slow.commit()
        caught_up(quick, there)
        export(copy, tmp_path / "3", *state, "--primary", database)
        assert keys(tmp_path / "3") == [late]
    export(database, tmp_path / "4", *state)
    assert keys(tmp_path / "4") == []
