"""Doubles in schema public of all that PostgreSQL has, each of which raises when it is called.

They stand for what anybody with CREATE on a schema of the search_path may put there: a function, an
operator, a type or a view that is found before PostgreSQL's own, or fits better.
"""

from typing import Any

import psycopg

# What is called of them leaves a trace, whatever becomes of the error.
TRAP = """
create sequence public.sprung;
create function public.spring(name text) returns boolean language plpgsql
  set search_path = pg_catalog as $$
begin
  perform nextval('public.sprung');
  raise exception 'sprung: %', name;
end $$;
grant usage on sequence public.sprung to public;
"""

FUNCTIONS = """
select format('create function public.%I(%s) returns %s%s language plpgsql as %L', p.proname,
    pg_get_function_identity_arguments(p.oid),
    case when p.proretset then 'setof ' else '' end, format_type(p.prorettype, null),
    format('begin perform public.spring(%L); end', 'function ' || p.oid::regprocedure))
from pg_proc as p
where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind in ('f', 'w')
"""

AGGREGATES = """
select format('create function public.%I(%s) returns %s language plpgsql as %L', 'into_' || p.oid,
    concat_ws(', ', 'text', nullif(pg_get_function_identity_arguments(p.oid), '')), 'text',
    format('begin perform public.spring(%L); end', 'aggregate ' || p.oid::regprocedure))
  || format('; create aggregate public.%I(%s) (sfunc = public.%I, stype = text, initcond = %L)',
    p.proname, coalesce(nullif(pg_get_function_identity_arguments(p.oid), ''), '*'),
    'into_' || p.oid, '')
from pg_proc as p
where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind = 'a' and p.pronargs < 2
"""

# Beside those that there are, such as fit better than what PostgreSQL takes by a conversion.
OPERATORS = """
select format('create function public.%I(%s) returns %s language plpgsql as %L', 'op_' || o.number,
    concat_ws(', ', o.l, o.r), o.result,
    format('begin perform public.spring(%L); end', format('operator %s(%s,%s)', o.name, o.l, o.r)))
  || format('; create operator public.%s (function = public.%I%s, rightarg = %s)', o.name,
    'op_' || o.number, ', leftarg = ' || o.l, o.r)
from (
  select row_number() over () as number, k.* from (
    select o.oprname::text as name, nullif(o.oprleft, 0)::regtype::text as l,
      o.oprright::regtype::text as r, o.oprresult::regtype::text as result
    from pg_operator as o where o.oprnamespace = 'pg_catalog'::regnamespace and o.oprright <> 0
    union
    select s, l, r, 'boolean'
    from unnest(array['=', '<>', '<', '>', '<=', '>=']) as s
    cross join unnest(array['oid', 'regclass', 'regproc', 'regtype', 'regrole', 'regnamespace',
      'integer', 'bigint', 'name', 'text', 'character varying', '"char"', 'numeric']) as l
    cross join unnest(array['oid', 'regclass', 'regproc', 'regtype', 'regrole', 'regnamespace',
      'integer', 'bigint', 'name', 'text', 'character varying', '"char"', 'numeric']) as r
  ) as k
) as o
"""

TYPES = """
select format('create domain public.%I as pg_catalog.%I check (public.spring(%L))',
  t.typname, t.typname, 'type ' || t.typname)
from pg_type as t
where t.typnamespace = 'pg_catalog'::regnamespace and t.typtype = 'b' and t.typelem = 0
"""

RELATIONS = """
select format('create view public.%I as select * from pg_catalog.%I where public.spring(%L)',
  c.relname, c.relname, 'relation ' || c.relname)
from pg_class as c
where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind in ('r', 'v')
"""

# What cannot be made, such as a function that takes an internal pointer, nobody can make.
MAKE = """
do $do$
declare
  v_statement text;
begin
  foreach v_statement in array %s::text[] loop
    begin
      execute v_statement;
    exception when others then
      continue;
    end;
  end loop;
end $do$
"""

PATH = "public, pg_catalog"
"""The search_path under which the doubles are found first."""


def plant(url: str) -> int:
    """Make the doubles in a database; return how many there are."""
    pinned: dict[str, Any] = {"options": "-c search_path=pg_catalog -c statement_timeout=120s"}
    with psycopg.connect(url, autocommit=True, **pinned) as session:
        session.execute(TRAP.encode())
        session.execute("set check_function_bodies = off")
        for query in (FUNCTIONS, AGGREGATES, OPERATORS, TYPES, RELATIONS):
            made = [row[0] for row in session.execute(query.encode()).fetchall()]
            with psycopg.ClientCursor(session) as cursor:
                cursor.execute(MAKE.encode(), [made])
        row = session.execute(
            "select (select count(*) from pg_proc where pronamespace = 'public'::regnamespace)"
            " + (select count(*) from pg_operator where oprnamespace = 'public'::regnamespace)"
        ).fetchone()
        database = session.info.dbname
        session.execute(f'alter database "{database}" set search_path = {PATH}'.encode())
    assert row is not None
    return int(row[0])


def is_sprung(url: str) -> bool:
    """Return whether any double was called since they were made."""
    with psycopg.connect(url, options="-c search_path=pg_catalog") as session:
        row = session.execute("select is_called from public.sprung").fetchone()
    assert row is not None
    return bool(row[0])
