-- A type or collation by another name, itself or with its schema or extension, is another type to
-- those who know it by name.
create or replace function audit.users_of(class oid, object oid)
  returns setof oid
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with used as (
    select users_of.object as id
    where users_of.class = any (array['pg_type', 'pg_collation']::regclass[])
    union
    select y.oid from pg_type as y
    where users_of.class = 'pg_namespace'::regclass and y.typnamespace = users_of.object
    union
    select d.objid from pg_depend as d
    where users_of.class = 'pg_extension'::regclass and d.refclassid = users_of.class
      and d.refobjid = users_of.object and d.deptype = 'e'
      and d.classid = any (array['pg_type', 'pg_collation']::regclass[])
  )
  select distinct a.attrelid
  from (select distinct r.relation::oid as oid
        from audit.tracked as k cross join unnest(k.tables) as r (relation)) as r
  join pg_attribute as a on a.attrelid = r.oid and a.attnum > 0 and not a.attisdropped
  join pg_type as y on y.oid = a.atttypid
  where y.oid in (select u.id from used as u) or y.typelem in (select u.id from used as u)
    or a.attcollation in (select u.id from used as u)
$$;

revoke all on function audit.users_of(oid, oid) from public;

comment on function audit.users_of(oid, oid) is
  'The tracked and looked-up tables with a column of a type or collation, or of one in a schema or '
  'an extension.';
