-- What is read of a looked-up table: the columns that expressions name, as compiled functions see them.
create or replace function audit.lookup_columns(relation regclass, names text[], key_column text)
  returns table (list text, idents text, typed text, types text)
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select
    string_agg(format('%s as %s', audit.presented(a.atttypid, '_audit_p.' || q.ident), q.ident),
      ', ' order by a.attnum),
    string_agg(q.ident, ', ' order by a.attnum),
    string_agg(q.ident || ' ' || q.type, ', ' order by a.attnum),
    string_agg(format('_audit_%s %s', a.attnum, q.type), ', ' order by a.attnum)
  from pg_attribute as a
  join pg_type as p on p.oid = audit.presented_type(a.atttypid)
  cross join lateral (
    select audit.quoted(a.attname) as ident, format('pg_catalog.%I', p.typname) as type
  ) as q
  where a.attrelid = relation and a.attnum > 0 and not a.attisdropped
    and (a.attname = any (names) or (names = '{}' and a.attname = key_column))
$$;

revoke all on function audit.lookup_columns(regclass, text[], text) from public;

comment on function audit.lookup_columns(regclass, text[], text) is
  'SQL for the columns that a lookup reads: to select, to name, and to declare.';
