"""Everything that audit.check() looks for is broken for real, named, and mended as it says."""

import json
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

import auditdb
from auditdb import Finding
from auditdb._upkeep import migrate, tampering
from tests.conftest import Connect, CreateRole, _new_database
from tests.docs.test_docs import first_column, section
from tests.export import test_replicated
from tests.support import broken, tampered
from tests.support.broken import BROKEN, LICENSES, TABLES, Broken
from tests.support.commands import auditdb as run
from tests.support.commands import terminal
from tests.support.helpers import platform, recorded, value
from tests.support.readers import KINDS, Asked, ask
from tests.support.servers import Server
from tests.upkeep import test_tampering

LICENSE_WRITTEN = (
    "insert into licensing.licenses (account_id, product_id, order_id) values ({0.account},"
    " {0.product}, {0.order})"
)


@pytest.fixture(scope="session")
def small_template(server: Server, engine_template: str) -> Iterator[str]:
    """The name of a database with a few tracked tables, which are checked faster than many."""
    with _new_database(server, engine_template) as name:
        with psycopg.connect(server.url(name)) as conn:
            conn.execute(TABLES.encode())
        yield name


@pytest.fixture(scope="session")
def _shared(server: Server, small_template: str) -> Iterator[str]:
    """The URL of such a database whose tests roll back what they do."""
    with _new_database(server, small_template) as name:
        yield server.url(name)


@pytest.fixture
def shared(_shared: str) -> Iterator[psycopg.Connection]:
    """A superuser's session on such a database, in a transaction that is rolled back."""
    with closing(psycopg.connect(_shared)) as conn:
        yield conn


@pytest.fixture
def small(server: Server, small_template: str, _roles: list[str]) -> Iterator[str]:
    """The URL of such a database that is this test's own."""
    with _new_database(server, small_template) as name:
        yield server.url(name)


@pytest.fixture
def owner(small: str) -> Iterator[psycopg.Connection]:
    """A superuser's session on a database of the test's own, outside transactions."""
    with closing(psycopg.connect(small, autocommit=True)) as conn:
        yield conn


@pytest.fixture
def sessions() -> Iterator[ExitStack]:
    """More sessions; they are closed when the test ends."""
    with ExitStack() as stack:
        yield stack


def found(conn: psycopg.Connection, hours: float = 1) -> list[tuple[str, str]]:
    pending_after = timedelta(hours=hours)
    return [(f.finding, f.object) for f in auditdb.check(conn, pending_after=pending_after)]


def mend(conn: psycopg.Connection, findings: Sequence[Finding], url: str = "") -> None:
    """Run the commands that mend, as the person who reads them would."""
    for finding in findings:
        if finding.mend.startswith("auditdb "):
            assert run(*finding.mend.split()[1:], "--url", url).returncode == 0
        else:
            conn.execute(finding.mend.encode())


def test_a_new_database_is_well(database: str) -> None:
    with psycopg.connect(database) as conn:
        assert auditdb.check(conn) == ()


def test_the_engine_alone_is_well(engine_database: str) -> None:
    with psycopg.connect(engine_database) as conn:
        assert auditdb.check(conn) == ()


def test_an_owner_without_roles_for_functions_is_told(
    server: Server, empty_database: str, create_role: CreateRole
) -> None:
    role, name = create_role(), str(conninfo.conninfo_to_dict(empty_database)["dbname"])
    server.execute("alter database {} owner to {}", name, role)
    url = server.url(name, role)
    migrate.upgrade(url, "heads")
    roles = ["audit_lookup", "audit_writer"]
    with (
        psycopg.connect(url, autocommit=True) as owner,
        psycopg.connect(empty_database, autocommit=True) as superuser,
    ):
        for name in roles:
            if not value(superuser, "select to_regrole(%s) is not null", name):
                superuser.execute(f"create role {name} nologin".encode())
        owner.execute("select audit.grant_rights()")
        findings = [f for f in auditdb.check(owner) if f.finding == "function_rights"]
        assert sorted(f.object for f in findings) == roles
        for finding in findings:
            grant, _, rest = finding.mend.partition("; ")
            superuser.execute(grant.encode())
            owner.execute(rest.encode())
        kinds = {f.finding for f in auditdb.check(owner)}
        assert not kinds & {"function_rights", "function_owner", "role_member"}
        owners = owner.execute(
            "select distinct proowner::regrole::text from pg_proc"
            " where pronamespace = 'audit'::regnamespace and prorettype = 'trigger'::regtype"
            "   and proname like 'licensing\\_%%' order by 1"
        ).fetchall()
        assert owners == [("audit_lookup",), ("audit_writer",)]
        with recorded(owner) as rows:
            platform(owner)
        assert rows


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.what)
def test_what_is_broken_is_named_and_mended(shared: psycopg.Connection, case: Broken) -> None:
    shared.execute(case.statements.encode())
    findings = auditdb.check(shared)
    assert sorted((f.finding, f.object) for f in findings) == sorted(case.found)
    assert {f.severity for f in findings} <= {"error", "warning"}
    assert [f.message for f in findings if not f.message.endswith(".")] == []
    mend(shared, findings)
    assert auditdb.check(shared) == ()


def test_a_declaration_that_no_longer_fits_says_why(owner: psycopg.Connection) -> None:
    owner.execute(
        "create table public.thing (id int primary key, owner text);"
        "select audit.track('public.thing', account => 'owner');"
        "alter event trigger audit_after_ddl disable;"
        "alter table public.thing drop column owner cascade;"
        "alter event trigger audit_after_ddl enable always;"
    )
    (finding,) = auditdb.check(owner)
    assert (finding.finding, finding.object) == ("declaration_broken", "public.thing")
    assert "owner" in finding.message
    owner.execute(finding.mend.replace(", ...", "").encode())
    assert auditdb.check(owner) == ()


def test_a_table_that_cannot_be_tracked_says_why(owner: psycopg.Connection) -> None:
    owner.execute("create table licensing.vouchers (id int)")
    assert auditdb.check(owner) == ()
    (finding,) = [f for f in auditdb.check(owner, severity="info") if f.object != "audit.log"]
    assert (finding.object, finding.severity) == ("licensing.vouchers", "info")
    assert "no primary key" in finding.message
    owner.execute(finding.mend.replace("...", "id").encode())
    mend(owner, auditdb.check(owner))
    assert auditdb.check(owner) == ()


def test_a_table_of_which_nothing_is_essential_is_declared_so(owner: psycopg.Connection) -> None:
    owner.execute("create table licensing.vouchers (id int primary key)")
    owner.execute("select audit.track('licensing.vouchers', actions => '[]')")
    assert auditdb.check(owner) == ()
    mark = value(owner, "select count(*) from audit.log")
    owner.execute("insert into licensing.vouchers values (1); update licensing.vouchers set id = 2")
    assert value(owner, "select count(*) from audit.log") == mark


def rebuild(conn: psycopg.Connection, *bounds: str) -> None:
    """Give an empty log the partitions between these times from now, and the catch-alls."""
    conn.execute(
        "do $$ declare v_name text; begin"
        " for v_name in select partition from audit.partition_list() loop"
        " execute format('drop table audit.%I', v_name); end loop; end $$"
    )
    times = ["'minvalue'", *(f"(now() + interval '{bound}')::text" for bound in bounds)]
    for number, (lower, upper) in enumerate(pairwise([*times, "'maxvalue'"])):
        name = {0: "log_past", len(bounds): "log_future"}.get(number, f"log_{number}")
        conn.execute(f"select audit.add_partition('{name}', {lower}, {upper})".encode())


@pytest.mark.parametrize(("end", "severity"), [("20 days", "error"), ("4 months", "warning")])
def test_partitions_that_run_out(
    owner: psycopg.Connection, small: str, end: str, severity: str
) -> None:
    with owner.transaction():
        rebuild(owner, "-10 days", end)
    (finding,) = auditdb.check(owner)
    assert (finding.finding, finding.severity) == ("partitions_running_out", severity)
    assert "end at" in finding.message
    mend(owner, [finding], small)
    assert auditdb.check(owner) == ()


def test_when_maintenance_is_forgotten_it_is_told_before_spares_are_used(
    owner: psycopg.Connection, small: str
) -> None:
    with owner.transaction():
        rebuild(owner, "-10 days", "40 days", "2 years")
    assert auditdb.check(owner) == ()
    with owner.transaction():
        rebuild(owner, "-10 days", "20 days", "2 years")
    (finding,) = auditdb.check(owner)
    assert (finding.finding, finding.severity) == ("partitions_running_out", "warning")
    assert "spare" in finding.message
    mend(owner, [finding], small)
    assert auditdb.check(owner) == ()


def test_a_spare_that_is_in_use_is_no_fault(owner: psycopg.Connection, small: str) -> None:
    """Nothing can make it smaller; after it come partitions of the interval again."""
    with owner.transaction():
        rebuild(owner, "-30 days", "200 days")
        owner.execute(
            "insert into audit.log (action, item_type, item_id, actor_type, actor_id, db_role)"
            " values ('a', 't', '1', 'x', 'x', 'x')"
        )
    assert run("maintain", "--url", small).returncode == 0
    assert auditdb.check(owner) == ()
    assert value(owner, "select tableoid::regclass::text from audit.log") == "audit.log_1"


def test_a_month_to_come_without_a_partition(owner: psycopg.Connection) -> None:
    name = value(
        owner,
        "select l.partition from audit.partition_list() as l"
        " where l.lower_bound > now() order by l.lower_bound limit 1",
    )
    owner.execute(f"alter table audit.log detach partition audit.{name}".encode())
    findings = auditdb.check(owner)
    assert [(f.finding, f.object) for f in findings] == [("partition_missing", f"audit.{name}")]
    mend(owner, findings)
    assert auditdb.check(owner) == ()


def test_a_month_that_was_detached_to_be_kept_elsewhere_is_no_fault(
    owner: psycopg.Connection,
) -> None:
    owner.execute("alter table audit.log detach partition audit.log_past")
    owner.execute("select audit.add_partition('log_2001', '2001-01-01', '2002-01-01')")
    owner.execute("alter table audit.log_past rename to log_kept")
    owner.execute("select audit.add_partition('log_past', 'minvalue', '2001-01-01')")
    assert auditdb.check(owner) == ()


def test_rows_without_an_actor(connect: Connect) -> None:
    owner = connect(autocommit=True)
    with owner.transaction():
        owner.execute("select audit.set_actor('system', 'test')")
        p = platform(owner)
    assert auditdb.check(owner) == ()
    owner.execute(LICENSE_WRITTEN.format(p).encode())
    (finding,) = auditdb.check(owner)
    assert finding.finding == "actor_missing"
    assert "licensing.licenses" in finding.object.split(", ")
    assert "7 days: 1." in finding.message
    with owner.transaction():
        mend(owner, [finding])
        owner.execute(LICENSE_WRITTEN.format(p).encode())
    assert auditdb.check(owner) == (finding,)


def test_rows_about_the_log_itself_need_no_actor(shared: psycopg.Connection) -> None:
    shared.execute("select audit.record_export('{}')")
    assert value(shared, "select actor_type from audit.log where item_type = 'log'") == "database"
    assert auditdb.check(shared) == ()


def test_rows_without_an_actor_are_forgotten_after_a_week(owner: psycopg.Connection) -> None:
    owner.execute(
        "insert into audit.log (occurred_at, action, item_type, item_id, actor_type, actor_id,"
        " db_role) values (now() - interval '8 days', 'a', 't', '1', 'database', 'x', 'x')"
    )
    assert auditdb.check(owner) == ()


def test_transactions_that_are_pending(
    owner: psycopg.Connection, small: str, sessions: ExitStack
) -> None:
    reader, writer, preparer = (
        sessions.enter_context(closing(psycopg.connect(small))) for _ in range(3)
    )
    reader.execute("select count(*) from licensing.licenses")
    writer.execute("create table public.thing (id int)")
    preparer.execute("create table public.other (id int)")
    gid = f"pending_{preparer.info.dbname}"
    preparer.execute(f"prepare transaction '{gid}'".encode())
    assert auditdb.check(owner) == ()
    findings = auditdb.check(owner, pending_after=timedelta())
    ours = {f"process {writer.info.backend_pid}", gid}
    findings = tuple(f for f in findings if f.object in ours)  # the server may have others
    assert {(f.finding, f.object) for f in findings} == {
        ("transaction_old", f"process {writer.info.backend_pid}"),
        ("prepared_transaction_old", gid),
    }
    mend(owner, findings)
    assert not ours & {name for _, name in found(owner, hours=0)}
    assert value(owner, "select to_regclass('public.thing')") is None


def test_a_role_or_database_that_plays_the_replica(
    owner: psycopg.Connection, create_role: CreateRole
) -> None:
    role, name = create_role(), owner.info.dbname
    owner.execute(f"alter role {role} set session_replication_role = replica".encode())
    owner.execute(
        f"alter role {role} in database {name} set session_replication_role = replica".encode()
    )
    owner.execute(f"alter database {name} set session_replication_role = replica".encode())
    findings = auditdb.check(owner)
    assert {(f.finding, f.object) for f in findings} == {
        ("replica_by_default", f"role {role}"),
        ("replica_by_default", f"role {role} in database {name}"),
        ("replica_by_default", f"database {name}"),
    }
    mend(owner, findings)
    assert auditdb.check(owner) == ()


def test_a_server_that_plays_the_replica(server: Server, owner: psycopg.Connection) -> None:
    server.execute("alter system set session_replication_role = replica")
    try:
        server.execute("select pg_reload_conf()")
        wait_for_setting(owner, "replica")
        findings = auditdb.check(owner)
        assert [(f.finding, f.object) for f in findings] == [("replica_by_default", "server")]
        # The server takes ALTER SYSTEM alone only.
        for command in findings[0].mend.split("; "):
            owner.execute(command.encode())
        wait_for_setting(owner, "origin")
        assert auditdb.check(owner) == ()
    finally:
        server.execute("alter system reset session_replication_role")
        server.execute("select pg_reload_conf()")


def wait_for_setting(conn: psycopg.Connection, role: str) -> None:
    """Wait until the session has read the server's configuration."""
    deadline = time.monotonic() + 30
    while value(conn, "select current_setting('session_replication_role')") != role:
        assert time.monotonic() < deadline


def test_roles_that_are_not_there(server: Server, owner: psycopg.Connection) -> None:
    server.execute("alter role audit_maintainer rename to audit_maintainer_away")
    try:
        (finding,) = auditdb.check(owner)
        assert (finding.finding, finding.object) == ("role_missing", "audit_maintainer")
        mend(owner, [finding])
        assert auditdb.check(owner) == ()
        owner.execute("drop owned by audit_maintainer")
        (finding,) = auditdb.check(owner)
        assert (finding.finding, finding.object) == ("grant_missing", "audit_maintainer")
    finally:
        owner.execute(
            "do $$ begin if to_regrole('audit_maintainer') is not null then"
            " drop owned by audit_maintainer; end if; end $$"
        )
        server.execute("drop role if exists audit_maintainer")
        server.execute("alter role audit_maintainer_away rename to audit_maintainer")


def test_a_policy_of_ones_own_goes_for_partitions_to_come(
    owner: psycopg.Connection, create_role: CreateRole
) -> None:
    role = create_role()
    owner.execute(
        f"create policy pinned on audit.log as restrictive for select to {role}"
        " using (account_id = '1')".encode()
    )
    findings = auditdb.check(owner)
    assert {f.finding for f in findings} == {"policy_missing"}
    assert ("policy_missing", "pinned on audit.log_past") in found(owner)
    mend(owner, findings[:1])
    assert auditdb.check(owner) == ()
    while value(owner, "select audit.maintain('40 months')"):
        pass
    assert auditdb.check(owner) == ()


def test_a_subscription_that_writes(owner: psycopg.Connection) -> None:
    name = f"to_{owner.info.dbname}"
    owner.execute(
        f"create subscription {name} connection 'dbname=none' publication p"
        " with (connect = false, slot_name = none)".encode()
    )
    try:
        owner.execute(
            "insert into pg_subscription_rel (srsubid, srrelid, srsubstate)"
            f" select oid, '{LICENSES}'::regclass, 'r' from pg_subscription"
            f" where subname = '{name}'".encode()
        )
        assert auditdb.check(owner) == ()
        owner.execute(
            f"update pg_subscription set subenabled = true where subname = '{name}'".encode()
        )
        findings = auditdb.check(owner)
        assert [(f.finding, f.object) for f in findings] == [
            ("subscription_writes", f"{name} to {LICENSES}")
        ]
        mend(owner, findings)
        assert auditdb.check(owner) == ()
    finally:
        owner.execute(f"drop subscription {name}".encode())


def test_a_database_of_another_encoding(server: Server) -> None:
    name = "auditdb_latin1_check"
    server.execute("create database {} template template0 encoding 'LATIN1'", name)
    try:
        migrate.upgrade(server.url(name), "heads")
        with psycopg.connect(server.url(name), autocommit=True) as conn:
            (finding,) = auditdb.check(conn)
            assert (finding.finding, finding.object) == ("encoding_wrong", name)
            mend(conn, [finding])
        encoding = "select pg_encoding_to_char(encoding) from pg_database where datname = %s"
        with psycopg.connect(server.url(f"{name}_utf8")) as conn:
            assert value(conn, encoding, f"{name}_utf8") == "UTF8"
    finally:
        server.execute("drop database if exists {} with (force)", name)
        server.execute("drop database if exists {} with (force)", f"{name}_utf8")


# -- who may ask, and at what cost -------------------------------------------------------------


def test_a_role_for_monitoring_needs_the_right_to_ask_and_nothing_else(
    server: Server, owner: psycopg.Connection, create_role: CreateRole, sessions: ExitStack
) -> None:
    role = create_role()
    url = server.url(owner.info.dbname, role)
    monitor = sessions.enter_context(closing(psycopg.connect(url, autocommit=True)))
    with pytest.raises(auditdb.AuditError, match="refused"):
        auditdb.check(monitor)
    owner.execute(f"grant execute on function audit.check(interval) to {role}".encode())
    monitor.execute("set default_transaction_read_only = on")
    assert auditdb.check(monitor) == ()
    owner.execute("alter table licensing.orders disable trigger _audit_insert")
    assert found(monitor) == [("trigger_disabled", "_audit_insert on licensing.orders")]


def test_an_owner_without_superuser_rights_says_what_is_hidden(
    server: Server, empty_database: str, create_role: CreateRole
) -> None:
    role = create_role()
    name = psycopg.conninfo.conninfo_to_dict(empty_database)["dbname"]
    assert isinstance(name, str)
    server.execute("alter database {} owner to {}", name, role)
    migrate.upgrade(server.url(name, role), "heads")
    with psycopg.connect(server.url(name, role), autocommit=True) as conn:
        others = ("function_rights", "role_missing")
        (finding,) = (f for f in auditdb.check(conn) if f.finding not in others)
        assert (finding.finding, finding.object) == ("sessions_hidden", role)
        with psycopg.connect(empty_database, autocommit=True) as superuser:
            mend(superuser, [finding])
        assert {f.finding for f in auditdb.check(conn)} <= {*others}


def test_checking_holds_no_lock_that_a_writer_waits_for(shared: psycopg.Connection) -> None:
    conn = shared
    assert auditdb.check(conn) == ()
    modes = conn.execute(
        "select distinct mode from pg_locks where pid = pg_backend_pid() and locktype = 'relation'"
    ).fetchall()
    assert modes == [("AccessShareLock",)]
    assert value(conn, "select txid_current_if_assigned()") is None


def test_a_database_without_the_log(empty_database: str) -> None:
    with (
        psycopg.connect(empty_database) as conn,
        pytest.raises(auditdb.AuditError, match="no audit log") as refused,
    ):
        auditdb.check(conn)
    assert "auditdb upgrade" in (refused.value.hint or "")


def test_findings_are_the_same_on_every_kind_of_connection(
    owner: psycopg.Connection, small: str
) -> None:
    owner.execute("alter table licensing.orders disable trigger _audit_insert")
    found = auditdb.check(owner)
    assert [one.finding for one in found] == ["trigger_disabled"]
    asked: list[Asked] = [
        (auditdb.check, (), {}),
        (auditdb.check, (), {"pending_after": timedelta(days=1, seconds=1, microseconds=1)}),
        (auditdb.check, (), {"pending_after": timedelta()}),
    ]
    with closing(psycopg.connect(small)) as pending:
        pending.execute("insert into licensing.orders values (1)")
        for kind in KINDS:
            same, later, at_once = ask(small, kind, *asked)
            assert same == later == found, kind
            assert {f.finding for f in at_once} == {"trigger_disabled", "transaction_old"}, kind


@pytest.mark.parametrize(
    "kind", ["sync psycopg2 session", "async psycopg", "async asyncpg session"]
)
def test_errors_of_checking_are_ours_on_every_kind_of_connection(
    kind: str,
    server: Server,
    database: str,
    empty_database: str,
    connect: Connect,
    create_role: CreateRole,
) -> None:
    check: Asked = (auditdb.check, (), {})
    with pytest.raises(auditdb.SchemaMissing, match="auditdb upgrade"):
        ask(empty_database, kind, check)
    name = str(psycopg.conninfo.conninfo_to_dict(database)["dbname"])
    with pytest.raises(auditdb.PermissionDenied):
        ask(server.url(name, create_role()), kind, check)
    connect(autocommit=True).execute(
        "update audit.alembic_version set version_num = 'audit_0000';"
        "alter function audit.check(interval) rename to former"
    )
    with pytest.raises(auditdb.SchemaBehind, match="auditdb upgrade"):
        ask(database, kind, check)
    with pytest.raises(TypeError, match=r"check\(\) reads through a Connection"):
        auditdb.check(database)  # type: ignore[call-overload]


# -- the command -----------------------------------------------------------------------------


def test_the_command_says_that_all_is_well(database: str) -> None:
    ran = run("check", "--url", database)
    assert (ran.returncode, ran.stdout.splitlines()[-1], ran.stderr) == (0, "All is well.", "")
    ran = run("check", "--json", "--url", database)
    assert (ran.returncode, ran.stderr) == (0, "")
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert {finding["severity"] for finding in told} == {"info"}


def test_the_command_shows_findings_and_exits_with_1(owner: psycopg.Connection, small: str) -> None:
    owner.execute("alter table licensing.orders disable trigger _audit_insert")
    owner.execute("create table licensing.vouchers (id int primary key)")
    ran = run("check", "--url", small)
    assert ran.returncode == 1
    assert "trigger_disabled" in ran.stdout
    words = " ".join(ran.stdout.split())
    assert "alter table licensing.orders enable always trigger _audit_insert;" in words
    assert "select audit.track('licensing.vouchers');" in words
    assert ran.stderr.endswith("1 error.\n")
    code, shown = terminal("check", "--url", small)
    assert code == 1
    assert "_audit_insert on licensing.orders" in " ".join(shown.split())


def test_findings_as_json_lines(owner: psycopg.Connection, small: str) -> None:
    owner.execute('create table licensing."v\u202e\x1b[31m" (id int primary key)')
    ran = run("check", "--json", "--url", small)
    assert ran.returncode == 0
    assert ran.stdout.replace("\n", "").isprintable()
    findings = [json.loads(line) for line in ran.stdout.splitlines()]
    (finding,) = [one for one in findings if one["finding"] == "table_untracked"]
    assert list(finding) == ["finding", "severity", "object", "message", "mend"]
    assert finding["object"] == 'licensing."v\u202e\x1b[31m"'
    assert Finding(**finding) in auditdb.check(owner, severity="info")
    shown = run("check", "--url", small).stdout
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_the_command_needs_a_database_with_a_log(empty_database: str) -> None:
    ran = run("check", "--url", empty_database)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert "auditdb upgrade" in ran.stderr
    assert run("check").returncode == 2


def test_triggers_without_a_declaration_are_named(owner: psycopg.Connection) -> None:
    owner.execute(
        "create table public.thing (id int primary key, v int) partition by range (id);"
        "create table public.thing_1 partition of public.thing for values from (0) to (9);"
        "select audit.track('public.thing');"
        "delete from audit.tracked where target = 'public.thing'::regclass"
    )
    (finding,) = (f for f in auditdb.check(owner) if f.finding == "declaration_missing")
    assert (finding.severity, finding.object) == ("error", "public.thing")
    assert finding.mend == "select audit.track('public.thing', ...);"
    owner.execute("select audit.track('public.thing')")
    assert [f for f in auditdb.check(owner) if f.finding == "declaration_missing"] == []


def test_every_finding_is_documented_and_every_one_is_tried(owner: psycopg.Connection) -> None:
    sources = owner.execute(
        "select prosrc from pg_proc where pronamespace = 'audit'::regnamespace"
        " and starts_with(proname, 'check_') and prorettype = 'audit.finding'::regtype"
    ).fetchall()
    codes = {
        code
        for (source,) in sources
        for code in re.findall(r"(?:select|then|else) '([a-z]+_[a-z_]+)'(?=,| else| end)", source)
    }
    assert len(sources) == 27
    compared = Path(str(tampering.__file__)).read_text("utf-8")
    codes |= set(re.findall(r'"((?!audit_)[a-z]+(?:_[a-z]+)+)"', compared))
    codes |= {"check_not_asked", "code_unknown"}
    assert codes == set(first_column(section("Findings")))
    modules = (broken, tampered, test_tampering, test_replicated)
    files = [__file__, *(str(module.__file__) for module in modules)]
    tests = "".join(Path(file).read_text("utf-8") for file in files)
    assert {code for code in codes if f'"{code}"' not in tests} == set()
