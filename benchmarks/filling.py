"""Fills a log with ten years of a platform's life: the rows that readers and exports work on."""

from __future__ import annotations

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from auditdb._upkeep import migrate

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.servers import Server

DATABASE = "auditdb_benchmark_log"
YEARS = 10
ACCOUNTS = 200
"""Their shares of the rows fall as 1, 1/2, 1/3 …: the first has 17 % of all, the last 0.09 %."""
BYTES = 700
"""Disk that a row takes with its indexes, rounded up."""

RESERVE = 4 << 30
"""Bytes beside them, for WAL and what else there is."""

_FIRST_ID = 10_000
"""Greater than the ids of what installing wrote."""
_GRACE = timedelta(days=7)
_MICROSECOND = timedelta(microseconds=1)

# Partitions of the past, as if maintenance had made each in its time.
_AGE = """
do $$
declare
  v_begin timestamptz := date_trunc('month', now(), 'UTC') - interval '{years} years';
begin
  alter table audit.log detach partition audit.log_past;
  drop table audit.log_past;
  perform audit.add_partition('log_past', 'minvalue', v_begin::text);
  perform audit.fill_log(v_begin, date_trunc('month', now(), 'UTC'), now());
end
$$
"""

# Rows {first} to {last} of a pass of {rows}; each is {step} microseconds after the one before.
#
# Ten rows in a row are of ten items, each at another of the ten events of its life, which lasts a
# year. Eight items are a family: a customer, two orders, four licenses and a device of one of them.
# Every fiftieth row is about the one product of the account, so that there are long histories too.
_ROWS = """
insert into audit.{partition} (id, occurred_at, account_id, action, item_type, item_id, item_label,
  parent_type, parent_id, actor_type, actor_id, actor_label, db_role, application, is_cascade,
  is_deleted, layout, row_values, changes, context)
select
  {base} + r.m,
  timestamptz {begin} + make_interval(secs => r.m * {step} / 1e6),
  a.account,
  t.item_type || '_' || e.done,
  t.item_type,
  t.item_id,
  t.item_label,
  case when t.item_type = 'device' then 'license' end,
  case when t.item_type = 'device' then (r.item - 4)::text end,
  w.actor_type,
  w.actor_id,
  w.actor_label,
  'licensing_app',
  'licensing-api 4.2',
  false,
  e.done = 'deleted',
  case t.item_type {layouts} end,
  case when e.done <> 'updated' then case t.item_type {records} end end,
  case when e.done = 'updated' then
    ('{{"max_activations": {{"old": ' || r.event - 1 || ', "new": ' || r.event || '}}, '
      '"valid_until": {{"old": "2029-12-31T00:00:00+00:00", "new": "2031-12-31T00:00:00+00:00"}}, '
      '"note": {{"old": "renewal ' || md5(r.m::text) || ' is due", "new": "renewed as agreed, '
      'contract ' || md5(r.item::text) || '"}}}}')::jsonb
  end,
  ('{{"request_id": "' || md5((r.m * 7)::text) || '", "ip": "192.0.2.' || r.m % 250
    || '", "user_agent": "Mozilla/5.0 (X11; Linux x86_64)"}}')::jsonb
from (
  select n.m, n.event, n.item, n.item - n.item % 8 as family, n.item % 8 as kind
  from (
    select m, (m % 10)::integer as event,
      {base} + {stride} * 9 + 8 + m / 10 - m % 10 * {stride} as item
    from generate_series({first}::bigint, {last}::bigint) as m
    offset 0
  ) as n
  offset 0
) as r
cross join lateral (
  select (width_bucket(((hashint8extended(r.family, 1) & 2147483647) / 2147483648.0)::float8,
    {shares}::float8[]) + 1)::text as account,
    ((hashint8extended(r.m, 2) & 2147483647) / 2147483648.0)::float8 as who
  offset 0
) as a
cross join lateral (
  select
    case when r.m % 50 = 0 then 'product'
      else ('{{customer,order,order,license,license,license,license,device}}'::text[])[r.kind + 1]
    end as item_type,
    case when r.m % 50 = 0 then a.account else r.item::text end as item_id,
    case when r.m % 50 = 0 then 'Studio ' || a.account else 'N-' || r.item end as item_label,
    ((hashint8extended(r.item, 3) & 2147483647) / 2147483648.0)::float8 as chance
  offset 0
) as t
cross join lateral (
  select case
    when t.item_type = 'product' then 'updated'
    when r.event = 0 then 'created'
    when r.event = 9 and t.chance < 0.4 then 'deleted'
    else 'updated' end as done
  offset 0
) as e
cross join lateral (
  select k.actor_type,
    case k.actor_type
      when 'integration' then 'billing-' || a.account
      when 'database' then 'licensing_app'
      when 'api_key' then 'key-' || a.account
      else a.account || '-' || k.person end as actor_id,
    case k.actor_type when 'platform_user'
      then 'person' || k.person || '@vendor' || a.account || '.example' end as actor_label
  from (
    select case when r.m % 1000 = 7 then 'integration' when a.who < 0.05 then 'database'
        when a.who < 0.15 then 'api_key' else 'platform_user' end as actor_type,
      floor(30 * a.who * a.who)::integer as person
    offset 0
  ) as k
  offset 0
) as w
"""

# What a created or deleted row has, by kind of item and column: SQL over the row's place above. All
# other columns are null.
_VALUES = {
    "customer": {
        "id": "r.item",
        "account_id": "a.account",
        "email": "'buyer' || r.item || '@customer.example'",
        "company_name": "'Customer ' || r.item || ' Limited'",
        "address": "r.item % 900 || ' Station Road'",
        "city": "'Aberdeen'",
        "reference": "'made by import ' || md5(r.m::text)",
        "metadata": "'{}'",
    },
    "order": {
        "id": "r.item",
        "account_id": "a.account",
        "customer_id": "r.family",
        "store_id": "'made by import ' || md5(r.m::text)",
        "reference": "'PO-' || r.item",
        "campaign": "'spring'",
        "is_test": "false",
        "is_trial": "false",
    },
    "license": {
        "id": "r.item",
        "account_id": "a.account",
        "product_id": "a.account",
        "order_id": "r.family + 1 + r.item % 2",
        "customer_id": "r.family",
        "license_type": "'subscription'",
        "is_enabled": "true",
        "is_trial": "false",
        "is_floating": "false",
        "floating_users": "0",
        "valid_until": "'2031-12-31 00:00:00+00'",
        "max_activations": "0",
        "allows_overages": "false",
        "allows_unlimited_consumption": "false",
        "allows_vm": "true",
        "note": "'made by import ' || md5(r.m::text)",
        "metadata": "'{}'",
    },
    "device": {
        "id": "r.item",
        "license_id": "r.item - 4",
        "hardware_id": "'made by import ' || md5(r.m::text)",
        "is_blacklisted": "false",
    },
    "product": {},
}

_LAYOUTS = """
select k.item_type, k.layout, array(select c ->> 'name' from jsonb_array_elements(y.columns) as c)
from audit.tracked as k
join audit.layout as y on y.id = k.layout
where k.part is null and k.target = any (array['licensing.customers', 'licensing.orders',
  'licensing.licenses', 'licensing.devices', 'licensing.products']::regclass[])
"""


def filled(server: Server, rows: int, progress: Callable[[str], None]) -> str:
    """Return the URL of a database with at least `rows` rows of the log, and fill it up to that.

    It stays until the server ends, so that the next who asks for as many rows has them at once.
    Raises OSError where the disk has no room.
    """
    url = server.url(DATABASE)
    with psycopg.connect(server.url(server.maintenance)) as connection:
        found = connection.execute("select from pg_database where datname = %s", [DATABASE])
        is_new = found.fetchone() is None
    if is_new:
        create(server, DATABASE)
    before = count(url)
    if before < rows:
        _check_room(server, rows - before)
        progress(f"filling the log from {before:,} to {rows:,} rows")
        _fill(url, before, rows)
    return url


def create(server: Server, name: str) -> None:
    """Create a database with a log that has partitions of ten years, and no rows."""
    server.execute("create database {} template template0", name)
    migrate.upgrade(server.url(name), "heads")
    with closing(connect(server.url(name))) as connection:
        connection.execute(_AGE.format(years=YEARS).encode())


def count(url: str) -> int:
    """Return how many rows of the log were filled in; those that auditdb wrote have no account."""
    with closing(connect(url)) as connection:
        connection.execute("set max_parallel_workers_per_gather = 4")
        row = connection.execute("select count(*) from audit.log where account_id <> ''").fetchone()
    return int(row[0]) if row else 0


def connect(url: str) -> psycopg.Connection[Any]:
    """Return a session in autocommit mode, whose statements may take as long as they like."""
    connection = psycopg.connect(url, autocommit=True)
    connection.execute("set statement_timeout = 0")
    return connection


def _fill(url: str, before: int, after: int) -> None:
    """Spread rows over all months, partition by partition, as many at a time as there are CPUs."""
    end = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    with closing(connect(url)) as connection:
        months = connection.execute(
            "select partition, lower_bound, upper_bound from audit.partition_list()"
            " where lower_bound <> '-infinity' and lower_bound < %s order by 2",
            [end],
        ).fetchall()
        layouts, records = _records(connection)
    begin, rows = months[0][1], after - before
    step = (end - begin) // _MICROSECOND // rows
    given = {
        "base": sql.Literal(_FIRST_ID + before),
        "begin": sql.Literal(begin.isoformat()),
        "step": sql.Literal(step),
        "stride": sql.Literal(max(1, rows // YEARS // 100)),
        "shares": sql.Literal(_shares()),
        "layouts": layouts,
        "records": records,
    }
    jobs = []
    for name, lower, upper in months:
        first = -((begin - lower) // _MICROSECOND // step) or 1
        end_of = -((begin - upper) // _MICROSECOND // step)
        limits = {"first": sql.Literal(first), "last": sql.Literal(min(rows, end_of - 1))}
        query = sql.SQL(_ROWS).format(partition=sql.Identifier(name), **given, **limits)
        jobs.append((name, query))
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        for _ in pool.map(partial(_fill_partition, url), jobs):
            pass
        due = ["log_past", *(name for name, _, upper in months if upper < end - _GRACE)]
        for _ in pool.map(partial(_close, url), due):
            pass
    with closing(connect(url)) as connection:
        connection.execute("analyze audit.log")


def _records(connection: psycopg.Connection[Any]) -> tuple[sql.Composable, sql.Composable]:
    """Return the branches by kind of item that give the number of its layout, and its record."""
    layouts, records = [], []
    for kind, number, columns in connection.execute(_LAYOUTS).fetchall():
        values = _VALUES[kind]
        if unknown := values.keys() - set(columns):
            raise LookupError(f"{kind} has no columns {', '.join(unknown)}")
        record = ", ".join(values.get(name, "null") for name in columns)
        layouts.append(f"when '{kind}' then {number}")
        records.append(f"when '{kind}' then row({record})::audit.layout_{number}::text")
    return sql.SQL(" ".join(layouts)), sql.SQL(" ".join(records))


def _fill_partition(url: str, job: tuple[str, sql.Composed]) -> None:
    name, query = job
    with closing(connect(url)) as connection:
        connection.execute(query)
        vacuum = sql.SQL("vacuum (freeze, analyze) {}")
        connection.execute(vacuum.format(sql.Identifier("audit", name)))


def _close(url: str, name: str) -> None:
    """Close a partition as `auditdb maintain` does; it is frozen already."""
    with closing(connect(url)) as connection:
        connection.execute("select audit.close_partition(%s)", [name])


def _shares() -> list[float]:
    """Return the bounds between the accounts' shares of the rows, as width_bucket() has them."""
    weights = [1 / rank for rank in range(1, ACCOUNTS + 1)]
    return [reached / sum(weights) for reached in accumulate(weights[:-1])]


def _check_room(server: Server, rows: int) -> None:
    directory = Path(server.host)
    if not directory.is_dir():
        return  # of a server elsewhere nobody here can tell
    free, needed = shutil.disk_usage(directory).free, rows * BYTES + RESERVE
    if free < needed:
        raise OSError(
            errno.ENOSPC,
            f"{rows:,} rows take {needed >> 30} GB with their indexes; {free >> 30} GB are free",
            str(directory),
        )
