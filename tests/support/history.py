"""A log with a history: types and tables that came, changed and went; and all that readers see."""

from collections.abc import Iterable

import psycopg
from psycopg.rows import scalar_row

from tests.support.helpers import platform

HISTORY: tuple[str, ...] = (
    """
create schema story;
create type story.mood as enum ('calm', 'wild, "very"');
create type story.pair as (n numeric, at timestamptz, raw bytea);
create domain story.small as integer check (value < 100);
create table story.thing (
  id integer primary key, mood story.mood, pair story.pair, smalls story.small[],
  at timestamptz, span interval, ratio double precision, raw bytea, tags text[], doc json,
  facts jsonb, kind regclass, price money, pin text, note text, during tstzmultirange
);
create table story.gone (id integer primary key, mood story.mood, pairs story.pair[]);
create table story.bit (id integer primary key, thing_id integer references story.thing, n integer);
create table story.parted (id integer, region text, note text, primary key (id, region))
  partition by list (region);
create table story.north partition of story.parted for values in ('north');
create table story.south partition of story.parted for values in ('south');
""",
    """
select audit.track('story.thing', secret => '{pin}', item_label => 'note');
select audit.track('story.gone');
select audit.track('story.bit', parent_type => 'thing', parent_id => 'thing_id');
select audit.track('story.parted');
""",
    """
select audit.set_actor('platform_user', '7', 'Ana', '{"reason": "ä\\\\ \\"q\\""}');
insert into story.thing values
  (1, 'wild, "very"', row(1.10, '2026-03-01 05:45+05:45', '\\x00ff'), '{1,null,99}',
    '0044-03-15 12:00 UTC BC', '1 mon -1 day', '0.1', '\\x5c00', '{"a,b",NULL,"NULL"}',
    '{"a":  1, "a": 2}', 'null', 'pg_class', 12.34, 'secret', '', '{[2026-03-01 00:00Z,)}'),
  (2, null, null, null, 'infinity', null, 'NaN', null, '{}', '"\\u0000"', null, null, null, null,
    null, '{}');
insert into story.gone select n, 'calm', array[row(n, null, null)::story.pair]
  from generate_series(1, 3) as n;
insert into story.bit values (1, 1, 1), (2, 1, 2);
insert into story.parted values (1, 'north', 'a'), (2, 'south', 'b');
""",
    """
update story.thing set mood = 'calm', pin = 'other', doc = '1', note = E'two\\nlines' where id = 1;
update story.parted set region = 'south', note = 'c' where id = 1;
delete from story.gone where id = 2;
""",
    # The columns' type goes, a name changes, and the table another day has another one.
    """
alter table story.thing drop column mood;
alter table story.thing rename column note to remark;
alter table story.thing add column extra integer default 7;
update story.thing set remark = 'renamed', extra = 8 where id = 1;
insert into story.thing (id, remark) values (3, 'late');
drop table story.gone;
drop type story.mood;
alter table story.thing rename to item;
insert into story.item (id, pair, remark) values (4, row(null, 'infinity', null), 'item');
alter table story.item alter column pair type text using pair::text;
drop type story.pair;
delete from story.bit where id = 1;
delete from story.item where id in (2, 4);
delete from story.parted;
""",
)


def write_history(session: psycopg.Connection) -> None:
    """Write a platform and a history of tables; the session must be the owner's, in autocommit."""
    for statements in HISTORY:
        session.execute(statements.encode())
    with session.transaction():
        session.execute("select audit.set_actor('api_key', 'k/1')")
        ids = platform(session)
        session.execute(
            "insert into licensing.license_features (license_id, product_feature_id,"
            " max_consumption) values (%s, %s, 5), (%s, %s, null)",
            (ids.license, ids.f1, ids.license, ids.f2),
        )
    session.execute("update licensing.license_features set max_consumption = 6")
    session.execute("update licensing.licenses set is_enabled = false, note = 'x'")
    session.execute("delete from licensing.devices")
    session.execute("delete from licensing.license_features")
    session.execute("truncate licensing.notification_policies")


# What is no part of what was done: the label that the catalogue gives the action.
LABELS = ("action_label",)


def views(session: psycopg.Connection, without: Iterable[str] = LABELS) -> dict[str, str]:
    """Return a query for each view and each public function that shows rows of the log.

    Each gives one text a row, `without` some of the columns.
    """
    with session.cursor(row_factory=scalar_row) as cursor:
        names = cursor.execute(
            "select format('%I.%I', schemaname, viewname) from pg_views"
            " where schemaname = 'licensing' and viewname ~ '_log$'"
        ).fetchall()
    rows = f"(to_jsonb(e) - '{{{','.join(without)}}}'::text[])::text"
    items = "(select distinct item_type, item_id from audit.log where item_type <> 'table')"
    return {
        name: f"select {rows} from {name} as e"
        for name in ("audit.events", "audit.changes", *names)
    } | {
        f"audit.{name}": f"select i.item_id || {rows} from {items} as i cross join lateral"
        f" audit.{name}(i.item_type, i.item_id) as e"
        for name in ("item_log", "tree_log")
    }


def pictures(
    session: psycopg.Connection, where: str = "true", without: Iterable[str] = LABELS
) -> dict[str, list[str]]:
    """Return what all views show, whatever is set in the session.

    `where` is a condition on the row `e` of the view.
    """
    seen: dict[str, list[str]] = {}
    with session.transaction(), session.cursor(row_factory=scalar_row) as cursor:
        cursor.execute("set local timezone = 'UTC'; set local jit = off")
        for name, query in views(session, without).items():
            cursor.execute(f"{query} where {where}".encode())
            seen[name] = sorted(cursor.fetchall())
    return seen
