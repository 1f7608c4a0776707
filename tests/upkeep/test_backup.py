"""The log under pg_dump and pg_restore, as docs/howto-backup.md says."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from tests.conftest import _new_database
from tests.support import ROOT, helpers
from tests.support.commands import auditdb
from tests.support.exports import data, export
from tests.support.servers import Server

PAGE = ROOT / "docs" / "howto-backup.md"
LOG = "select * from audit.log order by id"
TRIGGERS = (
    "select tgrelid::regclass::text, tgname, tgenabled from pg_trigger"
    " where not tgisinternal order by 1, 2"
)


def block(number: int) -> list[list[str]]:
    """Return the commands of a block of the page, as words."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return [shlex.split(line) for line in blocks[number].splitlines()]


def run(server: Server, tmp_path: Path, number: int, **names: str) -> None:
    """Run a block of the page in `tmp_path`, with databases of the test for those it names."""
    for program, *words in block(number):
        if program == "createdb":
            continue
        given = [names.get(word, word) for word in words]
        given = [str(tmp_path / word) if word.endswith(".dump") else word for word in given]
        server.run(program, *given)


def name_of(url: str) -> str:
    return str(conninfo.conninfo_to_dict(url)["dbname"])


@pytest.fixture
def helpdesk(database: str) -> str:
    """The URL of a database with a small platform in it."""
    with psycopg.connect(database) as connection:
        connection.execute("select audit.set_actor('platform_user', '7')")
        helpers.platform(connection)
    return database


@pytest.fixture
def target(server: Server, template: str) -> Iterator[str]:
    """The URL of another database with nothing but the migrations."""
    with _new_database(server, template) as name:
        yield server.url(name)


def test_a_database_restored_whole_has_the_same_log_and_triggers(
    server: Server, helpdesk: str, empty_database: str, tmp_path: Path
) -> None:
    state = ("--since-last", str(tmp_path / "state"), "--format", "jsonl")
    export(helpdesk, tmp_path / "before", *state)
    run(server, tmp_path, 0, helpdesk=name_of(helpdesk), restored=name_of(empty_database))
    with psycopg.connect(helpdesk) as here, psycopg.connect(empty_database) as there:
        assert there.execute(LOG).fetchall() == here.execute(LOG).fetchall()
        assert there.execute(TRIGGERS).fetchall() == here.execute(TRIGGERS).fetchall()
        there.execute("update licensing.customers set company_name = 'Other'")
        there.commit()
        assert helpers.new_log(there)[-1].action == "customer_updated"
    # As on another server, whose identifier is another one.
    with psycopg.connect(empty_database) as there:
        there.execute("update audit.era set server = server + 1")
    refused = auditdb("export", str(tmp_path / "no"), "--url", empty_database, *state)
    assert "audit.begin_era()" in refused.stderr
    (tmp_path / "no").rmdir()
    run(server, tmp_path, 1, restored=name_of(empty_database))
    export(empty_database, tmp_path / "after", *state)
    (content,) = data(tmp_path / "after").values()
    # The row about the first export, the update, and that restored tables were compiled anew.
    actions = [json.loads(line)["action"] for line in content.splitlines()]
    assert [a for a in actions if a != "tracking_changed"] == ["log_exported", "customer_updated"]
    assert len(set(actions)) == 3


def test_data_restored_with_triggers_disabled_leaves_no_false_rows(
    server: Server, helpdesk: str, target: str, tmp_path: Path
) -> None:
    with psycopg.connect(target) as there:
        before = there.execute(TRIGGERS).fetchall()
    run(server, tmp_path, 2, helpdesk=name_of(helpdesk), other=name_of(target))
    with psycopg.connect(target) as there:
        assert helpers.value(there, "select count(*) from licensing.licenses") == 1
        actions = {row.action for row in helpers.new_log(there)}
        assert actions <= {"tracking_started", "tracking_changed"}
        assert there.execute(TRIGGERS).fetchall() == before
        there.execute("update licensing.customers set company_name = 'Other'")
        assert helpers.new_log(there)[-1].action == "customer_updated"


def test_data_restored_with_triggers_on_leaves_false_rows(
    server: Server, helpdesk: str, target: str, tmp_path: Path
) -> None:
    """What the page warns of: if this changes, so must the page."""
    dump = str(tmp_path / "data.dump")
    server.run("pg_dump", "--data-only", "-t", "licensing.accounts", "-t", "licensing.customers",
               "-Fc", "-f", dump, name_of(helpdesk))  # fmt: skip
    server.run("pg_restore", "--data-only", "-d", name_of(target), dump)
    with psycopg.connect(target) as there:
        assert "customer_created" in {row.action for row in helpers.new_log(there)}


def test_the_log_alone_is_restored_where_nothing_is_tracked_yet(
    server: Server, helpdesk: str, engine_database: str, tmp_path: Path
) -> None:
    with psycopg.connect(engine_database) as there:
        empty = there.execute(TRIGGERS).fetchall()
    run(server, tmp_path, 3, helpdesk=name_of(helpdesk), other=name_of(engine_database))
    shown = (
        "select e.id, e.item_id, e.changes from audit.events as e where changes is not null"
        " order by 1"
    )
    with psycopg.connect(helpdesk) as here, psycopg.connect(engine_database) as there:
        assert there.execute(LOG).fetchall() == here.execute(LOG).fetchall()
        assert there.execute(TRIGGERS).fetchall() == empty
        assert there.execute(shown).fetchall() == here.execute(shown).fetchall()
        newest = helpers.newest(there)
        # A table that is tracked from now on has a layout of its own.
        there.execute("create table public.late (id integer primary key, note text)")
        there.execute("select audit.track('public.late')")
        there.execute("insert into public.late values (1, 'x')")
        rows = helpers.new_log(there, newest)
    assert [row.changes for row in rows if row.action == "late_created"] == [
        {"id": {"new": 1}, "note": {"new": "x"}}
    ]


def test_the_log_alone_is_refused_where_layouts_would_be_taken_for_others(
    server: Server, helpdesk: str, target: str, tmp_path: Path
) -> None:
    with psycopg.connect(target) as there:
        before = there.execute(LOG).fetchall()
    with pytest.raises(subprocess.CalledProcessError) as refused:
        run(server, tmp_path, 3, helpdesk=name_of(helpdesk), other=name_of(target))
    assert "layout_pkey" in refused.value.stderr
    with psycopg.connect(target) as there:
        assert there.execute(LOG).fetchall() == before


def test_a_dump_of_the_parent_alone_has_no_rows(server: Server, helpdesk: str) -> None:
    dumped = server.run("pg_dump", "--data-only", "-t", "audit.log", name_of(helpdesk)).stdout
    assert "license_created" not in dumped


def test_the_commands_for_the_log_alone_work(helpdesk: str, target: str, tmp_path: Path) -> None:
    for _, *words in block(4):
        given = [str(tmp_path / word) if word == "log-2026" else word for word in words]
        given = [target if word.startswith("postgresql:") else word for word in given]
        if "--until" in given:
            given[given.index("--until") + 1] = "0s"
        ran = auditdb(*given, AUDITDB_URL=helpdesk)
        assert ran.returncode == 0, ran.stderr
    with psycopg.connect(helpdesk) as here, psycopg.connect(target) as there:
        count = "select count(*) from audit.log where action = 'license_created'"
        assert helpers.value(there, count) == helpers.value(here, count) == 1


@pytest.mark.parametrize("with_declarations", [True, False])
def test_a_dump_of_the_schema_alone_says_what_to_do(
    server: Server, helpdesk: str, empty_database: str, tmp_path: Path, with_declarations: bool
) -> None:
    with psycopg.connect(helpdesk) as here:
        here.execute("create table public.thing (id int primary key, name text)")
        here.execute("select audit.track('public.thing')")
    if with_declarations:
        run(server, tmp_path, 5, helpdesk=name_of(helpdesk), empty=name_of(empty_database))
        assert auditdb("upgrade", "--url", empty_database).returncode == 0
    else:
        dump = str(tmp_path / "schema")
        server.run("pg_dump", "--schema-only", "-Fc", "-f", dump, name_of(helpdesk))
        server.run("pg_restore", "--exit-on-error", "-d", name_of(empty_database), dump)
    write = "insert into public.thing values (1, 'A')"
    with psycopg.connect(empty_database, autocommit=True) as there:
        found = [
            (row[0], row[2])
            for row in there.execute("select * from audit.check()")
            if row[1] == "error"
        ]
        if not with_declarations:
            assert ("declaration_missing", "public.thing") in found
            with pytest.raises(psycopg.Error, match="declaration that is gone") as refused:
                there.execute(write)
            assert refused.value.sqlstate == "UA003"
            assert "audit.tracked" in str(refused.value.diag.message_hint)
            there.execute("select audit.track('public.thing')")
        else:
            assert found == []
        newest = helpers.newest(there)
        there.execute(write)
        (row,) = helpers.new_log(there, newest)
    assert row.changes is not None
    assert row.changes["name"] == {"new": "A"}
