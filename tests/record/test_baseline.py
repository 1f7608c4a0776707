"""A baseline tells of a row what its creation would have told, of each row once, and by nobody."""

from typing import Any, LiteralString

import psycopg
import pytest

import auditdb
from tests.support.helpers import value

Row = tuple[Any, ...]

SET_UP = """
create schema sale;
create type sale.mood as enum ('sad', 'ok');
create table sale.owner (id int primary key, name text);
create table sale.member (owner int, account text);
insert into sale.owner values (1, 'Ana'), (2, 'Bob');
insert into sale.member values (1, 'a'), (1, 'b'), (2, 'b');
create table sale.doc (
  id int, k text, owner int references sale.owner, title text, tenant text, size numeric(8, 2),
  at timestamptz default '2026-02-01 12:00+01', tags text[], mood sale.mood, data bytea,
  primary key (id, k)
) {partitioned}
"""
PARTITIONS = """
create table sale.doc_1 partition of sale.doc for values from (0) to (2);
create table sale.doc_2 partition of sale.doc default
"""
FILL = r"""
insert into sale.doc (id, k, owner, title, tenant, size, tags, mood, data) values
  (1, 'a/~''\', 1, 'one', 'x', 1.50, '{a,"b c"}', 'sad', '\x00ff'),
  (1, 'b', 1, 'two', null, null, null, null, null),
  (2, 'c', 2, 'two', 'y', 0, '{}', 'ok', '')
"""
SLOTS: dict[str, LiteralString] = {
    "nothing": "",
    "label": ", item_label => 'title'",
    "account": ", account => 'tenant'",
    "accounts": ", accounts => 'select m.account from sale.member as m where m.owner = new.owner'",
    "item id": ", item_id => 'owner'",
    "parent": ", parent_type => 'owner', parent_id => 'owner'",
    "lookup": """, lookups => '{"o": "owner"}', item_label => 'o.name'""",
    "part": ", item_type => 'owner', item_id => 'owner', part => 'docs', part_name => 'title'",
    "operational": ", operational => '{size}'",
    "secret": ", secret => '{size, data}'",
    "all operational": ", operational => '{id,k,owner,title,tenant,size,at,tags,mood,data}'",
}
GROUPED: dict[str, LiteralString] = {
    "grouped": """,
      actions => '[{"action": "saved", "on": ["insert", "update"], "grouped": true}]'""",
    "grouped part": """, item_type => 'owner', item_id => 'owner',
      part => 'docs', part_name => 'title',
      actions => '[{"action": "saved", "on": ["insert", "update"], "grouped": true}]'""",
}
TRACK = "select audit.track('sale.doc'{})"
TOLD = "select told from audit.baseline('sale.doc')"
WHAT = """
select account_id, item_type, item_id, item_label, parent_type, parent_id, is_cascade, table_name,
  changes
from audit.events where table_name = 'sale.doc' and (action = item_type || '_baseline') = {}
order by account_id, item_id, changes::text
"""


def _set_up(connection: psycopg.Connection, kind: str) -> None:
    partitioned = "partition by range (id)" if kind == "partitioned" else ""
    connection.execute(SET_UP.format(partitioned=partitioned).encode())
    if partitioned:
        connection.execute(PARTITIONS)


def _rows(connection: psycopg.Connection, *, is_baseline: bool) -> list[Row]:
    return connection.execute(WHAT.format(is_baseline).encode()).fetchall()


@pytest.mark.parametrize("kind", ["plain", "partitioned"])
@pytest.mark.parametrize("slot", SLOTS)
def test_a_row_is_told_as_its_creation_would_be(
    connection: psycopg.Connection, slot: str, kind: str
) -> None:
    _set_up(connection, kind)
    connection.execute(TRACK.format(SLOTS[slot]).encode())
    connection.execute(FILL)
    created = _rows(connection, is_baseline=False)
    assert len(created) == (5 if slot == "accounts" else 3)
    assert value(connection, TOLD) == 0
    connection.execute("select audit.untrack('sale.doc')")
    connection.execute(TRACK.format(SLOTS[slot]).encode())
    assert value(connection, TOLD) == len(created)
    assert value(connection, TOLD) == 0
    assert _rows(connection, is_baseline=True) == created


@pytest.mark.parametrize("kind", ["plain", "partitioned"])
@pytest.mark.parametrize("slot", GROUPED)
def test_rows_of_grouped_actions_are_told_one_by_one(
    connection: psycopg.Connection, slot: str, kind: str
) -> None:
    _set_up(connection, kind)
    connection.execute(TRACK.format(GROUPED[slot]).encode())
    for line in FILL.replace("values", "\0").split("\0")[1].strip().split("),\n"):
        connection.execute((FILL.split("values")[0] + " values " + line.rstrip(")") + ")").encode())
    created = _rows(connection, is_baseline=False)
    assert value(connection, TOLD) == 0
    connection.execute("select audit.untrack('sale.doc')")
    connection.execute(TRACK.format(GROUPED[slot]).encode())
    assert value(connection, TOLD) == 3
    assert _rows(connection, is_baseline=True) == created
    assert value(connection, TOLD) == 0


def test_rows_whose_creation_is_no_action_are_told(connection: psycopg.Connection) -> None:
    _set_up(connection, "plain")
    connection.execute(
        TRACK.format(
            """, actions => '[
            {"action": "big", "on": "insert", "when": "new.size > 1"},
            {"action": "gone", "on": "delete"}]'"""
        ).encode()
    )
    connection.execute(FILL)
    assert value(connection, TOLD) == 2
    # The same id again: what is there now, nothing has told.
    connection.execute(
        "delete from sale.doc; insert into sale.doc (id, k, size) values (2, 'c', 0)"
    )
    assert value(connection, TOLD) == 1


def test_what_was_truncated_is_not_known(connection: psycopg.Connection) -> None:
    _set_up(connection, "plain")
    connection.execute(
        TRACK.format(
            """, actions => '[{"action": "big", "on": "insert", "when": "new.size > 1"}]'"""
        ).encode()
    )
    connection.execute(FILL)
    assert value(connection, TOLD) == 2
    connection.execute("truncate sale.doc")
    connection.execute("insert into sale.doc (id, k, size) values (1, 'b', 0)")
    assert value(connection, TOLD) == 1


def test_nobody_is_said_to_have_done_it(connection: psycopg.Connection) -> None:
    _set_up(connection, "plain")
    connection.execute(FILL)
    connection.execute("select audit.track('sale.doc', require_actor => true)")
    connection.execute("""select audit.set_actor('employee', '7', 'Ana', '{"request": "r"}')""")
    connection.execute(TOLD)
    query = "select distinct action, action_label, actor_type, actor_id, context from audit.events"
    assert connection.execute(f"{query} where action = item_type || '_baseline'").fetchall() == [
        ("doc_baseline", "Doc baseline", "system", "baseline", None)
    ]
    about = "select item_types, is_recorded from audit.actions where action = 'doc_baseline'"
    assert connection.execute(about).fetchall() == [(["doc"], True)]


def test_tracking_can_begin_with_it(connection: psycopg.Connection) -> None:
    _set_up(connection, "plain")
    connection.execute(FILL)
    connection.execute("select audit.track('sale.doc', baseline => true)")
    assert (
        value(
            connection, "select count(*) from audit.events where action = item_type || '_baseline'"
        )
        == 3
    )
    assert value(connection, "select count(*) from pg_proc where proname ~ 'baseline_write$'") == 0


KEYS: dict[str, tuple[LiteralString, LiteralString]] = {
    "text": ('k text collate "C"', "E'%%L\\\\' || chr(39) || n || '\"'"),
    "char": ("k char(5)", "n::text"),
    "enum": ("k sale.mood", "(enum_range(null::sale.mood))[n]"),
    "domain": ("k sale.positive", "n"),
    "uuid": ("k uuid", "md5(n::text)::uuid"),
    "time": ("k timestamptz", "'2026-01-01 00:00:00.000001+00'::timestamptz + n * interval '1 us'"),
    "float": ("k float8", "0.1 + n / 3.0::float8"),
    "numeric": ("k numeric", "n + 0.10"),
    "bytea": ("k bytea", "decode(lpad(n::text, 2, '0'), 'hex')"),
    "range": ("k int4range", "int4range(n, n + 2)"),
    "array": ("k int[]", "array[n, n]"),
    "composite": ("k sale.pair", "row(n, 'x,\"')::sale.pair"),
    "two": ('k int, k2 text collate "C"', "n / 3, 'x' || n"),
}


@pytest.mark.parametrize("name", KEYS)
def test_every_row_is_told_whatever_its_key(connection: psycopg.Connection, name: str) -> None:
    columns, values = KEYS[name]
    connection.execute(SET_UP.format(partitioned="").encode())
    connection.execute("alter type sale.mood add value 'c'; alter type sale.mood add value 'd'")
    connection.commit()
    try:
        _tell_by_key(connection, name, columns, values)
    finally:
        connection.rollback()
        connection.execute("select audit.untrack(to_regclass('sale.\"K%y\"'))")
        connection.execute("drop schema sale cascade")
        connection.commit()


def _tell_by_key(connection: psycopg.Connection, name: str, columns: str, values: str) -> None:
    connection.execute("set datestyle = 'German'; set timezone = 'Asia/Tokyo'")
    connection.execute("set extra_float_digits = -5; set bytea_output = escape")
    connection.execute("create domain sale.positive as int check (value > 0)")
    connection.execute("create type sale.pair as (a int, b text)")
    key = "k, k2" if name == "two" else "k"
    connection.execute(f'create table sale."K%y" ({columns}, v int, primary key ({key}))'.encode())
    fill = f'insert into sale."K%y" select {values}, n from generate_series(1, 4) as n'
    connection.execute(fill.replace("%%", "%").encode())
    connection.execute(b"select audit.track('sale.\"K%y\"')")
    told: list[Row] = []
    while not told or not told[-1][1]:
        row = connection.execute(b"select told, is_done from audit.baseline('sale.\"K%y\"', 3)")
        told += row.fetchall()
    assert [rows for rows, _ in told[:2]] == [3, 1]
    assert sum(rows for rows, _ in told) == 4
    query = """
        select changes -> 'v' ->> 'new' from audit.events
        where action = item_type || '_baseline' order by 1"""
    assert [v for (v,) in connection.execute(query).fetchall()] == ["1", "2", "3", "4"]


def test_columns_that_are_audited_later_are_told(connection: psycopg.Connection) -> None:
    _set_up(connection, "plain")
    connection.execute("select audit.track('sale.doc', operational => '{size}')")
    connection.execute(FILL)
    assert value(connection, TOLD) == 0
    connection.execute("alter table sale.doc add column extra int default 5")
    assert value(connection, TOLD) == 3
    connection.execute("insert into sale.doc (id, k) values (9, 'new')")
    assert value(connection, TOLD) == 0
    connection.execute("alter table sale.doc drop column tenant; comment on table sale.doc is 'x'")
    assert value(connection, TOLD) == 0
    connection.execute("select audit.track('sale.doc')")
    assert value(connection, TOLD) == 4
    connection.execute("alter table sale.doc alter column extra type text using extra || '!'")
    assert value(connection, TOLD) == 4
    told = "select max(occurred_at) from audit.events where item_id = '2/c'"
    then = auditdb.state_at(connection, ("doc", "2/c"), value(connection, told))
    assert (then.exists, then.unknown, then.values["extra"]) == (True, frozenset(), "5!")


def test_what_was_a_secret_is_told_when_it_is_none(connection: psycopg.Connection) -> None:
    _set_up(connection, "plain")
    connection.execute("select audit.track('sale.doc', secret => '{size}')")
    connection.execute(FILL)
    connection.execute("select audit.track('sale.doc', secret => '{size, title}')")
    assert value(connection, TOLD) == 0
    connection.execute("select audit.track('sale.doc', secret => '{title}')")
    assert value(connection, TOLD) == 3


def test_it_goes_on_where_it_was_broken_off(connection: psycopg.Connection) -> None:
    _set_up(connection, "plain")
    connection.execute(
        "insert into sale.doc (id, k) select n, 'k' from generate_series(1, 25) as n"
    )
    connection.execute("select audit.track('sale.doc')")
    step = "select seen, told, is_done from audit.baseline('sale.doc', 10)"
    steps = [*connection.execute(step).fetchall(), *connection.execute(step).fetchall()]
    connection.execute("alter table sale.doc rename column title to heading")
    while not steps[-1][2]:
        steps += connection.execute(step).fetchall()
    assert steps[:3] == [(10, 10, False), (10, 10, False), (5, 5, False)]
    assert sum(told for _, told, _ in steps) == 25
    # Once it is done, it begins anew.
    assert connection.execute(step).fetchone() == (10, 0, False)
    # With other columns it begins anew too.
    connection.execute("alter table sale.doc add column extra int default 5")
    assert connection.execute(step).fetchone() == (10, 10, False)


TAKEN: LiteralString = '[{"action": "owner_baseline", "on": "insert"}]'
REFUSED: dict[LiteralString, tuple[str, str]] = {
    "select audit.baseline('sale.owner')": ("UA009", "not tracked"),
    "select audit.baseline('sale.doc', 0)": ("22023", "a batch of 0 rows"),
    f"select audit.track('sale.owner', actions => '{TAKEN}')": (
        "UA005",
        "this name is that of what audit.baseline",
    ),
}


@pytest.mark.parametrize("statement", REFUSED)
def test_what_makes_no_sense_is_refused(
    connection: psycopg.Connection, statement: LiteralString
) -> None:
    _set_up(connection, "plain")
    connection.execute("select audit.track('sale.doc')")
    with pytest.raises(psycopg.Error) as refused:
        connection.execute(statement)
    code, words = REFUSED[statement]
    assert refused.value.sqlstate == code
    assert words in str(refused.value)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_transaction_that_does_not_see_what_others_commit_is_refused(
    connection: psycopg.Connection, level: LiteralString
) -> None:
    connection.execute(f"set transaction isolation level {level}".encode())
    _set_up(connection, "plain")
    connection.execute("select audit.track('sale.doc')")
    with pytest.raises(psycopg.errors.ActiveSqlTransaction, match=level):
        connection.execute("select audit.baseline('sale.doc')")
