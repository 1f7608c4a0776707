-- The columns of a table as the compiler sees them.
create or replace function audit.columns_of(target regclass)
  returns table (
    number smallint,
    name text,
    ident text,
    type oid,
    declared_type oid,
    is_key boolean,
    is_plain boolean
  )
  language plpgsql
  stable
  set search_path = pg_catalog, pg_temp
as $$
#variable_conflict use_column
begin
  return query
    with recursive base (attnum, type) as (
      select a.attnum, a.atttypid
      from pg_attribute as a
      -- A virtual generated column has no value of its own in a trigger; its sources are audited.
      where a.attrelid = columns_of.target and a.attnum > 0 and not a.attisdropped
        and a.attgenerated <> 'v'
      union all
      select b.attnum, t.typbasetype
      from base as b
      join pg_type as t on t.oid = b.type
      where t.typtype = 'd'
    )
    select
      a.attnum,
      a.attname::text,
      quote_ident(a.attname),
      b.type,
      a.atttypid,
      coalesce(a.attnum = any (i.indkey), false),
      -- Types whose equality is identity, so that "is distinct from" sees every change.
      (t.typtype = 'e' or b.type in (
        'bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype,
        'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype, 'bytea'::regtype,
        'oid'::regtype, 'name'::regtype, 'text'::regtype, 'varchar'::regtype, 'bpchar'::regtype,
        'time'::regtype))
        and coalesce((select c.collisdeterministic from pg_collation as c
                      where c.oid = a.attcollation), true)
    from base as b
    join pg_type as t on t.oid = b.type and t.typtype <> 'd'
    join pg_attribute as a on a.attrelid = columns_of.target and a.attnum = b.attnum
    left join pg_index as i on i.indrelid = columns_of.target and i.indisprimary
    order by a.attnum;
end;
$$;

revoke all on function audit.columns_of(regclass) from public;

comment on function audit.columns_of(regclass) is
  'The columns of a table that can be audited, with base type, key membership and equality.';
