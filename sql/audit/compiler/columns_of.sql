-- The columns of a table as the compiler sees them.
create or replace function audit.columns_of(target regclass)
  returns table (
    number smallint,
    name text,
    ident text,
    field text,
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
    select
      a.attnum,
      a.attname::text,
      audit.quoted(a.attname),
      -- The row of a partition is handed on without the names and the type that it has there.
      case when c.relkind = 'p' then 'f' || row_number() over (order by a.attnum)
        else audit.quoted(a.attname) end,
      audit.presented_type(a.atttypid),
      a.atttypid,
      a.attnum = any (k.numbers),
      -- Types whose equality is identity, so that "is distinct from" sees every change.
      a.atttypid in (
        'bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'uuid'::regtype,
        'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype, 'bytea'::regtype,
        'oid'::regtype, 'name'::regtype, 'text'::regtype, 'varchar'::regtype, 'time'::regtype)
        and coalesce((select o.collisdeterministic from pg_collation as o
                      where o.oid = a.attcollation), true)
    from pg_attribute as a
    join pg_class as c on c.oid = a.attrelid
    cross join audit.key_of(columns_of.target) as k (numbers)
    -- A virtual generated column has no value of its own in a trigger; its sources are audited.
    where a.attrelid = columns_of.target and a.attnum > 0 and not a.attisdropped
      and a.attgenerated <> 'v'
    order by a.attnum;
end;
$$;

revoke all on function audit.columns_of(regclass) from public;

comment on function audit.columns_of(regclass) is
  'The columns of a table that can be audited: their names in SQL and in a row of a compiled '
  'function, the type that such functions see, that which was declared, key membership, equality.';
