-- The columns that a declaration may name, with their numbers: so a renamed one is known again.
create or replace function audit.columns_now(t audit.tracked)
  returns jsonb
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select coalesce(jsonb_agg(jsonb_build_object('table', c.place, 'alias', c.alias,
    'relation', c.relation::text, 'number', c.number, 'name', c.name, 'type', c.type,
    'is_key', c.is_key, 'operator', c.operator, 'source', c.source) order by c.alias nulls first, c.number), '[]')
  from (
    select 1 as place, a.attrelid as relation, null as alias, a.attnum as number, a.attname as name,
      format_type(a.atttypid, a.atttypmod) as type, a.attnum = any (k.numbers) as is_key,
      null as operator, null as source
    from pg_attribute as a
    cross join audit.key_of(t.target) as k (numbers)
    where a.attrelid = t.target and a.attnum > 0 and not a.attisdropped
    union all
    select array_position(t.tables, l.target), a.attrelid, l.alias, a.attnum, a.attname,
      format_type(a.atttypid, a.atttypmod), false,
      case when a.attname = l.key_column then l.key_operator end,
      (select s.attnum from pg_attribute as s
       where s.attname = l.source_column and s.attrelid = coalesce(
         (select o.target from audit.lookups_of(t) as o where o.alias = l.source), t.target))
    from audit.lookups_of(t) as l
    join pg_attribute as a
      on a.attrelid = l.target and a.attname = any (l.columns || l.key_column)
  ) as c
$$;

revoke all on function audit.columns_now(audit.tracked) from public;

comment on function audit.columns_now(audit.tracked) is
  'The columns of a tracked table and of its lookups as they are now.';
