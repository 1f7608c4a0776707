"""Nothing is drawn from who writes: sequences and random numbers are what they were untracked."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from psycopg import conninfo, sql

from tests.conftest import CreateRole
from tests.support.helpers import value
from tests.support.servers import Server

# The same tables twice: those of `kept` are tracked, those of its twin are not.
TABLES = """
create table {0}.account (id serial primary key, name text);
create table {0}.item (
  id serial primary key, account_id integer references {0}.account on delete cascade,
  name text default 'n' || random(), state text not null default 'new', seen integer default 0);
create table {0}.part (
  id serial primary key, item_id integer references {0}.item on delete cascade, name text);
create table {0}.rowwise (id serial primary key, name text default 'n' || random());
create function {0}.pass() returns trigger language plpgsql as 'begin return null; end';
create trigger pass after insert or delete on {0}.rowwise
  for each row execute function {0}.pass();
create table {0}.region (id serial, area text, name text default 'n' || random(),
  primary key (id, area)) partition by list (area);
create table {0}.north partition of {0}.region for values in ('north');
create table {0}.south partition of {0}.region for values in ('south');
create table {0}.plain (id text primary key, name text);
"""
TRACK = """
select audit.track('kept.account', item_label => 'name');
select audit.track('kept.item', item_label => $$a.name || name$$, account => 'account_id',
  lookups => '{"a": "account_id"}', operational => '{seen}', secret => '{state}',
  parent_type => 'account', parent_id => 'account_id');
select audit.track('kept.part', item_type => 'item', item_id => 'item_id',
  item_label => 'i.name', lookups => '{"i": "item_id"}', part => 'parts', part_name => 'name',
  accounts => $$select i.account_id from kept.item as i where i.id = new.item_id$$,
  actions => '[{"action": "parts_set", "on": ["insert", "update", "delete"], "grouped": true}]');
select audit.track('kept.rowwise');
select audit.track('kept.region');
select audit.track('kept.plain');
"""
STATEMENTS = {
    "an insert": "insert into {0}.account (name) values ('a'), ('b'), ('c')",
    "an insert with a lookup": "insert into {0}.item (account_id) values (1), (2), (3)",
    "grouped parts": "insert into {0}.part (item_id, name) select 1 + n % 3, n from"
    " generate_series(1, 9) as n",
    "an insert row by row": "insert into {0}.rowwise (name) values ('a'), (default)",
    "an insert into partitions": "insert into {0}.region (area) values ('north'), ('south')",
    "an upsert": "insert into {0}.item (id, account_id) values (1, 1) on conflict (id)"
    " do update set name = 'n' || random()",
    "a merge": "merge into {0}.account as t using (values (1), (9)) as s (id) on t.id = s.id"
    " when matched then update set name = 'm' when not matched then insert (name) values ('n')",
    "an update": "update {0}.item set name = 'n' || random(), state = 'x'",
    "an operational update": "update {0}.item set seen = seen + 1",
    "an update of parts": "update {0}.part set name = name || '!'",
    "an update row by row": "update {0}.rowwise set name = 'u'",
    "a move between partitions": "update {0}.region set area = 'south'",
    "a move back": "update {0}.region set area = 'north', name = 'm'",
    "a nested write": "with a as (insert into {0}.account (name) values ('w') returning id)"
    " insert into {0}.item (account_id) select id from a where false",
    "a deletion of parts": "delete from {0}.part where id % 3 = 0",
    "a cascade": "delete from {0}.account where id = 1",
    "a deletion row by row": "delete from {0}.rowwise where id = 1",
    "a deletion from partitions": "delete from {0}.region where id = 1",
    "a truncation": "truncate {0}.part, {0}.rowwise, {0}.region",
    "a truncation with a cascade": "truncate {0}.account cascade",
    "an insert after it": "insert into {0}.account default values",
}
DRAWN = "select lastval(), currval('{0}.account_id_seq'), currval('{0}.own'), random()"


@dataclass(frozen=True, slots=True)
class Twins:
    """A database with the tables twice, and a role that may write them and knows no log."""

    server: Server
    name: str
    writer: str

    def session(self, user: str | None = None) -> psycopg.Connection:
        return psycopg.connect(self.server.url(self.name, user), autocommit=True)


@pytest.fixture(params=["the owner's tables", "a stranger's tables"])
def twins(
    request: pytest.FixtureRequest,
    server: Server,
    engine_database: str,
    create_role: CreateRole,
) -> Twins:
    writer, stranger = create_role(), create_role()
    name = str(conninfo.conninfo_to_dict(engine_database)["dbname"])
    found = Twins(server, name, writer)
    with closing(found.session()) as owner:
        for schema in ("kept", "twin"):
            owner.execute(sql.SQL("create schema {}").format(sql.Identifier(schema)))
            owner.execute(sql.SQL("create sequence {}.own").format(sql.Identifier(schema)))
            owner.execute(sql.SQL(TABLES).format(sql.Identifier(schema)))
            if request.param == "a stranger's tables":
                for (table,) in owner.execute(
                    "select oid::regclass::text from pg_class where relkind in ('r', 'p')"
                    " and relnamespace = %s::regnamespace",
                    (schema,),
                ).fetchall():
                    owner.execute(f"alter table {table} owner to {stranger}".encode())
                owner.execute(f"grant create, usage on schema {schema} to {stranger}".encode())
            owner.execute(
                sql.SQL(
                    "grant usage on schema {0} to {1};"
                    "grant all on all tables in schema {0} to {1};"
                    "grant all on all sequences in schema {0} to {1}"
                ).format(sql.Identifier(schema), sql.Identifier(writer))
            )
        owner.execute(TRACK)
    return found


def drawn(session: psycopg.Connection, schema: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Run all statements; yield what the session draws after each."""
    name = sql.Identifier(schema)
    session.execute(sql.SQL("select nextval('{0}.own'), setseed(0.5)").format(name))
    for what, statement in STATEMENTS.items():
        session.execute(sql.SQL(statement).format(name))
        (row,) = session.execute(sql.SQL(DRAWN).format(name)).fetchall()
        yield what, row


@pytest.mark.parametrize("who", ["owner", "writer"])
def test_a_session_draws_what_it_would_without_the_log(twins: Twins, who: str) -> None:
    user = twins.writer if who == "writer" else None
    with closing(twins.session(user)) as session:
        known = list(drawn(session, "twin"))
    with closing(twins.session(user)) as session:
        found = list(drawn(session, "kept"))
    assert found == known
    # The tables are what they would be, and the log was written all along.
    with closing(twins.session()) as owner:
        for table in ("account", "item", "part", "rowwise", "region"):
            both = [
                owner.execute(f"select r::text from {schema}.{table} as r order by 1".encode())
                for schema in ("kept", "twin")
            ]
            assert both[0].fetchall() == both[1].fetchall()
        recorded = value(owner, "select count(distinct action) from audit.log where actor_id = %s",
                         user or twins.server.user)  # fmt: skip
    assert recorded >= 14


@pytest.mark.parametrize("who", ["owner", "writer"])
def test_a_session_that_drew_nothing_has_drawn_nothing(twins: Twins, who: str) -> None:
    with closing(twins.session(twins.writer if who == "writer" else None)) as session:
        session.execute("insert into kept.plain values ('a', 'b'), ('b', 'c')")
        session.execute("update kept.plain set name = 'd'")
        session.execute("delete from kept.plain where id = 'a'")
        session.execute("truncate kept.plain")
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            session.execute("select lastval()")
