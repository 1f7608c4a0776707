-- The columns of the key, with what a reader of the table compares them by: the operators of the
-- index itself, whose names may mean something else where the type is not PostgreSQL's own.
create or replace function audit.baseline_key_columns(t audit.tracked)
  returns table (
    place bigint, number smallint, name text, reference text, type text, is_array boolean,
    schema text, above text, same text, up_to text
  )
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select k.place, a.attnum, a.attname::text, 'r.' || audit.quoted(a.attname),
    format_type(a.atttypid, a.atttypmod), exists (
      select from pg_type as p where p.oid = a.atttypid and p.typelem <> 0 and p.typlen = -1),
    o.schema, o.above, o.same, o.up_to
  from unnest(audit.key_of(t.target)) with ordinality as k (number, place)
  join pg_attribute as a on a.attrelid = t.target and a.attnum = k.number
  left join lateral (
    select
      min(n.nspname::text) as schema,
      min(q.name) filter (where m.amopstrategy = 5) as above,
      min(q.name) filter (where m.amopstrategy = 3) as same,
      min(q.name) filter (where m.amopstrategy = 2) as up_to
    from pg_index as i
    join pg_opclass as c on c.oid = i.indclass[k.place - 1]
    join pg_amop as m on m.amopfamily = c.opcfamily
      and m.amoplefttype = c.opcintype and m.amoprighttype = c.opcintype
    join pg_operator as p on p.oid = m.amopopr
    join pg_namespace as n on n.oid = p.oprnamespace
    cross join lateral (select format('operator(%I.%s)', n.nspname, p.oprname)) as q (name)
    where i.indrelid = t.target and i.indisprimary
  ) as o on true
$$;

revoke all on function audit.baseline_key_columns(audit.tracked) from public;

comment on function audit.baseline_key_columns(audit.tracked) is
  'The key columns of a tracked table, and the operators that compare them as its index does.';
