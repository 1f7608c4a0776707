-- A lookup names a column; its foreign key says which row is meant.
create or replace function audit.foreign_key_of(relation regclass, column_name text)
  returns table (
    target regclass,
    key_column text,
    key_type oid,
    key_operator text
  )
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    select
      c.confrelid::regclass,
      k.attname::text,
      a.atttypid,
      format('operator(%I.%s)', n.nspname, o.oprname)
    from pg_constraint as c
    join pg_attribute as a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    join pg_attribute as k on k.attrelid = c.confrelid and k.attnum = c.confkey[1]
    join pg_operator as o on o.oid = c.conpfeqop[1]
    join pg_namespace as n on n.oid = o.oprnamespace
    where c.conrelid = foreign_key_of.relation
      and c.contype = 'f'
      -- A key to a partitioned table has a copy of itself for each partition.
      and not exists (select from pg_constraint as q
                      where q.oid = c.conparentid and q.conrelid = c.conrelid)
      and cardinality(c.conkey) = 1
      and a.attname = foreign_key_of.column_name
    order by c.conname
    limit 1;
end;
$$;

revoke all on function audit.foreign_key_of(regclass, text) from public;

comment on function audit.foreign_key_of(regclass, text) is
  'The table and key that a single-column foreign key refers to.';
