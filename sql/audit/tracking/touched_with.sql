-- DDL that renames or changes a type or a collation, alone or with its schema or extension, is a
-- change of the columns that have it; and of the tables that are made of it.
create or replace function audit.touched_with(class oid, object oid)
  returns setof oid
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with used (class, object) as materialized (
    select 'pg_collation'::regclass, c.oid
    from pg_collation as c
    where class = 'pg_collation'::regclass and c.oid = touched_with.object
      or class = 'pg_namespace'::regclass and c.collnamespace = touched_with.object
    union all
    select 'pg_type'::regclass, unnest(array[y.oid, y.typarray])
    from pg_type as y
    where class = 'pg_type'::regclass and y.oid = touched_with.object
      or class = 'pg_class'::regclass
        and y.oid = (select c.reltype from pg_class as c where c.oid = touched_with.object)
      or class = 'pg_namespace'::regclass and y.typnamespace = touched_with.object
    union all
    select d.classid, unnest(array[d.objid, y.typarray])
    from pg_depend as d
    left join pg_type as y on d.classid = 'pg_type'::regclass and y.oid = d.objid
    where class = 'pg_extension'::regclass and d.refclassid = class
      and d.refobjid = touched_with.object and d.deptype = 'e'
      and d.classid in ('pg_type'::regclass, 'pg_collation'::regclass)
  )
  select d.objid
  from used as u
  join pg_depend as d on d.refclassid = u.class and d.refobjid = u.object
  where d.classid = 'pg_class'::regclass
$$;

revoke all on function audit.touched_with(oid, oid) from public;

comment on function audit.touched_with(oid, oid) is
  'The tables with a column of a type or a collation that a change of this object changes.';
