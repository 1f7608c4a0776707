"""A baseline runs nobody's code with the log's rights, and nobody forges one."""

from collections.abc import Iterator
from contextlib import closing
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from tests.conftest import CreateRole
from tests.support.helpers import value
from tests.support.servers import Server

# What PostgreSQL runs of a table's owner when it plans a query on it, and when it reads.
PLANTS: dict[str, LiteralString] = {
    "index expression": "create index on lair.t ((lair.imm(1)))",
    "index predicate": "create index on lair.t (v) where lair.imm(1) > 0",
    "statistics": "create statistics lair.s on v, (lair.imm(1) + v) from lair.t",
    "policy": (
        "alter table lair.t enable row level security;"
        "create policy p on lair.t using (lair.note() > 0)"
    ),
    "output": (
        "create type lair.shown as (a int);"
        "create function lair.cast_shown(lair.shown) returns text language sql as"
        " 'select lair.note()::text';"
        "create cast (lair.shown as text) with function lair.cast_shown(lair.shown) as implicit;"
        "alter table lair.t add shown lair.shown default row(1)"
    ),
}
LAIR = """
set check_function_bodies = off;
create function lair.note() returns int language plpgsql volatile as
  $$begin raise warning 'ran as %', current_user;
  return 1; end$$;
create function lair.imm(int) returns int language plpgsql immutable as
  'begin return lair.note(); end';
create table lair.t (id int primary key, v int);
insert into lair.t select n, n from generate_series(1, 30) as n;
"""


class _Lair:
    def __init__(self, server: Server, url: str, owner: str) -> None:
        self.server, self.url, self.owner = server, url, owner
        self.ran: set[str] = set()

    def hear(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        words = diagnostic.message_primary or ""
        if words.startswith("ran as "):
            self.ran.add(words.removeprefix("ran as "))


@pytest.fixture
def lair(server: Server, engine_database: str, create_role: CreateRole) -> Iterator[_Lair]:
    """A stranger's table, and what runs there."""
    found = _Lair(server, engine_database, create_role())
    with closing(psycopg.connect(engine_database, autocommit=True)) as dba:
        name = sql.Identifier(found.owner)
        dba.execute(sql.SQL("create schema lair authorization {}").format(name))
        dba.execute(sql.SQL("set session authorization {}").format(name))
        dba.execute(LAIR)
        dba.execute("set session authorization default; select audit.track('lair.t')")
        yield found
        dba.execute("drop schema lair cascade")


@pytest.mark.parametrize("plant", PLANTS)
def test_a_strangers_code_runs_with_his_rights_alone(lair: _Lair, plant: str) -> None:
    with closing(psycopg.connect(lair.url, autocommit=True)) as owner:
        owner.execute(sql.SQL("set session authorization {}").format(sql.Identifier(lair.owner)))
        owner.execute(PLANTS[plant])
    with closing(psycopg.connect(lair.url, autocommit=True)) as dba:
        dba.execute("select audit.refresh('lair.t')")
    with closing(psycopg.connect(lair.url, autocommit=True)) as dba:
        dba.add_notice_handler(lair.hear)
        while not value(dba, "select is_done from audit.baseline('lair.t', 10)"):
            pass
        assert (
            value(dba, "select count(*) from audit.events where action = item_type || '_baseline'")
            == 30
        )
    assert lair.ran <= {lair.owner}
    assert lair.ran or plant in ("policy", "output")


def test_a_search_path_that_he_leaves_behind_leads_nowhere(lair: _Lair) -> None:
    with closing(psycopg.connect(lair.url, autocommit=True)) as dba:
        dba.execute(sql.SQL("set session authorization {}").format(sql.Identifier(lair.owner)))
        dba.execute(
            "create or replace function lair.note() returns int language plpgsql as"
            " $$begin perform set_config('search_path', 'lair', false); return 1; end$$;"
            "create function lair.set_config(text, text, boolean) returns text language plpgsql as"
            " $$begin raise warning 'ran as %', current_user; return ''; end$$;"
            "create index on lair.t ((lair.imm(1)))"
        )
        dba.execute("set session authorization default; select audit.refresh('lair.t')")
    with closing(psycopg.connect(lair.url, autocommit=True)) as dba:
        dba.add_notice_handler(lair.hear)
        with pytest.raises(psycopg.Error, match="sets search_path"):
            dba.execute("select audit.baseline('lair.t', 10)")
        assert value(dba, "select current_setting('search_path')") == '"$user", public'
        assert (
            value(dba, "select count(*) from audit.events where action = item_type || '_baseline'")
            == 0
        )
    assert lair.ran == set()


def test_nobody_else_can_write_one(lair: _Lair, create_role: CreateRole) -> None:
    with closing(psycopg.connect(lair.url, autocommit=True)) as dba:
        dba.execute("select audit.baseline('lair.t', 10)")
        names = "select proname::text from pg_proc where proname ~ '_baseline_(lock|rows|write)$'"
        assert len(dba.execute(names).fetchall()) == 3
        for role in (
            lair.owner,
            create_role(),
            "audit_reader",
            "audit_exporter",
            "audit_maintainer",
        ):
            allowed = """
                select f.proname from pg_proc as f
                where f.pronamespace = 'audit'::regnamespace and f.proname ~ 'baseline|told_rows'
                  and has_function_privilege(%s, f.oid, 'execute')
                  and f.proowner <> %s::regrole"""
            assert dba.execute(allowed, [role, role]).fetchall() == []
    with closing(psycopg.connect(lair.server.url(_name(lair.url), lair.owner))) as stranger:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            stranger.execute("select audit.lair_t_baseline_write(null, '{1}', '{\"{1}\"}')")
        stranger.rollback()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            stranger.execute("select audit.baseline('lair.t')")


def test_who_was_granted_it_has_rows_told_as_they_are(lair: _Lair, create_role: CreateRole) -> None:
    clerk = create_role()
    with closing(psycopg.connect(lair.url, autocommit=True)) as dba:
        name = sql.Identifier(clerk)
        dba.execute(sql.SQL("grant usage on schema audit, lair to {}").format(name))
        grant = "grant execute on function audit.baseline(regclass, integer) to {}"
        dba.execute(sql.SQL(grant).format(name))
        dba.execute("create view lair.whole as select * from lair.t")
        with closing(psycopg.connect(lair.server.url(_name(lair.url), clerk))) as session:
            assert value(session, "select told from audit.baseline('lair.t')") == 30
            session.commit()
        query = """
            select distinct db_role, actor_id from audit.events
            where action = item_type || '_baseline'"""
        assert dba.execute(query).fetchall() == [(clerk, "baseline")]
        dba.execute(sql.SQL("drop owned by {}").format(name))


def test_a_check_finds_nothing_wrong_with_one_that_runs(lair: _Lair) -> None:
    with closing(psycopg.connect(lair.url, autocommit=True)) as dba:
        query = "select finding, object from audit.check() where severity <> 'info' order by 1, 2"
        before = dba.execute(query).fetchall()
        dba.execute("select audit.baseline('lair.t', 10)")
        assert dba.execute(query).fetchall() == before
        dba.execute("select audit.untrack('lair.t')")
        names = "select count(*) from pg_proc where proname ~ '_baseline_(lock|rows|write)$'"
        assert value(dba, names) == 0
        assert value(dba, "select count(*) from audit.baseline_run") == 0


def test_the_owner_of_the_log_need_be_no_superuser(
    server: Server, empty_database: str, create_role: CreateRole
) -> None:
    from auditdb._upkeep import migrate

    owner, other = create_role("login createrole"), create_role()
    name = _name(empty_database)
    with closing(psycopg.connect(empty_database, autocommit=True)) as dba:
        dba.execute(
            sql.SQL("grant create on database {} to {}, {}").format(
                *map(sql.Identifier, (name, owner, other))
            )
        )
        dba.execute(sql.SQL("grant {} to {}").format(*map(sql.Identifier, (other, owner))))
        migrate.upgrade(server.url(name, owner), "audit@head")
        with closing(psycopg.connect(server.url(name, other), autocommit=True)) as app:
            app.execute("create schema app; create table app.t (id int primary key)")
            app.execute("insert into app.t select generate_series(1, 3)")
        with closing(psycopg.connect(server.url(name, owner), autocommit=True)) as session:
            session.execute("select audit.track('app.t')")
            assert value(session, "select told from audit.baseline('app.t', 10)") == 3
            owners = """
                select distinct pg_get_userbyid(proowner)::text from pg_proc
                where proname ~ '_baseline_(lock|rows)$'"""
            assert session.execute(owners).fetchall() == [(other,)]
            may_create = "select has_schema_privilege(%s, 'audit', 'create')"
            assert not value(session, may_create, other)
        dba.execute("drop schema app cascade")


def _name(url: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(url)["dbname"])
