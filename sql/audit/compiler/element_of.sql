-- What a type is made of: itself, or the element of an array, without the domains around it.
create or replace function audit.element_of(type oid)
  returns oid
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  with recursive inner_type (type, depth) as (
    select element_of.type, 0
    union all
    select case when t.typtype = 'd' then t.typbasetype else t.typelem end, i.depth + 1
    from inner_type as i
    join pg_type as t on t.oid = i.type
    where t.typtype = 'd' or (t.typelem <> 0 and t.typlen = -1)
  )
  select i.type from inner_type as i order by i.depth desc limit 1
$$;

revoke all on function audit.element_of(oid) from public;

comment on function audit.element_of(oid) is
  'The type of the elements of an array, or the type itself; domains are looked through.';
