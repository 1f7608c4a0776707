"""What is done to the log by its owner is found and repaired; what is not so is not found."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from sqlalchemy import URL, NullPool, create_engine, text
from sqlalchemy.ext.asyncio import create_async_engine

import auditdb
from auditdb import Finding
from auditdb._connection.runner import helper
from auditdb._upkeep import facts, repair, revisions, tampering
from tests.conftest import CreateRole, _migrated, _new_database, _new_role
from tests.support.broken import TABLES
from tests.support.commands import auditdb as run
from tests.support.helpers import value
from tests.support.servers import Server
from tests.support.tampered import OTHERS, TAMPERED, Tampered


@helper
def found() -> Any:
    return (yield from facts.pinned(facts.found()))


def wrong(conn: psycopg.Connection, known: frozenset[str] = frozenset()) -> list[Finding]:
    """Return what a check finds, but for codes that are known of a database."""
    return [f for f in auditdb.check(conn) if f.finding not in known]


@pytest.fixture(scope="module", params=["superuser", "role"])
def installer(request: pytest.FixtureRequest) -> str:
    """Who installed the log."""
    return str(request.param)


@pytest.fixture(scope="module")
def small(server: Server, installer: str) -> Iterator[str]:
    """The URL of a database with a few tracked tables, as who installed the log."""
    if installer == "superuser":
        with _migrated(server, "audit@head") as name, psycopg.connect(server.url(name)) as conn:
            conn.execute(TABLES.encode())
            conn.commit()
            yield server.url(name)
        return
    with _new_role(server) as role, _migrated(server, "audit@head", owner=role) as name:
        with psycopg.connect(server.url(name, role)) as conn:
            conn.execute(TABLES.encode())
        yield server.url(name, role)


@pytest.fixture
def owner(small: str) -> Iterator[psycopg.Connection]:
    """A session of who installed the log, in a transaction that is rolled back."""
    with closing(psycopg.connect(small)) as conn:
        yield conn


def mend(conn: psycopg.Connection, known: frozenset[str]) -> None:
    """Do what findings say until nothing is left, as the person who reads them would."""
    for _ in range(3):
        findings = wrong(conn, known)
        if any(f.mend == tampering.REPAIR for f in findings):
            repair.repair(conn)
            continue
        for finding in findings:
            if finding.mend != "auditdb check":
                conn.execute(finding.mend.encode())


@pytest.mark.parametrize("case", [*TAMPERED, *OTHERS], ids=lambda case: case.what)
def test_what_is_tampered_with_is_found_and_repaired(
    owner: psycopg.Connection, installer: str, case: Tampered
) -> None:
    if case.needs_superuser and installer != "superuser":
        pytest.skip("it takes a superuser")
    known = frozenset(f.finding for f in auditdb.check(owner))
    assert known <= ({"function_rights", "sessions_hidden"} if installer == "role" else set())
    owner.execute(case.statements.encode())
    findings = wrong(owner, known)
    named = [(f.finding, f.object.replace(owner.info.user, "<owner>")) for f in findings]
    assert set(case.found) <= set(named)
    assert {code for code, _ in set(named) - set(case.found)} <= {*case.more}
    assert [f.message for f in findings if not f.message.endswith(".")] == []
    # What a role may repair a superuser may too; it takes the longer part of the time.
    if case.is_mended and installer == "superuser":
        mend(owner, known)
        assert wrong(owner, known) == []


def test_a_new_log_is_as_the_migration_says(server: Server) -> None:
    with _migrated(server, "audit@head") as name, psycopg.connect(server.url(name)) as conn:
        lines = [*facts.to_ship(found(conn))]
    (path,) = (revisions.directory() / "versions").glob(f"{revisions.needed()}_*{facts.SUFFIX}")
    assert path.read_text("utf-8").splitlines() == lines, "run `make draft`"


def test_a_log_that_psql_installed_is_compared_too(owner: psycopg.Connection) -> None:
    owner.execute("drop table audit.alembic_version")
    assert {f.finding for f in auditdb.check(owner)} <= {"function_rights", "sessions_hidden"}
    owner.execute("alter table audit.log alter column tx drop default")
    assert "table_changed" in {f.finding for f in auditdb.check(owner)}


def test_of_a_revision_that_is_not_known_it_is_said_so(owner: psycopg.Connection) -> None:
    owner.execute("update audit.alembic_version set version_num = 'audit_9999'")
    owner.execute("alter table audit.log alter column tx drop default")
    findings = {f.finding: f.severity for f in auditdb.check(owner, severity="info")}
    assert findings["code_unknown"] == "warning"
    assert "table_changed" not in findings
    with pytest.raises(auditdb.MigrationFailed, match="does not know"):
        repair.repair(owner)


@pytest.mark.parametrize("installer", ["superuser"], indirect=True)
def test_a_role_that_may_not_read_the_revision_is_told_so(owner: psycopg.Connection) -> None:
    owner.execute("grant execute on function audit.check(interval) to pg_monitor")
    owner.execute("alter table audit.log alter column tx drop default")
    owner.execute("set role pg_monitor")
    told = {f.finding: f.severity for f in auditdb.check(owner, severity="info")}
    assert told["code_unknown"] == "info"
    assert "table_changed" not in told
    owner.execute("reset role")
    owner.execute("grant select on audit.alembic_version to pg_monitor")
    owner.execute("set role pg_monitor")
    told = {f.finding: f.severity for f in auditdb.check(owner, severity="info")}
    assert "code_unknown" not in told
    assert told["table_changed"] == "error"


def test_a_role_that_reads_a_table_of_the_log_is_a_lesser_fault(owner: psycopg.Connection) -> None:
    owner.execute("grant select on audit.move to pg_monitor")
    told = {f.finding: f for f in auditdb.check(owner)}
    assert (told["grant_extra"].severity, told["grant_extra"].object) == ("warning", "pg_monitor")
    owner.execute("grant insert on audit.move to pg_monitor")
    told = {f.finding: f for f in auditdb.check(owner)}
    assert told["grant_extra"].severity == "error"


# -- no false alarm ----------------------------------------------------------------------------

EVIL = """
create schema evil;
create function evil.no(name, name) returns boolean language sql immutable as 'select false';
create operator evil.= (leftarg = name, rightarg = name, function = evil.no);
create function evil.format(text, variadic text[]) returns text language sql as 'select $$x$$';
create temporary table pg_class (oid oid, relname name);
set search_path = evil, pg_temp, pg_catalog
"""

HOSTILE: tuple[LiteralString, ...] = (
    "set quote_all_identifiers = on",
    "set standard_conforming_strings = off; set escape_string_warning = off",
    "set datestyle = 'German'; set intervalstyle = 'sql_standard'",
    "set timezone = 'Pacific/Apia'",
    "set bytea_output = 'escape'; set extra_float_digits = -15",
    "set row_security = off",
    "set transform_null_equals = on; set array_nulls = off",
    "set search_path = ''",
    "set enable_hashjoin = off; set enable_mergejoin = off; set enable_seqscan = off",
    "set default_transaction_read_only = on",
    "set default_transaction_isolation = 'serializable'",
    "set plan_cache_mode = force_generic_plan; set check_function_bodies = off",
    # Operators and tables that are found first.
    EVIL,
)


@pytest.mark.parametrize("installer", ["superuser"], indirect=True)
@pytest.mark.parametrize("settings", HOSTILE)
@pytest.mark.parametrize("is_autocommit", [False, True])
def test_settings_of_the_caller_change_nothing(
    server: Server, small: str, settings: LiteralString, is_autocommit: bool
) -> None:
    with closing(psycopg.connect(small)) as here:
        known = set(auditdb.check(here, severity="info"))
    with closing(psycopg.connect(small, autocommit=is_autocommit)) as conn:
        conn.execute(settings)
        before = set(conn.execute("show all").fetchall())
        assert set(auditdb.check(conn, severity="info")) == known
        assert before <= set(conn.execute("show all").fetchall())
        ours = conn.execute("select finding, severity, object, message, mend from audit.check()")
        assert {Finding(*row) for row in ours.fetchall()} == known
        if is_autocommit:
            conn.execute("set default_transaction_read_only = off")
            conn.execute("drop schema if exists evil cascade")


def test_what_is_found_first_hides_nothing(owner: psycopg.Connection) -> None:
    owner.execute(HOSTILE[-1])
    owner.execute("alter table audit.log alter column tx drop default")
    assert "table_changed" in {f.finding for f in auditdb.check(owner)}


@pytest.mark.parametrize("installer", ["superuser"], indirect=True)
@pytest.mark.parametrize("driver", ["psycopg", "psycopg2", "psycopg async", "asyncpg async"])
def test_it_is_asked_through_engines_that_commit_each_statement(small: str, driver: str) -> None:
    """Each statement would be a transaction of its own, and what it sets be gone."""
    with closing(psycopg.connect(small)) as conn:
        known = auditdb.check(conn, severity="info")
    parts = psycopg.conninfo.conninfo_to_dict(small)
    query = {"host": str(parts["host"]), "port": str(parts["port"])}
    name, _, way = driver.partition(" ")
    url = URL.create(
        f"postgresql+{name}", str(parts["user"]), database=str(parts["dbname"]), query=query
    )
    hostile, shown = text("set search_path = audit"), text("show search_path")
    options = {"isolation_level": "AUTOCOMMIT", "poolclass": NullPool}

    def ask() -> None:
        with create_engine(url, **options).connect() as conn:
            conn.execute(hostile)
            assert auditdb.check(conn, severity="info") == known
            assert conn.execute(shown).scalar() == "audit"

    async def ask_async() -> None:
        async with create_async_engine(url, **options).connect() as conn:
            await conn.execute(hostile)
            assert await auditdb.check(conn, severity="info") == known
            assert (await conn.execute(shown)).scalar() == "audit"

    if way == "async":
        asyncio.run(ask_async())
    else:
        ask()


def test_a_session_is_left_as_it_was_where_asking_fails(
    server: Server, small: str, create_role: CreateRole
) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(small)["dbname"])
    with closing(psycopg.connect(server.url(name, create_role()), autocommit=True)) as conn:
        before = conn.execute("show search_path").fetchall()
        with pytest.raises(auditdb.PermissionDenied):
            auditdb.check(conn)
        assert conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert conn.execute("show search_path").fetchall() == before


@pytest.mark.parametrize("options", [[], ["--no-owner"], ["--no-owner", "--no-comments"]])
def test_a_restored_log_is_well(
    server: Server, small: str, tmp_path: Path, options: list[str], installer: str
) -> None:
    name = str(psycopg.conninfo.conninfo_to_dict(small)["dbname"])
    file = str(tmp_path / "all")
    server.run("pg_dump", "-Fc", "-f", file, name)
    with _new_database(server) as restored:
        server.run("pg_restore", "--exit-on-error", *options, "-d", restored, file)
        with closing(psycopg.connect(server.url(restored), autocommit=True)) as conn:
            # Where nothing follows DDL, writes to what was restored wait for audit.refresh().
            owned = (
                {"function_rights", "sessions_hidden", "table_restored"}
                if installer == "role"
                else set()
            )
            # Who restores owns compiled functions, and event triggers are a superuser's to make.
            if "--no-owner" in options:
                owned |= {"function_owner", "event_trigger_missing"}
                owned |= {"triggers_stale"} if installer == "role" else set()
            assert {f.finding for f in auditdb.check(conn)} <= owned
            conn.execute("alter table audit.log alter column tx drop default")
            assert "table_changed" in {f.finding for f in auditdb.check(conn)}


def test_comments_and_settings_of_a_dba_are_no_fault(owner: psycopg.Connection) -> None:
    owner.execute(
        "comment on function audit.horizon(timestamptz) is 'x'; comment on table audit.log is null;"
        "create index mine on audit.log (application);"
        "alter table audit.log_past set (autovacuum_enabled = off);"
        "grant select on audit.events, audit.log, audit.layout, audit.action to pg_monitor;"
        "grant execute on function audit.check(interval) to pg_monitor;"
    )
    known = {"function_rights", "sessions_hidden"}
    assert {f.finding for f in auditdb.check(owner)} <= known
    told = {f.finding for f in auditdb.check(owner, severity="info")}
    assert "options_changed" in told


MIGRATIONS = (
    "create table {0}.alembic_version (version_num varchar(32) primary key);"
    "create table {0}.django_migrations (id bigint primary key, app text, name text);"
    "create table {0}.schema_migrations (version varchar primary key);"
    "create table {0}.ar_internal_metadata (key varchar primary key, value varchar);"
    "create table {0}.flyway_schema_history (installed_rank integer primary key);"
    "create table {0}.databasechangelog (id text);"
    "create table {0}._prisma_migrations (id text primary key);"
    'create table {0}."__EFMigrationsHistory" ("MigrationId" text primary key);'
)


def test_tables_of_migrations_need_no_decision(owner: psycopg.Connection) -> None:
    owner.execute(MIGRATIONS.format("licensing").encode())
    known = {f.finding for f in auditdb.check(owner, severity="info")}
    assert "table_untracked" not in known
    owner.execute("create table licensing.vouchers (id integer primary key)")
    (told,) = [f for f in auditdb.check(owner, severity="info") if f.finding == "table_untracked"]
    assert (told.severity, told.object) == ("info", "licensing.vouchers")


def untracked(conn: psycopg.Connection) -> list[str]:
    findings = auditdb.check(conn, severity="info")
    return [f.object for f in findings if f.finding == "table_untracked"]


def test_a_table_is_ignored_by_a_declaration(owner: psycopg.Connection) -> None:
    owner.execute("create table licensing.a (id integer primary key); create table licensing.b ()")
    assert untracked(owner) == ["licensing.a", "licensing.b"]
    assert value(owner, "select audit.ignore('licensing.a')") == "ignored"
    assert value(owner, "select audit.ignore('licensing.a')") == "unchanged"
    assert untracked(owner) == ["licensing.b"]
    owner.execute("alter table licensing.a rename to c")
    assert untracked(owner) == ["licensing.b"]
    assert value(owner, "select audit.ignore('licensing.c', false)") == "told"
    assert value(owner, "select audit.ignore('licensing.c', false)") == "unchanged"
    assert untracked(owner) == ["licensing.c", "licensing.b"] or untracked(owner) == [
        "licensing.b",
        "licensing.c",
    ]
    owner.execute("select audit.ignore('licensing.c'); drop table licensing.c")
    assert value(owner, "select audit.ignore('licensing.b')") == "ignored"
    assert value(owner, "select count(*) from audit.ignored") == 1


# -- rows --------------------------------------------------------------------------------------

UNGUARDED = "alter table audit.log disable trigger refuse_change;"
GUARDED = "alter table audit.log enable always trigger refuse_change;"
WRITTEN = (
    "insert into audit.log (occurred_at, action, item_type, item_id, actor_type, actor_id, db_role)"
    " select now() - interval '90 days', 'a', 't', n::text, 'x', 'x', 'x'"
    " from generate_series(1, 10) as n"
)


def test_rows_that_were_changed_or_deleted(server: Server) -> None:
    with _migrated(server, "audit@head") as name:
        url = server.url(name)
        with closing(psycopg.connect(url, autocommit=True)) as conn:
            conn.execute(WRITTEN)
            flush = "select pg_stat_force_next_flush()"
            conn.execute(flush)
            assert auditdb.check(conn) == ()
            conn.execute(f"{UNGUARDED} update audit.log set actor_id = 'y'; {GUARDED}".encode())
            conn.execute(flush)
            (finding,) = auditdb.check(conn)
            assert (finding.finding, finding.object) == ("rows_changed", "audit.log_past")
            conn.execute(finding.mend.encode())
            conn.execute(flush)
            assert auditdb.check(conn) == ()
            # Of a partition that was detached meanwhile too.
            bound = value(conn, "select min(lower_bound)::text from audit.partition_list()"
                                " where isfinite(lower_bound)")  # fmt: skip
            conn.execute("alter table audit.log detach partition audit.log_past")
            conn.execute("delete from audit.log_past where item_id = '1'")
            conn.execute("select audit.add_partition('log_past', 'minvalue', %s)", [bound])
            conn.execute(flush)
            assert [f.finding for f in auditdb.check(conn)] == ["rows_changed"]


def test_a_log_that_was_restored_on_another_server(owner: psycopg.Connection) -> None:
    owner.execute("update audit.era set server = server + 1")
    (finding,) = wrong(owner, frozenset({"function_rights", "sessions_hidden"}))
    assert (finding.finding, finding.severity) == ("era_foreign", "warning")
    owner.execute(finding.mend.encode())
    assert wrong(owner, frozenset({"function_rights", "sessions_hidden"})) == []


def test_rows_of_an_import_that_was_undone_are_no_loss(server: Server) -> None:
    taken = "delete from audit.log where item_id::integer <= {}"
    with _migrated(server, "audit@head") as name, psycopg.connect(server.url(name)) as conn:
        conn.autocommit = True
        conn.execute(WRITTEN)
        conn.execute(
            "insert into audit.era (number, log, server, kind, imported) select 2, log, server,"
            " 'undone', '{\"new_rows\": 4}' from audit.era;"
            "alter table only audit.log alter column era set default 2"
        )
        conn.execute(f"{UNGUARDED} {taken.format(4)}; {GUARDED}".encode())
        conn.execute("select pg_stat_force_next_flush()")
        assert auditdb.check(conn) == ()
        conn.execute(f"{UNGUARDED} {taken.format(5)}; {GUARDED}".encode())
        conn.execute("select pg_stat_force_next_flush()")
        assert [f.finding for f in auditdb.check(conn)] == ["rows_changed"]


@pytest.mark.parametrize("installer", ["superuser"], indirect=True)
def test_event_triggers_that_are_switched_off(server: Server, owner: psycopg.Connection) -> None:
    if server.version < 17:
        pytest.skip("they cannot be")
    owner.execute(f"alter database {owner.info.dbname} set event_triggers = off".encode())
    (finding,) = auditdb.check(owner)
    assert (finding.finding, finding.severity) == ("event_triggers_off", "warning")
    owner.execute(finding.mend.encode())
    assert auditdb.check(owner) == ()


def test_summaries_that_hide_rows(server: Server) -> None:
    with _migrated(server, "audit@head") as name, psycopg.connect(server.url(name)) as conn:
        conn.autocommit = True
        conn.execute(
            "alter table audit.log detach partition audit.log_past;"
            "alter table audit.log_past rename to log_kept; drop table audit.log_kept;"
            "select audit.add_partition('log_2001', '2001-01-01', '2002-01-01');"
            "select audit.add_partition('log_past', 'minvalue', '2001-01-01');"
            "insert into audit.log (occurred_at, action, item_type, item_id, actor_type,"
            " actor_id, db_role) select '2001-05-05', 'a', 't', n::text, 'x', 'x', 'x'"
            " from generate_series(1, 2000) as n"
        )
        conn.execute("vacuum (freeze, analyze) audit.log_2001")
        conn.execute("select audit.close_partition('log_2001')")
        assert auditdb.check(conn, thorough=True) == ()
        assert wrong_after(conn, "delete from audit.presence") == ["summary_wrong"]
        half = "update audit.presence set rows = 1000 where item_type = ''"
        assert wrong_after(conn, half) == ["summary_wrong"]
        few = "update audit.presence set rows = 1999 where item_type = ''"
        assert wrong_after(conn, few) == []
        assert wrong_after(conn, few, thorough=True) == ["summary_wrong"]
        watched = "drop trigger reopen_partition on audit.log_2001"
        assert wrong_after(conn, watched) == ["summary_wrong"]
        other = "update audit.closed_partition set upper_bound = '2001-02-02'"
        assert wrong_after(conn, other) == ["summary_wrong"]
        made_anew = (
            "alter table audit.log detach partition audit.log_2001; drop table audit.log_2001;"
            "select audit.add_partition('log_2001', '2001-01-01', '2002-01-01')"
        )
        assert wrong_after(conn, made_anew) == ["summary_wrong"]


def wrong_after(conn: psycopg.Connection, statements: str, *, thorough: bool = False) -> list[str]:
    """Return the codes of what is found after statements that are then rolled back."""
    with conn.transaction(force_rollback=True):
        conn.execute(statements.encode())
        return [f.finding for f in auditdb.check(conn, thorough=thorough)]


def test_what_was_compiled_is_compiled_anew_to_compare(owner: psycopg.Connection) -> None:
    known = [f.finding for f in auditdb.check(owner, thorough=True)]
    assert "compiled_forged" not in known
    owner.execute(
        "do $d$ declare v text; begin"
        " select pg_get_functiondef('audit.licensing_orders_insert()'::regprocedure) into v;"
        " execute replace(v, '''orders_created''', '''orders_seen''');"
        " update audit.tracked set compiled = jsonb_set(compiled,"
        " '{functions,licensing_orders_insert}', to_jsonb(replace(compiled -> 'functions'"
        " ->> 'licensing_orders_insert', 'orders_created', 'orders_seen')))"
        " where table_name = 'licensing.orders'; end $d$"
    )
    findings = [f for f in auditdb.check(owner, thorough=True) if f.finding not in known]
    assert [(f.finding, f.object) for f in findings] == [("compiled_forged", "licensing.orders")]
    owner.execute(findings[0].mend.encode())
    assert [f.finding for f in auditdb.check(owner, thorough=True)] == known


def test_a_partition_that_was_detached_is_told(server: Server) -> None:
    with _migrated(server, "audit@head") as name, psycopg.connect(server.url(name)) as conn:
        conn.execute("alter table audit.log detach partition audit.log_past")
        told = [f for f in auditdb.check(conn, severity="info") if f.object == "audit.log_past"]
        assert ("partition_detached", "info") in {(f.finding, f.severity) for f in told}


# -- information -------------------------------------------------------------------------------


def test_what_was_never_counted_is_not_told_as_no_rows(server: Server) -> None:
    def told(conn: psycopg.Connection) -> Finding:
        (size,) = (f for f in auditdb.check(conn, severity="info") if f.finding == "log_size")
        return size

    with _migrated(server, "audit@head") as name, psycopg.connect(server.url(name)) as conn:
        assert " 0 rows or so" in told(conn).message
        for moment in ("now()", "now() + interval '40 days'"):
            conn.execute(
                "insert into audit.log (occurred_at, action, item_type, item_id, actor_type,"
                f" actor_id, db_role) select {moment}, 'a', 't', n::text, 'x', 'x', 'x'"
                " from generate_series(1, 5000) as n".encode()
            )
        before = told(conn)
        assert re.search(r"Its rows were never counted\.$", before.message)
        partition = value(conn, "select min(tableoid::regclass::text) from audit.log")
        conn.execute(f"analyze {partition}".encode())
        partly = told(conn)
        assert "1 with rows have 5000 or so; those of 1 more were never counted" in partly.message
        assert before.mend == partly.mend
        conn.execute(before.mend.encode())
        assert "10000 rows or so" in told(conn).message


def test_size_growth_and_months_ahead_are_told(server: Server) -> None:
    with _migrated(server, "audit@head") as name, psycopg.connect(server.url(name)) as conn:
        conn.execute(
            "insert into audit.log (action, item_type, item_id, actor_type, actor_id, db_role)"
            " select 'a', 't', n::text, 'x', 'x', 'x' from generate_series(1, 5000) as n"
        )
        conn.execute("analyze audit.log")
        assert auditdb.check(conn) == ()
        told = {f.finding: f for f in auditdb.check(conn, severity="info")}
        assert {f.severity for f in told.values()} == {"info"}
        assert "5000 rows" in told["log_size"].message
        assert re.search(r"grown by [1-9]\d* .B a month", told["log_growth"].message)
        ahead = told["months_ahead"].message
        assert "24 months" in ahead or "25 months" in ahead


def test_a_publication_of_the_log_is_told(server: Server) -> None:
    with _migrated(server, "audit@head") as name, psycopg.connect(server.url(name)) as conn:
        conn.execute("create publication p for table audit.log")
        told = [f for f in auditdb.check(conn, severity="info") if f.finding == "log_published"]
        assert [f.object for f in told] == ["p"]
        assert auditdb.check(conn) == ()


# -- the commands ------------------------------------------------------------------------------


def test_the_exit_code_is_of_errors_and_of_warnings_where_they_are_asked_for(
    server: Server,
) -> None:
    with _migrated(server, "audit@head") as name:
        url = server.url(name)
        with closing(psycopg.connect(url, autocommit=True)) as conn:
            ran = run("check", "--url", url, "--fail-on", "warning")
            assert (ran.returncode, ran.stderr) == (0, "")
            assert ran.stdout.endswith("All is well.\n")
            assert "log_size" in ran.stdout
            conn.execute("drop index audit.log_page_idx")
            ran = run("check", "--url", url)
            assert (ran.returncode, ran.stderr.endswith("1 warning.\n")) == (0, True)
            assert "All is well" not in ran.stdout
            assert run("check", "--url", url, "--fail-on", "warning").returncode == 1
            conn.execute("create rule r as on insert to audit.log do instead nothing")
            assert run("check", "--url", url).returncode == 1
    assert run("check", "--fail-on", "info").returncode == 2


def test_the_command_repairs(server: Server) -> None:
    with _migrated(server, "audit@head") as name:
        url = server.url(name)
        with closing(psycopg.connect(url, autocommit=True)) as conn:
            conn.execute(TABLES.encode())
            for case in TAMPERED[:10]:
                conn.execute(case.statements.encode())
            conn.execute("drop function audit.reopen_partition()")
            conn.execute("grant execute on all functions in schema audit to public, audit_reader")
            conn.execute("alter table audit.log disable row level security")
            assert run("check", "--url", url).returncode == 1
            ran = run("upgrade", "--repair", "--url", url)
            assert ran.returncode == 0, ran.stderr
            assert "repaired audit.refuse_change()" in ran.stderr
            # What is not of auditdb is left to whoever made it.
            (left,) = auditdb.check(conn, thorough=True)
            assert (left.finding, left.severity) == ("code_extra", "warning")
            conn.execute(left.mend.encode())
            conn.execute("select audit.refresh()")
            assert auditdb.check(conn, thorough=True) == ()
            again = run("upgrade", "--repair", "--url", url)
            assert "repaired" not in again.stderr
