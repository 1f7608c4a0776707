-- The equality that a presented key is unique by, found without any search_path.
create or replace function audit.equality_of(type oid)
  returns text
  language sql
  stable
  set search_path = pg_catalog, pg_temp
as $$
  select format('operator(%I.%s)', n.nspname, o.oprname)
  from pg_type as t
  join pg_opclass as c on c.opcdefault
    and c.opcmethod = (select m.oid from pg_am as m where m.amname = 'btree')
  join pg_amop as p on p.amopfamily = c.opcfamily and p.amopstrategy = 3
    and p.amoplefttype = c.opcintype and p.amoprighttype = c.opcintype
  join pg_operator as o on o.oid = p.amopopr
  join pg_namespace as n on n.oid = o.oprnamespace
  where t.oid = equality_of.type and (c.opcintype = t.oid
    or c.opcintype = case
      when t.oid = 'varchar'::regtype then 'text'::regtype
      when t.typtype = 'r' then 'anyrange'::regtype
      when t.typtype = 'm' then 'anymultirange'::regtype
      when t.typelem <> 0 and t.typlen = -1 then 'anyarray'::regtype
    end)
  order by c.opcintype = t.oid desc
  limit 1
$$;

revoke all on function audit.equality_of(oid) from public;

comment on function audit.equality_of(oid) is
  'The equality operator of a type of PostgreSQL''s own, schema-qualified.';
